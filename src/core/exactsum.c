/* Fixed-point accumulation: floats are rounded once to int64, so that sums do not depend on their
 * order. */
#include "core/exactsum.h"

#include <math.h>

#include "core/error.h"

enum { SUM_BITS = 62, CHUNK = 2048 };

/* Added to a number below 2^51 in size, this leaves its rounding to an integer in the low bits of
 * the double, and taken off again that integer: conversions that no instruction is needed for.
 * Where a chunk holds anything larger, the general loops give the same integers. */
static const double MAGIC = 0x1.8p52;
static const int64_t MAGIC_BITS = 0x4338000000000000;
enum { QUICK_BITS = 51 };

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t bits_of(double v)
{
    union {
        double value;
        int64_t bits;
    } u = {v};
    return u.bits;
}

static inline double double_of(int64_t bits)
{
    union {
        int64_t bits;
        double value;
    } u = {bits};
    return u.value;
}

/* An integer-valued float below 2^62 in size as int64. */
static inline int64_t to_fixed(float v)
{
#ifdef __AVX512DQ__
    return (int64_t)v;
#else
    /* Without a vector conversion to 64 bits: two exact halves, each of which fits 32 bits. */
    int32_t high = (int32_t)(v * 0x1p-31f);
    int32_t low = (int32_t)(v - (float)high * 0x1p31f);
    return (int64_t)high * ((int64_t)1 << 31) + low;
#endif
}

double exact_scale(int64_t n, int bits)
{
    REQUIRE(n >= 1 && bits > -SUM_BITS && bits < SUM_BITS);
    int log2_n = n == 1 ? 0 : 64 - __builtin_clzll((unsigned long long)(n - 1));
    return ldexp(1.0, SUM_BITS - bits - log2_n);
}

void exact_split(float *x, int64_t n, double scale, float *high)
{
    float up = (float)scale, down = 1 / up;
    for (int64_t i = 0; i < n; i++) {
        high[i] = rintf(x[i] * up) * down;
        x[i] -= high[i];
    }
}

int exact_rest_bits(double scale)
{
    return -ilogb(scale); /* a rest is at most half of 1/scale */
}

/* Sizes of floats compare as their bit patterns do; NaN and infinity are above every number. */
static int32_t largest_pattern(const float *x, int64_t n)
{
    int32_t largest = 0;
    for (int64_t i = 0; i < n; i++) {
        union {
            float value;
            int32_t pattern;
        } u = {x[i]};
        int32_t size = u.pattern & INT32_MAX;
        largest = size > largest ? size : largest;
    }
    return largest;
}

static inline __attribute__((always_inline)) void
add_quick(int64_t *restrict acc, const float *restrict x, int64_t n, double scale, int fresh)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] = (fresh ? 0 : acc[i]) + (bits_of((double)x[i] * scale + MAGIC) - MAGIC_BITS);
}

/* Counting in 32-bit lanes keeps the loop at full vector width. */
static inline __attribute__((always_inline)) int32_t add_checked(int64_t *restrict acc,
                                                                 const float *restrict x, int64_t n,
                                                                 float scale, int32_t limit_pattern,
                                                                 int fresh)
{
    int32_t n_bad = 0;
    for (int64_t i = 0; i < n; i++) {
        union {
            float value;
            int32_t pattern;
        } u = {x[i]};
        int32_t good = -((u.pattern & INT32_MAX) < limit_pattern); /* all ones or zero */
        u.pattern &= good;
        n_bad += 1 + good;
        acc[i] = (fresh ? 0 : acc[i]) + to_fixed(rintf(u.value * scale));
    }
    return n_bad;
}

static int32_t power_pattern(int exponent)
{
    return exponent < -126 ? 0 : (127 + exponent) << 23; /* 2^exponent as an IEEE single */
}

static inline __attribute__((always_inline)) int64_t
add_chunks(int64_t *acc, const float *x, int64_t n, double scale, int bits, int fresh)
{
    int quick_bits = QUICK_BITS - ilogb(scale);
    int32_t limit = power_pattern(bits),
            quick = power_pattern(quick_bits < bits ? quick_bits : bits);
    int64_t n_bad = 0;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t count = min_i64(n - i, CHUNK);
        if (largest_pattern(x + i, count) < quick)
            add_quick(acc + i, x + i, count, scale, fresh);
        else
            n_bad += add_checked(acc + i, x + i, count, (float)scale, limit, fresh);
    }
    return n_bad;
}

