/* Products over sample sets: against PyTorch, against the closed form of a linear model, symmetric,
 * of the right sign, and the same bytes on any number of ranks and threads. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "small_data.h"
#include "sweep/product.h"
#include "torch_case.h"

static struct small_data table, images; /* opened by the first test, closed by the last */
static struct model linear;             /* on the table: softmax regression */
static struct index_set table_set, image_set;

static void some_rows(struct index_set *set, int64_t n_all, int64_t n)
{
    int64_t *row = mem_alloc(n, sizeof *row);
    for (int64_t i = 0; i < n; i++)
        row[i] = (7 * i + 3) % n_all;
    CU_ASSERT_EQUAL(index_set_from_rows(set, PART_TRAIN, row, n), IAU_OK);
    free(row);
}

static void open_data(void)
{
    struct model_opts none = {.name = MODEL_MLP};
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    small_data_open(&images, "images.h5", &small_images);
    struct shape in = {table.dataset.c, table.dataset.h, table.dataset.w};
    CU_ASSERT_EQUAL(model_build(&linear, &none, in, table.dataset.n_class), IAU_OK);
    some_rows(&table_set, table.dataset.n[PART_TRAIN], 137);
    some_rows(&image_set, images.dataset.n[PART_TRAIN], 75);
}

static void close_data(void)
{
    index_set_free(&table_set);
    index_set_free(&image_set);
    small_data_close(&table);
    small_data_close(&images);
}

/* --- one product */

/* A matrix over one of the sets, with all that stands behind it. */
struct setup {
    const struct small_data *data;
    struct engine engine;
    struct share share;
    struct product product;
    float *w;
};

static void setup_open(struct setup *s, const struct small_data *data, const struct model *model,
                       enum product_kind kind, const struct comm *comm)
{
    const struct index_set *set = data == &table ? &table_set : &image_set;
    *s = (struct setup){.data = data, .w = mem_alloc(model->n_param, sizeof *s->w)};
    REQUIRE(engine_init(&s->engine, model, &data->dataset, 32, NULL, NULL, comm) == IAU_OK);
    REQUIRE(share_load(&s->share, &s->engine, set) == IAU_OK);
    model_init_params(model, 5, s->w);
    for (int64_t i = 0; i < model->n_param; i++)
        s->w[i] *= 2; /* away from where all probabilities are alike */
    REQUIRE(product_init(&s->product, &s->engine, kind, s->w, &s->share, "a product") == IAU_OK);
}

static void setup_close(struct setup *s)
{
    product_free(&s->product);
    share_free(&s->share);
    engine_free(&s->engine);
    free(s->w);
}

static float *random_vector(int64_t n, uint64_t seed)
{
    float *v = mem_alloc(n, sizeof *v);
    harness_fill(v, n, seed);
    return v;
}

static float *multiply(struct setup *s, const float *v)
{
    float *out = mem_alloc(s->engine.model->n_param, sizeof *out);
    CU_ASSERT_EQUAL(product_apply(&s->product, v, out), IAU_OK);
    return out;
}

/* For each model and kind. */
static void for_all(void (*check)(struct setup *s, int64_t n))
{
    for (int kind = PRODUCT_HESSIAN; kind <= PRODUCT_GAUSS_NEWTON; kind++) {
        struct setup s;
        setup_open(&s, &table, &table.model, kind, &test_comm);
        check(&s, table.model.n_param);
        setup_close(&s);
        setup_open(&s, &images, &images.model, kind, &test_comm);
        check(&s, images.model.n_param);
        setup_close(&s);
    }
}

/* --- what the matrices are */

static void check_symmetry(struct setup *s, int64_t n)
{
    float *u = random_vector(n, 1), *v = random_vector(n, 2), *au = multiply(s, u),
          *av = multiply(s, v);
    double difference = fabs(vector_dot(u, av, n) - vector_dot(v, au, n));
    CU_ASSERT_TRUE(vector_norm(av, n) > 0);
    CU_ASSERT_TRUE(difference < 1e-6 * vector_norm(u, n) * vector_norm(av, n));
    float *aav = multiply(s, av); /* along av the two sides are large */
    double large = vector_dot(av, av, n);
    CU_ASSERT_TRUE(fabs(vector_dot(v, aav, n) - large) < 1e-5 * large);
    free(u);
    free(v);
    free(au);
    free(av);
    free(aav);
}

