/* The models under test, and one unit of random samples for each. */
#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"

/* --- models */

static struct layer *append(struct model *m)
{
    return &m->layer[m->n_layer++];
}

static struct shape top(const struct model *m)
{
    return m->n_layer ? m->layer[m->n_layer - 1].out : m->in;
}

/* What a new layer list needs beside its layers. */
static int finish(struct model *m)
{
    m->n_class = top(m).c;
    for (int i = 0; i < m->n_layer; i++)
        for (int t = 0; t < m->layer[i].n_tensor; t++)
            m->tensor[m->n_tensor++] = &m->layer[i].tensor[t];
    return IAU_OK;
}

static int add_conv(struct model *m, const char *name, int c_out, int k, int stride, int pad)
{
    struct shape in = top(m);
    return layer_conv2d(append(m), name, in, c_out, k, stride, pad, &m->n_param);
}

static int add_pool(struct model *m, int k)
{
    struct shape in = top(m);
    return layer_maxpool(append(m), in, k, k);
}

static int add_dense(struct model *m, const char *name, int n_out)
{
    struct shape in = top(m);
    return layer_dense(append(m), name, in, n_out, &m->n_param);
}

static void add_relu(struct model *m)
{
    struct shape in = top(m);
    layer_relu(append(m), in);
}

static void add_tanh(struct model *m)
{
    struct shape in = top(m);
    layer_tanh(append(m), in);
}

static int build_lenet5_colour(struct model *m)
{
    struct model_opts opts = {.name = MODEL_LENET5};
    return model_build(m, &opts, (struct shape){3, 32, 32}, 10);
}

static int build_lenet5_grey(struct model *m)
{
    struct model_opts opts = {.name = MODEL_LENET5};
    return model_build(m, &opts, (struct shape){1, 28, 28}, 7);
}

static int build_mlp(struct model *m, enum activation_name activation, int n_hidden)
{
    int64_t sizes[2] = {29, 13};
    struct model_opts opts = {
        .name = MODEL_MLP, .hidden = {n_hidden, sizes}, .activation = activation};
    return model_build(m, &opts, (struct shape){37, 1, 1}, 5);
}

static int build_mlp_tanh(struct model *m)
{
    return build_mlp(m, ACTIVATION_TANH, 2);
}

static int build_mlp_relu(struct model *m)
{
    return build_mlp(m, ACTIVATION_RELU, 2);
}

static int build_regression(struct model *m)
{
    return build_mlp(m, ACTIVATION_TANH, 0);
}

/* Stride and padding, ReLU in place before pooling, odd sizes. */
static int build_strided(struct model *m)
{
    *m = (struct model){.in = {2, 9, 7}};
    int rc = IAU_OK;
    TRY(add_conv(m, "first", 3, 3, 2, 1));
    add_tanh(m);
    TRY(add_conv(m, "second", 5, 3, 1, 1));
    add_relu(m);
    TRY(add_pool(m, 2));
    TRY(add_dense(m, "last", 4));
    rc = finish(m);
out:
    return rc;
}

/* 1x1 and even windows, pooling that leaves a rest, tanh before ReLU in place, two classes. */
static int build_mixed(struct model *m)
{
    *m = (struct model){.in = {3, 11, 8}};
    int rc = IAU_OK;
    TRY(add_conv(m, "first", 4, 1, 1, 0));
    TRY(add_pool(m, 3));
    add_tanh(m);
    TRY(add_conv(m, "second", 6, 2, 1, 0));
    add_tanh(m);
    add_relu(m);
    TRY(add_dense(m, "third", 9));
    add_relu(m);
    TRY(add_dense(m, "last", 2));
    rc = finish(m);
out:
    return rc;
}

/* Layers without parameters, where no tangent comes in. */
static int build_pool_first(struct model *m)
{
    *m = (struct model){.in = {2, 6, 5}};
    int rc = IAU_OK;
    TRY(add_pool(m, 2));
    add_tanh(m);
    TRY(add_conv(m, "first", 3, 2, 1, 0));
    add_tanh(m);
    TRY(add_dense(m, "last", 3));
    rc = finish(m);
out:
    return rc;
}

