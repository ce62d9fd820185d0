/* What SISA's plan and its training share. */
#ifndef IAU_UNLEARN_SISA_PRIVATE_H
#define IAU_UNLEARN_SISA_PRIVATE_H

#include "train/opts.h"

/** Local. What a slice of a shard is trained with. */
struct train_opts sisa_train_opts(const struct train_opts *t, int64_t shard, int64_t slice);

#endif
