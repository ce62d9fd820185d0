/* The three passes of a convolution by points (conv_points.h): blocks of rows are transformed,
 * products summed by register tiles, and the sums transformed back. */
#include <string.h>

#include "conv_points.h"

/* Transformed rows at a time: a part of the second-level cache. */
enum { FORWARD_BYTES = 256 * 1024, GRADIENT_BYTES = 512 * 1024 };

static struct planes planes_of(const float *p, int lanes, int chunk, int n, int h, int w)
{
    return (struct planes){(const vecf *)p + chunk, lanes / IAU_VECTOR_WIDTH, n, h, w};
}

static int64_t row_floats(int channels, int tiles)
{
    return (int64_t)POINTS * channels * tiles * IAU_VECTOR_WIDTH;
}

/* Blocks of rows of outputs, when a row of points takes `floats`; a block needs up to TAPS - 1 rows
 * of points more, all of them `whole`. */
static struct conv_cut cut_rows(int h, int whole, int64_t floats, int64_t block_bytes)
{
    int64_t rows = block_bytes / ((int64_t)sizeof(float) * floats),
            max = rows < whole ? rows - (TAPS - 1) : h;
    return conv_cut_even(h, max < TILE ? TILE : max > h ? h : (int)max);
}

/* A product with the weights: n_m channels from n_d channels in each of n_pair pairs. */
struct product {
    int n_m, n_d, depth; /* depth = channels of all pairs */
    struct conv_cut m, t;
    int32_t *off;
    float *w;  /* [tile of m][row of taps][channel][m of tile][point] */
    vecf *sum; /* one row: [m][point][tile] */
};

static struct product product_of(int n_m, int n_d, int n_pair, int tiles)
{
    struct product p = {.n_m = n_m, .n_d = n_d, .depth = n_pair * n_d};
    conv_dot_cut(n_m, tiles, &p.m, &p.t);
    return p;
}

static float *product_place(struct product *p, int tiles, float *scratch)
{
    p->sum = (vecf *)scratch;
    scratch += (int64_t)p->n_m * POINTS * tiles * IAU_VECTOR_WIDTH;
    p->w = scratch;
    scratch += align_floats((int64_t)p->n_m * TAPS * p->depth * POINTS);
    p->off = (int32_t *)scratch;
    return scratch + align_floats((int64_t)TAPS * p->depth);
}

/* G g for every row of taps, in the order in which the products read them; `reverse` turns the rows
 * of taps round. */
static void product_weights(struct product *p, int n_pair, const float *const w[], int64_t m_stride,
                            int64_t d_stride, int reverse)
{
    float *to = p->w;
    for (int i = 0; i < p->m.count; i++)
        for (int k = 0; k < TAPS; k++)
            for (int pair = 0; pair < n_pair; pair++)
                for (int d = 0; d < p->n_d; d++) {
                    const float *g = w[pair] + i * p->m.size * m_stride + d * d_stride +
                                     (reverse ? TAPS - 1 - k : k) * TAPS;
                    int n_m = conv_cut_length(&p->m, i);
                    points_of_taps(g, m_stride, n_m, to);
                    to += n_m * POINTS;
                }
}

static void product_offsets(struct product *p, const struct points *t)
{
    for (int k = 0; k < TAPS; k++)
        for (int d = 0; d < p->depth; d++)
            p->off[k * p->depth + d] = (d * t->rows + k) * t->tiles;
}

/* p->sum = products of the rows of taps [k0, k1) with rows from `row` of t. */
static void product_row(const struct product *p, const struct points *t, int row, int k0, int k1)
{
    int64_t w_depth = (int64_t)TAPS * p->depth * POINTS;
    for (int point = 0; point < POINTS; point++)
        for (int i = 0; i < p->m.count; i++) {
            int n_m = conv_cut_length(&p->m, i), m0 = i * p->m.size;
            struct conv_dot a = {
                .n = k1 > k0 ? (k1 - k0) * p->depth : 0, .off = p->off, .out_m = POINTS * t->tiles};
            a.w = p->w + m0 * w_depth + (int64_t)k0 * p->depth * n_m * POINTS + point;
            for (int j = 0; j < p->t.count; j++) {
                int t0 = j * p->t.size;
                a.v = t->v + point * points_stride(t) + (int64_t)(row - t->row) * t->tiles + t0;
                a.out = p->sum + ((int64_t)m0 * POINTS + point) * t->tiles + t0;
                conv_tile_dot(POINTS, n_m, conv_cut_length(&p->t, j), &a);
            }
        }
}