/* Masks on images and vectors, on the input, after tanh and after ReLU in place. */
static int build_dropout(struct model *m)
{
    *m = (struct model){.in = {2, 7, 6}, .n_dropout = 4};
    int rc = IAU_OK;
    layer_dropout(append(m), m->in, 0.25, 0);
    TRY(add_conv(m, "first", 5, 3, 1, 1));
    add_tanh(m);
    layer_dropout(append(m), (struct shape){5, 7, 6}, 0.5, 1);
    TRY(add_pool(m, 2));
    TRY(add_dense(m, "second", 12));
    add_relu(m);
    layer_dropout(append(m), (struct shape){12, 1, 1}, 0.3, 2);
    TRY(add_dense(m, "third", 9));
    add_relu(m);
    layer_dropout(append(m), (struct shape){9, 1, 1}, 0, 3);
    TRY(add_dense(m, "last", 4));
    rc = finish(m);
out:
    return rc;
}

static int build_relu_first(struct model *m)
{
    *m = (struct model){.in = {11, 1, 1}};
    int rc = IAU_OK;
    add_relu(m);
    add_tanh(m);
    TRY(add_dense(m, "first", 6));
    add_tanh(m);
    TRY(add_dense(m, "last", 3));
    rc = finish(m);
out:
    return rc;
}

const struct example trial_examples[] = {
    {"lenet5 3x32x32, 3 of 16", build_lenet5_colour, 16, 3, 0},
    {"lenet5 1x28x28, 2 of 16", build_lenet5_grey, 16, 2, 0},
    {"lenet5 3x32x32, 16 of 16", build_lenet5_colour, 16, 16, 1},
    {"lenet5 1x28x28, 18 of 64", build_lenet5_grey, 64, 18, 1},
    {"mlp tanh, 16 of 16", build_mlp_tanh, 16, 16, 0},
    {"mlp tanh, 49 of 64", build_mlp_tanh, 64, 49, 0},
    {"mlp relu, 11 of 16", build_mlp_relu, 16, 11, 0},
    {"mlp relu, 64 of 64", build_mlp_relu, 64, 64, 0},
    {"softmax regression, 1 of 16", build_regression, 16, 1, 0},
    {"strided, 16 of 16", build_strided, 16, 16, 0},
    {"strided, 33 of 64", build_strided, 64, 33, 0},
    {"mixed, 7 of 16", build_mixed, 16, 7, 0},
    {"mixed, 64 of 64", build_mixed, 64, 64, 0},
    {"pool first, 16 of 16", build_pool_first, 16, 16, 0},
    {"relu first, 9 of 16", build_relu_first, 16, 9, 0},
    {"dropout, 16 of 16", build_dropout, 16, 16, 0},
    {"dropout, 37 of 64", build_dropout, 64, 37, 0},
    {0},
};

/* --- trials */

/* Kinks nearer than this may be decided otherwise in float. */
static const double margin = 2e-6;

static void fill_samples(struct trial *t, uint64_t seed)
{
    int64_t count = shape_count(t->m.in);
    float *x = mem_alloc(count * t->set.n, sizeof *x);
    harness_fill(x, count * t->set.n, seed);
    for (int k = 0; k < t->u.lanes; k++) {
        int j = k < t->set.n ? k : 0;
        for (int64_t i = 0; i < count; i++)
            t->u.node[0].a[i * t->u.lanes + k] = x[j * count + i];
        t->u.label[k] = (int32_t)(((uint64_t)j * 7 + seed) % (uint64_t)t->m.n_class);
        t->u.weight[k] = k < t->set.n;
    }
    for (int64_t i = 0; i < count * t->set.n; i++)
        t->set.x[i] = x[i];
    memcpy(t->set.label, t->u.label, (size_t)t->set.n * sizeof *t->set.label);
    free(x);
}

