/* Models from lists of layers, with batch norm and residual connections: losses, gradients and
 * Hessian products against plain loops over hyper-dual numbers, in both modes of batch norm and
 * with empty lanes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "hyperdual.h"
#include "nn/model.h"
#include "nn/spec.h"

enum { LINES_MAX = 40, LANES = 32, N_CLASS = 4 };

/* A list of layers to be tried, and the shape of its samples. */
struct trial {
    const char *name;
    struct shape in;
    const char *line[LINES_MAX]; /* NULL ends */
};

static const struct trial trials[] = {
    {"batch norm first, last and between",
     {3, 5, 4},
     {"batchnorm", "conv 5 3 pad=1 bias=off", "batchnorm", "tanh", "conv 4 2", "batchnorm", "relu",
      "avgpool", "dense classes", "batchnorm"}},
    {"identity residual",
     {2, 6, 6},
     {"conv 4 3 pad=1", "batchnorm", "relu", "residual begin", "conv 4 3 pad=1 bias=off",
      "batchnorm", "relu", "conv 4 3 pad=1 bias=off", "batchnorm", "residual end", "relu",
      "avgpool 2", "dense classes"}},
    {"downsampling residual",
     {2, 7, 5},
     {"conv 3 3 pad=1", "batchnorm", "tanh", "residual begin", "conv 5 3 stride=2 pad=1 bias=off",
      "batchnorm", "relu", "conv 5 3 pad=1 bias=off", "batchnorm", "residual skip",
      "conv 5 1 stride=2 bias=off", "batchnorm", "residual end", "relu", "avgpool",
      "dense classes"}},
    {"branches that start and end with what works in place",
     {3, 5, 5},
     {"conv 3 3 pad=1", "residual begin", "relu",          "conv 3 3 pad=1", "relu",
      "residual skip",  "relu",           "conv 3 1",      "tanh",           "relu",
      "residual end",   "relu",           "conv 3 1",      "residual begin", "relu",
      "conv 3 1",       "maxpool 2",      "residual skip", "maxpool 2",      "residual end",
      "dense 6",        "tanh",           "dense classes"}},
    {"connections within and after each other",
     {2, 6, 4},
     {"conv 4 3 pad=1", "residual begin", "residual begin", "conv 4 1",       "batchnorm",
      "residual end",   "residual begin", "conv 4 3 pad=1", "residual skip",  "batchnorm",
      "residual end",   "relu",           "residual end",   "residual begin", "batchnorm",
      "relu",           "conv 4 1",       "residual end",   "maxpool 3",      "dense classes"}},
    {"a connection from the sample",
     {3, 4, 4},
     {"residual begin", "conv 3 3 pad=1", "batchnorm", "residual skip", "relu", "residual end",
      "residual begin", "tanh", "residual end", "dense classes"}},
    {"a sample straight into the sum",
     {3, 4, 4},
     {"residual begin", "conv 3 3 pad=1", "residual end", "relu", "avgpool 3", "dense classes"}},
};

enum { N_TRIAL = sizeof trials / sizeof *trials };

static void build(struct model *m, const struct trial *t)
{
    struct text_list text = {0, (char **)t->line};
    while (text.n < LINES_MAX && t->line[text.n])
        text.n++;
    CU_ASSERT_EQUAL_FATAL(model_build_list(m, t->name, &text, t->in, N_CLASS), IAU_OK);
}

/* --- the reference */

struct reference {
    const struct model *m;
    int n;
    int frozen;
    const float *w, *d, *v;                /* state and two directions */
    struct hyper *a[MODEL_MAX_LAYERS + 1]; /* [n][c][h][w] */
    float *mean, *var;                     /* what batch norm met: by buffer offset - n_param */
};

static struct hyper parameter(const struct reference *r, int64_t i)
{
    return (struct hyper){r->w[i], r->d[i], r->v[i], 0};
}

static struct hyper *sample(const struct reference *r, int node, int s)
{
    struct shape shape = node ? r->m->layer[node - 1].out : r->m->in;
    return r->a[node] + s * shape_count(shape);
}

