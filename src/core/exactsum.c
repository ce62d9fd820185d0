/* Fixed-point accumulation: floats are rounded once to int64, so that sums do not depend on their
 * order. */
#include "core/exactsum.h"

#include <math.h>

#include "core/error.h"

enum { SUM_BITS = 62, COUNT_CHUNK = 1 << 20 };

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
    REQUIRE(n >= 1 && bits >= 0 && bits < SUM_BITS);
    int log2_n = n == 1 ? 0 : 64 - __builtin_clzll((unsigned long long)(n - 1));
    return ldexp(1.0, SUM_BITS - bits - log2_n);
}

/* The range check works on bit patterns, where NaN and infinity order above every number; counting
 * in 32-bit lanes keeps the loop at full vector width. */
static inline __attribute__((always_inline)) int32_t add_chunk(int64_t *restrict acc,
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

static inline __attribute__((always_inline)) int64_t
add_chunks(int64_t *acc, const float *x, int64_t n, double scale, int bits, int fresh)
{
    int32_t limit_pattern = (127 + bits) << 23; /* 2^bits as an IEEE single */
    int64_t n_bad = 0;
    for (int64_t i = 0; i < n; i += COUNT_CHUNK) {
        int64_t count = n - i < COUNT_CHUNK ? n - i : COUNT_CHUNK;
        n_bad += add_chunk(acc + i, x + i, count, (float)scale, limit_pattern, fresh);
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

/* Scales are powers of two, so multiplying by the inverse is the exact division. */
void exact_to_float(float *out, const int64_t *acc, int64_t n, double scale, double factor)
{
    double inverse = 1.0 / scale;
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)acc[i] * inverse * factor);
}

void exact_add_to_float(float *out, const int64_t *acc, int64_t n, double scale, double factor)
{
    double inverse = 1.0 / scale;
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(out[i] + (double)acc[i] * inverse * factor);
}

void exact_to_double(double *out, const int64_t *acc, int64_t n, double scale, double factor)
{
    double inverse = 1.0 / scale;
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)acc[i] * inverse * factor;
}
