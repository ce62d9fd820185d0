/* The engine against PyTorch: outputs, losses, gradients, restricted-loss gradients and IAU steps
 * that fixtures/make_torch_fixtures.py computed in float64. The samples go the program's own way:
 * gathered and normalised, in units dealt over the ranks, exact sums, one reduction. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/shard.h"
#include "harness.h"
#include "io/record.h"
#include "sweep/sweep.h"
#include "train/optimizer.h"
#include "train/restriction.h"
#include "unlearn/iau.h"

enum { UNIT = 16, MAX_SAMPLES = 64 };

static const char *const cases[] = {"lenet5_3", "lenet5_1", "mlp"};
enum { N_CASES = sizeof cases / sizeof *cases };

/* One case of the fixture, on all ranks. */
struct bench {
    const char *name;
    struct record file;
    struct dataset dataset; /* borrows from the file, but for mean and std of a table */
    struct rows rows;       /* borrowed */
    struct model model;
    struct engine engine;
    struct sums sums;
    float *w; /* owned */
};

/* Rows of D_r or D_f, cut into units. */
struct part {
    int64_t n, n_unit;
    int32_t index[MAX_SAMPLES];
    struct piece piece[MAX_SAMPLES / UNIT];
};

__attribute__((format(printf, 2, 3))) static const struct record_array *find(const struct bench *b,
                                                                             const char *fmt, ...)
{
    char name[96], path[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    snprintf(path, sizeof path, "/%s/%s", b->name, name);
    const struct record_array *a = record_find(&b->file, path);
    if (!a)
        printf("the fixture has no %s\n", path);
    REQUIRE(a);
    return a;
}

static double attribute(const struct bench *b, const char *object, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, object[0] ? "/%s/%s" : "/%s%s", b->name, object);
    const struct record_attribute *a = record_attribute_find(&b->file, path, name);
    REQUIRE(a);
    return a->type == RECORD_I64 ? (double)a->i64 : a->f64;
}

static void set_data(struct bench *b)
{
    const struct record_array *x = find(b, "x"), *y = find(b, "y");
    int is_table = x->ndim == 2;
    b->dataset =
        (struct dataset){.path = "torch.h5", .c = (int)x->dims[1], .h = 1, .w = 1, .n_class = 10};
    b->dataset.is_table = is_table;
    b->dataset.is_u8 = x->type == RECORD_U8;
    if (!is_table) {
        b->dataset.h = (int)x->dims[2];
        b->dataset.w = (int)x->dims[3];
        b->dataset.mean = find(b, "mean")->data;
        b->dataset.std = find(b, "std")->data;
    }
    size_t size = (size_t)(b->dataset.c * b->dataset.h * b->dataset.w) *
                  (b->dataset.is_u8 ? 1 : sizeof(float));
    b->rows = (struct rows){.n = x->dims[0], .sample_bytes = size, .x = x->data, .label = y->data};
    CU_ASSERT(b->rows.n <= MAX_SAMPLES && y->type == RECORD_I32);
}

static void set_model(struct bench *b)
{
    int64_t hidden[] = {32, 24};
    struct model_opts opts = {.name = MODEL_LENET5};
    if (b->dataset.is_table)
        opts = (struct model_opts){.name = MODEL_MLP, .hidden = {2, hidden}};
    struct shape in = {b->dataset.c, b->dataset.h, b->dataset.w};
    REQUIRE(model_build(&b->model, &opts, in, b->dataset.n_class) == IAU_OK);
    b->w = mem_alloc(b->model.n_param, sizeof *b->w);
    for (int i = 0; i < b->model.n_tensor; i++) {
        const struct tensor *t = b->model.tensor[i];
        const struct record_array *a = find(b, "params/%s", t->name);
        REQUIRE(a->ndim == t->ndim && !memcmp(a->dims, t->dims, (size_t)t->ndim * sizeof *t->dims));
        memcpy(b->w + t->offset, a->data, (size_t)t->count * sizeof *b->w);
    }
}

