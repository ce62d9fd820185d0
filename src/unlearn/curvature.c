/* Influence approximation with curvature: the direction of iau through the inverse of a damped
 * Gauss-Newton matrix, a length that needs no retrained model, and a short repair. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "unlearn/calibrate.h"
#include "unlearn/cg.h"
#include "unlearn/set_gradients.h"
#include "unlearn/tuned.h"

static const char *const columns[] = {"step",           "norm_retain", "norm_forget", "cosine",
                                      "norm_direction", "residual",    "products",    "damping",
                                      "length",         "loss_retain", "loss_forget", "loss_valid",
                                      "distance",       "seconds_s",   NULL};
enum { COLUMN_DISTANCE = 12 };
static const double HOLD_UNTIL = 2; /* of the loss of guessing, beyond which there is no ascent */

struct run {
    const struct unlearn *u;
    const struct curvature_opts *opts;
    struct index_set sample, repair, held_out; /* of D_r, D_r and V */
    float *b, *x, *w; /* owned, [n_param]; w: with the buffers behind, which stay as they are */
    double norm_retain, norm_forget, cosine;
    struct restart *restart; /* of the step; NULL where the repair is to go on */
    struct cost before;      /* of this run; what it does anew is in its restart file's cost */
    struct cg_report report;
    double length, loss[2]; /* of the step: on D_f and on held-out samples, NAN without */
};

static int allocate(struct run *r)
{
    const struct unlearn *u = r->u;
    const struct model *m = u->engine->model;
    uint32_t seed = (uint32_t)u->opts->seed;
    int64_t n_sample = r->opts->samples ? r->opts->samples : u->sets->retain.n,
            n_held_out = r->opts->held_out ? r->opts->held_out : u->sets->valid.n,
            n_repair = (int64_t)(r->opts->repair * (double)u->sets->retain.n);
    int rc = IAU_OK;
    r->b = mem_alloc(m->n_param, sizeof *r->b);
    r->x = mem_alloc(m->n_param, sizeof *r->x);
    r->w = mem_alloc(model_state_floats(m), sizeof *r->w);
    if (!r->b || !r->x || !r->w)
        TRY(FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)m->n_param));
    memcpy(r->w, u->w, (size_t)model_state_floats(m) * sizeof *r->w);
    TRY(index_set_sample(&r->sample, &u->sets->retain, n_sample, seed));
    TRY(index_set_sample(&r->held_out, &u->sets->valid, n_held_out, seed));
    TRY(index_set_sample(&r->repair, &u->sets->retain, n_repair, seed));
out:
    return rc;
}

/* b = g(D_f) - g(D_r), both means at the origin. */
static int right_hand_side(struct run *r)
{
    const struct unlearn *u = r->u;
    struct set_gradients g;
    double rr = 0, ff = 0, rf = 0;
    int rc = IAU_OK;
    TRY(set_gradients_init(&g, u, 1, 1));
    TRY(set_gradients_at(&g, u->w, 1, u->name, NULL));
    for (int64_t i = 0; i < u->engine->model->n_param; i++) {
        double retain = g.retain[i] / (double)u->sets->retain.n,
               forget = g.forget[i] / (double)u->sets->forget.n;
        rr += retain * retain;
        ff += forget * forget;
        rf += retain * forget;
        r->b[i] = (float)(forget - retain);
    }
    r->norm_retain = sqrt(rr);
    r->norm_forget = sqrt(ff);
    r->cosine = rf / sqrt(rr * ff);
out:
    set_gradients_free(&g);
    return rc;
}

/* x = (A + damping I)^-1 b, A over the sample, damping relative to A. */
static int solve(struct run *r)
{
    const struct unlearn *u = r->u;
    struct share share = {0};
    struct product product = {0};
    struct cg_opts opts = {.relative_damping = r->opts->relative_damping,
                           .max_iterations = r->opts->iterations,
                           .restart = r->restart};
    int rc = IAU_OK;
    TRY(share_load(&share, u->engine, &r->sample));
    TRY(product_init(&product, u->engine, PRODUCT_GAUSS_NEWTON, u->w, &share, u->name));
    TRY(cg_solve(&product, r->b, &opts, r->x, &r->report));
out:
    product_free(&product);
    share_free(&share);
    return rc;
}

