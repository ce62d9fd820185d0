/* The engine against PyTorch: outputs, losses, gradients, restricted-loss gradients and IAU steps
 * that fixtures/make_torch_fixtures.py computed in float64. The samples go the program's own way:
 * gathered and normalised, in units dealt over the ranks, exact sums, one reduction. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/shard.h"
#include "harness.h"
#include "torch_case.h"
#include "train/optimizer.h"
#include "train/restriction.h"
#include "unlearn/iau.h"

enum { UNIT = 16, MAX_SAMPLES = 64 };

static const char *const cases[] = {"lenet5_3", "lenet5_1", "mlp"};
enum { N_CASES = sizeof cases / sizeof *cases };
static const double bound = 1e-5;

/* One case of the fixture, on all ranks. */
struct bench {
    struct torch_case torch;
    struct engine engine;
    struct sums sums;
};

/* Rows of D_r or D_f, cut into units. */
struct part {
    int64_t n, n_unit;
    int32_t index[MAX_SAMPLES];
    struct piece piece[MAX_SAMPLES / UNIT];
};

static void bench_open(struct bench *b, const char *name)
{
    struct torch_case *c = &b->torch;
    *b = (struct bench){0};
    torch_case_open(c, name);
    REQUIRE(c->rows.n <= MAX_SAMPLES);
    REQUIRE(engine_init(&b->engine, &c->model, &c->dataset, UNIT, NULL, NULL, &test_comm) ==
            IAU_OK);
    REQUIRE(engine_keep(&b->engine, MAX_SAMPLES / UNIT) == IAU_OK);
    REQUIRE(sums_init(&b->sums, 1, &c->model.n_param, N_VALUE, b->engine.n_thread) == IAU_OK);
}

static void bench_close(struct bench *b)
{
    sums_free(&b->sums);
    engine_free(&b->engine);
    torch_case_close(&b->torch);
}

static void run_cases(void (*check)(struct bench *b))
{
    static struct bench b; /* must not move */
    for (int i = 0; i < N_CASES; i++) {
        bench_open(&b, cases[i]);
        check(&b);
        bench_close(&b);
    }
}

static const struct record_array *find(const struct bench *b, const char *item)
{
    return torch_find(&b->torch, &b->torch.inputs, "%s", item);
}

static void take_part(const struct bench *b, const char *name, struct part *p)
{
    const struct record_array *a = find(b, name);
    *p = (struct part){.n = record_count(a)};
    REQUIRE(p->n <= MAX_SAMPLES);
    for (int64_t i = 0; i < p->n; i++)
        p->index[i] = (int32_t)record_value(a, i);
    for (int64_t first = 0; first < p->n; first += UNIT)
        p->piece[p->n_unit++] =
            (struct piece){p->index + first, p->n - first < UNIT ? (int)(p->n - first) : UNIT};
}

static void expect_scalar(const struct bench *b, const char *name, double value)
{
    double truth = record_value(find(b, name), 0);
    torch_expect_error(&b->torch, name, "", fabs(value - truth) / truth, bound);
}

static void expect_tensors(const struct bench *b, const char *quantity, const float *x)
{
    torch_expect(&b->torch, &b->torch.inputs, quantity, x, bound);
}

/* --- outputs and gradients */

static void check_logits(struct bench *b)
{
    const struct record_array *truth = find(b, "logits");
    const struct work all = {
        .rows = &b->torch.rows, .n_unit = b->torch.rows.n / UNIT, .n = b->torch.rows.n};
    float z[MAX_SAMPLES * 10];
    struct unit u;
    REQUIRE(unit_init(&u, &b->torch.model, UNIT, UNIT_FORWARD) == IAU_OK);
    for (int64_t i = 0; i < all.n_unit; i++) {
        sweep_gather(&b->engine, &all, i, &u);
        model_forward(&b->torch.model, b->torch.w, &u);
        for (int k = 0; k < UNIT * 10; k++)
            z[i * UNIT * 10 + k] = u.node[b->torch.model.n_layer].a[k % 10 * UNIT + k / 10];
    }
    torch_expect_error(&b->torch, "logits", "",
                       harness_relative_error(z, truth->data, all.n_unit * UNIT * 10), bound);
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
        .rows = &b->torch.rows, .n_unit = own.end - own.begin, .piece = p->piece + own.begin};
    sums_begin(&b->sums, &p->n);
    sweep_add_step_gradient(&b->engine, b->torch.w, mine, &b->sums, 0, 1);
    CU_ASSERT_EQUAL(sweep_reduce(&b->engine, &b->sums, "a gradient"), IAU_OK);
    sums_mean(&b->sums, 0, 0, b->torch.model.n_param, g);
    return sums_value(&b->sums, 0, VALUE_LOSS) / (double)p->n;
}

static void check_gradients(struct bench *b)
{
    static const char *const names[] = {"retain", "forget"};
    float *g = mem_alloc(b->torch.model.n_param, sizeof *g);
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
    int64_t n = b->torch.model.n_param;
    float *g = mem_alloc(n, sizeof *g), *v = mem_alloc(n, sizeof *v);
    char quantity[64];
    struct part p;
    struct work mine;
    take_part(b, "retain", &p);
    double loss = mean_gradient(b, &p, g, &mine);
    loss += alpha * restriction_direction(&b->torch.model, norm, g, v);
    sums_begin(&b->sums, &p.n);
    sweep_add_step_product(&b->engine, b->torch.w, v, mine.n_unit, &b->sums);
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
    int64_t n = b->torch.model.n_param;
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
    REQUIRE(optimizer_init(&o, &opts, b->torch.model.n_param) == IAU_OK);
    memcpy(w, b->torch.w, (size_t)b->torch.model.n_param * sizeof *w);
    optimizer_step(&o, lr, w, q);
    optimizer_free(&o);
}

static void check_iau(struct bench *b)
{
    int64_t n = b->torch.model.n_param;
    float *q = mem_alloc(n, sizeof *q), *w = mem_alloc(n, sizeof *w);
    double lr = torch_attribute(&b->torch, &b->torch.inputs, "", "lr_sgd");
    find_q(b, q);
    take_step(b, OPTIMIZER_SGD, lr, q, w);
    torch_expect_moves(&b->torch, &b->torch.inputs, "iau_sgd", w, q, 0, bound);
    lr = torch_attribute(&b->torch, &b->torch.inputs, "", "lr_adam");
    take_step(b, OPTIMIZER_ADAM, lr, q, w);
    /* Nearly lr sign(q): below that, rounding decides. */
    torch_expect_moves(&b->torch, &b->torch.inputs, "iau_adam", w, q, 1e-6, bound);
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
