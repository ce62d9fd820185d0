/* Convolutions 5 wide with stride 1, by Toom-Cook along rows, F(4,5): four neighbouring outputs of a row are 8 products
 * at the points 0, +-1, +-2, +-1/2 and infinity instead of 20. In matrices, for one row of taps g and 8 inputs d:
 *   outputs y = A^T [(G g) . (B^T d)],   so   dd = B [(G g) . (A dy)]   and   dg = G^T [(A dy) . (B^T d)].
 * Products of one point are summed over taps rows and channels before the transform back, and the adjoints share
 * the transforms of the forward pass, so all three cost 8/20 of the direct products. The rounding error stays within
 * 3 times that of the direct sum (tests/test_conv.c). */
#include <string.h>

#include "kernel/conv_tile.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    K = 5,
    POINTS = 8,
    TILE = 4, /* outputs of a transform */
    /* transformed rows at a time: a part of the second-level cache */
    FORWARD_BYTES = 256 * 1024,
    GRADIENT_BYTES = 512 * 1024
};

typedef float vec8 __attribute__((vector_size(32), may_alias));

/* Column j of G, with the scale that makes B whole numbers. */
static const vec8 G[K] = {
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
    vecf p1 = t[1] + t[2], m1 = t[1] - t[2], p2 = t[3] + t[4], m2 = t[3] - t[4], p3 = t[5] + t[6], m3 = t[5] - t[6];
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
    vecf p1 = t[1] + t[2], m1 = t[1] - t[2], p2 = t[3] + t[4], m2 = t[3] - t[4], p3 = t[5] + t[6], m3 = t[5] - t[6];
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

/* A plane set in memory: [channel][h][w], vectors `step` apart. */
struct planes {
    const vecf *v;
    int64_t step;
    int n, h, w;
};

/* Rows [row, row + rows) of channels as transformed: [point][channel of any pair][row][tile]. */
struct points {
    vecf *v;
    int row, rows, tiles, channels;
};

static int64_t points_stride(const struct points *t)
{
    return (int64_t)t->channels * t->rows * t->tiles;
}

static struct planes planes_of(const float *p, int lanes, int chunk, int n, int h, int w)
{
    return (struct planes){(const vecf *)p + chunk, lanes / IAU_VECTOR_WIDTH, n, h, w};
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

/* B^T of the rows of all channels, those of the first channel going to channel `first`. */
static void input_points(const struct planes *in, int pad, int first, const struct points *t)
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

/* A of the rows of all channels; sum[c], if any, becomes or gains the sum of channel c's rows. */
static void output_points(const struct planes *out, int first, const struct points *t, vecf *sum, int add)
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
        if (sum)
            sum[c] = add ? sum[c] + total : total + (vecf){};
    }
}

static int64_t row_floats(int channels, int tiles)
{
    return (int64_t)POINTS * channels * tiles * IAU_VECTOR_WIDTH;
}

/* Blocks of rows of outputs, when a row of points takes `row_floats`; a block needs K - 1 rows of points more. */
static struct conv_cut cut_rows(int h, int64_t row_floats, int64_t block_bytes)
{
    int64_t max = block_bytes / ((int64_t)sizeof(float) * row_floats) - (K - 1);
    return conv_cut_even(h, max < TILE ? TILE : max > h ? h : (int)max);
}

static int tiles_of(const struct conv_shape *s)
{
    return (s->w_out + TILE - 1) / TILE;
}

/* One of the two products with the weights: n_m channels from n_d channels in each of n_pair pairs. */
struct product {
    int n_m, n_d, depth; /* depth = channels of all pairs */
    struct conv_cut m, t;
    int32_t *off;
    float *w; /* [tile of m][row of taps][channel][m of tile][point] */
    vecf *sum; /* one row: [m][point][tile] */
};

static struct product product_of(int n_m, int n_d, int n_pair, int tiles)
{
    struct product p = {.n_m = n_m, .n_d = n_d, .depth = n_pair * n_d};
    p.t = conv_cut_even(tiles, CONV_TILE_T_MAX);
    p.m = conv_cut_even(n_m, conv_tile_m_max(p.t.size));
    return p;
}

static int64_t align_floats(int64_t n)
{
    return (n + 15) / 16 * 16;
}

