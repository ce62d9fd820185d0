/* Products over a share: each unit is gathered anew, so that memory does not grow with the set. */
#include "sweep/product.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "kernel/vector.h"

static int allocate(struct product *p)
{
    int64_t n = p->engine->model->n_param;
    int rc = engine_tangents(p->engine);
    if (rc == IAU_OK)
        rc = sums_init(&p->sums, 1, &n, 0, p->engine->n_thread);
    if (rc != IAU_OK)
        return rc;
    p->direction = mem_alloc(n, sizeof *p->direction);
    return p->direction
               ? IAU_OK
               : FAIL(IAU_ERR_MEM, "no memory for products of %lld parameters", (long long)n);
}

int product_init(struct product *p, struct engine *e, enum product_kind kind, const float *w,
                 const struct share *share, const char *what)
{
    REQUIRE(share->n_global > 0);
    *p = (struct product){.engine = e,
                          .kind = kind,
                          .w = w,
                          .what = what,
                          .work = share_work(e, share),
                          .n_samples = share->n_global};
    int rc = comm_agree(e->comm, allocate(p));
    if (rc != IAU_OK)
        product_free(p);
    return rc;
}

void product_free(struct product *p)
{
    sums_free(&p->sums);
    free(p->direction);
    *p = (struct product){0};
}

static void unit_product(struct worker *wk, void *ctx, int64_t i)
{
    struct product *p = ctx;
    const struct model *m = p->engine->model;
    struct unit *u = &wk->unit;
    sweep_gather(p->engine, &p->work, i, u);
    model_forward(m, p->w, u);
    if (p->kind == PRODUCT_HESSIAN) {
        model_backward(m, p->w, u, wk->vector);
        model_hessian_product(m, p->w, p->direction, u, wk->vector);
    } else {
        model_gauss_newton_product(m, p->w, p->direction, u, wk->vector);
    }
    sums_add(&p->sums, wk->thread, 0, wk->vector, NULL);
}

static void book(const struct product *p)
{
    struct cost *c = &p->engine->cost;
    c->hvps += p->n_samples;
    *(p->kind == PRODUCT_HESSIAN ? &c->gradients : &c->forwards) += p->n_samples;
}

/* out = length x the mean over the samples. */
static void rescale(struct product *p, double length, float *out)
{
    double start = timer_now_s();
    const struct segment *g = &p->sums.segment[0];
    double factor = length / ((double)p->n_samples * g->scale);
    for (int64_t i = 0; i < g->n_vector; i++)
        out[i] = (float)(factor * (double)p->sums.acc[g->begin + i]);
    p->engine->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
}

int product_apply(struct product *p, const float *v, float *out)
{
    struct engine *e = p->engine;
    int64_t n = e->model->n_param;
    double start = timer_now_s(), length = vector_norm(v, n);
    if (length == 0) {
        memset(out, 0, (size_t)n * sizeof *out);
        return IAU_OK;
    }
    for (int64_t i = 0; i < n; i++)
        p->direction[i] = (float)(v[i] / length);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    sums_begin(&p->sums, &p->n_samples);
    sweep_work(e, &p->work, unit_product, p);
    book(p);
    int rc = sweep_reduce(e, &p->sums, p->what);
    if (rc == IAU_OK)
        rescale(p, length, out);
    return rc;
}
