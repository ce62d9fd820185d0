/* A matrix that the library knows by its products, of the table's model, which is so small
 * that it can be written down, and dense solvers in double. For tests of what is made of products.
 */
#ifndef IAU_TESTS_MATRIX_H
#define IAU_TESTS_MATRIX_H

#include "sweep/product.h"
#include "train_run.h"

extern struct index_set matrix_set; /* of the table: the samples that matrices are means over */

struct matrix {
    int64_t n;
    struct engine engine;
    struct share share;
    struct product product;
    float *w, *b, *x; /* owned, [n]: parameters, a right-hand side, room for a result */
    double *dense;    /* owned, [n][n]; NULL until matrix_write_down */
};

/** Collective. Tests of their own, the first and the last. */
void matrix_open_data(void);
void matrix_close_data(void);
/** Collective. At random parameters, `scale` times their usual size. */
void matrix_open(struct matrix *s, enum product_kind kind, uint64_t seed, float scale,
                 const struct comm *comm);
void matrix_close(struct matrix *s);
/** Collective. Column by column, from products with unit vectors. */
void matrix_write_down(struct matrix *s);
/** x of (A + damping I) x = b by elimination with the largest pivots; the caller frees. */
double *matrix_solve(const struct matrix *s, double damping);
/** The eigenvalue of the largest size, its eigenvector in `vector`, and the size of the next in
 * *next. */
double matrix_eigenvalue(const struct matrix *s, double *vector, double *next);

#endif
