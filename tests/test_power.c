/* Power iteration against a dense solver in double, and the same bytes on any number of ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "matrix.h"
#include "unlearn/power.h"

static void check_eigenvalue(enum product_kind kind, uint64_t seed, float scale, int sign)
{
    struct matrix s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 1e-7, .max_iterations = 2000};
    matrix_open(&s, kind, seed, scale, &test_comm);
    matrix_write_down(&s);
    double next, along = 0, *vector = mem_alloc(s.n, sizeof *vector),
                 value = matrix_eigenvalue(&s, vector, &next);
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
    matrix_close(&s);
}

static void the_largest_eigenvalue_is_that_of_a_dense_solver(void)
{
    check_eigenvalue(PRODUCT_GAUSS_NEWTON, 5, 2, 1);
    check_eigenvalue(PRODUCT_HESSIAN, 5, 1, 1);
    check_eigenvalue(PRODUCT_HESSIAN, 1, 16, -1);
}

static void power_iteration_stops_at_its_limit(void)
{
    struct matrix s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 0, .max_iterations = 3};
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    CU_ASSERT_EQUAL(power_iterate(&s.product, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_TRUE(!r.converged && r.iterations == 3 && r.eigenvalue > 0);
    CU_ASSERT_EQUAL(s.engine.cost.hvps, 3 * matrix_set.n);
    power_report_free(&r);
    matrix_close(&s);
}

/* All probabilities are exactly 0 or 1 where one logit is far above the others: no curvature at
 * all. */
static void a_matrix_of_zeros_has_the_eigenvalue_0(void)
{
    struct matrix s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 1e-6, .max_iterations = 9};
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 0, &test_comm);
    s.w[s.n - 1] = 1000;
    CU_ASSERT_EQUAL(power_iterate(&s.product, &opts, s.x, &r), IAU_OK);
    CU_ASSERT_TRUE(r.converged && r.eigenvalue == 0 && r.residual == 0 && r.iterations == 1);
    CU_ASSERT_DOUBLE_EQUAL(vector_norm(s.x, s.n), 1, 1e-6);
    power_report_free(&r);
    matrix_close(&s);
}

static void same_bytes_at_any_rank_count(void)
{
    struct comm self = small_self();
    struct matrix all, alone;
    struct power_report a, b;
    struct power_opts opts = {.seed = 3, .tolerance = 1e-4, .max_iterations = 30};
    matrix_open(&all, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    matrix_open(&alone, PRODUCT_GAUSS_NEWTON, 5, 2, &self);
    CU_ASSERT_EQUAL(power_iterate(&all.product, &opts, all.x, &a), IAU_OK);
    CU_ASSERT_EQUAL(power_iterate(&alone.product, &opts, alone.x, &b), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(all.x, alone.x, (size_t)all.n * sizeof *all.x), 0);
    CU_ASSERT_TRUE(a.eigenvalue == b.eigenvalue && a.iterations == b.iterations);
    power_report_free(&a);
    power_report_free(&b);
    matrix_close(&all);
    matrix_close(&alone);
}

static void a_rank_without_memory_stops_all(void)
{
    struct matrix s;
    struct power_report r;
    struct power_opts opts = {.seed = 1, .tolerance = 1e-3, .max_iterations = 5};
    struct capture c;
    char text[1024];
    matrix_open(&s, PRODUCT_GAUSS_NEWTON, 5, 2, &test_comm);
    capture_begin(&c);
    mem_fail_after(test_comm.rank == test_comm.size - 1);
    int rc = power_iterate(&s.product, &opts, s.x, &r);
    mem_fail_after(0);
    capture_end(&c, text, sizeof text);
    expect_one_message(rc, IAU_ERR_MEM, text, "no memory for");
    CU_ASSERT_EQUAL(power_iterate(&s.product, &opts, s.x, &r), IAU_OK);
    power_report_free(&r);
    matrix_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", matrix_open_data},
        {"the largest eigenvalue is that of a dense solver",
         the_largest_eigenvalue_is_that_of_a_dense_solver},
        {"power iteration stops at its limit", power_iteration_stops_at_its_limit},
        {"a matrix of zeros has the eigenvalue 0", a_matrix_of_zeros_has_the_eigenvalue_0},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", matrix_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "power", tests);
}
