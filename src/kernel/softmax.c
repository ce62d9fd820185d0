/* Softmax cross-entropy in the form that cannot overflow: the largest logit is subtracted first. */
#include "kernel/softmax.h"

#include <math.h>
#include <stddef.h>

#include "core/error.h"
#include "kernel/act.h"
#include "kernel/lanes.h"

enum { WIDTH = IAU_VECTOR_WIDTH, DISTILL_LANES = 64 };

static inline vecf load(const float *p)
{
    return *(const vecf *)p;
}

/* p = z - largest logit of the lane, for one vector of lanes; returns the largest. */
static vecf subtract_largest(int n_class, int lanes, const float *z, float *p)
{
    vecf largest = load(z);
    for (int k = 1; k < n_class; k++) {
        vecf x = load(z + (ptrdiff_t)k * lanes);
        largest = vec_select(x > largest, x, largest);
    }
    for (int k = 0; k < n_class; k++)
        *(vecf *)(p + (ptrdiff_t)k * lanes) = load(z + (ptrdiff_t)k * lanes) - largest;
    return largest;
}

/* Exponentials p become probabilities, for one vector of lanes; returns their sum. */
static vecf divide_by_sum(int n_class, int lanes, float *p)
{
    vecf sum = vec_all(0);
    for (int k = 0; k < n_class; k++)
        sum += load(p + (ptrdiff_t)k * lanes);
    vecf factor = 1.0f / sum;
    for (int k = 0; k < n_class; k++)
        *(vecf *)(p + (ptrdiff_t)k * lanes) *= factor;
    return sum;
}

void softmax_forward(int n_class, int lanes, const float *z, const int32_t *label, float *p,
                     float *loss)
{
    for (int l = 0; loss && l < lanes; l++) /* before p takes the place of z */
        loss[l] = z[(ptrdiff_t)label[l] * lanes + l];
    for (int l = 0; l < lanes; l += WIDTH) {
        vecf largest = subtract_largest(n_class, lanes, z + l, p + l);
        for (int i = 0; loss && i < WIDTH; i++)
            loss[l + i] = largest[i] - loss[l + i];
    }
    vector_exp((int64_t)n_class * lanes, p, p);
    for (int l = 0; l < lanes; l += WIDTH) {
        vecf sum = divide_by_sum(n_class, lanes, p + l);
        for (int i = 0; loss && i < WIDTH; i++)
            loss[l + i] = (float)(log(sum[i]) + loss[l + i]);
    }
}

void softmax_backward(int n_class, int lanes, const float *p, const int32_t *label,
                      const float *weight, float *dz)
{
    for (int k = 0; k < n_class; k++)
        for (int l = 0; l < lanes; l += WIDTH) {
            ptrdiff_t at = (ptrdiff_t)k * lanes + l;
            *(vecf *)(dz + at) = *(const vecf_unaligned *)(weight + l) * load(p + at);
        }
    for (int l = 0; l < lanes; l++) {
        ptrdiff_t at = (ptrdiff_t)label[l] * lanes + l;
        dz[at] = weight[l] * (p[at] - 1);
    }
}

void softmax_backward_tangent(int n_class, int lanes, const float *p, const float *rz,
                              const float *weight, float *rdz)
{
    for (int l = 0; l < lanes; l += WIDTH) {
        vecf mean = vec_all(0);
        for (int k = 0; k < n_class; k++) {
            ptrdiff_t at = (ptrdiff_t)k * lanes + l;
            mean += load(p + at) * load(rz + at);
        }
        for (int k = 0; k < n_class; k++) {
            ptrdiff_t at = (ptrdiff_t)k * lanes + l;
            *(vecf *)(rdz + at) =
                *(const vecf_unaligned *)(weight + l) * load(p + at) * (load(rz + at) - mean);
        }
    }
}

/* q = softmax(z / T), rest[lane] = log SUM exp (z / T) - z_0 / T */
static void tempered(int n_class, int lanes, float temperature, const float *z, float *q,
                     float *rest)
{
    static const int32_t first[DISTILL_LANES];
    float factor = 1 / temperature;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n_class * lanes; i++)
        q[i] = factor * z[i];
    softmax_forward(n_class, lanes, q, first, q, rest);
}

void softmax_distill(int n_class, int lanes, float temperature, const float *t, const float *z,
                     const float *weight, float *dz, float *kl, float *q)
{
    float rest_t[DISTILL_LANES], rest_z[DISTILL_LANES], *q_t = q,
                                                        *q_z = q + (ptrdiff_t)n_class * lanes;
    REQUIRE(lanes <= DISTILL_LANES);
    tempered(n_class, lanes, temperature, t, q_t, rest_t);
    tempered(n_class, lanes, temperature, z, q_z, rest_z);
    for (int l = 0; l < lanes; l++) {
        /* log q_t - log q_z is the difference of logits but for a constant */
        float sum = (rest_z[l] + z[l] / temperature) - (rest_t[l] + t[l] / temperature);
        for (int k = 0; k < n_class; k++) {
            ptrdiff_t at = (ptrdiff_t)k * lanes + l;
            sum += q_t[at] * ((t[at] - z[at]) / temperature);
            dz[at] += weight[l] * temperature * (q_z[at] - q_t[at]);
        }
        kl[l] = sum < 0 ? 0 : sum; /* what is no number stays so */
    }
}
