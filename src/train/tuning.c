/* The loop of tuning: epochs, passes, steps; and its restart file. */
#include "train/tuning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "train/descent.h"
#include "train/schedule.h"

static const char *const columns[] = {"epoch",    "loss_retain", "loss_forget", "lr",
                                      "distance", "seconds_s",   NULL};

enum side { SIDE_RETAIN, SIDE_FORGET, N_SIDE };

struct run {
    const struct tuning *t;
    struct batches main[TUNING_MAX_PASSES], beside[TUNING_MAX_PASSES];
    struct descent descent[TUNING_MAX_PASSES]; /* by the number of terms, less one */
    struct optimizer optimizer;
    float *w;       /* owned, [n_param + n_buffer] */
    float *mean;    /* owned, [n_param]: of the parameters after the last steps; NULL: not wanted */
    int64_t n_mean; /* steps that are in it */
    int64_t epoch, step; /* to be done next; steps count over the passes of an epoch */
    double loss[N_SIDE]; /* sums over this epoch so far */
    int64_t n_seen[N_SIDE];
    double epoch_s, start_s; /* of this epoch before a restart; and when it began or went on */
    struct history history;
};

static int is_active(const struct tuning *t, int pass, int64_t epoch)
{
    return t->pass[pass].epochs == 0 || epoch < t->pass[pass].epochs;
}

static int64_t epoch_steps(const struct run *r, int64_t epoch)
{
    int64_t n = 0;
    for (int i = 0; i < r->t->n_pass; i++)
        n += is_active(r->t, i, epoch) ? r->main[i].plan.n_step : 0;
    return n;
}

static int64_t steps_before(const struct run *r, int64_t epoch)
{
    int64_t n = 0;
    for (int64_t e = 0; e < epoch; e++)
        n += epoch_steps(r, e);
    return n;
}

/* What a restart file holds; returns the number of items. */
enum { MAX_ITEM = 15 };

static int items_of(struct run *r, struct restart_item item[MAX_ITEM])
{
    const struct restart_item all[] = {
        {RESTART_PARAMS, "/params", r->w},
        {RESTART_BUFFERS, "/buffers", r->w},
        {RESTART_PARAMS, "/mean", r->mean},
        {RESTART_I64, "/state/n_mean", &r->n_mean},
        {RESTART_PARAMS, "/optimizer/m", r->optimizer.m},
        {RESTART_PARAMS, "/optimizer/v", r->optimizer.v},
        {RESTART_I64, "/state/optimizer_t", &r->optimizer.t},
        {RESTART_I64, "/state/epoch", &r->epoch},
        {RESTART_I64, "/state/step", &r->step},
        {RESTART_F64, "/state/loss_retain", &r->loss[SIDE_RETAIN]},
        {RESTART_F64, "/state/loss_forget", &r->loss[SIDE_FORGET]},
        {RESTART_I64, "/state/n_retain", &r->n_seen[SIDE_RETAIN]},
        {RESTART_I64, "/state/n_forget", &r->n_seen[SIDE_FORGET]},
        {RESTART_F64, "/state/epoch_s", &r->epoch_s},
        {RESTART_HISTORY, "/history", &r->history},
    };
    _Static_assert(sizeof all / sizeof *all == MAX_ITEM, "an item more or less");
    memcpy(item, all, sizeof all);
    return MAX_ITEM;
}

static int resume(struct run *r)
{
    const struct tuning *t = r->t;
    struct restart_item item[MAX_ITEM];
    struct restart_state state = {NULL, items_of(r, item), item};
    int rc = restart_load(t->restart, t->engine, &state);
    if (rc != IAU_OK)
        return rc;
    int fits = r->epoch >= 0 && r->epoch < t->opts->epochs && r->step >= 0 &&
               r->step <= epoch_steps(r, r->epoch) && r->history.n_row == r->epoch &&
               r->optimizer.t == steps_before(r, r->epoch) + r->step;
    rc = comm_agree(
        t->engine->comm,
        fits ? IAU_OK
             : FAIL(IAU_ERR_FORMAT, "%s: /state does not belong to this run", t->restart->path));
    if (rc == IAU_OK)
        log_line("%s  goes on at epoch %lld step %lld", t->name, (long long)r->epoch + 1,
                 (long long)r->step + 1);
    return rc;
}

