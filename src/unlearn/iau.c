/* The IAU step: two gradient sums in one reduction, their combination, and an optimizer step. */
#include "unlearn/iau.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "train/optimizer.h"

static const char *const columns[] = {"step",     "norm_retain", "norm_forget", "norm_step",
                                      "cosine",   "loss_retain", "loss_forget", "length",
                                      "distance", "seconds_s",   NULL};

/* Calibration: how often the step may double before it brackets the goal, and how often the bracket
 * is halved. */
enum { MAX_DOUBLINGS = 24, N_BISECTIONS = 20 };

/* What the steps work with. Segment 0 of the sums is D, or D_r where that is smaller; segment 1 is
 * D_f. */
struct stepper {
    const struct unlearn *u;
    int64_t step;    /* steps taken */
    int64_t word;    /* the agreed stop word of the last step */
    int main_is_all; /* segment 0 is D */
    struct share main, forget, valid;
    struct sums sums;
    struct optimizer optimizer;
    double *retain_sum, *forget_sum; /* owned, [n_param] */
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
    double start = timer_now_s();
    *s = (struct stepper){.u = u, .main_is_all = u->sets->forget.n <= u->sets->retain.n};
    struct optimizer_opts opts = {
        .name = u->opts->iau.optimizer, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    int64_t lengths[2] = {n, n};
    s->retain_sum = mem_alloc(n, sizeof *s->retain_sum);
    s->forget_sum = mem_alloc(n, sizeof *s->forget_sum);
    s->q = mem_alloc(n, sizeof *s->q);
    s->w = mem_alloc(model_state_floats(e->model), sizeof *s->w);
    s->start = mem_alloc(n, sizeof *s->start);
    if (!s->retain_sum || !s->forget_sum || !s->q || !s->w || !s->start)
        rc = FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)n);
    if (rc == IAU_OK)
        rc = optimizer_init(&s->optimizer, &opts, n);
    if (rc == IAU_OK)
        rc = sums_init(&s->sums, 2, lengths, N_VALUE, e->n_thread);
    TRY(comm_agree(e->comm, rc));
    memcpy(s->w, u->w, (size_t)model_state_floats(e->model) * sizeof *s->w);
    int cache_serves = u->gradient_sum && s->main_is_all && u->opts->iau.steps == 1;
    if (u->opts->iau.correction && !cache_serves)
        TRY(share_load(&s->main, e, s->main_is_all ? &u->sets->train : &u->sets->retain));
    TRY(share_load(&s->forget, e, &u->sets->forget));
    if (u->opts->iau.step == IAU_STEP_CALIBRATED)
        TRY(share_load(&s->valid, e, &u->sets->valid));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
out:
    return rc;
}

static void stepper_free(struct stepper *s)
{
    share_free(&s->main);
    share_free(&s->forget);
    share_free(&s->valid);
    sums_free(&s->sums);
    optimizer_free(&s->optimizer);
    free(s->retain_sum);
    free(s->forget_sum);
    free(s->q);
    free(s->w);
    free(s->start);
}

/* Both gradient sums at s->w. @return in *have_retain whether the retained one is known, in loss[]
 * the mean losses over D_r and D_f, NAN where unknown */
static int gradient_sums(struct stepper *s, int *have_retain, double loss[2])
{
    const struct unlearn *u = s->u;
    struct engine *e = u->engine;
    char what[96];
    int cached = u->opts->iau.correction && u->gradient_sum && s->main_is_all && s->step == 0;
    int sweep_main = u->opts->iau.correction && !cached;
    int64_t n[2] = {s->main_is_all ? u->sets->train.n : u->sets->retain.n, u->sets->forget.n};
    struct work main = share_work(e, &s->main), forget = share_work(e, &s->forget);
    snprintf(what, sizeof what, "%s: step %lld", u->name, (long long)s->step + 1);
    sums_begin(&s->sums, n);
    if (sweep_main)
        sweep_add_gradient(e, s->w, &main, &s->sums, 0);
    sweep_add_gradient(e, s->w, &forget, &s->sums, 1);
    *sums_stop(&s->sums, 0) = restart_word(u->restart, e->comm, s->step + 1);
    int rc = sweep_reduce(e, &s->sums, what);
    if (rc != IAU_OK)
        return rc;
    double start = timer_now_s();
    s->word = *sums_stop(&s->sums, 0);
    double loss_main = sweep_main ? sums_value(&s->sums, 0, VALUE_LOSS)
                       : cached   ? u->loss_sum
                                  : NAN;
    double loss_forget = sums_value(&s->sums, 1, VALUE_LOSS);
    sums_total(&s->sums, 1, s->forget_sum);
    *have_retain = sweep_main || cached;
    if (sweep_main)
        sums_total(&s->sums, 0, s->retain_sum);
    else if (cached)
        memcpy(s->retain_sum, u->gradient_sum, (size_t)e->model->n_param * sizeof *s->retain_sum);
    if (*have_retain && s->main_is_all)
        for (int64_t i = 0; i < e->model->n_param; i++)
            s->retain_sum[i] -= s->forget_sum[i];
    loss[0] = (loss_main - (s->main_is_all ? loss_forget : 0)) / (double)u->sets->retain.n;
    loss[1] = loss_forget / (double)u->sets->forget.n;
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    return IAU_OK;
}

