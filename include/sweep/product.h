/* Hessian- and Gauss-Newton-vector products over a sample set, on all ranks and threads, with one
 * reduction a product: what Newton steps, conjugate gradients and power iteration are made of. */
#ifndef IAU_SWEEP_PRODUCT_H
#define IAU_SWEEP_PRODUCT_H

#include "sweep/sweep.h"

enum product_kind {
    PRODUCT_HESSIAN,     /* second derivative of the mean loss; symmetric, of any sign */
    PRODUCT_GAUSS_NEWTON /* mean of J^T (diag p - p p^T) J; symmetric, never negative along any
                            direction */
};

/* A matrix that is known by its products: its kind, where it is taken, and the samples it is the
 * mean over. */
struct product {
    struct engine *engine; /* borrowed */
    enum product_kind kind;
    const float *w;    /* borrowed, [n_param]; may be changed between products */
    const char *what;  /* borrowed; for messages */
    struct work work;  /* of a share, which is borrowed */
    int64_t n_samples; /* global */
    struct sums sums;  /* owned */
    float *direction;  /* owned, [n_param]: v / ||v|| */
};

/** Collective. Prepare products over `share`, which must not be empty over all ranks. The engine's
 * workers get their tangent arrays where they have none. `p` is empty, and safe to free, on error.
 *  @return IAU_OK or IAU_ERR_MEM, agreed */
int product_init(struct product *p, struct engine *e, enum product_kind kind, const float *w,
                 const struct share *share, const char *what);
/** Local. Release; fine on an empty product. */
void product_free(struct product *p);
/** Collective. out [n_param] = A v, v the same on every rank; the same bytes on every rank, at any
 * rank and thread count. Units are multiplied by v / ||v|| and the exact sum is scaled back in
 * double, so that the fixed-point resolution does not depend on the length of v. Costs n_samples
 * Hessian products and as many gradients (Hessian) or forward passes (Gauss-Newton); v = 0 costs
 * nothing. `out` may be v.
 *  @return IAU_OK, or IAU_ERR_NUMERIC where an addend was not finite or too large */
int product_apply(struct product *p, const float *v, float *out);

#endif
