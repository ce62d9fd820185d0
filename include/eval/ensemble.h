/* Several models of one architecture that answer as one; a single model is the usual case. */
#ifndef IAU_EVAL_ENSEMBLE_H
#define IAU_EVAL_ENSEMBLE_H

#include "eval/opts.h"
#include "nn/model.h"

struct ensemble {
    int n;
    const float *w; /* borrowed; parameters and buffers of model k at w + k * stride */
    int64_t stride;
    enum aggregate rule; /* for n > 1 */
};

/** Local. The forward passes of all models over a unit; u->p is then the aggregate, as
 * probabilities in every use but that votes give many zeros, and u->loss its cross-entropy, with
 * logarithms of at least 1e-30 for n > 1. A model votes for its most probable class, the first of
 * equal ones; so does whoever reads u->p where votes are equal. @param total  [n_class][lanes],
 * workspace */
void ensemble_forward(const struct ensemble *e, const struct model *m, struct unit *u,
                      float *total);
/** Local. Euclidean distance of all parameters of two ensembles, and the norm of the second's; NAN
 * where one has more models. */
void ensemble_distance(const struct ensemble *e, const struct ensemble *reference, int64_t n_param,
                       double *distance, double *norm);

#endif
