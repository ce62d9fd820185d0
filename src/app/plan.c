/* --dry-run: what a command would do, without doing it. */
#include <math.h>
#include <stdlib.h>

#include "app/commands.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/timer.h"
#include "data/shard.h"
#include "unlearn/sisa.h"

/* Of the model at hand, which is the same in all stages: measured once for a size of units. */
struct speed {
    int64_t unit;
    double gradient_s; /* of a sample */
};

enum { MOST_UNITS = 16, ENOUGH_MS = 100 };

/* Seconds that the gradients of the first n training samples take, by rank 0's clock. */
static int time_gradients(struct job *job, struct engine *e, const float *w, struct sums *sums,
                          int64_t n, double *seconds)
{
    int rc = IAU_OK;
    struct share share = {0};
    struct index_set few = job->sets.train;
    few.n = n;
    TRY(share_load(&share, e, &few));
    struct work work = share_work(e, &share);
    sums_begin(sums, &few.n);
    double start = timer_now_s();
    sweep_add_gradient(e, w, &work, sums, 0);
    TRY(sweep_reduce(e, sums, "timing"));
    *seconds = timer_now_s() - start;
    comm_bcast(job->comm, seconds, sizeof *seconds, 0);
out:
    share_free(&share);
    return rc;
}

/* A unit a rank, to look how long it takes; then as many as are worth waiting for, and quick ones
 * once more: warm. */
static int time_model(struct job *job, struct engine *e, struct speed *speed)
{
    int rc = IAU_OK;
    struct sums sums = {0};
    int64_t n_param = e->model->n_param, ranks = job->comm->size, n_train = job->sets.train.n;
    double seconds = 0;
    if (speed->unit == e->unit)
        return IAU_OK;
    float *w = mem_alloc(model_state_floats(e->model), sizeof *w);
    rc = w ? sums_init(&sums, 1, &n_param, N_VALUE, e->n_thread)
           : FAIL(IAU_ERR_MEM, "no memory for parameters");
    TRY(comm_agree(job->comm, rc));
    model_init_params(e->model, 0, w);
    for (int pass = 0, units = 1; pass < (units > 1 ? 3 : 2); pass++) {
        int64_t most = units * e->unit * ranks, n = most < n_train ? most : n_train;
        TRY(time_gradients(job, e, w, &sums, n, &seconds));
        speed->gradient_s = seconds / (double)n;
        if (pass == 0 && 1000 * seconds < ENOUGH_MS)
            units = MOST_UNITS;
    }
    speed->unit = e->unit;
out:
    free(w);
    sums_free(&sums);
    return rc;
}

/* A rank's samples as stored, as far as memory allows, parameters x (24 bytes + 12 a thread),
 * activations of the units in flight. */
static double rank_mib(const struct job *job, const struct stage *s, const struct engine *e,
                       int64_t n_rows)
{
    const struct train_opts *t = &s->train;
    const struct dataset *d = &job->dataset;
    int restricted = stage_trains(job, s) && t->restriction.alpha != 0;
    int64_t n_shard = shard_plan(job->sets.train.n, (int)t->batch, (int)t->unit).n_shard;
    int64_t own = (n_shard + job->comm->size - 1) / job->comm->size;
    double rows = (double)n_rows * (double)dataset_sample_bytes(d), limit = (double)e->memory_bytes;
    rows = limit > 0 && rows > limit ? limit : rows;
    double params = (double)e->model->n_param * (24 + 12.0 * e->n_thread + (restricted ? 8 : 0));
    double kept = restricted ? (double)own : 0, rest = e->n_thread > kept ? e->n_thread - kept : 0;
    double units = rest * (double)unit_bytes(e->model, e->lanes, UNIT_GRADIENT) +
                   kept * (double)unit_bytes(e->model, e->lanes, UNIT_TANGENT);
    return (rows + params + units) / 1048576;
}

/* The same of an ensemble, with a line of its own. */
static int ensemble_load(const struct job *job, const struct stage *s, struct unlearn_load *load)
{
    int rc = IAU_OK;
    struct sisa_plan plan;
    const struct train_opts *t = &s->train;
    TRY(sisa_plan_init(&plan, &job->dataset, t, stage_training_set(job, s),
                       stage_forgotten_set(job, s)));
    *load = sisa_plan_load(&plan);
    load->rows += (double)job->sets.valid.n;
    log_line("%s: %lld of %lld shards to train, %lld models of %lld; up to %.1f MiB of files",
             s->name, (long long)plan.n_shard, (long long)t->shards, (long long)plan.n_state,
             (long long)(t->shards * t->slices), sisa_plan_bytes(&plan, &job->model) / 1048576);
out:
    sisa_plan_free(&plan);
    return comm_agree(job->comm, rc);
}

