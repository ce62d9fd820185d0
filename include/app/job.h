/* What every command on a config shares: settings, data set, sets of samples, model. */
#ifndef IAU_APP_JOB_H
#define IAU_APP_JOB_H

#include "app/cli.h"
#include "app/config.h"
#include "app/machine.h"
#include "data/import.h"
#include "data/poison.h"
#include "nn/model.h"
#include "sweep/sweep.h"
#include "train/progress.h"
#include "unlearn/request.h"

struct job {
    const struct comm *comm; /* borrowed */
    const struct cli *cli;   /* borrowed */
    struct config cfg;
    char *config_all; /* owned; the effective config as YAML */
    struct dataset dataset;
    struct model model;
    int has_request; /* the config says what to forget, and the command wants to know it */
    struct partition sets;
    struct poison poison;             /* of the forget set, where forget.poison is on */
    char forget_digest[DIGEST_CHARS]; /* SHA-256 of the forget set's rows, "" without a request */
    char train_digest[DIGEST_CHARS];  /* of the training set's rows */
    char retain_digest[DIGEST_CHARS]; /* of the retained ones */
    struct machine machine;           /* the ranks' hosts */
    struct progress progress;
    int n_failed;     /* methods that have failed, */
    char failed[512]; /* and their names */
};

/** Collective. Read and check settings and data; with `may_import`, import a missing data set first
 * (`iau run`). The job must not move in memory afterwards. @return an agreed code; `job` is safe to
 * close on error */
int job_open(struct job *job, const struct cli *cli, int may_import, const struct comm *comm);
void job_close(struct job *job);
/** Collective. The text of a config file, on every rank; rank 0 reads it. The caller frees *text.
 * @return IAU_OK, IAU_ERR_USAGE where the file cannot be read, or IAU_ERR_MEM */
int job_read_text(const char *path, char **text, const struct comm *comm);
/** Collective. An engine for this job's model and data with a training set's unit. */
int job_engine(const struct job *job, const struct train_opts *train, struct engine *e);
/** Collective. Make output.dir and `folder` where they are missing, and open progress.csv in
 * output.dir; fine when that is done already. */
int job_begin_output(struct job *job, const char *folder);
/** Local. Whether files can be written to the folder that the setting `key` names; it need not be
 * there yet: then its nearest parent counts. @return IAU_OK or IAU_ERR_IO */
int job_check_folder(const char *key, const char *folder);
/** Local. IAU_ERR_IO where the folder's disk has no room for so many bytes more. */
int job_check_disk(const char *folder, double n_bytes);
/** Collective. IAU_STOPPED if any rank was asked to stop, with a line on what is not begun: `work`,
 * such as "making", on the model `name`. */
int job_check_stop(const struct job *job, const char *work, const char *name);
/** Collective. Import a data set; the folder of the dataset file is made where missing. */
int job_import(const struct import_request *request, const struct comm *comm);
/** Local. The settings text of an output: `text`, and digests of what settings do not tell of the
 * data. @param of_request  what is forgotten matters to it even where its labels are right
 *  @return the caller's to free; NULL when memory is short, or `text` is NULL */
char *job_settings(const struct job *job, const char *text, int of_request);
/** Local. FOLDER/NAME + suffix; the caller frees, NULL when memory is short. */
char *job_path(const char *folder, const char *name, const char *suffix);

#endif
