/* The IAU step: two gradient sums in one reduction, their combination, and an optimizer step. */
#include "unlearn/iau.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "train/optimizer.h"
#include "unlearn/calibrate.h"
#include "unlearn/set_gradients.h"

static const char *const columns[] = {"step",     "norm_retain", "norm_forget", "norm_step",
                                      "cosine",   "loss_retain", "loss_forget", "length",
                                      "distance", "seconds_s",   NULL};

/* What the steps work with. */
struct stepper {
    const struct unlearn *u;
    int64_t step; /* steps taken */
    int64_t word; /* the agreed stop word of the last step */
    struct set_gradients gradients;
    struct share valid;
    struct optimizer optimizer;
    float *q, *w, *start; /* owned, [n_param]; w: with the buffers behind, which stay as they are */
};

struct iau_norms iau_combine(int64_t n, double weight, const double *retain, const double *forget,
                             float *q)
{
    double rr = 0, ff = 0, rf = 0;
    for (int64_t i = 0; i < n; i++) {
        double r = retain ? retain[i] : 0;
        rr += r * r;
        ff += forget[i] * forget[i];
        rf += r * forget[i];
        q[i] = (float)(weight * r - forget[i]);
    }
    double unknown = retain ? 0 : NAN;
    return (struct iau_norms){.retain = sqrt(rr) + unknown,
                              .forget = sqrt(ff),
                              .step = vector_norm(q, n),
                              .cosine = rr > 0 && ff > 0 ? rf / sqrt(rr * ff) : NAN};
}

static int stepper_init(struct stepper *s, const struct unlearn *u)
{
    struct engine *e = u->engine;
    int64_t n = e->model->n_param;
    int rc = IAU_OK;
    *s = (struct stepper){.u = u};
    struct optimizer_opts opts = {
        .name = u->opts->iau.optimizer, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    s->q = mem_alloc(n, sizeof *s->q);
    s->w = mem_alloc(model_state_floats(e->model), sizeof *s->w);
    s->start = mem_alloc(n, sizeof *s->start);
    if (!s->q || !s->w || !s->start)
        rc = FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)n);
    if (rc == IAU_OK)
        rc = optimizer_init(&s->optimizer, &opts, n);
    TRY(comm_agree(e->comm, rc));
    memcpy(s->w, u->w, (size_t)model_state_floats(e->model) * sizeof *s->w);
    TRY(set_gradients_init(&s->gradients, u, u->opts->iau.correction, u->opts->iau.steps == 1));
    double start = timer_now_s();
    if (u->opts->iau.step == IAU_STEP_CALIBRATED)
        TRY(share_load(&s->valid, e, &u->sets->valid));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
out:
    return rc;
}

static void stepper_free(struct stepper *s)
{
    set_gradients_free(&s->gradients);
    share_free(&s->valid);
    optimizer_free(&s->optimizer);
    free(s->q);
    free(s->w);
    free(s->start);
}

/* q from the sums: as means or as they are. */
static struct iau_norms combine(struct stepper *s)
{
    const struct unlearn *u = s->u;
    struct set_gradients *g = &s->gradients;
    int64_t n = u->engine->model->n_param;
    if (u->opts->iau.scale == IAU_SCALE_MEAN)
        for (int64_t i = 0; i < n; i++) {
            g->retain[i] /= (double)u->sets->retain.n;
            g->forget[i] /= (double)u->sets->forget.n;
        }
    return iau_combine(n, u->opts->iau.correction ? u->opts->iau.weight : 0,
                       g->have_retain ? g->retain : NULL, g->forget, s->q);
}

/* Move s->w by one optimizer step along q; *length is 1, or what calibration found. */
static int move(struct stepper *s, double *length)
{
    const struct unlearn *u = s->u;
    struct engine *e = u->engine;
    size_t bytes = (size_t)e->model->n_param * sizeof *s->w;
    double start = timer_now_s();
    memcpy(s->start, s->w, bytes);
    optimizer_step(&s->optimizer, u->opts->iau.lr, s->w, s->q);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    *length = 1;
    if (u->opts->iau.step == IAU_STEP_FIXED)
        return IAU_OK;
    memcpy(s->q, s->w, bytes); /* q has done its work: its room holds the end of the full step */
    struct calibration line = {.engine = e,
                               .forget = &s->gradients.forget_share,
                               .valid = &s->valid,
                               .start = s->start,
                               .end = s->q,
                               .w = s->w,
                               .name = u->name};
    double loss[2];
    return calibrate_length(&line, length, loss);
}

