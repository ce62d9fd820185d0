/* The three passes of a Winograd convolution (winograd.h). Tiles are taken in blocks, so that what is
 * transformed stays in the caches, and filters in groups, since those of 512 channels fill 38 MB. */
#include <string.h>

#include "kernel/transpose.h"
#include "winograd.h"

enum { W = IAU_VECTOR_WIDTH };

/* Bytes of a block of transformed tiles and of a group of transformed filters. */
enum { BLOCK_BYTES = 1 << 20, GROUP_BYTES = 4 << 20 };

static const struct wino_kind *kind_of(const struct conv_shape *s)
{
    int two = s->h_in == 2 && s->w_in == 2 && s->pad == 1;
    return two ? &wino_two : &wino_four;
}

/* Odd in vectors, so that the same place of many points or rows does not compete for one set of the
 * cache. */
static int64_t odd(int64_t vecs)
{
    return vecs | 1;
}

/* Tiles of a plane, `block` at a time; the columns of a block are its tiles' vectors of lanes. */
struct tiles {
    const struct wino_kind *kind;
    int across, chunks;
    struct conv_cut block;
};

static struct tiles tiles_of(const struct conv_shape *s, int h, int w, int64_t tile_bytes)
{
    struct tiles t = {.kind = kind_of(s), .chunks = s->lanes / W};
    int side = t.kind->tile, down = (h + side - 1) / side;
    t.across = (w + side - 1) / side;
    int64_t max = BLOCK_BYTES / tile_bytes;
    t.block = conv_cut_even(down * t.across, max < 1 ? 1 : max < down * t.across ? (int)max : down * t.across);
    return t;
}

/* Tile, place and vector of lanes of a block's column. */
struct column {
    int y, x, chunk;
};

static struct column column_at(const struct tiles *t, int block, int i)
{
    int tile = block * t->block.size + i / t->chunks, side = t->kind->tile;
    return (struct column){tile / t->across * side, tile % t->across * side, i % t->chunks};
}

static int columns_of(const struct tiles *t, int block)
{
    return conv_cut_length(&t->block, block) * t->chunks;
}

static int64_t panels(int64_t columns)
{
    return (columns + WINO_PANEL - 1) / WINO_PANEL * WINO_PANEL;
}

static struct wino_plane plane_of(const float *p, int channel, int h, int w, int lanes, int chunk)
{
    int64_t step = lanes / W;
    return (struct wino_plane){(const vecf *)p + channel * h * w * step + chunk, step, h, w};
}

/* A convolution with stride 1: the forward pass, or the input gradient as one of dout. */
struct pass {
    const struct conv_shape *s;
    int n_pair, n_d, n_m; /* channels in, of one pair, and out */
    int h_from, w_from, h_to, w_to, pad;
    int turned;
    int64_t d_stride, m_stride; /* of the taps, in floats */
    const float *const *from, *const *w;
    const float *bias;
    float *to;
};

/* Where the parts of scratch lie: a group of filters [point][m][d of a pair], a block of transformed
 * input [point][pair][panel][d][2] and of sums [point][panel][m][2]. */
struct room {
    struct tiles t;
    struct conv_cut group;
    float *u;
    vecf *v, *sum;
    int64_t u_pair, u_row, u_point, v_pair, v_point, sum_point; /* u in floats, others in vectors */
};

static struct room room_of(const struct pass *p)
{
    struct room r;
    int points = kind_of(p->s)->points;
    r.t = tiles_of(p->s, p->h_to, p->w_to,
                   (int64_t)points * p->n_pair * p->n_d * p->s->lanes * (int64_t)sizeof(float));
    r.u_pair = align_floats(p->n_d);
    r.u_row = odd(p->n_pair * r.u_pair / LANE_BLOCK) * LANE_BLOCK;
    int64_t max = GROUP_BYTES / (points * r.u_row * (int64_t)sizeof(float));
    r.group = conv_cut_even(p->n_m, max < 32 ? 32 : max < p->n_m ? (int)max : p->n_m);
    int64_t columns = panels(r.t.block.size * r.t.chunks);
    r.u_point = r.group.size * r.u_row;
    r.v_pair = columns * p->n_d;
    r.v_point = odd(p->n_pair * r.v_pair);
    r.sum_point = odd(columns * r.group.size);
    return r;
}

static int64_t room_floats(const struct room *r)
{
    return r->t.kind->points * (r->u_point + (r->v_point + r->sum_point) * W);
}

