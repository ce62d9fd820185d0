/* What the files of Winograd convolutions share. A 3 x 3 convolution with stride 1 is cut into square
 * tiles of its output; for one tile, d the input it sees, g the taps, y the output, and with . for
 * products point by point,
 *
 *     y = A^T [(G g G^T) . (B^T d B)] A      dg = G^T [(A dy A^T) . (B^T d B)] G
 *
 * so that sums over channels (or, for dg, over tiles and lanes) are one matrix product a point. The
 * input gradient is the first form again, on dy, with the taps turned round. Two sets of points:
 *
 *  - F(4,3): tiles of 4 x 4 outputs, points 0, +-1, +-2 and infinity a side (Lavin and Gray,
 *    arXiv 1509.09308), 36 products instead of 144;
 *  - a 2 x 2 image with padding 1, where a side is y0 = g1 d0 + g2 d1, y1 = g0 d0 + g1 d1: three
 *    products, (d0 + d1) g1, d1 (g2 - g1) and d0 (g0 - g1), so 9 for the 16 that meet no padding. */
#ifndef IAU_KERNEL_WINOGRAD_H
#define IAU_KERNEL_WINOGRAD_H

#include "conv_private.h"

enum {
    WINO_TAPS = 9,
    WINO_PANEL = 2, /* columns of a product side by side, in vectors */
    WINO_POINTS_MAX = 36
};

/* The two sets of points. */
struct wino_kind {
    int tile;   /* outputs a side */
    int points; /* of the square */
    int sum;    /* the point where A dy A^T is the sum of dy */
};
extern const struct wino_kind wino_four, wino_two;

/* A plane in memory: [h][w], vectors `step` apart. */
struct wino_plane {
    const vecf *v;
    int64_t step;
    int h, w;
};

/** B^T d B of the input that the tile of outputs at (y, x) sees, 0 outside the plane;
 *  point p goes to to[p * stride]. */
void wino_of_input(const struct wino_kind *k, const struct wino_plane *from, int y, int x, int pad,
                   vecf *to, int64_t stride);
/** A dy A^T of the tile at (y, x), 0 outside the plane. */
void wino_of_output(const struct wino_kind *k, const struct wino_plane *from, int y, int x, vecf *to,
                    int64_t stride);
/** The plane's tile at (y, x), as far as inside: A^T m A + bias, point p being m[p * stride]. */
void wino_to_output(const struct wino_kind *k, const vecf *m, int64_t stride, float bias,
                    const struct wino_plane *to, vecf *plane, int y, int x);

/* Taps of `n` filters, `stride` floats apart. */
struct wino_taps {
    const float *g, *end; /* end of the whole array */
    int64_t stride;
    int n;
};
/** G g G^T of up to IAU_VECTOR_WIDTH filters, 0 for those missing; `turned` for taps in reverse order. */
void wino_of_taps(const struct wino_kind *k, const struct wino_taps *from, int turned, float *to,
                  int64_t stride);
/** G^T u G; filter i goes to dg[9 i]. What lies behind them may be overwritten up to `end`. */
void wino_to_taps(const struct wino_kind *k, const float *u, int64_t stride, int n, float *dg,
                  const float *end);

/* c[m][column] (+)= SUM_pair SUM_k a[pair][m][k] b[pair][column / PANEL][k][column % PANEL], columns
 * being vectors. */
struct wino_product {
    int n_pair, m, k, columns;
    const float *a;
    int64_t a_pair, a_row; /* in floats */
    const vecf *b;
    int64_t b_pair; /* in vectors, as all below */
    vecf *c;
    int64_t c_row, c_panel;
    int add;
};
void wino_product_run(const struct wino_product *p);

#endif
