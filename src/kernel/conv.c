/* Convolutions: which of the three ways a shape goes. The choice depends on the shape alone. */
#include "kernel/conv.h"

#include "conv_private.h"
#include "core/error.h"

int64_t conv_scratch_floats(const struct conv_shape *s)
{
    if (!conv_wino_applies(s) && conv_rows_applies(s))
        return conv_rows_scratch_floats(s);
    int64_t passes =
        conv_wino_applies(s) ? conv_wino_scratch_floats(s) : conv_direct_scratch_floats(s);
    return max_i64(passes, conv_direct_gradient_floats(s));
}

void conv_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                  const float *const w[], const float *bias, float *out, float *scratch)
{
    REQUIRE(n_pair >= 1 && n_pair <= CONV_PAIR_MAX);
    if (conv_wino_applies(s))
        conv_wino_forward(s, n_pair, in, w, bias, out, scratch);
    else if (conv_rows_applies(s))
        conv_rows_forward(s, n_pair, in, w, bias, out, scratch);
    else
        conv_direct_forward(s, n_pair, in, w, bias, out, scratch);
}

void conv_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                     const float *const w[], float *din, float *scratch)
{
    REQUIRE(n_pair >= 1 && n_pair <= CONV_PAIR_MAX);
    if (conv_wino_applies(s))
        conv_wino_input_grad(s, n_pair, dout, w, din, scratch);
    else if (conv_rows_applies(s))
        conv_rows_input_grad(s, n_pair, dout, w, din, scratch);
    else
        conv_direct_input_grad(s, n_pair, dout, w, din, scratch);
}

void conv_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                      const float *const dout[], float *dw, float *dbias, float *scratch)
{
    REQUIRE(n_pair >= 1 && n_pair <= CONV_PAIR_MAX);
    if (conv_wino_applies(s))
        conv_wino_weight_grad(s, n_pair, in, dout, dw, dbias, scratch);
    else if (conv_rows_applies(s))
        conv_rows_weight_grad(s, n_pair, in, dout, dw, dbias, scratch);
    else
        conv_direct_weight_grad(s, n_pair, in, dout, dw, dbias, scratch);
}

/* Winograd's products sum over samples as they go, so its shapes take the direct way here. */
void conv_weight_squares(const struct conv_shape *s, const float *in, const float *dout, float *dw,
                         float *dbias, float *scratch)
{
    if (!conv_wino_applies(s) && conv_rows_applies(s))
        conv_rows_weight_squares(s, in, dout, dw, dbias, scratch);
    else
        conv_direct_weight_squares(s, in, dout, dw, dbias, scratch);
}
