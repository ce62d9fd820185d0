/* Fully connected products on lane blocks. All three are one register-tiled product whose left
 * factor is read value by value and whose right factor and result run along vectors. Where n or k
 * is the number of lanes of a unit, sgemm reaches 50 to 95 % of its speed, but for one kind of
 * shape. */
#include "kernel/dense.h"

#include <stddef.h>
#include <string.h>

#include "kernel/act.h"
#include "kernel/gemm.h"
#include "kernel/lanes.h"
#include "kernel/transpose.h"

enum {
    WIDTH = IAU_VECTOR_WIDTH,
    ROWS = WIDTH == 16 ? 12 : 6, /* of a full tile; two vectors wide it fills the registers */
    SOME_ROWS = WIDTH == 16 ? 8 : 4,
    PANEL = 2 * WIDTH, /* columns of a transposed panel */
    PANEL_LANES = 64,  /* and its depth for each of the pairs it holds */
    PANEL_PAIRS = 2
};

#define INLINE static inline __attribute__((always_inline))

/* c = bias + SUM_p a[p] b[p]; a[p] is m x k with strides (a_row, a_k), b[p] has k rows. */
struct product {
    int n_pair, m, k;
    const float *const *a;
    const float *const *b;
    ptrdiff_t a_row, a_k, b_k, c_row;
    float *c;
    const float *bias; /* [m] or NULL */
    int add;           /* go on from what c holds */
};

/* A tile of `rows` x `vecs` vectors at (row, column). Both sizes must be constants: then the sums
 * stay in registers. */
