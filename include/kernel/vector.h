/* Reductions of flat vectors in double, in an order fixed by the length alone. Local. */
#ifndef IAU_KERNEL_VECTOR_H
#define IAU_KERNEL_VECTOR_H

#include <stdint.h>

/** SUM a[i] b[i]. */
double vector_dot(const float *a, const float *b, int64_t n);
/** sqrt(SUM a[i]^2). */
double vector_norm(const float *a, int64_t n);
/** sqrt(SUM (a[i] - b[i])^2). */
double vector_distance(const float *a, const float *b, int64_t n);

#endif
