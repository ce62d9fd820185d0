/* Max- and average pooling layers. Max-pooling has no curvature, so its tangents are its own linear
 * maps. */
#include <string.h>

#include "core/error.h"
#include "kernel/pool.h"
#include "nn/layer.h"

static struct pool_shape pool_of(const struct layer *l, int lanes)
{
    return (struct pool_shape){.c = l->in.c,
                               .h_in = l->in.h,
                               .w_in = l->in.w,
                               .h_out = l->out.h,
                               .w_out = l->out.w,
                               .k = l->k,
                               .stride = l->stride,
                               .lanes = lanes};
}

static int64_t scratch_floats(const struct layer *l, int lanes)
{
    (void)l, (void)lanes;
    return 0;
}

static void forward(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    maxpool_forward(&s, in->a, out->a);
}

static void backward(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    if (in->da)
        maxpool_backward(&s, in->a, out->a, out->da, in->da);
}

static void forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    if (in->ra)
        maxpool_tangent(&s, in->a, out->a, in->ra, out->ra);
    else
        memset(out->ra, 0, (size_t)(shape_count(l->out) * lanes) * sizeof *out->ra);
}

static void backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    if (in->rda)
        maxpool_backward(&s, in->a, out->a, out->rda, in->rda);
}

static const struct layer_ops pool2d_ops = {
    .kind = "maxpool",
    .needs_output = 1,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

/* --- average pooling: linear; k = 0 stands for a window over the whole channel */

static void mean_map(const struct layer *l, int lanes, const float *in, float *out)
{
    struct pool_shape s = pool_of(l, lanes);
    if (l->k)
        avgpool_forward(&s, in, out);
    else
        globalpool_forward(&s, in, out);
}

static void spread_map(const struct layer *l, int lanes, const float *dout, float *din)
{
    struct pool_shape s = pool_of(l, lanes);
    if (l->k)
        avgpool_backward(&s, dout, din);
    else
        globalpool_backward(&s, dout, din);
}

static void mean_forward(const struct layer *l, int lanes, const struct weights *p,
                         const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    mean_map(l, lanes, in->a, out->a);
}

static void mean_backward(const struct layer *l, int lanes, const struct weights *p,
                          const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    if (in->da)
        spread_map(l, lanes, out->da, in->da);
}

static void mean_forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                                 const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    if (in->ra)
        mean_map(l, lanes, in->ra, out->ra);
    else
        memset(out->ra, 0, (size_t)(shape_count(l->out) * lanes) * sizeof *out->ra);
}

static void mean_backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                                  const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    if (in->rda)
        spread_map(l, lanes, out->rda, in->rda);
}

static const struct layer_ops avgpool_ops = {
    .kind = "avgpool",
    .scratch_floats = scratch_floats,
    .forward = mean_forward,
    .backward = mean_backward,
    .forward_tangent = mean_forward_tangent,
    .backward_tangent = mean_backward_tangent,
};

int layer_maxpool(struct layer *l, struct shape in, int k, int stride)
{
    if (in.h < k || in.w < k)
        return FAIL(IAU_ERR_CONFIG, "max-pooling: a %dx%d window does not fit its input %dx%dx%d",
                    k, k, in.c, in.h, in.w);
    struct shape out = {in.c, (in.h - k) / stride + 1, (in.w - k) / stride + 1};
    *l = (struct layer){.ops = &pool2d_ops, .in = in, .out = out, .k = k, .stride = stride};
    return IAU_OK;
}

int layer_avgpool(struct layer *l, struct shape in, int k, int stride)
{
    if (in.h < k || in.w < k)
        return FAIL(IAU_ERR_CONFIG,
                    "average pooling: a %dx%d window does not fit its input %dx%dx%d", k, k, in.c,
                    in.h, in.w);
    struct shape out = {in.c, (in.h - k) / stride + 1, (in.w - k) / stride + 1};
    *l = (struct layer){.ops = &avgpool_ops, .in = in, .out = out, .k = k, .stride = stride};
    return IAU_OK;
}

void layer_global_pool(struct layer *l, struct shape in)
{
    *l = (struct layer){.ops = &avgpool_ops, .in = in, .out = {in.c, 1, 1}};
}
