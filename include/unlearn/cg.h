/* Conjugate gradients on products over a sample set (Hestenes and Stiefel 1952). Every rank holds
 * the same vectors and takes the same decisions; a product, with its one reduction, is all that an
 * iteration communicates, but for the stop word of a restart. */
#ifndef IAU_UNLEARN_CG_H
#define IAU_UNLEARN_CG_H

#include "sweep/product.h"
#include "train/restart.h"

struct cg_opts {
    double damping;          /* lambda; may be negative */
    double tolerance;        /* stop where ||r|| <= tolerance ||b|| */
    int64_t max_iterations;  /* products at most */
    struct restart *restart; /* borrowed; products are its steps. NULL: neither files nor stops */
    double relative_damping; /* if not 0: lambda is so many times b^T A b / b^T b, which the first
                                product tells, instead of `damping` */
};

/* What is in a restart file of conjugate gradients, and in no other. */
#define CG_PLACE "/cg/iterations"

enum cg_stop {
    CG_CONVERGED, /* the residual is small enough; also for b = 0 */
    CG_CURVATURE, /* p^T (A + lambda I) p <= 0: no minimum that way, x is where it was before */
    CG_LIMIT      /* max_iterations are done */
};

/* How it went. The history has a row a product: iteration, residual (||r|| / ||b|| after it),
 * curvature (p^T (A + lambda I) p / p^T p), length (of the step in units of p; 0 where the
 * curvature forbids one), seconds_s. */
struct cg_report {
    enum cg_stop stop;
    int64_t iterations; /* products computed */
    double residual;    /* ||b - (A + lambda I) x|| / ||b|| by the recurrence; 0 for b = 0 */
    double curvature;   /* of the last direction; NAN without one */
    double damping;     /* lambda */
    struct history history;
};

/** Collective. x [n_param] = an approximate solution of (A + lambda I) x = b, from x = 0; A is
 * symmetric. Vectors are float, as products are; dot products are double, in an order fixed by
 * their length. At the end the replicas of x are compared. With a restart file it goes on from
 * there, with the same bytes; b must be the same.
 *  @param b       [n_param], the same on every rank; not x
 *  @param[out] r  owned by the caller: cg_report_free
 *  @return IAU_OK whatever the reason for stopping; IAU_STOPPED; IAU_ERR_MEM, IAU_ERR_NUMERIC,
 * IAU_ERR_REPLICA, and what reading and writing restart files gives, agreed */
int cg_solve(struct product *a, const float *b, const struct cg_opts *opts, float *x,
             struct cg_report *r);
void cg_report_free(struct cg_report *r);
/** Local. The reason in words. */
const char *cg_stop_name(enum cg_stop stop);

#endif