static void run_conv(const struct reference *r, const struct layer *l, const struct hyper *in,
                     struct hyper *out)
{
    for (int o = 0; o < l->out.c; o++)
        for (int y = 0; y < l->out.h; y++)
            for (int x = 0; x < l->out.w; x++) {
                struct hyper z =
                    l->n_tensor > 1 ? parameter(r, l->tensor[1].offset + o) : hyper_of(0);
                for (int i = 0; i < l->in.c * l->k * l->k; i++) {
                    int c = i / (l->k * l->k), v = y * l->stride + i / l->k % l->k - l->pad;
                    int u = x * l->stride + i % l->k - l->pad;
                    if (v < 0 || v >= l->in.h || u < 0 || u >= l->in.w)
                        continue;
                    struct hyper w =
                        parameter(r, l->tensor[0].offset + (int64_t)o * l->in.c * l->k * l->k + i);
                    z = hyper_add(z, hyper_mul(w, in[(c * l->in.h + v) * l->in.w + u]));
                }
                out[(o * l->out.h + y) * l->out.w + x] = z;
            }
}

static void run_dense(const struct reference *r, const struct layer *l, const struct hyper *in,
                      struct hyper *out)
{
    int64_t n = shape_count(l->in);
    for (int o = 0; o < l->out.c; o++) {
        out[o] = parameter(r, l->tensor[1].offset + o);
        for (int64_t i = 0; i < n; i++)
            out[o] =
                hyper_add(out[o], hyper_mul(parameter(r, l->tensor[0].offset + o * n + i), in[i]));
    }
}

static void run_pool(const struct layer *l, int is_max, const struct hyper *in, struct hyper *out)
{
    int kh = l->k ? l->k : l->in.h, kw = l->k ? l->k : l->in.w;
    for (int i = 0; i < shape_count(l->out); i++) {
        int c = i / (l->out.h * l->out.w), y = i / l->out.w % l->out.h * l->stride,
            x = i % l->out.w * l->stride;
        struct hyper best = hyper_of(-INFINITY), sum = hyper_of(0);
        for (int j = 0; j < kh * kw; j++) {
            struct hyper a = in[(c * l->in.h + y + j / kw) * l->in.w + x + j % kw];
            best = a.x > best.x ? a : best;
            sum = hyper_add(sum, a);
        }
        out[i] = is_max ? best : hyper_scale(sum, 1.0 / (kh * kw));
    }
}

static struct hyper relu(struct hyper a)
{
    return a.x > 0 ? a : hyper_of(0);
}

static void run_batchnorm(struct reference *r, const struct layer *l, int from, int to)
{
    int places = l->in.h * l->in.w, count = r->n * places;
    for (int c = 0; c < l->in.c; c++) {
        int64_t at_mean = l->buffer[0].offset + c, at_var = l->buffer[1].offset + c;
        struct hyper mean = hyper_of(0), var = hyper_of(0);
        for (int i = 0; i < count; i++)
            mean = hyper_add(mean, sample(r, from, i / places)[c * places + i % places]);
        mean = hyper_scale(mean, 1.0 / count);
        for (int i = 0; i < count; i++) {
            struct hyper e = hyper_add(sample(r, from, i / places)[c * places + i % places],
                                       hyper_scale(mean, -1));
            var = hyper_add(var, hyper_scale(hyper_mul(e, e), 1.0 / count));
        }
        r->mean[at_mean - r->m->n_param] = (float)mean.x;
        r->var[at_var - r->m->n_param] = (float)(var.x * count / (count - 1));
        if (r->frozen) {
            mean = hyper_of(r->w[at_mean]);
            var = hyper_of(r->w[at_var]);
        }
        struct hyper inv = hyper_rsqrt(hyper_add(var, hyper_of(1e-5f)));
        for (int i = 0; i < count; i++) {
            int64_t at = c * places + i % places;
            struct hyper xhat =
                hyper_mul(hyper_add(sample(r, from, i / places)[at], hyper_scale(mean, -1)), inv);
            struct hyper y = hyper_add(hyper_mul(parameter(r, l->tensor[0].offset + c), xhat),
                                       parameter(r, l->tensor[1].offset + c));
            sample(r, to, i / places)[at] = l->relu ? relu(y) : y;
        }
    }
}

