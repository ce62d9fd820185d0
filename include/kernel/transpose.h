/* The transpose of a square of vectors in registers: how samples stored one after another become
 * lanes. */
#ifndef IAU_KERNEL_TRANSPOSE_H
#define IAU_KERNEL_TRANSPOSE_H

#include "kernel/lanes.h"

/* r[i] holds row i before and column i after: log2(n) times, rows i and i + n/2 are interleaved. */
static inline __attribute__((always_inline)) void vec_transpose(vecf r[IAU_VECTOR_WIDTH])
{
    enum { N = IAU_VECTOR_WIDTH };
#if IAU_VECTOR_WIDTH == 16
    const veci low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
#else
    const veci low = {0, 8, 1, 9, 2, 10, 3, 11};
#endif
    const veci high = low + N / 2;
#pragma GCC unroll 4
    for (int step = 1; step < N; step *= 2) {
        vecf t[N];
#pragma GCC unroll 16
        for (int i = 0; i < N; i++)
            t[i] = r[i];
#pragma GCC unroll 8
        for (int i = 0; i < N / 2; i++) {
            r[2 * i] = __builtin_shuffle(t[i], t[i + N / 2], low);
            r[2 * i + 1] = __builtin_shuffle(t[i], t[i + N / 2], high);
        }
    }
}

#endif
