/* Losses, gradients and Hessian-vector products over shares and steps. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "core/error.h"
#include "sweep/sweep.h"

struct pass {
    struct engine *e;
    const float *w, *v;
    const struct work *work;
    struct sums *sums;
    int segment;
    int keep;
    enum norm_mode norm;
};

/* A segment's place for statistics of groups, where a unit left none. */
static void clear_statistics(const struct pass *p, float *vector)
{
    int64_t n_param = p->e->model->n_param, n = p->sums->segment[p->segment].n_vector;
    if (n > n_param)
        memset(vector + n_param, 0, (size_t)(n - n_param) * sizeof *vector);
}

static void unit_gradient(struct worker *wk, void *ctx, int64_t i)
{
    const struct pass *p = ctx;
    const struct model *m = p->e->model;
    struct unit *u = p->keep ? &p->e->kept[i] : &wk->unit;
    double value[N_VALUE];
    sweep_gather(p->e, p->work, i, u);
    u->norm = p->norm;
    if (p->work->objective) {
        value[VALUE_LOSS] = objective_forward(p->work->objective, m, p->w, u, wk->logits);
    } else {
        model_forward(m, p->w, u);
        model_loss_gradient(m, u);
        value[VALUE_LOSS] = unit_loss(u);
    }
    value[VALUE_CORRECT] = (double)unit_correct(m, u);
    model_backward_from_top(m, p->w, u, wk->vector);
    if (u->norm == NORM_FROZEN)
        clear_statistics(p, wk->vector);
    sums_add(p->sums, wk->thread, p->segment, wk->vector, value);
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
    model_hessian_product(p->e->model, p->w, p->v, &p->e->kept[i], wk->vector);
    clear_statistics(p, wk->vector);
    sums_add(p->sums, wk->thread, p->segment, wk->vector, no_value);
}

/* A step of one unit on one rank is no sum at all. */
static void promise(struct engine *e, int64_t n_unit, struct sums *s)
{
    if (e->comm->size == 1 && n_unit == 1 && s->n_segment == 1)
        sums_expect_one(s, 0);
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
    REQUIRE(!keep || work->n_unit <= e->n_kept);
    struct pass p = {.e = e,
                     .w = w,
                     .work = work,
                     .sums = s,
                     .segment = segment,
                     .keep = keep,
                     .norm = e->step_norm};
    promise(e, work->n_unit, s);
    sweep_work(e, work, unit_gradient, &p);
    e->cost.gradients += s->segment[segment].n_samples;
    if (work->objective && work->objective->teacher != 0)
        e->cost.forwards += s->segment[segment].n_samples;
}

void sweep_add_step_product(struct engine *e, const float *w, const float *v, int64_t n_unit,
                            struct sums *s)
{
    struct pass p = {.e = e, .w = w, .v = v, .sums = s};
    promise(e, n_unit, s);
    sweep_run(e, n_unit, unit_product, &p);
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