static void products_are_symmetric(void)
{
    for_all(check_symmetry);
}

/* Some v of many with v.Av < 0? */
static int any_negative(struct setup *s, int64_t n)
{
    int negative = 0;
    for (int i = 0; i < 30; i++) {
        float *v = random_vector(n, 100 + (uint64_t)i), *av = multiply(s, v);
        negative |= vector_dot(v, av, n) < 0;
        free(v);
        free(av);
    }
    return negative;
}

static void check_sign(struct setup *s, int64_t n)
{
    int negative = any_negative(s, n);
    if (s->product.kind == PRODUCT_GAUSS_NEWTON || s->data == &images)
        CU_ASSERT_EQUAL(negative, s->product.kind == PRODUCT_HESSIAN);
}

static void gauss_newton_is_never_negative(void)
{
    for_all(check_sign);
}

/* SUM over samples of J^T (diag p - p p^T) J v for logits W x + b, in double. */
static double *closed_form(const float *w, const float *v)
{
    int d = linear.in.c, k = linear.n_class;
    const float *x = table.rows[PART_TRAIN].x;
    double *out = mem_alloc(linear.n_param, sizeof *out);
    for (int64_t i = 0; i < table_set.n; i++) {
        const float *xi = x + table_set.row[i] * d;
        double p[10], jv[10], sum = 0, mean = 0;
        for (int c = 0; c < k; c++) {
            double z = w[k * d + c];
            jv[c] = v[k * d + c];
            for (int f = 0; f < d; f++) {
                z += (double)w[c * d + f] * xi[f];
                jv[c] += (double)v[c * d + f] * xi[f];
            }
            sum += p[c] = exp(z);
        }
        for (int c = 0; c < k; c++)
            mean += (p[c] /= sum) * jv[c];
        for (int c = 0; c < k; c++) {
            double dz = p[c] * (jv[c] - mean) / (double)table_set.n;
            out[k * d + c] += dz;
            for (int f = 0; f < d; f++)
                out[c * d + f] += dz * xi[f];
        }
    }
    return out;
}

static void a_linear_model_has_its_closed_form(void)
{
    float *v = random_vector(linear.n_param, 8);
    for (int kind = PRODUCT_HESSIAN; kind <= PRODUCT_GAUSS_NEWTON; kind++) {
        struct setup s;
        setup_open(&s, &table, &linear, kind, &test_comm);
        float *av = multiply(&s, v);
        double *truth = closed_form(s.w, v), *got = mem_alloc(linear.n_param, sizeof *got);
        for (int64_t i = 0; i < linear.n_param; i++)
            got[i] = av[i];
        CU_ASSERT_TRUE(relative_error(got, truth, linear.n_param) < 1e-6);
        free(av);
        free(truth);
        free(got);
        setup_close(&s);
    }
    free(v);
}

/* Sample after sample, each a unit of its own, in double. */
static void check_mean(struct setup *s, int64_t n)
{
    const struct model *m = s->engine.model;
    const struct index_set *set = s->data == &table ? &table_set : &image_set;
    struct unit u;
    float *v = random_vector(n, 9), *av = multiply(s, v), *one = mem_alloc(n, sizeof *one);
    double *truth = mem_alloc(n, sizeof *truth), *got = mem_alloc(n, sizeof *got);
    REQUIRE(unit_init(&u, m, 16, UNIT_TANGENT) == IAU_OK);
    for (int64_t i = 0; i < set->n; i++) {
        naive_forward(s->data, s->w, set->part, set->row[i], &u);
        if (s->product.kind == PRODUCT_HESSIAN) {
            model_backward(m, s->w, &u, one);
            model_hessian_product(m, s->w, v, &u, one);
        } else {
            model_gauss_newton_product(m, s->w, v, &u, one);
        }
        for (int64_t k = 0; k < n; k++)
            truth[k] += one[k] / (double)set->n;
    }
    for (int64_t k = 0; k < n; k++)
        got[k] = av[k];
    CU_ASSERT_TRUE(relative_error(got, truth, n) < 5e-6);
    unit_free(&u);
    free(v);
    free(av);
    free(one);
    free(truth);
    free(got);
}

