/* Loss gradients summed over the retained and the forgotten samples, in one reduction. */
#ifndef IAU_UNLEARN_SET_GRADIENTS_H
#define IAU_UNLEARN_SET_GRADIENTS_H

#include "unlearn/method.h"

/* If n_f <= n_r the retained sum is G(D) - G(D_f), whether G(D) comes from the origin's file or
 * from a sweep, so that both give the same bytes; otherwise D_r has its own sweep. */
struct set_gradients {
    const struct unlearn *u; /* borrowed */
    int want_retain;
    int main_is_all; /* the sweep beside D_f goes over D, not D_r */
    struct share main, forget_share;
    struct sums sums;
    double *retain, *forget;         /* owned, [n_param]: SUMs */
    int have_retain;                 /* `retain` is known */
    double loss_retain, loss_forget; /* means; NAN where unknown */
};

/** Collective. Load the samples. @param want_retain  the retained samples' sum is of interest
 *  @param once  set_gradients_at will be called once, at the origin: then the sum in the origin's
 * file does without the samples of D
 *  @return IAU_OK or an agreed error; `g` is safe to free */
int set_gradients_init(struct set_gradients *g, const struct unlearn *u, int want_retain, int once);
/** Collective. Both sums at w. @param at_origin  w is the origin
 *  @param what  for messages
 *  @param[in,out] word  added to the reduction, and its sum over the ranks afterwards; may be NULL
 */
int set_gradients_at(struct set_gradients *g, const float *w, int at_origin, const char *what,
                     int64_t *word);
void set_gradients_free(struct set_gradients *g);

#endif
