/* The direction along which gradient restriction needs the Hessian. */
#include "train/restriction.h"

#include "kernel/vector.h"

static double normalise(const float *g, float *v, int64_t n)
{
    double norm = vector_norm(g, n);
    float factor = norm > 0 ? (float)(1 / norm) : 0;
    for (int64_t i = 0; i < n; i++)
        v[i] = factor * g[i];
    return norm;
}

double restriction_direction(const struct model *m, enum restriction_norm norm, const float *g,
                             float *v)
{
    if (norm == RESTRICTION_GLOBAL)
        return normalise(g, v, m->n_param);
    double sum = 0;
    for (int t = 0; t < m->n_tensor; t++)
        sum += normalise(g + m->tensor[t]->offset, v + m->tensor[t]->offset, m->tensor[t]->count);
    return sum;
}
