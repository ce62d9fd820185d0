/* Conjugate gradients and power iteration against dense solvers in double, on a model small enough
 * to write its matrices down; every reason for stopping; the same bytes on any number of ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "small_data.h"
#include "unlearn/cg.h"
#include "unlearn/power.h"

static struct small_data table; /* opened by the first test, closed by the last */
static struct index_set set;

static void open_data(void)
{
    int64_t row[137];
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    for (int i = 0; i < 137; i++)
        row[i] = (7 * i + 3) % table.dataset.n[PART_TRAIN];
    CU_ASSERT_EQUAL(index_set_from_rows(&set, PART_TRAIN, row, 137), IAU_OK);
}

static void close_data(void)
{
    index_set_free(&set);
    small_data_close(&table);
}

/* --- a matrix, by its products and in full */

struct setup {
    int64_t n;
    struct engine engine;
    struct share share;
    struct product product;
    float *w, *b, *x;
    double *dense; /* [n][n] */
};

/* Random parameters, `scale` times their usual size. */
static void setup_open(struct setup *s, enum product_kind kind, uint64_t seed, float scale,
                       const struct comm *comm)
{
    *s = (struct setup){.n = table.model.n_param};
    s->w = mem_alloc(s->n, sizeof *s->w);
    s->b = mem_alloc(s->n, sizeof *s->b);
    s->x = mem_alloc(s->n, sizeof *s->x);
    small_engine(&s->engine, &table, 16, comm);
    model_init_params(&table.model, seed, s->w);
    for (int64_t i = 0; i < s->n; i++)
        s->w[i] *= scale;
    harness_fill(s->b, s->n, 17);
    REQUIRE(share_load(&s->share, &s->engine, &set) == IAU_OK);
    REQUIRE(product_init(&s->product, &s->engine, kind, s->w, &s->share, "a matrix") == IAU_OK);
}

static void setup_close(struct setup *s)
{
    product_free(&s->product);
    share_free(&s->share);
    engine_free(&s->engine);
    free(s->w);
    free(s->b);
    free(s->x);
    free(s->dense);
}

/* Column by column, from products with unit vectors. */
static void write_down(struct setup *s)
{
    int64_t n = s->n;
    float *unit = mem_alloc(n, sizeof *unit), *column = mem_alloc(n, sizeof *column);
    s->dense = mem_alloc(n * n, sizeof *s->dense);
    for (int64_t i = 0; i < n; i++) {
        unit[i] = 1;
        CU_ASSERT_EQUAL(product_apply(&s->product, unit, column), IAU_OK);
        unit[i] = 0;
        for (int64_t k = 0; k < n; k++) {
            s->dense[i * n + k] += column[k] / 2;
            s->dense[k * n + i] += column[k] / 2;
        }
    }
    free(unit);
    free(column);
}

/* x of (A + damping I) x = b by elimination with the largest pivots. */
static double *solve_dense(const struct setup *s, double damping)
{
    int64_t n = s->n;
    double *a = mem_alloc(n * n, sizeof *a), *x = mem_alloc(n, sizeof *x);
    memcpy(a, s->dense, (size_t)(n * n) * sizeof *a);
    for (int64_t i = 0; i < n; i++) {
        a[i * n + i] += damping;
        x[i] = s->b[i];
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t r = i + 1; r < n; r++)
            best = fabs(a[r * n + i]) > fabs(a[best * n + i]) ? r : best;
        for (int64_t k = 0; k < n; k++) {
            double t = a[i * n + k];
            a[i * n + k] = a[best * n + k];
            a[best * n + k] = t;
        }
        double t = x[i];
        x[i] = x[best];
        x[best] = t;
        for (int64_t r = i + 1; r < n; r++) {
            double f = a[r * n + i] / a[i * n + i];
            for (int64_t k = i; k < n; k++)
                a[r * n + k] -= f * a[i * n + k];
            x[r] -= f * x[i];
        }
    }
    for (int64_t i = n; i-- > 0;) {
        for (int64_t k = i + 1; k < n; k++)
            x[i] -= a[i * n + k] * x[k];
        x[i] /= a[i * n + i];
    }
    free(a);
    return x;
}

