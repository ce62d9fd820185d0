/* The state of a training run: what a restart file holds, and the memory around it. Private to the
 * trainer. */
#ifndef IAU_TRAIN_STATE_H
#define IAU_TRAIN_STATE_H

#include "train/batches.h"
#include "train/descent.h"
#include "train/optimizer.h"
#include "train/trainer.h"

/* All that training depends on beside settings and data; the same on every rank. Random numbers are
 * addressed by seed and epoch, so there is no generator to save. */
struct train_state {
    float *w, *best; /* owned, [n_param + n_buffer] */
    struct optimizer optimizer;
    int64_t epoch, step;       /* to be done next */
    int64_t best_epoch, worse; /* epochs in a row below the best */
    double best_accuracy;
    double loss_sum; /* of the epoch so far */
    int64_t correct, n_seen;
    double epoch_s; /* seconds of this epoch before a restart */
    struct history history;
};

struct training {
    const struct trainer *trainer; /* borrowed */
    struct train_state state;
    struct batches batches; /* of the training set */
    struct descent descent;
    struct share valid;
    double run_start_s, epoch_start_s;
    int64_t first_step; /* of this process, counted over epochs */
};

/** Collective. Allocate, load this rank's samples, and start anew or from the restart file. */
int training_init(struct training *s);
void training_free(struct training *s);
/** Local. Release the training and validation samples. */
void training_release_samples(struct training *s);
/** Local. Steps done since the first epoch began. */
int64_t training_steps(const struct training *s);
/** Collective. Write a restart file where the stop word of a step says so. @return as restart_obey
 */
int training_obey(struct training *s, int64_t word);
/** Local. Move on to the next epoch's first step. */
void state_next_epoch(struct train_state *s);

#endif
