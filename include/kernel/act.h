/* Activations on n floats (n a multiple of 16), with the tangents of forward and backward. y is the
 * activation's output; in and out arrays may be the same. Local; no allocation. */
#ifndef IAU_KERNEL_ACT_H
#define IAU_KERNEL_ACT_H

#include <stdint.h>

void relu_forward(int64_t n, const float *x, float *y);
/** dx = 1[y > 0] dy. The tangents R{y} = 1[y > 0] R{x} and R{dx} = 1[y > 0] R{dy} are the same map.
 */
void relu_mask(int64_t n, const float *y, const float *dy, float *dx);

/** y = a + b, and max(a + b, 0); y may be a or b. */
void vector_add(int64_t n, const float *a, const float *b, float *y);
void vector_add_relu(int64_t n, const float *a, const float *b, float *y);

/** y = a b; y may be a or b. */
void vector_multiply(int64_t n, const float *a, const float *b, float *y);

/** y = tanh(x), to 2 ulp. */
void tanh_forward(int64_t n, const float *x, float *y);
/** dx = (1 - y^2) dy; also R{y} from R{x}. */
void tanh_backward(int64_t n, const float *y, const float *dy, float *dx);
/** R{dx} = (1 - y^2) R{dy} - 2 y R{y} dy. */
void tanh_backward_tangent(int64_t n, const float *y, const float *ry, const float *dy,
                           const float *rdy, float *rdx);

/** y = exp(x), to 2 ulp; 0 below -87.3 and inf above 88.7. */
void vector_exp(int64_t n, const float *x, float *y);

#endif
