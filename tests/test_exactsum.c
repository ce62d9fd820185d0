/* Exact sums: the order of addends, threads and ranks does not matter, and what cannot be summed is
 * counted. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/exactsum.h"
#include "core/memory.h"
#include "core/rng.h"
#include "harness.h"

enum { LENGTH = 1003, ADDENDS = 41 };

/* Addends of very different size and sign, the kind whose float sum depends on the order. */
static void fill_addend(float *x, int which)
{
    harness_fill(x, LENGTH, (uint64_t)which + 1);
    for (int i = 0; i < LENGTH; i++)
        x[i] = ldexpf(x[i], (which * 7 + i) % 36 - 18);
}

static void sum_in_order(int64_t *acc, const int32_t *order, double scale)
{
    float x[LENGTH];
    for (int k = 0; k < ADDENDS; k++) {
        fill_addend(x, order[k]);
        CU_ASSERT_EQUAL(exact_add(acc, x, LENGTH, scale, EXACT_BITS_VALUE), 0);
    }
}

static void order_of_addends_does_not_matter(void)
{
    double scale = exact_scale(ADDENDS, EXACT_BITS_VALUE);
    int64_t first[LENGTH] = {0};
    int32_t order[ADDENDS];
    for (int k = 0; k < ADDENDS; k++)
        order[k] = k;
    sum_in_order(first, order, scale);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rng r = {.seed = seed, .purpose = RNG_SHUFFLE};
        int64_t acc[LENGTH] = {0};
        rng_permute_i32(&r, order, ADDENDS);
        sum_in_order(acc, order, scale);
        CU_ASSERT_EQUAL(memcmp(acc, first, sizeof acc), 0);
    }
}

static void split_over_ranks_and_merged_is_the_same(void)
{
    double scale = exact_scale(ADDENDS, EXACT_BITS_VALUE);
    int64_t whole[LENGTH] = {0}, part[2][LENGTH] = {{0}};
    float x[LENGTH];
    for (int k = 0; k < ADDENDS; k++) {
        fill_addend(x, k);
        exact_add(whole, x, LENGTH, scale, EXACT_BITS_VALUE);
        if (k % test_comm.size == test_comm.rank) /* dealt over two threads' sums */
            exact_add(part[k / 3 % 2], x, LENGTH, scale, EXACT_BITS_VALUE);
    }
    exact_merge(part[0], part[1], LENGTH);
    comm_sum_i64(&test_comm, part[0], LENGTH);
    CU_ASSERT_EQUAL(memcmp(part[0], whole, sizeof whole), 0);
}

static void sum_matches_double(void)
{
    double scale = exact_scale(ADDENDS, EXACT_BITS_VALUE), reference[LENGTH] = {0}, sum[LENGTH];
    int64_t acc[LENGTH] = {0};
    float x[LENGTH], rounded[LENGTH];
    for (int k = 0; k < ADDENDS; k++) {
        fill_addend(x, k);
        exact_add(acc, x, LENGTH, scale, EXACT_BITS_VALUE);
        for (int i = 0; i < LENGTH; i++)
            reference[i] += x[i];
    }
    exact_to_double(sum, acc, LENGTH, scale, 0.25);
    exact_to_float(rounded, acc, LENGTH, scale, 0.25);
    for (int i = 0; i < LENGTH; i++) {
        CU_ASSERT_DOUBLE_EQUAL(sum[i], reference[i] / 4,
                               ADDENDS / scale + 1e-9 * fabs(reference[i]));
        CU_ASSERT_EQUAL(rounded[i], (float)sum[i]);
    }
}

/* Every addend becomes the int64 that correct rounding gives, whatever the instruction set. */
static void addends_round_to_nearest_even(void)
{
    static const float x[] = {0.5f,  1.5f,   2.5f,       -0.5f,      -1.5f,      -2.5f,     0.75f,
                              -0.0f, 1e-45f, 8388607.5f, 12345.678f, -987654.3f, 1048575.9f};
    enum { N = sizeof x / sizeof *x };
    double scales[] = {1, 2, 0x1p12, 0x1p31, 0x1p38, 0x1p-9};
    for (int s = 0; s < 6; s++) {
        int64_t acc[N] = {0};
        exact_add(acc, x, N, scales[s], 24);
        for (int i = 0; i < N; i++)
            CU_ASSERT_EQUAL(acc[i], (int64_t)rint((double)x[i] * scales[s]));
    }
    float fill[LENGTH];
    int64_t acc[LENGTH] = {0};
    harness_fill(fill, LENGTH, 9);
    for (int i = 0; i < LENGTH; i++)
        fill[i] = ldexpf(fill[i], i % 40 - 20);
    exact_add(acc, fill, LENGTH, 0x1p42, EXACT_BITS_VALUE);
    for (int i = 0; i < LENGTH; i++)
        CU_ASSERT_EQUAL(acc[i], (int64_t)rint((double)fill[i] * 0x1p42));
}

