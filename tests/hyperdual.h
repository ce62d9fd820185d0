/* Numbers with two directional derivatives and the mixed second one, in double: a plain forward
 * loop over them gives a loss, its slope along d and v, and d^T H v, all exact to rounding. For
 * naive references. */
#ifndef IAU_TESTS_HYPERDUAL_H
#define IAU_TESTS_HYPERDUAL_H

#include <math.h>

struct hyper {
    double x, d, v, dv;
};

static inline struct hyper hyper_of(double x)
{
    return (struct hyper){x, 0, 0, 0};
}

static inline struct hyper hyper_add(struct hyper a, struct hyper b)
{
    return (struct hyper){a.x + b.x, a.d + b.d, a.v + b.v, a.dv + b.dv};
}

static inline struct hyper hyper_scale(struct hyper a, double f)
{
    return (struct hyper){f * a.x, f * a.d, f * a.v, f * a.dv};
}

static inline struct hyper hyper_mul(struct hyper a, struct hyper b)
{
    return (struct hyper){a.x * b.x, a.d * b.x + a.x * b.d, a.v * b.x + a.x * b.v,
                          a.dv * b.x + a.d * b.v + a.v * b.d + a.x * b.dv};
}

/* A function with value f, first derivative f1 and second f2 at a.x. */
static inline struct hyper hyper_map(struct hyper a, double f, double f1, double f2)
{
    return (struct hyper){f, f1 * a.d, f1 * a.v, f1 * a.dv + f2 * a.d * a.v};
}

static inline struct hyper hyper_exp(struct hyper a)
{
    double e = exp(a.x);
    return hyper_map(a, e, e, e);
}

static inline struct hyper hyper_log(struct hyper a)
{
    return hyper_map(a, log(a.x), 1 / a.x, -1 / (a.x * a.x));
}

static inline struct hyper hyper_tanh(struct hyper a)
{
    double t = tanh(a.x);
    return hyper_map(a, t, 1 - t * t, -2 * t * (1 - t * t));
}

/* 1 / sqrt(a). */
static inline struct hyper hyper_rsqrt(struct hyper a)
{
    double r = 1 / sqrt(a.x);
    return hyper_map(a, r, -0.5 * r / a.x, 0.75 * r / (a.x * a.x));
}

#endif