static void run_plain(struct reference *r, const struct layer *l, int from, int to, int s)
{
    const struct hyper *in = sample(r, from, s), *skip = sample(r, l->skip, s);
    struct hyper *out = sample(r, to, s);
    if (strcmp(l->ops->kind, "conv2d") == 0)
        run_conv(r, l, in, out);
    else if (strcmp(l->ops->kind, "dense") == 0)
        run_dense(r, l, in, out);
    else if (strcmp(l->ops->kind, "maxpool") == 0 || strcmp(l->ops->kind, "avgpool") == 0)
        run_pool(l, l->ops->kind[0] == 'm', in, out);
    else
        for (int64_t i = 0; i < shape_count(l->in); i++)
            if (strcmp(l->ops->kind, "relu") == 0)
                out[i] = relu(in[i]);
            else if (strcmp(l->ops->kind, "tanh") == 0)
                out[i] = hyper_tanh(in[i]);
            else
                out[i] = l->relu ? relu(hyper_add(in[i], skip[i])) : hyper_add(in[i], skip[i]);
}

/* SUM over samples of the loss at unit u's samples and labels. */
static struct hyper reference_loss(struct reference *r, const struct unit *u)
{
    const struct model *m = r->m;
    struct hyper total = hyper_of(0);
    for (int i = 0; i <= m->n_layer; i++)
        r->a[i] = mem_alloc(r->n * shape_count(i ? m->layer[i - 1].out : m->in), sizeof **r->a);
    for (int s = 0; s < r->n; s++)
        for (int64_t i = 0; i < shape_count(m->in); i++)
            sample(r, 0, s)[i] = hyper_of(u->node[0].a[i * u->lanes + s]);
    for (int i = 0; i < m->n_layer; i++) {
        const struct layer *l = &m->layer[i];
        int from = layer_source(l, i);
        if (strcmp(l->ops->kind, "batchnorm") == 0)
            run_batchnorm(r, l, from, i + 1);
        else
            for (int s = 0; s < r->n; s++)
                run_plain(r, l, from, i + 1, s);
    }
    for (int s = 0; s < r->n; s++) {
        const struct hyper *z = sample(r, m->n_layer, s);
        struct hyper sum = hyper_of(0);
        for (int k = 0; k < m->n_class; k++)
            sum = hyper_add(sum, hyper_exp(z[k]));
        total = hyper_add(total, hyper_add(hyper_log(sum), hyper_scale(z[u->label[s]], -1)));
    }
    for (int i = 0; i <= m->n_layer; i++)
        free(r->a[i]);
    return total;
}

/* --- what is compared */

struct bench {
    struct model m;
    struct unit u;
    float *w, *d, *v, *dw, *rdw; /* [n_param + n_buffer] */
    struct reference r;
};

static void bench_open(struct bench *b, const struct trial *t, int n, enum norm_mode norm)
{
    build(&b->m, t);
    int64_t size = model_state_floats(&b->m);
    float **vector[] = {&b->w, &b->d, &b->v, &b->dw, &b->rdw, &b->r.mean, &b->r.var};
    for (int i = 0; i < 7; i++)
        *vector[i] = mem_alloc(size, sizeof(float));
    model_init_params(&b->m, 7, b->w);
    harness_fill(b->d, b->m.n_param, 1);
    harness_fill(b->v, b->m.n_param, 2);
    for (int64_t i = 0; i < b->m.n_param; i++)
        b->w[i] += 0.3f * b->d[(i * 7) % b->m.n_param];
    harness_fill(b->w + b->m.n_param, b->m.n_buffer, 3);
    for (int t2 = 0; t2 < b->m.n_buffer_tensor; t2++)
        for (int64_t i = 0;
             strstr(b->m.buffer[t2]->name, "running_var") && i < b->m.buffer[t2]->count; i++)
            b->w[b->m.buffer[t2]->offset + i] = 1.5f + 0.9f * b->w[b->m.buffer[t2]->offset + i];
    CU_ASSERT_EQUAL_FATAL(unit_init(&b->u, &b->m, LANES, UNIT_TANGENT), IAU_OK);
    b->u.n = n;
    b->u.norm = norm;
    harness_fill(b->u.node[0].a, shape_count(b->m.in) * LANES, 5);
    for (int i = 0; i < LANES; i++) {
        b->u.label[i] = i % 3;
        b->u.weight[i] = i < n;
    }
    b->r.m = &b->m;
    b->r.n = n;
    b->r.frozen = norm == NORM_FROZEN;
    b->r.w = b->w;
}