static void bench_open(struct bench *b, const char *name, const char *path)
{
    *b = (struct bench){.name = name};
    REQUIRE(record_read(&b->file, path) == IAU_OK);
    set_data(b);
    set_model(b);
    REQUIRE(engine_init(&b->engine, &b->model, &b->dataset, UNIT, NULL, NULL, &test_comm) ==
            IAU_OK);
    REQUIRE(engine_keep(&b->engine, MAX_SAMPLES / UNIT) == IAU_OK);
    REQUIRE(sums_init(&b->sums, 1, &b->model.n_param, N_VALUE, b->engine.n_thread) == IAU_OK);
}

static void bench_close(struct bench *b)
{
    sums_free(&b->sums);
    engine_free(&b->engine);
    free(b->w);
    record_free(&b->file);
}

static void run_cases(void (*check)(struct bench *b))
{
    static struct bench b; /* must not move */
    char *path = harness_fixture("fixtures/torch.h5");
    if (access(path, R_OK) != 0)
        harness_skip("no %s: run tests/fixtures/make_torch_fixtures.py", path);
    else
        for (int i = 0; i < N_CASES; i++) {
            bench_open(&b, cases[i], path);
            check(&b);
            bench_close(&b);
        }
    free(path);
}

static void take_part(const struct bench *b, const char *name, struct part *p)
{
    const struct record_array *a = find(b, "%s", name);
    *p = (struct part){.n = record_count(a)};
    REQUIRE(p->n <= MAX_SAMPLES);
    for (int64_t i = 0; i < p->n; i++)
        p->index[i] = (int32_t)record_value(a, i);
    for (int64_t first = 0; first < p->n; first += UNIT)
        p->piece[p->n_unit++] =
            (struct piece){p->index + first, p->n - first < UNIT ? (int)(p->n - first) : UNIT};
}

static void expect_error(const struct bench *b, const char *what, const char *tensor, double error,
                         double bound)
{
    if (!(error <= bound))
        printf("%s: %s %s: relative error %.3g, at most %.0e expected\n", b->name, what, tensor,
               error, bound);
    CU_ASSERT(error <= bound);
}

static void expect_scalar(const struct bench *b, const char *name, double value)
{
    double truth = record_value(find(b, "%s", name), 0);
    expect_error(b, name, "", fabs(value - truth) / truth, 1e-5);
}

/* Tensor by tensor in norm, over the elements that the fixture holds, and the norm of all. */
static void expect_tensors(const struct bench *b, const char *quantity, const float *x)
{
    for (int i = 0; i < b->model.n_tensor; i++) {
        const struct tensor *t = b->model.tensor[i];
        const struct record_array *a = find(b, "%s/%s", quantity, t->name);
        char object[96];
        snprintf(object, sizeof object, "%s/%s", quantity, t->name);
        int64_t stride = (int64_t)attribute(b, object, "stride"),
                n = (t->count + stride - 1) / stride;
        double norm = 0, all = attribute(b, object, "norm");
        float *own = mem_alloc(n, sizeof *own);
        CU_ASSERT_EQUAL(record_count(a), n);
        for (int64_t k = 0; k < n; k++)
            own[k] = x[t->offset + k * stride];
        for (int64_t k = t->offset; k < t->offset + t->count; k++)
            norm += (double)x[k] * x[k];
        expect_error(b, quantity, t->name, harness_relative_error(own, a->data, n), 1e-5);
        expect_error(b, "norm of", object, fabs(sqrt(norm) - all) / all, 1e-5);
        free(own);
    }
}

/* --- outputs and gradients */