void conv_rows_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                       const float *const w[], const float *bias, float *out, float *scratch)
{
    struct points t = {.tiles = conv_row_tiles(s), .channels = n_pair * s->c_in};
    struct product p = product_of(s->c_out, s->c_in, n_pair, t.tiles);
    struct conv_cut block =
        cut_rows(s->h_out, s->h_in, row_floats(t.channels, t.tiles), FORWARD_BYTES);
    t.v = (vecf *)product_place(&p, t.tiles, scratch);
    product_weights(&p, n_pair, w, (int64_t)s->c_in * TAPS * TAPS, TAPS * TAPS, 0);
    for (int chunk = 0; chunk < s->lanes / IAU_VECTOR_WIDTH; chunk++)
        for (int b = 0; b < block.count; b++) {
            int y0 = b * block.size, y1 = y0 + conv_cut_length(&block, b);
            t.row = min_int(max_int(y0 - s->pad, 0), s->h_in);
            t.rows = max_int(min_int(y1 - s->pad + TAPS - 1, s->h_in) - t.row, 0);
            for (int i = 0; i < n_pair; i++) {
                struct planes from = planes_of(in[i], s->lanes, chunk, s->c_in, s->h_in, s->w_in);
                points_of_input(&from, s->pad, i * s->c_in, &t);
            }
            product_offsets(&p, &t);
            for (int y = y0; y < y1; y++) {
                int k0 = min_int(max_int(s->pad - y, 0), TAPS),
                    k1 = min_int(s->h_in + s->pad - y, TAPS);
                product_row(&p, &t, k1 > k0 ? y + k0 - s->pad : t.row, k0, k1);
                points_to_output(s, p.sum, bias, chunk, y, out);
            }
        }
}

void conv_rows_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                          const float *const w[], float *din, float *scratch)
{
    struct points t = {.tiles = conv_row_tiles(s), .channels = n_pair * s->c_out};
    struct product p = product_of(s->c_in, s->c_out, n_pair, t.tiles);
    struct conv_cut block =
        cut_rows(s->h_in, s->h_out, row_floats(t.channels, t.tiles), GRADIENT_BYTES);
    t.v = (vecf *)product_place(&p, t.tiles, scratch);
    product_weights(&p, n_pair, w, TAPS * TAPS, (int64_t)s->c_in * TAPS * TAPS, 1);
    for (int chunk = 0; chunk < s->lanes / IAU_VECTOR_WIDTH; chunk++)
        for (int b = 0; b < block.count; b++) {
            int y0 = b * block.size, y1 = y0 + conv_cut_length(&block, b);
            t.row = max_int(y0 + s->pad - TAPS + 1, 0);
            t.rows = min_int(y1 + s->pad, s->h_out) - t.row;
            for (int i = 0; i < n_pair; i++) {
                struct planes from =
                    planes_of(dout[i], s->lanes, chunk, s->c_out, s->h_out, s->w_out);
                points_of_output(&from, i * s->c_out, &t, NULL, 0);
            }
            product_offsets(&p, &t);
            for (int y = y0; y < y1; y++) {
                /* the row of dout that meets the last row of taps */
                int top = y + s->pad - TAPS + 1;
                int k0 = max_int(-top, 0), k1 = min_int(s->h_out - top, TAPS);
                product_row(&p, &t, top + k0, k0, k1);
                points_to_input(s, p.sum, chunk, y, din);
            }
        }
}