static int open_side(struct batches *b, const struct tuning *t, const struct pass_side *side)
{
    int trains = t->opts->mode == TUNING_TRAIN;
    struct batch_opts opts = {.batch = side->batch,
                              .unit = t->unit,
                              .seed = t->seed,
                              .norm = trains ? NORM_GROUP : NORM_FROZEN,
                              .drops = trains,
                              .with_ids = side->objective && side->objective->relabel};
    if (trains && model_has_groups(t->engine->model) && !batches_have_groups(&opts, side->set->n)) {
        log_line("%s  keeps batch norm's statistics over %lld samples in batches of %lld: it "
                 "trains on groups of at least %d",
                 t->name, (long long)side->set->n, (long long)side->batch, GROUP_MIN_SAMPLES);
        opts.norm = NORM_FROZEN;
    }
    int rc = batches_open(b, t->engine, side->set, &opts, t->name);
    if (rc == IAU_OK && side->objective && side->objective->teacher != 0)
        rc = comm_agree(t->engine->comm, engine_teacher(t->engine));
    return rc;
}

static int n_term_of(const struct pass *p)
{
    return p->beside.set ? 2 : 1;
}

static int allocate(struct run *r)
{
    const struct tuning *t = r->t;
    const struct model *m = t->engine->model;
    int rc = IAU_OK;
    r->w = mem_alloc(model_state_floats(m), sizeof *r->w);
    if (!r->w)
        TRY(FAIL(IAU_ERR_MEM, "no memory to tune %lld parameters", (long long)m->n_param));
    memcpy(r->w, t->w, (size_t)model_state_floats(m) * sizeof *r->w);
    if (t->average > 0 && !(r->mean = mem_alloc(m->n_param, sizeof *r->mean)))
        TRY(FAIL(IAU_ERR_MEM, "no memory to tune %lld parameters", (long long)m->n_param));
    TRY(optimizer_init(&r->optimizer, &t->opts->optimizer, m->n_param));
    for (int i = 0; i < t->n_pass; i++) {
        int n = n_term_of(&t->pass[i]);
        struct descent *d = &r->descent[n - 1];
        if (d->engine)
            continue;
        *d = (struct descent){
            .engine = t->engine, .optimizer = &r->optimizer, .w = r->w, .mask = t->mask};
        TRY(descent_init(d, n, 0));
    }
out:
    return rc;
}