static void check_logits(struct bench *b)
{
    const struct record_array *truth = find(b, "logits");
    const struct work all = {.rows = &b->rows, .n_unit = b->rows.n / UNIT, .n = b->rows.n};
    float z[MAX_SAMPLES * 10];
    struct unit u;
    REQUIRE(unit_init(&u, &b->model, UNIT, UNIT_FORWARD) == IAU_OK);
    for (int64_t i = 0; i < all.n_unit; i++) {
        sweep_gather(&b->engine, &all, i, &u);
        model_forward(&b->model, b->w, &u);
        for (int k = 0; k < UNIT * 10; k++)
            z[i * UNIT * 10 + k] = u.node[b->model.n_layer].a[k % 10 * UNIT + k / 10];
    }
    expect_error(b, "logits", "", harness_relative_error(z, truth->data, all.n_unit * UNIT * 10),
                 1e-5);
    CU_ASSERT_EQUAL(all.n_unit * UNIT * 10, record_count(truth));
    unit_free(&u);
}

static void logits_are_those_of_torch(void)
{
    run_cases(check_logits);
}

/* Mean gradient over a part into g, mean loss returned; the units stay for a product. */
static double mean_gradient(struct bench *b, const struct part *p, float *g, struct work *mine)
{
    struct range own = shard_range(p->n_unit, test_comm.rank, test_comm.size);
    *mine = (struct work){
        .rows = &b->rows, .n_unit = own.end - own.begin, .piece = p->piece + own.begin};
    sums_begin(&b->sums, &p->n);
    sweep_add_step_gradient(&b->engine, b->w, mine, &b->sums, 0, 1);
    CU_ASSERT_EQUAL(sweep_reduce(&b->engine, &b->sums, "a gradient"), IAU_OK);
    sums_mean(&b->sums, 0, 0, b->model.n_param, g);
    return sums_value(&b->sums, 0, VALUE_LOSS) / (double)p->n;
}

static void check_gradients(struct bench *b)
{
    static const char *const names[] = {"retain", "forget"};
    float *g = mem_alloc(b->model.n_param, sizeof *g);
    for (int i = 0; i < 2; i++) {
        struct part p;
        struct work mine;
        char quantity[32];
        take_part(b, names[i], &p);
        double loss = mean_gradient(b, &p, g, &mine);
        snprintf(quantity, sizeof quantity, "loss_%s", names[i]);
        expect_scalar(b, quantity, loss);
        snprintf(quantity, sizeof quantity, "gradient_%s", names[i]);
        expect_tensors(b, quantity, g);
    }
    free(g);
}

static void losses_and_gradients_are_those_of_torch(void)
{
    run_cases(check_gradients);
}

/* --- restriction */

/* As a training step does it: g, its direction, the product on the kept units, g + alpha H v. */
static void check_restriction(struct bench *b, enum restriction_norm norm, double alpha,
                              const char *name)
{
    int64_t n = b->model.n_param;
    float *g = mem_alloc(n, sizeof *g), *v = mem_alloc(n, sizeof *v);
    char quantity[64];
    struct part p;
    struct work mine;
    take_part(b, "retain", &p);
    double loss = mean_gradient(b, &p, g, &mine);
    loss += alpha * restriction_direction(&b->model, norm, g, v);
    sums_begin(&b->sums, &p.n);
    sweep_add_step_product(&b->engine, b->w, v, mine.n_unit, &b->sums);
    CU_ASSERT_EQUAL(sweep_reduce(&b->engine, &b->sums, "a product"), IAU_OK);
    sums_mean(&b->sums, 0, 0, n, v);
    for (int64_t i = 0; i < n; i++)
        g[i] += (float)alpha * v[i];
    snprintf(quantity, sizeof quantity, "restricted_loss_%s", name);
    expect_scalar(b, quantity, loss);
    snprintf(quantity, sizeof quantity, "restricted_%s", name);
    expect_tensors(b, quantity, g);
    free(g);
    free(v);
}

static void check_restrictions(struct bench *b)
{
    check_restriction(b, RESTRICTION_PER_TENSOR, 0.005, "per_tensor_005");
    check_restriction(b, RESTRICTION_PER_TENSOR, 0.1, "per_tensor_100");
    check_restriction(b, RESTRICTION_GLOBAL, 0.005, "global_005");
    check_restriction(b, RESTRICTION_GLOBAL, 0.1, "global_100");
}