/* q from the sums: as means or as they are. */
static struct iau_norms combine(struct stepper *s, int have_retain)
{
    const struct unlearn *u = s->u;
    int64_t n = u->engine->model->n_param;
    if (u->opts->iau.scale == IAU_SCALE_MEAN)
        for (int64_t i = 0; i < n; i++) {
            s->retain_sum[i] /= (double)u->sets->retain.n;
            s->forget_sum[i] /= (double)u->sets->forget.n;
        }
    return iau_combine(n, u->opts->iau.correction ? u->opts->iau.weight : 0,
                       have_retain ? s->retain_sum : NULL, s->forget_sum, s->q);
}

/* loss(D_f) - loss(V) at start + length (end - start), in s->w; INFINITY where a loss overflows:
 * too far. */
static int excess_loss(struct stepper *s, const float *end, double length, double *excess)
{
    struct engine *e = s->u->engine;
    double forget = 0, valid = 0, accuracy;
    float f = (float)length;
    for (int64_t i = 0; i < e->model->n_param; i++)
        s->w[i] = s->start[i] + f * (end[i] - s->start[i]);
    int rc = sweep_loss(e, s->w, &s->forget, NULL, &forget, &accuracy);
    if (rc == IAU_OK)
        rc = sweep_loss(e, s->w, &s->valid, NULL, &valid, &accuracy);
    *excess = isfinite(forget) && isfinite(valid) ? forget - valid : INFINITY;
    return rc;
}

/* The length at which the forget set's mean loss reaches the validation set's, by bisection; `end`
 * is length 1. Leaves s->w there. */
static int calibrate(struct stepper *s, const float *end, double *length)
{
    int rc = IAU_OK;
    double low = 0, high = 1, excess;
    TRY(excess_loss(s, end, 0, &excess));
    if (isinf(excess))
        TRY(FAIL(IAU_ERR_NUMERIC, "%s: the loss on the validation set is not finite or too large",
                 s->u->name));
    *length = 0;
    if (excess >= 0) {
        log_warn("%s: the forget set's loss is already that of validation; nothing is moved",
                 s->u->name);
        goto out;
    }
    TRY(excess_loss(s, end, high, &excess));
    if (isinf(excess)) {
        high = ldexp(1, -MAX_DOUBLINGS); /* far out, losses say little: come from below */
        TRY(excess_loss(s, end, high, &excess));
    }
    for (int i = 0; excess < 0; i++) {
        if (i == MAX_DOUBLINGS)
            TRY(FAIL(IAU_ERR_NUMERIC,
                     "%s: no step length raises the forget set's loss to that of validation",
                     s->u->name));
        low = high;
        high *= 2;
        TRY(excess_loss(s, end, high, &excess));
    }
    for (int i = 0; i < N_BISECTIONS; i++) {
        double middle = 0.5 * (low + high);
        TRY(excess_loss(s, end, middle, &excess));
        *(excess < 0 ? &low : &high) = middle;
    }
    *length = 0.5 * (low + high);
    TRY(excess_loss(s, end, *length, &excess));
    if (isinf(excess))
        TRY(FAIL(IAU_ERR_NUMERIC,
                 "%s: the losses overflow before the forget set's reaches that of validation; a "
                 "smaller rate may help",
                 s->u->name));
out:
    return comm_agree(s->u->engine->comm, rc);
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
    return calibrate(s, s->q, length);
}

static int take_step(struct stepper *s, struct history *history)
{
    const struct unlearn *u = s->u;
    struct engine *e = u->engine;
    char what[96];
    int have_retain, rc = IAU_OK;
    double loss[2], length, start = timer_now_s();
    TRY(gradient_sums(s, &have_retain, loss));
    double begin_update = timer_now_s();
    struct iau_norms norms = combine(s, have_retain);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - begin_update;
    TRY(move(s, &length));
    s->step++;
    double seconds = timer_now_s() - start,
           distance = vector_distance(s->w, u->w, e->model->n_param);
    snprintf(what, sizeof what, "%s: step %lld", u->name, (long long)s->step);
    TRY(comm_check_equal(e->comm, sweep_checksum(s->w, model_state_floats(e->model)), what));
    double row[] = {(double)s->step, norms.retain, norms.forget, norms.step, norms.cosine,
                    loss[0],         loss[1],      length,       distance,   seconds};
    char retain[64] = ""; /* unknown without correction */
    if (!isnan(norms.retain))
        snprintf(retain, sizeof retain, "  |g_r| %.4g  cosine %.3f", norms.retain, norms.cosine);
    log_line("%s  step %lld  |g_f| %.4g%s  moved %.4g  %.3f s", u->name, (long long)s->step,
             norms.forget, retain, distance, seconds);
    progress_row(u->progress, u->name, "step", s->step, loss[0], NAN, NAN, NAN, seconds);
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
            "step of "
            "an optimizer with zero state against q = weight g(D_r) - g(D_f), two mean gradients "
            "at the "
            "origin. Defaults are those of the reference code (Adam, 1e-3).",
    .run = iau_run,
    .load = load,
    .uses_gradient_sum = 1};
