/* Max-pooling against naive loops: odd sizes, ties, margins no window covers, NaN, and derivatives.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "harness.h"
#include "kernel/pool.h"

static const struct pool_shape shapes[] = {
    {.c = 6, .h_in = 28, .w_in = 28, .h_out = 14, .w_out = 14, .k = 2, .stride = 2, .lanes = 16},
    {.c = 3, .h_in = 10, .w_in = 6, .h_out = 5, .w_out = 3, .k = 2, .stride = 2, .lanes = 48},
    {.c = 2, .h_in = 7, .w_in = 9, .h_out = 3, .w_out = 4, .k = 2, .stride = 2, .lanes = 32},
    {.c = 2, .h_in = 8, .w_in = 11, .h_out = 3, .w_out = 4, .k = 2, .stride = 3, .lanes = 16},
    {.c = 3, .h_in = 9, .w_in = 9, .h_out = 3, .w_out = 3, .k = 3, .stride = 3, .lanes = 16},
    {.c = 1, .h_in = 11, .w_in = 14, .h_out = 2, .w_out = 3, .k = 4, .stride = 5, .lanes = 64},
    {.c = 5, .h_in = 4, .w_in = 5, .h_out = 4, .w_out = 5, .k = 1, .stride = 1, .lanes = 16},
    {.c = 4, .h_in = 2, .w_in = 2, .h_out = 1, .w_out = 1, .k = 2, .stride = 2, .lanes = 64},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static int64_t in_size(const struct pool_shape *s)
{
    return (int64_t)s->c * s->h_in * s->w_in * s->lanes;
}

static int64_t out_size(const struct pool_shape *s)
{
    return (int64_t)s->c * s->h_out * s->w_out * s->lanes;
}

/* Where the winner of output `o` lies in the input: the first maximum in scan order. */
static int64_t winner(const struct pool_shape *s, const float *in, int64_t o)
{
    int64_t lane = o % s->lanes, x = o / s->lanes % s->w_out,
            y = o / s->lanes / s->w_out % s->h_out;
    int64_t c = o / s->lanes / s->w_out / s->h_out, best = -1;
    for (int i = 0; i < s->k; i++)
        for (int j = 0; j < s->k; j++) {
            int64_t row = (c * s->h_in + y * s->stride + i) * s->w_in;
            int64_t at = (row + x * s->stride + j) * s->lanes + lane;
            if (best < 0 || in[at] > in[best])
                best = at;
        }
    return best;
}

/* Values from few levels, so that most windows have ties. */
static void fill_with_ties(float *x, int64_t n, uint64_t seed)
{
    harness_fill(x, n, seed);
    for (int64_t i = 0; i < n; i++)
        x[i] = floorf(x[i] * 2);
}

static void check_shape(const struct pool_shape *s, int ties)
{
    int64_t n_in = in_size(s), n_out = out_size(s);
    float *in = mem_alloc(n_in, sizeof(float)), *rin = mem_alloc(n_in, sizeof(float));
    float *din = mem_alloc(n_in, sizeof(float)), *expected = mem_alloc(n_in, sizeof(float));
    float *out = mem_alloc(n_out, sizeof(float)), *rout = mem_alloc(n_out, sizeof(float));
    float *dout = mem_alloc(n_out, sizeof(float));
    if (ties)
        fill_with_ties(in, n_in, 1);
    else
        harness_fill(in, n_in, 1);
    harness_fill(rin, n_in, 2);
    harness_fill(dout, n_out, 3);
    memset(din, 0xff, sizeof(float) * (size_t)n_in); /* stale NaNs must go */
    maxpool_forward(s, in, out);
    maxpool_backward(s, in, out, dout, din);
    maxpool_tangent(s, in, out, rin, rout);
    int64_t bad = 0;
    for (int64_t o = 0; o < n_out; o++) {
        int64_t at = winner(s, in, o);
        bad += out[o] != in[at] || rout[o] != rin[at];
        expected[at] = dout[o];
    }
    for (int64_t i = 0; i < n_in; i++)
        bad += !(din[i] == expected[i]);
    CU_ASSERT_EQUAL(bad, 0);
    free(in);
    free(rin);
    free(din);
    free(expected);
    free(out);
    free(rout);
    free(dout);
}

static void shapes_match_naive_loops(void)
{
    for (int i = 0; i < N_SHAPES; i++)
        check_shape(&shapes[i], 0);
}

static void first_of_equal_maxima_wins(void)
{
    for (int i = 0; i < N_SHAPES; i++)
        check_shape(&shapes[i], 1);
}

/* A NaN anywhere in a window reaches the output of its own lane and no other. */
static void nan_is_not_lost(void)
{
    for (int k = 2; k <= 3; k++)
        for (int place = 0; place < k * k; place++) {
            struct pool_shape s = {1, k, k, 1, 1, k, k, 16};
            float in[9 * 16] __attribute__((aligned(64))), out[16] __attribute__((aligned(64)));
            harness_fill(in, 9 * 16, 1);
            in[place * 16 + 5] = NAN;
            maxpool_forward(&s, in, out);
            for (int l = 0; l < 16; l++)
                CU_ASSERT_EQUAL(isnan(out[l]) != 0, l == 5);
        }
}

/* SUM dout . maxpool(in + h rin), naively and in double. */
static double loss_at(const struct pool_shape *s, const float *in, const float *rin,
                      const float *dout, double h)
{
    double sum = 0;
    for (int64_t o = 0; o < out_size(s); o++) {
        int64_t lane = o % s->lanes, x = o / s->lanes % s->w_out, row = o / s->lanes / s->w_out;
        int64_t top = row / s->h_out * s->h_in + row % s->h_out * s->stride;
        double best = -INFINITY;
        for (int i = 0; i < s->k * s->k; i++) {
            int64_t pixel = (top + i / s->k) * s->w_in + x * s->stride + i % s->k;
            int64_t at = pixel * s->lanes + lane;
            best = fmax(best, in[at] + h * rin[at]);
        }
        sum += dout[o] * best;
    }
    return sum;
}

static void derivatives_match_central_differences(void)
{
    const struct pool_shape *s = &shapes[2];
    int64_t n_in = in_size(s), n_out = out_size(s);
    float *in = mem_alloc(2 * n_in, sizeof(float)), *rin = in + n_in;
    float *out = mem_alloc(3 * n_out, sizeof(float)), *dout = out + n_out, *rout = dout + n_out;
    float *din = mem_alloc(n_in, sizeof(float));
    harness_fill(in, 2 * n_in, 7);
    harness_fill(dout, n_out, 8);
    maxpool_forward(s, in, out);
    maxpool_backward(s, in, out, dout, din);
    maxpool_tangent(s, in, out, rin, rout);
    double h = 1e-6, by_din = 0, by_rout = 0;
    double expected = (loss_at(s, in, rin, dout, h) - loss_at(s, in, rin, dout, -h)) / (2 * h);
    for (int64_t i = 0; i < n_in; i++)
        by_din += (double)din[i] * rin[i];
    for (int64_t o = 0; o < n_out; o++)
        by_rout += (double)dout[o] * rout[o];
    CU_ASSERT_DOUBLE_EQUAL(by_din, expected, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(by_rout, expected, 1e-6);
    free(in);
    free(out);
    free(din);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"shapes match naive loops", shapes_match_naive_loops},
        {"the first of equal maxima wins", first_of_equal_maxima_wins},
        {"a NaN is not lost", nan_is_not_lost},
        {"derivatives match central differences", derivatives_match_central_differences},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "pool", tests);
}
