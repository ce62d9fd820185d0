/* Batch normalisation channel by channel: a plane stays in the second-level cache from its sums to
 * its use. */
#include "kernel/norm.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "core/error.h"
#include "kernel/lanes.h"

enum { WIDTH = IAU_VECTOR_WIDTH, LANES_MAX = 64, SUMS_MAX = 2, CHUNK_PLACES = 64, CHAINS = 4 };

#define INLINE static inline __attribute__((always_inline))

/* One channel in a pass; pointers are to its planes. */
struct channel {
    const float *x, *rx, *dy, *rdy;
    float mean, inv;
    float scale, shift; /* y = scale x + shift */
    float rx_mean, rx_xhat;
    float dy_mean, dy_xhat;
};

typedef void (*term_fn)(const struct channel *c, ptrdiff_t at, int relu, vecf term[SUMS_MAX]);

INLINE vecf load(const float *p)
{
    return *(const vecf *)p;
}

INLINE vecf xhat_at(const struct channel *c, ptrdiff_t at)
{
    return (load(c->x + at) - c->mean) * c->inv;
}

/* v where ReLU lets it through, else 0; the sign of y is found again from x. */
INLINE vecf pass_relu(const struct channel *c, ptrdiff_t at, int relu, vecf v)
{
    if (!relu)
        return v;
    vecf y = load(c->x + at) * c->scale + c->shift;
    return (vecf)((veci)v & (y > 0.0f));
}

INLINE vecf rxhat_at(const struct channel *c, ptrdiff_t at, vecf xhat)
{
    vecf rx = c->rx ? load(c->rx + at) : (vecf){};
    return c->inv * (rx - c->rx_mean - xhat * c->rx_xhat);
}

/* --- sums over a channel */

INLINE void term_x(const struct channel *c, ptrdiff_t at, int relu, vecf term[SUMS_MAX])
{
    (void)relu;
    term[0] = load(c->x + at);
}

INLINE void term_square(const struct channel *c, ptrdiff_t at, int relu, vecf term[SUMS_MAX])
{
    (void)relu;
    vecf d = load(c->x + at) - c->mean;
    term[0] = d * d;
}

INLINE void term_dy(const struct channel *c, ptrdiff_t at, int relu, vecf term[SUMS_MAX])
{
    term[0] = pass_relu(c, at, relu, load(c->dy + at));
    term[1] = term[0] * xhat_at(c, at);
}

INLINE void term_rx(const struct channel *c, ptrdiff_t at, int relu, vecf term[SUMS_MAX])
{
    (void)relu;
    term[0] = load(c->rx + at);
    term[1] = term[0] * xhat_at(c, at);
}

INLINE void term_rdy(const struct channel *c, ptrdiff_t at, int relu, vecf term[SUMS_MAX])
{
    vecf xhat = xhat_at(c, at), dy = pass_relu(c, at, relu, load(c->dy + at));
    term[0] = pass_relu(c, at, relu, load(c->rdy + at));
    term[1] = term[0] * xhat + dy * rxhat_at(c, at, xhat);
}

/* total[k][lanes of a vector] += the sum of term k over `n` places from `at` on. */
INLINE void sum_chunk(const struct channel *c, term_fn term, int n_sum, int relu, ptrdiff_t at,
                      ptrdiff_t step, ptrdiff_t n, double (*total)[WIDTH])
{
    vecf acc[CHAINS][SUMS_MAX] = {{{0}}}, t[SUMS_MAX];
    ptrdiff_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
#pragma GCC unroll 4
        for (int q = 0; q < CHAINS; q++) {
            term(c, at + (i + q) * step, relu, t);
#pragma GCC unroll 2
            for (int k = 0; k < n_sum; k++)
                acc[q][k] += t[k];
        }
    for (; i < n; i++) {
        term(c, at + i * step, relu, t);
#pragma GCC unroll 2
        for (int k = 0; k < n_sum; k++)
            acc[0][k] += t[k];
    }
#pragma GCC unroll 2
    for (int k = 0; k < n_sum; k++) {
        vecf sum = (acc[0][k] + acc[1][k]) + (acc[2][k] + acc[3][k]);
        for (int lane = 0; lane < WIDTH; lane++)
            total[k][lane] += (double)sum[lane];
    }
}

