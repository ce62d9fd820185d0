/* Random labels: what random_label and salun share. */
#ifndef IAU_UNLEARN_RANDOM_LABEL_H
#define IAU_UNLEARN_RANDOM_LABEL_H

#include "unlearn/method.h"

/** Collective. Tune on the forgotten samples with labels drawn at random and on the retained ones
 * with their own. @param mask  [n_param], 0: stays as it is; NULL: all parameters move
 *  @return as a method's run */
int random_label_run(struct outcome *o, const struct unlearn *u, const uint8_t *mask);
/** Local. What that takes. */
struct unlearn_load random_label_load(const struct method_opts *o, const struct unlearn_sizes *n);

#endif
