/* Each layer, in a small net of its own, against what PyTorch computed in float64: outputs, losses,
 * gradients, Hessian and Gauss-Newton products, and running statistics. The nets are built from the
 * lists of layers that stand in the fixture. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "io/record.h"
#include "nn/model.h"

enum { N = 20, LANES = 32, N_CLASS = 4, LINES_MAX = 16 };

static const double bound = 2e-5;

struct bench {
    const struct record *file; /* borrowed */
    const char *name;
    char path[64]; /* of its group */
    struct model m;
    struct unit u;
    float *w, *v, *g; /* owned, [n_param + n_buffer] */
};

/* Of the case, or of one of its modes where `mode` is not "". */
static const struct record_array *find(const struct bench *b, const char *mode, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s%s%s/%s", b->path, mode[0] ? "/" : "", mode, name);
    const struct record_array *a = record_find(b->file, path);
    if (!a)
        printf("the fixture has no %s\n", path);
    REQUIRE(a);
    return a;
}

static const struct record_array *find_root(const struct bench *b, const char *path)
{
    const struct record_array *a = record_find(b->file, path);
    REQUIRE(a);
    return a;
}

/* An attribute of the case, cut into lines; the caller frees list->v[0]. */
static void lines_of(const struct bench *b, const char *attribute, struct text_list *list,
                     char *line[LINES_MAX])
{
    char *text = mem_strdup(record_text(b->file, b->path, attribute, "")), *save = NULL;
    REQUIRE(text);
    *list = (struct text_list){0, line};
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        REQUIRE(list->n < LINES_MAX);
        line[list->n++] = l;
    }
    REQUIRE(list->n > 0);
}

static void build(struct bench *b)
{
    const struct record_array *x = find_root(b, "/x");
    struct shape in = {(int)x->dims[1], (int)x->dims[2], (int)x->dims[3]};
    struct text_list list;
    char *line[LINES_MAX];
    lines_of(b, "layers", &list, line);
    REQUIRE(x->dims[0] == N && model_build_list(&b->m, b->name, &list, in, N_CLASS) == IAU_OK);
    free(list.v[0]);
}

/* Lanes without a sample hold a copy of the first, at weight 0, as they do in the engine. */
static void fill_unit(struct bench *b)
{
    const uint8_t *x = find_root(b, "/x")->data;
    const int32_t *y = find_root(b, "/y")->data;
    int64_t d = shape_count(b->m.in);
    for (int i = 0; i < LANES; i++) {
        int s = i < N ? i : 0;
        for (int64_t k = 0; k < d; k++)
            b->u.node[0].a[k * LANES + i] = ((float)x[s * d + k] - 127.5f) / 64;
        b->u.label[i] = y[s];
        b->u.weight[i] = i < N;
    }
    b->u.n = N;
}

static void bench_open(struct bench *b, const struct record *file, const char *name)
{
    *b = (struct bench){.file = file, .name = name};
    snprintf(b->path, sizeof b->path, "/%s", name);
    build(b);
    const struct record_array *w = find(b, "", "params"), *v = find_root(b, "/v");
    float **vector[] = {&b->w, &b->v, &b->g};
    for (int i = 0; i < 3; i++)
        REQUIRE((*vector[i] = mem_alloc(model_state_floats(&b->m), sizeof(float))));
    REQUIRE(record_count(w) == b->m.n_param && record_count(v) >= b->m.n_param);
    memcpy(b->w, w->data, (size_t)b->m.n_param * sizeof *b->w);
    for (int64_t i = 0; i < b->m.n_param; i++)
        b->v[i] = ((float)((const uint8_t *)v->data)[i] - 127.5f) / 64;
    if (model_has_groups(&b->m)) {
        const struct record_array *buffers = find(b, "", "buffers");
        REQUIRE(record_count(buffers) == b->m.n_buffer);
        memcpy(b->w + b->m.n_param, buffers->data, (size_t)b->m.n_buffer * sizeof *b->w);
    }
    REQUIRE(unit_init(&b->u, &b->m, LANES, UNIT_TANGENT) == IAU_OK);
    fill_unit(b);
}

static void bench_close(struct bench *b)
{
    unit_free(&b->u);
    free(b->w);
    free(b->v);
    free(b->g);
}

/* Every case of the fixture. */
static void run_cases(void (*check)(struct bench *b))
{
    static struct bench b; /* must not move */
    struct record file;
    char *path = harness_fixture("fixtures/torch_layers.h5"), *save = NULL;
    if (access(path, R_OK) != 0) {
        harness_skip("no %s: run tests/fixtures/make_torch_layers.py", path);
    } else {
        REQUIRE(record_read(&file, path) == IAU_OK);
        char *names = mem_strdup(record_text(&file, "/", "cases", ""));
        int n = 0;
        for (char *name = strtok_r(names, "\n", &save); name;
             name = strtok_r(NULL, "\n", &save), n++) {
            bench_open(&b, &file, name);
            check(&b);
            bench_close(&b);
        }
        CU_ASSERT(n >= 20);
        free(names);
        record_free(&file);
    }
    free(path);
}

/* `check` with the running statistics, and with those of the samples where that differs. */
static void run_modes(struct bench *b, void (*check)(struct bench *b, const char *mode))
{
    for (int norm = NORM_FROZEN; norm <= (model_has_groups(&b->m) ? NORM_GROUP : NORM_FROZEN);
         norm++) {
        b->u.norm = norm;
        model_forward(&b->m, b->w, &b->u);
        check(b, norm == NORM_GROUP ? "train" : "eval");
    }
}

