/* Times every convolution and dense layer of the four models by itself, and a unit's gradient
 * beside what exact sums and the update add to it, for `make bench`. One thread; a JSON object a
 * line: the machine, layers, models.
 *
 * usage: layers [MODEL...]   lenet5, mlp, resnet18, vgg19; all without
 * Layers of equal shapes are timed once and counted. FLOPs are nominal: those of the plain sums,
 * whatever a kernel makes of them. Bytes are the least that must move: every input, output and
 * weight once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/timer.h"
#include "kernel/conv.h"
#include "kernel/dense.h"
#include "kernel/gemm.h"
#include "nn/model.h"
#include "train/optimizer.h"

enum { REPEATS = 5, SGEMM_N = 1024, SHAPE_CHARS = 80 };
static const int64_t COPY_BYTES = (int64_t)1 << 28; /* far beyond every cache */
static const double LEAST_SECONDS = 0.1; /* short work is repeated until it took so long in all */

/* A model as `make bench` trains it. */
struct subject {
    const char *name;
    enum model_name model;
    struct shape in;
    int n_class, lanes;
};

static const struct subject subjects[] = {
    {"lenet5", MODEL_LENET5, {3, 32, 32}, 10, 16},
    {"mlp", MODEL_MLP, {600, 1, 1}, 100, 64},
    {"resnet18", MODEL_RESNET18, {3, 32, 32}, 10, 64},
    {"vgg19", MODEL_VGG19, {3, 32, 32}, 10, 64},
};

enum pass { PASS_FORWARD, PASS_INPUT_GRAD, PASS_WEIGHT_GRAD, N_PASS };
static const char *const pass_name[N_PASS] = {"forward", "input gradient", "weight gradient"};

/* What is timed; a layer's arrays are as long as the model's longest need. */
struct bench {
    const struct subject *subject;
    struct model model;
    struct unit unit;
    struct optimizer optimizer;
    const struct layer *layer;
    enum pass pass;
    float *in, *out, *din, *dout, *scratch; /* owned, of one layer */
    float *w, *dw;                          /* owned, [n_param + n_buffer] */
    int64_t *acc;                           /* owned, [n_param] */
};

/* Seconds of the fastest of several calls; the first, which warms up, does not count. */
static double best_seconds(void (*work)(void *), void *ctx)
{
    double best = INFINITY, spent = 0;
    for (int i = 0; i <= REPEATS || spent < LEAST_SECONDS; i++) {
        double start = timer_now_s();
        work(ctx);
        double seconds = timer_now_s() - start;
        spent += seconds;
        best = i > 0 && seconds < best ? seconds : best;
    }
    return best;
}

static void fill(float *x, int64_t n)
{
    struct rng rng = {1, RNG_SHUFFLE, 0};
    for (int64_t i = 0; i < n; i++)
        x[i] = 2 * rng_uniform(&rng, (uint64_t)i) - 1;
}

struct machine {
    float *a, *b, *c; /* owned, [SGEMM_N][SGEMM_N] */
    char *from, *to;  /* owned, [COPY_BYTES] */
};

static void run_sgemm(void *ctx)
{
    struct machine *m = ctx;
    gemm(GEMM_N, GEMM_N, SGEMM_N, SGEMM_N, SGEMM_N, m->a, SGEMM_N, m->b, SGEMM_N, 0, m->c, SGEMM_N);
}

static void run_copy(void *ctx)
{
    struct machine *m = ctx;
    memcpy(m->to, m->from, (size_t)COPY_BYTES);
}

static int print_machine(void)
{
    int rc = IAU_OK;
    int64_t n = (int64_t)SGEMM_N * SGEMM_N;
    struct machine m = {.a = mem_alloc(n, sizeof *m.a),
                        .b = mem_alloc(n, sizeof *m.b),
                        .c = mem_alloc(n, sizeof *m.c),
                        .from = mem_alloc(COPY_BYTES, 1),
                        .to = mem_alloc(COPY_BYTES, 1)};
    if (!m.a || !m.b || !m.c || !m.from || !m.to)
        TRY(FAIL(IAU_ERR_MEM, "no memory to measure the machine"));
    fill(m.a, n);
    fill(m.b, n);
    memset(m.from, 1, (size_t)COPY_BYTES);
    memset(m.to, 2, (size_t)COPY_BYTES);
    double sgemm = 2.0 * SGEMM_N * (double)n / best_seconds(run_sgemm, &m);
    double copy = 2.0 * (double)COPY_BYTES / best_seconds(run_copy, &m);
    printf("{\"kind\": \"machine\", \"blas_core\": \"%s\", \"sgemm_gflops\": %.6g, \"copy_gb_s\": "
           "%.6g}\n",
           gemm_core_name(), 1e-9 * sgemm, 1e-9 * copy);
out:
    free(m.a);
    free(m.b);
    free(m.c);
    free(m.from);
    free(m.to);
    return rc;
}

static int is_kind(const struct layer *l, const char *kind)
{
    return strcmp(l->ops->kind, kind) == 0;
}

