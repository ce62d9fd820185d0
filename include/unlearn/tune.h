/* The strength of a method, found without a retrained model: forgotten samples should be as
 * unexpected as held-out ones, and these no more than before. */
#ifndef IAU_UNLEARN_TUNE_H
#define IAU_UNLEARN_TUNE_H

#include "unlearn/method.h"

/** Collective. Run the method at `u->opts->tune` strengths and keep the one with the least
 *
 *     |loss(D_f) - loss(V)| + max(0, loss(V) - loss(V) at the origin)
 *
 * in nats, mean losses over all forgotten and all validation samples: about what retraining comes
 * to where the forgotten samples are like the others. It is not for whole classes or wrong labels
 * (forget.classes, forget.poison), on which a retrained model's loss is higher: strengths come out
 * too small there. The first five strengths are spread evenly, in logarithms, from the method's own
 * divided by `u->opts->tune_range` to that times it, and fewer lie around its own; golden-section
 * search between the neighbours of the best, or from it to its one neighbour, follows. A trial that
 * runs off counts as the worst. `o` gets the kept trial's outcome, with a history of the trials,
 * and the work of all others as o->search; the engine's cost grows by that of the kept one alone. A
 * request to stop is obeyed between two trials, and the search then begins anew.
 *
 * Column accuracy_test of the trials is for reports alone: the search never uses it, and no cost or
 * second of it is booked; the samples do take memory. It is NAN without test samples, and where a
 * trial runs off.
 * @return as the method's run; IAU_ERR_NUMERIC where every trial runs off */
int tune_run(struct outcome *o, const struct unlearn *u, const struct method *m);

#endif