static void expect_error(const struct bench *b, const char *mode, const char *what, double error)
{
    if (!(error <= bound))
        printf("%s, %s: %s has a relative error of %.2e\n", b->name, mode, what, error);
    CU_ASSERT(error <= bound);
}

/* `sum` [n_param] over the samples against the elements of a mean that the fixture holds, tensor by
 * tensor. */
static void expect_vector(const struct bench *b, const char *mode, const char *quantity,
                          const float *sum)
{
    char what[96];
    const struct record_array *a = find(b, mode, quantity);
    const struct record_attribute *stored = record_attribute_find(b->file, b->path, "stride");
    REQUIRE(stored);
    int64_t stride = stored->i64;
    CU_ASSERT_EQUAL_FATAL(record_count(a), (b->m.n_param + stride - 1) / stride);
    for (int t = 0; t < b->m.n_tensor; t++) {
        const struct tensor *p = b->m.tensor[t];
        double error = 0, size = 0;
        for (int64_t i = (p->offset + stride - 1) / stride; i * stride < p->offset + p->count;
             i++) {
            double want = record_value(a, i), e = sum[i * stride] / (double)N - want;
            error += e * e;
            size += want * want;
        }
        snprintf(what, sizeof what, "%s of %s", quantity, p->name);
        expect_error(b, mode, what, error > 0 ? sqrt(error / size) : 0);
    }
}

static void check_names(struct bench *b)
{
    struct text_list list;
    char *line[LINES_MAX];
    lines_of(b, "names", &list, line);
    CU_ASSERT_EQUAL_FATAL(b->m.n_tensor, list.n);
    for (int64_t t = 0; t < list.n; t++)
        CU_ASSERT_STRING_EQUAL(b->m.tensor[t]->name, list.v[t]);
    free(list.v[0]);
}

static void check_outputs(struct bench *b, const char *mode)
{
    const struct record_array *z = find(b, mode, "logits");
    const float *top = b->u.node[b->m.n_layer].a;
    double loss = record_value(find(b, mode, "loss"), 0), error = 0, size = 0;
    CU_ASSERT_EQUAL_FATAL(record_count(z), N * N_CLASS);
    for (int i = 0; i < N * N_CLASS; i++) {
        double want = record_value(z, i), e = top[i % N_CLASS * LANES + i / N_CLASS] - want;
        error += e * e;
        size += want * want;
    }
    expect_error(b, mode, "output", sqrt(error / size));
    expect_error(b, mode, "loss", fabs(unit_loss(&b->u) / N / loss - 1));
}

static void check_gradient(struct bench *b, const char *mode)
{
    model_backward(&b->m, b->w, &b->u, b->g);
    expect_vector(b, mode, "gradient", b->g);
}

static void check_hessian(struct bench *b, const char *mode)
{
    model_backward(&b->m, b->w, &b->u, b->g);
    model_hessian_product(&b->m, b->w, b->v, &b->u, b->g);
    expect_vector(b, mode, "hessian", b->g);
}

static void check_gauss_newton(struct bench *b, const char *mode)
{
    model_gauss_newton_product(&b->m, b->w, b->v, &b->u, b->g);
    expect_vector(b, mode, "gauss_newton", b->g);
}

/* One training step's effect. */
static void check_statistics(struct bench *b)
{
    if (!model_has_groups(&b->m))
        return;
    const struct record_array *after = find(b, "", "buffers_after");
    b->u.norm = NORM_GROUP;
    model_forward(&b->m, b->w, &b->u);
    model_backward(&b->m, b->w, &b->u, b->g);
    for (int64_t i = b->m.n_param; i < model_state_floats(&b->m); i++)
        b->g[i] /= N;
    model_update_buffers(&b->m, b->g, b->w);
    CU_ASSERT_EQUAL_FATAL(record_count(after), b->m.n_buffer);
    for (int64_t i = 0; i < b->m.n_buffer; i++)
        CU_ASSERT_DOUBLE_EQUAL(b->w[b->m.n_param + i], record_value(after, i), 1e-6);
}

static void check_outputs_of(struct bench *b)
{
    run_modes(b, check_outputs);
}

static void check_gradients_of(struct bench *b)
{
    run_modes(b, check_gradient);
}

static void check_hessian_of(struct bench *b)
{
    run_modes(b, check_hessian);
}

static void check_gauss_newton_of(struct bench *b)
{
    run_modes(b, check_gauss_newton);
}

static void names_are_those_of_torch(void)
{
    run_cases(check_names);
}

static void outputs_equal_torch(void)
{
    run_cases(check_outputs_of);
}

static void gradients_equal_torch(void)
{
    run_cases(check_gradients_of);
}

static void hessian_products_equal_torch(void)
{
    run_cases(check_hessian_of);
}

static void gauss_newton_products_equal_torch(void)
{
    run_cases(check_gauss_newton_of);
}

static void running_statistics_equal_torch(void)
{
    run_cases(check_statistics);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"names are those of torch", names_are_those_of_torch},
                           {"outputs and losses equal torch", outputs_equal_torch},
                           {"gradients equal torch", gradients_equal_torch},
                           {"Hessian products equal torch", hessian_products_equal_torch},
                           {"Gauss-Newton products equal torch", gauss_newton_products_equal_torch},
                           {"running statistics equal torch", running_statistics_equal_torch},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "torch_layers", tests);
}
