/* The weight gradient of Winograd convolutions (winograd.h): a product over tiles and lanes. Its
 * right factor is the input, transposed so that channels are lanes; its left one is the gradient of
 * the output as it is. */
#include <string.h>

#include "kernel/transpose.h"
#include "winograd.h"

enum { W = IAU_VECTOR_WIDTH };

/* Bytes of a block of transformed tiles and of a group of sums. */
enum { BLOCK_BYTES = 2 << 20, GROUP_BYTES = 4 << 20, GROUP_MIN = 32 };

/* A group of sums [filter][out][in], a block of input [point][pair][panel of in][lane][2], and one
 * of dout [point][pair][out][lane]. */
struct gradient {
    const struct conv_shape *s;
    int n_pair, in_vecs;
    struct wino_tiles t;
    struct conv_cut group;
    vecf *sum, *v, *d, *bias;
    float *bias_sum;
    int64_t sum_row, sum_point, v_pair, v_point, d_row, d_pair, d_point; /* in vectors */
};

static struct gradient gradient_of(const struct conv_shape *s, int n_pair)
{
    struct gradient g = {.s = s, .n_pair = n_pair, .in_vecs = (s->c_in + W - 1) / W};
    struct wino_kind k = wino_kind_of(s, 0);
    g.sum_row = wino_odd(g.in_vecs);
    int64_t max = GROUP_BYTES / (wino_filters(&k) * g.sum_row * (int64_t)sizeof(vecf));
    g.group = conv_cut_even(s->c_out, max < GROUP_MIN  ? GROUP_MIN
                                      : max < s->c_out ? (int)max
                                                       : s->c_out);
    g.t = wino_tiles_of(&k, s->h_out, s->w_out, s->lanes,
                        (int64_t)wino_points(&k) * n_pair * (s->c_in + g.group.size) * s->lanes,
                        BLOCK_BYTES);
    int64_t columns = g.t.block.size * g.t.chunks;
    g.sum_point = wino_odd(g.group.size * g.sum_row);
    g.v_pair = columns * W * wino_panels(g.in_vecs);
    g.v_point = wino_odd(n_pair * g.v_pair);
    g.d_row = wino_odd(columns);
    g.d_pair = g.group.size * g.d_row;
    g.d_point = wino_odd(n_pair * g.d_pair);
    return g;
}

static void gradient_place(struct gradient *g, float *scratch)
{
    g->bias_sum = scratch;
    g->bias = (vecf *)(scratch + align_floats(g->s->c_out));
    g->sum = g->bias + align_floats(g->s->c_out);
    g->v = g->sum + wino_filters(&g->t.kind) * g->sum_point;
    g->d = g->v + wino_points(&g->t.kind) * g->v_point;
}

int64_t wino_gradient_floats(const struct conv_shape *s, int n_pair)
{
    struct gradient g = gradient_of(s, n_pair);
    return align_floats(s->c_out) * (1 + W) + wino_filters(&g.t.kind) * W * g.sum_point +
           wino_points(&g.t.kind) * W * (g.v_point + g.d_point);
}

/* W channels from c0 on of a tile: lanes become rows, channels columns. */
static void transpose_input(const struct gradient *g, const float *in, int c0, int tile, int chunk,
                            vecf *to)
{
    const struct conv_shape *s = g->s;
    vecf t[WINO_SIDE_MAX * WINO_SIDE_MAX][W];
    int n = min_int(s->c_in - c0, W), points = wino_points(&g->t.kind), step = g->t.kind.step;
    int pad = g->t.kind.id == WINO_TWO ? 0 : s->pad;
    for (int i = 0; i < n; i++) {
        struct wino_plane from = wino_plane_of(in, c0 + i, s->h_in, s->w_in, s->lanes, chunk);
        wino_of_input(&g->t.kind, &from, tile / g->t.across * step - pad,
                      tile % g->t.across * step - pad, &t[0][i], W);
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
    int columns = wino_columns(&g->t, block);
    for (int j = 0; j < g->in_vecs; j++)
        for (int i = 0; i < columns; i++) {
            int64_t at =
                ((int64_t)(j / WINO_PANEL) * columns + i) * W * WINO_PANEL + j % WINO_PANEL;
            transpose_input(g, in, j * W, block * g->t.block.size + i / g->t.chunks,
                            i % g->t.chunks, g->v + pair * g->v_pair + at);
        }
}

/* Row `row` of the left factor; `bias` becomes or gains the sum of dout. */
static void gradient_output(const struct gradient *g, int pair, const float *dout, int channel,
                            int row, int block, vecf *bias)
{
    const struct conv_shape *s = g->s;
    const struct wino_tiles *t = &g->t;
    int tile0 = block * t->block.size, side = t->kind.tile;
    int64_t sum = (int64_t)t->kind.sum * (t->kind.side + 1) * g->d_point;
    vecf *to = g->d + pair * g->d_pair + row * g->d_row, total = {};
    for (int i = 0; i < conv_cut_length(&t->block, block); i++) {
        int y = (tile0 + i) / t->across * side, x = (tile0 + i) % t->across * side;
        for (int chunk = 0; chunk < t->chunks; chunk++, to++) {
            struct wino_plane from =
                wino_plane_of(dout, channel, s->h_out, s->w_out, s->lanes, chunk);
            wino_of_output(&t->kind, &from, y, x, to, g->d_point);
            total += to[sum];
        }
    }
    if (bias && block > 0)
        total += *bias;
    if (bias)
        *bias = total;
}

static void gradient_multiply(const struct gradient *g, int n_o, int block)
{
    const struct wino_kind *k = &g->t.kind;
    struct wino_product a = {.n_pair = g->n_pair,
                             .m = n_o,
                             .k = wino_columns(&g->t, block) * W,
                             .columns = g->in_vecs,
                             .a_pair = g->d_pair * W,
                             .a_row = g->d_row * W,
                             .b_pair = g->v_pair,
                             .c_row = g->sum_row,
                             .c_panel = WINO_PANEL};
    for (int i = 0; i < wino_points(k); i++) {
        int first = i / k->side < k->filter && i % k->side < k->filter;
        a.add = block > 0 || !first;
        a.a = (const float *)(g->d + i * g->d_point);
        a.b = g->v + i * g->v_point;
        a.c = g->sum + wino_filter_at(k, i) * g->sum_point;
        wino_product_run(&a);
    }
}

/* Filters in ascending order, as wino_to_taps wants it. */
static void gradient_taps(const struct gradient *g, int o0, int n_o, float *dw)
{
    const struct conv_shape *s = g->s;
    int taps = g->t.kind.taps;
    const float *end = dw + (int64_t)s->c_out * s->c_in * taps;
    for (int o = 0; o < n_o; o++)
        for (int j = 0; j < g->in_vecs; j++)
            wino_to_taps(&g->t.kind, (const float *)(g->sum + o * g->sum_row + j), g->sum_point * W,
                         min_int(s->c_in - j * W, W),
                         dw + ((int64_t)(o0 + o) * s->c_in + j * W) * taps, end);
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
                for (int o = 0; o < n_o; o++)
                    gradient_output(&g, pair, dout[pair], o0 + o, o, block,
                                    dbias && pair == 0 ? &g.bias[o0 + o] : NULL);
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