/* sum[k] = SUM over samples of the sum of term k over places, or of that one's square. */
INLINE void sum_channel(const struct norm_shape *s, const struct channel *c, term_fn term,
                        int n_sum, int relu, int squared, double *sum)
{
    double total[LANES_MAX / WIDTH][SUMS_MAX][WIDTH];
    memset(total, 0, sizeof total);
    for (ptrdiff_t p = 0; p < s->places; p += CHUNK_PLACES) {
        ptrdiff_t n = s->places - p < CHUNK_PLACES ? s->places - p : CHUNK_PLACES;
        for (int j = 0; j < s->lanes / WIDTH; j++)
            sum_chunk(c, term, n_sum, relu, p * s->lanes + j * WIDTH, s->lanes, n, total[j]);
    }
    for (int k = 0; k < n_sum; k++) {
        sum[k] = 0;
        for (int lane = 0; lane < s->n; lane++) {
            double own = total[lane / WIDTH][k][lane % WIDTH];
            sum[k] += squared ? own * own : own;
        }
    }
}

/* --- what the passes share */

static double samples(const struct norm_shape *s)
{
    return (double)s->n * (double)s->places;
}

static ptrdiff_t plane(const struct norm_shape *s)
{
    return (ptrdiff_t)s->places * s->lanes;
}

/* Channel i as earlier passes left it. */
static struct channel channel_of(const struct norm_shape *s, int i, const float *x,
                                 const float *weight, const float *bias, const float *kept)
{
    const float *row = kept + i;
    struct channel c = {
        .x = x + i * plane(s), .mean = row[NORM_MEAN * s->c], .inv = row[NORM_INV * s->c]};
    c.dy_mean = row[NORM_DY * s->c];
    c.dy_xhat = row[NORM_DY_XHAT * s->c];
    c.rx_mean = row[NORM_RX * s->c];
    c.rx_xhat = row[NORM_RX_XHAT * s->c];
    double scale = (double)weight[i] * c.inv;
    c.scale = (float)scale;
    c.shift = (float)(bias[i] - c.mean * scale);
    return c;
}

/* Empty lanes of a plane become 0. */
static void clear_empty(const struct norm_shape *s, float *v)
{
    for (ptrdiff_t p = 0; s->n < s->lanes && p < s->places; p++)
        memset(v + p * s->lanes + s->n, 0, (size_t)(s->lanes - s->n) * sizeof *v);
}

/* --- the passes */

static void statistics(const struct norm_shape *s, int i, const float *x, const float *mean,
                       const float *var, float eps, float *kept)
{
    struct channel c = {.x = x + i * plane(s)};
    double sum, square;
    if (s->frozen) {
        c.mean = mean[i];
        square = var[i];
    } else {
        sum_channel(s, &c, term_x, 1, 0, 0, &sum);
        c.mean = (float)(sum / samples(s));
        sum_channel(s, &c, term_square, 1, 0, 0, &square);
        square /= samples(s);
    }
    for (int row = 0; row < N_NORM_ROW; row++)
        kept[row * s->c + i] = 0;
    kept[NORM_MEAN * s->c + i] = c.mean;
    kept[NORM_VAR * s->c + i] = (float)square;
    kept[NORM_INV * s->c + i] = (float)(1 / sqrt(square + (double)eps));
}

void norm_forward(const struct norm_shape *s, float eps, const float *x, const float *weight,
                  const float *bias, const float *mean, const float *var, float *kept, float *y)
{
    for (int i = 0; i < s->c; i++) {
        statistics(s, i, x, mean, var, eps, kept);
        struct channel c = channel_of(s, i, x, weight, bias, kept);
        float *out = y + i * plane(s);
        veci off = s->relu ? ~(veci){} : (veci){}; /* where values below 0 go */
        for (ptrdiff_t at = 0; at < plane(s); at += WIDTH) {
            vecf v = load(c.x + at) * c.scale + c.shift;
            *(vecf *)(out + at) = (vecf)((veci)v & ~(off & (v <= 0.0f))); /* a NaN passes */
        }
    }
}

INLINE void backward_channel(const struct norm_shape *s, struct channel *c, int i, int relu,
                             int squared, float *kept, float *dx, float *dweight, float *dbias)
{
    double sum[SUMS_MAX];
    float factor = c->scale;
    sum_channel(s, c, term_dy, 2, relu, squared, sum);
    dbias[i] = (float)sum[0];
    dweight[i] = (float)sum[1];
    c->dy_mean = kept[NORM_DY * s->c + i] = s->frozen ? 0 : (float)(sum[0] / samples(s));
    c->dy_xhat = kept[NORM_DY_XHAT * s->c + i] = s->frozen ? 0 : (float)(sum[1] / samples(s));
    if (!dx)
        return;
    for (ptrdiff_t at = 0; at < plane(s); at += WIDTH) {
        vecf dy = pass_relu(c, at, relu, load(c->dy + at));
        *(vecf *)(dx + at) = factor * (dy - c->dy_mean - xhat_at(c, at) * c->dy_xhat);
    }
    clear_empty(s, dx);
}

