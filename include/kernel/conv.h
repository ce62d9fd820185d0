/* Two-dimensional convolution (cross-correlation, as in torch) on lane blocks.
 *
 * Arrays: in [c_in][h_in][w_in][lanes], out [c_out][h_out][w_out][lanes], w [c_out][c_in][k][k].
 * Every function sums over `n_pair` pairs of arrays, so that a tangent, a sum of two products, is
 * the same call with two pairs: R{z} = W * R{a} + V * a. All are local, allocate nothing, and give
 * bytes that depend on the shape alone. Results are written, not added. `scratch` holds at least
 * conv_scratch_floats(). */
#ifndef IAU_KERNEL_CONV_H
#define IAU_KERNEL_CONV_H

#include <stdint.h>

struct conv_shape {
    int c_in, h_in, w_in;
    int c_out, h_out, w_out; /* h_out = (h_in + 2 pad - k) / stride + 1 */
    int k, stride, pad;
    int lanes; /* samples of a unit, a multiple of 16 */
};

/** Workspace in floats that the functions below need for this shape. */
int64_t conv_scratch_floats(const struct conv_shape *s);
/** out = bias + SUM_p in[p] * w[p]. `bias` [c_out] or NULL. */
void conv_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                  const float *const w[], const float *bias, float *out, float *scratch);
/** din = SUM_p of the adjoint of w[p] applied to dout[p]. */
void conv_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                     const float *const w[], float *din, float *scratch);
/** dw = SUM_p SUM over positions and lanes of dout[p] x in[p]; dbias [c_out] (or NULL) = sum of
 * dout[0]. The lanes of a unit are added in float in a fixed order. */
void conv_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                      const float *const dout[], float *dw, float *dbias, float *scratch);
/** Squares of each sample's own weight gradient: dw = SUM over lanes of (SUM over positions of dout
 * x in)^2, and dbias (or NULL) the same of dout. Of one pair. */
void conv_weight_squares(const struct conv_shape *s, const float *in, const float *dout, float *dw,
                         float *dbias, float *scratch);

#endif