static void bench_close(struct bench *b)
{
    unit_free(&b->u);
    float *vector[] = {b->w, b->d, b->v, b->dw, b->rdw, b->r.mean, b->r.var};
    for (int i = 0; i < 7; i++)
        free(vector[i]);
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static void expect_near(const char *name, const char *what, const char *where, double got,
                        double want, double scale)
{
    if (fabs(got - want) <= 2e-5 * scale)
        return;
    printf("%s: %s, %s: %.9g, not %.9g (scale %.3g)\n", name, what, where, got, want, scale);
    CU_FAIL("differs from the reference");
}

/* The gradient and the product along the part of d that is tensor t. */
static void compare_tensor(struct bench *b, const char *name, const struct tensor *t)
{
    int64_t n = b->m.n_param;
    float *d = mem_alloc(n, sizeof *d);
    memcpy(d + t->offset, b->d + t->offset, (size_t)t->count * sizeof *d);
    b->r.d = d;
    b->r.v = b->v;
    struct hyper want = reference_loss(&b->r, &b->u);
    double length = sqrt(dot(d, d, n));
    expect_near(name, "gradient", t->name, dot(b->dw, d, n), want.d,
                length * sqrt(dot(b->dw, b->dw, n)));
    expect_near(name, "product", t->name, dot(b->rdw, d, n), want.dv,
                length * sqrt(dot(b->rdw, b->rdw, n)));
    free(d);
}

static void compare_trial(const struct trial *t, int n, enum norm_mode norm)
{
    struct bench *b = mem_alloc(1, sizeof *b);
    bench_open(b, t, n, norm);
    model_forward(&b->m, b->w, &b->u);
    model_backward(&b->m, b->w, &b->u, b->dw);
    model_hessian_product(&b->m, b->w, b->v, &b->u, b->rdw);
    for (int i = 0; i < b->m.n_tensor; i++)
        compare_tensor(b, t->name, b->m.tensor[i]);
    b->r.d = b->d;
    expect_near(t->name, "loss", "all", unit_loss(&b->u), reference_loss(&b->r, &b->u).x, n);
    for (int64_t i = 0; norm == NORM_GROUP && i < b->m.n_buffer; i++) {
        double want = (b->r.mean[i] + b->r.var[i]) * n / GROUP_SAMPLES; /* one of the two is 0 */
        expect_near(t->name, "statistics", "buffers", b->dw[b->m.n_param + i], want,
                    fabs(want) + 0.01);
    }
    bench_close(b);
    free(b);
}

static void group_mode_equals_the_reference(void)
{
    for (int i = 0; i < N_TRIAL; i++) {
        compare_trial(&trials[i], LANES, NORM_GROUP);
        compare_trial(&trials[i], 19, NORM_GROUP);
    }
}

static void frozen_mode_equals_the_reference(void)
{
    for (int i = 0; i < N_TRIAL; i++)
        compare_trial(&trials[i], 21, NORM_FROZEN);
}

/* u . H v = v . H u, and the gradient's own part of the arrays plays no role. */
static void products_are_symmetric(void)
{
    for (int i = 0; i < N_TRIAL; i++) {
        struct bench *b = mem_alloc(1, sizeof *b);
        bench_open(b, &trials[i], 27, NORM_GROUP);
        int64_t n = b->m.n_param;
        model_forward(&b->m, b->w, &b->u);
        model_backward(&b->m, b->w, &b->u, b->dw);
        model_hessian_product(&b->m, b->w, b->v, &b->u, b->rdw);
        double dhv = dot(b->d, b->rdw, n),
               scale = sqrt(dot(b->d, b->d, n) * dot(b->rdw, b->rdw, n));
        model_hessian_product(&b->m, b->w, b->d, &b->u, b->rdw);
        expect_near(trials[i].name, "symmetry", "all", dot(b->v, b->rdw, n), dhv, scale);
        bench_close(b);
        free(b);
    }
}

static void a_unit_without_tangents_gives_the_same_bytes(void)
{
    for (int i = 0; i < N_TRIAL; i++) {
        struct bench *b = mem_alloc(1, sizeof *b);
        struct unit small = {0};
        bench_open(b, &trials[i], 30, NORM_GROUP);
        size_t bytes = (size_t)model_state_floats(&b->m) * sizeof *b->dw;
        model_forward(&b->m, b->w, &b->u);
        model_backward(&b->m, b->w, &b->u, b->dw);
        CU_ASSERT_EQUAL_FATAL(unit_init(&small, &b->m, LANES, UNIT_GRADIENT), IAU_OK);
        CU_ASSERT(unit_bytes(&b->m, LANES, UNIT_GRADIENT) < unit_bytes(&b->m, LANES, UNIT_TANGENT));
        harness_fill(small.node[0].a, shape_count(b->m.in) * LANES, 5);
        memcpy(small.label, b->u.label, sizeof small.label);
        memcpy(small.weight, b->u.weight, sizeof small.weight);
        small.n = 30;
        small.norm = NORM_GROUP;
        for (int again = 0; again < 2; again++) { /* a unit is used many times */
            model_forward(&b->m, b->w, &small);
            model_backward(&b->m, b->w, &small, b->rdw);
            CU_ASSERT_EQUAL(memcmp(b->dw, b->rdw, bytes), 0);
        }
        unit_free(&small);
        bench_close(b);
        free(b);
    }
}

/* The gradient of one sample after another, squared and added in double. */
static void squares_equal_those_of_single_samples(void)
{
    enum { N = 21 };
    for (int i = 0; i < N_TRIAL; i++) {
        struct bench *b = mem_alloc(1, sizeof *b);
        bench_open(b, &trials[i], N, NORM_FROZEN);
        double *want = mem_alloc(b->m.n_param, sizeof *want);
        model_forward(&b->m, b->w, &b->u);
        for (int k = 0; k < N; k++) {
            for (int lane = 0; lane < LANES; lane++)
                b->u.weight[lane] = lane == k;
            model_backward(&b->m, b->w, &b->u, b->dw);
            for (int64_t j = 0; j < b->m.n_param; j++)
                want[j] += (double)b->dw[j] * b->dw[j];
        }
        for (int lane = 0; lane < LANES; lane++)
            b->u.weight[lane] = lane < N;
        model_loss_gradient(&b->m, &b->u);
        model_squares_from_top(&b->m, b->w, &b->u, b->rdw);
        for (int t = 0; t < b->m.n_tensor; t++) {
            const struct tensor *p = b->m.tensor[t];
            double largest = 0;
            for (int64_t j = p->offset; j < p->offset + p->count; j++)
                largest = fmax(largest, want[j]);
            CU_ASSERT(largest > 0);
            for (int64_t j = p->offset; j < p->offset + p->count; j++)
                expect_near(trials[i].name, "squares", p->name, b->rdw[j], want[j], largest);
        }
        free(want);
        bench_close(b);
        free(b);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"group mode equals the reference", group_mode_equals_the_reference},
        {"frozen mode equals the reference", frozen_mode_equals_the_reference},
        {"products are symmetric", products_are_symmetric},
        {"a unit without tangents gives the same bytes",
         a_unit_without_tangents_gives_the_same_bytes},
        {"squares equal those of single samples", squares_equal_those_of_single_samples},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "residual", tests);
}
