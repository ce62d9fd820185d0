/* A set of samples cut into the batches of epochs: this rank's units of each step. */
#ifndef IAU_TRAIN_BATCHES_H
#define IAU_TRAIN_BATCHES_H

#include "data/feed.h"
#include "sweep/sweep.h"
#include "train/opts.h"

/* How. */
struct batch_opts {
    int64_t batch, unit; /* samples of a step, and of a unit */
    int64_t seed;        /* of the order */
    struct augment_opts augment;
    enum norm_mode norm; /* of the steps */
    int drops;           /* where the model has dropout, it is active */
    int with_ids;        /* the objective draws labels */
};

struct batches {
    struct engine *engine; /* borrowed */
    struct shard_plan plan;
    struct feed feed;
    struct augment augment;
    enum norm_mode norm;
    int drops; /* in steps, features are dropped */
    struct dropout dropout;
};

/** Local. The cut of an epoch over `n` samples into steps; with `groups`, without units that are
 * too small for batch norm to train on.
 *  @param[out] left_out  samples that each epoch leaves out, therefore
 *  @return IAU_OK, or IAU_ERR_CONFIG, naming `name`, where nothing is left */
int batches_plan(struct shard_plan *plan, int64_t *left_out, const char *name, int groups,
                 const struct batch_opts *opts, int64_t n);
/** Local. Whether any of these units of `n` samples is large enough for batch norm to train on. */
int batches_have_groups(const struct batch_opts *opts, int64_t n);
/** Collective. Load, or get ready to stream, this rank's samples of `set`, which must outlive the
 * batches; says on rank 0 what is out of the ordinary. `b` must not move. With NORM_GROUP, units
 * smaller than batch norm needs are left out.
 *  @param name  for messages
 *  @return IAU_OK or an agreed error, with `b` safe to close */
int batches_open(struct batches *b, struct engine *e, const struct index_set *set,
                 const struct batch_opts *opts, const char *name);
/** Local. This rank's units of a step, to be pulled by `objective` (NULL: cross-entropy); steps
 * come one after another, from any one on. None where their samples cannot be read, which the
 * step's reduction tells everybody. */
struct work batches_work(struct batches *b, int64_t epoch, int64_t step,
                         const struct objective *objective);
/** Local. Release; fine on empty or closed batches. */
void batches_close(struct batches *b);

#endif