/* The smallest set first: where memory is short, it is the large ones that can stream. */
static int open_sides(struct run *r)
{
    struct batches *batches[2 * TUNING_MAX_PASSES];
    const struct pass_side *side[2 * TUNING_MAX_PASSES];
    int n = 0;
    for (int i = 0; i < r->t->n_pass; i++) {
        batches[n] = &r->main[i];
        side[n++] = &r->t->pass[i].main;
        batches[n] = &r->beside[i];
        side[n] = &r->t->pass[i].beside;
        n += side[n]->set != NULL;
    }
    for (int k = 0; k < n; k++) {
        int next = -1;
        for (int i = 0; i < n; i++)
            if (!batches[i]->engine && (next < 0 || side[i]->set->n < side[next]->set->n))
                next = i;
        int rc = open_side(batches[next], r->t, side[next]);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static int open_run(struct run *r)
{
    const struct tuning *t = r->t;
    const struct comm *comm = t->engine->comm;
    int rc = IAU_OK;
    double start = timer_now_s();
    history_init(&r->history, columns);
    TRY(open_sides(r));
    TRY(comm_agree(comm, allocate(r)));
    t->engine->cost.seconds[PHASE_READ] += timer_now_s() - start;
    if (t->restart && t->restart->resume)
        TRY(resume(r));
    restart_begin(t->restart, steps_before(r, r->epoch) + r->step);
    TRY(comm_agree(comm, progress_begin(t->progress, t->name, "epoch", r->epoch)));
out:
    return rc;
}

static void close_run(struct run *r)
{
    for (int i = 0; i < TUNING_MAX_PASSES; i++) {
        batches_close(&r->main[i]);
        batches_close(&r->beside[i]);
        descent_free(&r->descent[i]);
    }
    optimizer_free(&r->optimizer);
    history_free(&r->history);
    free(r->w);
    free(r->mean);
}

/* The part of one side in step number `at` of all its steps, which go round its epochs. */
static struct descent_term term_of(struct batches *b, const struct pass_side *side, int64_t at)
{
    int64_t n_step = b->plan.n_step;
    return (struct descent_term){.work = batches_work(b, at / n_step, at % n_step, side->objective),
                                 .n_samples = shard_step_samples(&b->plan, at % n_step),
                                 .weight = side->weight,
                                 .until = side->until};
}

static void count(struct run *r, const struct pass_side *side, const struct descent_term *term,
                  double loss)
{
    enum side which = side->set == r->t->forget ? SIDE_FORGET : SIDE_RETAIN;
    r->loss[which] += loss;
    r->n_seen[which] += term->n_samples;
}

/* The parameters after a step into the mean, if it is one of the last share. */
static void add_to_mean(struct run *r)
{
    const struct tuning *t = r->t;
    int64_t done = steps_before(r, r->epoch) + r->step, all = steps_before(r, t->opts->epochs);
    double before = (1 - t->average) * (double)all;
    if (!r->mean || (double)done <= before + 1e-6) /* (1 - 0.9) * 10 is a little below 1 */
        return;
    float part = 1 / (float)++r->n_mean;
    for (int64_t i = 0; i < t->engine->model->n_param; i++)
        r->mean[i] += part * (r->w[i] - r->mean[i]);
}

/* Step `step` of a pass; *word is the agreed stop word. */
static int take_step(struct run *r, int pass, int64_t step, int64_t *word)
{
    const struct tuning *t = r->t;
    const struct pass *p = &t->pass[pass];
    struct descent_term term[2];
    char what[96];
    int n_term = n_term_of(p);
    int64_t at = r->epoch * r->main[pass].plan.n_step + step;
    struct descent *d = &r->descent[n_term - 1];
    double lr = schedule_rate(&t->opts->schedule, t->opts->optimizer.lr, r->epoch, t->opts->epochs);
    snprintf(what, sizeof what, "%s: epoch %lld step %lld", t->name, (long long)r->epoch + 1,
             (long long)r->step + 1);
    term[0] = term_of(&r->main[pass], &p->main, at);
    if (n_term == 2)
        term[1] = term_of(&r->beside[pass], &p->beside, at);
    *word = restart_word(t->restart, t->engine->comm, steps_before(r, r->epoch) + r->step + 1);
    int rc = descent_step(d, n_term, term, lr, what, word);
    if (rc != IAU_OK)
        return rc;
    count(r, &p->main, &term[0], d->value[0][VALUE_LOSS]);
    if (n_term == 2)
        count(r, &p->beside, &term[1], d->value[1][VALUE_LOSS]);
    r->step++;
    add_to_mean(r);
    return IAU_OK;
}

static int obey(struct run *r, int64_t word)
{
    struct restart_item item[MAX_ITEM];
    char place[64];
    double now = timer_now_s();
    if (!word)
        return IAU_OK;
    r->epoch_s += now - r->start_s;
    r->start_s = now;
    snprintf(place, sizeof place, "epoch %lld step %lld", (long long)r->epoch + 1,
             (long long)r->step);
    struct restart_state state = {place, items_of(r, item), item};
    return restart_obey(r->t->restart, r->t->engine, word, steps_before(r, r->epoch) + r->step,
                        &state);
}

/* The passes of an epoch from r->step on. */
static int run_passes(struct run *r)
{
    const struct tuning *t = r->t;
    int64_t first = 0;
    for (int i = 0; i < t->n_pass; i++) {
        if (!is_active(t, i, r->epoch))
            continue;
        for (int64_t end = first + r->main[i].plan.n_step; r->step < end;) {
            int64_t word;
            int rc = take_step(r, i, r->step - first, &word);
            if (rc == IAU_OK)
                rc = obey(r, word);
            if (rc != IAU_OK)
                return rc;
            log_live("%s  epoch %lld/%lld  step %lld/%lld", t->name, (long long)r->epoch + 1,
                     (long long)t->opts->epochs, (long long)r->step,
                     (long long)epoch_steps(r, r->epoch));
        }
        first += r->main[i].plan.n_step;
    }
    return IAU_OK;
}

/* A side's mean loss as text; nothing where there is none. */
static const char *loss_text(char text[48], const char *side, double loss)
{
    text[0] = '\0';
    if (!isnan(loss))
        snprintf(text, 48, "  on %s %.4f", side, loss);
    return text;
}

static int end_epoch(struct run *r, int *enough)
{
    const struct tuning *t = r->t;
    const struct model *m = t->engine->model;
    char what[96], text[N_SIDE][48];
    double loss[N_SIDE], seconds = r->epoch_s + timer_now_s() - r->start_s;
    for (int i = 0; i < N_SIDE; i++)
        loss[i] = r->n_seen[i] ? r->loss[i] / (double)r->n_seen[i] : NAN;
    snprintf(what, sizeof what, "%s: after epoch %lld", t->name, (long long)r->epoch + 1);
    int rc = comm_check_equal(t->engine->comm, sweep_checksum(r->w, model_state_floats(m)), what);
    if (rc == IAU_OK && t->end_epoch)
        rc = t->end_epoch(t->ctx, r->epoch, r->w, enough);
    if (rc != IAU_OK)
        return rc;
    double distance = vector_distance(r->w, t->w, m->n_param);
    double row[] = {
        (double)r->epoch + 1,
        loss[SIDE_RETAIN],
        loss[SIDE_FORGET],
        schedule_rate(&t->opts->schedule, t->opts->optimizer.lr, r->epoch, t->opts->epochs),
        distance,
        seconds};
    log_line("%s  epoch %3lld  objective%s%s  moved %.4g  %.3f s", t->name, (long long)r->epoch + 1,
             loss_text(text[0], "retained", loss[SIDE_RETAIN]),
             loss_text(text[1], "forgotten", loss[SIDE_FORGET]), distance, seconds);
    progress_row(t->progress, t->name, "epoch", r->epoch + 1, loss[SIDE_RETAIN], NAN, NAN,
                 (double)(r->n_seen[0] + r->n_seen[1]) / seconds, seconds);
    return comm_agree(t->engine->comm, history_add(&r->history, row));
}

static int run_epoch(struct run *r, int *enough)
{
    const struct tuning *t = r->t;
    r->start_s = timer_now_s();
    if (t->begin_epoch)
        t->begin_epoch(t->ctx, r->epoch);
    int rc = run_passes(r);
    if (rc == IAU_OK)
        rc = end_epoch(r, enough);
    r->epoch++;
    r->step = 0;
    r->epoch_s = 0;
    memset(r->loss, 0, sizeof r->loss);
    memset(r->n_seen, 0, sizeof r->n_seen);
    return rc;
}

int tuning_run(struct outcome *o, const struct tuning *t)
{
    int rc = IAU_OK, enough = 0;
    struct run r = {.t = t};
    REQUIRE(t->n_pass <= TUNING_MAX_PASSES);
    *o = (struct outcome){0};
    TRY(open_run(&r));
    while (r.epoch < t->opts->epochs && !enough)
        TRY(run_epoch(&r, &enough));
    if (r.n_mean)
        memcpy(r.w, r.mean, (size_t)t->engine->model->n_param * sizeof *r.w);
    o->w = r.w;
    o->history = r.history;
    r.w = NULL;
    r.history = (struct history){0};
out:
    close_run(&r);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}
