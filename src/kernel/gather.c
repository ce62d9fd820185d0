/* Gathering by squares: a vector of every sample is read and the square transposed in registers, so
 * that each vector then holds one place of all samples. Bytes travel four to a 32-bit element. */
#include "kernel/gather.h"

#include <stddef.h>
#include <string.h>

#include "kernel/lanes.h"
#include "kernel/transpose.h"

enum { WIDTH = IAU_VECTOR_WIDTH };

#define INLINE static inline __attribute__((always_inline))

/* Where the next value of the samples goes. A row is what lies together on both sides: a row of
 * pixels, or a whole plane when no padding parts its rows. */
struct cursor {
    const struct gather_shape *s;
    int row_length, channel_rows;
    int row_left, rows_left; /* pixels of this row, rows of this channel, this one included */
    ptrdiff_t row_gap, channel_gap; /* floats of padding after them */
    int c;
    vecf scale, shift;
    float *origin, *out; /* the lane group's first pixel, and the next one */
};

static void cursor_place(struct cursor *at, int c, int row, int x)
{
    const struct gather_shape *s = at->s;
    int top = (s->h_out - s->h) / 2, left = (s->w_out - s->w) / 2;
    ptrdiff_t pixel = ((ptrdiff_t)c * s->h_out + top + row) * s->w_out + left + x;
    at->c = c;
    at->rows_left = at->channel_rows - row;
    at->row_left = at->row_length - x;
    at->scale = vec_all(s->scale[c]);
    at->shift = vec_all(s->shift[c]);
    at->out = at->origin + pixel * s->lanes;
}

/* Stand at value number `first` of the samples. */
static void cursor_seek(struct cursor *at, int64_t first)
{
    int64_t channel = (int64_t)at->row_length * at->channel_rows, rest = first % channel;
    cursor_place(at, (int)(first / channel), (int)(rest / at->row_length),
                 (int)(rest % at->row_length));
}

static struct cursor cursor_start(const struct gather_shape *s, float *origin)
{
    int joined = s->w == s->w_out;
    struct cursor at = {.s = s, .origin = origin};
    at.row_length = joined ? s->h * s->w : s->w;
    at.channel_rows = joined ? 1 : s->h;
    at.row_gap = (ptrdiff_t)(s->w_out - s->w) * s->lanes;
    at.channel_gap = (ptrdiff_t)(s->h_out - s->h) * s->w_out * s->lanes;
    cursor_place(&at, 0, 0, 0);
    return at;
}

INLINE void cursor_put(struct cursor *at, vecf raw)
{
    const struct gather_shape *s = at->s;
    *(vecf *)at->out = raw * at->scale + at->shift;
    at->out += s->lanes;
    if (--at->row_left > 0)
        return;
    at->row_left = at->row_length;
    at->out += at->row_gap;
    if (--at->rows_left > 0 || ++at->c == s->c)
        return;
    at->rows_left = at->channel_rows;
    at->out += at->channel_gap;
    at->scale = vec_all(s->scale[at->c]);
    at->shift = vec_all(s->shift[at->c]);
}

INLINE void put_bytes(struct cursor *at, const vecf *square, int n)
{
    for (int i = 0; i < n; i++) {
        veci pixel = ((veci)square[i / 4] >> (i % 4 * 8)) & 255;
        cursor_put(at, __builtin_convertvector(pixel, vecf));
    }
}

INLINE void put_floats(struct cursor *at, const vecf *square, int n)
{
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
        cursor_put(at, square[i]);
}

/* n values of WIDTH samples, `size` bytes each, from value `first` on. */
INLINE void put_square(struct cursor *at, const char *const *sample, int size, int64_t first, int n)
{
    vecf square[WIDTH] = {0};
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++)
        memcpy(&square[i], sample[i] + first * size, (size_t)(n * size));
    vec_transpose(square);
    if (size == 1)
        put_bytes(at, square, n);
    else
        put_floats(at, square, n);
}

/* All values of WIDTH samples; the last square starts early enough to end with them. */
INLINE void put_samples(struct cursor *at, const char *const *sample, int size, int64_t n)
{
    enum { BYTES = WIDTH * sizeof(float) };
    const int step = BYTES / size;
    if (n < step) {
        put_square(at, sample, size, 0, (int)n);
        return;
    }
    int64_t i = 0;
    for (; i + step <= n; i += step)
        put_square(at, sample, size, i, step);
    if (i < n) {
        cursor_seek(at, n - step);
        put_square(at, sample, size, n - step, step);
    }
}

/* n pixels of padding. */
static void pad(float *out, ptrdiff_t n, int lanes, float value)
{
    for (ptrdiff_t i = 0; i < n * lanes; i += WIDTH)
        *(vecf *)(out + i) = vec_all(value);
}

/* The frame around one channel. */
static void pad_channel(const struct gather_shape *s, float shift, float *out)
{
    int top = (s->h_out - s->h) / 2, left = (s->w_out - s->w) / 2;
    int right = s->w_out - s->w - left;
    ptrdiff_t row = (ptrdiff_t)s->w_out * s->lanes;
    pad(out, (ptrdiff_t)top * s->w_out, s->lanes, shift);
    for (int y = top; y < top + s->h && s->w < s->w_out; y++) {
        pad(out + y * row, left, s->lanes, shift);
        pad(out + y * row + (ptrdiff_t)(left + s->w) * s->lanes, right, s->lanes, shift);
    }
    pad(out + (top + s->h) * row, (ptrdiff_t)(s->h_out - s->h - top) * s->w_out, s->lanes, shift);
}

INLINE void gather(const struct gather_shape *s, const char *const *sample, int size, float *out)
{
    for (int c = 0; c < s->c && (s->h < s->h_out || s->w < s->w_out); c++)
        pad_channel(s, s->shift[c], out + (ptrdiff_t)c * s->h_out * s->w_out * s->lanes);
    for (int l = 0; l < s->lanes; l += WIDTH) {
        struct cursor at = cursor_start(s, out + l);
        put_samples(&at, sample + l, size, (int64_t)s->c * s->h * s->w);
    }
}

void gather_u8(const struct gather_shape *s, const uint8_t *const *sample, float *out)
{
    gather(s, (const char *const *)sample, 1, out);
}

void gather_f32(const struct gather_shape *s, const float *const *sample, float *out)
{
    gather(s, (const char *const *)sample, sizeof(float), out);
}
