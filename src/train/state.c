/* The state of a training run in memory and in its restart file. */
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/formats.h"
#include "train/checkpoint.h"

static const char *const columns[] = {"epoch",      "loss_train",     "accuracy_train",
                                      "loss_valid", "accuracy_valid", "lr",
                                      "seconds_s",  "samples_per_s",  NULL};

/* Numbers of the state as scalars of the restart file, in one list for writing and reading. */
struct scalar {
    const char *path;
    int64_t *i64;
    double *f64;
};
enum { N_SCALAR = 10 };

static void scalars_of(struct train_state *s, struct scalar list[N_SCALAR])
{
    const struct scalar all[N_SCALAR] = {
        {"/state/epoch", &s->epoch, NULL},
        {"/state/step", &s->step, NULL},
        {"/state/best_epoch", &s->best_epoch, NULL},
        {"/state/worse", &s->worse, NULL},
        {"/state/correct", &s->correct, NULL},
        {"/state/n_seen", &s->n_seen, NULL},
        {"/state/optimizer_t", &s->optimizer.t, NULL},
        {"/state/best_accuracy", NULL, &s->best_accuracy},
        {"/state/loss_sum", NULL, &s->loss_sum},
        {"/state/epoch_s", NULL, &s->epoch_s},
    };
    memcpy(list, all, sizeof all);
}

void state_next_epoch(struct train_state *s)
{
    s->epoch++;
    s->step = s->correct = s->n_seen = 0;
    s->loss_sum = s->epoch_s = 0;
}

static int state_write(struct train_state *s, const struct training *training)
{
    const struct trainer *t = training->trainer;
    const struct model *m = t->engine->model;
    int rc = IAU_OK;
    struct record r = {0};
    struct scalar list[N_SCALAR];
    char digest[DIGEST_CHARS];
    TRY(record_set_text(&r, "/", "settings", t->settings));
    TRY(record_set_text(&r, "/", "format", RESTART_FORMAT));
    TRY(checkpoint_add_floats(&r, m, "/params", s->w));
    TRY(checkpoint_add_buffers(&r, m, "/buffers", s->w));
    TRY(checkpoint_add_floats(&r, m, "/best", s->best));
    TRY(checkpoint_add_buffers(&r, m, "/best_buffers", s->best));
    TRY(checkpoint_add_floats(&r, m, "/optimizer/m", s->optimizer.m));
    if (s->optimizer.v)
        TRY(checkpoint_add_floats(&r, m, "/optimizer/v", s->optimizer.v));
    scalars_of(s, list);
    for (int i = 0; i < N_SCALAR; i++)
        TRY(list[i].i64 ? record_add(&r, list[i].path, RECORD_I64, 0, NULL, list[i].i64)
                        : record_add(&r, list[i].path, RECORD_F64, 0, NULL, list[i].f64));
    TRY(history_to_record(&s->history, &r, "/history"));
    TRY(checkpoint_add_cost(&r, "/cost", &t->engine->cost));
    TRY(format_digest(RESTART_FORMAT, &r, digest));
    TRY(record_set_text(&r, "/", "digest", digest));
    TRY(record_write(&r, t->restart_path));
out:
    record_free(&r);
    return rc;
}

/* The numbers of a restart file that say where to go on must lie in the run that is to go on. */
static int check_places(const struct train_state *s, const struct training *training)
{
    const struct trainer *t = training->trainer;
    const struct {
        const char *name;
        int64_t value, limit;
    } place[] = {
        {"/state/epoch", s->epoch, t->opts->epochs},
        {"/state/step", s->step, training->plan.n_step},
        {"/state/best_epoch", s->best_epoch, s->epoch},
        {"/state/worse", s->worse, s->epoch},
        {"/state/n_seen", s->n_seen, training->plan.n},
        {"/state/correct", s->correct, s->n_seen},
        {"/state/optimizer_t", s->optimizer.t, t->opts->epochs * training->plan.n_step},
    };
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        if (place[i].value < 0 || place[i].value > place[i].limit)
            return FAIL(IAU_ERR_FORMAT,
                        "%s: %s is %lld, not in 0 to %lld: it does not belong to this run",
                        t->restart_path, place[i].name, (long long)place[i].value,
                        (long long)place[i].limit);
    if (s->history.n_row != s->epoch)
        return FAIL(IAU_ERR_FORMAT, "%s: /history has %lld rows after %lld epochs", t->restart_path,
                    (long long)s->history.n_row, (long long)s->epoch);
    return IAU_OK;
}

static int state_read(struct train_state *s, const struct training *training)
{
    const struct trainer *t = training->trainer;
    const struct model *m = t->engine->model;
    const char *path = t->restart_path;
    int rc = IAU_OK;
    struct record r = {0};
    struct scalar list[N_SCALAR];
    char digest[DIGEST_CHARS];
    TRY(record_read(&r, path));
    TRY(format_digest(RESTART_FORMAT, &r, digest));
    if (strcmp(digest, record_text(&r, "/", "digest", "")) != 0)
        TRY(FAIL(
            IAU_ERR_FORMAT,
            "%s: its contents do not match the digest stored with them; remove it to start anew",
            path));
    TRY(checkpoint_get_floats(&r, path, m, "/params", s->w));
    TRY(checkpoint_get_buffers(&r, path, m, "/buffers", s->w));
    TRY(checkpoint_get_floats(&r, path, m, "/best", s->best));
    TRY(checkpoint_get_buffers(&r, path, m, "/best_buffers", s->best));
    TRY(checkpoint_get_floats(&r, path, m, "/optimizer/m", s->optimizer.m));
    if (s->optimizer.v)
        TRY(checkpoint_get_floats(&r, path, m, "/optimizer/v", s->optimizer.v));
    scalars_of(s, list);
    for (int i = 0; i < N_SCALAR; i++) {
        const struct record_array *a = record_find(&r, list[i].path);
        if (!a || record_count(a) != 1 || a->type != (list[i].i64 ? RECORD_I64 : RECORD_F64))
            TRY(FAIL(IAU_ERR_FORMAT, "%s has no %s: it is no restart file", path, list[i].path));
        if (list[i].i64)
            *list[i].i64 = *(const int64_t *)a->data;
        else
            *list[i].f64 = *(const double *)a->data;
    }
    TRY(history_from_record(&s->history, &r, path, "/history"));
    TRY(check_places(s, training));
    TRY(checkpoint_get_cost(&r, path, "/cost", &t->engine->cost));
out:
    record_free(&r);
    return rc;
}

