/* A method of unlearning: from an origin's parameters to others, given who is to be forgotten. Each
 * is one file of its own formula on the shared sweeps and steps. In sums over sets and products
 * batch norm is frozen, so that they separate, and nothing is dropped; tuning has a mode. */
#ifndef IAU_UNLEARN_METHOD_H
#define IAU_UNLEARN_METHOD_H

#include "train/restart.h"
#include "train/trainer.h"
#include "unlearn/opts.h"
#include "unlearn/request.h"

/* What a method works with. */
struct unlearn {
    struct engine *engine;          /* borrowed */
    const struct method_opts *opts; /* borrowed */
    const struct train_opts *train; /* borrowed; what the origin was trained with */
    const struct partition *sets;   /* borrowed; forget and retain not empty */
    const float *w;                 /* the origin's parameters and buffers */
    const double *gradient_sum;     /* the origin's gradient sum over D at w, or NULL: not known */
    double loss_sum;                /* of the same sum, NAN if unknown */
    const char *name;               /* for messages and progress */
    struct restart *restart;   /* borrowed; NULL: no restart files, and nothing stops the run */
    struct progress *progress; /* borrowed */
};

/* Sizes that a method's work grows with. */
struct unlearn_sizes {
    int64_t train, retain, forget, valid;
    int n_class;
    int has_gradient_sum; /* the origin's file holds it */
};

/* Work of a method, for plans: samples read, and gradients. */
struct unlearn_load {
    double rows, gradients;
};

/* What a sample's forward pass and Hessian product count as, in gradients. */
#define LOAD_FORWARD (1 / 3.0)
#define LOAD_PRODUCT 2.0

struct method {
    /** One paragraph for people: the formula, where it is from, and where ours differs from it. */
    const char *help;
    /** Collective. `o` gets parameters, buffers and a history row an epoch or step; empty on error.
     *  @return IAU_OK, IAU_STOPPED (a restart file is written, or there is nothing to keep), or an
     * agreed error */
    int (*run)(struct outcome *o, const struct unlearn *u);
    /** Local. What it will take; NULL where a plan of its own knows (retrain, sisa). */
    struct unlearn_load (*load)(const struct method_opts *o, const struct unlearn_sizes *n);
    size_t strength; /* offset in struct method_opts of the number, a double above 0, that says how
                        far the method goes; 0: there is none */
    int counts_epochs;     /* its history has a row an epoch, not a step */
    int uses_gradient_sum; /* of the origin, where there is one */
};

/** The method of a name. Retraining, which starts from no origin, has no `run`. */
const struct method *method_of(enum method_name name);
/** Local. What an entry needs validation samples for, as the end of "no sample is left to ...";
 * NULL where it needs none. All these have one goal: that the loss on D_f be that on V. */
const char *method_valid_use(const struct method_opts *o);
/** Local. Is there a validation sample, if the entry needs one? @return IAU_OK or IAU_ERR_DATA */
int method_check_valid(const struct method_opts *o, int64_t n_valid, const char *name);

extern const struct method method_iau, method_curvature, method_finetune, method_ascent,
    method_neggrad_plus, method_random_label, method_scrub, method_salun, method_influence,
    method_fisher, method_ssd, method_sisa;

#endif