static void what_is_not_finite_or_too_large_is_counted(void)
{
    enum { N = 70 };
    static const struct {
        int at;
        float value;
    } bad[] = {{0, NAN},       {15, INFINITY}, {16, -INFINITY}, {33, 0x1p20f},
               {64, -0x1p20f}, {69, FLT_MAX},  {68, -NAN}};
    double scale = exact_scale(10, EXACT_BITS_VALUE);
    float x[N];
    int64_t acc[N] = {0};
    for (int i = 0; i < N; i++)
        x[i] = 1.0f;
    x[40] = nextafterf(0x1p20f, 0); /* the largest that is allowed */
    for (int b = 0; b < 7; b++)
        x[bad[b].at] = bad[b].value;
    CU_ASSERT_EQUAL(exact_add(acc, x, N, scale, EXACT_BITS_VALUE), 7);
    for (int b = 0; b < 7; b++)
        CU_ASSERT_EQUAL(acc[bad[b].at], 0);
    CU_ASSERT_EQUAL(acc[1], (int64_t)scale);
    CU_ASSERT_EQUAL(acc[40], (int64_t)((double)x[40] * scale));
}

static void one_double_is_checked_and_rounded(void)
{
    double scale = exact_scale(1000, EXACT_BITS_SQUARE);
    int64_t acc = 0;
    CU_ASSERT_EQUAL(exact_add_one(&acc, 3.25, scale, EXACT_BITS_SQUARE), 0);
    CU_ASSERT_EQUAL(exact_add_one(&acc, -1.0, scale, EXACT_BITS_SQUARE), 0);
    CU_ASSERT_EQUAL(acc, (int64_t)(2.25 * scale));
    CU_ASSERT_EQUAL(exact_add_one(&acc, NAN, scale, EXACT_BITS_SQUARE), 1);
    CU_ASSERT_EQUAL(exact_add_one(&acc, -INFINITY, scale, EXACT_BITS_SQUARE), 1);
    CU_ASSERT_EQUAL(exact_add_one(&acc, 0x1p40, scale, EXACT_BITS_SQUARE), 1);
    CU_ASSERT_EQUAL(exact_add_one(&acc, -0x1p40, scale, EXACT_BITS_SQUARE), 1);
    CU_ASSERT_EQUAL(acc, (int64_t)(2.25 * scale));
}

static void scales_leave_room_for_every_addend(void)
{
    CU_ASSERT_EQUAL(exact_scale(1, 20), 0x1p42);
    CU_ASSERT_EQUAL(exact_scale(2, 20), 0x1p41);
    CU_ASSERT_EQUAL(exact_scale(3, 20), 0x1p40);
    CU_ASSERT_EQUAL(exact_scale(4, 20), 0x1p40);
    CU_ASSERT_EQUAL(exact_scale(5, 20), 0x1p39);
    CU_ASSERT_EQUAL(exact_scale(50000, 20), 0x1p26); /* 1.5e-8 a unit */
    CU_ASSERT_EQUAL(exact_scale((int64_t)1 << 31, 20), 0x1p11);
    CU_ASSERT_EQUAL(exact_scale(((int64_t)1 << 31) + 1, 40), 0x1p-10);
}

/* The extreme: n times the largest addend, summed in pieces, stays below 2^62. */
static void no_overflow_at_the_extreme(void)
{
    int64_t sizes[] = {1, 2, 3, 1 << 10, (int64_t)1 << 31};
    float x = nextafterf(0x1p20f, 0);
    for (int s = 0; s < 5; s++) {
        double scale = exact_scale(sizes[s], EXACT_BITS_VALUE), back;
        int64_t one = 0, total;
        CU_ASSERT_EQUAL(exact_add(&one, &x, 1, scale, EXACT_BITS_VALUE), 0);
        CU_ASSERT_FALSE(__builtin_mul_overflow(one, sizes[s], &total));
        CU_ASSERT_TRUE(total <= (int64_t)1 << 62);
        exact_to_double(&back, &total, 1, scale, 1.0 / (double)sizes[s]);
        CU_ASSERT_DOUBLE_EQUAL(back, x, 1e-3);
    }
}