/* Filters of group g. */
static void transform_filters(const struct pass *p, const struct room *r, int g)
{
    int m0 = g * r->group.size;
    const struct conv_shape *s = p->s;
    for (int m = 0; m < conv_cut_length(&r->group, g); m++)
        for (int pair = 0; pair < p->n_pair; pair++)
            for (int d = 0; d < p->n_d; d += W) {
                struct wino_taps taps = {.end = p->w[pair] + (int64_t)s->c_out * s->c_in * WINO_TAPS,
                                         .stride = p->d_stride,
                                         .n = min_int(p->n_d - d, W)};
                taps.g = p->w[pair] + (m0 + m) * p->m_stride + d * p->d_stride;
                wino_of_taps(r->t.kind, &taps, p->turned, r->u + m * r->u_row + pair * r->u_pair + d,
                             r->u_point);
            }
}

static void transform_input(const struct pass *p, const struct room *r, int block)
{
    int columns = columns_of(&r->t, block);
    for (int pair = 0; pair < p->n_pair; pair++)
        for (int d = 0; d < p->n_d; d++)
            for (int i = 0; i < columns; i++) {
                struct column c = column_at(&r->t, block, i);
                struct wino_plane from =
                    plane_of(p->from[pair], d, p->h_from, p->w_from, p->s->lanes, c.chunk);
                int64_t at = ((int64_t)(i / WINO_PANEL) * p->n_d + d) * WINO_PANEL + i % WINO_PANEL;
                wino_of_input(r->t.kind, &from, c.y, c.x, p->pad, r->v + pair * r->v_pair + at,
                              r->v_point);
            }
}

static void multiply(const struct pass *p, const struct room *r, int n_m, int columns)
{
    struct wino_product a = {.n_pair = p->n_pair,
                             .m = n_m,
                             .k = p->n_d,
                             .columns = columns,
                             .a_pair = r->u_pair,
                             .a_row = r->u_row,
                             .b_pair = r->v_pair,
                             .c_row = WINO_PANEL,
                             .c_panel = (int64_t)n_m * WINO_PANEL};
    for (int i = 0; i < r->t.kind->points; i++) {
        a.a = r->u + i * r->u_point;
        a.b = r->v + i * r->v_point;
        a.c = r->sum + i * r->sum_point;
        wino_product_run(&a);
    }
}

static void transform_sums(const struct pass *p, const struct room *r, int m0, int n_m, int block)
{
    int columns = columns_of(&r->t, block);
    for (int m = 0; m < n_m; m++)
        for (int i = 0; i < columns; i++) {
            struct column c = column_at(&r->t, block, i);
            struct wino_plane to = plane_of(p->to, m0 + m, p->h_to, p->w_to, p->s->lanes, c.chunk);
            int64_t at = ((int64_t)(i / WINO_PANEL) * n_m + m) * WINO_PANEL + i % WINO_PANEL;
            wino_to_output(r->t.kind, r->sum + at, r->sum_point, p->bias ? p->bias[m0 + m] : 0, &to,
                           (vecf *)to.v, c.y, c.x);
        }
}

static void pass_run(const struct pass *p, float *scratch)
{
    struct room r = room_of(p);
    r.u = scratch;
    r.v = (vecf *)(scratch + r.t.kind->points * r.u_point);
    r.sum = r.v + r.t.kind->points * r.v_point;
    for (int g = 0; g < r.group.count; g++) {
        int n_m = conv_cut_length(&r.group, g);
        transform_filters(p, &r, g);
        for (int block = 0; block < r.t.block.count; block++) {
            if (g == 0 || r.t.block.count > 1)
                transform_input(p, &r, block);
            multiply(p, &r, n_m, columns_of(&r.t, block));
            transform_sums(p, &r, g * r.group.size, n_m, block);
        }
    }
}

static struct pass forward_pass(const struct conv_shape *s, int n_pair)
{
    return (struct pass){.s = s,
                         .n_pair = n_pair,
                         .n_d = s->c_in,
                         .n_m = s->c_out,
                         .h_from = s->h_in,
                         .w_from = s->w_in,
                         .h_to = s->h_out,
                         .w_to = s->w_out,
                         .pad = s->pad,
                         .d_stride = WINO_TAPS,
                         .m_stride = (int64_t)s->c_in * WINO_TAPS};
}

