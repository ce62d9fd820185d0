/* Settings of training: `train.*` and `checkpoint.*`. */
#ifndef IAU_TRAIN_OPTS_H
#define IAU_TRAIN_OPTS_H

#include <stdint.h>

#include "data/augment.h"

enum optimizer_name { OPTIMIZER_ADAM, OPTIMIZER_SGD };
enum schedule_name { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE };
enum restriction_norm { RESTRICTION_PER_TENSOR, RESTRICTION_GLOBAL };

struct optimizer_opts {
    enum optimizer_name name;
    double lr;
    double momentum;              /* sgd */
    double weight_decay;          /* L2, of the torch kind: added to the gradient */
    double beta1, beta2, epsilon; /* adam */
};

struct schedule_opts {
    enum schedule_name name;
    int64_t every; /* step: epochs between two drops */
    double factor; /* step: what a drop multiplies the rate by */
    double floor;  /* cosine: the last rate as a share of the first */
};

struct restriction_opts {
    double alpha; /* weight of the gradient norm in the loss; 0: off */
    enum restriction_norm norm;
};

/* How often a run leaves a restart file: `checkpoint.*`. */
struct checkpoint_opts {
    int64_t every_steps;  /* 0: not by steps */
    double every_seconds; /* 0: not by the clock */
    int64_t keep;         /* restart files of a model, the newest included */
};

/* What torch's modules do by their mode: in training, batch norm uses the statistics of groups of
 * samples, and dropout is active. */
enum tuning_mode { TUNING_EVAL, TUNING_TRAIN };

/* Epochs over given sets from given parameters on; of methods of unlearning. */
struct tuning_opts {
    enum tuning_mode mode;
    int64_t epochs;
    int64_t batch; /* samples of a step, out of each set that it takes some from */
    struct optimizer_opts optimizer;
    struct schedule_opts schedule;
};

struct train_opts {
    int64_t seed; /* initial weights and order of samples */
    int64_t epochs;
    int64_t batch;
    int64_t unit;     /* samples of one piece of work and of summation */
    int64_t patience; /* stop after this many epochs in a row below the best validation accuracy; 0:
                         never */
    int64_t shards, slices; /* an ensemble of so many models, each made in so many steps; 1 and 1:
                               one model */
    int gradient_sum;       /* store the training set's gradient sum in the model file */
    struct optimizer_opts optimizer;
    struct schedule_opts schedule;
    struct restriction_opts restriction;
    struct augment_opts augment;
};

/** Whether these settings make an ensemble. */
static inline int train_is_ensemble(const struct train_opts *t)
{
    return t->shards > 1;
}

#endif
