/* Convolutions 5 wide with stride 1, by Toom-Cook along rows, F(4,5): four neighbouring outputs of
 * a row are 8 products at the points 0, +-1, +-2, +-1/2 and infinity instead of 20. For one row of
 * taps g, 8 inputs d and 4 outputs y, and with . for products point by point:
 *
 *     y = A^T [(G g) . (B^T d)]     dd = B [(G g) . (A dy)]     dg = G^T [(A dy) . (B^T d)]
 *
 * Products of one point are summed over rows of taps and channels before the transform back, and
 * the gradients are the exact adjoints, so all three passes need 8/20 of the direct products. The
 * rounding error is up to 3 times that of the direct sum. */
#ifndef IAU_KERNEL_CONV_POINTS_H
#define IAU_KERNEL_CONV_POINTS_H

#include "conv_private.h"

enum {
    TAPS = 5,
    POINTS = 8,
    TILE = 4 /* outputs of a transform */
};

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

static inline int64_t points_stride(const struct points *t)
{
    return (int64_t)t->channels * t->rows * t->tiles;
}

static inline int conv_row_tiles(const struct conv_shape *s)
{
    return (s->w_out + TILE - 1) / TILE;
}

/** B^T of the rows of all channels, those of the first channel going to channel `first`. */
void points_of_input(const struct planes *in, int pad, int first, const struct points *t);
/** A of the rows of all channels; sum[c], if any, becomes or gains the sum of channel c's rows. */
void points_of_output(const struct planes *out, int first, const struct points *t, vecf *sum,
                      int add);
/** G g of n rows of taps, `stride` floats apart; to [n][POINTS]. */
void points_of_taps(const float *g, int64_t stride, int n, float *to);
/** Row y of one chunk of the output: A^T sum + bias. @param sum [c_out][point][tile] */
void points_to_output(const struct conv_shape *s, const vecf *sum, const float *bias, int chunk,
                      int y, float *out);
/** Row y of one chunk of the input gradient: B sum, where neighbouring tiles share four columns. */
void points_to_input(const struct conv_shape *s, const vecf *sum, int chunk, int y, float *din);
/** n rows of taps: G^T sum. @param sum [point][stride] @param taps [n][TAPS] */
void points_to_taps(int64_t n, const float *sum, int64_t stride, float *taps);
/** The same in every lane and in place: afterwards v[j * stride + i] is tap j of row i. */
void points_to_lane_taps(int64_t n, vecf *v, int64_t stride);

#endif
