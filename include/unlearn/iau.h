/* Influence Approximation Unlearning (Liu, Wu, Lian and Chen, arXiv 2507.23257). Forgetting is
 * learning a negative sample: incremental approximation steps along -g(D_f), gradient correction
 * adds the retained samples' gradient, q = c g(D_r) - g(D_f), and an optimizer with zero state
 * takes the step theta <- theta - update(q). */
#ifndef IAU_UNLEARN_IAU_H
#define IAU_UNLEARN_IAU_H

#include "unlearn/method.h"

/** Collective. Take the steps; each is one sweep and one reduction over both sets. If n_f <= n_r
 * the retained sum is G(D) - G(D_f), whether G(D) comes from the cache or from the same sweep, so
 * both give the same bytes; otherwise D_r has its own sweep. Without correction nothing is summed
 * over D_r, and what is said of it is NAN. `o` has a history row a step, and is empty on error.
 * @return IAU_OK, IAU_STOPPED after a stop request with the restart file written and steps left to
 * do, or an agreed error */
int iau_run(struct outcome *o, const struct unlearn *u);

/** Local. q = weight * g_retain - g_forget in double, rounded once; norms, dot product and their
 * cosine by the way. */
struct iau_norms {
    double retain, forget, step, cosine;
};
struct iau_norms iau_combine(int64_t n, double weight, const double *retain, const double *forget,
                             float *q);

#endif
