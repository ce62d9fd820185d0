/* Convolution layer, with or without bias. */
#include <stddef.h>

#include "core/error.h"
#include "kernel/conv.h"
#include "nn/layer.h"

static struct conv_shape conv_of(const struct layer *l, int lanes)
{
    return (struct conv_shape){.c_in = l->in.c,
                               .h_in = l->in.h,
                               .w_in = l->in.w,
                               .c_out = l->out.c,
                               .h_out = l->out.h,
                               .w_out = l->out.w,
                               .k = l->k,
                               .stride = l->stride,
                               .pad = l->pad,
                               .lanes = lanes};
}

/* The part of a flat vector that belongs to the bias, NULL where there is none. */
static const float *bias_of(const struct layer *l, const float *v)
{
    return l->n_tensor > 1 ? v + l->tensor[1].offset : NULL;
}

static float *bias_grad_of(const struct layer *l, float *dw)
{
    return l->n_tensor > 1 ? dw + l->tensor[1].offset : NULL;
}

static int64_t scratch_floats(const struct layer *l, int lanes)
{
    struct conv_shape s = conv_of(l, lanes);
    return conv_scratch_floats(&s);
}

static void forward(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    struct conv_shape s = conv_of(l, lanes);
    const float *w = p->w + l->tensor[0].offset, *a = in->a;
    conv_forward(&s, 1, &a, &w, bias_of(l, p->w), out->a, scratch);
}

static void backward(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch)
{
    struct conv_shape s = conv_of(l, lanes);
    const float *w = p->w + l->tensor[0].offset, *a = in->a, *dz = out->da;
    conv_weight_grad(&s, 1, &a, &dz, p->dw + l->tensor[0].offset, bias_grad_of(l, p->dw), scratch);
    if (in->da)
        conv_input_grad(&s, 1, &dz, &w, in->da, scratch);
}

static void squares(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    struct conv_shape s = conv_of(l, lanes);
    const float *w = p->w + l->tensor[0].offset, *dz = out->da;
    conv_weight_squares(&s, in->a, dz, p->dw + l->tensor[0].offset, bias_grad_of(l, p->dw),
                        scratch);
    if (in->da)
        conv_input_grad(&s, 1, &dz, &w, in->da, scratch);
}

/* R{z} = V * a + v_b + W * R{a}; the second product is absent at the input, where R{a} = 0. */
static void forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch)
{
    struct conv_shape s = conv_of(l, lanes);
    const float *w[2] = {p->v + l->tensor[0].offset, p->w + l->tensor[0].offset};
    const float *a[2] = {in->a, in->ra};
    conv_forward(&s, in->ra ? 2 : 1, a, w, bias_of(l, p->v), out->ra, scratch);
}

/* The product rule once more: R{dW} from (R{dz}, a) and (dz, R{a}), R{da} from (R{dz}, W) and (dz,
 * V). */
static void backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch)
{
    struct conv_shape s = conv_of(l, lanes);
    const float *dz[2] = {out->rda, out->da};
    const float *a[2] = {in->a, in->ra};
    const float *w[2] = {p->w + l->tensor[0].offset, p->v + l->tensor[0].offset};
    conv_weight_grad(&s, in->ra ? 2 : 1, a, dz, p->rdw + l->tensor[0].offset,
                     bias_grad_of(l, p->rdw), scratch);
    if (in->rda)
        conv_input_grad(&s, 2, dz, w, in->rda, scratch);
}

static const struct layer_ops conv2d_ops = {
    .kind = "conv2d",
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .squares = squares,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

int layer_conv2d_plain(struct layer *l, const char *name, struct shape in, int c_out, int k,
                       int stride, int pad, int64_t *offset)
{
    struct shape out = {c_out, (in.h + 2 * pad - k) / stride + 1,
                        (in.w + 2 * pad - k) / stride + 1};
    if (in.h + 2 * pad < k || in.w + 2 * pad < k)
        return FAIL(IAU_ERR_CONFIG, "layer %s: a %dx%d window does not fit its input %dx%dx%d",
                    name, k, k, in.c, in.h, in.w);
    *l = (struct layer){
        .ops = &conv2d_ops, .in = in, .out = out, .k = k, .stride = stride, .pad = pad};
    layer_add_tensor(l, name, "weight", 4, (int64_t[]){c_out, in.c, k, k}, in.c * k * k, offset);
    return IAU_OK;
}

int layer_conv2d(struct layer *l, const char *name, struct shape in, int c_out, int k, int stride,
                 int pad, int64_t *offset)
{
    int rc = layer_conv2d_plain(l, name, in, c_out, k, stride, pad, offset);
    if (rc == IAU_OK)
        layer_add_tensor(l, name, "bias", 1, (int64_t[]){c_out}, in.c * k * k, offset);
    return rc;
}
