/* Fully connected layer: z = W a + b on all features of its input. */
#include <stddef.h>

#include "kernel/dense.h"
#include "nn/layer.h"

static struct dense_shape dense_of(const struct layer *l, int lanes)
{
    return (struct dense_shape){(int)shape_count(l->in), l->out.c, lanes};
}

static int64_t scratch_floats(const struct layer *l, int lanes)
{
    struct dense_shape s = dense_of(l, lanes);
    return dense_squares_floats(&s);
}

static void forward(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct dense_shape s = dense_of(l, lanes);
    const float *w = p->w + l->tensor[0].offset, *a = in->a;
    dense_forward(&s, 1, &a, &w, p->w + l->tensor[1].offset, out->a);
}

static void backward(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct dense_shape s = dense_of(l, lanes);
    const float *w = p->w + l->tensor[0].offset, *a = in->a, *dz = out->da;
    dense_weight_grad(&s, 1, &a, &dz, p->dw + l->tensor[0].offset, p->dw + l->tensor[1].offset);
    if (in->da)
        dense_input_grad(&s, 1, &dz, &w, in->da);
}

static void squares(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    struct dense_shape s = dense_of(l, lanes);
    const float *w = p->w + l->tensor[0].offset, *dz = out->da;
    dense_weight_squares(&s, in->a, dz, p->dw + l->tensor[0].offset, p->dw + l->tensor[1].offset,
                         scratch);
    if (in->da)
        dense_input_grad(&s, 1, &dz, &w, in->da);
}

/* R{z} = V a + v_b + W R{a}; the second product is absent at the input, where R{a} = 0. */
static void forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct dense_shape s = dense_of(l, lanes);
    const float *w[2] = {p->v + l->tensor[0].offset, p->w + l->tensor[0].offset};
    const float *a[2] = {in->a, in->ra};
    dense_forward(&s, in->ra ? 2 : 1, a, w, p->v + l->tensor[1].offset, out->ra);
}

/* R{dW} = R{dz} a^T + dz R{a}^T;  R{da} = W^T R{dz} + V^T dz. */
static void backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct dense_shape s = dense_of(l, lanes);
    const float *dz[2] = {out->rda, out->da};
    const float *a[2] = {in->a, in->ra};
    const float *w[2] = {p->w + l->tensor[0].offset, p->v + l->tensor[0].offset};
    dense_weight_grad(&s, in->ra ? 2 : 1, a, dz, p->rdw + l->tensor[0].offset,
                      p->rdw + l->tensor[1].offset);
    if (in->rda)
        dense_input_grad(&s, 2, dz, w, in->rda);
}

static const struct layer_ops dense_ops = {
    .kind = "dense",
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .squares = squares,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

int layer_dense(struct layer *l, const char *name, struct shape in, int n_out, int64_t *offset)
{
    int n_in = (int)shape_count(in);
    *l = (struct layer){.ops = &dense_ops, .in = in, .out = {n_out, 1, 1}};
    layer_add_tensor(l, name, "weight", 2, (int64_t[]){n_out, n_in}, n_in, offset);
    layer_add_tensor(l, name, "bias", 1, (int64_t[]){n_out}, n_in, offset);
    return 0;
}
