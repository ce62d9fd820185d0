/* Learning rate by epoch. */
#ifndef IAU_TRAIN_SCHEDULE_H
#define IAU_TRAIN_SCHEDULE_H

#include "train/opts.h"

/** Local. The rate of epoch `epoch` (from 0) out of `epochs`, for a first rate of `lr`: constant;
 * dropped by `factor` every `every` epochs; or along half a cosine from lr to floor * lr. */
double schedule_rate(const struct schedule_opts *s, double lr, int64_t epoch, int64_t epochs);

#endif
