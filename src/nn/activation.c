/* ReLU, in place where nobody else needs its input, and tanh. ReLU has no second derivative; tanh's
 * tangent needs the gradient before the layer as well, so it keeps its own arrays. */
#include <string.h>

#include "kernel/act.h"
#include "nn/layer.h"

static int64_t scratch_floats(const struct layer *l, int lanes)
{
    (void)l, (void)lanes;
    return 0;
}

static int64_t count(const struct layer *l, int lanes)
{
    return shape_count(l->in) * lanes;
}

static void relu_layer_forward(const struct layer *l, int lanes, const struct weights *p,
                               const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    relu_forward(count(l, lanes), in->a, out->a);
}

static void relu_layer_backward(const struct layer *l, int lanes, const struct weights *p,
                                const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    if (in->da)
        relu_mask(count(l, lanes), out->a, out->da, in->da);
}

static void relu_layer_forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                                       const struct node *in, const struct node *out,
                                       float *scratch)
{
    (void)p, (void)scratch;
    if (in->ra)
        relu_mask(count(l, lanes), out->a, in->ra, out->ra);
    else if (out->ra)
        memset(out->ra, 0, (size_t)count(l, lanes) * sizeof *out->ra);
}

static void relu_layer_backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                                        const struct node *in, const struct node *out,
                                        float *scratch)
{
    (void)p, (void)scratch;
    if (in->rda)
        relu_mask(count(l, lanes), out->a, out->rda, in->rda);
}

static void tanh_layer_forward(const struct layer *l, int lanes, const struct weights *p,
                               const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    tanh_forward(count(l, lanes), in->a, out->a);
}

static void tanh_layer_backward(const struct layer *l, int lanes, const struct weights *p,
                                const struct node *in, const struct node *out, float *scratch)
{
    (void)p, (void)scratch;
    if (in->da)
        tanh_backward(count(l, lanes), out->a, out->da, in->da);
}

static void tanh_layer_forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                                       const struct node *in, const struct node *out,
                                       float *scratch)
{
    (void)p, (void)scratch;
    if (in->ra)
        tanh_backward(count(l, lanes), out->a, in->ra, out->ra);
    else
        memset(out->ra, 0, (size_t)count(l, lanes) * sizeof *out->ra);
}

static void tanh_layer_backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                                        const struct node *in, const struct node *out,
                                        float *scratch)
{
    (void)p, (void)scratch;
    if (in->rda)
        tanh_backward_tangent(count(l, lanes), out->a, out->ra, out->da, out->rda, in->rda);
}

static const struct layer_ops relu_ops = {
    .kind = "relu",
    .in_place = 1,
    .needs_output = 1,
    .scratch_floats = scratch_floats,
    .forward = relu_layer_forward,
    .backward = relu_layer_backward,
    .forward_tangent = relu_layer_forward_tangent,
    .backward_tangent = relu_layer_backward_tangent,
};

static const struct layer_ops tanh_ops = {
    .kind = "tanh",
    .needs_output = 1,
    .scratch_floats = scratch_floats,
    .forward = tanh_layer_forward,
    .backward = tanh_layer_backward,
    .forward_tangent = tanh_layer_forward_tangent,
    .backward_tangent = tanh_layer_backward_tangent,
};

void layer_relu(struct layer *l, struct shape in)
{
    *l = (struct layer){.ops = &relu_ops, .in = in, .out = in};
}

void layer_tanh(struct layer *l, struct shape in)
{
    *l = (struct layer){.ops = &tanh_ops, .in = in, .out = in};
}
