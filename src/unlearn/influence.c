/* Influence functions: one step along the inverse of the loss's curvature, by conjugate gradients.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "unlearn/cg.h"
#include "unlearn/set_gradients.h"

static const char *const columns[] = {
    "step",        "norm_retain",       "norm_forget", "norm_right",  "residual",
    "iterations",  "curvature",         "is_negative", "norm_sample", "norm_sample_after",
    "loss_sample", "loss_sample_after", "distance",    "seconds_s",   NULL};

enum { BEFORE, AFTER, N_TIME };

struct run {
    const struct unlearn *u;
    struct index_set sample;           /* of D_r */
    float *b, *x, *w;                  /* owned, [n_param], [n_param], [n_param + n_buffer] */
    double *sum;                       /* owned, [n_param] */
    double retain, forget;             /* ||g(D_r)||, ||g(D_f)|| at the origin */
    double norm[N_TIME], loss[N_TIME]; /* of the gradient and of the loss, means over the sample */
    struct cg_report cg;
};

static double norm_of(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += v[j] * v[j];
    return sqrt(sum);
}

/* The two forms agree where the loss on D is at a minimum. */
static int right_hand_side(struct run *r)
{
    const struct unlearn *u = r->u;
    struct set_gradients g = {0};
    int64_t n = u->engine->model->n_param;
    double n_retain = (double)u->sets->retain.n, n_forget = (double)u->sets->forget.n;
    double all = n_retain + n_forget;
    int is_newton = u->opts->influence.form == INFLUENCE_NEWTON;
    double forget = is_newton ? 0 : 1 / all,
           retain = is_newton ? 1 / n_retain : n_forget / (all * n_retain);
    int rc = IAU_OK;
    TRY(set_gradients_init(&g, u, 1, 1));
    TRY(set_gradients_at(&g, u->w, 1, u->name, NULL));
    for (int64_t j = 0; j < n; j++)
        r->b[j] = (float)(forget * g.forget[j] - retain * g.retain[j]);
    r->retain = norm_of(g.retain, n) / n_retain;
    r->forget = norm_of(g.forget, n) / n_forget;
out:
    set_gradients_free(&g);
    return rc;
}

/* What conjugate gradients leave where the curvature is negative: refused as long as nothing is
 * done. */
static int check_curvature(const struct run *r)
{
    const struct influence_opts *o = &r->u->opts->influence;
    if (r->cg.stop != CG_CURVATURE)
        return IAU_OK;
    if (r->cg.iterations > 1) {
        log_warn("%s: negative curvature (%.3g) after %lld products; the step is what was found "
                 "until then",
                 r->u->name, r->cg.curvature, (long long)r->cg.iterations);
        return IAU_OK;
    }
    return FAIL(IAU_ERR_NUMERIC,
                "%s: with damping %g the curvature along the gradient is negative (%.3g), so there "
                "is no step; more damping helps, or product: gauss_newton",
                r->u->name, o->damping, r->cg.curvature);
}

static int solve(struct run *r)
{
    const struct unlearn *u = r->u;
    const struct influence_opts *o = &u->opts->influence;
    struct engine *e = u->engine;
    struct share share = {0};
    struct product product = {0};
    struct cg_opts opts = {.damping = o->damping,
                           .tolerance = o->tolerance,
                           .max_iterations = o->iterations,
                           .restart = u->restart};
    double start = timer_now_s();
    int rc = IAU_OK;
    TRY(share_load(&share, e, &r->sample));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
    TRY(product_init(&product, e, o->product, u->w, &share, u->name));
    TRY(cg_solve(&product, r->b, &opts, r->x, &r->cg));
    TRY(comm_agree(e->comm, check_curvature(r)));
out:
    product_free(&product);
    share_free(&share);
    return rc;
}

/* Gradient and loss over the sample at w: how far from a minimum. */
static int look(struct run *r, const float *w, int when)
{
    struct engine *e = r->u->engine;
    double loss_sum, n = (double)r->sample.n;
    e->phase = PHASE_EVALUATE;
    int rc = trainer_gradient_sum(e, w, &r->sample, r->sum, &loss_sum);
    e->phase = PHASE_COMPUTE;
    if (rc != IAU_OK)
        return rc;
    r->norm[when] = norm_of(r->sum, e->model->n_param) / n;
    r->loss[when] = loss_sum / n;
    return IAU_OK;
}

