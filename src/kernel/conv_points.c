/* The transforms of conv_points.h between rows in memory and values at points. */
#include "conv_points.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float vec8 __attribute__((vector_size(32), may_alias));

/* Column j of G, with the scale that makes B whole numbers. */
static const vec8 G[TAPS] = {
    {1. / 4, 1. / 18, 1. / 18, 1. / 360, 1. / 360, 16. / 45, 16. / 45, 0},
    {0, 1. / 18, -1. / 18, 1. / 180, -1. / 180, 8. / 45, -8. / 45, 0},
    {0, 1. / 18, 1. / 18, 1. / 90, 1. / 90, 4. / 45, 4. / 45, 0},
    {0, 1. / 18, -1. / 18, 1. / 45, -1. / 45, 2. / 45, -2. / 45, 0},
    {0, 1. / 18, 1. / 18, 2. / 45, 2. / 45, 1. / 45, 1. / 45, 1. / 4},
};

/* t = B^T d */
INLINE void transform_input(const vecf d[POINTS], vecf t[POINTS])
{
    vecf even, odd;
    t[0] = 4 * (d[0] - d[6]) + 21 * (d[4] - d[2]);
    t[7] = 4 * (d[7] - d[1]) + 21 * (d[3] - d[5]);
    even = 17 * d[4] - 4 * (d[2] + d[6]);
    odd = 17 * d[3] - 4 * (d[1] + d[5]);
    t[1] = even + odd;
    t[2] = even - odd;
    even = d[2] - 5 * d[4] + 4 * d[6];
    odd = d[1] - 5 * d[3] + 4 * d[5];
    t[3] = even + 2 * odd;
    t[4] = even - 2 * odd;
    even = 4 * d[2] - 5 * d[4] + d[6];
    odd = 4 * d[1] - 5 * d[3] + d[5];
    t[5] = 2 * even + odd;
    t[6] = 2 * even - odd;
}

/* d = B t */
INLINE void transform_input_adjoint(const vecf t[POINTS], vecf d[POINTS])
{
    vecf p1 = t[1] + t[2], m1 = t[1] - t[2], p2 = t[3] + t[4], m2 = t[3] - t[4], p3 = t[5] + t[6],
         m3 = t[5] - t[6];
    d[0] = 4 * t[0];
    d[1] = 2 * m2 + 4 * (m3 - m1 - t[7]);
    d[2] = p2 + 8 * p3 - 4 * p1 - 21 * t[0];
    d[3] = 17 * m1 - 10 * m2 - 5 * m3 + 21 * t[7];
    d[4] = 17 * p1 - 5 * p2 - 10 * p3 + 21 * t[0];
    d[5] = m3 + 8 * m2 - 4 * m1 - 21 * t[7];
    d[6] = 2 * p3 + 4 * (p2 - p1 - t[0]);
    d[7] = 4 * t[7];
}

/* y = A^T t */
INLINE void transform_output(const vecf t[POINTS], vecf y[TILE])
{
    vecf p1 = t[1] + t[2], m1 = t[1] - t[2], p2 = t[3] + t[4], m2 = t[3] - t[4], p3 = t[5] + t[6],
         m3 = t[5] - t[6];
    y[0] = (t[0] + p1) + (p2 + p3);
    y[1] = m1 + 2 * m2 + 0.5f * m3;
    y[2] = p1 + 4 * p2 + 0.25f * p3;
    y[3] = (m1 + t[7]) + 8 * m2 + 0.125f * m3;
}

/* t = A y */
INLINE void transform_output_adjoint(const vecf y[TILE], vecf t[POINTS])
{
    vecf even = y[0] + y[2], odd = y[1] + y[3];
    t[0] = y[0];
    t[1] = even + odd;
    t[2] = even - odd;
    even = y[0] + 4 * y[2];
    odd = 2 * y[1] + 8 * y[3];
    t[3] = even + odd;
    t[4] = even - odd;
    even = y[0] + 0.25f * y[2];
    odd = 0.5f * y[1] + 0.125f * y[3];
    t[5] = even + odd;
    t[6] = even - odd;
    t[7] = y[3];
}

/* Load x[i] = row[first + i], 0 outside the row. */
INLINE void load_columns(const struct planes *p, const vecf *row, int first, int n, vecf *x)
{
    if (first >= 0 && first + n <= p->w) {
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            x[i] = row[(first + i) * p->step];
        return;
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        int column = first + i;
        x[i] = column >= 0 && column < p->w ? row[column * p->step] : (vecf){};
    }
}

void points_of_input(const struct planes *in, int pad, int first, const struct points *t)
{
    int64_t stride = points_stride(t);
    for (int c = 0; c < in->n; c++)
        for (int r = 0; r < t->rows; r++) {
            const vecf *row = in->v + ((int64_t)c * in->h + t->row + r) * in->w * in->step;
            vecf *to = t->v + ((int64_t)(first + c) * t->rows + r) * t->tiles;
            for (int i = 0; i < t->tiles; i++) {
                vecf d[POINTS], x[POINTS];
                load_columns(in, row, TILE * i - pad, POINTS, d);
                transform_input(d, x);
#pragma GCC unroll 8
                for (int p = 0; p < POINTS; p++)
                    to[p * stride + i] = x[p];
            }
        }
}