static int has_products(const struct layer *l)
{
    return is_kind(l, "conv2d") || is_kind(l, "dense");
}

static int same_shape(const struct layer *a, const struct layer *b)
{
    return a->ops == b->ops && memcmp(&a->in, &b->in, sizeof a->in) == 0 &&
           memcmp(&a->out, &b->out, sizeof a->out) == 0 && a->k == b->k && a->stride == b->stride &&
           a->pad == b->pad && a->n_tensor == b->n_tensor;
}

static void run_conv(const struct bench *b, const struct layer *l)
{
    struct conv_shape s = {l->in.c,  l->in.h, l->in.w,   l->out.c, l->out.h,
                           l->out.w, l->k,    l->stride, l->pad,   b->subject->lanes};
    const float *in = b->in, *dout = b->dout, *w = b->w + l->tensor[0].offset;
    int has_bias = l->n_tensor > 1;
    if (b->pass == PASS_FORWARD)
        conv_forward(&s, 1, &in, &w, has_bias ? b->w + l->tensor[1].offset : NULL, b->out,
                     b->scratch);
    else if (b->pass == PASS_INPUT_GRAD)
        conv_input_grad(&s, 1, &dout, &w, b->din, b->scratch);
    else
        conv_weight_grad(&s, 1, &in, &dout, b->dw + l->tensor[0].offset,
                         has_bias ? b->dw + l->tensor[1].offset : NULL, b->scratch);
}

static void run_dense(const struct bench *b, const struct layer *l)
{
    struct dense_shape s = {(int)shape_count(l->in), l->out.c, b->subject->lanes};
    const float *in = b->in, *dout = b->dout, *w = b->w + l->tensor[0].offset;
    if (b->pass == PASS_FORWARD)
        dense_forward(&s, 1, &in, &w, b->w + l->tensor[1].offset, b->out);
    else if (b->pass == PASS_INPUT_GRAD)
        dense_input_grad(&s, 1, &dout, &w, b->din);
    else
        dense_weight_grad(&s, 1, &in, &dout, b->dw + l->tensor[0].offset,
                          b->dw + l->tensor[1].offset);
}

static void run_pass(void *ctx)
{
    const struct bench *b = ctx;
    (is_kind(b->layer, "conv2d") ? run_conv : run_dense)(b, b->layer);
}

static void run_gradient(void *ctx)
{
    struct bench *b = ctx;
    model_forward(&b->model, b->w, &b->unit);
    model_backward(&b->model, b->w, &b->unit, b->dw);
}

static void run_exact_set(void *ctx)
{
    const struct bench *b = ctx;
    exact_set(b->acc, b->dw, b->model.n_param, exact_scale(b->subject->lanes, EXACT_BITS_VALUE),
              EXACT_BITS_VALUE);
}

static void run_exact_to_float(void *ctx)
{
    const struct bench *b = ctx;
    int lanes = b->subject->lanes;
    exact_to_float(b->dw, b->acc, b->model.n_param, exact_scale(lanes, EXACT_BITS_VALUE),
                   1.0 / lanes);
}

static void run_update(void *ctx)
{
    struct bench *b = ctx;
    optimizer_step(&b->optimizer, b->optimizer.opts.lr, b->w, b->dw);
}

static void shape_text(const struct layer *l, char text[SHAPE_CHARS])
{
    if (is_kind(l, "dense"))
        snprintf(text, SHAPE_CHARS, "%lld -> %d", (long long)shape_count(l->in), l->out.c);
    else
        snprintf(text, SHAPE_CHARS, "%dx%dx%d -> %dx%dx%d, %dx%d stride %d", l->in.c, l->in.h,
                 l->in.w, l->out.c, l->out.h, l->out.w, l->k, l->k, l->stride);
}

/* All passes of layer i, which stands for `count` equal ones. A layer on the samples has no input
 * gradient. */
static void print_layer(struct bench *b, int i, int count)
{
    const struct layer *l = b->layer = &b->model.layer[i];
    int name_length = (int)(strlen(l->tensor[0].name) - strlen(".weight"));
    char text[SHAPE_CHARS];
    double lanes = b->subject->lanes, weights = (double)l->tensor[0].count;
    double places = is_kind(l, "conv2d") ? (double)l->out.h * l->out.w : 1;
    double flops = 2 * lanes * places * weights;
    double bytes =
        sizeof(float) * (lanes * (double)(shape_count(l->in) + shape_count(l->out)) + weights);
    shape_text(l, text);
    for (b->pass = 0; b->pass < N_PASS; b->pass++) {
        if (b->pass == PASS_INPUT_GRAD && layer_source(l, i) == 0)
            continue;
        double seconds = best_seconds(run_pass, b);
        printf(
            "{\"kind\": \"%s\", \"model\": \"%s\", \"layer\": \"%.*s\", \"count\": %d, \"shape\": "
            "\"%s\", "
            "\"lanes\": %d, \"pass\": \"%s\", \"flops\": %.0f, \"bytes\": %.0f, \"seconds\": %.6g, "
            "\"gflops\": %.6g}\n",
            is_kind(l, "dense") ? "dense" : "conv", b->subject->name, name_length,
            l->tensor[0].name, count, text, b->subject->lanes, pass_name[b->pass], flops, bytes,
            seconds, 1e-9 * flops / seconds);
    }
}

