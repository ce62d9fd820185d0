/* Winograd transforms of taps: a vector holds the same tap of several filters. */
#include <string.h>

#include "kernel/transpose.h"
#include "winograd.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    W = IAU_VECTOR_WIDTH,
    TAPS = 9,
    LINE = W < TAPS ? W : TAPS, /* taps of a filter that fit one vector */
    SIDE = 3,
    SIDE_MAX = 6
};

typedef void side(const vecf *from, vecf *to);

INLINE void four_taps(const vecf *g, vecf *t)
{
    vecf even = (g[0] + g[2]) * (-1.f / 6), odd = g[1] * (-1.f / 6);
    t[0] = 0.25f * g[0];
    t[1] = even + odd;
    t[2] = even - odd;
    even = g[0] * (1.f / 24) + g[2] * (1.f / 6);
    odd = g[1] * (1.f / 12);
    t[3] = even + odd;
    t[4] = even - odd;
    t[5] = g[2];
}

INLINE void four_taps_adjoint(const vecf *t, vecf *g)
{
    vecf p1 = (t[1] + t[2]) * (-1.f / 6), p2 = t[3] + t[4];
    g[0] = 0.25f * t[0] + p1 + p2 * (1.f / 24);
    g[1] = (t[2] - t[1]) * (1.f / 6) + (t[3] - t[4]) * (1.f / 12);
    g[2] = t[5] + p1 + p2 * (1.f / 6);
}

INLINE void two_taps(const vecf *g, vecf *t)
{
    t[0] = g[1];
    t[1] = g[2] - g[1];
    t[2] = g[0] - g[1];
}

INLINE void two_taps_adjoint(const vecf *t, vecf *g)
{
    g[0] = t[2];
    g[1] = t[0] - t[1] - t[2];
    g[2] = t[1];
}

INLINE void half_taps(const vecf *g, vecf *t)
{
    t[0] = 0.5f * g[0];
    t[1] = -0.5f * (g[0] + g[2]);
    t[2] = (g[2] - g[0]) * (1.f / 6);
    t[3] = g[0] * (1.f / 6) + g[2] * (1.f / 3);
    t[4] = g[2];
    t[5] = g[1];
}

INLINE void half_taps_adjoint(const vecf *t, vecf *g)
{
    g[0] = 0.5f * (t[0] - t[1]) + (t[3] - t[2]) * (1.f / 6);
    g[1] = t[5];
    g[2] = t[4] - 0.5f * t[1] + t[2] * (1.f / 6) + t[3] * (1.f / 3);
}

/* Both sides of a square of values. */
INLINE void transform(int n_from, int n_to, side *f, const vecf *from, int64_t from_stride,
                      vecf *to, int64_t to_stride)
{
    vecf t[SIDE_MAX][SIDE_MAX], column[SIDE_MAX], r[SIDE_MAX];
#pragma GCC unroll 6
    for (int j = 0; j < n_from; j++) {
#pragma GCC unroll 6
        for (int i = 0; i < n_from; i++)
            column[i] = *(const vecf *)((const float *)from + (i * n_from + j) * from_stride);
        f(column, r);
#pragma GCC unroll 6
        for (int i = 0; i < n_to; i++)
            t[i][j] = r[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < n_to; i++) {
        f(t[i], r);
#pragma GCC unroll 6
        for (int j = 0; j < n_to; j++)
            *(vecf *)((float *)to + (i * n_to + j) * to_stride) = r[j];
    }
}

/* tap[i] = tap i of all filters. */
INLINE void load_taps(const struct wino_taps *p, vecf tap[TAPS])
{
    vecf row[W];
    for (int i = 0; i < W; i++) {
        const float *g = p->g + i * p->stride;
        if (i >= p->n)
            row[i] = (vecf){};
        else if (p->end - g >= W)
            row[i] = *(const vecf_unaligned *)g;
        else {
            float last[W] = {0};
            memcpy(last, g, LINE * sizeof(float));
            memcpy(&row[i], last, sizeof row[i]);
        }
    }
    vec_transpose(row);
#pragma GCC unroll 9
    for (int i = 0; i < TAPS && i < W; i++)
        tap[i] = row[i];
    for (int j = W; j < TAPS; j++)
        for (int i = 0; i < W; i++)
            tap[j][i] = i < p->n ? p->g[i * p->stride + j] : 0;
}

void wino_of_taps(const struct wino_kind *k, const struct wino_taps *from, int turned, float *to,
                  int64_t stride)
{
    vecf tap[TAPS];
    if (k->taps == 1) {
        for (int i = 0; i < W; i++)
            to[i] = i < from->n ? from->g[i * from->stride] : 0;
        return;
    }
    load_taps(from, tap);
    if (turned)
        for (int i = 0; i < TAPS / 2; i++) {
            vecf first = tap[i];
            tap[i] = tap[TAPS - 1 - i];
            tap[TAPS - 1 - i] = first;
        }
    if (k->id == WINO_FOUR)
        transform(SIDE, 6, four_taps, tap, W, (vecf *)to, stride);
    else if (k->id != WINO_TWO)
        transform(SIDE, 6, half_taps, tap, W, (vecf *)to, stride);
    else
        transform(SIDE, 3, two_taps, tap, W, (vecf *)to, stride);
}

void wino_to_taps(const struct wino_kind *k, const float *u, int64_t stride, int n, float *dg,
                  const float *end)
{
    vecf tap[TAPS], row[W];
    if (k->taps == 1) {
        memcpy(dg, u, (size_t)n * sizeof(float));
        return;
    }
    if (k->id == WINO_FOUR)
        transform(6, SIDE, four_taps_adjoint, (const vecf *)u, stride, tap, W);
    else if (k->id == WINO_HALF)
        transform(6, SIDE, half_taps_adjoint, (const vecf *)u, stride, tap, W);
    else
        transform(3, SIDE, two_taps_adjoint, (const vecf *)u, stride, tap, W);
#pragma GCC unroll 16
    for (int i = 0; i < W; i++)
        row[i] = i < TAPS ? tap[i] : (vecf){};
    vec_transpose(row);
    for (int i = 0; i < min_int(n, W); i++, dg += TAPS) {
        if (end - dg >= W)
            *(vecf_unaligned *)dg = row[i];
        else
            memcpy(dg, row + i, LINE * sizeof(float));
        for (int j = W; j < TAPS; j++)
            dg[j] = tap[j][i];
    }
}
