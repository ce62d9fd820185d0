/* Batch norm kernels against loops in double: odd shapes, empty lanes, channels far from 0, and
 * both modes; tangents come from the second parts of hyper-dual numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "harness.h"
#include "hyperdual.h"
#include "kernel/norm.h"

static const float EPS = 1e-5f;
enum { X, RX, DY, RDY, Y, RY, DX, RDX, N_PLANE };
enum { WEIGHT, BIAS, VWEIGHT, VBIAS, MEAN, VAR, DWEIGHT, DBIAS, RDWEIGHT, RDBIAS, N_ROW };

struct bench {
    struct norm_shape s;
    int64_t n; /* floats of an array */
    float *a[N_PLANE], *row[N_ROW], *kept, *want;
};

static void bench_open(struct bench *b, struct norm_shape s, float offset)
{
    *b = (struct bench){.s = s, .n = s.c * s.places * s.lanes};
    for (int i = 0; i < N_PLANE; i++) {
        b->a[i] = mem_alloc(b->n, sizeof(float));
        harness_fill(b->a[i], b->n, (uint64_t)(10 + i));
    }
    for (int64_t i = 0; i < b->n; i++) {
        b->a[X][i] += offset;
        if (i % s.lanes >= s.n)
            b->a[DY][i] = b->a[RDY][i] = 0; /* as the kernels demand */
    }
    for (int i = 0; i < N_ROW; i++) {
        b->row[i] = mem_alloc(s.c, sizeof(float));
        harness_fill(b->row[i], s.c, (uint64_t)(50 + i));
    }
    for (int c = 0; c < s.c; c++) {
        b->row[VAR][c] = 1.2f + b->row[VAR][c];
        b->row[MEAN][c] += offset;
        b->row[WEIGHT][c] = 1.5f + b->row[WEIGHT][c];
    }
    b->kept = mem_alloc(s.c * N_NORM_ROW, sizeof(float));
    b->want = mem_alloc(b->n, sizeof(float));
}

static void bench_close(struct bench *b)
{
    for (int i = 0; i < N_PLANE; i++)
        free(b->a[i]);
    for (int i = 0; i < N_ROW; i++)
        free(b->row[i]);
    free(b->kept);
    free(b->want);
}

static void run(struct bench *b)
{
    float *const *a = b->a, *const *r = b->row;
    norm_forward(&b->s, EPS, a[X], r[WEIGHT], r[BIAS], r[MEAN], r[VAR], b->kept, a[Y]);
    norm_backward(&b->s, a[X], a[DY], r[WEIGHT], r[BIAS], b->kept, a[DX], r[DWEIGHT], r[DBIAS]);
    norm_forward_tangent(&b->s, a[X], a[RX], r[WEIGHT], r[BIAS], r[VWEIGHT], r[VBIAS], b->kept,
                         a[RY]);
    norm_backward_tangent(&b->s, a[X], a[RX], a[DY], a[RDY], r[WEIGHT], r[BIAS], r[VWEIGHT],
                          b->kept, a[RDX], r[RDWEIGHT], r[RDBIAS]);
}

/* Mean and variance of a channel of x, with their slopes along R{x}. */
static void naive_statistics(const struct bench *b, int c, struct hyper *mean, struct hyper *var)
{
    const struct norm_shape *s = &b->s;
    int64_t plane = s->places * s->lanes, count = s->n * s->places;
    *mean = hyper_of(b->row[MEAN][c]);
    *var = hyper_of(b->row[VAR][c]);
    if (s->frozen)
        return;
    *mean = *var = hyper_of(0);
    for (int64_t i = 0; i < plane; i++)
        if (i % s->lanes < s->n) {
            struct hyper x = {b->a[X][c * plane + i], 0, b->a[RX][c * plane + i], 0};
            *mean = hyper_add(*mean, hyper_scale(x, 1.0 / (double)count));
        }
    for (int64_t i = 0; i < plane; i++)
        if (i % s->lanes < s->n) {
            struct hyper x = {b->a[X][c * plane + i], 0, b->a[RX][c * plane + i], 0};
            struct hyper e = hyper_add(x, hyper_scale(*mean, -1));
            *var = hyper_add(*var, hyper_scale(hyper_mul(e, e), 1.0 / (double)count));
        }
}