/* --- ways that are quick where a stretch of the vector allows it */

enum { LONG = 9000 };

/* Long runs of one size, runs of another, and single values that their neighbours do not prepare
 * for; zeros of both signs and what rounds to them. */
static void fill_mixed(float *x, int variant)
{
    static const float odd[] = {-0.0f, 0.0f, -1e-30f, 1e-30f, 1048575.9f, -1048575.9f, -0x1p-46f};
    harness_fill(x, LONG, 77);
    for (int i = 0; i < LONG; i++) {
        if (variant == 1 || (variant == 2 && i / 3000 == 1))
            x[i] = ldexpf(x[i], 20);
        if (variant == 3)
            x[i] = ldexpf(x[i], i % 60 - 40);
        if (i % 1237 == 11)
            x[i] = odd[i / 1237 % 7];
    }
    if (variant == 0) /* the last place alone is large */
        x[LONG - 1] = 1e6f;
}

static void mixed_sizes_round_like_single_ones(void)
{
    static float x[LONG];
    static int64_t acc[LONG];
    for (int variant = 0; variant < 4; variant++)
        for (int64_t n = 1; n <= 1 << 20; n <<= 10) {
            double scale = exact_scale(n, EXACT_BITS_VALUE);
            int64_t n_wrong = 0;
            fill_mixed(x, variant);
            memset(acc, 0x5a, sizeof acc);
            CU_ASSERT_EQUAL(exact_set(acc, x, LONG, scale, EXACT_BITS_VALUE), 0);
            for (int i = 0; i < LONG; i++)
                n_wrong += acc[i] != (int64_t)rint((double)x[i] * scale);
            CU_ASSERT_EQUAL(exact_add(acc, x, LONG, scale, EXACT_BITS_VALUE), 0);
            for (int i = 0; i < LONG; i++)
                n_wrong += acc[i] != 2 * (int64_t)rint((double)x[i] * scale);
            CU_ASSERT_EQUAL(n_wrong, 0);
        }
}

static void sums_of_any_size_convert_alike(void)
{
    static float x[LONG], out[LONG], added[LONG];
    static int64_t acc[LONG];
    static double total[LONG];
    for (int variant = 0; variant < 4; variant++) {
        double scale = exact_scale(2, EXACT_BITS_VALUE), factor = 1.0 / 3;
        int64_t n_wrong = 0;
        fill_mixed(x, variant);
        exact_set(acc, x, LONG, scale, EXACT_BITS_VALUE);
        memcpy(added, x, sizeof added);
        exact_to_float(out, acc, LONG, scale, factor);
        exact_add_to_float(added, acc, LONG, scale, factor);
        exact_to_double(total, acc, LONG, scale, factor);
        for (int i = 0; i < LONG; i++) {
            double value = (double)acc[i] / scale * factor;
            n_wrong += total[i] != value || out[i] != (float)value;
            n_wrong += added[i] != (float)(x[i] + value);
        }
        CU_ASSERT_EQUAL(n_wrong, 0);
    }
}

/* One addend without integers against the way through them, bit by bit. */
static void one_addend_needs_no_integers(void)
{
    static float x[LONG], out[2][LONG], added[2][LONG];
    static int64_t acc[LONG];
    static double total[2][LONG];
    for (int variant = 0; variant < 4; variant++)
        for (int64_t n = 1; n <= 1 << 20; n <<= 5) {
            double scale = exact_scale(n, EXACT_BITS_VALUE), factor = 0.7 / (double)n;
            fill_mixed(x, variant);
            exact_set(acc, x, LONG, scale, EXACT_BITS_VALUE);
            for (int way = 0; way < 2; way++) {
                harness_fill(added[way], LONG, 5);
                added[way][11] = added[way][2485] = -0.0f; /* where zeros are added */
            }
            exact_to_float(out[0], acc, LONG, scale, factor);
            exact_add_to_float(added[0], acc, LONG, scale, factor);
            exact_to_double(total[0], acc, LONG, scale, factor);
            exact_round(out[1], x, LONG, scale, factor);
            exact_add_round(added[1], x, LONG, scale, factor);
            exact_round_double(total[1], x, LONG, scale, factor);
            CU_ASSERT(!memcmp(out[0], out[1], sizeof out[0]));
            CU_ASSERT(!memcmp(added[0], added[1], sizeof added[0]));
            CU_ASSERT(!memcmp(total[0], total[1], sizeof total[0]));
        }
}