/* What a stage works on, in all its epochs or steps. */
static struct unlearn_load stage_load(const struct job *job, const struct stage *s)
{
    const struct train_opts *t = &s->train;
    double n = (double)stage_training_set(job, s)->n;
    if (stage_trains(job, s))
        return (struct unlearn_load){n + (double)job->sets.valid.n,
                                     n * (double)t->epochs * (t->restriction.alpha != 0 ? 3 : 1)};
    const struct method_opts *o = &job->cfg.method[s->index];
    struct unlearn_sizes sizes = {.train = job->sets.train.n,
                                  .retain = job->sets.retain.n,
                                  .forget = job->sets.forget.n,
                                  .valid = job->sets.valid.n,
                                  .n_class = job->model.n_class,
                                  .has_gradient_sum = t->gradient_sum};
    struct unlearn_load load = method_of(o->method)->load(o, &sizes);
    load.gradients *= o->tune ? (double)o->tune : 1;
    return load;
}

static int plan_stage(struct job *job, const struct stage *s, unsigned kinds, struct speed *speed)
{
    static const char *const state_name[] = {"to do", "done", "resume"};
    int rc = IAU_OK;
    struct engine e = {0};
    double mib = 0;
    struct unlearn_load load = {0, 0};
    enum output_state state;
    TRY(stage_preview(job, s, kinds, &state));
    if (state != OUTPUT_DONE) {
        TRY(job_engine(job, &s->train, &e));
        TRY(time_model(job, &e, speed));
        if (train_is_ensemble(&s->train))
            TRY(ensemble_load(job, s, &load));
        else
            load = stage_load(job, s);
        mib = rank_mib(job, s, &e, (int64_t)ceil(load.rows / job->comm->size));
    }
    log_line("%-16s %-8s %-7s %9.0f %9.1f %13.0f %9.1f  %s", s->name, stage_kind_name(s->kind),
             state_name[state], ceil(load.rows / job->comm->size), mib,
             load.gradients / job->comm->size, load.gradients * speed->gradient_s, s->path);
out:
    engine_free(&e);
    return rc;
}

/* The models of an audit. */
static int plan_audit(struct job *job, const struct audit *a, struct speed *speed)
{
    int rc = IAU_OK;
    struct engine e = {0};
    struct audit_plan plan = {0};
    double gradients = 0;
    TRY(audit_plan(&plan, a));
    TRY(job_engine(job, &a->origin[0].train, &e));
    TRY(time_model(job, &e, speed));
    for (int64_t i = 0; i < plan.n_item; i++)
        gradients += audit_item_gradients(a, plan.item[i]);
    log_line("audit of %lld forgotten and %lld validation samples: %lld models, of which %lld are "
             "to do, by groups of %lld rank%s",
             (long long)a->targets.n_forgotten,
             (long long)(a->targets.all.n - a->targets.n_forgotten), (long long)plan.n_total,
             (long long)plan.n_item, (long long)a->opts->ranks, a->opts->ranks == 1 ? "" : "s");
    log_line("audit: %.0f gradients a rank, %.1f s; %.1f MiB of files in %s",
             gradients / job->comm->size, gradients * speed->gradient_s,
             (double)plan.n_total * 4 * (double)model_state_floats(&job->model) / 1048576,
             a->folder);
out:
    engine_free(&e);
    audit_plan_free(&plan);
    return rc;
}

int plan_print(struct job *job, const struct stage_list *stages, unsigned kinds,
               const struct audit *audit)
{
    int rc = IAU_OK;
    struct speed speed = {0};
    log_line(
        "data %s: %lld to train on (of which %lld to forget), %lld for validation, %lld to test",
        job->dataset.path, (long long)job->sets.train.n, (long long)job->sets.forget.n,
        (long long)job->sets.valid.n, (long long)job->sets.test.n);
    if (job->cfg.forget.poison)
        log_line("forget.poison: those to forget have wrong labels in training");
    log_line("model: %lld parameters in %d tensors", (long long)job->model.n_param,
             job->model.n_tensor);
    if (kinds)
        log_line("%-16s %-8s %-7s %9s %9s %13s %9s  %s", "stage", "kind", "state", "rows", "MiB",
                 "gradients", "seconds", "file");
    for (int i = 0; i < stages->n; i++)
        if (kinds & 1u << stages->stage[i].kind)
            TRY(plan_stage(job, &stages->stage[i], kinds, &speed));
    if (audit)
        TRY(plan_audit(job, audit, &speed));
    if (job->cli->command != COMMAND_TRAIN && job->cli->command != COMMAND_UNLEARN)
        log_line("then the evaluation of the models that are there, into %s/results.h5",
                 job->cfg.output.dir);
    if (kinds || audit)
        log_line("Rows, MiB and gradients are those of one rank; seconds are for all epochs, at "
                 "the speed "
                 "measured just now.");
    log_line("A dry run: nothing was written.");
out:
    return rc;
}