/* Accumulators of the weight gradient. */
struct gradient {
    int64_t n;      /* rows of taps, a multiple of the vector width */
    int64_t stride; /* from point to point; 0 if a point is finished before the next begins */
    vecf *acc;      /* [point][out][in][row of taps] */
    float *sum;     /* [point][n], lanes summed */
    int add, last;
};

/* Products of the rows of d with those of u that meet them. */
static void gradient_block(const struct conv_shape *s, const struct gradient *g,
                           const struct points *d, const struct points *u)
{
    struct conv_cut out, in;
    conv_outer_cut(s->c_out, s->c_in, &out, &in);
    int tiles = d->tiles;
    for (int p = 0; p < POINTS; p++) {
        struct conv_outer a = {.n_row = 1,
                               .d_o = (int64_t)d->rows * tiles,
                               .u_c = (int64_t)u->rows * tiles,
                               .acc_o = (int64_t)s->c_in * TAPS,
                               .acc_c = TAPS,
                               .add = g->add};
        for (int i = 0; i < out.count; i++)
            for (int j = 0; j < in.count; j++)
                for (int k = 0; k < TAPS; k++) {
                    int o = i * out.size, c = j * in.size;
                    int y0 = max_int(d->row, s->pad - k),
                        y1 = min_int(d->row + d->rows, s->h_in + s->pad - k);
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

static struct conv_cut gradient_cut(const struct conv_shape *s)
{
    return cut_rows(s->h_out, s->h_in, row_floats(s->c_out + s->c_in, conv_row_tiles(s)),
                    GRADIENT_BYTES);
}

/* Where the parts of scratch lie for the weight gradient: sums over lanes, the bias's accumulators,
 * those of the rows of taps, and blocks of transformed rows of both factors. */
struct room {
    struct conv_cut block;
    struct gradient g;
    struct points d, u;
    vecf *bias;
    float *bias_sum;
};

static struct room room_of(const struct conv_shape *s, int keep_points, float *scratch)
{
    struct room r = {.block = gradient_cut(s)};
    r.g.n = align_floats((int64_t)s->c_out * s->c_in * TAPS);
    r.g.stride = keep_points ? r.g.n : 0;
    r.g.sum = scratch;
    r.bias_sum = r.g.sum + POINTS * r.g.n;
    r.bias = (vecf *)(r.bias_sum + align_floats(s->c_out));
    r.g.acc = r.bias + align_floats(s->c_out);
    r.d = (struct points){.tiles = conv_row_tiles(s), .channels = s->c_out};
    r.u = (struct points){.tiles = conv_row_tiles(s), .channels = s->c_in};
    r.u.v = r.g.acc + (r.g.stride ? POINTS : 1) * r.g.n;
    r.d.v = r.u.v + (int64_t)POINTS * s->c_in * (r.block.size + TAPS - 1) * r.u.tiles;
    return r;
}

/* Add block b of one chunk of lanes to the accumulators, or begin with it. */
static void gradient_part(const struct conv_shape *s, struct room *r, const float *in,
                          const float *dout, int chunk, int b, int with_bias, int add)
{
    struct planes from_in = planes_of(in, s->lanes, chunk, s->c_in, s->h_in, s->w_in);
    struct planes from_out = planes_of(dout, s->lanes, chunk, s->c_out, s->h_out, s->w_out);
    struct points *d = &r->d, *u = &r->u;
    d->row = b * r->block.size;
    d->rows = conv_cut_length(&r->block, b);
    u->row = min_int(max_int(d->row - s->pad, 0), s->h_in);
    u->rows = max_int(min_int(d->row + d->rows - s->pad + TAPS - 1, s->h_in) - u->row, 0);
    points_of_input(&from_in, s->pad, 0, u);
    points_of_output(&from_out, 0, d, with_bias ? r->bias : NULL, add);
    r->g.add = add;
    gradient_block(s, &r->g, d, u);
}

void conv_rows_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                           const float *const dout[], float *dw, float *dbias, float *scratch)
{
    int n_block = gradient_cut(s).count, parts = s->lanes / IAU_VECTOR_WIDTH * n_pair * n_block;
    struct room r = room_of(s, parts > 1, scratch);
    for (int part = 0; part < parts; part++) {
        int i = part % n_pair, b = part / n_pair % n_block, chunk = part / n_pair / n_block;
        r.g.last = part + 1 == parts;
        gradient_part(s, &r, in[i], dout[i], chunk, b, i == 0 && dbias, part > 0);
    }
    points_to_taps((int64_t)s->c_out * s->c_in * TAPS, r.g.sum, r.g.n, dw);
    if (dbias) {
        conv_sum_lanes(align_floats(s->c_out), r.bias, r.bias_sum);
        memcpy(dbias, r.bias_sum, (size_t)s->c_out * sizeof(float));
    }
}

/* to[i * step] (+)= the sum over lanes of v[i]^2. */
static void add_squares(int64_t n, vecf *v, float *sum, int add, float *to, int64_t step)
{
    for (int64_t i = 0; i < n; i++)
        v[i] *= v[i];
    conv_sum_lanes(n, v, sum);
    for (int64_t i = 0; i < n; i++)
        to[i * step] = (add ? to[i * step] : 0) + sum[i];
}

/* A lane's accumulators are transformed back before they are squared and lanes are summed. */
void conv_rows_weight_squares(const struct conv_shape *s, const float *in, const float *dout,
                              float *dw, float *dbias, float *scratch)
{
    struct room r = room_of(s, 1, scratch);
    int64_t n = (int64_t)s->c_out * s->c_in * TAPS;
    for (int chunk = 0; chunk < s->lanes / IAU_VECTOR_WIDTH; chunk++) {
        for (int b = 0; b < r.block.count; b++)
            gradient_part(s, &r, in, dout, chunk, b, dbias != NULL, b > 0);
        points_to_lane_taps(n, r.g.acc, r.g.stride);
        for (int j = 0; j < TAPS; j++)
            add_squares(n, r.g.acc + j * r.g.stride, r.g.sum, chunk > 0, dw + j, TAPS);
        if (dbias)
            add_squares(s->c_out, r.bias, r.bias_sum, chunk > 0, dbias, 1);
    }
}

int conv_rows_applies(const struct conv_shape *s)
{
    return s->k == TAPS && s->stride == 1 && s->w_out >= 3;
}

/* Points of the longest block: one pair may have longer blocks than two. */
static int64_t block_floats(int h, int whole, int channels, int tiles, int64_t block_bytes)
{
    int64_t row = row_floats(channels, tiles), most = 0;
    for (int pairs = 1; pairs <= CONV_PAIR_MAX; pairs++)
        most = max_i64(most, pairs * row *
                                 (cut_rows(h, whole, pairs * row, block_bytes).size + TAPS - 1));
    return most;
}

/* One row of sums, the weights and their offsets. */
static int64_t product_floats(int n_m, int n_d, int tiles)
{
    return n_m * row_floats(1, tiles) +
           align_floats((int64_t)n_m * TAPS * CONV_PAIR_MAX * n_d * POINTS) +
           align_floats((int64_t)TAPS * CONV_PAIR_MAX * n_d);
}

int64_t conv_rows_scratch_floats(const struct conv_shape *s)
{
    int tiles = conv_row_tiles(s);
    int64_t forward = product_floats(s->c_out, s->c_in, tiles) +
                      block_floats(s->h_out, s->h_in, s->c_in, tiles, FORWARD_BYTES);
    int64_t input = product_floats(s->c_in, s->c_out, tiles) +
                    block_floats(s->h_in, s->h_out, s->c_out, tiles, GRADIENT_BYTES);
    int64_t n = align_floats((int64_t)s->c_out * s->c_in * TAPS), out = align_floats(s->c_out);
    int64_t weight = (POINTS * n + out) * (1 + IAU_VECTOR_WIDTH) +
                     row_floats(s->c_in + s->c_out, tiles) * (gradient_cut(s).size + TAPS - 1);
    return max_i64(weight, max_i64(forward, input));
}
