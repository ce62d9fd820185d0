/* Winograd convolutions (winograd.h): their shapes, and the forward pass and the input gradient,
 * which are one form. Tiles are taken in blocks, so that what is transformed stays in the caches,
 * and filters in groups, since those of 512 channels fill 38 MB. */
#include "winograd.h"

enum { W = IAU_VECTOR_WIDTH };

/* Bytes of a block of transformed tiles and of a group of transformed filters. */
enum { BLOCK_BYTES = 2 << 20, GROUP_BYTES = 4 << 20, GROUP_MIN = 32 };

struct wino_kind wino_kind_of(const struct conv_shape *s, int input_grad)
{
    static const struct wino_kind four = {WINO_FOUR, 4, 4, 6, 6, 1, 9},
                                  two = {WINO_TWO, 2, 2, 3, 3, 0, 9},
                                  half = {WINO_HALF, 4, 8, 9, 6, 1, 9},
                                  half_back = {WINO_HALF_BACK, 8, 4, 9, 6, 0, 9},
                                  one_back = {WINO_ONE_BACK, 2, 1, 1, 1, 0, 1};
    if (s->k == 1 && input_grad && s->stride == 2)
        return one_back;
    if (s->k == 1)
        return (struct wino_kind){WINO_ONE, 1, input_grad ? 1 : s->stride, 1, 1, 0, 1};
    if (s->stride == 2)
        return input_grad ? half_back : half;
    return s->h_in == 2 && s->w_in == 2 && s->pad == 1 ? two : four;
}

struct wino_tiles wino_tiles_of(const struct wino_kind *k, int h, int w, int lanes,
                                int64_t tile_floats, int64_t bytes)
{
    struct wino_tiles t = {.kind = *k, .chunks = lanes / W};
    t.across = (w + k->tile - 1) / k->tile;
    int n = (h + k->tile - 1) / k->tile * t.across;
    int64_t max = bytes / (tile_floats * (int64_t)sizeof(float));
    t.block = conv_cut_even(n, max < 1 ? 1 : max < n ? (int)max : n);
    return t;
}

/* A convolution: the forward pass, or the input gradient as one of dout. */
struct pass {
    const struct conv_shape *s;
    struct wino_kind kind;
    int n_pair, n_d, n_m; /* channels in, of one pair, and out */
    int h_from, w_from, h_to, w_to, pad;
    int turned;
    int64_t d_stride, m_stride; /* of the taps, in floats */
    const float *const *from, *const *w;
    const float *bias;
    float *to;
};

/* Where the parts of scratch lie: a group of filters [filter][m][d of a pair], a block of
 * transformed input [point][pair][panel][d][2] and of sums [point][panel][m][2]. */
struct room {
    struct wino_tiles t;
    struct conv_cut group;
    float *u;
    vecf *v, *sum;
    int64_t u_pair, u_row, u_point, v_pair, v_point, sum_point; /* u in floats, others in vectors */
};

static struct room room_of(const struct pass *p)
{
    struct room r;
    int points = wino_points(&p->kind);
    r.u_pair = align_floats(p->n_d);
    r.u_row = wino_odd(p->n_pair * r.u_pair / LANE_BLOCK) * LANE_BLOCK;
    int64_t max = GROUP_BYTES / (wino_filters(&p->kind) * r.u_row * (int64_t)sizeof(float));
    r.group = conv_cut_even(p->n_m, max < GROUP_MIN ? GROUP_MIN : max < p->n_m ? (int)max : p->n_m);
    r.t = wino_tiles_of(&p->kind, p->h_to, p->w_to, p->s->lanes,
                        (int64_t)points * (p->n_pair * p->n_d + r.group.size) * p->s->lanes,
                        BLOCK_BYTES);
    int64_t columns = wino_panels(r.t.block.size * r.t.chunks);
    r.u_point = r.group.size * r.u_row;
    r.v_pair = columns * p->n_d;
    r.v_point = wino_odd(p->n_pair * r.v_pair);
    r.sum_point = wino_odd(columns * r.group.size);
    return r;
}

