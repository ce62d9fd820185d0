/* Batch norm layer. In training the statistics are those of the unit, which leaves them behind the
 * gradient for the running ones; otherwise the running ones stand in the flat vector behind the
 * parameters. */
#include <stddef.h>

#include "kernel/norm.h"
#include "nn/layer.h"
#include "nn/model.h"

static const float EPS = 1e-5f; /* torch's default */

enum { WEIGHT, BIAS };
enum { RUNNING_MEAN, RUNNING_VAR, N_BATCHES };

static struct norm_shape norm_of(const struct layer *l, int lanes, const struct weights *p)
{
    return (struct norm_shape){.c = l->in.c,
                               .places = (int64_t)l->in.h * l->in.w,
                               .lanes = lanes,
                               .n = p->n,
                               .frozen = p->norm == NORM_FROZEN,
                               .relu = l->relu};
}

static int64_t scratch_floats(const struct layer *l, int lanes)
{
    (void)l, (void)lanes;
    return 0;
}

static int64_t kept_floats(const struct layer *l, int lanes)
{
    (void)lanes;
    return (int64_t)N_NORM_ROW * l->in.c;
}

static void forward(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct norm_shape s = norm_of(l, lanes, p);
    norm_forward(&s, EPS, in->a, p->w + l->tensor[WEIGHT].offset, p->w + l->tensor[BIAS].offset,
                 p->w + l->buffer[RUNNING_MEAN].offset, p->w + l->buffer[RUNNING_VAR].offset,
                 out->kept, out->a);
}

/* The unit's mean and unbiased variance, weighted by its samples over GROUP_SAMPLES. */
static void leave_statistics(const struct layer *l, const struct weights *p,
                             const struct norm_shape *s, const float *kept)
{
    double share = (double)p->n / GROUP_SAMPLES, count = (double)s->n * (double)s->places;
    double unbiased = count > 1 ? count / (count - 1) : 1;
    for (int i = 0; i < s->c; i++) {
        p->dw[l->buffer[RUNNING_MEAN].offset + i] = (float)(share * kept[NORM_MEAN * s->c + i]);
        p->dw[l->buffer[RUNNING_VAR].offset + i] =
            (float)(share * unbiased * kept[NORM_VAR * s->c + i]);
    }
    p->dw[l->buffer[N_BATCHES].offset] = 0; /* counted where the sums arrive */
}

static void backward(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct norm_shape s = norm_of(l, lanes, p);
    norm_backward(&s, in->a, out->da, p->w + l->tensor[WEIGHT].offset,
                  p->w + l->tensor[BIAS].offset, out->kept, in->da,
                  p->dw + l->tensor[WEIGHT].offset, p->dw + l->tensor[BIAS].offset);
    if (!s.frozen)
        leave_statistics(l, p, &s, out->kept);
}

static void squares(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct norm_shape s = norm_of(l, lanes, p);
    norm_backward_squares(&s, in->a, out->da, p->w + l->tensor[WEIGHT].offset,
                          p->w + l->tensor[BIAS].offset, out->kept, in->da,
                          p->dw + l->tensor[WEIGHT].offset, p->dw + l->tensor[BIAS].offset);
}

static void forward_tangent(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct norm_shape s = norm_of(l, lanes, p);
    norm_forward_tangent(&s, in->a, in->ra, p->w + l->tensor[WEIGHT].offset,
                         p->w + l->tensor[BIAS].offset, p->v + l->tensor[WEIGHT].offset,
                         p->v + l->tensor[BIAS].offset, out->kept, out->ra);
}

static void backward_tangent(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch)
{
    (void)scratch;
    struct norm_shape s = norm_of(l, lanes, p);
    norm_backward_tangent(&s, in->a, in->ra, out->da, out->rda, p->w + l->tensor[WEIGHT].offset,
                          p->w + l->tensor[BIAS].offset, p->v + l->tensor[WEIGHT].offset, out->kept,
                          in->rda, p->rdw + l->tensor[WEIGHT].offset,
                          p->rdw + l->tensor[BIAS].offset);
}

static const struct layer_ops batchnorm_ops = {
    .kind = "batchnorm",
    .kept_floats = kept_floats,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .squares = squares,
    .forward_tangent = forward_tangent,
    .backward_tangent = backward_tangent,
};

void layer_batchnorm(struct layer *l, const char *name, struct shape in, int64_t *offset,
                     int64_t *buffer_offset)
{
    int64_t c = in.c;
    *l = (struct layer){.ops = &batchnorm_ops, .in = in, .out = in};
    layer_add_tensor(l, name, "weight", 1, &c, in.c, offset);
    layer_add_tensor(l, name, "bias", 1, &c, in.c, offset);
    l->tensor[WEIGHT].init = l->tensor[BIAS].init = INIT_CONSTANT;
    l->tensor[WEIGHT].init_value = 1;
    layer_add_buffer(l, name, "running_mean", 1, &c, 0, buffer_offset);
    layer_add_buffer(l, name, "running_var", 1, &c, 1, buffer_offset);
    layer_add_buffer(l, name, "num_batches_tracked", 0, NULL, 0, buffer_offset);
}
