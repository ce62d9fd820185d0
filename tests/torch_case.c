/* Fixtures that PyTorch made. */
#include "torch_case.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"

void torch_read(struct record *r, const char *file)
{
    char name[96];
    snprintf(name, sizeof name, "fixtures/%s", file);
    char *path = harness_fixture(name);
    *r = (struct record){0};
    int rc = record_read(r, path);
    if (rc != IAU_OK)
        printf("%s\n", error_message());
    REQUIRE(rc == IAU_OK);
    free(path);
}

const struct record_array *torch_find(const struct torch_case *c, const struct record *r,
                                      const char *fmt, ...)
{
    char name[128], path[192];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    snprintf(path, sizeof path, "/%s/%s", c->name, name);
    const struct record_array *a = record_find(r, path);
    if (!a)
        printf("the fixture has no %s\n", path);
    REQUIRE(a);
    return a;
}

double torch_attribute(const struct torch_case *c, const struct record *r, const char *object,
                       const char *name)
{
    char path[192];
    snprintf(path, sizeof path, object[0] ? "/%s/%s" : "/%s%s", c->name, object);
    const struct record_attribute *a = record_attribute_find(r, path, name);
    if (!a)
        printf("the fixture has no attribute %s of %s\n", name, path);
    REQUIRE(a);
    return a->type == RECORD_I64 ? (double)a->i64 : a->f64;
}

static void set_data(struct torch_case *c)
{
    const struct record_array *x = torch_find(c, &c->inputs, "x"),
                              *y = torch_find(c, &c->inputs, "y");
    int is_table = x->ndim == 2;
    c->dataset = (struct dataset){.path = "torch.h5",
                                  .c = (int)x->dims[1],
                                  .h = 1,
                                  .w = 1,
                                  .n_class = 10,
                                  .is_u8 = x->type == RECORD_U8,
                                  .is_table = is_table};
    if (!is_table) {
        c->dataset.h = (int)x->dims[2];
        c->dataset.w = (int)x->dims[3];
        c->dataset.mean = torch_find(c, &c->inputs, "mean")->data;
        c->dataset.std = torch_find(c, &c->inputs, "std")->data;
    }
    REQUIRE(y->type == RECORD_I32);
    c->rows = (struct rows){.n = x->dims[0],
                            .sample_bytes = dataset_sample_bytes(&c->dataset),
                            .x = x->data,
                            .label = y->data};
}

static void set_model(struct torch_case *c)
{
    int64_t hidden[] = {32, 24};
    struct model_opts opts = {.name = MODEL_LENET5};
    if (c->dataset.is_table)
        opts = (struct model_opts){.name = MODEL_MLP, .hidden = {2, hidden}};
    struct shape in = {c->dataset.c, c->dataset.h, c->dataset.w};
    REQUIRE(model_build(&c->model, &opts, in, c->dataset.n_class) == IAU_OK);
    c->w = mem_alloc(c->model.n_param, sizeof *c->w);
    for (int i = 0; i < c->model.n_tensor; i++) {
        const struct tensor *t = c->model.tensor[i];
        const struct record_array *a = torch_find(c, &c->inputs, "params/%s", t->name);
        REQUIRE(a->ndim == t->ndim && !memcmp(a->dims, t->dims, (size_t)t->ndim * sizeof *t->dims));
        memcpy(c->w + t->offset, a->data, (size_t)t->count * sizeof *c->w);
    }
}

void torch_case_open(struct torch_case *c, const char *name)
{
    *c = (struct torch_case){.name = name};
    torch_read(&c->inputs, "torch.h5");
    set_data(c);
    set_model(c);
}

void torch_case_close(struct torch_case *c)
{
    free(c->w);
    record_free(&c->inputs);
}

void torch_expect_error(const struct torch_case *c, const char *what, const char *tensor,
                        double error, double bound)
{
    if (!(error <= bound))
        printf("%s: %s %s: relative error %.3g, at most %.0e expected\n", c->name, what, tensor,
               error, bound);
    CU_ASSERT(error <= bound);
}

void torch_expect(const struct torch_case *c, const struct record *r, const char *quantity,
                  const float *x, double bound)
{
    for (int i = 0; i < c->model.n_tensor; i++) {
        const struct tensor *t = c->model.tensor[i];
        const struct record_array *a = torch_find(c, r, "%s/%s", quantity, t->name);
        char object[128];
        snprintf(object, sizeof object, "%s/%s", quantity, t->name);
        int64_t stride = (int64_t)torch_attribute(c, r, object, "stride"),
                n = (t->count + stride - 1) / stride;
        double norm = vector_norm(x + t->offset, t->count),
               all = torch_attribute(c, r, object, "norm");
        float *own = mem_alloc(n, sizeof *own);
        CU_ASSERT_EQUAL(record_count(a), n);
        for (int64_t k = 0; k < n; k++)
            own[k] = x[t->offset + k * stride];
        torch_expect_error(c, quantity, t->name, harness_relative_error(own, a->data, n), bound);
        torch_expect_error(c, "norm of", object, fabs(norm - all) / all, bound);
        free(own);
    }
}

/* A parameter after a step carries its rounding, |w| 2^-24 on either side, and no bound can ask for
 * more. */
void torch_expect_moves(const struct torch_case *c, const struct record *r, const char *quantity,
                        const float *w, const float *q, double least, double bound)
{
    int64_t n_judged = 0, n_stored = 0;
    for (int i = 0; i < c->model.n_tensor; i++) {
        const struct tensor *t = c->model.tensor[i];
        const struct record_array *a = torch_find(c, r, "%s/%s", quantity, t->name);
        char object[128];
        snprintf(object, sizeof object, "%s/%s", quantity, t->name);
        int64_t stride = (int64_t)torch_attribute(c, r, object, "stride");
        double error = 0, size = 0;
        for (int64_t k = 0; k < record_count(a); k++, n_stored++) {
            int64_t at = t->offset + k * stride;
            double truth = record_value(a, k), off = fabs(w[at] - truth) - 0x1p-23 * fabs(truth);
            if (q && !(fabsf(q[at]) > least))
                continue;
            n_judged++;
            error += off > 0 ? off * off : 0;
            size += (truth - c->w[at]) * (truth - c->w[at]);
        }
        torch_expect_error(c, quantity, t->name, sqrt(error / size), bound);
    }
    CU_ASSERT(n_judged > n_stored / 2);
}