static void restricted_gradients_are_those_of_torch(void)
{
    run_cases(check_restrictions);
}

/* --- the IAU step */

/* q = g(D_r) - g(D_f), both means. */
static void find_q(struct bench *b, float *q)
{
    static const char *const names[] = {"retain", "forget"};
    int64_t n = b->model.n_param;
    double *mean[2];
    for (int i = 0; i < 2; i++) {
        struct part p;
        struct work mine;
        mean[i] = mem_alloc(n, sizeof *mean[i]);
        take_part(b, names[i], &p);
        mean_gradient(b, &p, q, &mine);
        sums_total(&b->sums, 0, mean[i]);
        for (int64_t k = 0; k < n; k++)
            mean[i][k] /= (double)p.n;
    }
    iau_combine(n, 1, mean[0], mean[1], q);
    free(mean[0]);
    free(mean[1]);
}

static void take_step(const struct bench *b, enum optimizer_name name, double lr, const float *q,
                      float *w)
{
    struct optimizer o;
    struct optimizer_opts opts = {.name = name, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    REQUIRE(optimizer_init(&o, &opts, b->model.n_param) == IAU_OK);
    memcpy(w, b->w, (size_t)b->model.n_param * sizeof *w);
    optimizer_step(&o, lr, w, q);
    optimizer_free(&o);
}

/* How far the parameters have moved, tensor by tensor in norm, over the stored elements with |q| >
 * least. A parameter after the step carries its rounding, |w| 2^-24 on either side, and no bound
 * can ask for more. */
static void expect_moves(const struct bench *b, const char *quantity, const float *q, double least,
                         const float *w)
{
    int64_t n_judged = 0, n_stored = 0;
    for (int i = 0; i < b->model.n_tensor; i++) {
        const struct tensor *t = b->model.tensor[i];
        const struct record_array *a = find(b, "%s/%s", quantity, t->name);
        char object[96];
        snprintf(object, sizeof object, "%s/%s", quantity, t->name);
        int64_t stride = (int64_t)attribute(b, object, "stride");
        double error = 0, size = 0;
        for (int64_t k = 0; k < record_count(a); k++, n_stored++) {
            int64_t at = t->offset + k * stride;
            double truth = record_value(a, k), off = fabs(w[at] - truth) - 0x1p-23 * fabs(truth);
            if (!(fabsf(q[at]) > least))
                continue;
            n_judged++;
            error += off > 0 ? off * off : 0;
            size += (truth - b->w[at]) * (truth - b->w[at]);
        }
        expect_error(b, quantity, t->name, sqrt(error / size), 1e-5);
    }
    CU_ASSERT(n_judged > n_stored / 2);
}

static void check_iau(struct bench *b)
{
    int64_t n = b->model.n_param;
    float *q = mem_alloc(n, sizeof *q), *w = mem_alloc(n, sizeof *w);
    double lr = attribute(b, "", "lr_sgd");
    find_q(b, q);
    take_step(b, OPTIMIZER_SGD, lr, q, w);
    expect_moves(b, "iau_sgd", q, 0, w);
    lr = attribute(b, "", "lr_adam");
    take_step(b, OPTIMIZER_ADAM, lr, q, w);
    expect_moves(b, "iau_adam", q, 1e-6, w); /* nearly lr sign(q): below that, rounding decides */
    free(q);
    free(w);
}

static void iau_steps_are_those_of_torch(void)
{
    run_cases(check_iau);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"logits are those of torch", logits_are_those_of_torch},
        {"losses and gradients are those of torch", losses_and_gradients_are_those_of_torch},
        {"restricted gradients are those of torch", restricted_gradients_are_those_of_torch},
        {"IAU steps are those of torch", iau_steps_are_those_of_torch},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "torch", tests);
}