/* w + length x: the length is the strength, or so many times the one at which the losses of
 * forgotten and held-out samples meet. */
static int move(struct run *r)
{
    const struct unlearn *u = r->u;
    struct engine *e = u->engine;
    int64_t n = e->model->n_param;
    struct share forget = {0}, valid = {0};
    double accuracy;
    int rc = IAU_OK;
    TRY(share_load(&forget, e, &u->sets->forget));
    if (r->held_out.n)
        TRY(share_load(&valid, e, &r->held_out));
    r->length = 1;
    if (r->opts->step == IAU_STEP_CALIBRATED) {
        for (int64_t i = 0; i < n; i++)
            r->b[i] = u->w[i] + r->x[i]; /* b has done its work: its room holds the end of a step */
        struct calibration line = {e, &forget, &valid, u->w, r->b, r->w, u->name};
        TRY(calibrate_length(&line, &r->length, r->loss));
    }
    r->length *= r->opts->strength;
    for (int64_t i = 0; i < n; i++)
        r->w[i] = u->w[i] + (float)r->length * r->x[i];
    TRY(sweep_loss(e, r->w, &forget, u->name, &r->loss[0], &accuracy));
    r->loss[1] = NAN;
    if (r->held_out.n)
        TRY(sweep_loss(e, r->w, &valid, u->name, &r->loss[1], &accuracy));
out:
    share_free(&forget);
    share_free(&valid);
    return rc;
}

static int step(struct run *r, struct history *history)
{
    const struct unlearn *u = r->u;
    int64_t n = u->engine->model->n_param;
    double start = timer_now_s();
    int rc = IAU_OK;
    TRY(right_hand_side(r));
    if (r->restart && r->restart->resume)
        u->engine->cost = r->before;
    TRY(solve(r));
    TRY(move(r));
    double seconds = timer_now_s() - start, distance = vector_distance(r->w, u->w, n);
    double row[] = {1,
                    r->norm_retain,
                    r->norm_forget,
                    r->cosine,
                    vector_norm(r->x, n),
                    r->report.residual,
                    (double)r->report.iterations,
                    r->report.damping,
                    r->length,
                    NAN,
                    r->loss[0],
                    r->loss[1],
                    distance,
                    seconds};
    log_line("%s  step of length %.4g after %lld products  loss on forgotten %.4f, held out %.4f  "
             "moved %.4g  %.3f s",
             u->name, r->length, (long long)r->report.iterations, r->loss[0], r->loss[1], distance,
             seconds);
    progress_row(u->progress, u->name, "step", 1, r->loss[0], r->loss[1], NAN, NAN, seconds);
    TRY(comm_agree(u->engine->comm, history_add(history, row)));
out:
    return rc;
}

/* Training on retained samples from r->w on, held back by ascent on the forgotten ones, which would
 * otherwise be learned again from their like; up to a bound, since nothing else holds a class back
 * that has no retained samples. */
static int repair(struct run *r, struct outcome *repaired)
{
    struct unlearn u = *r->u;
    struct pass pass = {.main = {.set = &r->repair, .batch = u.opts->tuning.batch, .weight = 1}};
    /* by the sample: few forgotten samples, each of which is in many steps, pull as little */
    double hold = r->opts->hold * (double)u.sets->forget.n / (double)u.sets->retain.n;
    if (hold > 0)
        pass.beside = (struct pass_side){.set = &u.sets->forget,
                                         .batch = u.opts->forget_batch,
                                         .weight = -hold,
                                         .until = HOLD_UNTIL * log(u.engine->dataset->n_class)};
    u.w = r->w;
    struct tuning t = tuned(&u, 1, &pass);
    t.average = r->opts->average;
    return tuning_run(repaired, &t);
}