static float *product_place(struct product *p, int tiles, float *scratch)
{
    p->sum = (vecf *)scratch;
    scratch += (int64_t)p->n_m * POINTS * tiles * IAU_VECTOR_WIDTH;
    p->w = scratch;
    scratch += align_floats((int64_t)p->n_m * K * p->depth * POINTS);
    p->off = (int32_t *)scratch;
    return scratch + align_floats((int64_t)K * p->depth);
}

/* G g for every row of taps, in the order in which the products read them; `reverse` turns the rows of taps round. */
static void product_weights(struct product *p, int n_pair, const float *const w[], int64_t m_stride,
                            int64_t d_stride, int reverse)
{
    float *to = p->w;
    for (int i = 0; i < p->m.count; i++)
        for (int k = 0; k < K; k++)
            for (int pair = 0; pair < n_pair; pair++)
                for (int d = 0; d < p->n_d; d++) {
                    const float *g = w[pair] + i * p->m.size * m_stride + d * d_stride + (reverse ? K - 1 - k : k) * K;
                    for (int m = 0; m < conv_cut_length(&p->m, i); m++, to += POINTS, g += m_stride)
                        *(vec8 *)to = g[0] * G[0] + g[1] * G[1] + g[2] * G[2] + g[3] * G[3] + g[4] * G[4];
                }
}

static void product_offsets(struct product *p, const struct points *t)
{
    for (int k = 0; k < K; k++)
        for (int d = 0; d < p->depth; d++)
            p->off[k * p->depth + d] = (d * t->rows + k) * t->tiles;
}