static void a_product_is_the_mean_over_the_set(void)
{
    for_all(check_mean);
}

/* --- the same bytes */

static void check_ranks_and_threads(struct setup *s, int64_t n)
{
    const struct comm self = small_self();
    float *v = random_vector(n, 3), *av = multiply(s, v);
    int n_thread = omp_get_max_threads();
    for (int threads = 1; threads <= 2; threads++) {
        struct setup alone;
        omp_set_num_threads(threads);
        setup_open(&alone, s->data, s->engine.model, s->product.kind, &self);
        float *same = multiply(&alone, v);
        CU_ASSERT_EQUAL(memcmp(av, same, (size_t)n * sizeof *av), 0);
        free(same);
        setup_close(&alone);
    }
    omp_set_num_threads(n_thread);
    free(v);
    free(av);
}

static void same_bytes_on_any_rank_and_thread_count(void)
{
    for_all(check_ranks_and_threads);
}

/* Along 2^40 v and 2^-40 v, where a sum in fixed point would overflow, or keep nothing. */
static void check_length(struct setup *s, int64_t n)
{
    float *v = random_vector(n, 4), *av = multiply(s, v);
    for (int sign = -1; sign <= 1; sign += 2) {
        float factor = ldexpf(1, 40 * sign);
        float *scaled = mem_alloc(n, sizeof *scaled);
        for (int64_t i = 0; i < n; i++)
            scaled[i] = factor * v[i];
        CU_ASSERT_EQUAL(product_apply(&s->product, scaled, scaled), IAU_OK); /* in place */
        int64_t differ = 0;
        for (int64_t i = 0; i < n; i++)
            differ += scaled[i] != factor * av[i];
        CU_ASSERT_EQUAL(differ, 0);
        free(scaled);
    }
    free(v);
    free(av);
}

static void the_length_of_the_vector_loses_nothing(void)
{
    for_all(check_length);
}

static void check_cost(struct setup *s, int64_t n)
{
    int is_hessian = s->product.kind == PRODUCT_HESSIAN;
    int64_t samples = s->share.n_global, bytes = s->product.sums.length * (int64_t)sizeof(int64_t);
    float *v = mem_alloc(n, sizeof *v), *out = random_vector(n, 6);
    CU_ASSERT_EQUAL(product_apply(&s->product, v, out), IAU_OK);
    CU_ASSERT_EQUAL(vector_norm(out, n), 0);
    CU_ASSERT_EQUAL(s->engine.cost.hvps, 0); /* 0 costs nothing */
    v[n / 2] = 1;
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(product_apply(&s->product, v, out), IAU_OK);
    CU_ASSERT_TRUE(vector_norm(out, n) > 0);
    CU_ASSERT_EQUAL(s->engine.cost.hvps, 3 * samples);
    CU_ASSERT_EQUAL(s->engine.cost.gradients, is_hessian ? 3 * samples : 0);
    CU_ASSERT_EQUAL(s->engine.cost.forwards, is_hessian ? 0 : 3 * samples);
    CU_ASSERT_EQUAL(s->engine.cost.payload_bytes, 3 * bytes);
    free(v);
    free(out);
}

static void costs_are_counted(void)
{
    for_all(check_cost);
}

/* --- errors */

