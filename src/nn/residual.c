/* The end of a residual connection: the main branch plus the skipping one, with ReLU where asked
 * for. In place on the main branch; a gradient is the same for both branches, so the skipping one
 * mostly shares the array. */
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

static void forward(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    if (l->relu)
        vector_add_relu(count(l, lanes), in->a, p->skip->a, out->a);
    else
        vector_add(count(l, lanes), in->a, p->skip->a, out->a);
}

/* Mask dy where ReLU was off, in place, then hand it to both branches where they have arrays of
 * their own. An input of the connection with more users gets it from model_backward. */
static void hand_back(const struct layer *l, int lanes, const float *y, float *dy, float *main,
                      float *skip)
{
    size_t bytes = (size_t)count(l, lanes) * sizeof *dy;
    if (l->relu)
        relu_mask(count(l, lanes), y, dy, dy);
    if (main != dy)
        memcpy(main, dy, bytes);
    if (skip && skip != dy)
        memcpy(skip, dy, bytes);
}

static void backward(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    hand_back(l, lanes, out->a, out->da, in->da, l->is_later_user ? NULL : p->skip->da);
}

static void forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    int64_t n = count(l, lanes);
    if (p->skip->ra)
        vector_add(n, in->ra, p->skip->ra, out->ra);
    else if (in->ra != out->ra)
        memcpy(out->ra, in->ra, (size_t)n * sizeof *out->ra);
    if (l->relu)
        relu_mask(n, out->a, out->ra, out->ra);
}

static void backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    hand_back(l, lanes, out->a, out->rda, in->rda, l->is_later_user ? NULL : p->skip->rda);
}

static const struct layer_ops add_ops = {
    .kind = "add",
    .in_place = 1,
    .joins = 1,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

void layer_add(struct layer *l, struct shape in, int skip)
{
    *l = (struct layer){.ops = &add_ops, .in = in, .out = in, .skip = skip};
}
