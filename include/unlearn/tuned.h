/* For methods that are passes of tuning. */
#ifndef IAU_UNLEARN_TUNED_H
#define IAU_UNLEARN_TUNED_H

#include "train/tuning.h"
#include "unlearn/method.h"

/** Tuning from the origin on by the method's own settings, one optimizer with zero state for all
 * passes; `pass` is borrowed. */
static inline struct tuning tuned(const struct unlearn *u, int n_pass, const struct pass *pass)
{
    return (struct tuning){.engine = u->engine,
                           .opts = &u->opts->tuning,
                           .unit = u->train->unit,
                           .seed = u->opts->seed,
                           .n_pass = n_pass,
                           .pass = pass,
                           .forget = &u->sets->forget,
                           .w = u->w,
                           .name = u->name,
                           .restart = u->restart,
                           .progress = u->progress};
}

#endif