/* p->sum = products of the rows of taps [k0, k1) with rows from `row` of t. */
static void product_row(const struct product *p, const struct points *t, int row, int k0, int k1)
{
    int64_t w_depth = (int64_t)K * p->depth * POINTS;
    for (int point = 0; point < POINTS; point++)
        for (int i = 0; i < p->m.count; i++) {
            int n_m = conv_cut_length(&p->m, i), m0 = i * p->m.size;
            struct conv_dot a = {.n = k1 > k0 ? (k1 - k0) * p->depth : 0, .off = p->off, .out_m = POINTS * t->tiles};
            a.w = p->w + m0 * w_depth + (int64_t)k0 * p->depth * n_m * POINTS + point;
            for (int j = 0; j < p->t.count; j++) {
                int t0 = j * p->t.size;
                a.v = t->v + point * points_stride(t) + (int64_t)(row - t->row) * t->tiles + t0;
                a.out = p->sum + ((int64_t)m0 * POINTS + point) * t->tiles + t0;
                conv_tile_dot(POINTS, n_m, conv_cut_length(&p->t, j), &a);
            }
        }
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* Row y of the output, from the products. */
static void write_output_row(const struct conv_shape *s, const vecf *sum, const float *bias, int chunk, int y,
                             float *out)
{
    int tiles = tiles_of(s);
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

void conv_rows_forward(const struct conv_shape *s, int n_pair, const float *const in[], const float *const w[],
                       const float *bias, float *out, float *scratch)
{
    struct points t = {.tiles = tiles_of(s), .channels = n_pair * s->c_in};
    struct product p = product_of(s->c_out, s->c_in, n_pair, t.tiles);
    struct conv_cut block = cut_rows(s->h_out, row_floats(t.channels, t.tiles), FORWARD_BYTES);
    t.v = (vecf *)product_place(&p, t.tiles, scratch);
    product_weights(&p, n_pair, w, (int64_t)s->c_in * K * K, K * K, 0);
    for (int chunk = 0; chunk < s->lanes / IAU_VECTOR_WIDTH; chunk++)
        for (int b = 0; b < block.count; b++) {
            int y0 = b * block.size, y1 = y0 + conv_cut_length(&block, b);
            t.row = min_int(max_int(y0 - s->pad, 0), s->h_in);
            t.rows = max_int(min_int(y1 - s->pad + K - 1, s->h_in) - t.row, 0);
            for (int i = 0; i < n_pair; i++) {
                struct planes from = planes_of(in[i], s->lanes, chunk, s->c_in, s->h_in, s->w_in);
                input_points(&from, s->pad, i * s->c_in, &t);
            }
            product_offsets(&p, &t);
            for (int y = y0; y < y1; y++) {
                int k0 = min_int(max_int(s->pad - y, 0), K), k1 = min_int(s->h_in + s->pad - y, K);
                product_row(&p, &t, k1 > k0 ? y + k0 - s->pad : t.row, k0, k1);
                write_output_row(s, p.sum, bias, chunk, y, out);
            }
        }
}

/* Row y of the input gradient; neighbouring tiles share four columns. */
static void write_input_row(const struct conv_shape *s, const vecf *sum, int chunk, int y, float *din)
{
    int tiles = tiles_of(s);
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

void conv_rows_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                          const float *const w[], float *din, float *scratch)
{
    struct points t = {.tiles = tiles_of(s), .channels = n_pair * s->c_out};
    struct product p = product_of(s->c_in, s->c_out, n_pair, t.tiles);
    struct conv_cut block = cut_rows(s->h_in, row_floats(t.channels, t.tiles), GRADIENT_BYTES);
    t.v = (vecf *)product_place(&p, t.tiles, scratch);
    product_weights(&p, n_pair, w, K * K, (int64_t)s->c_in * K * K, 1);
    for (int chunk = 0; chunk < s->lanes / IAU_VECTOR_WIDTH; chunk++)
        for (int b = 0; b < block.count; b++) {
            int y0 = b * block.size, y1 = y0 + conv_cut_length(&block, b);
            t.row = max_int(y0 + s->pad - K + 1, 0);
            t.rows = min_int(y1 + s->pad, s->h_out) - t.row;
            for (int i = 0; i < n_pair; i++) {
                struct planes from = planes_of(dout[i], s->lanes, chunk, s->c_out, s->h_out, s->w_out);
                output_points(&from, i * s->c_out, &t, NULL, 0);
            }
            product_offsets(&p, &t);
            for (int y = y0; y < y1; y++) {
                int top = y + s->pad - K + 1; /* the row of dout that meets the last row of taps */
                int k0 = max_int(-top, 0), k1 = min_int(s->h_out - top, K);
                product_row(&p, &t, top + k0, k0, k1);
                write_input_row(s, p.sum, chunk, y, din);
            }
        }
}

/* Accumulators of the weight gradient. */
struct gradient {
    int64_t n; /* rows of taps, a multiple of the vector width */
    int64_t stride; /* from point to point; 0 if a point is finished before the next begins */
    vecf *acc; /* [point][out][in][row of taps] */
    float *sum; /* [point][n], lanes summed */
    int add, last;
};

/* Products of rows [y0, y1) of dout with the rows of the input that meet them. */
static void gradient_block(const struct conv_shape *s, const struct gradient *g, const struct points *d,
                           const struct points *u)
{
    struct conv_cut out, in;
    conv_outer_cut(s->c_out, s->c_in, &out, &in);
    int tiles = d->tiles;
    for (int p = 0; p < POINTS; p++) {
        struct conv_outer a = {.n_row = 1, .d_o = (int64_t)d->rows * tiles, .u_c = (int64_t)u->rows * tiles,
                               .acc_o = (int64_t)s->c_in * K, .acc_c = K, .add = g->add};
        for (int i = 0; i < out.count; i++)
            for (int j = 0; j < in.count; j++)
                for (int k = 0; k < K; k++) {
                    int o = i * out.size, c = j * in.size;
                    int y0 = max_int(d->row, s->pad - k), y1 = min_int(d->row + d->rows, s->h_in + s->pad - k);
                    a.n = max_int(y1 - y0, 0) * tiles;
                    y0 = a.n ? y0 : d->row;
                    int row = a.n ? y0 + k - s->pad - u->row : 0;
                    a.d = d->v + p * points_stride(d) + o * a.d_o + (y0 - d->row) * tiles;
                    a.u = u->v + p * points_stride(u) + c * a.u_c + row * tiles;
                    a.acc = g->acc + p * g->stride + o * a.acc_o + c * a.acc_c + k;
                    conv_tile_outer(conv_cut_length(&out, i), conv_cut_length(&in, j), &a);
                }
        if (g->last)
            conv_sum_lanes(g->n, g->acc + p * g->stride, g->sum + p * g->n);
    }
}

/* dw = G^T sum */
static void gradient_write(const struct conv_shape *s, const struct gradient *g, float *dw)
{
    float row[POINTS][POINTS] = {{0}};
    for (int p = 0; p < POINTS; p++)
        for (int j = 0; j < K; j++)
            row[p][j] = G[j][p];
    int64_t n = (int64_t)s->c_out * s->c_in * K;
    for (int64_t i = 0; i < n; i++) {
        vec8 x = {};
        for (int p = 0; p < POINTS; p++)
            x += g->sum[p * g->n + i] * *(const vec8 *)row[p];
        memcpy(dw + i * K, &x, (i + 1 < n ? POINTS : K) * sizeof(float)); /* the next row overwrites the rest */
    }
}

static struct conv_cut gradient_cut(const struct conv_shape *s)
{
    return cut_rows(s->h_out, row_floats(s->c_out + s->c_in, tiles_of(s)), GRADIENT_BYTES);
}

void conv_rows_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                           const float *const dout[], float *dw, float *dbias, float *scratch)
{
    struct conv_cut block = gradient_cut(s);
    struct points d = {.tiles = tiles_of(s), .channels = s->c_out}, u = {.tiles = tiles_of(s), .channels = s->c_in};
    int chunks = s->lanes / IAU_VECTOR_WIDTH, parts = chunks * n_pair * block.count;
    struct gradient g = {.n = align_floats((int64_t)s->c_out * s->c_in * K), .sum = scratch};
    g.stride = parts > 1 ? g.n : 0;
    float *bias_sum = g.sum + POINTS * g.n;
    vecf *bias = (vecf *)(bias_sum + align_floats(s->c_out));
    g.acc = bias + align_floats(s->c_out);
    u.v = g.acc + (g.stride ? POINTS : 1) * g.n;
    d.v = u.v + (int64_t)POINTS * s->c_in * (block.size + K - 1) * u.tiles;
    for (int part = 0; part < parts; part++) {
        int i = part % n_pair, b = part / n_pair % block.count, chunk = part / n_pair / block.count;
        struct planes from_in = planes_of(in[i], s->lanes, chunk, s->c_in, s->h_in, s->w_in);
        struct planes from_out = planes_of(dout[i], s->lanes, chunk, s->c_out, s->h_out, s->w_out);
        d.row = b * block.size;
        d.rows = conv_cut_length(&block, b);
        u.row = min_int(max_int(d.row - s->pad, 0), s->h_in);
        u.rows = max_int(min_int(d.row + d.rows - s->pad + K - 1, s->h_in) - u.row, 0);
        input_points(&from_in, s->pad, 0, &u);
        output_points(&from_out, 0, &d, i == 0 && dbias ? bias : NULL, part > 0);
        g.add = part > 0;
        g.last = part + 1 == parts;
        gradient_block(s, &g, &d, &u);
    }
    gradient_write(s, &g, dw);
    if (dbias) {
        conv_sum_lanes(align_floats(s->c_out), bias, bias_sum);
        memcpy(dbias, bias_sum, (size_t)s->c_out * sizeof(float));
    }
}

int conv_rows_applies(const struct conv_shape *s)
{
    return s->k == K && s->stride == 1 && s->w_out >= 3;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Points of the longest block: one pair may have longer blocks than two. */
static int64_t block_floats(int h, int channels, int tiles, int64_t block_bytes)
{
    int64_t row = row_floats(channels, tiles), most = 0;
    for (int pairs = 1; pairs <= CONV_PAIR_MAX; pairs++)
        most = max_i64(most, pairs * row * (cut_rows(h, pairs * row, block_bytes).size + K - 1));
    return most;
}

/* One row of sums, the weights and their offsets. */
static int64_t product_floats(int n_m, int n_d, int tiles)
{
    return n_m * row_floats(1, tiles) + align_floats((int64_t)n_m * K * CONV_PAIR_MAX * n_d * POINTS) +
           align_floats((int64_t)K * CONV_PAIR_MAX * n_d);
}

int64_t conv_rows_scratch_floats(const struct conv_shape *s)
{
    int tiles = tiles_of(s);
    int64_t forward = product_floats(s->c_out, s->c_in, tiles) + block_floats(s->h_out, s->c_in, tiles, FORWARD_BYTES);
    int64_t input = product_floats(s->c_in, s->c_out, tiles) + block_floats(s->h_in, s->c_out, tiles, GRADIENT_BYTES);
    int64_t n = align_floats((int64_t)s->c_out * s->c_in * K), out = align_floats(s->c_out);
    int64_t weight = (POINTS * n + out) * (1 + IAU_VECTOR_WIDTH) +
                     row_floats(s->c_in + s->c_out, tiles) * (gradient_cut(s).size + K - 1);
    return max_i64(weight, max_i64(forward, input));
}