static void print_layers(struct bench *b)
{
    const struct model *m = &b->model;
    for (int i = 0; i < m->n_layer; i++) {
        int before = 0, count = 0;
        for (int j = 0; j < m->n_layer && has_products(&m->layer[i]); j++) {
            int same = same_shape(&m->layer[i], &m->layer[j]);
            before += same && j < i;
            count += same;
        }
        if (count && !before)
            print_layer(b, i, count);
    }
}

static void print_model(struct bench *b)
{
    double gradient = best_seconds(run_gradient, b), set = best_seconds(run_exact_set, b);
    double to_float = best_seconds(run_exact_to_float, b), update = best_seconds(run_update, b);
    printf("{\"kind\": \"model\", \"model\": \"%s\", \"lanes\": %d, \"n_param\": %lld, "
           "\"n_buffer\": %lld, "
           "\"gradient_s\": %.6g, \"exact_set_s\": %.6g, \"exact_to_float_s\": %.6g, \"update_s\": "
           "%.6g}\n",
           b->subject->name, b->subject->lanes, (long long)b->model.n_param,
           (long long)b->model.n_buffer, gradient, set, to_float, update);
}

/* The longest arrays and the largest workspace that a layer of the model wants. */
static int allocate(struct bench *b)
{
    const struct model *m = &b->model;
    int64_t in = 0, out = 0, scratch = 0, lanes = b->subject->lanes;
    for (int i = 0; i < m->n_layer; i++) {
        const struct layer *l = &m->layer[i];
        int64_t s = l->ops->scratch_floats(l, (int)lanes), n_in = shape_count(l->in),
                n_out = shape_count(l->out);
        in = n_in > in ? n_in : in;
        out = n_out > out ? n_out : out;
        scratch = s > scratch ? s : scratch;
    }
    b->in = mem_alloc(in * lanes, sizeof *b->in);
    b->din = mem_alloc(in * lanes, sizeof *b->din);
    b->out = mem_alloc(out * lanes, sizeof *b->out);
    b->dout = mem_alloc(out * lanes, sizeof *b->dout);
    b->scratch = mem_alloc(scratch, sizeof *b->scratch);
    b->w = mem_alloc(model_state_floats(m), sizeof *b->w);
    b->dw = mem_alloc(model_state_floats(m), sizeof *b->dw);
    b->acc = mem_alloc(m->n_param, sizeof *b->acc);
    if (!b->in || !b->din || !b->out || !b->dout || !b->scratch || !b->w || !b->dw || !b->acc)
        return FAIL(IAU_ERR_MEM, "no memory for the layers of %s", b->subject->name);
    fill(b->in, in * lanes);
    fill(b->dout, out * lanes);
    return IAU_OK;
}

static int setup(struct bench *b)
{
    int rc = IAU_OK;
    int64_t hidden[] = {256, 128};
    struct model_opts opts = {.name = b->subject->model, .hidden = {2, hidden}, .width = 64};
    struct optimizer_opts adam = {OPTIMIZER_ADAM, 1e-4, 0, 0, .9, .999, 1e-8};
    TRY(model_build(&b->model, &opts, b->subject->in, b->subject->n_class));
    TRY(unit_init(&b->unit, &b->model, b->subject->lanes, UNIT_GRADIENT));
    TRY(allocate(b));
    TRY(optimizer_init(&b->optimizer, &adam, b->model.n_param));
    model_init_params(&b->model, 1, b->w);
    fill(b->unit.node[0].a, shape_count(b->model.in) * b->unit.lanes);
    b->unit.n = b->unit.lanes;
    b->unit.norm = model_has_groups(&b->model) ? NORM_GROUP : NORM_FROZEN;
    for (int k = 0; k < b->unit.lanes; k++) {
        b->unit.label[k] = k % b->subject->n_class;
        b->unit.weight[k] = 1;
    }
out:
    return rc;
}

static int run_subject(const struct subject *subject)
{
    int rc = IAU_OK;
    struct bench b = {.subject = subject};
    TRY(setup(&b));
    print_layers(&b);
    print_model(&b);
out:
    unit_free(&b.unit);
    optimizer_free(&b.optimizer);
    float *arrays[] = {b.in, b.out, b.din, b.dout, b.scratch, b.w, b.dw};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(b.acc);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = IAU_OK;
    gemm_start();
    TRY(print_machine());
    for (size_t k = 0; k < sizeof subjects / sizeof *subjects; k++) {
        int wanted = argc == 1;
        for (int i = 1; i < argc; i++)
            wanted |= strcmp(argv[i], subjects[k].name) == 0;
        if (wanted)
            TRY(run_subject(&subjects[k]));
    }
out:
    if (rc != IAU_OK)
        error_show(-1);
    return error_exit_status(rc);
}
