/* The margin of a sample: phi = log p_y - log SUM_{j != y} p_j, which is normal enough over models
 * for likelihood-ratio attacks (Carlini et al., "Membership inference attacks from first
 * principles", 2022). */
#ifndef IAU_EVAL_MARGIN_H
#define IAU_EVAL_MARGIN_H

#include "sweep/sweep.h"

/** Local. phi of one sample from its logits, z[i * stride] for class i < n_class: by log-sum-exp in
 * double, so that it is finite where a probability rounds to 1 or to 0. */
double margin_of(const float *z, int n_class, int stride, int label);
/** Collective. The margins of all samples of a set at w, in row order; booked as evaluation.
 *  @param[out] margin  on rank 0 room for set->n; ignored elsewhere
 *  @return as collect_run */
int margin_collect(struct engine *e, const float *w, const struct index_set *set, const char *name,
                   double *margin);

#endif
