/* What the files behind kernel/conv.h share: register tiles of products on vectors, sums over the
 * lanes of vectors, and the three ways of a convolution. Everything here is local and allocates
 * nothing. */
#ifndef IAU_KERNEL_CONV_PRIVATE_H
#define IAU_KERNEL_CONV_PRIVATE_H

#include <stdint.h>

#include "kernel/conv.h"
#include "kernel/lanes.h"

enum {
    CONV_PAIR_MAX = 2,
    CONV_TILE_M_MAX = 8,
#if IAU_VECTOR_WIDTH == 16
    CONV_TILE_T_MAX = 7, /* 32 registers: 24 sums and what they are made of */
    CONV_OUTER_SIDE_MAX = 6,
    CONV_OUTER_MAX = 24
#else
    CONV_TILE_T_MAX = 3, /* 16 registers */
    CONV_OUTER_SIDE_MAX = 4,
    CONV_OUTER_MAX = 12
#endif
};

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Whole vectors, whatever their width. */
static inline int64_t align_floats(int64_t n)
{
    return (n + LANE_BLOCK - 1) / LANE_BLOCK * LANE_BLOCK;
}

/* How `n` things are cut into equal pieces of at most `max`, the last one possibly smaller. */
struct conv_cut {
    int n, size, count;
};

struct conv_cut conv_cut_even(int n, int max);
static inline int conv_cut_length(const struct conv_cut *c, int i)
{
    int rest = c->n - i * c->size;
    return rest < c->size ? rest : c->size;
}

/** How n_m rows and n_t columns are cut for conv_tile_dot: the fastest of the ways that fit the
 * registers. */
void conv_dot_cut(int n_m, int n_t, struct conv_cut *m, struct conv_cut *t);

/* out[m * out_m + t] = SUM_i w[(i * n_m + m) * w_step] v[off[i] + t], in this order of i. */
struct conv_dot {
    int n;              /* terms */
    const int32_t *off; /* in vectors */
    const vecf *v;
    const float *w;
    vecf *out;
    int64_t out_m;
};
/** A tile of n_m x n_t sums, as conv_dot_cut cuts them. @param w_step 1 or 8 */
void conv_tile_dot(int w_step, int n_m, int n_t, const struct conv_dot *a);

/* acc[o * acc_o + c * acc_c] (+)=
 *     SUM_row SUM_i d[o * d_o + row * d_row + i] u[c * u_c + row * u_row + i] */
struct conv_outer {
    int n_row, n;
    const vecf *d, *u;
    int64_t d_o, d_row, u_c, u_row;
    vecf *acc;
    int64_t acc_o, acc_c;
    int add; /* to what acc holds, or start from 0 */
};
/** A tile of n_o x n_c sums, as conv_outer_cut cuts them. */
void conv_tile_outer(int n_o, int n_c, const struct conv_outer *a);
/** How outputs and inputs are cut for conv_tile_outer, in the same sense. */
void conv_outer_cut(int n_out, int n_in, struct conv_cut *out, struct conv_cut *in);

/** sum[i] = sum of the lanes of v[i]; v and sum must reach to n rounded up to whole vectors. */
void conv_sum_lanes(int64_t n, const vecf *v, float *sum);

/* 3 x 3 and 1 x 1 by products at points (winograd.c); 5 x 5 with stride 1 by transforms along rows
 * (conv_rows.c); every other (conv_direct.c). */
int conv_wino_fits(const struct conv_shape *s);    /* can do the shape */
int conv_wino_applies(const struct conv_shape *s); /* and is faster */
int64_t conv_wino_scratch_floats(const struct conv_shape *s);
void conv_wino_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                       const float *const w[], const float *bias, float *out, float *scratch);
void conv_wino_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                          const float *const w[], float *din, float *scratch);
void conv_wino_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                           const float *const dout[], float *dw, float *dbias, float *scratch);
int conv_rows_applies(const struct conv_shape *s);
int64_t conv_rows_scratch_floats(const struct conv_shape *s);
void conv_rows_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                       const float *const w[], const float *bias, float *out, float *scratch);
void conv_rows_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                          const float *const w[], float *din, float *scratch);
void conv_rows_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                           const float *const dout[], float *dw, float *dbias, float *scratch);
void conv_rows_weight_squares(const struct conv_shape *s, const float *in, const float *dout,
                              float *dw, float *dbias, float *scratch);
/* Without the weight gradient; and for the weight gradient and its squares, of any shape. */
int64_t conv_direct_scratch_floats(const struct conv_shape *s);
int64_t conv_direct_gradient_floats(const struct conv_shape *s);
void conv_direct_forward(const struct conv_shape *s, int n_pair, const float *const in[],
                         const float *const w[], const float *bias, float *out, float *scratch);
void conv_direct_input_grad(const struct conv_shape *s, int n_pair, const float *const dout[],
                            const float *const w[], float *din, float *scratch);
void conv_direct_weight_grad(const struct conv_shape *s, int n_pair, const float *const in[],
                             const float *const dout[], float *dw, float *dbias, float *scratch);
void conv_direct_weight_squares(const struct conv_shape *s, const float *in, const float *dout,
                                float *dw, float *dbias, float *scratch);

#endif
