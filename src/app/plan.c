/* --dry-run: what a command would do, without doing it. */
#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "core/error.h"
#include "core/log.h"
#include "core/timer.h"
#include "data/shard.h"
#include "io/file.h"

/* Seconds a sample's gradient takes here: a few units of real samples, timed. */
static int time_gradient(struct job *job, struct engine *e, double *gradient_s)
{
    int rc = IAU_OK;
    struct share share = {0};
    struct sums sums = {0};
    struct index_set few = job->sets.train;
    int64_t n_param = e->model->n_param;
    few.n = few.n < 16 * e->unit * (int64_t)job->comm->size ? few.n : 16 * e->unit * (int64_t)job->comm->size;
    float *w = calloc((size_t)model_state_floats(e->model), sizeof *w);
    rc = w ? sums_init(&sums, 1, &n_param, N_VALUE, e->n_thread) : FAIL(IAU_ERR_MEM, "parameters");
    TRY(comm_agree(job->comm, rc));
    model_init_params(e->model, 0, w);
    TRY(share_load(&share, e, &few));
    struct work work = share_work(e, &share);
    for (int warm = 0; warm < 2; warm++) {
        sums_begin(&sums, &few.n);
        double start = timer_now_s();
        sweep_add_gradient(e, w, &work, &sums, 0);
        TRY(sweep_reduce(e, &sums, "timing"));
        *gradient_s = (timer_now_s() - start) / (double)few.n;
    }
out:
    free(w);
    sums_free(&sums);
    share_free(&share);
    return rc;
}

/* Design's formula: a rank's samples as stored, parameters x (24 bytes + 12 a thread), activations of the units in
 * flight. */
static double rank_mib(const struct job *job, const struct stage *s, const struct engine *e, int64_t n_rows)
{
    const struct train_opts *t = stage_train_opts(job, s);
    const struct dataset *d = &job->dataset;
    int restricted = stage_trains(job, s) && t->restriction.alpha != 0;
    int64_t n_shard = shard_plan(job->sets.train.n, (int)t->batch, (int)t->unit).n_shard;
    int64_t own = (n_shard + job->comm->size - 1) / job->comm->size;
    double rows = (double)n_rows * d->c * d->h * d->w * (d->is_u8 ? 1 : 4);
    double params = (double)e->model->n_param * (24 + 12.0 * e->n_thread + (restricted ? 8 : 0));
    double kept = restricted ? (double)own : 0, rest = e->n_thread > kept ? e->n_thread - kept : 0;
    double units = rest * (double)unit_bytes(e->model, e->lanes, UNIT_GRADIENT) +
                   kept * (double)unit_bytes(e->model, e->lanes, UNIT_TANGENT);
    return (rows + params + units) / 1048576;
}

/* Gradients of all epochs (an HVP counts as two), or of the steps. */
static double stage_gradients(const struct job *job, const struct stage *s)
{
    const struct train_opts *t = stage_train_opts(job, s);
    double n = (double)stage_training_set(job, s)->n;
    if (stage_trains(job, s))
        return n * (double)t->epochs * (t->restriction.alpha != 0 ? 3 : 1);
    const struct iau_opts *o = &job->cfg.method[s->index].iau;
    double cached = o->cache == IAU_CACHE_AUTO && t->gradient_sum;
    return (double)o->steps * (double)job->sets.forget.n +
           (o->correction ? ((double)o->steps - cached) * (double)job->sets.train.n : 0);
}

static int plan_stage(struct job *job, const struct stage *s)
{
    int rc = IAU_OK;
    struct engine e = {0};
    double gradient_s = 0;
    TRY(comm_agree(job->comm, job->comm->rank == 0 ? file_check_target(s->path) : IAU_OK));
    TRY(job_engine(job, stage_train_opts(job, s), &e));
    TRY(time_gradient(job, &e, &gradient_s));
    int64_t n = stage_training_set(job, s)->n;
    int64_t rows = (n + job->comm->size - 1) / job->comm->size;
    double gradients = stage_gradients(job, s);
    log_line("%-16s %-8s %9lld %9.0f %12.0f %9.0f  %s", s->name, stage_kind_name(s->kind), (long long)rows,
             rank_mib(job, s, &e, rows), gradients / job->comm->size, gradients * gradient_s, s->path);
out:
    engine_free(&e);
    return rc;
}

int plan_print(struct job *job, const struct stage_list *stages, unsigned kinds)
{
    int rc = IAU_OK;
    log_line("data %s: %lld to train on, %lld for validation, %lld to forget, %lld to test", job->dataset.path,
             (long long)job->sets.train.n, (long long)job->sets.valid.n, (long long)job->sets.forget.n,
             (long long)job->sets.test.n);
    log_line("model: %lld parameters in %d tensors", (long long)job->model.n_param, job->model.n_tensor);
    log_line("%-16s %-8s %9s %9s %12s %9s  %s", "stage", "kind", "rows/rank", "MiB/rank", "grads/rank", "seconds",
             "file");
    for (int i = 0; i < stages->n; i++)
        if (kinds & 1u << stages->stage[i].kind)
            TRY(plan_stage(job, &stages->stage[i]));
    log_line("A dry run: nothing was written. Seconds are at most, for all epochs, at the speed measured just now.");
out:
    return rc;
}