/* y of one channel, with its slope along R{x} and the directions of weight and bias. */
static void naive_channel(const struct bench *b, int c, struct hyper *y, struct hyper *xhat)
{
    const struct norm_shape *s = &b->s;
    int64_t plane = s->places * s->lanes;
    struct hyper mean, var;
    naive_statistics(b, c, &mean, &var);
    for (int64_t i = 0; i < plane; i++)
        xhat[i] = (struct hyper){b->a[X][c * plane + i], 0, b->a[RX][c * plane + i], 0};
    struct hyper inv = hyper_rsqrt(hyper_add(var, hyper_of(EPS)));
    struct hyper weight = {b->row[WEIGHT][c], 0, b->row[VWEIGHT][c], 0};
    struct hyper bias = {b->row[BIAS][c], 0, b->row[VBIAS][c], 0};
    for (int64_t i = 0; i < plane; i++) {
        xhat[i] = hyper_mul(hyper_add(xhat[i], hyper_scale(mean, -1)), inv);
        y[i] = hyper_add(hyper_mul(weight, xhat[i]), bias);
        if (s->relu && y[i].x <= 0)
            y[i] = hyper_of(0);
    }
}

/* dx = weight inv (dy - mean dy - xhat mean(dy xhat)) in hyper numbers: its slope is R{dx}. */
static void naive_backward(const struct bench *b, int c, const struct hyper *y,
                           const struct hyper *xhat, struct hyper *dx, struct hyper sum[2])
{
    const struct norm_shape *s = &b->s;
    int64_t plane = s->places * s->lanes, count = s->n * s->places;
    sum[0] = sum[1] = hyper_of(0);
    for (int64_t i = 0; i < plane; i++) {
        int off = i % s->lanes >= s->n || (s->relu && y[i].x <= 0);
        dx[i] = off ? hyper_of(0)
                    : (struct hyper){b->a[DY][c * plane + i], 0, b->a[RDY][c * plane + i], 0};
        sum[0] = hyper_add(sum[0], dx[i]);
        sum[1] = hyper_add(sum[1], hyper_mul(dx[i], xhat[i]));
    }
    double over = s->frozen ? 0 : -1.0 / (double)count;
    struct hyper mean, var;
    naive_statistics(b, c, &mean, &var);
    struct hyper weight = {b->row[WEIGHT][c], 0, b->row[VWEIGHT][c], 0};
    struct hyper factor = hyper_mul(weight, hyper_rsqrt(hyper_add(var, hyper_of(EPS))));
    for (int64_t i = 0; i < plane; i++) {
        struct hyper t =
            hyper_add(hyper_scale(sum[0], over), hyper_mul(hyper_scale(sum[1], over), xhat[i]));
        dx[i] = i % s->lanes < s->n ? hyper_mul(factor, hyper_add(dx[i], t)) : hyper_of(0);
    }
}

static void expect_near(const struct bench *b, const char *what, const float *got, int64_t n,
                        double bound)
{
    double error = harness_relative_error(got, b->want, n);
    if (!(error < bound))
        printf("%s: c %d places %lld lanes %d n %d frozen %d relu %d: %.2e\n", what, b->s.c,
               (long long)b->s.places, b->s.lanes, b->s.n, b->s.frozen, b->s.relu, error);
    CU_ASSERT(error < bound);
}

static void compare(struct bench *b, double bound)
{
    int64_t plane = b->s.places * b->s.lanes;
    struct hyper *all = mem_alloc(3 * b->n, sizeof *all),
                 *sums = mem_alloc(2 * b->s.c, sizeof *sums);
    struct hyper *y = all, *xhat = all + b->n, *dx = all + 2 * b->n;
    for (int c = 0; c < b->s.c; c++) {
        naive_channel(b, c, y + c * plane, xhat + c * plane);
        naive_backward(b, c, y + c * plane, xhat + c * plane, dx + c * plane, sums + 2 * c);
    }
#define COMPARE(what, got, n, value)  \
    for (int64_t i = 0; i < (n); i++) \
        b->want[i] = (float)(value);  \
    expect_near(b, what, got, n, bound)
    COMPARE("y", b->a[Y], b->n, y[i].x);
    COMPARE("R{y}", b->a[RY], b->n, y[i].v);
    COMPARE("dx", b->a[DX], b->n, dx[i].x);
    COMPARE("R{dx}", b->a[RDX], b->n, dx[i].v);
    COMPARE("dbias", b->row[DBIAS], b->s.c, sums[2 * i].x);
    COMPARE("dweight", b->row[DWEIGHT], b->s.c, sums[2 * i + 1].x);
    COMPARE("R{dbias}", b->row[RDBIAS], b->s.c, sums[2 * i].v);
    COMPARE("R{dweight}", b->row[RDWEIGHT], b->s.c, sums[2 * i + 1].v);
#undef COMPARE
    free(all);
    free(sums);
}

