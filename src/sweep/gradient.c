/* Losses, gradients and Hessian-vector products over shares and steps. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "core/error.h"
#include "sweep/overlap.h"
#include "sweep/sweep.h"

struct pass {
    struct engine *e;
    const float *w, *v;
    const struct work *work;
    struct sums *sums;
    int segment;
    int keep;
};

/* Before and after the pass that writes a unit's vector, which the sums take as it comes or as a
 * whole. What a segment has room for behind the parameters stays 0 where a pass leaves no
 * statistics. */
static void begin_vector(const struct pass *p, struct worker *wk, struct unit *u,
                         struct leaving *leaving)
{
    int64_t n_param = p->e->model->n_param, n = p->sums->segment[p->segment].n_vector;
    if (n > n_param)
        memset(wk->vector + n_param, 0, (size_t)(n - n_param) * sizeof *wk->vector);
    if (!overlap_is_running(p->sums))
        return;
    *leaving = overlap_enter(p->sums, wk->thread, wk->vector);
    u->left = overlap_left;
    u->left_ctx = leaving;
}

static void end_vector(const struct pass *p, struct worker *wk, struct unit *u,
                       struct leaving *leaving, const double *value)
{
    if (u->left)
        overlap_leave(leaving, value);
    else
        sums_add(p->sums, wk->thread, p->segment, wk->vector, value);
    u->left = NULL;
}

static void unit_gradient(struct worker *wk, void *ctx, int64_t i)
{
    const struct pass *p = ctx;
    const struct model *m = p->e->model;
    struct unit *u = p->keep ? &p->e->kept[i] : &wk->unit;
    struct leaving leaving;
    double value[N_VALUE];
    sweep_gather(p->e, p->work, i, u);
    if (p->work->objective) {
        value[VALUE_LOSS] = objective_forward(p->work->objective, m, p->w, u, wk->logits);
    } else {
        model_forward(m, p->w, u);
        model_loss_gradient(m, u);
        value[VALUE_LOSS] = unit_loss(u);
    }
    value[VALUE_CORRECT] = (double)unit_correct(m, u);
    begin_vector(p, wk, u, &leaving);
    model_backward_from_top(m, p->w, u, wk->vector);
    end_vector(p, wk, u, &leaving, value);
}

static void unit_forward_loss(struct worker *wk, void *ctx, int64_t i)
{
    const struct pass *p = ctx;
    const struct model *m = p->e->model;
    sweep_gather(p->e, p->work, i, &wk->unit);
    model_forward(m, p->w, &wk->unit);
    double value[N_VALUE] = {
        [VALUE_LOSS] = unit_loss(&wk->unit), [VALUE_CORRECT] = (double)unit_correct(m, &wk->unit)};
    sums_add(p->sums, wk->thread, p->segment, NULL, value);
}

static void unit_product(struct worker *wk, void *ctx, int64_t i)
{
    const struct pass *p = ctx;
    static const double no_value[N_VALUE];
    struct unit *u = &p->e->kept[i];
    struct leaving leaving;
    begin_vector(p, wk, u, &leaving);
    model_hessian_product(p->e->model, p->w, p->v, u, wk->vector);
    end_vector(p, wk, u, &leaving, no_value);
}

static void wait_for_others(void *ctx)
{
    const struct pass *p = ctx;
    if (overlap_is_running(p->sums))
        overlap_wait(p->sums);
}

/* All units of a step on this rank. What sending takes from their work is no computation. */
static void run_step(struct pass *p, int64_t n_unit,
                     void (*unit)(struct worker *wk, void *ctx, int64_t i))
{
    struct engine *e = p->e;
    struct overlap *o = p->sums->overlap;
    if (o)
        overlap_begin(p->sums, n_unit);
    else if (e->comm->size == 1 && n_unit == 1 && p->sums->n_segment == 1)
        sums_expect_one(p->sums, 0); /* one unit on one rank is no sum at all */
    sweep_run_step(e, n_unit, unit, wait_for_others, p);
    if (o) {
        e->cost.seconds[e->phase] -= o->seconds;
        e->cost.seconds[PHASE_REDUCE] += o->seconds;
    }
}

void sweep_add_gradient(struct engine *e, const float *w, const struct work *work, struct sums *s,
                        int segment)
{
    struct pass p = {.e = e, .w = w, .work = work, .sums = s, .segment = segment};
    sweep_work(e, work, unit_gradient, &p);
    e->cost.gradients += s->segment[segment].n_samples;
}

void sweep_add_loss(struct engine *e, const float *w, const struct work *work, struct sums *s,
                    int segment)
{
    struct pass p = {.e = e, .w = w, .work = work, .sums = s, .segment = segment};
    sweep_work(e, work, unit_forward_loss, &p);
    e->cost.forwards += s->segment[segment].n_samples;
}

void sweep_add_step_gradient(struct engine *e, const float *w, const struct work *work,
                             struct sums *s, int segment, int keep)
{
    REQUIRE(!work->stream && (!keep || work->n_unit <= e->n_kept));
    struct pass p = {.e = e, .w = w, .work = work, .sums = s, .segment = segment, .keep = keep};
    run_step(&p, work->n_unit, unit_gradient);
    e->cost.gradients += s->segment[segment].n_samples;
    if (work->objective && work->objective->teacher != 0)
        e->cost.forwards += s->segment[segment].n_samples;
}

void sweep_add_step_product(struct engine *e, const float *w, const float *v, int64_t n_unit,
                            struct sums *s)
{
    struct pass p = {.e = e, .w = w, .v = v, .sums = s};
    run_step(&p, n_unit, unit_product);
    e->cost.hvps += s->segment[0].n_samples;
}

int sweep_loss(struct engine *e, const float *w, const struct share *share, const char *what,
               double *loss, double *accuracy)
{
    int rc = IAU_OK;
    struct sums s;
    struct work work = share_work(e, share);
    TRY(comm_agree(e->comm, sums_init(&s, 1, (int64_t[]){0}, N_VALUE, e->n_thread)));
    sums_begin(&s, &share->n_global);
    sweep_add_loss(e, w, &work, &s, 0);
    rc = sweep_reduce(e, &s, what);
    if (rc == IAU_ERR_NUMERIC && !what) {
        *loss = INFINITY;
        *accuracy = 0;
        rc = IAU_OK;
        goto out;
    }
    TRY(rc);
    *loss = sums_value(&s, 0, VALUE_LOSS) / (double)share->n_global;
    *accuracy = sums_value(&s, 0, VALUE_CORRECT) / (double)share->n_global;
out:
    sums_free(&s);
    return rc;
}
