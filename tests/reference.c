/* Naive passes in double: one pair of functions for each kind of layer, chosen by its name. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

/* One layer on one sample: in -> out, dout -> din and, added, dw. */
struct pass {
    const struct layer *l;
    const double *w; /* the whole parameter vector */
    double *dw;      /* the same */
    const double *in, *out, *dout;
    double *din;
    struct reference *result;
    const float *mask; /* dropout: [feature][lanes], from this sample's lane on */
    int lanes;
};

static void note_kink(struct reference *r, double distance, uint64_t side)
{
    r->margin = fmin(r->margin, distance);
    r->pattern = (r->pattern ^ side) * 1099511628211u;
}

static void dense_forward(const struct pass *p, double *out)
{
    const double *w = p->w + p->l->tensor[0].offset, *b = p->w + p->l->tensor[1].offset;
    int64_t n_in = shape_count(p->l->in);
    for (int o = 0; o < p->l->out.c; o++) {
        out[o] = b[o];
        for (int64_t i = 0; i < n_in; i++)
            out[o] += w[o * n_in + i] * p->in[i];
    }
}

static void dense_backward(const struct pass *p)
{
    const double *w = p->w + p->l->tensor[0].offset;
    double *dw = p->dw + p->l->tensor[0].offset, *db = p->dw + p->l->tensor[1].offset;
    int64_t n_in = shape_count(p->l->in);
    for (int o = 0; o < p->l->out.c; o++) {
        db[o] += p->dout[o];
        for (int64_t i = 0; i < n_in; i++) {
            dw[o * n_in + i] += p->dout[o] * p->in[i];
            p->din[i] += p->dout[o] * w[o * n_in + i];
        }
    }
}

/* One weight of a convolution: outputs x in [first, first + n) of a row pair with inputs x * stride
 * + kx. */
struct tap {
    int ky, kx, first, n;
};

static struct tap tap_of(const struct layer *l, int k)
{
    struct tap t = {.ky = k / l->k - l->pad, .kx = k % l->k - l->pad};
    int end = 0;
    for (int x = 0; x < l->out.w; x++)
        if (x * l->stride + t.kx >= 0 && x * l->stride + t.kx < l->in.w)
            end = x + 1;
    while (t.first < end && t.first * l->stride + t.kx < 0)
        t.first++;
    t.n = end - t.first;
    return t;
}

/* Offset of a tap's first input for row y of the output, -1 where it lies in the padding. */
static int64_t tap_input(const struct layer *l, const struct tap *t, int ci, int y)
{
    int y_in = y * l->stride + t->ky;
    if (y_in < 0 || y_in >= l->in.h)
        return -1;
    return ((int64_t)ci * l->in.h + y_in) * l->in.w + t->first * l->stride + t->kx;
}

static void conv_forward(const struct pass *p, double *out)
{
    const struct layer *l = p->l;
    const double *w = p->w + l->tensor[0].offset, *b = p->w + l->tensor[1].offset;
    for (int o = 0; o < l->out.c; o++) {
        double *plane = out + o * l->out.h * l->out.w;
        for (int i = 0; i < l->out.h * l->out.w; i++)
            plane[i] = b[o];
        for (int ci = 0; ci < l->in.c; ci++)
            for (int k = 0; k < l->k * l->k; k++, w++) {
                struct tap t = tap_of(l, k);
                for (int y = 0; y < l->out.h; y++) {
                    int64_t at = tap_input(l, &t, ci, y);
                    for (int x = 0; at >= 0 && x < t.n; x++)
                        plane[y * l->out.w + t.first + x] += *w * p->in[at + x * l->stride];
                }
            }
    }
}