static void bad_addends_are_counted_alike(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 0x1p20f, -0x1p20f, FLT_MAX, -NAN};
    static float x[LONG];
    static int64_t acc[LONG];
    double scale = exact_scale(64, EXACT_BITS_VALUE);
    for (int variant = 0; variant < 4; variant++)
        for (int stride = 1; stride < 4000; stride = 3 * stride + 1) {
            int64_t n_bad = 0;
            fill_mixed(x, variant);
            for (int i = stride / 2; i < LONG; i += stride)
                x[i] = bad[n_bad++ % 7];
            CU_ASSERT_EQUAL(exact_count_bad(x, LONG, EXACT_BITS_VALUE), n_bad);
            CU_ASSERT_EQUAL(exact_set(acc, x, LONG, scale, EXACT_BITS_VALUE), n_bad);
            CU_ASSERT_EQUAL(exact_add(acc, x, LONG, scale, EXACT_BITS_VALUE), n_bad);
        }
    fill_mixed(x, 1);
    CU_ASSERT_EQUAL(exact_count_bad(x, LONG, EXACT_BITS_VALUE), 0);
}

/* Vectors longer than one run of counting lanes. */
static void long_vectors_are_counted_in_full(void)
{
    int64_t n = (1 << 20) + 77;
    float *x = mem_alloc(n, sizeof *x);
    int64_t *acc = mem_alloc(n, sizeof *acc);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(acc);
    for (int64_t i = 0; i < n; i++)
        x[i] = i % 3 ? 1.0f : NAN;
    CU_ASSERT_EQUAL(exact_add(acc, x, n, 4.0, EXACT_BITS_VALUE), (n + 2) / 3);
    CU_ASSERT_EQUAL(acc[n - 1], (n - 1) % 3 ? 4 : 0);
    free(x);
    free(acc);
}

/* Squares of 2^39 and of 1e-13 in one sum. */
static void halves_carry_a_wide_range(void)
{
    enum { N = 6 };
    const float value[N] = {0x1.8p39f, 12345.678f, 0.0078125f, 1.23e-7f, 3.3e-13f, 0};
    double high_scale = exact_scale(N * ADDENDS, EXACT_BITS_SQUARE);
    int rest_bits = exact_rest_bits(high_scale);
    double rest_scale = exact_scale(N * ADDENDS, rest_bits);
    for (int i = 0; i < N; i++) {
        int64_t high_sum = 0, rest_sum = 0;
        float rest = value[i], high;
        exact_split(&rest, 1, high_scale, &high);
        CU_ASSERT_EQUAL((double)high + (double)rest, (double)value[i]);
        CU_ASSERT(fabs(rest) <= 0.5 / high_scale);
        for (int k = 0; k < ADDENDS; k++) {
            CU_ASSERT_EQUAL(exact_add(&high_sum, &high, 1, high_scale, EXACT_BITS_SQUARE), 0);
            CU_ASSERT_EQUAL(exact_add(&rest_sum, &rest, 1, rest_scale, rest_bits), 0);
        }
        double sum = (double)high_sum / high_scale + (double)rest_sum / rest_scale;
        CU_ASSERT(fabs(sum - ADDENDS * (double)value[i]) <= ADDENDS * 0.5 / rest_scale);
        CU_ASSERT(value[i] == 0 || fabs(sum / ADDENDS / (double)value[i] - 1) < 1e-3);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"order of addends does not matter", order_of_addends_does_not_matter},
        {"split over ranks and merged is the same", split_over_ranks_and_merged_is_the_same},
        {"sum matches double", sum_matches_double},
        {"addends round to nearest even", addends_round_to_nearest_even},
        {"what is not finite or too large is counted", what_is_not_finite_or_too_large_is_counted},
        {"one double is checked and rounded", one_double_is_checked_and_rounded},
        {"scales leave room for every addend", scales_leave_room_for_every_addend},
        {"no overflow at the extreme", no_overflow_at_the_extreme},
        {"mixed sizes round like single ones", mixed_sizes_round_like_single_ones},
        {"sums of any size convert alike", sums_of_any_size_convert_alike},
        {"one addend needs no integers", one_addend_needs_no_integers},
        {"bad addends are counted alike", bad_addends_are_counted_alike},
        {"long vectors are counted in full", long_vectors_are_counted_in_full},
        {"halves carry a wide range", halves_carry_a_wide_range},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "exactsum", tests);
}
