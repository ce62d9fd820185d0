/* What every output says of its making. */
#include <stdio.h>
#include <time.h>

#include "app/model_file.h"
#include "app/version.h"
#include "core/cpu.h"
#include "core/error.h"
#include "io/h5.h"
#include "io/scheduler.h"
#include "kernel/gemm.h"
#include "kernel/lanes.h"

static const char *const group = "/provenance";

static int add_machine(struct record *r, const struct job *job, int same_bytes)
{
    int rc = IAU_OK;
    char host[128];
    comm_host(host, sizeof host);
    TRY(record_set_text(r, group, "host", host));
    TRY(record_set_text(r, group, "cpu", cpu_name()));
    TRY(record_set_i64(r, group, "hosts", job->machine.n_host));
    TRY(record_set_text(r, group, "layout", job->machine.layout));
    TRY(record_set_i64(r, group, "ranks", job->comm->size));
    TRY(record_set_i64(r, group, "threads", engine_threads()));
    TRY(record_set_text(r, group, "mpi", comm_library()));
    TRY(record_set_text(r, group, "blas", gemm_version()));
    TRY(record_set_text(r, group, "blas_core", gemm_core_name()));
    TRY(record_set_text(r, group, "hdf5", h5_version()));
    TRY(record_set_text(r, group, "same_bytes", same_bytes ? "yes" : "no"));
out:
    return rc;
}

static int add_build(struct record *r, const struct job *job)
{
    int rc = IAU_OK;
    TRY(record_set_text(r, group, "version", version_text()));
    TRY(record_set_text(r, group, "program_digest", job->machine.binary));
    TRY(record_set_text(r, group, "compiler", version_compiler()));
    TRY(record_set_text(r, group, "arch", version_arch()));
    TRY(record_set_i64(r, group, "vector_width", IAU_VECTOR_WIDTH));
out:
    return rc;
}

int provenance_add(struct record *r, const struct job *job, int same_bytes)
{
    int rc = IAU_OK;
    char date[32], number[SCHEDULER_JOB_CHARS];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    TRY(record_set_text(r, group, "date", date));
    if (*scheduler_job(number)) /* at the root: it explains no number */
        TRY(record_set_text(r, "/", "job", number));
    TRY(add_build(r, job));
    TRY(add_machine(r, job, same_bytes));
    TRY(record_set_text(r, group, "config", job->config_all));
    TRY(record_set_text(r, group, "data", job->dataset.name));
    TRY(record_set_text(r, group, "data_file", job->dataset.path));
    TRY(record_set_text(r, group, "data_digest", job->dataset.digest));
    TRY(record_set_text(r, group, "train_digest", job->train_digest));
    TRY(record_set_i64(r, group, "n_train", job->sets.train.n));
    TRY(record_set_i64(r, group, "n_valid", job->sets.valid.n));
    TRY(record_set_i64(r, group, "n_test", job->sets.test.n));
    if (job->has_request) {
        TRY(record_set_text(r, group, "forget_digest", job->forget_digest));
        TRY(record_set_i64(r, group, "n_forget", job->sets.forget.n));
        if (job->cfg.forget.poison)
            TRY(record_set_text(r, group, "forget_labels",
                                "wrong in training, each drawn uniformly from the other classes by "
                                "forget.seed and the sample's id"));
    }
out:
    return rc;
}
