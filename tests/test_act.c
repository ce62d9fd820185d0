/* Activations against libm in double: accuracy in ulp over dense sweeps, special values, and
 * derivatives against central differences. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "harness.h"
#include "kernel/act.h"

enum { CHUNK = 4096 };

static float x[CHUNK] __attribute__((aligned(64))), y[CHUNK] __attribute__((aligned(64)));

/* Distance from the true value in units of the float spacing there. */
static double ulps(float got, double truth)
{
    int exponent;
    frexp(truth, &exponent);
    return fabs(got - truth) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

/* The worst error over every `step`-th float from `first` to `last` (both of one sign). */
static double worst_ulps(void (*f)(int64_t, const float *, float *), double (*truth)(double),
                         float first, float last, uint32_t step)
{
    uint32_t from, to;
    double worst = 0;
    memcpy(&from, &first, sizeof from);
    memcpy(&to, &last, sizeof to);
    for (uint64_t at = from; at <= to; at += (uint64_t)CHUNK * step) {
        for (uint64_t i = 0; i < CHUNK; i++) {
            uint32_t bits = at + i * step < to ? (uint32_t)(at + i * step) : to;
            memcpy(&x[i], &bits, sizeof bits);
        }
        f(CHUNK, x, y);
        for (int i = 0; i < CHUNK; i++) {
            double error = ulps(y[i], truth(x[i]));
            worst = error <= worst ? worst : error; /* keeps a NaN */
        }
    }
    return worst;
}

static void tanh_is_within_two_ulp(void)
{
    CU_ASSERT(worst_ulps(tanh_forward, tanh, 0x1p-13f, 12.0f, 101) <= 2);
    CU_ASSERT(worst_ulps(tanh_forward, tanh, -0x1p-13f, -12.0f, 103) <= 2);
    CU_ASSERT(worst_ulps(tanh_forward, tanh, 0.6f, 0.65f, 1) <= 2); /* where the formulas meet */
    CU_ASSERT(worst_ulps(tanh_forward, tanh, 0.0f, FLT_MAX, 20011) <= 2);
}

static void exp_is_within_two_ulp(void)
{
    CU_ASSERT(worst_ulps(vector_exp, exp, 0x1p-24f, 88.72283f, 701) <= 2);
    CU_ASSERT(worst_ulps(vector_exp, exp, -0x1p-24f, -87.33654f, 709) <= 2);
    CU_ASSERT(worst_ulps(vector_exp, exp, 88.0f, 88.72283f, 1) <= 2);
}

/* Apply f to one value in every lane, and insist that all lanes agree. */
static float once(void (*f)(int64_t, const float *, float *), float value)
{
    for (int i = 0; i < 16; i++)
        x[i] = value;
    f(16, x, y);
    for (int i = 1; i < 16; i++)
        CU_ASSERT_EQUAL(memcmp(&y[i], &y[0], sizeof *y), 0);
    return y[0];
}

static void special_values_of_tanh(void)
{
    CU_ASSERT(once(tanh_forward, 0.0f) == 0 && !signbit(y[0]));
    CU_ASSERT(once(tanh_forward, -0.0f) == 0 && signbit(y[0]));
    CU_ASSERT_EQUAL(once(tanh_forward, 1e-40f), 1e-40f);
    CU_ASSERT_EQUAL(once(tanh_forward, -FLT_MIN), -FLT_MIN);
    CU_ASSERT_EQUAL(once(tanh_forward, INFINITY), 1);
    CU_ASSERT_EQUAL(once(tanh_forward, -INFINITY), -1);
    CU_ASSERT_EQUAL(once(tanh_forward, FLT_MAX), 1);
    CU_ASSERT(isnan(once(tanh_forward, NAN)));
    CU_ASSERT(isnan(once(tanh_forward, -NAN)));
}

static void special_values_of_exp(void)
{
    CU_ASSERT_EQUAL(once(vector_exp, 0.0f), 1);
    CU_ASSERT_EQUAL(once(vector_exp, -0.0f), 1);
    CU_ASSERT_EQUAL(once(vector_exp, -1e-40f), 1);
    CU_ASSERT_EQUAL(once(vector_exp, INFINITY), INFINITY);
    CU_ASSERT_EQUAL(once(vector_exp, 89.0f), INFINITY);
    CU_ASSERT_EQUAL(once(vector_exp, FLT_MAX), INFINITY);
    CU_ASSERT_EQUAL(once(vector_exp, -87.4f), 0);
    CU_ASSERT_EQUAL(once(vector_exp, -FLT_MAX), 0);
    CU_ASSERT_EQUAL(once(vector_exp, -INFINITY), 0);
    CU_ASSERT(isnan(once(vector_exp, NAN)));
}

static void relu_passes_the_positive_and_nan(void)
{
    static const float in[16] = {-2, -0.0f, 0, 3, NAN, INFINITY, -INFINITY, -1e-40f, 1e-40f, 5};
    static const float out[16] = {0, 0, 0, 3, NAN, INFINITY, 0, 0, 1e-40f, 5};
    float dy[16] __attribute__((aligned(64))), dx[16] __attribute__((aligned(64)));
    memcpy(x, in, sizeof in);
    relu_forward(16, x, y);
    harness_fill(dy, 16, 1);
    relu_mask(16, y, dy, dx);
    for (int i = 0; i < 16; i++) {
        CU_ASSERT(isnan(out[i]) ? isnan(y[i]) : y[i] == out[i]);
        CU_ASSERT_EQUAL(dx[i], out[i] > 0 ? dy[i] : 0);
    }
    relu_forward(16, x, x); /* in place */
    CU_ASSERT_EQUAL(memcmp(x, y, 16 * sizeof *x), 0);
}

/* dy(t) and x(t) move along rdy and rx; derivatives in t of tanh(x(t)) and of (1 - y^2) dy(t). */
static void derivatives_match_central_differences(void)
{
    enum { N = 48 };
    static float in[N], rx[N], dy[N], rdy[N], out[N] __attribute__((aligned(64)));
    float ry[N] __attribute__((aligned(64))), dx[N] __attribute__((aligned(64)));
    float rdx[N] __attribute__((aligned(64)));
    float aligned[3][N] __attribute__((aligned(64)));
    const double h = 1e-5;
    harness_fill(in, N, 1);
    harness_fill(rx, N, 2);
    harness_fill(dy, N, 3);
    harness_fill(rdy, N, 4);
    for (int i = 0; i < N; i++)
        in[i] *= 3;
    memcpy(aligned[0], in, sizeof in);
    memcpy(aligned[1], rx, sizeof rx);
    tanh_forward(N, aligned[0], out);
    tanh_backward(N, out, aligned[1], ry);
    memcpy(aligned[1], dy, sizeof dy);
    memcpy(aligned[2], rdy, sizeof rdy);
    tanh_backward(N, out, aligned[1], dx);
    tanh_backward_tangent(N, out, ry, aligned[1], aligned[2], rdx);
    for (int i = 0; i < N; i++) {
        double up = tanh(in[i] + h * rx[i]), down = tanh(in[i] - h * rx[i]);
        double dx_up = (1 - up * up) * (dy[i] + h * rdy[i]);
        double dx_down = (1 - down * down) * (dy[i] - h * rdy[i]);
        CU_ASSERT_DOUBLE_EQUAL(ry[i], (up - down) / (2 * h), 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(dx[i], (1 - pow(tanh(in[i]), 2)) * dy[i], 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(rdx[i], (dx_up - dx_down) / (2 * h), 2e-6);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"tanh is within 2 ulp", tanh_is_within_two_ulp},
        {"exp is within 2 ulp", exp_is_within_two_ulp},
        {"special values of tanh", special_values_of_tanh},
        {"special values of exp", special_values_of_exp},
        {"relu passes the positive and NaN", relu_passes_the_positive_and_nan},
        {"derivatives match central differences", derivatives_match_central_differences},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "act", tests);
}
