/* The largest eigenvalue of a product over a sample set, by power iteration. */
#ifndef IAU_UNLEARN_POWER_H
#define IAU_UNLEARN_POWER_H

#include "sweep/product.h"
#include "train/history.h"

struct power_opts {
    int64_t seed;     /* of the start vector */
    double tolerance; /* stop where the Rayleigh quotient changes by no more than this share of
                         itself */
    int64_t max_iterations; /* products at most; at least 1 */
};

/* How it went. The history has a row a product: iteration, eigenvalue, change (as a share),
 * seconds_s. */
struct power_report {
    int converged; /* 0: stopped by max_iterations, as where two eigenvalues differ in sign alone */
    int64_t iterations; /* products computed */
    double eigenvalue;  /* of the largest absolute value, with its sign: the last Rayleigh quotient
                           v^T A v */
    double residual;    /* ||A v - eigenvalue v|| / |eigenvalue|; 0 for an eigenvalue of 0 */
    struct history history;
};

/** Collective. The replicas of v are compared at the end.
 *  @param[out] v  [n_param], the eigenvector, of length 1
 *  @param[out] r  owned by the caller: power_report_free
 *  @return IAU_OK, also where it did not converge; IAU_ERR_MEM, IAU_ERR_NUMERIC, IAU_ERR_REPLICA,
 * agreed */
int power_iterate(struct product *a, const struct power_opts *opts, float *v,
                  struct power_report *r);
void power_report_free(struct power_report *r);

#endif
