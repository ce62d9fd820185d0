/* Max- and average pooling on lane blocks; the 2 x 2 window of the usual networks is unrolled, any
 * other is looped over. */
#include "kernel/pool.h"

#include <stddef.h>
#include <string.h>

#include "kernel/lanes.h"

enum { WIDTH = IAU_VECTOR_WIDTH };

#define INLINE static inline __attribute__((always_inline))

/* Positions in floats of one vector: in a window's first place, and in the output. */
struct place {
    ptrdiff_t in, out;
    ptrdiff_t row; /* from a row of the input to the next */
};

INLINE vecf load(const float *p)
{
    return *(const vecf *)p;
}

/* The maximum of a window in scan order; a NaN wins and stays, as in torch. */
INLINE void window_max(int k, int lanes, const struct place *at, const float *in, float *out)
{
    vecf best = load(in + at->in);
#pragma GCC unroll 4
    for (int i = 1; i < k * k; i++) {
        vecf x = load(in + at->in + i / k * at->row + i % k * lanes);
        best = vec_select((x > best) | (x != x), x, best);
    }
    *(vecf *)(out + at->out) = best;
}

/* din of a window: dout where the window first equals its maximum. */
INLINE void window_backward(int k, int lanes, const struct place *at, const float *in,
                            const float *out, const float *dout, float *din)
{
    vecf best = load(out + at->out);
    veci rest = (veci)load(dout + at->out); /* dout until it is given away, then 0 */
#pragma GCC unroll 4
    for (int i = 0; i < k * k; i++) {
        ptrdiff_t from = at->in + i / k * at->row + i % k * lanes;
        veci wins = load(in + from) == best;
        *(vecf *)(din + from) = (vecf)(rest & wins);
        rest &= ~wins;
    }
}

/* rout of a window: rin where the window first equals its maximum. */
INLINE void window_tangent(int k, int lanes, const struct place *at, const float *in,
                           const float *out, const float *rin, float *rout)
{
    vecf best = load(out + at->out);
    veci taken = {0}, sum = {0};
#pragma GCC unroll 4
    for (int i = 0; i < k * k; i++) {
        ptrdiff_t from = at->in + i / k * at->row + i % k * lanes;
        veci wins = (load(in + from) == best) & ~taken;
        sum |= wins & (veci)load(rin + from);
        taken |= wins;
    }
    *(vecf *)(rout + at->out) = (vecf)sum;
}

/* The mean of a window, its rows added apart. */
INLINE void window_mean(int k, int lanes, const struct place *at, const float *in, float *out)
{
    vecf sum = {0};
    for (int y = 0; y < k; y++) {
        vecf row = {0};
        for (int x = 0; x < k; x++)
            row += load(in + at->in + y * at->row + x * lanes);
        sum += row;
    }
    *(vecf *)(out + at->out) = sum * (1.0f / (float)(k * k));
}

INLINE void window_spread(int k, int lanes, const struct place *at, const float *dout, float *din)
{
    vecf share = load(dout + at->out) * (1.0f / (float)(k * k));
    for (int i = 0; i < k * k; i++)
        *(vecf *)(din + at->in + i / k * at->row + i % k * lanes) = share;
}

/* Run `body` with `at` at each vector of the output, row by row. */
#define FOR_EACH_WINDOW(s, at, body)                                                        \
    for (int row_ = 0; row_ < (s)->c * (s)->h_out; row_++) {                                \
        struct place at = window_row((s), row_);                                            \
        for (int x_ = 0; x_ < (s)->w_out; x_++, at.in += ((s)->stride - 1) * (s)->lanes)    \
            for (int l_ = 0; l_ < (s)->lanes; l_ += WIDTH, at.in += WIDTH, at.out += WIDTH) \
                body;                                                                       \
    }

INLINE struct place window_row(const struct pool_shape *s, int row)
{
    struct place at;
    int c = row / s->h_out, y = row % s->h_out;
    at.row = (ptrdiff_t)s->w_in * s->lanes;
    at.in = ((ptrdiff_t)c * s->h_in + (ptrdiff_t)y * s->stride) * at.row;
    at.out = (ptrdiff_t)row * s->w_out * s->lanes;
    return at;
}

void maxpool_forward(const struct pool_shape *s, const float *in, float *out)
{
    if (s->k == 2)
        FOR_EACH_WINDOW(s, at, window_max(2, s->lanes, &at, in, out))
    else
        FOR_EACH_WINDOW(s, at, window_max(s->k, s->lanes, &at, in, out))
}

/* What no window covers, gaps or a margin, gets its 0 here. */
static void clear_gaps(const struct pool_shape *s, float *din)
{
    if (s->k != s->stride || s->h_out * s->k != s->h_in || s->w_out * s->k != s->w_in)
        memset(din, 0, sizeof(float) * (size_t)s->c * s->h_in * s->w_in * s->lanes);
}

void maxpool_backward(const struct pool_shape *s, const float *in, const float *out,
                      const float *dout, float *din)
{
    clear_gaps(s, din);
    if (s->k == 2)
        FOR_EACH_WINDOW(s, at, window_backward(2, s->lanes, &at, in, out, dout, din))
    else
        FOR_EACH_WINDOW(s, at, window_backward(s->k, s->lanes, &at, in, out, dout, din))
}

void maxpool_tangent(const struct pool_shape *s, const float *in, const float *out,
                     const float *rin, float *rout)
{
    if (s->k == 2)
        FOR_EACH_WINDOW(s, at, window_tangent(2, s->lanes, &at, in, out, rin, rout))
    else
        FOR_EACH_WINDOW(s, at, window_tangent(s->k, s->lanes, &at, in, out, rin, rout))
}

void avgpool_forward(const struct pool_shape *s, const float *in, float *out)
{
    FOR_EACH_WINDOW(s, at, window_mean(s->k, s->lanes, &at, in, out))
}

void avgpool_backward(const struct pool_shape *s, const float *dout, float *din)
{
    clear_gaps(s, din);
    FOR_EACH_WINDOW(s, at, window_spread(s->k, s->lanes, &at, dout, din))
}

void globalpool_forward(const struct pool_shape *s, const float *in, float *out)
{
    ptrdiff_t row = (ptrdiff_t)s->w_in * s->lanes;
    float factor = 1.0f / (float)(s->h_in * s->w_in);
    for (int c = 0; c < s->c; c++)
        for (int lane = 0; lane < s->lanes; lane += WIDTH) {
            const float *plane = in + c * s->h_in * row + lane;
            vecf sum = {0};
            for (int y = 0; y < s->h_in; y++) {
                vecf part = {0};
                for (int x = 0; x < s->w_in; x++)
                    part += load(plane + y * row + x * s->lanes);
                sum += part;
            }
            *(vecf *)(out + (ptrdiff_t)c * s->lanes + lane) = sum * factor;
        }
}

void globalpool_backward(const struct pool_shape *s, const float *dout, float *din)
{
    ptrdiff_t n = (ptrdiff_t)s->h_in * s->w_in;
    float factor = 1.0f / (float)n;
    for (int c = 0; c < s->c; c++)
        for (int lane = 0; lane < s->lanes; lane += WIDTH) {
            vecf share = load(dout + (ptrdiff_t)c * s->lanes + lane) * factor;
            for (ptrdiff_t i = 0; i < n; i++)
                *(vecf *)(din + (c * n + i) * s->lanes + lane) = share;
        }
}
