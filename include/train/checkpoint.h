/* Parameters and costs in records: the common part of model and restart files. Local; rank 0
 * writes. */
#ifndef IAU_TRAIN_CHECKPOINT_H
#define IAU_TRAIN_CHECKPOINT_H

#include "io/record.h"
#include "nn/model.h"
#include "sweep/sweep.h"

/** Add a flat vector as PREFIX/<torch name> float32 in torch shapes. */
int checkpoint_add_floats(struct record *r, const struct model *m, const char *prefix,
                          const float *w);
/** The same for doubles, float64. */
int checkpoint_add_doubles(struct record *r, const struct model *m, const char *prefix,
                           const double *w);
/** Fill a flat vector from PREFIX/<torch name>; IAU_ERR_DATA, naming `path` and the tensor, where
 * one is missing or of another shape. */
int checkpoint_get_floats(const struct record *r, const char *path, const struct model *m,
                          const char *prefix, float *w);
int checkpoint_get_doubles(const struct record *r, const char *path, const struct model *m,
                           const char *prefix, double *w);
/** The buffers of a flat vector as PREFIX/<torch name>, float32 or, for numbers, int64; and back.
 */
int checkpoint_add_buffers(struct record *r, const struct model *m, const char *prefix,
                           const float *w);
int checkpoint_get_buffers(const struct record *r, const char *path, const struct model *m,
                           const char *prefix, float *w);
/** Counters and seconds as scalars under PREFIX, for a restart; and back from the file `path`,
 * added to `c`. The seconds of earlier runs are those of rank 0, which writes; after a restart
 * every rank takes them for its own, so that of what was before it minimum, mean and maximum over
 * the ranks are the same. */
int checkpoint_add_cost(struct record *r, const char *prefix, const struct cost *c);
int checkpoint_get_cost(const struct record *r, const char *path, const char *prefix,
                        struct cost *c);

#endif
