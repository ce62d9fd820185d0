/* Winograd transforms of tiles of activations: lane by lane, along columns and then along rows. */
#include "winograd.h"

#define INLINE static inline __attribute__((always_inline))

enum { SIDE_MAX = WINO_SIDE_MAX };

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

/* F(4,2), from d[0], d[step], ... */
INLINE void half_points(const vecf *d, int step, vecf *t)
{
    vecf d1 = d[step], d2 = d[2 * step], last = d[3 * step] - d1;
    t[0] = 2 * (d[0] - d2) + last;
    t[1] = last - (d1 + d2);
    t[2] = last - 3 * (d2 - d1);
    t[3] = last;
    t[4] = (d[4 * step] - d2) - 2 * last;
}

INLINE void half_sums(const vecf *t, vecf *y, int step)
{
    vecf p = t[1] + t[2], m = t[1] - t[2];
    y[0] = (t[0] + p) + t[3];
    y[step] = m + 2 * t[3];
    y[2 * step] = p + 4 * t[3];
    y[3 * step] = (t[4] + m) + 8 * t[3];
}

INLINE void half_input(const vecf *d, vecf *t)
{
    half_points(d, 2, t);
    for (int i = 0; i < 4; i++)
        t[5 + i] = d[2 * i + 1];
}

INLINE void half_output(const vecf *t, vecf *y)
{
    half_sums(t, y, 1);
    for (int i = 0; i < 4; i++)
        y[i] += t[5 + i];
}

INLINE void half_output_adjoint(const vecf *y, vecf *t)
{
    vecf even = y[0] + y[2], odd = y[1] + y[3];
    t[0] = y[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = (y[0] + 4 * y[2]) + (2 * y[1] + 8 * y[3]);
    t[4] = y[3];
    for (int i = 0; i < 4; i++)
        t[5 + i] = y[i];
}

/* With padding 1, the input's even columns meet the middle tap only. */
INLINE void half_back_input(const vecf *d, vecf *t)
{
    half_points(d, 1, t);
    for (int i = 0; i < 4; i++)
        t[5 + i] = d[i];
}

INLINE void half_back_output(const vecf *t, vecf *y)
{
    half_sums(t, y + 1, 2);
    for (int i = 0; i < 4; i++)
        y[2 * i] = t[5 + i];
}

INLINE void one(const vecf *from, vecf *to)
{
    to[0] = from[0];
}

INLINE void one_back_output(const vecf *t, vecf *y)
{
    y[0] = t[0];
    y[1] = (vecf){};
}

/* Both sides of n_from x n_from values of the plane from (y0, x0) on, 0 outside. The same tile of
 * the next plane, which comes soon, is fetched ahead: the processor does not see so short runs
 * coming. */
INLINE void transform_plane(int n_from, int n_to, side *f, const struct wino_plane *p, int y0,
                            int x0, vecf *to, int64_t stride)
{
    static const vecf zero;
    const vecf *row[SIDE_MAX];
    int64_t step[SIDE_MAX];
    int64_t next = (int64_t)p->h * p->w * p->step;
    vecf t[SIDE_MAX][SIDE_MAX], from[SIDE_MAX], r[SIDE_MAX];
#pragma GCC unroll 9
    for (int y = 0; y < n_from; y++) {
        int inside = y0 + y >= 0 && y0 + y < p->h;
        row[y] = inside ? p->v + (int64_t)(y0 + y) * p->w * p->step : &zero;
        step[y] = inside ? p->step : 0;
    }
    for (int x = 0; x < n_from; x++) {
        int inside = x0 + x >= 0 && x0 + x < p->w;
        if (inside) {
#pragma GCC unroll 9
            for (int y = 0; y < n_from; y++) {
                from[y] = row[y][(x0 + x) * step[y]];
                __builtin_prefetch(row[y] + ((x0 + x) * step[y] + next));
            }
            f(from, r);
        }
#pragma GCC unroll 9
        for (int i = 0; i < n_to; i++)
            t[i][x] = inside ? r[i] : zero;
    }
    for (int i = 0; i < n_to; i++, to += n_to * stride) {
        f(t[i], r);
#pragma GCC unroll 9
        for (int j = 0; j < n_to; j++)
            to[j * stride] = r[j];
    }
}

void wino_of_input(const struct wino_kind *k, const struct wino_plane *from, int y, int x, vecf *to,
                   int64_t stride)
{
    switch (k->id) {
    case WINO_FOUR:
        transform_plane(6, 6, four_input, from, y, x, to, stride);
        break;
    case WINO_TWO:
        transform_plane(2, 3, two_input, from, y, x, to, stride);
        break;
    case WINO_HALF:
        transform_plane(9, 9, half_input, from, y, x, to, stride);
        break;
    case WINO_HALF_BACK:
        transform_plane(5, 9, half_back_input, from, y, x, to, stride);
        break;
    case WINO_ONE:
    case WINO_ONE_BACK:
        transform_plane(1, 1, one, from, y, x, to, stride);
    }
}

void wino_of_output(const struct wino_kind *k, const struct wino_plane *from, int y, int x,
                    vecf *to, int64_t stride)
{
    if (k->id == WINO_FOUR)
        transform_plane(4, 6, four_output_adjoint, from, y, x, to, stride);
    else if (k->id == WINO_TWO)
        transform_plane(2, 3, two_output_adjoint, from, y, x, to, stride);
    else if (k->id == WINO_HALF)
        transform_plane(4, 9, half_output_adjoint, from, y, x, to, stride);
    else
        transform_plane(1, 1, one, from, y, x, to, stride);
}

INLINE void transform_back(int n_from, int n_to, side *f, const vecf *m, int64_t stride, vecf bias,
                           int n_y, int n_x, vecf *to, int64_t to_row, int64_t to_step,
                           int64_t next)
{
    vecf t[SIDE_MAX][SIDE_MAX], from[SIDE_MAX], r[SIDE_MAX];
    for (int j = 0; j < n_from; j++) {
#pragma GCC unroll 9
        for (int i = 0; i < n_from; i++)
            from[i] = m[(i * n_from + j) * stride];
        f(from, r);
#pragma GCC unroll 9
        for (int y = 0; y < n_to; y++)
            t[y][j] = r[y];
    }
    for (int y = 0; y < n_y; y++, to += to_row) {
        f(t[y], r);
#pragma GCC unroll 9
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
    switch (k->id) {
    case WINO_FOUR:
        transform_back(6, 4, four_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
        break;
    case WINO_TWO:
        transform_back(3, 2, two_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
        break;
    case WINO_HALF:
        transform_back(9, 4, half_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
        break;
    case WINO_HALF_BACK:
        transform_back(9, 8, half_back_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
        break;
    case WINO_ONE:
        transform_back(1, 1, one, m, stride, b, n_y, n_x, plane, row, to->step, next);
        break;
    case WINO_ONE_BACK:
        transform_back(1, 2, one_back_output, m, stride, b, n_y, n_x, plane, row, to->step, next);
    }
}
