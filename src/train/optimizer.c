/* Adam and SGD with momentum. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"

int optimizer_init(struct optimizer *o, const struct optimizer_opts *opts, int64_t n)
{
    *o = (struct optimizer){.opts = *opts, .n = n, .m = mem_alloc(n, sizeof *o->m)};
    if (opts->name == OPTIMIZER_ADAM)
        o->v = mem_alloc(n, sizeof *o->v);
    if (!o->m || (opts->name == OPTIMIZER_ADAM && !o->v)) {
        optimizer_free(o);
        return FAIL(IAU_ERR_MEM, "no memory for optimizer state of %lld parameters", (long long)n);
    }
    return IAU_OK;
}

void optimizer_free(struct optimizer *o)
{
    free(o->m);
    free(o->v);
    *o = (struct optimizer){0};
}

/* All constants are rounded to float once, as torch rounds its Python doubles. */
static void adam_piece(struct optimizer *o, double lr, int64_t begin, int64_t n, float *restrict w,
                       const float *restrict g)
{
    const struct optimizer_opts *p = &o->opts;
    double c1 = 1 - pow(p->beta1, (double)o->t), c2 = 1 - pow(p->beta2, (double)o->t);
    float b1 = (float)p->beta1, a1 = (float)(1 - p->beta1), b2 = (float)p->beta2,
          a2 = (float)(1 - p->beta2);
    float step = (float)(lr / c1), root = (float)(1 / sqrt(c2)), eps = (float)p->epsilon,
          wd = (float)p->weight_decay;
    float *restrict m = o->m + begin, *restrict v = o->v + begin;
    for (int64_t i = 0; i < n; i++) {
        float q = g[i] + wd * w[i];
        m[i] = b1 * m[i] + a1 * q;
        v[i] = b2 * v[i] + a2 * (q * q);
        w[i] -= step * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static void sgd_piece(struct optimizer *o, double lr, int64_t begin, int64_t n, float *restrict w,
                      const float *restrict g)
{
    float mu = o->t == 1 ? 0 : (float)o->opts.momentum, wd = (float)o->opts.weight_decay,
          step = (float)lr;
    float *restrict m = o->m + begin;
    for (int64_t i = 0; i < n; i++) {
        m[i] = mu * m[i] + (g[i] + wd * w[i]);
        w[i] -= step * m[i];
    }
}

void optimizer_begin(struct optimizer *o)
{
    o->t++;
}

void optimizer_piece(struct optimizer *o, double lr, int64_t begin, int64_t n, float *w,
                     const float *g)
{
    if (o->opts.name == OPTIMIZER_ADAM)
        adam_piece(o, lr, begin, n, w, g);
    else
        sgd_piece(o, lr, begin, n, w, g);
}

void optimizer_step(struct optimizer *o, double lr, float *w, const float *g)
{
    optimizer_begin(o);
    optimizer_piece(o, lr, 0, o->n, w, g);
}
