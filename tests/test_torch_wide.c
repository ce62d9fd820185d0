/* Reduced ResNet-18 and VGG-19 with batch norm against what PyTorch computed in float64: names,
 * losses, gradients, Hessian and Gauss-Newton products, restricted gradients and running
 * statistics. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "io/record.h"
#include "kernel/vector.h"
#include "nn/model.h"
#include "train/restriction.h"

enum { N = GROUP_SAMPLES, N_CLASS = 10 };

static const struct model_opts models[] = {{.name = MODEL_RESNET18, .width = 4},
                                           {.name = MODEL_VGG19, .width = 3}};
static const char *const names[] = {"resnet18", "vgg19"};
static const double bound = 1e-4;

struct bench {
    const char *name;
    struct record file;
    struct model m;
    struct unit u;
    float *w, *g, *v, *h; /* owned, [n_param + n_buffer] */
};

static const struct record_array *find(const struct bench *b, const char *quantity)
{
    char path[96];
    snprintf(path, sizeof path, "/%s/%s", b->name, quantity);
    const struct record_array *a = record_find(&b->file, path);
    if (!a)
        printf("the fixture has no %s\n", path);
    REQUIRE(a);
    return a;
}

static double root_attribute(const struct bench *b, const char *name)
{
    const struct record_attribute *a = record_attribute_find(&b->file, "/", name);
    REQUIRE(a);
    return a->type == RECORD_I64 ? (double)a->i64 : a->f64;
}

static void fill_unit(struct bench *b)
{
    const struct record_array *x = find(b, "x"), *y = find(b, "y");
    double mean = root_attribute(b, "mean"), std = root_attribute(b, "std");
    int64_t d = shape_count(b->m.in);
    CU_ASSERT_EQUAL_FATAL(record_count(x), N * d);
    for (int s = 0; s < N; s++) {
        for (int64_t i = 0; i < d; i++)
            b->u.node[0].a[i * N + s] =
                (float)((((const uint8_t *)x->data)[s * d + i] / 255.0 - mean) / std);
        b->u.label[s] = ((const int32_t *)y->data)[s];
        b->u.weight[s] = 1;
    }
    b->u.n = N;
}

static void open_case(struct bench *b, int which, const char *path)
{
    *b = (struct bench){.name = names[which]};
    CU_ASSERT_EQUAL_FATAL(record_read(&b->file, path), IAU_OK);
    const struct record_array *x = find(b, "x"), *w = find(b, "params"),
                              *buffers = find(b, "buffers");
    struct shape in = {(int)x->dims[1], (int)x->dims[2], (int)x->dims[3]};
    CU_ASSERT_EQUAL_FATAL(model_build(&b->m, &models[which], in, N_CLASS), IAU_OK);
    CU_ASSERT_EQUAL_FATAL(record_count(w), b->m.n_param);
    CU_ASSERT_EQUAL_FATAL(record_count(buffers), b->m.n_buffer);
    float **vector[] = {&b->w, &b->g, &b->v, &b->h};
    for (int i = 0; i < 4; i++)
        *vector[i] = mem_alloc(model_state_floats(&b->m), sizeof(float));
    memcpy(b->w, w->data, (size_t)b->m.n_param * sizeof *b->w);
    memcpy(b->w + b->m.n_param, buffers->data, (size_t)b->m.n_buffer * sizeof *b->w);
    CU_ASSERT_EQUAL_FATAL(unit_init(&b->u, &b->m, N, UNIT_TANGENT), IAU_OK);
    fill_unit(b);
}

static void close_case(struct bench *b)
{
    unit_free(&b->u);
    record_free(&b->file);
    free(b->w);
    free(b->g);
    free(b->v);
    free(b->h);
}

static void run_cases(void (*check)(struct bench *b))
{
    static struct bench b;
    char *path = harness_fixture("fixtures/torch_wide.h5");
    if (access(path, R_OK) != 0)
        harness_skip("no %s: run tests/fixtures/make_torch_fixtures_wide.py", path);
    else
        for (int i = 0; i < 2; i++) {
            open_case(&b, i, path);
            check(&b);
            close_case(&b);
        }
    free(path);
}

/* factor x `got` [n_param] against the stored elements. */
static void compare(const struct bench *b, const char *quantity, const float *got, double factor)
{
    const struct record_array *a = find(b, quantity);
    int64_t n = record_count(a), stride = (int64_t)root_attribute(b, "stride");
    double error = 0, norm = 0;
    CU_ASSERT_EQUAL_FATAL(n, (b->m.n_param + stride - 1) / stride);
    for (int64_t i = 0; i < n; i++) {
        double want = record_value(a, i), e = factor * got[i * stride] - want;
        error += e * e;
        norm += want * want;
    }
    if (!(sqrt(error / norm) < bound))
        printf("%s: %s differs by %.2e\n", b->name, quantity, sqrt(error / norm));
    CU_ASSERT(sqrt(error / norm) < bound);
}

