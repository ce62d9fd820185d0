/* Sums over samples that do not depend on the order of the addends: every float addend is rounded
 * once to 64-bit fixed point, and integers add associatively, over threads and over ranks alike. */
#ifndef IAU_CORE_EXACTSUM_H
#define IAU_CORE_EXACTSUM_H

#include <stdint.h>

enum {
    EXACT_BITS_VALUE = 20, /* |one sample's addend| < 2^20: gradients, losses */
    EXACT_BITS_SQUARE = 40 /* squares of such: for the small ones among them, see exact_split */
};

/** Local. The scale 2^(62 - bits - ceil(log2 n)) for a sum over `n` >= 1 samples: n addends below
 * 2^bits, which may be negative, cannot overflow. */
double exact_scale(int64_t n, int bits);
/** Local. Halves of addends of a wide range, to be summed apart: high[i] = the multiple of 1/scale
 * nearest to x[i], and x[i] becomes the rest, exactly. */
void exact_split(float *x, int64_t n, double scale, float *high);
/** Local. The `bits` of the rests. */
int exact_rest_bits(double scale);
/** Local. acc[i] += round(x[i] * scale) for i in [0, n).
 *  @param scale  a power of two from `exact_scale` with the same `bits`
 *  @return how many x are not finite or reach 2^bits; their addend is 0 */
int64_t exact_add(int64_t *acc, const float *x, int64_t n, double scale, int bits);
/** Local. The same for the first addend: acc[i] = round(x[i] * scale), whatever was there. */
int64_t exact_set(int64_t *acc, const float *x, int64_t n, double scale, int bits);
/** Local. The same for one double. */
int64_t exact_add_one(int64_t *acc, double x, double scale, int bits);
/** Local. acc[i] += other[i]. */
void exact_merge(int64_t *acc, const int64_t *other, int64_t n);
/** Local. out[i] = acc[i] / scale * factor, rounded once from double. */
void exact_to_float(float *out, const int64_t *acc, int64_t n, double scale, double factor);
/** Local. out[i] += acc[i] / scale * factor, added in double and rounded once. */
void exact_add_to_float(float *out, const int64_t *acc, int64_t n, double scale, double factor);
/** Local. How many x are not finite or reach 2^bits. */
int64_t exact_count_bad(const float *x, int64_t n, int bits);
/** Local. What exact_set makes of x and one of the conversions below of that, in one go: out[i] =
 * or += round(x[i] * scale) / scale * factor. */
void exact_round(float *out, const float *x, int64_t n, double scale, double factor);
void exact_add_round(float *out, const float *x, int64_t n, double scale, double factor);
void exact_round_double(double *out, const float *x, int64_t n, double scale, double factor);
/** Local. out[i] = acc[i] / scale * factor in double. */
void exact_to_double(double *out, const int64_t *acc, int64_t n, double scale, double factor);

#endif