static int allocate(struct run *r)
{
    const struct unlearn *u = r->u;
    const struct model *m = u->engine->model;
    int64_t n = m->n_param, n_sample = u->opts->influence.samples;
    r->b = mem_alloc(n, sizeof *r->b);
    r->x = mem_alloc(n, sizeof *r->x);
    r->sum = mem_alloc(n, sizeof *r->sum);
    r->w = mem_alloc(model_state_floats(m), sizeof *r->w);
    if (!r->b || !r->x || !r->sum || !r->w)
        return FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)n);
    memcpy(r->w, u->w, (size_t)model_state_floats(m) * sizeof *r->w);
    return index_set_sample(&r->sample, &u->sets->retain, n_sample ? n_sample : u->sets->retain.n,
                            (uint32_t)u->opts->seed);
}

static int write_down(struct run *r, struct history *history, double start)
{
    const struct unlearn *u = r->u;
    int64_t n = u->engine->model->n_param;
    double distance = vector_distance(r->w, u->w, n), seconds = timer_now_s() - start;
    double row[] = {1,
                    r->retain,
                    r->forget,
                    vector_norm(r->b, n),
                    r->cg.residual,
                    (double)r->cg.iterations,
                    r->cg.curvature,
                    r->cg.stop == CG_CURVATURE,
                    r->norm[BEFORE],
                    r->norm[AFTER],
                    r->loss[BEFORE],
                    r->loss[AFTER],
                    distance,
                    seconds};
    log_line("%s  %lld products, residual %.3g (%s)  |g| of the sample %.4g -> %.4g  moved %.4g  "
             "%.3f s",
             u->name, (long long)r->cg.iterations, r->cg.residual, cg_stop_name(r->cg.stop),
             r->norm[BEFORE], r->norm[AFTER], distance, seconds);
    progress_row(u->progress, u->name, "step", 1, r->loss[AFTER], NAN, NAN, NAN, seconds);
    return history_add(history, row);
}

static int run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    struct run r = {.u = u};
    struct engine *e = u->engine;
    const struct cost before = e->cost;
    double start = timer_now_s();
    *o = (struct outcome){0};
    history_init(&o->history, columns);
    TRY(comm_agree(e->comm, allocate(&r)));
    TRY(comm_agree(e->comm, progress_begin(u->progress, u->name, "step", 0)));
    TRY(right_hand_side(&r));
    if (u->restart && u->restart->resume)
        e->cost = before; /* a run that goes on has it in its restart file's cost */
    TRY(solve(&r));
    for (int64_t j = 0; j < e->model->n_param; j++)
        r.w[j] = (float)(r.w[j] + u->opts->influence.strength * r.x[j]);
    TRY(look(&r, u->w, BEFORE));
    TRY(look(&r, r.w, AFTER));
    TRY(comm_agree(e->comm, write_down(&r, &o->history, start)));
    o->w = r.w;
    r.w = NULL;
out:
    cg_report_free(&r.cg);
    index_set_free(&r.sample);
    free(r.b);
    free(r.x);
    free(r.sum);
    free(r.w);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    const struct influence_opts *p = &o->influence;
    double sample = (double)(p->samples && p->samples < n->retain ? p->samples : n->retain);
    int few = n->forget <= n->retain, is_known = few && n->has_gradient_sum;
    double sums = (double)n->forget + (is_known ? 0 : (double)(few ? n->train : n->retain));
    double base = p->product == PRODUCT_HESSIAN ? 1 : 1 / 3.0; /* of a product's first pass */
    return (struct unlearn_load){sums + sample,
                                 sums + sample * (2 + (double)p->iterations * (base + 2))};
}

const struct method method_influence = {
    .help =
        "theta + strength (A + damping I)^-1 b, by conjugate gradients with exact products of A, "
        "the Hessian or the Gauss-Newton matrix of the mean loss on a fixed sample of the retained "
        "samples. reweight: b = G(D_f) / n - n_f / (n n_r) G(D_r), G being sums of gradients, is "
        "the exact derivative by the samples' weights (as in OPTML Unlearn-Sparse, whose inverse "
        "is another: its recursion keeps the direction of one sample only). newton: b = - g(D_r), "
        "a Newton step on the retained samples' mean loss; both are one at a minimum (Koh and "
        "Liang 2017). Iterations and tolerance are dattri's, samples and damping ours. A step that "
        "negative curvature forbids is an error.",
    .run = run,
    .strength = offsetof(struct method_opts, influence.strength),
    .load = load,
    .uses_gradient_sum = 1};
