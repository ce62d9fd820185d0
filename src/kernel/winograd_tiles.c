/* Winograd transforms of tiles of activations: lane by lane, along columns and then along rows. */
#include "winograd.h"

#define INLINE static inline __attribute__((always_inline))

enum { SIDE_MAX = 6 };

const struct wino_kind wino_four = {.tile = 4, .points = 36, .sum = 7};
const struct wino_kind wino_two = {.tile = 2, .points = 9, .sum = 0};

/* One side of a transform. */
typedef void side(const vecf *from, vecf *to);

INLINE void four_input(const vecf *d, vecf *t)
{
    vecf even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    t[0] = 4 * d[0] + (d[4] - 5 * d[2]);
    t[1] = even + odd;
    t[2] = even - odd;
    even = d[4] - d[2];
    odd = d[3] - d[1];
    t[3] = even + 2 * odd;
    t[4] = even - 2 * odd;
    t[5] = 4 * d[1] + (d[5] - 5 * d[3]);
}

INLINE void four_output(const vecf *t, vecf *y)
{
    vecf p1 = t[1] + t[2], m1 = t[1] - t[2], p2 = t[3] + t[4], m2 = t[3] - t[4];
    y[0] = (t[0] + p1) + p2;
    y[1] = m1 + 2 * m2;
    y[2] = p1 + 4 * p2;
    y[3] = (t[5] + m1) + 8 * m2;
}

INLINE void four_output_adjoint(const vecf *y, vecf *t)
{
    vecf even = y[0] + y[2], odd = y[1] + y[3];
    t[0] = y[0];
    t[1] = even + odd;
    t[2] = even - odd;
    even = y[0] + 4 * y[2];
    odd = 2 * y[1] + 8 * y[3];
    t[3] = even + odd;
    t[4] = even - odd;
    t[5] = y[3];
}

INLINE void two_input(const vecf *d, vecf *t)
{
    t[0] = d[0] + d[1];
    t[1] = d[1];
    t[2] = d[0];
}

INLINE void two_output(const vecf *t, vecf *y)
{
    y[0] = t[0] + t[1];
    y[1] = t[0] + t[2];
}

INLINE void two_output_adjoint(const vecf *y, vecf *t)
{
    t[0] = y[0] + y[1];
    t[1] = y[0];
    t[2] = y[1];
}

/* Both sides of n_from x n_from values of the plane from (y0, x0) on, 0 outside. The same tile of the
 * next plane, which comes soon, is fetched ahead: the processor does not see so short runs coming. */
INLINE void transform_plane(int n_from, int n_to, side *f, const struct wino_plane *p, int y0,
                            int x0, vecf *to, int64_t stride)
{
    static const vecf zero;
    const vecf *row[SIDE_MAX];
    int64_t step[SIDE_MAX];
    int64_t next = (int64_t)p->h * p->w * p->step;
    vecf t[SIDE_MAX][SIDE_MAX], from[SIDE_MAX], r[SIDE_MAX];
#pragma GCC unroll 6
    for (int y = 0; y < n_from; y++) {
        int inside = y0 + y >= 0 && y0 + y < p->h;
        row[y] = inside ? p->v + (int64_t)(y0 + y) * p->w * p->step : &zero;
        step[y] = inside ? p->step : 0;
    }
    for (int x = 0; x < n_from; x++) {
        int inside = x0 + x >= 0 && x0 + x < p->w;
        if (inside) {
#pragma GCC unroll 6
            for (int y = 0; y < n_from; y++) {
                from[y] = row[y][(x0 + x) * step[y]];
                __builtin_prefetch(row[y] + ((x0 + x) * step[y] + next));
            }
            f(from, r);
        }
#pragma GCC unroll 6
        for (int i = 0; i < n_to; i++)
            t[i][x] = inside ? r[i] : zero;
    }
    for (int i = 0; i < n_to; i++, to += n_to * stride) {
        f(t[i], r);
#pragma GCC unroll 6
        for (int j = 0; j < n_to; j++)
            to[j * stride] = r[j];
    }
}

void wino_of_input(const struct wino_kind *k, const struct wino_plane *from, int y, int x, int pad,
                   vecf *to, int64_t stride)
{
    if (k == &wino_four)
        transform_plane(6, 6, four_input, from, y - pad, x - pad, to, stride);
    else
        transform_plane(2, 3, two_input, from, y, x, to, stride);
}

void wino_of_output(const struct wino_kind *k, const struct wino_plane *from, int y, int x, vecf *to,
                    int64_t stride)
{
    if (k == &wino_four)
        transform_plane(4, 6, four_output_adjoint, from, y, x, to, stride);
    else
        transform_plane(2, 3, two_output_adjoint, from, y, x, to, stride);
}

INLINE void transform_back(int n_from, int n_to, side *f, const vecf *m, int64_t stride, vecf bias,
                           int n_y, int n_x, vecf *to, int64_t to_row, int64_t to_step, int64_t next)
{
    vecf t[SIDE_MAX][SIDE_MAX], from[SIDE_MAX], r[SIDE_MAX];
    for (int j = 0; j < n_from; j++) {
#pragma GCC unroll 6
        for (int i = 0; i < n_from; i++)
            from[i] = m[(i * n_from + j) * stride];
        f(from, r);
#pragma GCC unroll 6
        for (int y = 0; y < n_to; y++)
            t[y][j] = r[y];
    }
    for (int y = 0; y < n_y; y++, to += to_row) {
        f(t[y], r);
#pragma GCC unroll 6
        for (int x = 0; x < n_to; x++)
            if (x < n_x) {
                to[x * to_step] = r[x] + bias;
                __builtin_prefetch(to + (x * to_step + next), 1);
            }
    }
}

void wino_to_output(const struct wino_kind *k, const vecf *m, int64_t stride, float bias,
                    const struct wino_plane *to, vecf *plane, int y, int x)
{
    vecf b = vec_all(bias);
    int n_y = min_int(to->h - y, k->tile), n_x = min_int(to->w - x, k->tile);
    int64_t row = to->w * to->step, next = to->h * row;
    plane += y * row + x * to->step;
    if (k == &wino_four)
        transform_back(6, 4, four_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
    else
        transform_back(3, 2, two_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
}
