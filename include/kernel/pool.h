/* Max- and average pooling on lane blocks: in [c][h_in][w_in][lanes], out [c][h_out][w_out][lanes];
 * square windows without padding. Of equal maxima the first of equal maxima wins, as in torch. The
 * winner is found again from in and out, so nothing else is stored. Local; no allocation; results
 * are written, not added. */
#ifndef IAU_KERNEL_POOL_H
#define IAU_KERNEL_POOL_H

struct pool_shape {
    int c, h_in, w_in, h_out, w_out;
    int k, stride; /* h_out = (h_in - k) / stride + 1; windows may not overlap: stride >= k */
    int lanes;
};

void maxpool_forward(const struct pool_shape *s, const float *in, float *out);
/** din = dout at the winners, 0 elsewhere (also in rows and columns that no window covers). The
 * tangent of the backward pass is the same map: call it with R{dout}. */
void maxpool_backward(const struct pool_shape *s, const float *in, const float *out,
                      const float *dout, float *din);
/** R{out} = R{in} at the winners. */
void maxpool_tangent(const struct pool_shape *s, const float *in, const float *out,
                     const float *rin, float *rout);
/** out = mean over the window; linear, so the tangent is the same map. */
void avgpool_forward(const struct pool_shape *s, const float *in, float *out);
/** din = dout / k^2 all over the window, 0 where no window is; the tangent is the same map. */
void avgpool_backward(const struct pool_shape *s, const float *dout, float *din);
/** The same with one window, the whole channel, whatever its sides; k and stride are not read. */
void globalpool_forward(const struct pool_shape *s, const float *in, float *out);
void globalpool_backward(const struct pool_shape *s, const float *dout, float *din);

#endif