/* Its epochs as further rows. */
static int add_repair(const struct run *r, const struct outcome *repaired, struct history *history)
{
    const struct history *h = &repaired->history;
    int rc = IAU_OK;
    for (int64_t i = 0; i < h->n_row && rc == IAU_OK; i++) {
        const double *epoch = h->value + i * h->n_column;
        double row[] = {2 + (double)i,
                        NAN,
                        NAN,
                        NAN,
                        NAN,
                        NAN,
                        NAN,
                        NAN,
                        NAN,
                        epoch[TUNING_LOSS_RETAIN],
                        epoch[TUNING_LOSS_FORGET],
                        NAN,
                        NAN,
                        epoch[TUNING_SECONDS]};
        if (i + 1 == h->n_row)
            row[COLUMN_DISTANCE] =
                vector_distance(repaired->w, r->u->w, r->u->engine->model->n_param);
        rc = history_add(history, row);
    }
    return comm_agree(r->u->engine->comm, rc);
}

/* A restart file is of the step or of the repair. In the repair the step is made anew, and comes
 * out the same. */
static int look_for_restart(struct run *r)
{
    struct restart *file = r->u->restart;
    int is_of_step = 0, rc = restart_find(file, r->u->engine->comm, CG_PLACE, &is_of_step);
    r->restart = file && file->resume && !is_of_step ? NULL : file;
    return rc;
}

static int run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    struct run r = {.u = u, .opts = &u->opts->curvature, .before = u->engine->cost};
    struct outcome repaired = {0};
    *o = (struct outcome){0};
    history_init(&o->history, columns);
    TRY(comm_agree(u->engine->comm, method_check_valid(u->opts, u->sets->valid.n, u->name)));
    TRY(comm_agree(u->engine->comm, allocate(&r)));
    TRY(look_for_restart(&r));
    TRY(comm_agree(u->engine->comm, progress_begin(u->progress, u->name, "step", 0)));
    TRY(step(&r, &o->history));
    if (r.restart)
        r.restart->resume = 0; /* the repair begins */
    else if (u->restart)
        u->engine->cost = r.before;
    if (r.repair.n) {
        TRY(repair(&r, &repaired));
        TRY(add_repair(&r, &repaired, &o->history));
    }
    float **result = r.repair.n ? &repaired.w : &r.w;
    o->w = *result;
    *result = NULL;
out:
    outcome_free(&repaired);
    cg_report_free(&r.report);
    index_set_free(&r.sample);
    index_set_free(&r.repair);
    index_set_free(&r.held_out);
    free(r.b);
    free(r.x);
    free(r.w);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    const struct curvature_opts *c = &o->curvature;
    double samples = c->samples && c->samples < n->retain ? (double)c->samples : (double)n->retain;
    double beside = c->hold > 0 ? (double)o->forget_batch / (double)o->tuning.batch : 0;
    double steps = c->repair * (double)n->retain * (double)o->tuning.epochs * (1 + beside);
    double base = (double)n->forget + (n->has_gradient_sum ? 0 : (double)n->train);
    return (struct unlearn_load){base + samples + c->repair * (double)n->retain,
                                 base + steps + 2 * samples * (double)c->iterations};
}

const struct method method_curvature = {
    .help =
        "The direction of iau with the curvature that the published step replaces by the identity: "
        "w + s (G + damping I)^-1 b, b = g(D_f) - g(D_r), G the Gauss-Newton matrix over a sample "
        "of D_r, by conjugate gradients; the damping is a share of G's curvature along b, since "
        "networks differ in it by orders of magnitude. s is a multiple of the length at which the "
        "losses on "
        "forgotten and on held-out samples meet, so no retrained model is needed; then a short "
        "repair trains on D_r while ascending a little on D_f, as long as the loss there is below "
        "twice that of guessing, and averages its last parameters. "
        "Ours; defaults were chosen on CIFAR-10 and Fashion-MNIST with lenet5, by the gap to "
        "retraining.",
    .run = run,
    .strength = offsetof(struct method_opts, curvature.strength),
    .load = load,
    .uses_gradient_sum = 1};
