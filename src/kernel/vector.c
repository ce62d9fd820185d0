/* Reductions of flat vectors: 16 partial sums in double, so that the compiler may use whole vectors
 * without reordering anything. */
#include "kernel/vector.h"

#include <math.h>

enum { PARTS = 16 };

static double add_parts(const double *part)
{
    double sum = 0;
    for (int k = 0; k < PARTS; k++)
        sum += part[k];
    return sum;
}

double vector_dot(const float *a, const float *b, int64_t n)
{
    double part[PARTS] = {0};
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int k = 0; k < PARTS; k++)
            part[k] += (double)a[i + k] * b[i + k];
    for (int k = 0; i + k < n; k++)
        part[k] += (double)a[i + k] * b[i + k];
    return add_parts(part);
}

double vector_norm(const float *a, int64_t n)
{
    return sqrt(vector_dot(a, a, n));
}

double vector_distance(const float *a, const float *b, int64_t n)
{
    double part[PARTS] = {0};
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int k = 0; k < PARTS; k++) {
            double d = (double)a[i + k] - b[i + k];
            part[k] += d * d;
        }
    for (int k = 0; i + k < n; k++) {
        double d = (double)a[i + k] - b[i + k];
        part[k] += d * d;
    }
    return sqrt(add_parts(part));
}
