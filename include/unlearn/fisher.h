/* Fisher forgetting (Golatkar, Achille and Soatto, CVPR 2020): parameters are noised the more, the
 * less information about them the retained samples hold. */
#ifndef IAU_UNLEARN_FISHER_H
#define IAU_UNLEARN_FISHER_H

#include "nn/model.h"

/** Local. Variance of the noise of each parameter from the diagonal of Fisher's information, as the
 * authors' notebook has it: alpha / (F + 1e-8), the fraction at most 1e3, in the last layer 1e2;
 * of tensors with more dimensions than one the mean over dimension 1; times 10 in the last layer
 * and in one-dimensional tensors.
 *  @param[out] variance  [n_param]
 *  @return how many fractions were clipped */
int64_t fisher_variance(const struct model *m, const double *information, double alpha,
                        double *variance);

#endif