INLINE void product_tile(const struct product *p, int rows, int vecs, int row, int column)
{
    vecf sum[2 * ROWS], x[2];
    const int n = rows * vecs; /* sum number i belongs to row i / vecs, vector i % vecs */
    float *c = p->c + row * p->c_row + column;
#pragma GCC unroll 24
    for (int i = 0; i < n; i++)
        sum[i] = p->add ? *(vecf_unaligned *)(c + i / vecs * p->c_row + i % vecs * WIDTH)
                        : vec_all(p->bias ? p->bias[row + i / vecs] : 0);
    for (int pair = 0; pair < p->n_pair; pair++) {
        const float *a = p->a[pair] + row * p->a_row, *b = p->b[pair] + column;
        for (int k = 0; k < p->k; k++) {
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                x[v] = *(const vecf *)(b + k * p->b_k + v * WIDTH);
#pragma GCC unroll 24
            for (int i = 0; i < n; i++)
                sum[i] += vec_all(a[i / vecs * p->a_row + k * p->a_k]) * x[i % vecs];
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < n; i++)
        *(vecf_unaligned *)(c + i / vecs * p->c_row + i % vecs * WIDTH) = sum[i];
}

/* n columns, a multiple of the width, of some rows. */
INLINE void product_rows(const struct product *p, int rows, int row, int n)
{
    int column = 0;
    for (; column + 2 * WIDTH <= n; column += 2 * WIDTH)
        product_tile(p, rows, 2, row, column);
    if (column < n)
        product_tile(p, rows, 1, row, column);
}

INLINE void product_run(const struct product *p, int n)
{
    int row = 0;
    for (; row + ROWS <= p->m; row += ROWS)
        product_rows(p, ROWS, row, n);
    for (; row + SOME_ROWS <= p->m; row += SOME_ROWS)
        product_rows(p, SOME_ROWS, row, n);
    for (; row + 2 <= p->m; row += 2)
        product_rows(p, 2, row, n);
    if (row < p->m)
        product_rows(p, 1, row, n);
}

void dense_forward(const struct dense_shape *s, int n_pair, const float *const in[],
                   const float *const w[], const float *bias, float *out)
{
    struct product p = {.n_pair = n_pair, .m = s->n_out, .k = s->n_in, .a = w, .b = in, .c = out};
    p.a_row = s->n_in;
    p.a_k = 1;
    p.b_k = p.c_row = s->lanes;
    p.bias = bias;
    product_run(&p, s->lanes);
}

/* Whether the rows of w are so long that reading it by columns, as the tiles do, leaves the caches:
 * there a product that packs w first is faster (2048 x 2048 at 64 lanes: 141 against 103 GFLOP/s;
 * 1024 x 1024: 177 against 210). */
static int packing_pays(const struct dense_shape *s)
{
    return s->n_in >= 2048 && s->lanes >= 48;
}

void dense_input_grad(const struct dense_shape *s, int n_pair, const float *const dout[],
                      const float *const w[], float *din)
{
    if (packing_pays(s)) {
        for (int p = 0; p < n_pair; p++)
            gemm(GEMM_T, GEMM_N, s->n_in, s->lanes, s->n_out, w[p], s->n_in, dout[p], s->lanes,
                 p > 0, din, s->lanes);
        return;
    }
    struct product p = {.n_pair = n_pair, .m = s->n_in, .k = s->n_out, .a = w, .b = dout, .c = din};
    p.a_row = 1;
    p.a_k = s->n_in;
    p.b_k = p.c_row = s->lanes;
    product_run(&p, s->lanes);
}

/* panel[lane][column] = in[column][lane] for some lanes and up to PANEL columns, 0 beyond. */
static void fill_panel(const float *in, int row, int lanes, int columns, float *panel)
{
    for (int c0 = 0; c0 < PANEL; c0 += WIDTH) {
        for (int l0 = 0; l0 < lanes; l0 += WIDTH) {
            const float *corner = in + (ptrdiff_t)c0 * row + l0;
            vecf square[WIDTH];
#pragma GCC unroll 16
            for (int i = 0; i < WIDTH; i++)
                square[i] = c0 + i < columns ? *(const vecf *)(corner + i * row) : vec_all(0);
            vec_transpose(square);
#pragma GCC unroll 16
            for (int i = 0; i < WIDTH; i++)
                *(vecf *)(panel + (l0 + i) * PANEL + c0) = square[i];
        }
    }
}

/* One panel's part of dw. */
static void weight_panel(const struct product *p, int columns)
{
    if (columns % WIDTH == 0) {
        product_run(p, columns);
        return;
    }
    float edge[ROWS * PANEL] __attribute__((aligned(64)));
    for (int row = 0; row < p->m; row += ROWS) {
        struct product part = *p;
        const float *a[PANEL_PAIRS];
        part.m = p->m - row < ROWS ? p->m - row : ROWS;
        for (int pair = 0; pair < p->n_pair; pair++)
            a[pair] = p->a[pair] + row * p->a_row;
        part.a = a;
        part.c = edge;
        part.c_row = PANEL;
        for (int r = 0; p->add && r < part.m; r++)
            memcpy(edge + r * PANEL, p->c + (row + r) * p->c_row, sizeof(float) * (size_t)columns);
        product_run(&part, columns > WIDTH ? PANEL : WIDTH);
        for (int r = 0; r < part.m; r++)
            memcpy(p->c + (row + r) * p->c_row, edge + r * PANEL, sizeof(float) * (size_t)columns);
    }
}

/* Up to PANEL_PAIRS pairs and PANEL_LANES lanes: transpose PANEL inputs at a time, so that dw is
 * written in whole vectors and each value of dout is one broadcast. */
static void weight_part(const struct dense_shape *s, int n_pair, const float *const in[],
                        const float *const dout[], int lanes, int add, float *dw)
{
    float panel[PANEL_PAIRS][PANEL_LANES * PANEL] __attribute__((aligned(64)));
    const float *const b[PANEL_PAIRS] = {panel[0], panel[1]};
    struct product p = {.n_pair = n_pair, .m = s->n_out, .k = lanes, .a = dout, .b = b, .add = add};
    p.a_row = s->lanes;
    p.a_k = 1;
    p.b_k = PANEL;
    p.c_row = s->n_in;
    for (int column = 0; column < s->n_in; column += PANEL) {
        int left = s->n_in - column, columns = left < PANEL ? left : PANEL;
        int whole = left <= WIDTH ? WIDTH : PANEL;
        if (columns < whole && s->n_in >= whole && !add) { /* write some columns again */
            columns = whole;
            column = s->n_in - whole;
        }
        for (int pair = 0; pair < n_pair; pair++)
            fill_panel(in[pair] + (ptrdiff_t)column * s->lanes, s->lanes, lanes, columns,
                       panel[pair]);
        p.c = dw + column;
        weight_panel(&p, columns);
    }
}

/* dbias of WIDTH outputs at a time: transposed, the sum over lanes is one of vectors. */
static void bias_grad(const struct dense_shape *s, const float *dout, float *dbias)
{
    for (int o = 0; o < s->n_out; o += WIDTH) {
        int rows = s->n_out - o < WIDTH ? s->n_out - o : WIDTH;
        vecf square[WIDTH] = {0}, sum = vec_all(0);
        for (int i = 0; i < rows; i++)
            for (int l = 0; l < s->lanes; l += WIDTH)
                square[i] += *(const vecf *)(dout + (ptrdiff_t)(o + i) * s->lanes + l);
        vec_transpose(square);
#pragma GCC unroll 16
        for (int l = 0; l < WIDTH; l++)
            sum += square[l];
        memcpy(dbias + o, &sum, sizeof(float) * (size_t)rows);
    }
}

void dense_weight_grad(const struct dense_shape *s, int n_pair, const float *const in[],
                       const float *const dout[], float *dw, float *dbias)
{
    for (int pair = 0; pair < n_pair; pair += PANEL_PAIRS) {
        int pairs = n_pair - pair < PANEL_PAIRS ? n_pair - pair : PANEL_PAIRS;
        for (int l = 0; l < s->lanes; l += PANEL_LANES) {
            int lanes = s->lanes - l < PANEL_LANES ? s->lanes - l : PANEL_LANES;
            const float *x[PANEL_PAIRS], *dy[PANEL_PAIRS];
            for (int i = 0; i < pairs; i++) {
                x[i] = in[pair + i] + l;
                dy[i] = dout[pair + i] + l;
            }
            weight_part(s, pairs, x, dy, lanes, pair > 0 || l > 0, dw);
        }
    }
    if (dbias)
        bias_grad(s, dout[0], dbias);
}

int64_t dense_squares_floats(const struct dense_shape *s)
{
    return ((int64_t)s->n_in + s->n_out) * s->lanes;
}

/* A sample's gradient is one product, whose square is the product of the squares. */
void dense_weight_squares(const struct dense_shape *s, const float *in, const float *dout,
                          float *dw, float *dbias, float *scratch)
{
    int64_t n_in = (int64_t)s->n_in * s->lanes;
    const float *x = scratch, *dy = scratch + n_in;
    vector_multiply(n_in, in, in, scratch);
    vector_multiply((int64_t)s->n_out * s->lanes, dout, dout, scratch + n_in);
    dense_weight_grad(s, 1, &x, &dy, dw, dbias);
}