/* One Jacobi rotation, which makes a[p][q] 0; columns of v turn along. */
static void rotate(double *a, double *v, int64_t n, int64_t p, int64_t q)
{
    double apq = a[p * n + q];
    if (apq == 0)
        return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int64_t k = 0; k < n; k++) {
        double kp = a[k * n + p], kq = a[k * n + q];
        a[k * n + p] = c * kp - s * kq;
        a[k * n + q] = s * kp + c * kq;
    }
    for (int64_t k = 0; k < n; k++) {
        double pk = a[p * n + k], qk = a[q * n + k], vp = v[k * n + p], vq = v[k * n + q];
        a[p * n + k] = c * pk - s * qk;
        a[q * n + k] = s * pk + c * qk;
        v[k * n + p] = c * vp - s * vq;
        v[k * n + q] = s * vp + c * vq;
    }
}

/* The eigenvalue of the largest size, its eigenvector in `vector`, and the size of the next in
 * *next. */
static double largest_eigenvalue(const struct setup *s, double *vector, double *next)
{
    int64_t n = s->n, best = 0;
    double *a = mem_alloc(n * n, sizeof *a), *v = mem_alloc(n * n, sizeof *v);
    memcpy(a, s->dense, (size_t)(n * n) * sizeof *a);
    for (int64_t i = 0; i < n; i++)
        v[i * n + i] = 1;
    for (int sweep = 0; sweep < 12; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++)
                rotate(a, v, n, p, q);
    for (int64_t i = 1; i < n; i++)
        best = fabs(a[i * n + i]) > fabs(a[best * n + best]) ? i : best;
    *next = 0;
    for (int64_t i = 0; i < n; i++) {
        vector[i] = v[i * n + best];
        *next = i != best && fabs(a[i * n + i]) > *next ? fabs(a[i * n + i]) : *next;
    }
    double value = a[best * n + best];
    free(a);
    free(v);
    return value;
}

/* --- conjugate gradients */

static double distance_to(const float *x, const double *truth, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += (x[i] - truth[i]) * (x[i] - truth[i]);
        size += truth[i] * truth[i];
    }
    return sqrt(difference / size);
}

/* ||b - (A + damping I) x|| / ||b|| of the matrix in full. */
static double true_residual(const struct setup *s, double damping)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n; i++) {
        double r = s->b[i] - damping * s->x[i];
        for (int64_t k = 0; k < s->n; k++)
            r -= s->dense[i * s->n + k] * s->x[k];
        sum += r * r;
    }
    return sqrt(sum) / vector_norm(s->b, s->n);
}

