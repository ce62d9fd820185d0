/* Convolutions by products at points against direct sums, over odd shapes and also where the direct
 * ones would be chosen. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../src/kernel/conv_private.h"
#include "core/memory.h"
#include "harness.h"

/* Norm of the difference to that of the result: 3e-6 is the largest seen, at 512 channels. */
#define BOUND 5e-6

struct problem {
    struct conv_shape s;
    int64_t n_in, n_out, n_w, n_scratch;
    float *in[2], *out[2], *w[2], *bias, *scratch; /* owned; out holds gradients of the output */
    float *got, *want; /* owned; out, in, w and bias, one after another */
};

static float *filled(int64_t n, uint64_t seed)
{
    float *x = mem_alloc(n, sizeof *x);
    if (!x)
        abort();
    harness_fill(x, n, seed);
    return x;
}

static struct problem problem_make(struct conv_shape s)
{
    struct problem p = {.s = s};
    p.n_in = (int64_t)s.c_in * s.h_in * s.w_in * s.lanes;
    p.n_out = (int64_t)s.c_out * s.h_out * s.w_out * s.lanes;
    p.n_w = (int64_t)s.c_out * s.c_in * s.k * s.k;
    p.n_scratch = max_i64(conv_wino_scratch_floats(&s),
                          max_i64(conv_direct_scratch_floats(&s), conv_direct_gradient_floats(&s)));
    for (int i = 0; i < 2; i++) {
        p.in[i] = filled(p.n_in, 10 + i);
        p.out[i] = filled(p.n_out, 20 + i);
        p.w[i] = filled(p.n_w, 30 + i);
    }
    p.bias = filled(s.c_out, 40);
    p.scratch = filled(p.n_scratch, 50);
    int64_t n = p.n_in + p.n_out + p.n_w + s.c_out;
    p.got = filled(n, 60);
    p.want = filled(n, 61);
    return p;
}

static void problem_free(struct problem *p)
{
    for (int i = 0; i < 2; i++) {
        free(p->in[i]);
        free(p->out[i]);
        free(p->w[i]);
    }
    free(p->bias);
    free(p->scratch);
    free(p->got);
    free(p->want);
}

static void run_points(const struct problem *p, int n_pair, float *to)
{
    const float *const *in = (const float *const *)p->in,
                       *const *out = (const float *const *)p->out,
                       *const *w = (const float *const *)p->w;
    float *din = to + p->n_out, *dw = din + p->n_in;
    conv_wino_forward(&p->s, n_pair, in, w, p->bias, to, p->scratch);
    conv_wino_input_grad(&p->s, n_pair, out, w, din, p->scratch);
    conv_wino_weight_grad(&p->s, n_pair, in, out, dw, dw + p->n_w, p->scratch);
}

static void run_direct(const struct problem *p, int n_pair, float *to)
{
    const float *const *in = (const float *const *)p->in,
                       *const *out = (const float *const *)p->out,
                       *const *w = (const float *const *)p->w;
    float *din = to + p->n_out, *dw = din + p->n_in;
    conv_direct_forward(&p->s, n_pair, in, w, p->bias, to, p->scratch);
    conv_direct_input_grad(&p->s, n_pair, out, w, din, p->scratch);
    conv_direct_weight_grad(&p->s, n_pair, in, out, dw, dw + p->n_w, p->scratch);
}

static struct conv_shape shape(int c_in, int h_in, int w_in, int c_out, int k, int stride, int pad,
                               int lanes)
{
    struct conv_shape s = {c_in, h_in, w_in, c_out, 0, 0, k, stride, pad, lanes};
    s.h_out = (h_in + 2 * pad - k) / stride + 1;
    s.w_out = (w_in + 2 * pad - k) / stride + 1;
    return s;
}

/* Whole and cut tiles, planes smaller than the taps, every padding, one channel, channels around
 * the sizes of register tiles and vectors, and more of them than a block or a group holds. */
