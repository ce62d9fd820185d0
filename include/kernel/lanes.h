/* Lane blocks: samples travel innermost, 16 to a block, and one lane is one sample. An activation
 * of a unit is [c][h][w][lanes] with lanes a multiple of 16, so that every kernel is a loop over
 * whole vectors and any channel count runs at full width; such arrays are aligned to 64 bytes,
 * weights need not be. A vector is 16 floats on AVX-512 and 8 elsewhere, fixed by the build. */
#ifndef IAU_KERNEL_LANES_H
#define IAU_KERNEL_LANES_H

#include <stdint.h>

enum { LANE_BLOCK = 16 };

#ifndef IAU_VECTOR_WIDTH
#ifdef __AVX512F__
#define IAU_VECTOR_WIDTH 16
#else
#define IAU_VECTOR_WIDTH 8
#endif
#endif

typedef float vecf __attribute__((vector_size(4 * IAU_VECTOR_WIDTH), may_alias));
typedef int32_t veci __attribute__((vector_size(4 * IAU_VECTOR_WIDTH), may_alias));
/* A vecf at any address of a float: weights and stored samples are not aligned as activations are.
 */
typedef float vecf_unaligned
    __attribute__((vector_size(4 * IAU_VECTOR_WIDTH), may_alias, aligned(sizeof(float))));

/* All lanes equal to x. */
static inline vecf vec_all(float x)
{
    return x - (vecf){};
}

/* a where the mask is all ones, b where it is zero: GNU C has no ?: on vectors. */
static inline vecf vec_select(veci mask, vecf a, vecf b)
{
    return (vecf)((mask & (veci)a) | (~mask & (veci)b));
}

#endif
