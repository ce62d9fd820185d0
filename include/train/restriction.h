/* Gradient restriction (IAU): the training loss gains alpha times the norm of the batch gradient g.
 * Its gradient is g + alpha H v with v = g / ||g||, per tensor or over all; H v is an exact
 * Hessian-vector product of the same batch (arXiv 2507.23257, gradient restriction). */
#ifndef IAU_TRAIN_RESTRICTION_H
#define IAU_TRAIN_RESTRICTION_H

#include "nn/model.h"
#include "train/opts.h"

/** Local. v = g / ||g||, per tensor or over the whole vector, 0 where the norm is 0. g must be the
 * global batch's mean gradient. @return the norm, or the sum of the tensors' norms: the restricted
 * loss's second term over alpha */
double restriction_direction(const struct model *m, enum restriction_norm norm, const float *g,
                             float *v);

#endif
