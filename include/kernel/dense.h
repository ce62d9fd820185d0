/* Fully connected products on lane blocks.
 *
 * Arrays: in [n_in][lanes], out [n_out][lanes], w [n_out][n_in]. Pairs as in kernel/conv.h: a
 * tangent is the same call with two pairs. Local; no allocation; results are written, not added. */
#ifndef IAU_KERNEL_DENSE_H
#define IAU_KERNEL_DENSE_H

#include <stdint.h>

struct dense_shape {
    int n_in, n_out;
    int lanes; /* samples of a unit, a multiple of 16 */
};

/** out = bias + SUM_p w[p] in[p]. `bias` [n_out] or NULL. */
void dense_forward(const struct dense_shape *s, int n_pair, const float *const in[],
                   const float *const w[], const float *bias, float *out);
/** din = SUM_p w[p]^T dout[p]. */
void dense_input_grad(const struct dense_shape *s, int n_pair, const float *const dout[],
                      const float *const w[], float *din);
/** dw = SUM_p dout[p] in[p]^T; dbias [n_out] (or NULL) = sum of dout[0] over lanes. */
void dense_weight_grad(const struct dense_shape *s, int n_pair, const float *const in[],
                       const float *const dout[], float *dw, float *dbias);
/** Squares of each sample's own weight gradient, one pair: dw = SUM over lanes of (dout in)^2, and
 * dbias (or NULL) the same of dout. @param scratch  [dense_squares_floats(s)] */
void dense_weight_squares(const struct dense_shape *s, const float *in, const float *dout,
                          float *dw, float *dbias, float *scratch);
int64_t dense_squares_floats(const struct dense_shape *s);

#endif
