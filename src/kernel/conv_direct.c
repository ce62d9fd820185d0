/* Convolutions of any shape by direct sums. Arrays are first copied, one vector of lanes at a time,
 * into a form with zeros for the padding and with the columns of equal remainder by the stride side
 * by side; then every product of a tap reads whole runs of vectors. The copy is one move against
 * k^2 c_out products a value. */
#include <string.h>

#include "conv_private.h"

enum {
    V = IAU_VECTOR_WIDTH,
    ACC_BYTES = 1 << 20, /* accumulators of the weight gradient kept at a time */
    RUN = 48 /* outputs of a plane that all taps see in turn, from the first-level cache */
};

/* Copied planes: [channel of any pair][row][column mod stride][column / stride]. */
struct packed {
    vecf *v;
    int h, w; /* with padding */
    int pad_top, pad_left;
    int stride, run; /* run = columns of one remainder */
};

static int64_t packed_row(const struct packed *p)
{
    return (int64_t)p->stride * p->run;
}

/* Odd, so that the same place of many planes does not compete for one set of the cache. */
static int64_t packed_plane(const struct packed *p)
{
    return p->h * packed_row(p) | 1;
}

/* The input, padded: forward and weight gradient read it. */
static struct packed packed_input(const struct conv_shape *s)
{
    struct packed p = {.h = s->h_in + 2 * s->pad, .w = s->w_in + 2 * s->pad, .stride = s->stride};
    p.pad_top = p.pad_left = s->pad;
    p.run = (p.w + s->stride - 1) / s->stride;
    return p;
}

/* The gradient of the output with zero columns where a tap meets no output. */
static struct packed packed_output(const struct conv_shape *s)
{
    struct packed p = {.h = s->h_out, .stride = 1, .pad_left = (s->k - 1) / s->stride};
    int last = (s->w_in - 1 + s->pad) / s->stride;
    p.w = p.pad_left + (last + 1 > s->w_out ? last + 1 : s->w_out);
    p.run = p.w;
    return p;
}

static void pack(const struct packed *p, const float *from, int lanes, int chunk, int n, int h,
                 int w, int first)
{
    int64_t step = lanes / V, plane = packed_plane(p);
    const vecf *src = (const vecf *)from + chunk;
    memset(p->v + first * plane, 0, (size_t)(n * plane) * sizeof(vecf));
    for (int c = 0; c < n; c++)
        for (int y = 0; y < h; y++) {
            vecf *row = p->v + (first + c) * plane + (y + p->pad_top) * packed_row(p);
            for (int x = 0, at = p->pad_left; x < w; x++, at++, src += step)
                row[at % p->stride * p->run + at / p->stride] = *src;
        }
}

/* Weights in the order in which tiles read them: the caller walks taps and channels, this one the
 * tile's rows. */
struct weights {
    float *to;
    const float *w;
    int64_t m_stride;
};

static void weights_take(struct weights *p, int64_t at, int n_m)
{
    for (int m = 0; m < n_m; m++)
        *p->to++ = p->w[at + m * p->m_stride];
}

struct product {
    struct conv_cut m, t;
    int32_t *off;
    float *w;
    vecf tile[CONV_TILE_M_MAX * CONV_TILE_T_MAX];
};

/* From scratch: offsets, weights, and then the packed planes. */
static float *product_place(struct product *p, int64_t depth, int64_t n_m, float *scratch)
{
    p->off = (int32_t *)scratch;
    scratch += align_floats(depth);
    p->w = scratch;
    return scratch + align_floats(depth * n_m);
}

/* Where tiles go: [m][t], vectors. */
struct target {
    vecf *v;
    int64_t m, t;
    const float *bias;
};

static void product_run(struct product *p, struct conv_dot *a, int64_t depth, int64_t skip,
                        const struct target *to)
{
    const vecf *v = a->v;
    a->out = p->tile;
    a->out_m = CONV_TILE_T_MAX;
    for (int i = 0; i < p->m.count; i++) {
        int n_m = conv_cut_length(&p->m, i), m0 = i * p->m.size;
        a->w = p->w + m0 * depth + skip * n_m;
        for (int j = 0; j < p->t.count; j++) {
            int n_t = conv_cut_length(&p->t, j), t0 = j * p->t.size;
            a->v = v + t0;
            conv_tile_dot(1, n_m, n_t, a);
            for (int m = 0; m < n_m; m++) {
                vecf b = vec_all(to->bias ? to->bias[m0 + m] : 0);
                for (int t = 0; t < n_t; t++)
                    to->v[(m0 + m) * to->m + (t0 + t) * to->t] =
                        p->tile[m * CONV_TILE_T_MAX + t] + b;
            }
        }
    }
}