INLINE void backward(const struct norm_shape *s, int squared, const float *x, const float *dy,
                     const float *weight, const float *bias, float *kept, float *dx, float *dweight,
                     float *dbias)
{
    for (int i = 0; i < s->c; i++) {
        struct channel c = channel_of(s, i, x, weight, bias, kept);
        float *to = dx ? dx + i * plane(s) : NULL;
        c.dy = dy + i * plane(s);
        if (s->relu)
            backward_channel(s, &c, i, 1, squared, kept, to, dweight, dbias);
        else
            backward_channel(s, &c, i, 0, squared, kept, to, dweight, dbias);
    }
}

void norm_backward(const struct norm_shape *s, const float *x, const float *dy, const float *weight,
                   const float *bias, float *kept, float *dx, float *dweight, float *dbias)
{
    backward(s, 0, x, dy, weight, bias, kept, dx, dweight, dbias);
}

void norm_backward_squares(const struct norm_shape *s, const float *x, const float *dy,
                           const float *weight, const float *bias, float *kept, float *dx,
                           float *dweight, float *dbias)
{
    REQUIRE(s->frozen);
    backward(s, 1, x, dy, weight, bias, kept, dx, dweight, dbias);
}

void norm_forward_tangent(const struct norm_shape *s, const float *x, const float *rx,
                          const float *weight, const float *bias, const float *vweight,
                          const float *vbias, float *kept, float *ry)
{
    for (int i = 0; i < s->c; i++) {
        struct channel c = channel_of(s, i, x, weight, bias, kept);
        double sum[SUMS_MAX] = {0};
        float *out = ry + i * plane(s);
        c.rx = rx ? rx + i * plane(s) : NULL;
        if (rx && !s->frozen)
            sum_channel(s, &c, term_rx, 2, 0, 0, sum);
        c.rx_mean = kept[NORM_RX * s->c + i] = (float)(sum[0] / samples(s));
        c.rx_xhat = kept[NORM_RX_XHAT * s->c + i] = (float)(sum[1] / samples(s));
        for (ptrdiff_t at = 0; at < plane(s); at += WIDTH) {
            vecf xhat = xhat_at(&c, at);
            vecf v = vweight[i] * xhat + vbias[i] + weight[i] * rxhat_at(&c, at, xhat);
            *(vecf *)(out + at) = pass_relu(&c, at, s->relu, v);
        }
    }
}

INLINE void backward_tangent_channel(const struct norm_shape *s, struct channel *c, int i, int relu,
                                     float weight, float vweight, float *rdx, float *rdweight,
                                     float *rdbias)
{
    double sum[SUMS_MAX], over = s->frozen ? 0 : 1 / samples(s);
    sum_channel(s, c, term_rdy, 2, relu, 0, sum);
    rdbias[i] = (float)sum[0];
    rdweight[i] = (float)sum[1];
    if (!rdx)
        return;
    float rdy_mean = (float)(sum[0] * over), rdy_xhat = (float)(sum[1] * over);
    float factor = weight * c->inv;
    float rfactor = vweight * c->inv -
                    weight * c->inv * c->inv * c->rx_xhat; /* R{inv} = -inv^2 mean(R{x} xhat) */
    for (ptrdiff_t at = 0; at < plane(s); at += WIDTH) {
        vecf xhat = xhat_at(c, at), rxhat = rxhat_at(c, at, xhat);
        vecf dy = pass_relu(c, at, relu, load(c->dy + at)),
             rdy = pass_relu(c, at, relu, load(c->rdy + at));
        vecf t = dy - c->dy_mean - xhat * c->dy_xhat;
        *(vecf *)(rdx + at) =
            rfactor * t + factor * (rdy - rdy_mean - rxhat * c->dy_xhat - xhat * rdy_xhat);
    }
    clear_empty(s, rdx);
}

void norm_backward_tangent(const struct norm_shape *s, const float *x, const float *rx,
                           const float *dy, const float *rdy, const float *weight,
                           const float *bias, const float *vweight, const float *kept, float *rdx,
                           float *rdweight, float *rdbias)
{
    for (int i = 0; i < s->c; i++) {
        struct channel c = channel_of(s, i, x, weight, bias, kept);
        float *to = rdx ? rdx + i * plane(s) : NULL;
        c.rx = rx ? rx + i * plane(s) : NULL;
        c.dy = dy + i * plane(s);
        c.rdy = rdy + i * plane(s);
        if (s->relu)
            backward_tangent_channel(s, &c, i, 1, weight[i], vweight[i], to, rdweight, rdbias);
        else
            backward_tangent_channel(s, &c, i, 0, weight[i], vweight[i], to, rdweight, rdbias);
    }
}
