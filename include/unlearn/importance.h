/* Importances of parameters: squares of single samples' gradients at the origin, summed over sets,
 * with restart files between pieces of them, since for large models they take long. */
#ifndef IAU_UNLEARN_IMPORTANCE_H
#define IAU_UNLEARN_IMPORTANCE_H

#include "sweep/squares.h"
#include "unlearn/method.h"

enum { IMPORTANCE_MAX_SETS = 2 };

/** Collective. sum[i] [n_param] = SUM over the samples of set[i], none of which is empty, of the
 * squares of their gradients at u->w. @param sum  owned by the caller; overwritten
 *  @return IAU_OK, IAU_STOPPED with a restart file written, or an agreed error */
int importance_sums(const struct unlearn *u, enum square_labels labels, int n_set,
                    const struct index_set *const set[], double *const sum[]);

#endif
