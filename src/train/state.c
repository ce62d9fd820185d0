/* The state of a training run in memory and in its restart file. */
#include "train/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"

const char *const trainer_columns[] = {"epoch",      "loss_train",     "accuracy_train",
                                       "loss_valid", "accuracy_valid", "lr",
                                       "seconds_s",  "samples_per_s",  NULL};

/* What a restart file holds of a state; returns the number of items. */
enum { MAX_ITEM = 17 };

static int items_of(struct train_state *s, struct restart_item item[MAX_ITEM])
{
    const struct restart_item all[] = {
        {RESTART_PARAMS, "/params", s->w},
        {RESTART_BUFFERS, "/buffers", s->w},
        {RESTART_PARAMS, "/best", s->best},
        {RESTART_BUFFERS, "/best_buffers", s->best},
        {RESTART_PARAMS, "/optimizer/m", s->optimizer.m},
        {RESTART_PARAMS, "/optimizer/v", s->optimizer.v},
        {RESTART_I64, "/state/epoch", &s->epoch},
        {RESTART_I64, "/state/step", &s->step},
        {RESTART_I64, "/state/best_epoch", &s->best_epoch},
        {RESTART_I64, "/state/worse", &s->worse},
        {RESTART_I64, "/state/correct", &s->correct},
        {RESTART_I64, "/state/n_seen", &s->n_seen},
        {RESTART_I64, "/state/optimizer_t", &s->optimizer.t},
        {RESTART_F64, "/state/best_accuracy", &s->best_accuracy},
        {RESTART_F64, "/state/loss_sum", &s->loss_sum},
        {RESTART_F64, "/state/epoch_s", &s->epoch_s},
        {RESTART_HISTORY, "/history", &s->history},
    };
    _Static_assert(sizeof all / sizeof *all == MAX_ITEM, "an item more or less");
    memcpy(item, all, sizeof all);
    return MAX_ITEM;
}

void state_next_epoch(struct train_state *s)
{
    s->epoch++;
    s->step = s->correct = s->n_seen = 0;
    s->loss_sum = s->epoch_s = 0;
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
        {"/state/step", s->step, training->batches.plan.n_step},
        {"/state/best_epoch", s->best_epoch, s->epoch},
        {"/state/worse", s->worse, s->epoch},
        {"/state/n_seen", s->n_seen, training->batches.plan.n},
        {"/state/correct", s->correct, s->n_seen},
        {"/state/optimizer_t", s->optimizer.t, t->opts->epochs * training->batches.plan.n_step},
    };
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        if (place[i].value < 0 || place[i].value > place[i].limit)
            return FAIL(IAU_ERR_FORMAT,
                        "%s: %s is %lld, not in 0 to %lld: it does not belong to this run",
                        t->restart->path, place[i].name, (long long)place[i].value,
                        (long long)place[i].limit);
    if (s->history.n_row != s->epoch)
        return FAIL(IAU_ERR_FORMAT, "%s: /history has %lld rows after %lld epochs",
                    t->restart->path, (long long)s->history.n_row, (long long)s->epoch);
    return IAU_OK;
}

static int allocate(struct training *s)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    int rc = IAU_OK;
    int64_t n = e->model->n_param, n_state = model_state_floats(e->model);
    s->state.w = mem_alloc(n_state, sizeof *s->state.w);
    s->state.best = mem_alloc(n_state, sizeof *s->state.best);
    if (!s->state.w || !s->state.best)
        TRY(FAIL(IAU_ERR_MEM, "no memory to train %lld parameters", (long long)n));
    TRY(optimizer_init(&s->state.optimizer, &t->opts->optimizer, n));
    s->descent = (struct descent){.engine = e,
                                  .optimizer = &s->state.optimizer,
                                  .w = s->state.w,
                                  .restriction = &t->opts->restriction};
    TRY(descent_init(&s->descent, 1, s->batches.feed.n_shard));
out:
    return rc;
}

struct batch_opts trainer_batch_opts(const struct train_opts *opts)
{
    return (struct batch_opts){.batch = opts->batch,
                               .unit = opts->unit,
                               .seed = opts->seed,
                               .augment = opts->augment,
                               .norm = NORM_GROUP,
                               .drops = 1};
}

/* Go on from the restart file. */
static int resume(struct training *s)
{
    const struct trainer *t = s->trainer;
    struct restart_item item[MAX_ITEM];
    struct restart_state state = {NULL, items_of(&s->state, item), item};
    int rc = IAU_OK;
    TRY(restart_load(t->restart, t->engine, &state));
    TRY(comm_agree(t->engine->comm, check_places(&s->state, s)));
    log_line("%s  goes on at epoch %lld step %lld", t->name, (long long)s->state.epoch + 1,
             (long long)s->state.step + 1);
out:
    return rc;
}

int training_init(struct training *s)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    int rc = IAU_OK;
    double start = timer_now_s();
    struct batch_opts batch = trainer_batch_opts(t->opts);
    history_init(&s->state.history, trainer_columns);
    TRY(batches_open(&s->batches, e, t->train, &batch, t->name));
    TRY(comm_agree(e->comm, allocate(s)));
    if (t->valid->n)
        TRY(share_load(&s->valid, e, t->valid));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
    if (t->start)
        memcpy(s->state.w, t->start, (size_t)model_state_floats(e->model) * sizeof *s->state.w);
    else
        model_init_params(e->model, (uint64_t)t->opts->seed, s->state.w);
    memcpy(s->state.best, s->state.w, (size_t)model_state_floats(e->model) * sizeof *s->state.w);
    if (t->restart && t->restart->resume)
        TRY(resume(s));
    restart_begin(t->restart, training_steps(s));
    TRY(comm_agree(e->comm, progress_begin(t->progress, t->name, "epoch", s->state.epoch)));
out:
    return rc;
}

void training_release_samples(struct training *s)
{
    batches_close(&s->batches);
    share_free(&s->valid);
}

void training_free(struct training *s)
{
    training_release_samples(s);
    descent_free(&s->descent);
    optimizer_free(&s->state.optimizer);
    history_free(&s->state.history);
    free(s->state.w);
    free(s->state.best);
}

int64_t training_steps(const struct training *s)
{
    return s->state.epoch * s->batches.plan.n_step + s->state.step;
}

int training_obey(struct training *s, int64_t word)
{
    struct restart_item item[MAX_ITEM];
    char place[64];
    double now = timer_now_s();
    if (!word)
        return IAU_OK;
    s->state.epoch_s += now - s->epoch_start_s;
    s->epoch_start_s = now;
    snprintf(place, sizeof place, "epoch %lld step %lld", (long long)s->state.epoch + 1,
             (long long)s->state.step);
    struct restart_state state = {place, items_of(&s->state, item), item};
    return restart_obey(s->trainer->restart, s->trainer->engine, word, training_steps(s), &state);
}
