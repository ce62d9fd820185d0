/* Tuning: epochs of passes over sets from given parameters on, up or down an objective. Methods of
 * unlearning that train are lists of such passes. There is no validation and no best model: the
 * last parameters are the result. The mode is that of the settings; a side whose steps have no
 * group of samples that batch norm could train on is taken with frozen statistics in any mode. */
#ifndef IAU_TRAIN_TUNING_H
#define IAU_TRAIN_TUNING_H

#include "train/batches.h"
#include "train/restart.h"
#include "train/trainer.h"

enum { TUNING_MAX_PASSES = 2 };
/* Columns of the history. */
enum tuning_column {
    TUNING_EPOCH,
    TUNING_LOSS_RETAIN,
    TUNING_LOSS_FORGET,
    TUNING_LR,
    TUNING_DISTANCE,
    TUNING_SECONDS
};

/* A set's part in the steps of a pass. */
struct pass_side {
    const struct index_set *set; /* borrowed */
    int64_t batch;               /* samples a step */
    double weight;               /* of the batch's mean gradient; negative: ascend */
    double until; /* steps whose mean objective here is more are without this side; 0: no bound */
    const struct objective *objective; /* borrowed; NULL: cross-entropy */
};

/* Once over a set, in steps that a batch of a second set may join; the second set goes round as
 * often as it takes. */
struct pass {
    struct pass_side main;
    struct pass_side beside; /* without a set: none */
    int64_t epochs;          /* the pass is part of the first so many epochs only; 0: of all */
};

struct tuning {
    struct engine *engine;          /* borrowed */
    const struct tuning_opts *opts; /* borrowed */
    int64_t unit, seed;             /* of the order of samples */
    int n_pass;                     /* in this order, each epoch */
    const struct pass *pass;        /* borrowed */
    const struct index_set *forget; /* borrowed; losses over it have a column of their own */
    const float *w;                 /* borrowed, [n_param + n_buffer]: where to start */
    double average; /* the result is the mean of the parameters after this last share of all steps
                       (Izmailov et al., arXiv 1803.05407); 0: those after the last step */
    const uint8_t *mask; /* borrowed, [n_param], 0: stays as it is; NULL: all move */
    /** Collective, may be NULL. Before an epoch, for objectives that change. */
    void (*begin_epoch)(void *ctx, int64_t epoch);
    /** Collective, may be NULL. After an epoch, at w: set *enough to stop; the answer is the same
     * on every rank. */
    int (*end_epoch)(void *ctx, int64_t epoch, const float *w, int *enough);
    void *ctx;                 /* of these two */
    const char *name;          /* for messages and progress */
    struct restart *restart;   /* borrowed; NULL: no restart files, and nothing stops the run */
    struct progress *progress; /* borrowed */
};

/** Collective. `o` gets the parameters, with a history row an epoch: epoch, loss_retain,
 * loss_forget (means of the objective over the steps of `forget` and of all other sets, NAN without
 * any), lr, distance (||w - start||), seconds_s. Empty on error.
 *  @return IAU_OK, IAU_STOPPED after a stop request with the restart file written, or an agreed
 * error: IAU_ERR_NUMERIC, naming epoch and step, where the objective runs off */
int tuning_run(struct outcome *o, const struct tuning *t);

#endif
