/* Activations on whole vectors. exp and tanh are polynomials after a reduction of the argument
 * (coefficients as in Cephes expf and tanhf), within 2 ulp of the true value. */
#include "kernel/act.h"

#include <stddef.h>

#include "kernel/lanes.h"

enum { WIDTH = IAU_VECTOR_WIDTH };

static inline vecf load(const float *p)
{
    return *(const vecf *)p;
}

static inline vecf power_of_two(veci n)
{
    return (vecf)((n + 127) << 23);
}

/* exp(x) = y 2^n with y in about [0.7, 1.5]; x within (-100, 100). */
static inline vecf exp_reduced(vecf x, veci *n)
{
    const float round =
        12582912; /* 1.5 2^23: adding it leaves the nearest integer in the low bits */
    vecf t = x * 1.44269504f + round;
    vecf whole = t - round;
    *n = (veci)t - (veci)vec_all(round);
    vecf r = x - whole * 0.693359375f; /* ln 2 in two parts, the first of few bits */
    r = r + whole * 2.12194440e-4f;
    vecf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * (r * r) + r + 1.0f;
}

void vector_exp(int64_t n, const float *x, float *y)
{
    const float least = -87.33654f, most = 88.72283f; /* where the result leaves the normal range */
    for (int64_t i = 0; i < n; i += WIDTH) {
        vecf v = load(x + i);
        veci under = v<least, over = v> most;
        vecf inside = vec_select(under | over, vec_all(0), v); /* a NaN stays one */
        veci power;
        vecf e = exp_reduced(inside, &power);
        veci half = power >> 1; /* 2^128 is no float, its root is */
        e = e * power_of_two(half) * power_of_two(power - half);
        e = vec_select(over, vec_all(__builtin_inff()), e);
        *(vecf *)(y + i) = (vecf)((veci)e & ~under);
    }
}

/* tanh below 0.625 in absolute value, where 1 - 2 / (exp(2x) + 1) would cancel. */
static inline vecf tanh_small(vecf x)
{
    vecf z = x * x;
    vecf p = z * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    return p * z * x + x;
}

static inline vecf tanh_large(vecf magnitude)
{
    veci power;
    vecf bounded =
        vec_select(magnitude > 10.0f, vec_all(10), magnitude); /* tanh is 1 from 9.1 on */
    vecf e = exp_reduced(bounded + bounded, &power) * power_of_two(power);
    return 1.0f - 2.0f / (e + 1.0f);
}

void tanh_forward(int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        vecf v = load(x + i);
        veci sign = (veci)v & INT32_MIN;
        vecf magnitude = (vecf)((veci)v ^ sign);
        vecf t = vec_select(magnitude < 0.625f, tanh_small(magnitude), tanh_large(magnitude));
        *(vecf *)(y + i) = (vecf)((veci)t | sign);
    }
}

void tanh_backward(int64_t n, const float *y, const float *dy, float *dx)
{
    for (int64_t i = 0; i < n; i += WIDTH)
        *(vecf *)(dx + i) = (1.0f - load(y + i) * load(y + i)) * load(dy + i);
}

void tanh_backward_tangent(int64_t n, const float *y, const float *ry, const float *dy,
                           const float *rdy, float *rdx)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        vecf v = load(y + i);
        *(vecf *)(rdx + i) =
            (1.0f - v * v) * load(rdy + i) - 2.0f * v * load(ry + i) * load(dy + i);
    }
}

void relu_forward(int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        vecf v = load(x + i);
        *(vecf *)(y + i) = (vecf)((veci)v & ~(v <= 0.0f)); /* a NaN passes */
    }
}

void relu_mask(int64_t n, const float *y, const float *dy, float *dx)
{
    for (int64_t i = 0; i < n; i += WIDTH)
        *(vecf *)(dx + i) = (vecf)((veci)load(dy + i) & (load(y + i) > 0.0f));
}

void vector_add(int64_t n, const float *a, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i += WIDTH)
        *(vecf *)(y + i) = load(a + i) + load(b + i);
}

void vector_multiply(int64_t n, const float *a, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i += WIDTH)
        *(vecf *)(y + i) = load(a + i) * load(b + i);
}

void vector_add_relu(int64_t n, const float *a, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        vecf v = load(a + i) + load(b + i);
        *(vecf *)(y + i) = (vecf)((veci)v & ~(v <= 0.0f)); /* a NaN passes */
    }
}
