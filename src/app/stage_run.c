/* Making a stage's model file: train or unlearn, then write. */
#include <math.h>
#include <stdlib.h>

#include "app/failure.h"
#include "app/model_file.h"
#include "app/stage.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "unlearn/sisa.h"
#include "unlearn/tune.h"

static int run_training(struct job *job, const struct stage *s, struct restart *restart,
                        struct engine *e, struct outcome *o)
{
    struct train_opts opts = s->train;
    if (train_is_ensemble(&opts))
        return sisa_run(o, &(struct sisa){.engine = e,
                                          .train = &opts,
                                          .set = stage_training_set(job, s),
                                          .valid = &job->sets.valid,
                                          .restart = restart,
                                          .name = s->name});
    if (s->kind != STAGE_ORIGIN)
        opts.gradient_sum = 0; /* it serves later requests to forget, which start from origins */
    struct trainer t = {.engine = e,
                        .opts = &opts,
                        .train = stage_training_set(job, s),
                        .valid = &job->sets.valid,
                        .name = s->name,
                        .restart = restart,
                        .progress = &job->progress};
    return trainer_run(o, &t);
}

/* A method's file says with which settings its origin was trained, so they must be those in the
 * origin's file. */
static int check_origin(const struct job *job, const struct stage *s,
                        const struct model_file *origin)
{
    const struct stage parent = {.kind = STAGE_ORIGIN,
                                 .index = s->origin,
                                 .origin = s->origin,
                                 .is_given = job->cfg.origin[s->origin].file != NULL,
                                 .train = s->train,
                                 .path = s->origin_path};
    char *settings = NULL;
    int rc = IAU_OK;
    TRY(stage_settings(job, &parent, &settings));
    rc = stage_check_file(job, &parent, &origin->record, settings,
                          "make it again with `iau train --force`, or set what it was made with");
    TRY(comm_agree(job->comm, rc));
out:
    free(settings);
    return rc;
}

static int run_method(struct job *job, const struct stage *s, struct restart *restart,
                      struct engine *e, struct outcome *o)
{
    int rc = IAU_OK;
    const struct method_opts *opts = &job->cfg.method[s->index];
    const struct method *method = method_of(opts->method);
    struct model_file origin = {0};
    double *sum = NULL, loss_sum = NAN;
    const char *why = NULL;
    TRY(model_file_read(&origin, job, &s->train, s->origin_path));
    TRY(check_origin(job, s, &origin));
    if (method->uses_gradient_sum && opts->iau.cache == IAU_CACHE_AUTO)
        TRY(comm_agree(job->comm, model_file_gradient_sum(&origin, job, &sum, &loss_sum, &why)));
    record_drop(&origin.record, "/gradient_sum");
    if (why)
        log_line("%s  computes the gradient sum anew: %s", s->name, why);
    struct unlearn u = {.engine = e,
                        .opts = opts,
                        .train = &s->train,
                        .sets = &job->sets,
                        .w = origin.w,
                        .gradient_sum = sum,
                        .loss_sum = loss_sum,
                        .name = s->name,
                        .restart = restart,
                        .progress = &job->progress};
    TRY(opts->tune ? tune_run(o, &u, method) : method->run(o, &u));
out:
    free(sum);
    model_file_free(&origin);
    return comm_agree(job->comm, rc);
}

/* Rank 0. */
static int remove_restart_files(const struct stage *s)
{
    int rc = restart_remove(s->restart_path);
    return rc == IAU_OK && train_is_ensemble(&s->train) ? sisa_remove(s->restart_path, &s->train)
                                                        : rc;
}

/* Rank 0. What the model file takes the place of. */
static int remove_other_files(const struct stage *s)
{
    int rc = remove_restart_files(s);
    return rc == IAU_OK ? failure_remove(s) : rc;
}

/* Make and write; the restart files have served when the model file is in place. */
static int make(struct job *job, const struct stage *s, const char *settings, int resume)
{
    int rc = IAU_OK;
    struct engine e = {0};
    struct outcome o = {0};
    struct restart restart = {.path = s->restart_path,
                              .settings = settings,
                              .name = s->name,
                              .opts = job->cfg.checkpoint,
                              .resume = resume,
                              .force = job->cli->force,
                              .strict = job->cli->strict,
                              .mixed = !job->machine.same_bytes};
    mem_peak_reset();
    TRY(job_begin_output(job, s->folder));
    TRY(job_engine(job, &s->train, &e));
    TRY(stage_trains(job, s) ? run_training(job, s, &restart, &e, &o)
                             : run_method(job, s, &restart, &e, &o));
    TRY(model_file_write(job, s, settings, &o, &e.cost, !restart.mixed));
    TRY(comm_agree(job->comm, job->comm->rank == 0 ? remove_other_files(s) : IAU_OK));
out:
    outcome_free(&o);
    engine_free(&e);
    return rc;
}

/* Other methods may do better. The restart files would only lead to the same end. */
static int set_aside(struct job *job, const struct stage *s, const char *settings)
{
    char reason[REASON_CHARS];
    int rc = IAU_OK;
    failure_count(job, s, reason);
    TRY(comm_agree(job->comm, job->comm->rank == 0 ? remove_restart_files(s) : IAU_OK));
    TRY(failure_write(job, s, settings, reason));
out:
    return rc;
}

int stage_run(struct job *job, const struct stage *s)
{
    int rc = IAU_OK;
    char *settings = NULL;
    enum output_state state;
    TRY(stage_settings(job, s, &settings));
    TRY(stage_find(job, s, settings, &state));
    if (state == OUTPUT_DONE) {
        log_line("%s  already done: %s", s->name, s->path);
        TRY(comm_agree(job->comm, job->comm->rank == 0 ? failure_remove(s) : IAU_OK));
    } else {
        rc = make(job, s, settings, state == OUTPUT_RESUMABLE);
    }
    if (rc == IAU_ERR_NUMERIC && s->kind == STAGE_METHOD)
        rc = set_aside(job, s, settings);
out:
    free(settings);
    return rc;
}