static void conv_backward(const struct pass *p)
{
    const struct layer *l = p->l;
    const double *w = p->w + l->tensor[0].offset, *dout = p->dout;
    double *dw = p->dw + l->tensor[0].offset, *db = p->dw + l->tensor[1].offset;
    for (int o = 0; o < l->out.c; o++, dout += l->out.h * l->out.w) {
        for (int i = 0; i < l->out.h * l->out.w; i++)
            db[o] += dout[i];
        for (int ci = 0; ci < l->in.c; ci++)
            for (int k = 0; k < l->k * l->k; k++, w++, dw++) {
                struct tap t = tap_of(l, k);
                double sum = 0;
                for (int y = 0; y < l->out.h; y++) {
                    int64_t at = tap_input(l, &t, ci, y);
                    const double *dz = dout + y * l->out.w + t.first;
                    for (int x = 0; at >= 0 && x < t.n; x++)
                        sum += dz[x] * p->in[at + x * l->stride];
                    for (int x = 0; at >= 0 && x < t.n; x++)
                        p->din[at + x * l->stride] += dz[x] * *w;
                }
                *dw += sum;
            }
    }
}

/* Place of the largest value of a window, the first of equals; *second is the runner-up's value. */
static int64_t window_best(const struct pass *p, int c, int y, int x, double *second)
{
    const struct layer *l = p->l;
    int64_t corner = ((int64_t)c * l->in.h + y * l->stride) * l->in.w + x * l->stride,
            best = corner;
    *second = -INFINITY;
    for (int k = 1; k < l->k * l->k; k++) {
        int64_t at = corner + k / l->k * l->in.w + k % l->k;
        double loser = p->in[at] > p->in[best] ? p->in[best] : p->in[at];
        best = p->in[at] > p->in[best] ? at : best;
        *second = fmax(*second, loser);
    }
    return best;
}

static void pool_forward(const struct pass *p, double *out)
{
    const struct layer *l = p->l;
    double second;
    for (int c = 0; c < l->out.c; c++)
        for (int y = 0; y < l->out.h; y++)
            for (int x = 0; x < l->out.w; x++) {
                int64_t best = window_best(p, c, y, x, &second);
                double value = *out++ = p->in[best];
                /* Zeros of a ReLU may tie: nothing passes back through them. */
                note_kink(p->result, value != 0 ? value - second : INFINITY, (uint64_t)best);
            }
}

static void pool_backward(const struct pass *p)
{
    const struct layer *l = p->l;
    const double *dout = p->dout;
    double second;
    for (int c = 0; c < l->out.c; c++)
        for (int y = 0; y < l->out.h; y++)
            for (int x = 0; x < l->out.w; x++)
                p->din[window_best(p, c, y, x, &second)] += *dout++;
}

static void relu_forward(const struct pass *p, double *out)
{
    for (int64_t i = 0; i < shape_count(p->l->in); i++) {
        out[i] = p->in[i] > 0 ? p->in[i] : 0;
        note_kink(p->result, fabs(p->in[i]), p->in[i] > 0);
    }
}

static void relu_backward(const struct pass *p)
{
    for (int64_t i = 0; i < shape_count(p->l->in); i++)
        p->din[i] = p->in[i] > 0 ? p->dout[i] : 0;
}

static void tanh_forward(const struct pass *p, double *out)
{
    for (int64_t i = 0; i < shape_count(p->l->in); i++)
        out[i] = tanh(p->in[i]);
}

static void tanh_backward(const struct pass *p)
{
    for (int64_t i = 0; i < shape_count(p->l->in); i++)
        p->din[i] = p->dout[i] * (1 - p->out[i] * p->out[i]);
}

static void dropout_forward(const struct pass *p, double *out)
{
    for (int64_t i = 0; i < shape_count(p->l->in); i++)
        out[i] = p->mask[i * p->lanes] != 0 ? p->in[i] / (1 - p->l->rate) : 0;
}

static void dropout_backward(const struct pass *p)
{
    for (int64_t i = 0; i < shape_count(p->l->in); i++)
        p->din[i] = p->mask[i * p->lanes] != 0 ? p->dout[i] / (1 - p->l->rate) : 0;
}

static const struct kind {
    const char *name;
    void (*forward)(const struct pass *p, double *out);
    void (*backward)(const struct pass *p); /* p->din is zero before */
} kinds[] = {
    {"dense", dense_forward, dense_backward}, {"conv2d", conv_forward, conv_backward},
    {"maxpool", pool_forward, pool_backward}, {"relu", relu_forward, relu_backward},
    {"tanh", tanh_forward, tanh_backward},    {"dropout", dropout_forward, dropout_backward}};