int64_t exact_add(int64_t *acc, const float *x, int64_t n, double scale, int bits)
{
    return add_chunks(acc, x, n, scale, bits, 0);
}

int64_t exact_set(int64_t *acc, const float *x, int64_t n, double scale, int bits)
{
    return add_chunks(acc, x, n, scale, bits, 1);
}

int64_t exact_add_one(int64_t *acc, double x, double scale, int bits)
{
    if (!(fabs(x) < ldexp(1.0, bits)))
        return 1;
    *acc += (int64_t)rint(x * scale);
    return 0;
}

void exact_merge(int64_t *acc, const int64_t *other, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        acc[i] += other[i];
}

int64_t exact_count_bad(const float *x, int64_t n, int bits)
{
    int64_t n_bad = 0;
    float limit = ldexpf(1, bits);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t end = min_i64(n, i + CHUNK);
        if (largest_pattern(x + i, end - i) >= power_pattern(bits))
            for (int64_t k = i; k < end; k++)
                n_bad += !(fabsf(x[k]) < limit);
    }
    return n_bad;
}

enum target { TO_FLOAT, ADD_TO_FLOAT, TO_DOUBLE };

static inline __attribute__((always_inline)) void put(void *out, enum target target, int64_t i,
                                                      double value)
{
    float *f = out;
    if (target == TO_DOUBLE)
        ((double *)out)[i] = value;
    else
        f[i] = (float)(target == ADD_TO_FLOAT ? f[i] + value : value);
}

/* rint is exact on doubles of any size, so this is the way through int64 without the integers,
 * which know no negative zero. */
static inline __attribute__((always_inline)) void round_to(void *restrict out, enum target target,
                                                           const float *restrict x, int64_t n,
                                                           double scale, double factor)
{
    double inverse = 1.0 / scale;
    for (int64_t i = 0; i < n; i++)
        put(out, target, i, (rint((double)x[i] * scale) + 0.0) * inverse * factor);
}

void exact_round(float *out, const float *x, int64_t n, double scale, double factor)
{
    round_to(out, TO_FLOAT, x, n, scale, factor);
}

void exact_add_round(float *out, const float *x, int64_t n, double scale, double factor)
{
    round_to(out, ADD_TO_FLOAT, x, n, scale, factor);
}

void exact_round_double(double *out, const float *x, int64_t n, double scale, double factor)
{
    round_to(out, TO_DOUBLE, x, n, scale, factor);
}

/* Whether every sum is below 2^51 in size. */
static int are_small(const int64_t *acc, int64_t n)
{
    uint64_t over = 0;
    for (int64_t i = 0; i < n; i++)
        over |= ((uint64_t)acc[i] + ((uint64_t)1 << QUICK_BITS)) >> (QUICK_BITS + 1);
    return over == 0;
}

/* out = or += acc / scale * factor. Scales are powers of two, so multiplying by the inverse is the
 * exact division. */
static inline __attribute__((always_inline)) void convert(void *restrict out, enum target target,
                                                          const int64_t *restrict acc, int64_t n,
                                                          double scale, double factor)
{
    double inverse = 1.0 / scale;
    for (int64_t begin = 0; begin < n; begin += CHUNK) {
        int64_t end = min_i64(n, begin + CHUNK);
        if (are_small(acc + begin, end - begin))
            for (int64_t i = begin; i < end; i++)
                put(out, target, i, (double_of(acc[i] + MAGIC_BITS) - MAGIC) * inverse * factor);
        else
            for (int64_t i = begin; i < end; i++)
                put(out, target, i, (double)acc[i] * inverse * factor);
    }
}

void exact_to_float(float *out, const int64_t *acc, int64_t n, double scale, double factor)
{
    convert(out, TO_FLOAT, acc, n, scale, factor);
}

void exact_add_to_float(float *out, const int64_t *acc, int64_t n, double scale, double factor)
{
    convert(out, ADD_TO_FLOAT, acc, n, scale, factor);
}

void exact_to_double(double *out, const int64_t *acc, int64_t n, double scale, double factor)
{
    convert(out, TO_DOUBLE, acc, n, scale, factor);
}
