/* Max-pooling layer. It has no curvature, so its tangents are its own linear maps. */
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

static void forward(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                    const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    maxpool_forward(&s, in->a, out->a);
}

static void backward(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                     const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    if (in->da)
        maxpool_backward(&s, in->a, out->a, out->da, in->da);
}

static void forward_tangent(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                            const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    if (in->ra)
        maxpool_tangent(&s, in->a, out->a, in->ra, out->ra);
    else
        memset(out->ra, 0, (size_t)(shape_count(l->out) * lanes) * sizeof *out->ra);
}

static void backward_tangent(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                             const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    struct pool_shape s = pool_of(l, lanes);
    if (in->rda)
        maxpool_backward(&s, in->a, out->a, out->rda, in->rda);
}

static const struct layer_ops pool2d_ops = {
    .kind = "maxpool",
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

int layer_maxpool(struct layer *l, struct shape in, int k, int stride)
{
    if (in.h < k || in.w < k)
        return FAIL(IAU_ERR_CONFIG, "max-pooling: a %dx%d window does not fit its input %dx%dx%d", k, k, in.c, in.h,
                    in.w);
    struct shape out = {in.c, (in.h - k) / stride + 1, (in.w - k) / stride + 1};
    *l = (struct layer){.ops = &pool2d_ops, .in = in, .out = out, .k = k, .stride = stride};
    return IAU_OK;
}
