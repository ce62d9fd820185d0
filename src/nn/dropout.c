/* Dropout layer: features are multiplied by a mask of zeros and 1 / (1 - rate). It is linear, so
 * all four passes are that product; without masks, as in evaluation, they are copies. Not in place:
 * the layer before may need its output as it was. */
#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "kernel/act.h"
#include "nn/layer.h"

static int64_t count(const struct layer *l, int lanes)
{
    return shape_count(l->in) * lanes;
}

static int64_t scratch_floats(const struct layer *l, int lanes)
{
    (void)l, (void)lanes;
    return 0;
}

/* A sample's numbers come in blocks of four features; a stream is an epoch, a layer and a block. */
static void draw_lane(const struct layer *l, const struct dropout *d, int lane, int lanes,
                      float *mask)
{
    const uint32_t drop = (uint32_t)(l->rate * 0x1p32);
    const float keep = (float)(1 / (1 - l->rate));
    int64_t n = shape_count(l->in);
    for (int64_t i = 0; i < n; i += 4) {
        struct rng r = {d->seed, RNG_DROPOUT,
                        (uint64_t)d->epoch << 32 | (uint64_t)l->number << 24 | (uint64_t)i / 4};
        uint32_t word[4];
        rng_words_id(&r, d->id[lane], word);
        for (int64_t k = i; k < n && k < i + 4; k++)
            mask[k * lanes + lane] = word[k - i] < drop ? 0 : keep;
    }
}

/* What stands in empty lanes is finite. */
static void draw(const struct layer *l, int lanes, const struct weights *p, float *mask)
{
    if (p->n < lanes)
        memset(mask, 0, (size_t)count(l, lanes) * sizeof *mask);
    for (int k = 0; k < p->n; k++)
        draw_lane(l, p->dropout, k, lanes, mask);
}

static void multiply(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *out, const float *x, float *y)
{
    if (p->dropout)
        vector_multiply(count(l, lanes), out->kept, x, y);
    else
        memcpy(y, x, (size_t)count(l, lanes) * sizeof *y);
}

static void forward(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    if (p->dropout)
        draw(l, lanes, p, out->kept);
    multiply(l, lanes, p, out, in->a, out->a);
}

static void backward(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    if (in->da)
        multiply(l, lanes, p, out, out->da, in->da);
}

static void forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    if (in->ra)
        multiply(l, lanes, p, out, in->ra, out->ra);
    else
        memset(out->ra, 0, (size_t)count(l, lanes) * sizeof *out->ra);
}

static void backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    if (in->rda)
        multiply(l, lanes, p, out, out->rda, in->rda);
}

static const struct layer_ops dropout_ops = {
    .kind = "dropout",
    .kept_floats = count,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

void layer_dropout(struct layer *l, struct shape in, double rate, int number)
{
    *l = (struct layer){.ops = &dropout_ops, .in = in, .out = in, .rate = rate, .number = number};
}