void conv_direct_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                         const float *const w[], const float *bias, float *out, float *scratch)
{
    struct product p;
    struct packed x = packed_input(s);
    int64_t taps = (int64_t)s->k * s->k, depth = n_pair * s->c_in * taps, step = s->lanes / V;
    conv_dot_cut(s->c_out, s->w_out, &p.m, &p.t);
    x.v = (vecf *)product_place(&p, depth, s->c_out, scratch);
    struct weights take = {.to = p.w, .m_stride = s->c_in * taps};
    for (int i = 0; i < p.m.count; i++)
        for (int pair = 0; pair < n_pair; pair++) {
            take.w = w[pair] + i * p.m.size * take.m_stride;
            for (int64_t at = 0; at < s->c_in * taps; at++)
                weights_take(&take, at, conv_cut_length(&p.m, i));
        }
    int32_t *off = p.off;
    for (int c = 0; c < n_pair * s->c_in; c++)
        for (int ky = 0; ky < s->k; ky++)
            for (int kx = 0; kx < s->k; kx++)
                *off++ = (int32_t)(c * packed_plane(&x) + ky * packed_row(&x) +
                                   kx % s->stride * x.run + kx / s->stride);
    for (int chunk = 0; chunk < step; chunk++) {
        for (int i = 0; i < n_pair; i++)
            pack(&x, in[i], s->lanes, chunk, s->c_in, s->h_in, s->w_in, i * s->c_in);
        for (int y = 0; y < s->h_out; y++) {
            struct conv_dot a = {
                .n = (int)depth, .off = p.off, .v = x.v + (int64_t)y * s->stride * packed_row(&x)};
            struct target to = {.m = (int64_t)s->h_out * s->w_out * step, .t = step, .bias = bias};
            to.v = (vecf *)out + chunk + (int64_t)y * s->w_out * step;
            product_run(&p, &a, depth, 0, &to);
        }
    }
}

static int ceil_div(int a, int b)
{
    return a > 0 ? (a + b - 1) / b : 0;
}

/* The input gradient falls into stride^2 classes of rows and columns; class (py, px) sees the taps
 * with ky = py, kx = px mod stride. This is one of them. */
struct phase {
    int py, px;
    int n_ky, n_kx; /* taps of this class a side */
    int x0, n_x;    /* first column and columns of this class */
};

static struct phase phase_of(const struct conv_shape *s, int py, int px)
{
    struct phase f = {py, px, ceil_div(s->k - py, s->stride), ceil_div(s->k - px, s->stride), 0, 0};
    f.x0 = ((px - s->pad) % s->stride + s->stride) % s->stride;
    f.n_x = ceil_div(s->w_in - f.x0, s->stride);
    return f;
}

/* Taps from the last row to the first, since rows of dout ascend as taps descend. */
static void phase_weights(const struct conv_shape *s, const struct phase *f, int n_pair,
                          const float *const w[], const struct packed *z, struct product *p)
{
    int64_t taps = (int64_t)s->k * s->k;
    struct weights take = {.to = p->w, .m_stride = taps};
    for (int i = 0; i < p->m.count; i++)
        for (int a = f->n_ky - 1; a >= 0; a--)
            for (int b = 0; b < f->n_kx; b++)
                for (int pair = 0; pair < n_pair; pair++) {
                    take.w = w[pair] + i * p->m.size * taps + (f->py + a * s->stride) * s->k +
                             f->px + b * s->stride;
                    for (int o = 0; o < s->c_out; o++)
                        weights_take(&take, o * s->c_in * taps, conv_cut_length(&p->m, i));
                }
    int32_t *off = p->off;
    for (int a = 0; a < f->n_ky; a++)
        for (int b = 0; b < f->n_kx; b++)
            for (int o = 0; o < n_pair * s->c_out; o++)
                *off++ = (int32_t)(o * packed_plane(z) + a * packed_row(z) - b);
}

static void phase_rows(const struct conv_shape *s, const struct phase *f, const struct packed *z,
                       int n_channel, struct product *p, int chunk, float *din)
{
    int64_t step = s->lanes / V, per_row = (int64_t)f->n_kx * n_channel, depth = f->n_ky * per_row;
    int y0 = ((f->py - s->pad) % s->stride + s->stride) % s->stride;
    for (int y = y0; y < s->h_in; y += s->stride) {
        int top =
            (y + s->pad) / s->stride - f->n_ky + 1; /* the row of dout that meets the last tap */
        int a0 = top < 0 ? -top : 0, a1 = s->h_out - top < f->n_ky ? s->h_out - top : f->n_ky;
        int row = a1 > a0 ? top + a0 : 0, column = (f->x0 + s->pad) / s->stride + z->pad_left;
        struct conv_dot a = {.n = a1 > a0 ? (int)((a1 - a0) * per_row) : 0, .off = p->off};
        a.v = z->v + row * packed_row(z) + column;
        struct target to = {.m = (int64_t)s->h_in * s->w_in * step, .t = s->stride * step};
        to.v = (vecf *)din + chunk + ((int64_t)y * s->w_in + f->x0) * step;
        product_run(p, &a, depth, a0 * per_row, &to);
    }
}