static const struct norm_shape shapes[] = {{1, 1, 16, 16, 0, 0},   {3, 1, 64, 16, 0, 0},
                                           {2, 7, 16, 16, 0, 0},   {5, 49, 32, 19, 0, 0},
                                           {2, 196, 64, 64, 0, 0}, {3, 65, 48, 33, 0, 0}};

static void all_passes_equal_loops_in_double(void)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int mode = 0; mode < 4; mode++) {
            struct bench b;
            struct norm_shape s = shapes[i];
            s.frozen = mode & 1;
            s.relu = mode >> 1;
            bench_open(&b, s, 0);
            run(&b);
            compare(&b, 2e-6);
            bench_close(&b);
        }
}

/* Means 100 deviations away cost two digits in x itself, no more. */
static void channels_far_from_zero_stay_exact(void)
{
    struct bench b;
    bench_open(&b, (struct norm_shape){3, 100, 32, 30, 0, 0}, 100);
    run(&b);
    compare(&b, 1e-4);
    bench_close(&b);
}

/* Empty lanes may hold anything finite: no statistic and no gradient of a sample changes. */
static void empty_lanes_have_no_say(void)
{
    struct bench b, c;
    struct norm_shape s = {3, 20, 32, 21, 0, 1};
    bench_open(&b, s, 0);
    bench_open(&c, s, 0);
    for (int64_t i = 0; i < c.n; i++)
        if (i % s.lanes >= s.n) {
            c.a[X][i] = 1e6f;
            c.a[RX][i] = -1e6f;
        }
    run(&b);
    run(&c);
    CU_ASSERT_EQUAL(memcmp(b.kept, c.kept, (size_t)(s.c * N_NORM_ROW) * sizeof(float)), 0);
    CU_ASSERT_EQUAL(memcmp(b.a[DX], c.a[DX], (size_t)b.n * sizeof(float)), 0);
    CU_ASSERT_EQUAL(memcmp(b.a[RDX], c.a[RDX], (size_t)b.n * sizeof(float)), 0);
    for (int i = DWEIGHT; i <= RDBIAS; i++)
        CU_ASSERT_EQUAL(memcmp(b.row[i], c.row[i], (size_t)s.c * sizeof(float)), 0);
    bench_close(&b);
    bench_close(&c);
}

/* The input's gradient and tangent may be absent, at a model's first layer. */
static void absent_input_arrays_change_nothing_else(void)
{
    struct bench b, c;
    struct norm_shape s = {2, 9, 16, 16, 0, 0};
    bench_open(&b, s, 0);
    bench_open(&c, s, 0);
    memset(b.a[RX], 0, (size_t)b.n * sizeof(float));
    run(&b);
    free(c.a[RX]);
    free(c.a[DX]);
    free(c.a[RDX]);
    c.a[RX] = c.a[DX] = c.a[RDX] = NULL;
    run(&c);
    CU_ASSERT_EQUAL(memcmp(b.a[RY], c.a[RY], (size_t)b.n * sizeof(float)), 0);
    for (int i = DWEIGHT; i <= RDBIAS; i++)
        CU_ASSERT_EQUAL(memcmp(b.row[i], c.row[i], (size_t)s.c * sizeof(float)), 0);
    bench_close(&b);
    bench_close(&c);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"all passes equal loops in double", all_passes_equal_loops_in_double},
        {"channels far from zero stay exact", channels_far_from_zero_stay_exact},
        {"empty lanes have no say", empty_lanes_have_no_say},
        {"absent input arrays change nothing else", absent_input_arrays_change_nothing_else},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "norm", tests);
}