static const struct kind *kind_of(const struct layer *l)
{
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].name, l->ops->kind))
        i++;
    REQUIRE(i < sizeof kinds / sizeof *kinds);
    return &kinds[i];
}

/* Cross-entropy of one sample, and in dz its gradient. */
static double cross_entropy(int n_class, const double *z, int32_t label, double *dz)
{
    double largest = z[0], sum = 0;
    for (int c = 1; c < n_class; c++)
        largest = fmax(largest, z[c]);
    for (int c = 0; c < n_class; c++)
        sum += exp(z[c] - largest);
    for (int c = 0; c < n_class; c++)
        dz[c] = exp(z[c] - largest) / sum - (c == label);
    return largest + log(sum) - z[label];
}

static int predicts(int n_class, const double *z, int32_t label)
{
    int best = 0;
    for (int c = 1; c < n_class; c++)
        best = z[c] > z[best] ? c : best;
    return best == label;
}

/* Activations of one sample before each layer and at the top, and their gradients. */
struct tape {
    double *block, *a[MODEL_MAX_LAYERS + 1], *da[MODEL_MAX_LAYERS + 1];
    int64_t n; /* doubles of each kind */
};

static void tape_init(struct tape *t, const struct model *m)
{
    t->n = shape_count(m->in);
    for (int i = 0; i < m->n_layer; i++)
        t->n += shape_count(m->layer[i].out);
    t->block = malloc(2 * (size_t)t->n * sizeof *t->block);
    REQUIRE(t->block);
    t->a[0] = t->block;
    for (int i = 0; i < m->n_layer; i++)
        t->a[i + 1] = t->a[i] + shape_count(m->layer[i].in);
    for (int i = 0; i <= m->n_layer; i++)
        t->da[i] = t->a[i] + t->n;
}

/* The masks of layer i for sample k. */
static void set_mask(struct pass *p, const struct reference_set *s, int i, int k)
{
    if (s->masks && s->masks->node[i + 1].kept) {
        p->mask = s->masks->node[i + 1].kept + k;
        p->lanes = s->masks->lanes;
    }
}

struct reference reference_run(const struct model *m, const double *w,
                               const struct reference_set *s, double *dw)
{
    struct reference result = {.margin = INFINITY};
    struct tape t;
    int64_t n_in = shape_count(m->in);
    tape_init(&t, m);
    if (dw)
        memset(dw, 0, (size_t)m->n_param * sizeof *dw);
    for (int k = 0; k < s->n; k++) {
        memcpy(t.a[0], s->x + k * n_in, (size_t)n_in * sizeof *t.a[0]);
        memset(t.da[0], 0, (size_t)t.n * sizeof *t.da[0]);
        for (int i = 0; i < m->n_layer; i++) {
            struct pass p = {.l = &m->layer[i], .w = w, .in = t.a[i], .result = &result};
            set_mask(&p, s, i, k);
            kind_of(p.l)->forward(&p, t.a[i + 1]);
        }
        result.loss += cross_entropy(m->n_class, t.a[m->n_layer], s->label[k], t.da[m->n_layer]);
        result.correct += predicts(m->n_class, t.a[m->n_layer], s->label[k]);
        for (int i = m->n_layer; dw && i-- > 0;) {
            struct pass p = {.l = &m->layer[i],
                             .w = w,
                             .dw = dw,
                             .in = t.a[i],
                             .out = t.a[i + 1],
                             .dout = t.da[i + 1],
                             .din = t.da[i],
                             .result = &result};
            set_mask(&p, s, i, k);
            kind_of(p.l)->backward(&p);
        }
    }
    free(t.block);
    return result;
}

double reference_norm(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

double reference_restricted(const struct model *m, const double *w, const struct reference_set *s,
                            double alpha, int per_tensor, double *dw)
{
    double norms = 0, loss = reference_run(m, w, s, dw).loss;
    for (int i = 0; per_tensor && i < m->n_tensor; i++)
        norms += reference_norm(dw + m->tensor[i]->offset, m->tensor[i]->count);
    if (!per_tensor)
        norms = reference_norm(dw, m->n_param);
    return (loss + alpha * norms) / s->n;
}
