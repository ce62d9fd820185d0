/* Optimizer steps along the gradients of batches: one exact reduction a step, and with gradient
 * restriction a Hessian product and a second one. What every routine that trains is made of. */
#ifndef IAU_TRAIN_DESCENT_H
#define IAU_TRAIN_DESCENT_H

#include "sweep/sweep.h"
#include "train/optimizer.h"
#include "train/opts.h"

enum { DESCENT_MAX_TERMS = 2 };

struct descent {
    struct engine *engine;                      /* borrowed */
    struct optimizer *optimizer;                /* borrowed */
    float *w;                                   /* borrowed, [n_param + n_buffer]; moved */
    const struct restriction_opts *restriction; /* borrowed; for steps of one term; NULL: none */
    const uint8_t
        *mask; /* borrowed, [n_param]: 0 for parameters that stay as they are; NULL: none do */
    struct sums sums;
    float *g, *v; /* owned, [n_param + n_buffer] */
    double value[DESCENT_MAX_TERMS]
                [N_VALUE]; /* of the last step: sums over a term's batch of the
                              objective (VALUE_LOSS) and of hits (VALUE_CORRECT) */
};

/* A batch with its part in the gradient: weight x mean over its samples. */
struct descent_term {
    struct work work;
    int64_t n_samples; /* global */
    double weight;
    double until; /* the weight is 0 where the mean objective is more than this; 0: no bound */
};

/** Local. `d` has the borrowed members set. Room for steps of up to `n_term` terms; with
 * restriction, of up to `n_unit` units of this rank. @return IAU_OK or IAU_ERR_MEM; `d` is safe to
 * free */
int descent_init(struct descent *d, int n_term, int n_unit);
void descent_free(struct descent *d);
/** Collective. One step: w moves along SUM weight x mean gradient, and where batch norm
 * trains on the first term, buffers move towards its groups' statistics.
 *  @param what  for messages
 *  @param[in,out] word  added to the reduction, and its sum over the ranks afterwards
 *  @return IAU_OK, or as sweep_reduce; then nothing has moved */
int descent_step(struct descent *d, int n_term, const struct descent_term *term, double lr,
                 const char *what, int64_t *word);

#endif