static struct pass input_pass(const struct conv_shape *s, int n_pair)
{
    return (struct pass){.s = s,
                         .n_pair = n_pair,
                         .n_d = s->c_out,
                         .n_m = s->c_in,
                         .h_from = s->h_out,
                         .w_from = s->w_out,
                         .h_to = s->h_in,
                         .w_to = s->w_in,
                         .pad = 2 - s->pad,
                         .turned = 1,
                         .d_stride = (int64_t)s->c_in * WINO_TAPS,
                         .m_stride = WINO_TAPS};
}

void conv_wino_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                       const float *const w[], const float *bias, float *out, float *scratch)
{
    struct pass p = forward_pass(s, n_pair);
    p.from = in;
    p.w = w;
    p.bias = bias;
    p.to = out;
    pass_run(&p, scratch);
}

void conv_wino_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                          const float *const w[], float *din, float *scratch)
{
    struct pass p = input_pass(s, n_pair);
    p.from = dout;
    p.w = w;
    p.to = din;
    pass_run(&p, scratch);
}

/* The weight gradient: a product over tiles and lanes. Its right factor is the input, transposed so
 * that channels are lanes; its left one the gradient of the output as it is. A group of sums
 * [point][out][in], a block of input [point][pair][panel of in][lane][2], and one of dout
 * [point][pair][out][lane]. */
struct gradient {
    const struct conv_shape *s;
    int n_pair, in_vecs;
    struct tiles t;
    struct conv_cut group;
    vecf *sum, *v, *d, *bias;
    float *bias_sum;
    int64_t sum_row, sum_point, v_pair, v_point, d_row, d_pair, d_point; /* in vectors */
};

static struct gradient gradient_of(const struct conv_shape *s, int n_pair)
{
    struct gradient g = {.s = s, .n_pair = n_pair, .in_vecs = (s->c_in + W - 1) / W};
    int points = kind_of(s)->points;
    int64_t vec = sizeof(vecf);
    g.sum_row = odd(g.in_vecs);
    int64_t max = GROUP_BYTES / (points * g.sum_row * vec);
    g.group = conv_cut_even(s->c_out, max < 32 ? 32 : max < s->c_out ? (int)max : s->c_out);
    g.t = tiles_of(s, s->h_out, s->w_out, points * n_pair * (s->c_in + g.group.size) * s->lanes / W * vec);
    int64_t columns = g.t.block.size * g.t.chunks;
    g.sum_point = odd(g.group.size * g.sum_row);
    g.v_pair = columns * W * panels(g.in_vecs);
    g.v_point = odd(n_pair * g.v_pair);
    g.d_row = odd(columns);
    g.d_pair = g.group.size * g.d_row;
    g.d_point = odd(n_pair * g.d_pair);
    return g;
}

static void gradient_place(struct gradient *g, float *scratch)
{
    int points = g->t.kind->points;
    g->bias_sum = scratch;
    g->bias = (vecf *)(scratch + align_floats(g->s->c_out));
    g->sum = g->bias + align_floats(g->s->c_out);
    g->v = g->sum + points * g->sum_point;
    g->d = g->v + points * g->v_point;
}

static int64_t gradient_floats(const struct gradient *g)
{
    return align_floats(g->s->c_out) * (1 + W) +
           g->t.kind->points * W * (g->sum_point + g->v_point + g->d_point);
}

/* W channels from c0 on of one column: lanes become rows, channels columns. */
static void transpose_input(const struct gradient *g, const float *in, int c0, struct column c, vecf *to)
{
    const struct conv_shape *s = g->s;
    vecf t[WINO_POINTS_MAX][W];
    int n = min_int(s->c_in - c0, W), points = g->t.kind->points;
    for (int i = 0; i < n; i++) {
        struct wino_plane from = plane_of(in, c0 + i, s->h_in, s->w_in, s->lanes, c.chunk);
        wino_of_input(g->t.kind, &from, c.y, c.x, s->pad, &t[0][i], W);
    }
    for (int p = 0; p < points; p++, to += g->v_point) {
        vecf square[W];
#pragma GCC unroll 16
        for (int i = 0; i < W; i++)
            square[i] = i < n ? t[p][i] : (vecf){};
        vec_transpose(square);
#pragma GCC unroll 16
        for (int i = 0; i < W; i++)
            to[i * WINO_PANEL] = square[i];
    }
}

