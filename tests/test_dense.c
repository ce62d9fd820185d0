/* Dense kernels and the BLAS door against naive loops in double, within the rounding bound of a
 * sum, and the derivatives against central differences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/memory.h"
#include "harness.h"
#include "kernel/dense.h"
#include "kernel/gemm.h"

enum { MAX_PAIRS = 3, GUARD = 32 };

/* One problem: all arrays of up to MAX_PAIRS pairs. Weights start one float off any alignment. */
struct problem {
    struct dense_shape s;
    int n_pair;
    float *in[MAX_PAIRS], *dout[MAX_PAIRS], *w[MAX_PAIRS], *bias;
    float *block;
};

static float *part(struct problem *p, int64_t *used, int64_t n)
{
    float *at = p->block + *used;
    *used += (n + 31) / 16 * 16;
    return at;
}

static void problem_init(struct problem *p, int n_in, int n_out, int lanes, int n_pair)
{
    int64_t nw = (int64_t)n_in * n_out, nx = (int64_t)n_in * lanes, ny = (int64_t)n_out * lanes;
    int64_t total = n_pair * (nw + nx + ny + 96) + n_out + 32, used = 0;
    p->s = (struct dense_shape){.n_in = n_in, .n_out = n_out, .lanes = lanes};
    p->n_pair = n_pair;
    p->block = mem_alloc(total, sizeof(float));
    harness_fill(p->block, total, (uint64_t)(n_in * 1000 + n_out));
    for (int i = 0; i < n_pair; i++) {
        p->in[i] = part(p, &used, nx);
        p->dout[i] = part(p, &used, ny);
        p->w[i] = part(p, &used, nw) + 1;
    }
    p->bias = part(p, &used, n_out) + 1;
}

/* A sum of products in double, with the sum of the absolute values for its bound. */
struct sum {
    double value, size;
    int n;
};

static void sum_add(struct sum *s, double a, double b)
{
    s->value += a * b;
    s->size += fabs(a * b);
    s->n++;
}

/* n + 1 roundings of at most half an ulp each: the bound on any order of summation. */
static int sum_fits(const struct sum *s, float x)
{
    return fabs(x - s->value) <= ldexp(s->n + 1, -24) * s->size;
}

static int forward_fits(const struct problem *p, const float *out)
{
    int bad = 0, lanes = p->s.lanes;
    for (int o = 0; o < p->s.n_out; o++)
        for (int l = 0; l < lanes; l++) {
            struct sum sum = {0};
            sum_add(&sum, p->bias[o], 1);
            for (int q = 0; q < p->n_pair; q++)
                for (int i = 0; i < p->s.n_in; i++)
                    sum_add(&sum, p->w[q][o * p->s.n_in + i], p->in[q][i * lanes + l]);
            bad += !sum_fits(&sum, out[o * lanes + l]);
        }
    return bad == 0;
}

static int input_grad_fits(const struct problem *p, const float *din)
{
    int bad = 0, lanes = p->s.lanes;
    for (int i = 0; i < p->s.n_in; i++)
        for (int l = 0; l < lanes; l++) {
            struct sum sum = {0};
            for (int q = 0; q < p->n_pair; q++)
                for (int o = 0; o < p->s.n_out; o++)
                    sum_add(&sum, p->w[q][o * p->s.n_in + i], p->dout[q][o * lanes + l]);
            bad += !sum_fits(&sum, din[i * lanes + l]);
        }
    return bad == 0;
}

static int weight_grad_fits(const struct problem *p, const float *dw, const float *dbias)
{
    int bad = 0, lanes = p->s.lanes;
    for (int o = 0; o < p->s.n_out; o++) {
        struct sum bias = {0};
        for (int l = 0; l < lanes; l++)
            sum_add(&bias, p->dout[0][o * lanes + l], 1);
        bad += !sum_fits(&bias, dbias[o]);
        for (int i = 0; i < p->s.n_in; i++) {
            struct sum sum = {0};
            for (int q = 0; q < p->n_pair; q++)
                for (int l = 0; l < lanes; l++)
                    sum_add(&sum, p->dout[q][o * lanes + l], p->in[q][i * lanes + l]);
            bad += !sum_fits(&sum, dw[o * p->s.n_in + i]);
        }
    }
    return bad == 0;
}

/* n floats that start `offset` after an aligned address, all NaN, with a guard behind. */
static float *result_block(int64_t n, int offset)
{
    float *block = mem_alloc(n + offset + GUARD, sizeof(float));
    for (int64_t i = 0; i < n + offset + GUARD; i++)
        block[i] = NAN;
    return block;
}

