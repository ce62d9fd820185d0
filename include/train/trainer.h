/* Training: mini-batches from virtual shards, one exact reduction a step (two with gradient
 * restriction), validation, early stopping, the best model kept, and a restart at any step. */
#ifndef IAU_TRAIN_TRAINER_H
#define IAU_TRAIN_TRAINER_H

#include "data/split.h"
#include "sweep/sweep.h"
#include "train/batches.h"
#include "train/history.h"
#include "train/opts.h"
#include "train/progress.h"
#include "train/restart.h"

/* What a training or unlearning run leaves behind. */
struct outcome {
    float *w;             /* owned, [n_param + n_buffer] */
    double *gradient_sum; /* owned, [n_param]: SUM of the loss gradients over the training set at w;
                             or NULL */
    double loss_sum;      /* of the losses over the same samples */
    struct history history; /* a row an epoch or step */
    struct history
        trials; /* a row a strength that was tried for a method; without rows where none was */
    struct cost search; /* of the trials that were not kept */
};

struct trainer {
    struct engine *engine;         /* borrowed; its model, data set and communicator are used */
    const struct train_opts *opts; /* borrowed */
    const struct index_set *train; /* borrowed; the set to train on */
    const struct index_set
        *valid; /* borrowed; may be empty: then no early stopping, and the last model is kept */
    const float *start; /* borrowed, [n_param + n_buffer]; NULL: the initial state of opts->seed */
    const char *name;   /* for messages and progress */
    struct restart *restart;   /* borrowed; NULL: no restart files, and nothing stops the run */
    struct progress *progress; /* borrowed */
};

/* Columns of a training run's history, NULL-terminated. */
extern const char *const trainer_columns[];

/** Collective. Train as described by `t`. `o` is empty on error.
 *  @return IAU_OK, IAU_STOPPED after a stop request with the restart file written, or an agreed
 * error */
int trainer_run(struct outcome *o, const struct trainer *t);
/** Local. How a training set is cut into batches by these settings. */
struct batch_opts trainer_batch_opts(const struct train_opts *opts);
/** Local. Release; fine on an empty outcome. */
void outcome_free(struct outcome *o);
/** Collective. SUM of gradients at w over a set, in double, into sum [n_param], and of the losses.
 */
int trainer_gradient_sum(struct engine *e, const float *w, const struct index_set *set, double *sum,
                         double *loss_sum);

#endif