static void gradient_input(const struct gradient *g, int pair, const float *in, int block)
{
    int columns = columns_of(&g->t, block);
    for (int j = 0; j < g->in_vecs; j++)
        for (int i = 0; i < columns; i++) {
            int64_t at = ((int64_t)(j / WINO_PANEL) * columns + i) * W * WINO_PANEL + j % WINO_PANEL;
            transpose_input(g, in, j * W, column_at(&g->t, block, i), g->v + pair * g->v_pair + at);
        }
}

static void gradient_output(const struct gradient *g, int pair, const float *dout, int o0, int n_o,
                            int block, int with_bias)
{
    const struct conv_shape *s = g->s;
    int columns = columns_of(&g->t, block);
    for (int o = 0; o < n_o; o++) {
        vecf *to = g->d + pair * g->d_pair + o * g->d_row, total = {};
        for (int i = 0; i < columns; i++) {
            struct column c = column_at(&g->t, block, i);
            struct wino_plane from = plane_of(dout, o0 + o, s->h_out, s->w_out, s->lanes, c.chunk);
            wino_of_output(g->t.kind, &from, c.y, c.x, to + i, g->d_point);
            total += to[g->t.kind->sum * g->d_point + i];
        }
        if (with_bias)
            g->bias[o0 + o] = total + (block > 0 ? g->bias[o0 + o] : (vecf){});
    }
}

static void gradient_multiply(const struct gradient *g, int n_o, int block)
{
    struct wino_product a = {.n_pair = g->n_pair,
                             .m = n_o,
                             .k = columns_of(&g->t, block) * W,
                             .columns = g->in_vecs,
                             .a_pair = g->d_pair * W,
                             .a_row = g->d_row * W,
                             .b_pair = g->v_pair,
                             .c_row = g->sum_row,
                             .c_panel = WINO_PANEL,
                             .add = block > 0};
    for (int i = 0; i < g->t.kind->points; i++) {
        a.a = (const float *)(g->d + i * g->d_point);
        a.b = g->v + i * g->v_point;
        a.c = g->sum + i * g->sum_point;
        wino_product_run(&a);
    }
}

/* Filters in ascending order, as wino_to_taps wants it. */
static void gradient_taps(const struct gradient *g, int o0, int n_o, float *dw)
{
    const struct conv_shape *s = g->s;
    const float *end = dw + (int64_t)s->c_out * s->c_in * WINO_TAPS;
    for (int o = 0; o < n_o; o++)
        for (int j = 0; j < g->in_vecs; j++)
            wino_to_taps(g->t.kind, (const float *)(g->sum + o * g->sum_row + j), g->sum_point * W,
                         min_int(s->c_in - j * W, W),
                         dw + ((int64_t)(o0 + o) * s->c_in + j * W) * WINO_TAPS, end);
}

void conv_wino_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                           const float *const dout[], float *dw, float *dbias, float *scratch)
{
    struct gradient g = gradient_of(s, n_pair);
    gradient_place(&g, scratch);
    for (int i = 0; i < g.group.count; i++) {
        int o0 = i * g.group.size, n_o = conv_cut_length(&g.group, i);
        for (int block = 0; block < g.t.block.count; block++) {
            for (int pair = 0; pair < n_pair; pair++) {
                if (i == 0 || g.t.block.count > 1)
                    gradient_input(&g, pair, in[pair], block);
                gradient_output(&g, pair, dout[pair], o0, n_o, block, dbias && pair == 0);
            }
            gradient_multiply(&g, n_o, block);
        }
        gradient_taps(&g, o0, n_o, dw);
    }
    if (dbias) {
        conv_sum_lanes(align_floats(s->c_out), g.bias, g.bias_sum);
        memcpy(dbias, g.bias_sum, (size_t)s->c_out * sizeof(float));
    }
}

int conv_wino_applies(const struct conv_shape *s)
{
    return s->k == 3 && s->stride == 1 && s->pad <= 2;
}

int64_t conv_wino_scratch_floats(const struct conv_shape *s)
{
    int64_t most = 0;
    for (int n_pair = 1; n_pair <= CONV_PAIR_MAX; n_pair++) {
        struct pass p[2] = {forward_pass(s, n_pair), input_pass(s, n_pair)};
        for (int i = 0; i < 2; i++) {
            struct room r = room_of(&p[i]);
            most = max_i64(most, room_floats(&r));
        }
        struct gradient g = gradient_of(s, n_pair);
        most = max_i64(most, gradient_floats(&g));
    }
    return most;
}