static int guard_holds(const float *end)
{
    int ok = 1;
    for (int i = 0; i < GUARD; i++)
        ok &= isnan(end[i]) != 0;
    return ok;
}

static void check_problem(int n_in, int n_out, int lanes, int n_pair)
{
    struct problem p;
    problem_init(&p, n_in, n_out, lanes, n_pair);
    const float *const *in = (const float *const *)p.in, *const *w = (const float *const *)p.w;
    const float *const *dout = (const float *const *)p.dout;
    int64_t nx = (int64_t)n_in * lanes, ny = (int64_t)n_out * lanes, nw = (int64_t)n_in * n_out;
    float *out = result_block(ny, 0), *din = result_block(nx, 0);
    float *dw = result_block(nw, 1), *dbias = result_block(n_out, 1);
    dense_forward(&p.s, n_pair, in, w, p.bias, out);
    CU_ASSERT(forward_fits(&p, out) && guard_holds(out + ny));
    dense_input_grad(&p.s, n_pair, dout, w, din);
    CU_ASSERT(input_grad_fits(&p, din) && guard_holds(din + nx));
    dense_weight_grad(&p.s, n_pair, in, dout, dw + 1, dbias + 1);
    CU_ASSERT(weight_grad_fits(&p, dw + 1, dbias + 1));
    CU_ASSERT(isnan(dw[0]) && guard_holds(dw + 1 + nw));
    CU_ASSERT(isnan(dbias[0]) && guard_holds(dbias + 1 + n_out));
    free(out);
    free(din);
    free(dw);
    free(dbias);
    free(p.block);
}

static void odd_shapes_match_naive_loops(void)
{
    static const int sizes[] = {1, 2, 7, 10, 13, 16, 23, 31, 33, 48, 65};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < N; i++)
        for (int o = 0; o < N; o++)
            check_problem(sizes[i], sizes[o], 16 * (1 + (i + o) % 4), 1 + (i + 2 * o) % 2);
}

static void long_units_and_many_pairs_match_naive_loops(void)
{
    check_problem(2048, 13, 64, 2); /* wide enough for BLAS */
    check_problem(400, 120, 16, 2);
    check_problem(130, 129, 64, 1);
    check_problem(37, 11, 80, 1);
    check_problem(70, 9, 128, 2);
    check_problem(5, 14, 16, 3);
    check_problem(41, 12, 144, 3);
}

static void missing_bias_counts_as_zero(void)
{
    struct problem p;
    problem_init(&p, 19, 21, 32, 1);
    float zero[21] = {0}, a[21 * 32] __attribute__((aligned(64))),
          b[21 * 32] __attribute__((aligned(64)));
    const float *in[] = {p.in[0]}, *w[] = {p.w[0]}, *dout[] = {p.dout[0]};
    float dw[19 * 21];
    dense_forward(&p.s, 1, in, w, zero, a);
    dense_forward(&p.s, 1, in, w, NULL, b);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    dense_weight_grad(&p.s, 1, in, dout, dw, NULL);
    p.bias = zero;
    CU_ASSERT(forward_fits(&p, b));
    free(p.block);
}

/* The sum for one weight must not depend on where the arrays lie, nor one lane on another's values.
 */
static void bytes_depend_on_the_shape_alone(void)
{
    struct problem p;
    problem_init(&p, 45, 26, 48, 2);
    const float *const *in = (const float *const *)p.in, *const *dout =
                                                             (const float *const *)p.dout;
    float *dw = result_block(45 * 26, 3), *moved = result_block(45 * 26, 5);
    float *out = result_block(26 * 48, 0), *again = result_block(26 * 48, 0);
    dense_weight_grad(&p.s, 2, in, dout, dw, NULL);
    dense_weight_grad(&p.s, 2, in, dout, moved + 5, NULL);
    CU_ASSERT_EQUAL(memcmp(dw, moved + 5, 45 * 26 * sizeof(float)), 0);
    dense_forward(&p.s, 2, in, (const float *const *)p.w, p.bias, out);
    for (int i = 0; i < 45; i++)
        p.in[0][i * 48 + 17] = NAN;
    dense_forward(&p.s, 2, in, (const float *const *)p.w, p.bias, again);
    for (int o = 0; o < 26; o++) {
        CU_ASSERT(isnan(again[o * 48 + 17]));
        again[o * 48 + 17] = out[o * 48 + 17];
    }
    CU_ASSERT_EQUAL(memcmp(out, again, 26 * 48 * sizeof(float)), 0);
    free(dw);
    free(moved);
    free(out);
    free(again);
    free(p.block);
}

