/* Conjugate gradients against a dense solver in double; every reason for stopping; the same bytes
 * on any number of ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "matrix.h"
#include "unlearn/cg.h"

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
static double true_residual(const struct matrix *s, double damping)
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
    struct matrix s;
    struct cg_report r;
    struct cg_opts opts = {.damping = damping, .tolerance = 1e-6, .max_iterations = 300};
    matrix_open(&s, kind, 5, 2, &test_comm);
    matrix_write_down(&s);
    int64_t products = s.engine.cost.hvps;
    double *truth = matrix_solve(&s, damping);
    CU_ASSERT_EQUAL(cg_solve(&s.product, s.b, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_EQUAL(r.stop, CG_CONVERGED);
    CU_ASSERT_TRUE(r.residual <= 1e-6);
    CU_ASSERT_TRUE(r.iterations > 3 && r.iterations < 300);
    CU_ASSERT_EQUAL(s.engine.cost.hvps - products,
                    r.iterations * matrix_set.n); /* a product an iteration */
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
    matrix_close(&s);
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
    struct matrix s;
    struct cg_report r;
    struct cg_opts opts = {.damping = 0.5, .tolerance = 0, .max_iterations = 1};
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
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
    matrix_close(&s);
}

/* Each reason to stop; `least` and `most` bound the iterations. */
static void expect_stop(struct matrix *s, struct cg_opts opts, enum cg_stop stop, int64_t least,
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

static void relative_damping_is_a_share_of_the_curvature_along_b(void)
{
    struct matrix s;
    struct cg_report r, again;
    struct cg_opts opts = {.relative_damping = 0.2, .tolerance = 0, .max_iterations = 4};
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    float *ab = mem_alloc(s.n, sizeof *ab), *x = mem_alloc(s.n, sizeof *x);
    CU_ASSERT_EQUAL(product_apply(&s.product, s.b, ab), IAU_OK);
    double along = vector_dot(s.b, ab, s.n) / vector_dot(s.b, s.b, s.n);
    CU_ASSERT_EQUAL(cg_solve(&s.product, s.b, &opts, x, &r), IAU_OK);
    CU_ASSERT(along > 0 && r.damping > 0);
    CU_ASSERT_DOUBLE_EQUAL(r.damping, 0.2 * along, 1e-6 * along);
    opts.damping = r.damping;
    opts.relative_damping = 0;
    CU_ASSERT_EQUAL(cg_solve(&s.product, s.b, &opts, s.x, &again), IAU_OK);
    CU_ASSERT_EQUAL(again.damping, r.damping);
    CU_ASSERT(memcmp(x, s.x, (size_t)s.n * sizeof *x) == 0);
    cg_report_free(&r);
    cg_report_free(&again);
    free(ab);
    free(x);
    matrix_close(&s);
}

static void the_iteration_limit_stops(void)
{
    struct matrix s;
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    expect_stop(&s, (struct cg_opts){.damping = 0.001, .tolerance = 1e-6, .max_iterations = 4},
                CG_LIMIT, 4, 4);
    CU_ASSERT_TRUE(vector_norm(s.x, s.n) > 0);
    expect_stop(&s, (struct cg_opts){.damping = 0.001, .tolerance = 1e-6, .max_iterations = 0},
                CG_LIMIT, 0, 0);
    CU_ASSERT_EQUAL(vector_norm(s.x, s.n), 0);
    matrix_close(&s);
}

static void negative_curvature_stops(void)
{
    struct matrix s;
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    expect_stop(&s, (struct cg_opts){.damping = -100, .tolerance = 1e-6, .max_iterations = 50},
                CG_CURVATURE, 1, 1);
    CU_ASSERT_EQUAL(vector_norm(s.x, s.n), 0);
    matrix_close(&s);
    matrix_open(&s, PRODUCT_HESSIAN, 5, 2, &test_comm); /* indefinite, but not along b */
    expect_stop(&s, (struct cg_opts){.damping = 0, .tolerance = 1e-6, .max_iterations = 300},
                CG_CURVATURE, 2, 50);
    CU_ASSERT_TRUE(vector_norm(s.x, s.n) > 0);
    matrix_close(&s);
}

static void a_zero_right_hand_side_needs_no_product(void)
{
    struct matrix s;
    struct cg_report r;
    struct cg_opts opts = {.damping = 0.1, .tolerance = 1e-6, .max_iterations = 5};
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
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
    matrix_close(&s);
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
    struct matrix all, alone;
    struct cg_report ra, rb;
    struct cg_opts opts = {.damping = 0.01, .tolerance = 1e-5, .max_iterations = 40};
    matrix_open(&all, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    matrix_open(&alone, PRODUCT_GAUSS_NEWTON, 5, 2, &self);
    CU_ASSERT_EQUAL(cg_solve(&all.product, all.b, &opts, all.x, &ra), IAU_OK);
    CU_ASSERT_EQUAL(cg_solve(&alone.product, alone.b, &opts, alone.x, &rb), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(all.x, alone.x, (size_t)all.n * sizeof *all.x), 0);
    CU_ASSERT_TRUE(same_history(&ra.history, &rb.history) && ra.residual == rb.residual);
    cg_report_free(&ra);
    cg_report_free(&rb);
    matrix_close(&all);
    matrix_close(&alone);
}

/* --- errors */

static void expect_numeric(struct matrix *s, const char *part)
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
    struct matrix s;
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    s.b[7] = INFINITY;
    expect_numeric(&s, "a matrix: the right-hand side is not finite");
    s.b[7] = 1;
    s.w[3] = NAN;
    expect_numeric(&s, "a matrix: fc1.weight is not finite");
    matrix_close(&s);
}

static void replicas_that_differ_are_found(void)
{
    struct matrix s;
    struct cg_report r;
    struct capture c;
    char text[1024];
    struct cg_opts opts = {.damping = 1, .tolerance = 0, .max_iterations = 2};
    if (test_comm.size == 1)
        return;
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    if (test_comm.rank == test_comm.size - 1)
        s.b[5] *= 1.5f;
    capture_begin(&c);
    int rc = cg_solve(&s.product, s.b, &opts, s.x, &r);
    capture_end(&c, text, sizeof text);
    expect_one_message(rc, IAU_ERR_REPLICA, text, "a matrix");
    matrix_close(&s);
}

/* Whatever allocation fails on one rank, all get the same code; then memory is there, and all goes
 * well. */
static void a_rank_without_memory_stops_all(void)
{
    struct matrix s;
    struct cg_opts opts = {.damping = 0.1, .tolerance = 1e-3, .max_iterations = 5};
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    for (int k = 1; k <= 3; k++) {
        struct cg_report r;
        struct capture c;
        char text[1024];
        capture_begin(&c);
        mem_fail_after(test_comm.rank == test_comm.size - 1 ? k : 0);
        int rc = cg_solve(&s.product, s.b, &opts, s.x, &r);
        mem_fail_after(0);
        capture_end(&c, text, sizeof text);
        expect_one_message(rc, IAU_ERR_MEM, text, "no memory for");
    }
    expect_stop(&s, opts, CG_LIMIT, 5, 5);
    matrix_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", matrix_open_data},
        {"solutions are those of a dense solver", solutions_are_those_of_a_dense_solver},
        {"the first iteration is steepest descent", the_first_iteration_is_steepest_descent},
        {"relative damping is a share of the curvature along b",
         relative_damping_is_a_share_of_the_curvature_along_b},
        {"the iteration limit stops", the_iteration_limit_stops},
        {"negative curvature stops", negative_curvature_stops},
        {"a zero right-hand side needs no product", a_zero_right_hand_side_needs_no_product},
        {"reasons have names", reasons_have_names},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"values out of range are an error everywhere",
         values_out_of_range_are_an_error_everywhere},
        {"replicas that differ are found", replicas_that_differ_are_found},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", matrix_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "cg", tests);
}