static int64_t room_floats(const struct room *r)
{
    return wino_filters(&r->t.kind) * r->u_point +
           wino_points(&r->t.kind) * (r->v_point + r->sum_point) * W;
}

/* Filters of group g, in the order in which they lie in memory as far as possible. */
static void transform_filters(const struct pass *p, const struct room *r, int g)
{
    int64_t n_w = (int64_t)p->s->c_out * p->s->c_in * p->kind.taps;
    int m0 = g * r->group.size, n_m = conv_cut_length(&r->group, g), n_v = (p->n_d + W - 1) / W;
    for (int pair = 0; pair < p->n_pair; pair++)
        for (int i = 0; i < n_m * n_v; i++) {
            int m = p->turned ? i % n_m : i / n_v, d = (p->turned ? i / n_m : i % n_v) * W;
            struct wino_taps taps = {
                .end = p->w[pair] + n_w, .stride = p->d_stride, .n = min_int(p->n_d - d, W)};
            taps.g = p->w[pair] + (m0 + m) * p->m_stride + d * p->d_stride;
            wino_of_taps(&p->kind, &taps, p->turned, r->u + m * r->u_row + pair * r->u_pair + d,
                         r->u_point);
        }
}

static void transform_input(const struct pass *p, const struct room *r, int pair, int d, int block)
{
    const struct wino_tiles *t = &r->t;
    int tile0 = block * t->block.size, step = p->kind.step;
    vecf *to = r->v + pair * r->v_pair + (int64_t)d * WINO_PANEL;
    for (int i = 0; i < conv_cut_length(&t->block, block); i++) {
        int y = (tile0 + i) / t->across * step - p->pad,
            x = (tile0 + i) % t->across * step - p->pad;
        for (int chunk = 0; chunk < t->chunks; chunk++) {
            int column = i * t->chunks + chunk;
            struct wino_plane from =
                wino_plane_of(p->from[pair], d, p->h_from, p->w_from, p->s->lanes, chunk);
            wino_of_input(&p->kind, &from, y, x,
                          to + (int64_t)(column / WINO_PANEL) * p->n_d * WINO_PANEL +
                              column % WINO_PANEL,
                          r->v_point);
        }
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
    for (int i = 0; i < wino_points(&p->kind); i++) {
        a.a = r->u + wino_filter_at(&p->kind, i) * r->u_point;
        a.b = r->v + i * r->v_point;
        a.c = r->sum + i * r->sum_point;
        wino_product_run(&a);
    }
}

/* Row m of n_m sums becomes channel `channel` of the result. */
static void transform_sums(const struct pass *p, const struct room *r, int m, int n_m, int channel,
                           int block)
{
    const struct wino_tiles *t = &r->t;
    int tile0 = block * t->block.size, side = p->kind.tile;
    float bias = p->bias ? p->bias[channel] : 0;
    for (int i = 0; i < conv_cut_length(&t->block, block); i++) {
        int y = (tile0 + i) / t->across * side, x = (tile0 + i) % t->across * side;
        for (int chunk = 0; chunk < t->chunks; chunk++) {
            int column = i * t->chunks + chunk;
            struct wino_plane to =
                wino_plane_of(p->to, channel, p->h_to, p->w_to, p->s->lanes, chunk);
            wino_to_output(&p->kind,
                           r->sum + ((int64_t)(column / WINO_PANEL) * n_m + m) * WINO_PANEL +
                               column % WINO_PANEL,
                           r->sum_point, bias, &to, (vecf *)to.v, y, x);
        }
    }
}

static void pass_run(const struct pass *p, float *scratch)
{
    struct room r = room_of(p);
    r.u = scratch;
    r.v = (vecf *)(scratch + wino_filters(&p->kind) * r.u_point);
    r.sum = r.v + wino_points(&p->kind) * r.v_point;
    for (int g = 0; g < r.group.count; g++) {
        int n_m = conv_cut_length(&r.group, g);
        transform_filters(p, &r, g);
        for (int block = 0; block < r.t.block.count; block++) {
            if (g == 0 || r.t.block.count > 1)
                for (int d = 0; d < p->n_pair * p->n_d; d++)
                    transform_input(p, &r, d / p->n_d, d % p->n_d, block);
            multiply(p, &r, n_m, wino_columns(&r.t, block));
            for (int m = 0; m < n_m; m++)
                transform_sums(p, &r, m, n_m, g * r.group.size + m, block);
        }
    }
}

static struct pass forward_pass(const struct conv_shape *s, int n_pair)
{
    struct pass p = {.s = s, .kind = wino_kind_of(s, 0), .n_pair = n_pair, .pad = s->pad};
    p.n_d = s->c_in;
    p.n_m = s->c_out;
    p.h_from = s->h_in;
    p.w_from = s->w_in;
    p.h_to = s->h_out;
    p.w_to = s->w_out;
    p.d_stride = p.kind.taps;
    p.m_stride = (int64_t)s->c_in * p.kind.taps;
    if (p.kind.id == WINO_TWO) /* the padding is in the points */
        p.pad = 0;
    return p;
}

static struct pass input_pass(const struct conv_shape *s, int n_pair)
{
    struct pass p = {.s = s, .kind = wino_kind_of(s, 1), .n_pair = n_pair, .turned = 1};
    p.n_d = s->c_out;
    p.n_m = s->c_in;
    p.h_from = s->h_out;
    p.w_from = s->w_out;
    p.h_to = s->h_in;
    p.w_to = s->w_in;
    p.d_stride = (int64_t)s->c_in * p.kind.taps;
    p.m_stride = p.kind.taps;
    if (p.kind.id == WINO_FOUR)
        p.pad = s->k - 1 - s->pad;
    return p;
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

int conv_wino_fits(const struct conv_shape *s)
{
    if (s->k == 1)
        return s->stride <= 2 && s->pad == 0;
    return s->k == 3 && (s->stride == 1 ? s->pad <= 2 : s->stride == 2 && s->pad == 1);
}

/* A product of a direct sum costs about as much as one at a point, and the transforms of a channel
 * about as much as 10 products a point, 6 with stride 2: measured over 1 to 64 channels and planes
 * of 1 x 1 to 32 x 32. 1 x 1 has fewer products neither way; large shapes are faster here. */
int conv_wino_applies(const struct conv_shape *s)
{
    if (!conv_wino_fits(s))
        return 0;
    struct wino_kind k = wino_kind_of(s, 0);
    int64_t pairs = (int64_t)s->c_in * s->c_out, channels = s->c_in + s->c_out;
    if (s->k == 1)
        return pairs * s->stride * s->stride >= 128 * 256;
    int64_t tiles =
        (int64_t)((s->h_out + k.tile - 1) / k.tile) * ((s->w_out + k.tile - 1) / k.tile);
    int64_t direct = (int64_t)s->h_out * s->w_out * k.taps * pairs;
    return tiles * wino_points(&k) * (pairs + (s->stride == 1 ? 10 : 6) * channels) < direct;
}

int64_t conv_wino_scratch_floats(const struct conv_shape *s)
{
    int64_t most = 0;
    for (int n_pair = 1; n_pair <= CONV_PAIR_MAX; n_pair++) {
        struct pass forward = forward_pass(s, n_pair), input = input_pass(s, n_pair);
        struct room r[2] = {room_of(&forward), room_of(&input)};
        int64_t passes = max_i64(room_floats(&r[0]), room_floats(&r[1]));
        most = max_i64(most, max_i64(passes, wino_gradient_floats(s, n_pair)));
    }
    return most;
}