static void values_out_of_range_are_an_error_everywhere(void)
{
    struct setup s;
    struct capture c;
    char text[1024];
    setup_open(&s, &table, &table.model, PRODUCT_GAUSS_NEWTON, &test_comm);
    float *v = random_vector(table.model.n_param, 1);
    v[2] = NAN;
    capture_begin(&c);
    int rc = product_apply(&s.product, v, v);
    capture_end(&c, text, sizeof text);
    expect_one_message(rc, IAU_ERR_NUMERIC, text, "a product: fc1.weight is not finite");
    free(v);
    setup_close(&s);
}

static void a_rank_without_memory_stops_all(void)
{
    struct setup s;
    setup_open(&s, &table, &table.model, PRODUCT_HESSIAN, &test_comm);
    for (int k = 1; k <= 5 + s.engine.n_thread; k++) {
        struct engine e;
        struct product p;
        struct capture c;
        char text[1024];
        small_engine(&e, &table, 32, &test_comm);
        capture_begin(&c);
        mem_fail_after(test_comm.rank == test_comm.size - 1 ? k : 0);
        int rc = product_init(&p, &e, PRODUCT_HESSIAN, s.w, &s.share, "a product");
        mem_fail_after(0);
        capture_end(&c, text, sizeof text);
        if (k <= 4 + s.engine.n_thread) /* units, three arrays of the sums, the direction */
            expect_one_message(rc, IAU_ERR_MEM, text, "iau: error:");
        else
            CU_ASSERT_EQUAL(rc, IAU_OK);
        if (rc != IAU_OK) /* and all is well once there is memory */
            CU_ASSERT_EQUAL(product_init(&p, &e, PRODUCT_HESSIAN, s.w, &s.share, "a product"),
                            IAU_OK);
        product_free(&p);
        engine_free(&e);
    }
    setup_close(&s);
}

/* --- PyTorch */

static void check_case(const struct torch_case *c, const struct record *truth)
{
    int64_t n = c->model.n_param;
    struct comm self = small_self();
    const struct share all = {.n_global = c->rows.n, .rows = c->rows};
    float *v = mem_alloc(n, sizeof *v), *out = mem_alloc(n, sizeof *out);
    for (int64_t i = 0; i < n; i++) /* as the generator says */
        v[i] = (float)((uint32_t)(2654435761u * (uint32_t)(i + 1)) >> 16) / 32768 - 1;
    for (int kind = PRODUCT_HESSIAN; kind <= PRODUCT_GAUSS_NEWTON; kind++) {
        struct engine e;
        struct product p;
        REQUIRE(engine_init(&e, &c->model, &c->dataset, 32, NULL, NULL, &self) == IAU_OK);
        CU_ASSERT_EQUAL(product_init(&p, &e, kind, c->w, &all, c->name), IAU_OK);
        CU_ASSERT_EQUAL(product_apply(&p, v, out), IAU_OK);
        torch_expect(c, truth, kind == PRODUCT_HESSIAN ? "hessian" : "gauss_newton", out, 1e-5);
        product_free(&p);
        engine_free(&e);
    }
    free(v);
    free(out);
}

static void products_agree_with_pytorch(void)
{
    static const char *const names[] = {"lenet5_3", "lenet5_1", "mlp"};
    static struct torch_case c; /* must not move */
    struct record truth;
    torch_read(&truth, "torch_products.h5");
    for (int i = 0; i < 3; i++) {
        torch_case_open(&c, names[i]);
        check_case(&c, &truth);
        torch_case_close(&c);
    }
    record_free(&truth);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"products agree with PyTorch", products_agree_with_pytorch},
        {"products are symmetric", products_are_symmetric},
        {"Gauss-Newton is never negative", gauss_newton_is_never_negative},
        {"a linear model has its closed form", a_linear_model_has_its_closed_form},
        {"a product is the mean over the set", a_product_is_the_mean_over_the_set},
        {"same bytes on any rank and thread count", same_bytes_on_any_rank_and_thread_count},
        {"the length of the vector loses nothing", the_length_of_the_vector_loses_nothing},
        {"costs are counted", costs_are_counted},
        {"values out of range are an error everywhere",
         values_out_of_range_are_an_error_everywhere},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "sweep_product", tests);
}
