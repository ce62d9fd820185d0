/* What every command on a config shares: settings, data set, sets of samples, model. */
#ifndef IAU_APP_JOB_H
#define IAU_APP_JOB_H

#include "app/cli.h"
#include "app/config.h"
#include "data/import.h"
#include "nn/model.h"
#include "sweep/sweep.h"
#include "train/progress.h"
#include "unlearn/request.h"

struct job {
    const struct comm *comm; /* borrowed */
    const struct cli *cli;   /* borrowed */
    struct config cfg;
    char *config_all;        /* owned; the effective config as YAML */
    struct dataset dataset;
    struct model model;
    int has_request;         /* the config says what to forget */
    struct partition sets;
    char forget_digest[DIGEST_CHARS]; /* SHA-256 of the forget set's rows, "" without a request */
    char train_digest[DIGEST_CHARS];  /* of the training set's rows */
    int same_bytes;          /* all ranks have the same CPU and BLAS core type */
    struct progress progress;
};

/** Collective. Read and check settings and data; with `may_import`, import a missing data set first (`iau run`).
 *  The job must not move in memory afterwards. @return an agreed code; `job` is safe to close on error */
int job_open(struct job *job, const struct cli *cli, int may_import, const struct comm *comm);
void job_close(struct job *job);
/** Collective. An engine for this job's model and data with a training set's unit. */
int job_engine(const struct job *job, const struct train_opts *train, struct engine *e);
/** Collective. Make output.dir where it is missing and open progress.csv in it; fine when that is done already. */
int job_begin_output(struct job *job);
/** Local. Whether output.dir is there. */
int job_has_output(const struct job *job);
/** Collective. Import a data set; the folder of the dataset file is made where missing. */
int job_import(const struct import_request *request, const struct comm *comm);
/** Local. DIR/NAME + suffix; the caller frees, NULL when memory is short. */
char *job_path(const struct job *job, const char *name, const char *suffix);
/** Collective. Line on what runs where: hosts, ranks, threads, MPI, BLAS; warns of mixed CPUs and of a BLAS that does not
 *  use the CPU's vectors. Fills job->same_bytes. */
void job_describe_machine(struct job *job);

#endif
