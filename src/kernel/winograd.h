/* What the files of Winograd convolutions share. A convolution is cut into square tiles of its
 * output; for one tile, d the input it sees, g the taps, y the output, and with . for products
 * point by point,
 *
 *     y = A^T [(G g G^T) . (B^T d B)] A      dg = G^T [(A dy A^T) . (B^T d B)] G
 *
 * so that sums over channels (or, for dg, over tiles and lanes) are one matrix product a point. The
 * input gradient is the first form again, on dy, with the taps turned round. The rounding error is
 * up to 3e-6 of the norm of the result (measured to 512 channels). Sets of points:
 *
 *  - F(4,3): tiles of 4 x 4 outputs, points 0, +-1, +-2 and infinity a side (Lavin and
 *    Gray, arXiv 1509.09308), 36 products instead of 144;
 *  - a 2 x 2 image with padding 1, where a side is y0 = g1 d0 + g2 d1, y1 = g0 d0 + g1 d1: three
 *    products, (d0 + d1) g1, d1 (g2 - g1) and d0 (g0 - g1), so 9 for the 16 that meet no padding;
 *  - stride 2: a side is F(4,2) at the points 0, +-1, 2 and infinity on the even columns and four
 *    products by the middle tap on the odd ones, 81 products instead of 144;
 *  - 1 x 1, where there is nothing to transform, for the speed of the product. */
#ifndef IAU_KERNEL_WINOGRAD_H
#define IAU_KERNEL_WINOGRAD_H

#include "conv_private.h"

enum {
    WINO_SIDE_MAX = 9, /* points a side */
    WINO_PANEL = 2     /* columns of a product side by side, in vectors */
};

/* The sets of points. A gradient of the input with stride 2 has its own, as the tiles are those of
 * the input then. */
enum wino_id { WINO_FOUR, WINO_TWO, WINO_HALF, WINO_HALF_BACK, WINO_ONE, WINO_ONE_BACK };

struct wino_kind {
    enum wino_id id;
    int tile;   /* results a side */
    int step;   /* of what they are made from, from one tile to the next */
    int side;   /* points a side */
    int filter; /* of these, with taps of their own: the last one's serve all further points too */
    int sum;    /* the one where A dy is the sum of dy */
    int taps;   /* of the convolution, both sides together */
};

/** The kind of a pass; for shapes of conv_wino_fits() only. */
struct wino_kind wino_kind_of(const struct conv_shape *s, int input_grad);

static inline int wino_points(const struct wino_kind *k)
{
    return k->side * k->side;
}

static inline int wino_filters(const struct wino_kind *k)
{
    return k->filter * k->filter;
}

/* Which transformed taps a point takes. */
static inline int wino_filter_at(const struct wino_kind *k, int point)
{
    return min_int(point / k->side, k->filter - 1) * k->filter +
           min_int(point % k->side, k->filter - 1);
}

/* Tiles of a plane, `block` at a time; the columns of a block's products are its tiles' vectors of
 * lanes. */
struct wino_tiles {
    struct wino_kind kind;
    int across, chunks;
    struct conv_cut block;
};

/** Tiles of h x w results in blocks of about `bytes`, when one takes `tile_floats`. */
struct wino_tiles wino_tiles_of(const struct wino_kind *k, int h, int w, int lanes,
                                int64_t tile_floats, int64_t bytes);

static inline int wino_columns(const struct wino_tiles *t, int block)
{
    return conv_cut_length(&t->block, block) * t->chunks;
}

/* Odd in vectors, so that the same place of many points or rows does not compete for one set of the
 * cache. */
static inline int64_t wino_odd(int64_t vecs)
{
    return vecs | 1;
}

/* Columns rounded up to whole panels. */
static inline int64_t wino_panels(int64_t columns)
{
    return (columns + WINO_PANEL - 1) / WINO_PANEL * WINO_PANEL;
}

/* A plane in memory: [h][w], vectors `step` apart. */
struct wino_plane {
    const vecf *v;
    int64_t step;
    int h, w;
};

static inline struct wino_plane wino_plane_of(const float *p, int channel, int h, int w, int lanes,
                                              int chunk)
{
    int64_t step = lanes / IAU_VECTOR_WIDTH;
    return (struct wino_plane){(const vecf *)p + channel * h * w * step + chunk, step, h, w};
}

/** B^T d B of the values from (y, x) on, 0 outside the plane; point p goes to to[p * stride]. */
void wino_of_input(const struct wino_kind *k, const struct wino_plane *from, int y, int x, vecf *to,
                   int64_t stride);
/** A dy A^T of the tile from (y, x) on, 0 outside the plane. */
void wino_of_output(const struct wino_kind *k, const struct wino_plane *from, int y, int x,
                    vecf *to, int64_t stride);
/** The plane's tile from (y, x) on, as far as inside: A^T m A + bias, point p being m[p * stride].
 */
void wino_to_output(const struct wino_kind *k, const vecf *m, int64_t stride, float bias,
                    const struct wino_plane *to, vecf *plane, int y, int x);

/* Taps of `n` filters, `stride` floats apart. */
struct wino_taps {
    const float *g, *end; /* end of the whole array */
    int64_t stride;
    int n;
};
/** G g G^T of up to IAU_VECTOR_WIDTH filters, 0 for those missing; `turned` for taps in reverse
 * order. */
void wino_of_taps(const struct wino_kind *k, const struct wino_taps *from, int turned, float *to,
                  int64_t stride);
/** G^T u G; filter i goes to dg[taps * i]. What lies behind them may be overwritten up to `end`. */
void wino_to_taps(const struct wino_kind *k, const float *u, int64_t stride, int n, float *dg,
                  const float *end);

/* c[m][column] (+)= SUM_pair SUM_k a[pair][m][k] b[pair][column / PANEL][k][column % PANEL],
 * columns being vectors. */
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

/** Workspace of the weight gradient. */
int64_t wino_gradient_floats(const struct conv_shape *s, int n_pair);

#endif