static int allocate(struct training *s)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    int rc = IAU_OK;
    int64_t n = e->model->n_param, n_state = model_state_floats(e->model);
    s->state.w = mem_alloc(n_state, sizeof *s->state.w);
    s->state.best = mem_alloc(n_state, sizeof *s->state.best);
    s->g = mem_alloc(n_state, sizeof *s->g);
    s->v = mem_alloc(n_state, sizeof *s->v);
    if (!s->state.w || !s->state.best || !s->g || !s->v)
        TRY(FAIL(IAU_ERR_MEM, "no memory to train %lld parameters", (long long)n));
    TRY(optimizer_init(&s->state.optimizer, &t->opts->optimizer, n));
    TRY(sums_init(&s->sums, 1, &n_state, N_VALUE, e->n_thread));
    if (t->opts->restriction.alpha != 0)
        TRY(engine_keep(e, s->feed.n_shard));
    if (augment_is_on(&t->opts->augment))
        TRY(engine_augment(e));
out:
    return rc;
}

int trainer_plan(struct shard_plan *plan, int64_t *left_out, const char *name,
                 const struct model *m, const struct train_opts *opts, int64_t n)
{
    *plan = shard_plan(n, (int)opts->batch, (int)opts->unit);
    *left_out = model_has_groups(m) ? shard_plan_groups(plan, GROUP_MIN_SAMPLES) : 0;
    if (plan->n_step == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: %lld samples in batches of %lld leave no group of %d samples, which batch "
                    "norm needs to train",
                    name, (long long)n, (long long)opts->batch, GROUP_MIN_SAMPLES);
    return IAU_OK;
}

static int open_feed(struct training *s, struct range shards)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    int rc = feed_open(&s->feed, e->dataset, t->train, &s->plan, shards, (uint64_t)t->opts->seed,
                       augment_is_on(&t->opts->augment), engine_memory_left(e), t->name);
    e->used_bytes += s->feed.n_bytes;
    s->augment.id = s->feed.rows.id;
    return rc;
}

int training_init(struct training *s)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    int rc = IAU_OK;
    double start = timer_now_s();
    int64_t left_out;
    TRY(comm_agree(e->comm,
                   trainer_plan(&s->plan, &left_out, t->name, e->model, t->opts, t->train->n)));
    if (left_out)
        log_line("%s  leaves %lld of %lld samples out of each epoch, others each time: batch norm "
                 "trains on groups of "
                 "at least %d",
                 t->name, (long long)left_out, (long long)t->train->n, GROUP_MIN_SAMPLES);
    if (e->comm->size > s->plan.n_shard)
        log_line("%s  training uses %d of %d ranks: batch %lld, unit %lld", t->name,
                 s->plan.n_shard, e->comm->size, (long long)t->opts->batch,
                 (long long)t->opts->unit);
    history_init(&s->state.history, columns);
    s->augment = (struct augment){.opts = t->opts->augment, .seed = (uint64_t)t->opts->seed};
    TRY(comm_agree(e->comm, augment_check(&t->opts->augment, e->dataset)));
    TRY(comm_agree(e->comm,
                   open_feed(s, shard_range(s->plan.n_shard, e->comm->rank, e->comm->size))));
    TRY(comm_agree(e->comm, allocate(s)));
    if (t->valid->n)
        TRY(share_load(&s->valid, e, t->valid));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
    model_init_params(e->model, (uint64_t)t->opts->seed, s->state.w);
    memcpy(s->state.best, s->state.w, (size_t)model_state_floats(e->model) * sizeof *s->state.w);
    if (t->resume) {
        TRY(comm_agree(e->comm, state_read(&s->state, s)));
        log_line("%s  goes on at epoch %lld step %lld", t->name, (long long)s->state.epoch + 1,
                 (long long)s->state.step + 1);
    }
out:
    return rc;
}

void training_release_samples(struct training *s)
{
    s->trainer->engine->used_bytes -= s->feed.n_bytes;
    feed_close(&s->feed);
    share_free(&s->valid);
}

void training_free(struct training *s)
{
    training_release_samples(s);
    sums_free(&s->sums);
    optimizer_free(&s->state.optimizer);
    history_free(&s->state.history);
    free(s->state.w);
    free(s->state.best);
    free(s->g);
    free(s->v);
}

int training_checkpoint_due(const struct training *s)
{
    const struct trainer *t = s->trainer;
    return t->engine->comm->rank == 0 && t->checkpoint_s > 0 &&
           timer_now_s() - s->saved_s >= t->checkpoint_s;
}

int training_save(struct training *s)
{
    struct engine *e = s->trainer->engine;
    double start = timer_now_s();
    s->state.epoch_s += start - s->epoch_start_s;
    s->epoch_start_s = start;
    int rc = comm_agree(e->comm, e->comm->rank == 0 ? state_write(&s->state, s) : IAU_OK);
    s->saved_s = timer_now_s();
    e->cost.seconds[PHASE_WRITE] += s->saved_s - start;
    return rc;
}