void conv_direct_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                            const float *const w[], float *din, float *scratch)
{
    struct product p;
    struct packed z = packed_output(s);
    z.v = (vecf *)product_place(&p, (int64_t)n_pair * s->c_out * s->k * s->k, s->c_in, scratch);
    for (int py = 0; py < s->stride; py++)
        for (int px = 0; px < s->stride; px++) {
            struct phase f = phase_of(s, py, px);
            if (f.n_x == 0)
                continue;
            conv_dot_cut(s->c_in, f.n_x, &p.m, &p.t);
            phase_weights(s, &f, n_pair, w, &z, &p);
            for (int chunk = 0; chunk < s->lanes / V; chunk++) {
                for (int i = 0; i < n_pair; i++)
                    pack(&z, dout[i], s->lanes, chunk, s->c_out, s->h_out, s->w_out, i * s->c_out);
                phase_rows(s, &f, &z, n_pair * s->c_out, &p, chunk, din);
            }
        }
}

/* Outputs whose accumulators are kept at a time. */
static struct conv_cut gradient_cut(const struct conv_shape *s)
{
    int64_t per_output = (int64_t)s->c_in * s->k * s->k * (int64_t)sizeof(vecf),
            max = ACC_BYTES / per_output;
    return conv_cut_even(s->c_out, max < 4 ? 4 : max > s->c_out ? s->c_out : (int)max);
}

/* acc [out][in][ky][kx] for outputs [o0, o0 + n_o). */
static void gradient_planes(const struct conv_shape *s, const struct packed *x,
                            const struct packed *z, int n_o, vecf *acc, int add)
{
    struct conv_cut out, in, row = conv_cut_even(s->h_out, RUN / s->w_out > 1 ? RUN / s->w_out : 1);
    struct conv_outer a = {.n = s->w_out,
                           .d_o = packed_plane(z),
                           .d_row = packed_row(z),
                           .u_c = packed_plane(x),
                           .u_row = s->stride * packed_row(x)};
    conv_outer_cut(n_o, s->c_in, &out, &in);
    a.acc_c = (int64_t)s->k * s->k;
    a.acc_o = s->c_in * a.acc_c;
    for (int i = 0; i < out.count * in.count; i++) {
        int io = i / in.count, o = io * out.size, ic = i % in.count, c = ic * in.size;
        for (int r = 0; r < row.count; r++)
            for (int tap = 0; tap < s->k * s->k; tap++) {
                int y = r * row.size, ky = tap / s->k, kx = tap % s->k;
                a.n_row = conv_cut_length(&row, r);
                a.add = add || r > 0;
                a.d = z->v + o * a.d_o + y * a.d_row;
                a.u = x->v + c * a.u_c + y * a.u_row + ky * packed_row(x) +
                      kx % s->stride * x->run + kx / s->stride;
                a.acc = acc + o * a.acc_o + c * a.acc_c + tap;
                conv_tile_outer(conv_cut_length(&out, io), conv_cut_length(&in, ic), &a);
            }
    }
}

/* dbias of one output: rows are summed apart, as the error of one long sum would grow with the
 * plane. */
static float plane_sum(const vecf *plane, int h, int64_t w)
{
    vecf total[V] = {{0}}, sum;
    for (int y = 0; y < h; y++) {
        vecf row = {};
        for (int64_t i = 0; i < w; i++)
            row += plane[y * w + i];
        total[0] += row;
    }
    conv_sum_lanes(V, total, (float *)&sum);
    return sum[0];
}

/* The weight gradient on its way: accumulators with a lane a sample, their sums over lanes, and the
 * copied planes. */
struct gradient {
    struct conv_cut cut;
    int64_t per_output, n_acc;
    struct packed x, z;
    vecf *acc;
    float *sum;
};

static struct gradient gradient_place(const struct conv_shape *s, float *scratch)
{
    struct gradient g = {.cut = gradient_cut(s), .x = packed_input(s), .acc = (vecf *)scratch};
    g.z = (struct packed){.h = s->h_out, .w = s->w_out, .stride = 1, .run = s->w_out};
    g.per_output = (int64_t)s->c_in * s->k * s->k;
    g.n_acc = align_floats(g.cut.size * g.per_output);
    g.sum = scratch + g.n_acc * V;
    g.x.v = (vecf *)(g.sum + g.n_acc);
    g.z.v = g.x.v + s->c_in * packed_plane(&g.x);
    return g;
}