static const struct conv_shape *shapes(int *n)
{
    static struct conv_shape list[64];
    int i = 0;
    for (int side = 1; side <= 9; side++)
        for (int pad = side == 1; pad <= 2; pad++)
            if (side + 2 * pad >= 3)
                list[i++] = shape(1 + 5 * side % 19, side, 11 - side, 1 + 7 * side % 29, 3, 1,
                                  side == 9 ? 1 : pad, 16 * (1 + (side + pad) % 4));
    for (int side = 1; side <= 9; side++)
        list[i++] = shape(1 + 7 * side % 23, side, 10 - side, 1 + 5 * side % 31, 3, 2, 1,
                          16 * (1 + side % 4));
    list[i++] = shape(3, 8, 8, 5, 3, 1, 1, 64);
    list[i++] = shape(20, 2, 2, 35, 3, 1, 1, 16);
    list[i++] = shape(64, 2, 2, 64, 3, 1, 1, 64);
    list[i++] = shape(40, 17, 18, 48, 3, 1, 1, 16);
    list[i++] = shape(130, 8, 8, 140, 3, 1, 1, 16);
    list[i++] = shape(72, 16, 16, 80, 3, 2, 1, 16);
    list[i++] = shape(20, 5, 4, 18, 1, 2, 0, 32);
    list[i++] = shape(20, 5, 3, 35, 1, 1, 0, 48);
    list[i++] = shape(1, 1, 1, 1, 1, 2, 0, 16);
    list[i++] = shape(512, 4, 4, 256, 3, 1, 1, 16);
    *n = i;
    return list;
}

static void points_equal_direct_sums(void)
{
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++)
        for (int n_pair = 1; n_pair <= 2; n_pair++) {
            struct problem p = problem_make(list[i]);
            const struct conv_shape *s = &p.s;
            CU_ASSERT(conv_wino_fits(s));
            run_points(&p, n_pair, p.got);
            run_direct(&p, n_pair, p.want);
            int64_t at = 0, part[4] = {p.n_out, p.n_in, p.n_w, s->c_out};
            for (int j = 0; j < 4; at += part[j], j++)
                CU_ASSERT(harness_relative_error(p.got + at, p.want + at, part[j]) < BOUND);
            problem_free(&p);
        }
}

static void results_do_not_depend_on_what_scratch_held(void)
{
    enum { GUARD = 64 };
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++) {
        struct problem p = problem_make(list[i]);
        free(p.scratch);
        p.n_scratch = conv_wino_scratch_floats(&p.s);
        p.scratch = filled(p.n_scratch + GUARD, 51);
        run_points(&p, 2, p.want);
        memset(p.scratch, 0xff, (size_t)p.n_scratch * sizeof(float)); /* not a number */
        run_points(&p, 2, p.got);
        int64_t n_all = p.n_in + p.n_out + p.n_w + p.s.c_out;
        CU_ASSERT_EQUAL(memcmp(p.got, p.want, (size_t)n_all * sizeof(float)), 0);
        float *first = filled(p.n_scratch + GUARD, 51);
        CU_ASSERT_EQUAL(memcmp(first + p.n_scratch, p.scratch + p.n_scratch, GUARD * sizeof(float)),
                        0);
        free(first);
        problem_free(&p);
    }
}

/* A sample that overflows must not reach its neighbours. */
static void a_lane_that_is_no_number_stays_alone(void)
{
    enum { BAD = 5 };
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++) {
        struct problem p = problem_make(list[i]);
        run_points(&p, 1, p.want);
        for (int64_t j = BAD; j < p.n_in; j += p.s.lanes)
            p.in[0][j] = NAN;
        for (int64_t j = BAD; j < p.n_out; j += p.s.lanes)
            p.out[0][j] = NAN;
        run_points(&p, 1, p.got);
        int different = 0;
        for (int64_t j = 0; j < p.n_out + p.n_in; j++)
            different += j % p.s.lanes != BAD && p.got[j] != p.want[j];
        CU_ASSERT_EQUAL(different, 0);
        CU_ASSERT(isnan(p.got[BAD]));
        problem_free(&p);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"points equal direct sums", points_equal_direct_sums},
        {"results do not depend on what scratch held", results_do_not_depend_on_what_scratch_held},
        {"a lane that is no number stays alone", a_lane_that_is_no_number_stays_alone},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "winograd", tests);
}