static void check_solution(enum product_kind kind, double damping, double bound)
{
    struct setup s;
    struct cg_report r;
    struct cg_opts opts = {.damping = damping, .tolerance = 1e-6, .max_iterations = 300};
    setup_open(&s, kind, 5, 2, &test_comm);
    write_down(&s);
    int64_t products = s.engine.cost.hvps;
    double *truth = solve_dense(&s, damping);
    CU_ASSERT_EQUAL(cg_solve(&s.product, s.b, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_EQUAL(r.stop, CG_CONVERGED);
    CU_ASSERT_TRUE(r.residual <= 1e-6);
    CU_ASSERT_TRUE(r.iterations > 3 && r.iterations < 300);
    CU_ASSERT_EQUAL(s.engine.cost.hvps - products,
                    r.iterations * set.n); /* a product an iteration */
    CU_ASSERT_TRUE(distance_to(s.x, truth, s.n) < bound);
    CU_ASSERT_TRUE(true_residual(&s, damping) < 1e-5);
    CU_ASSERT_EQUAL(r.history.n_row, r.iterations);
    CU_ASSERT_EQUAL(history_at(&r.history, r.iterations - 1, "iteration"), (double)r.iterations);
    CU_ASSERT_EQUAL(history_at(&r.history, r.iterations - 1, "residual"), r.residual);
    CU_ASSERT_EQUAL(history_at(&r.history, r.iterations - 1, "curvature"), r.curvature);
    CU_ASSERT_TRUE(history_at(&r.history, r.iterations - 2, "residual") > 1e-6);
    for (int64_t i = 0; i < r.iterations; i++) {
        CU_ASSERT_TRUE(history_at(&r.history, i, "curvature") > 0);
        CU_ASSERT_TRUE(history_at(&r.history, i, "length") > 0);
    }
    cg_report_free(&r);
    free(truth);
    setup_close(&s);
}

static void solutions_are_those_of_a_dense_solver(void)
{
    check_solution(PRODUCT_GAUSS_NEWTON, 0.1, 1e-5);
    check_solution(PRODUCT_GAUSS_NEWTON, 0.003, 1e-4);
    check_solution(PRODUCT_HESSIAN, 2, 1e-5);
}

/* The first step, along b, by hand. */
static void the_first_iteration_is_steepest_descent(void)
{
    struct setup s;
    struct cg_report r;
    struct cg_opts opts = {.damping = 0.5, .tolerance = 0, .max_iterations = 1};
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    float *ab = mem_alloc(s.n, sizeof *ab);
    CU_ASSERT_EQUAL(product_apply(&s.product, s.b, ab), IAU_OK);
    double bb = vector_dot(s.b, s.b, s.n), curvature = vector_dot(s.b, ab, s.n) / bb + 0.5;
    CU_ASSERT_EQUAL(cg_solve(&s.product, s.b, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_EQUAL(r.stop, CG_LIMIT);
    CU_ASSERT_DOUBLE_EQUAL(r.curvature, curvature, 1e-6 * curvature);
    CU_ASSERT_DOUBLE_EQUAL(history_at(&r.history, 0, "length"), 1 / curvature, 1e-6 / curvature);
    for (int64_t i = 0; i < s.n; i++)
        CU_ASSERT_DOUBLE_EQUAL(s.x[i], s.b[i] / curvature, 1e-6 / curvature);
    cg_report_free(&r);
    free(ab);
    setup_close(&s);
}

/* Each reason to stop; `least` and `most` bound the iterations. */
static void expect_stop(struct setup *s, struct cg_opts opts, enum cg_stop stop, int64_t least,
                        int64_t most)
{
    struct cg_report r;
    CU_ASSERT_EQUAL(cg_solve(&s->product, s->b, &opts, s->x, &r), IAU_OK);
    CU_ASSERT_EQUAL(r.stop, stop);
    CU_ASSERT_TRUE(r.iterations >= least && r.iterations <= most);
    CU_ASSERT_EQUAL(r.history.n_row, r.iterations);
    CU_ASSERT_EQUAL(r.curvature <= 0, stop == CG_CURVATURE);
    if (stop == CG_CURVATURE) {
        CU_ASSERT_EQUAL(history_at(&r.history, r.iterations - 1, "length"), 0);
        CU_ASSERT_EQUAL(history_at(&r.history, r.iterations - 1, "residual"), r.residual);
        CU_ASSERT_EQUAL(r.residual == 1, r.iterations == 1); /* x stays where it was */
    }
    cg_report_free(&r);
}

static void the_iteration_limit_stops(void)
{
    struct setup s;
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    expect_stop(&s, (struct cg_opts){0.001, 1e-6, 4}, CG_LIMIT, 4, 4);
    CU_ASSERT_TRUE(vector_norm(s.x, s.n) > 0);
    expect_stop(&s, (struct cg_opts){0.001, 1e-6, 0}, CG_LIMIT, 0, 0);
    CU_ASSERT_EQUAL(vector_norm(s.x, s.n), 0);
    setup_close(&s);
}

static void negative_curvature_stops(void)
{
    struct setup s;
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    expect_stop(&s, (struct cg_opts){-100, 1e-6, 50}, CG_CURVATURE, 1, 1);
    CU_ASSERT_EQUAL(vector_norm(s.x, s.n), 0);
    setup_close(&s);
    setup_open(&s, PRODUCT_HESSIAN, 5, 2, &test_comm); /* indefinite, but not along b */
    expect_stop(&s, (struct cg_opts){0, 1e-6, 300}, CG_CURVATURE, 2, 50);
    CU_ASSERT_TRUE(vector_norm(s.x, s.n) > 0);
    setup_close(&s);
}

static void a_zero_right_hand_side_needs_no_product(void)
{
    struct setup s;
    struct cg_report r;
    struct cg_opts opts = {.damping = 0.1, .tolerance = 1e-6, .max_iterations = 5};
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    memset(s.b, 0, (size_t)s.n * sizeof *s.b);
    s.x[3] = 1;
    CU_ASSERT_EQUAL(cg_solve(&s.product, s.b, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_EQUAL(r.stop, CG_CONVERGED);
    CU_ASSERT_EQUAL(r.residual, 0);
    CU_ASSERT_EQUAL(r.iterations, 0);
    CU_ASSERT_TRUE(isnan(r.curvature));
    CU_ASSERT_EQUAL(vector_norm(s.x, s.n), 0);
    CU_ASSERT_EQUAL(s.engine.cost.hvps, 0);
    cg_report_free(&r);
    setup_close(&s);
}

static void reasons_have_names(void)
{
    CU_ASSERT_STRING_EQUAL(cg_stop_name(CG_CONVERGED), "residual");
    CU_ASSERT_STRING_EQUAL(cg_stop_name(CG_CURVATURE), "negative curvature");
    CU_ASSERT_STRING_EQUAL(cg_stop_name(CG_LIMIT), "iteration limit");
}

static void same_bytes_at_any_rank_count(void)
{
    struct comm self = small_self();
    struct setup all, alone;
    struct cg_report ra, rb;
    struct power_report pa, pb;
    struct cg_opts opts = {.damping = 0.01, .tolerance = 1e-5, .max_iterations = 40};
    struct power_opts power = {.seed = 3, .tolerance = 1e-4, .max_iterations = 30};
    setup_open(&all, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    setup_open(&alone, PRODUCT_GAUSS_NEWTON, 5, 2, &self);
    CU_ASSERT_EQUAL(cg_solve(&all.product, all.b, &opts, all.x, &ra), IAU_OK);
    CU_ASSERT_EQUAL(cg_solve(&alone.product, alone.b, &opts, alone.x, &rb), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(all.x, alone.x, (size_t)all.n * sizeof *all.x), 0);
    CU_ASSERT_TRUE(same_history(&ra.history, &rb.history) && ra.residual == rb.residual);
    CU_ASSERT_EQUAL(power_iterate(&all.product, &power, all.x, &pa), IAU_OK);
    CU_ASSERT_EQUAL(power_iterate(&alone.product, &power, alone.x, &pb), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(all.x, alone.x, (size_t)all.n * sizeof *all.x), 0);
    CU_ASSERT_TRUE(pa.eigenvalue == pb.eigenvalue && pa.iterations == pb.iterations);
    cg_report_free(&ra);
    cg_report_free(&rb);
    power_report_free(&pa);
    power_report_free(&pb);
    setup_close(&all);
    setup_close(&alone);
}

/* --- power iteration */

static void check_eigenvalue(enum product_kind kind, uint64_t seed, float scale, int sign)
{
    struct setup s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 1e-7, .max_iterations = 2000};
    setup_open(&s, kind, seed, scale, &test_comm);
    write_down(&s);
    double next, along = 0, *vector = mem_alloc(s.n, sizeof *vector),
                 value = largest_eigenvalue(&s, vector, &next);
    CU_ASSERT_TRUE(sign * value > 0);
    CU_ASSERT_TRUE(next < 0.95 * fabs(value)); /* else the test would say little */
    for (uint64_t start = 1; start <= 3; start++) {
        opts.seed = (int64_t)start;
        CU_ASSERT_EQUAL(power_iterate(&s.product, &opts, s.x, &r), IAU_OK);
        CU_ASSERT_TRUE(r.converged && r.iterations > 2);
        CU_ASSERT_DOUBLE_EQUAL(r.eigenvalue, value, 1e-5 * fabs(value));
        CU_ASSERT_TRUE(r.residual < 1e-2);
        CU_ASSERT_EQUAL(r.history.n_row, r.iterations);
        CU_ASSERT_EQUAL(history_at(&r.history, r.iterations - 1, "eigenvalue"), r.eigenvalue);
        CU_ASSERT_TRUE(history_at(&r.history, r.iterations - 1, "change") <= 1e-7);
        CU_ASSERT_TRUE(history_at(&r.history, r.iterations - 2, "change") > 1e-7);
        along = 0;
        for (int64_t i = 0; i < s.n; i++)
            along += s.x[i] * vector[i];
        CU_ASSERT_DOUBLE_EQUAL(fabs(along), 1, 1e-4);
        CU_ASSERT_DOUBLE_EQUAL(vector_norm(s.x, s.n), 1, 1e-6);
        power_report_free(&r);
    }
    free(vector);
    setup_close(&s);
}

static void the_largest_eigenvalue_is_that_of_a_dense_solver(void)
{
    check_eigenvalue(PRODUCT_GAUSS_NEWTON, 5, 2, 1);
    check_eigenvalue(PRODUCT_HESSIAN, 5, 1, 1);
    check_eigenvalue(PRODUCT_HESSIAN, 1, 16, -1);
}

static void power_iteration_stops_at_its_limit(void)
{
    struct setup s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 0, .max_iterations = 3};
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    CU_ASSERT_EQUAL(power_iterate(&s.product, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_TRUE(!r.converged && r.iterations == 3 && r.eigenvalue > 0);
    CU_ASSERT_EQUAL(s.engine.cost.hvps, 3 * set.n);
    power_report_free(&r);
    setup_close(&s);
}

/* All probabilities are exactly 0 or 1 where one logit is far above the others: no curvature at
 * all. */
static void a_matrix_of_zeros_has_the_eigenvalue_0(void)
{
    struct setup s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 1e-6, .max_iterations = 9};
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 0, &test_comm);
    s.w[s.n - 1] = 1000;
    CU_ASSERT_EQUAL(power_iterate(&s.product, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_TRUE(r.converged && r.eigenvalue == 0 && r.residual == 0 && r.iterations == 1);
    CU_ASSERT_DOUBLE_EQUAL(vector_norm(s.x, s.n), 1, 1e-6);
    power_report_free(&r);
    setup_close(&s);
}

/* --- errors */

static void expect_numeric(struct setup *s, const char *part)
{
    struct cg_report r;
    struct capture c;
    char text[1024];
    struct cg_opts opts = {.damping = 0.1, .tolerance = 1e-6, .max_iterations = 5};
    capture_begin(&c);
    int rc = cg_solve(&s->product, s->b, &opts, s->x, &r);
    capture_end(&c, text, sizeof text);
    expect_one_message(rc, IAU_ERR_NUMERIC, text, part);
    CU_ASSERT_PTR_NULL(r.history.value);
}

static void values_out_of_range_are_an_error_everywhere(void)
{
    struct setup s;
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    s.b[7] = INFINITY;
    expect_numeric(&s, "a matrix: the right-hand side is not finite");
    s.b[7] = 1;
    s.w[3] = NAN;
    expect_numeric(&s, "a matrix: fc1.weight is not finite");
    setup_close(&s);
}

static void replicas_that_differ_are_found(void)
{
    struct setup s;
    struct cg_report r;
    struct capture c;
    char text[1024];
    struct cg_opts opts = {.damping = 1, .tolerance = 0, .max_iterations = 2};
    if (test_comm.size == 1)
        return;
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    if (test_comm.rank == test_comm.size - 1)
        s.b[5] *= 1.5f;
    capture_begin(&c);
    int rc = cg_solve(&s.product, s.b, &opts, s.x, &r);
    capture_end(&c, text, sizeof text);
    expect_one_message(rc, IAU_ERR_REPLICA, text, "a matrix");
    setup_close(&s);
}

/* Whatever allocation fails on one rank, all get the same code; then memory is there, and all goes
 * well. */
static void a_rank_without_memory_stops_all(void)
{
    struct setup s;
    struct cg_opts opts = {.damping = 0.1, .tolerance = 1e-3, .max_iterations = 5};
    struct power_opts power = {.seed = 1, .tolerance = 1e-3, .max_iterations = 5};
    setup_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    for (int k = 1; k <= 4; k++) {
        struct cg_report r;
        struct power_report p;
        struct capture c;
        char text[1024];
        capture_begin(&c);
        mem_fail_after(test_comm.rank == test_comm.size - 1 ? k : 0);
        int rc = k < 4 ? cg_solve(&s.product, s.b, &opts, s.x, &r) : IAU_OK;
        if (k == 4) {
            mem_fail_after(test_comm.rank == test_comm.size - 1 ? 1 : 0);
            rc = power_iterate(&s.product, &power, s.x, &p);
        }
        mem_fail_after(0);
        capture_end(&c, text, sizeof text);
        expect_one_message(rc, IAU_ERR_MEM, text, "no memory for");
    }
    expect_stop(&s, opts, CG_LIMIT, 5, 5);
    setup_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"solutions are those of a dense solver", solutions_are_those_of_a_dense_solver},
        {"the first iteration is steepest descent", the_first_iteration_is_steepest_descent},
        {"the iteration limit stops", the_iteration_limit_stops},
        {"negative curvature stops", negative_curvature_stops},
        {"a zero right-hand side needs no product", a_zero_right_hand_side_needs_no_product},
        {"reasons have names", reasons_have_names},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"the largest eigenvalue is that of a dense solver",
         the_largest_eigenvalue_is_that_of_a_dense_solver},
        {"power iteration stops at its limit", power_iteration_stops_at_its_limit},
        {"a matrix of zeros has the eigenvalue 0", a_matrix_of_zeros_has_the_eigenvalue_0},
        {"values out of range are an error everywhere",
         values_out_of_range_are_an_error_everywhere},
        {"replicas that differ are found", replicas_that_differ_are_found},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "cg", tests);
}