/* SUM dout . out of the naive forward pass, at w + step v and in + step rin, in double. */
static double loss_at(const struct problem *p, double step)
{
    double sum = 0;
    int lanes = p->s.lanes, n_in = p->s.n_in;
    for (int o = 0; o < p->s.n_out; o++)
        for (int l = 0; l < lanes; l++)
            for (int i = 0; i < n_in; i++) {
                double w = p->w[0][o * n_in + i] + step * p->w[1][o * n_in + i];
                double x = p->in[0][i * lanes + l] + step * p->in[1][i * lanes + l];
                sum += p->dout[0][o * lanes + l] * w * x;
            }
    return sum;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* Pair 1 holds the directions; the loss is bilinear, so central differences are exact. */
static void derivatives_match_central_differences(void)
{
    struct problem p;
    problem_init(&p, 21, 17, 32, 2);
    int64_t nw = 21 * 17, nx = 21 * 32, ny = 17 * 32;
    float *dw = result_block(nw, 0), *din = result_block(nx, 0), *rout = result_block(ny, 0);
    double expected = (loss_at(&p, 1) - loss_at(&p, -1)) / 2;
    const float *in[] = {p.in[0]}, *w[] = {p.w[0]}, *dout[] = {p.dout[0]};
    dense_weight_grad(&p.s, 1, in, dout, dw, NULL);
    dense_input_grad(&p.s, 1, dout, w, din);
    CU_ASSERT_DOUBLE_EQUAL(dot(dw, p.w[1], nw) + dot(din, p.in[1], nx), expected, 1e-3);
    const float *tangent_in[] = {p.in[1], p.in[0]}, *tangent_w[] = {p.w[0], p.w[1]};
    dense_forward(&p.s, 2, tangent_in, tangent_w, NULL, rout);
    CU_ASSERT_DOUBLE_EQUAL(dot(rout, p.dout[0], ny), expected, 1e-3);
    CU_ASSERT(fabs(expected) > 1); /* the bound is far below the value */
    free(dw);
    free(din);
    free(rout);
    free(p.block);
}

static void check_gemm(enum gemm_op op_a, enum gemm_op op_b, int m, int n, int k, float beta)
{
    float a[32 * 32], b[32 * 32], c[32 * 32], before[32 * 32];
    harness_fill(a, 32 * 32, 1);
    harness_fill(b, 32 * 32, 2);
    harness_fill(c, 32 * 32, 3);
    memcpy(before, c, sizeof c);
    gemm(op_a, op_b, m, n, k, a, 30, b, 31, beta, c, 29);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            struct sum sum = {0};
            sum_add(&sum, beta, before[i * 29 + j]);
            for (int q = 0; q < k; q++)
                sum_add(&sum, op_a == GEMM_T ? a[q * 30 + i] : a[i * 30 + q],
                        op_b == GEMM_T ? b[j * 31 + q] : b[q * 31 + j]);
            CU_ASSERT(sum_fits(&sum, c[i * 29 + j]));
            before[i * 29 + j] = c[i * 29 + j];
        }
    CU_ASSERT_EQUAL(memcmp(before, c, sizeof c), 0); /* nothing else was written */
}

static void gemm_matches_naive_loops(void)
{
    gemm_start();
    for (int op = 0; op < 4; op++) {
        enum gemm_op op_a = op & 1 ? GEMM_T : GEMM_N, op_b = op & 2 ? GEMM_T : GEMM_N;
        check_gemm(op_a, op_b, 1, 1, 1, 0);
        check_gemm(op_a, op_b, 7, 16, 29, 1);
        check_gemm(op_a, op_b, 29, 5, 13, 0.5f);
    }
    CU_ASSERT(strlen(gemm_core_name()) > 0);
    CU_ASSERT_PTR_NOT_NULL(gemm_version());
    if (strcasecmp(gemm_core_name(), "haswell") == 0)
        CU_ASSERT_EQUAL(gemm_core_is_512(), 0);
    if (strcasecmp(gemm_core_name(), "skylakex") == 0)
        CU_ASSERT_EQUAL(gemm_core_is_512(), 1);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"odd shapes match naive loops", odd_shapes_match_naive_loops},
        {"long units and many pairs match naive loops",
         long_units_and_many_pairs_match_naive_loops},
        {"a missing bias counts as zero", missing_bias_counts_as_zero},
        {"bytes depend on the shape alone", bytes_depend_on_the_shape_alone},
        {"derivatives match central differences", derivatives_match_central_differences},
        {"gemm matches naive loops", gemm_matches_naive_loops},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "dense", tests);
}