void trial_init(struct trial *t, const struct example *e)
{
    *t = (struct trial){.example = e, .set.n = e->n};
    REQUIRE(e->build(&t->m) == IAU_OK && unit_init(&t->u, &t->m, e->lanes, UNIT_TANGENT) == IAU_OK);
    t->u.n = e->n;
    t->set.x = mem_alloc(shape_count(t->m.in) * e->n, sizeof *t->set.x);
    t->set.label = mem_alloc(e->n, sizeof *t->set.label);
    t->w = mem_alloc(t->m.n_param, sizeof *t->w);
    t->g = mem_alloc(t->m.n_param, sizeof *t->g);
    t->wd = mem_alloc(t->m.n_param, sizeof *t->wd);
    t->gd = mem_alloc(t->m.n_param, sizeof *t->gd);
    for (int k = 0; k < e->n; k++)
        t->u.id[k] = 100 - 7 * k;
    t->u.drops = model_has_dropout(&t->m);
    t->u.dropout = (struct dropout){.seed = 5, .epoch = 2, .id = t->u.id};
    t->set.masks = &t->u;
    model_forward(&t->m, t->w, &t->u); /* for the masks */
    for (uint64_t seed = 1; seed < 50 && !(t->truth.margin > margin); seed++) {
        fill_samples(t, seed);
        model_init_params(&t->m, seed, t->w);
        for (int64_t i = 0; i < t->m.n_param; i++)
            t->wd[i] = t->w[i];
        t->truth = reference_run(&t->m, t->wd, &t->set, NULL);
    }
    REQUIRE(t->truth.margin > margin);
    t->truth = reference_run(&t->m, t->wd, &t->set, t->gd);
    model_forward(&t->m, t->w, &t->u);
    model_backward(&t->m, t->w, &t->u, t->g);
}

void trial_free(struct trial *t)
{
    unit_free(&t->u);
    free(t->set.x);
    free(t->set.label);
    free(t->w);
    free(t->g);
    free(t->wd);
    free(t->gd);
}

void trial_run(void (*check)(struct trial *t), int with_heavy)
{
    static struct trial t; /* large */
    for (const struct example *e = trial_examples; e->name; e++) {
        if (e->heavy && !with_heavy)
            continue;
        trial_init(&t, e);
        check(&t);
        trial_free(&t);
    }
}

void trial_expect(const struct trial *t, const char *what, const char *part, double error,
                  double bound)
{
    if (!(error <= bound))
        printf("%s: %s, %s: %.3g, at most %.3g expected\n", t->example->name, what, part, error,
               bound);
    CU_ASSERT(error <= bound);
}

void trial_expect_equal(const struct trial *t, const char *what, const float *a, const double *b,
                        double bound)
{
    for (int i = 0; i < t->m.n_tensor; i++) {
        const struct tensor *p = t->m.tensor[i];
        double difference = 0, size = reference_norm(b + p->offset, p->count);
        for (int64_t k = p->offset; k < p->offset + p->count; k++)
            difference += (a[k] - b[k]) * (a[k] - b[k]);
        trial_expect(t, what, p->name, sqrt(difference) / size, bound);
    }
}

double trial_dot(const float *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void trial_move(const struct trial *t, double h, const double *v, double *out)
{
    for (int64_t i = 0; i < t->m.n_param; i++)
        out[i] = t->wd[i] + h * v[i];
}

void trial_direct(const struct tensor *p, const double *x, uint64_t seed, double *v, int64_t n)
{
    float *random = mem_alloc(p->count, sizeof *random);
    memset(v, 0, (size_t)n * sizeof *v);
    harness_fill(random, p->count, seed);
    for (int64_t i = 0; i < p->count; i++)
        v[p->offset + i] = x ? x[p->offset + i] : random[i];
    double norm = reference_norm(v + p->offset, p->count);
    for (int64_t i = 0; i < p->count; i++)
        v[p->offset + i] /= norm;
    free(random);
}
