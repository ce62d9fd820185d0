/* The matrix product of Winograd convolutions: register tiles whose left factor is read value by
 * value and whose right factor and result are vectors. */
#include "winograd.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    ROWS = IAU_VECTOR_WIDTH == 16 ? 12 : 6, /* two vectors wide this fills the registers */
    SOME_ROWS = IAU_VECTOR_WIDTH == 16 ? 8 : 4,
    /* Terms of one running sum, whose rounding error grows as the square root of its length and is
     * enlarged by the transform back. */
    CHAIN = 64
};

/* A part of a tile's sums. Sizes must be constants: then they stay in registers. */
INLINE void part(int rows, int vecs, const float *a, int64_t a_row, const vecf *b, int n, vecf *c,
                 int64_t c_row, int add)
{
    vecf sum[ROWS][WINO_PANEL];
#pragma GCC unroll 12
    for (int m = 0; m < rows; m++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            sum[m][v] = (vecf){};
    for (int k = 0; k < n; k++, b += WINO_PANEL) {
        vecf y[WINO_PANEL];
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            y[v] = b[v];
#pragma GCC unroll 12
        for (int m = 0; m < rows; m++) {
            vecf x = vec_all(a[m * a_row + k]);
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                sum[m][v] += x * y[v];
        }
    }
#pragma GCC unroll 12
    for (int m = 0; m < rows; m++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) {
            vecf *to = c + m * c_row + v;
            if (add)
                sum[m][v] += *to;
            *to = sum[m][v];
        }
}

INLINE void tile(const struct wino_product *p, int rows, int vecs, int row, const vecf *b, vecf *c)
{
    struct conv_cut chain = conv_cut_even(p->k, CHAIN);
    int add = p->add;
    for (int pair = 0; pair < p->n_pair; pair++)
        for (int i = 0; i < chain.count; i++, add = 1) {
            int64_t k = i * chain.size;
            part(rows, vecs, p->a + pair * p->a_pair + row * p->a_row + k, p->a_row,
                 b + pair * p->b_pair + k * WINO_PANEL, conv_cut_length(&chain, i),
                 c + row * p->c_row, p->c_row, add);
        }
}

INLINE void panel(const struct wino_product *p, int vecs, const vecf *b, vecf *c)
{
    int row = 0, left;
    /* two middle tiles are faster than a full one and a small one */
    for (; (left = p->m - row) >= ROWS && left != 2 * SOME_ROWS; row += ROWS)
        tile(p, ROWS, vecs, row, b, c);
    for (; row + SOME_ROWS <= p->m; row += SOME_ROWS)
        tile(p, SOME_ROWS, vecs, row, b, c);
    for (; row + 2 <= p->m; row += 2)
        tile(p, 2, vecs, row, b, c);
    if (row < p->m)
        tile(p, 1, vecs, row, b, c);
}

void wino_product_run(const struct wino_product *p)
{
    int column = 0;
    for (; column + WINO_PANEL <= p->columns; column += WINO_PANEL)
        panel(p, WINO_PANEL, p->b + (int64_t)column * p->k,
              p->c + column / WINO_PANEL * p->c_panel);
    if (column < p->columns)
        panel(p, 1, p->b + (int64_t)column * p->k, p->c + column / WINO_PANEL * p->c_panel);
}