/* Outputs [o, o + n_o), V lanes of a pair. */
static void gradient_part(const struct conv_shape *s, const struct gradient *g, const float *in,
                          const float *dout, int o, int n_o, int chunk, int add)
{
    int64_t out_floats = (int64_t)s->h_out * s->w_out * s->lanes;
    pack(&g->x, in, s->lanes, chunk, s->c_in, s->h_in, s->w_in, 0);
    pack(&g->z, dout + o * out_floats, s->lanes, chunk, n_o, s->h_out, s->w_out, 0);
    gradient_planes(s, &g->x, &g->z, n_o, g->acc, add);
}

void conv_direct_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                             const float *const dout[], float *dw, float *dbias, float *scratch)
{
    struct gradient g = gradient_place(s, scratch);
    int64_t out_floats = (int64_t)s->h_out * s->w_out * s->lanes;
    for (int i = 0; i < g.cut.count; i++) {
        int o = i * g.cut.size, n_o = conv_cut_length(&g.cut, i), part = 0;
        for (int chunk = 0; chunk < s->lanes / V; chunk++)
            for (int pair = 0; pair < n_pair; pair++, part++)
                gradient_part(s, &g, in[pair], dout[pair], o, n_o, chunk, part > 0);
        conv_sum_lanes(n_o * g.per_output, g.acc, g.sum);
        memcpy(dw + o * g.per_output, g.sum, (size_t)(n_o * g.per_output) * sizeof(float));
    }
    for (int o = 0; dbias && o < s->c_out; o++)
        dbias[o] = plane_sum((const vecf *)(dout[0] + o * out_floats), s->h_out,
                             (int64_t)s->w_out * s->lanes / V);
}

/* Sum over the lanes of squares, each of a lane's sum over a plane. */
static float plane_squares(const vecf *plane, int h, int w, int step)
{
    vecf squares[V] = {{0}}, sum;
    for (int chunk = 0; chunk < step; chunk++) {
        vecf total = {};
        for (int y = 0; y < h; y++) {
            vecf row = {};
            for (int x = 0; x < w; x++)
                row += plane[((int64_t)y * w + x) * step + chunk];
            total += row;
        }
        squares[0] += total * total;
    }
    conv_sum_lanes(V, squares, (float *)&sum);
    return sum[0];
}

/* A lane's accumulators hold the gradient of one sample: squared before lanes are summed. */
void conv_direct_weight_squares(const struct conv_shape *s, const float *in, const float *dout,
                                float *dw, float *dbias, float *scratch)
{
    struct gradient g = gradient_place(s, scratch);
    int64_t out_floats = (int64_t)s->h_out * s->w_out * s->lanes;
    for (int i = 0; i < g.cut.count; i++) {
        int o = i * g.cut.size, n_o = conv_cut_length(&g.cut, i);
        int64_t n = n_o * g.per_output;
        float *to = dw + o * g.per_output;
        for (int chunk = 0; chunk < s->lanes / V; chunk++) {
            gradient_part(s, &g, in, dout, o, n_o, chunk, 0);
            for (int64_t j = 0; j < n; j++)
                g.acc[j] *= g.acc[j];
            conv_sum_lanes(n, g.acc, g.sum);
            for (int64_t j = 0; j < n; j++)
                to[j] = (chunk ? to[j] : 0) + g.sum[j];
        }
    }
    for (int o = 0; dbias && o < s->c_out; o++)
        dbias[o] =
            plane_squares((const vecf *)(dout + o * out_floats), s->h_out, s->w_out, s->lanes / V);
}

int64_t conv_direct_gradient_floats(const struct conv_shape *s)
{
    struct packed x = packed_input(s);
    struct conv_cut cut = gradient_cut(s);
    int64_t acc = align_floats((int64_t)cut.size * s->c_in * s->k * s->k);
    return acc * (V + 1) +
           V * (s->c_in * packed_plane(&x) + cut.size * ((int64_t)s->h_out * s->w_out | 1)) +
           4 * LANE_BLOCK;
}

int64_t conv_direct_scratch_floats(const struct conv_shape *s)
{
    struct packed x = packed_input(s), z = packed_output(s);
    int64_t taps = (int64_t)s->k * s->k, c_in = CONV_PAIR_MAX * s->c_in,
            c_out = CONV_PAIR_MAX * s->c_out;
    int64_t forward = c_in * (taps * (1 + s->c_out) + packed_plane(&x) * V);
    int64_t input = c_out * (taps * (1 + s->c_in) + packed_plane(&z) * V);
    return max_i64(forward, input) + 4 * LANE_BLOCK;
}