static int take_step(struct stepper *s, struct history *history)
{
    const struct unlearn *u = s->u;
    struct engine *e = u->engine;
    char what[96];
    int rc = IAU_OK;
    double length, start = timer_now_s();
    snprintf(what, sizeof what, "%s: step %lld", u->name, (long long)s->step + 1);
    s->word = restart_word(u->restart, e->comm, s->step + 1);
    TRY(set_gradients_at(&s->gradients, s->w, s->step == 0, what, &s->word));
    double begin_update = timer_now_s();
    struct iau_norms norms = combine(s);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - begin_update;
    TRY(move(s, &length));
    s->step++;
    double seconds = timer_now_s() - start,
           distance = vector_distance(s->w, u->w, e->model->n_param);
    TRY(comm_check_equal(e->comm, sweep_checksum(s->w, model_state_floats(e->model)), what));
    double row[] = {(double)s->step,
                    norms.retain,
                    norms.forget,
                    norms.step,
                    norms.cosine,
                    s->gradients.loss_retain,
                    s->gradients.loss_forget,
                    length,
                    distance,
                    seconds};
    char retain[64] = ""; /* unknown without correction */
    if (!isnan(norms.retain))
        snprintf(retain, sizeof retain, "  |g_r| %.4g  cosine %.3f", norms.retain, norms.cosine);
    log_line("%s  step %lld  |g_f| %.4g%s  moved %.4g  %.3f s", u->name, (long long)s->step,
             norms.forget, retain, distance, seconds);
    progress_row(u->progress, u->name, "step", s->step, s->gradients.loss_retain, NAN, NAN, NAN,
                 seconds);
    TRY(comm_agree(e->comm, history_add(history, row)));
out:
    return rc;
}

/* What a restart file holds; the buffers stay those of the origin. */
enum { N_ITEM = 6 };

static void items_of(struct stepper *s, struct history *history, struct restart_item item[N_ITEM])
{
    const struct restart_item all[N_ITEM] = {
        {RESTART_PARAMS, "/params", s->w},
        {RESTART_PARAMS, "/optimizer/m", s->optimizer.m},
        {RESTART_PARAMS, "/optimizer/v", s->optimizer.v},
        {RESTART_I64, "/state/optimizer_t", &s->optimizer.t},
        {RESTART_I64, "/state/step", &s->step},
        {RESTART_HISTORY, "/history", history},
    };
    memcpy(item, all, sizeof all);
}

/* Begin, or go on from the restart file. */
static int begin(struct stepper *s, struct history *history)
{
    const struct unlearn *u = s->u;
    const struct comm *comm = u->engine->comm;
    struct restart_item item[N_ITEM];
    int rc = IAU_OK;
    if (u->restart && u->restart->resume) {
        items_of(s, history, item);
        TRY(restart_load(u->restart, u->engine, &(struct restart_state){NULL, N_ITEM, item}));
        int fits = s->step > 0 && s->step < u->opts->iau.steps && history->n_row == s->step &&
                   s->optimizer.t == s->step;
        TRY(comm_agree(comm, fits ? IAU_OK
                                  : FAIL(IAU_ERR_FORMAT, "%s: /state does not belong to this run",
                                         u->restart->path)));
        log_line("%s  goes on at step %lld", u->name, (long long)s->step + 1);
    }
    restart_begin(u->restart, s->step);
    TRY(comm_agree(comm, progress_begin(u->progress, u->name, "step", s->step)));
out:
    return rc;
}

/* Write a restart file between two steps, where the stop word says so. */
static int obey(struct stepper *s, struct history *history)
{
    struct restart_item item[N_ITEM];
    char place[32];
    if (s->step == s->u->opts->iau.steps)
        return IAU_OK;
    items_of(s, history, item);
    snprintf(place, sizeof place, "step %lld", (long long)s->step);
    struct restart_state state = {place, N_ITEM, item};
    return restart_obey(s->u->restart, s->u->engine, s->word, s->step, &state);
}

int iau_run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    struct stepper s = {0};
    *o = (struct outcome){0};
    history_init(&o->history, columns);
    TRY(comm_agree(u->engine->comm, method_check_valid(u->opts, u->sets->valid.n, u->name)));
    TRY(stepper_init(&s, u));
    TRY(begin(&s, &o->history));
    while (s.step < u->opts->iau.steps) {
        TRY(take_step(&s, &o->history));
        TRY(obey(&s, &o->history));
    }
    o->w = s.w;
    s.w = NULL;
out:
    stepper_free(&s);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    const struct iau_opts *p = &o->iau;
    int few = n->forget <= n->retain;
    double forget = (double)n->forget, steps = (double)p->steps;
    double rest = (double)(few ? n->train : n->retain);
    double swept =
        !p->correction ? 0 : steps - (few && p->cache == IAU_CACHE_AUTO && n->has_gradient_sum);
    double valid = p->step == IAU_STEP_CALIBRATED ? (double)n->valid : 0;
    return (struct unlearn_load){forget + valid + (swept > 0 ? rest : 0),
                                 steps * forget + swept * rest};
}

const struct method method_iau = {
    .help = "Influence approximation unlearning (Liu, Wu, Lian and Chen, arXiv 2507.23257): one "
            "step of an optimizer with zero state against q = weight g(D_r) - g(D_f), two mean "
            "gradients at the origin. Defaults are those of the reference code (Adam, 1e-3).",
    .run = iau_run,
    .strength = offsetof(struct method_opts, iau.lr),
    .load = load,
    .uses_gradient_sum = 1};
