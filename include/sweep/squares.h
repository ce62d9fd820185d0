/* Sums of squares of single samples' gradients over a share, on all ranks and threads: Fisher's
 * information and the importances of parameters. */
#ifndef IAU_SWEEP_SQUARES_H
#define IAU_SWEEP_SQUARES_H

#include "sweep/sweep.h"

/* Whose loss a sample's gradient is of. */
enum square_labels {
    SQUARES_TRUE,    /* that of its label */
    SQUARES_EXPECTED /* that of every label y, its square times the model's probability of y: labels
                        are integrated out, and have no say */
};

struct squares {
    struct engine *engine; /* borrowed */
    const char *what;      /* borrowed; for messages */
    struct sums sums;      /* owned: of a wide range, so in two halves */
    float *own;            /* owned, [n_thread][n_param]: of a unit */
    /* of the sweep that is under way */
    const float *w;
    const struct work *work;
    enum square_labels labels;
};

/** Local. @return IAU_OK or IAU_ERR_MEM; `s` is safe to free */
int squares_init(struct squares *s, struct engine *e, const char *what);
/** Local. Release; fine on an empty one. */
void squares_free(struct squares *s);
/** Collective. sum [n_param] = SUM over the samples of `share` of the squares at w, batch norm
 * frozen; the same bytes at any rank and thread count. A square may be up to 2^40; the resolution
 * of one unit's addend is below 1e-14. Costs a gradient a sample, or one a sample and class.
 *  @param[in,out] word  added to the reduction, and its sum over the ranks afterwards; may be NULL
 *  @return IAU_OK, or as sweep_reduce */
int squares_sum(struct squares *s, const float *w, const struct share *share,
                enum square_labels labels, int64_t *word, double *sum);

#endif