void points_of_output(const struct planes *out, int first, const struct points *t, vecf *sum,
                      int add)
{
    int64_t stride = points_stride(t);
    for (int c = 0; c < out->n; c++) {
        vecf total = {};
        for (int r = 0; r < t->rows; r++) {
            const vecf *row = out->v + ((int64_t)c * out->h + t->row + r) * out->w * out->step;
            vecf *to = t->v + ((int64_t)(first + c) * t->rows + r) * t->tiles;
            for (int i = 0; i < t->tiles; i++) {
                vecf y[TILE], x[POINTS];
                load_columns(out, row, TILE * i, TILE, y);
                transform_output_adjoint(y, x);
                total += x[1]; /* the value at the point 1 is the sum */
#pragma GCC unroll 8
                for (int p = 0; p < POINTS; p++)
                    to[p * stride + i] = x[p];
            }
        }
        if (sum && add)
            total += sum[c];
        if (sum)
            sum[c] = total;
    }
}

void points_to_output(const struct conv_shape *s, const vecf *sum, const float *bias, int chunk,
                      int y, float *out)
{
    int tiles = conv_row_tiles(s);
    int64_t step = s->lanes / IAU_VECTOR_WIDTH;
    for (int o = 0; o < s->c_out; o++) {
        vecf *row = (vecf *)out + chunk + ((int64_t)o * s->h_out + y) * s->w_out * step;
        vecf b = vec_all(bias ? bias[o] : 0);
        for (int i = 0; i < tiles; i++) {
            vecf x[POINTS], r[TILE];
#pragma GCC unroll 8
            for (int p = 0; p < POINTS; p++)
                x[p] = sum[((int64_t)o * POINTS + p) * tiles + i];
            transform_output(x, r);
            vecf *to = row + TILE * i * step;
            int n = s->w_out - TILE * i;
#pragma GCC unroll 4
            for (int j = 0; j < TILE; j++)
                if (j < n)
                    to[j * step] = r[j] + b;
        }
    }
}

void points_to_input(const struct conv_shape *s, const vecf *sum, int chunk, int y, float *din)
{
    int tiles = conv_row_tiles(s);
    int64_t step = s->lanes / IAU_VECTOR_WIDTH;
    for (int c = 0; c < s->c_in; c++) {
        vecf *row = (vecf *)din + chunk + ((int64_t)c * s->h_in + y) * s->w_in * step;
        vecf d[POINTS], carry[TILE] = {};
        for (int i = 0; i < tiles; i++) {
            vecf x[POINTS];
#pragma GCC unroll 8
            for (int p = 0; p < POINTS; p++)
                x[p] = sum[((int64_t)c * POINTS + p) * tiles + i];
            transform_input_adjoint(x, d);
            int first = TILE * i - s->pad;
#pragma GCC unroll 4
            for (int j = 0; j < TILE; j++) {
                if (first + j >= 0 && first + j < s->w_in)
                    row[(first + j) * step] = carry[j] + d[j];
                carry[j] = d[TILE + j];
            }
        }
        for (int j = 0, first = TILE * tiles - s->pad; j < TILE; j++)
            if (first + j >= 0 && first + j < s->w_in)
                row[(first + j) * step] = carry[j];
    }
}

void points_of_taps(const float *g, int64_t stride, int n, float *to)
{
    for (int i = 0; i < n; i++, to += POINTS, g += stride)
        *(vec8 *)to = g[0] * G[0] + g[1] * G[1] + g[2] * G[2] + g[3] * G[3] + g[4] * G[4];
}

void points_to_taps(int64_t n, const float *sum, int64_t stride, float *taps)
{
    vec8 row[POINTS] = {};
    for (int p = 0; p < POINTS; p++)
        for (int j = 0; j < TAPS; j++)
            row[p][j] = G[j][p];
    for (int64_t i = 0; i < n; i++) {
        vec8 x = {};
        for (int p = 0; p < POINTS; p++)
            x += sum[p * stride + i] * row[p];
        /* the next row overwrites what is too long */
        memcpy(taps + i * TAPS, &x, (i + 1 < n ? POINTS : TAPS) * sizeof(float));
    }
}

void points_to_lane_taps(int64_t n, vecf *v, int64_t stride)
{
    for (int64_t i = 0; i < n; i++) {
        vecf x[POINTS];
#pragma GCC unroll 8
        for (int p = 0; p < POINTS; p++)
            x[p] = v[p * stride + i];
#pragma GCC unroll 5
        for (int j = 0; j < TAPS; j++) {
            vecf tap = {};
#pragma GCC unroll 8
            for (int p = 0; p < POINTS; p++)
                if (G[j][p] != 0)
                    tap += G[j][p] * x[p];
            v[j * stride + i] = tap;
        }
    }
}