static void names_are_torchs_in_its_order(struct bench *b)
{
    char path[32], *text, *save = NULL;
    snprintf(path, sizeof path, "/%s", b->name);
    CU_ASSERT_PTR_NOT_NULL_FATAL((text = mem_strdup(record_text(&b->file, path, "names", ""))));
    int t = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), t++)
        CU_ASSERT(t < b->m.n_tensor && strcmp(b->m.tensor[t]->name, line) == 0);
    CU_ASSERT_EQUAL(t, b->m.n_tensor);
    free(text);
}

/* Loss, gradient, and products along the normalised gradient; leaves g and v [n_param]. */
static void check_mode(struct bench *b, enum norm_mode norm, const char *mode)
{
    char quantity[32];
    b->u.norm = norm;
    model_forward(&b->m, b->w, &b->u);
    model_backward(&b->m, b->w, &b->u, b->g);
    snprintf(quantity, sizeof quantity, "loss_%s", mode);
    CU_ASSERT(fabs(unit_loss(&b->u) / N / record_value(find(b, quantity), 0) - 1) < 1e-5);
    snprintf(quantity, sizeof quantity, "gradient_%s", mode);
    compare(b, quantity, b->g, 1.0 / N);
    restriction_direction(&b->m, RESTRICTION_GLOBAL, b->g, b->v);
    model_hessian_product(&b->m, b->w, b->v, &b->u, b->h);
    snprintf(quantity, sizeof quantity, "hvp_%s", mode);
    compare(b, quantity, b->h, 1.0 / N);
    model_gauss_newton_product(&b->m, b->w, b->v, &b->u, b->h);
    snprintf(quantity, sizeof quantity, "gauss_newton_%s", mode);
    compare(b, quantity, b->h, 1.0 / N);
}

static void check_training_mode(struct bench *b)
{
    check_mode(b, NORM_GROUP, "train");
    model_backward(&b->m, b->w, &b->u, b->g); /* anew: the last product went over what it left */
    for (int norm = RESTRICTION_PER_TENSOR; norm <= RESTRICTION_GLOBAL; norm++) {
        double alpha = root_attribute(b, "alpha");
        restriction_direction(&b->m, norm, b->g, b->v);
        model_hessian_product(&b->m, b->w, b->v, &b->u, b->h);
        for (int64_t i = 0; i < b->m.n_param; i++)
            b->h[i] = b->g[i] + (float)alpha * b->h[i];
        compare(b, norm == RESTRICTION_PER_TENSOR ? "restricted_per_tensor" : "restricted_global",
                b->h, 1.0 / N);
    }
}

static void check_running_statistics(struct bench *b)
{
    const struct record_array *after = find(b, "buffers_after");
    b->u.norm = NORM_GROUP;
    model_forward(&b->m, b->w, &b->u);
    model_backward(&b->m, b->w, &b->u, b->g);
    for (int64_t i = b->m.n_param; i < model_state_floats(&b->m); i++)
        b->g[i] /= N;
    model_update_buffers(&b->m, b->g, b->w);
    CU_ASSERT(harness_relative_error(b->w + b->m.n_param, after->data, b->m.n_buffer) < 1e-6);
    for (int64_t i = 0; i < b->m.n_buffer; i++)
        CU_ASSERT(fabs(b->w[b->m.n_param + i] - record_value(after, i)) <
                  1e-5 * (1 + fabs(record_value(after, i))));
}

static void check_evaluation_mode(struct bench *b)
{
    check_mode(b, NORM_FROZEN, "eval");
    const struct record_array *z = find(b, "logits_eval");
    const float *top = b->u.node[b->m.n_layer].a;
    double error = 0, norm = 0;
    for (int i = 0; i < N * N_CLASS; i++) {
        double want = record_value(z, i), e = top[i % N_CLASS * N + i / N_CLASS] - want;
        error += e * e;
        norm += want * want;
    }
    CU_ASSERT(sqrt(error / norm) < 1e-5);
}

static void names_are_those_of_torch(void)
{
    run_cases(names_are_torchs_in_its_order);
}

static void training_mode_equals_torch(void)
{
    run_cases(check_training_mode);
}

static void running_statistics_equal_torch(void)
{
    run_cases(check_running_statistics);
}

static void evaluation_mode_equals_torch(void)
{
    run_cases(check_evaluation_mode);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"names are those of torch", names_are_those_of_torch},
                           {"training mode equals torch", training_mode_equals_torch},
                           {"running statistics equal torch", running_statistics_equal_torch},
                           {"evaluation mode equals torch", evaluation_mode_equals_torch},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "torch_wide", tests);
}
