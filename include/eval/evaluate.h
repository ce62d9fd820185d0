/* What a model does on the retained, forgotten, validation and test sets, what attacks see, and how
 * far it is from the retrained model. */
#ifndef IAU_EVAL_EVALUATE_H
#define IAU_EVAL_EVALUATE_H

#include "eval/ensemble.h"
#include "eval/metrics.h"
#include "eval/mia.h"
#include "eval/threshold.h"
#include "sweep/sweep.h"

/* X(field, name in files) */
#define IAU_SET_LIST(X)     \
    X(SET_RETAIN, "retain") \
    X(SET_FORGET, "forget") \
    X(SET_VALID, "valid")   \
    X(SET_TEST, "test")

enum eval_set {
#define X(field, name) field,
    IAU_SET_LIST(X)
#undef X
        N_EVAL_SET
};

/* Means over one set. */
struct set_result {
    int64_t n; /* 0: the set is empty, the means are NAN */
    double loss, accuracy;
    double accuracy_true; /* by the labels of the file, where forgotten samples were given wrong
                             ones; NAN elsewhere */
    double kl;            /* KL(p || p_reference) in nats, NAN without a reference */
    double js;        /* Jensen-Shannon divergence of the two in nats, at most ln 2; NAN without */
    double agreement; /* share of samples on which model and reference predict the same class; NAN
                         without */
};

struct evaluation {
    struct set_result set[N_EVAL_SET];
    struct mia_result
        mia[N_MIA_FEATURE]; /* D_f against test; rank 0 only; empty if a set is empty */
    struct threshold_result
        threshold[N_MIA_FEATURE]; /* learned on D_r against the outsiders, applied to D_f and test;
                                     rank 0 only; NAN if a set is empty */
    enum eval_set outsiders;      /* SET_VALID, or SET_TEST where that is empty */
    float *score[N_EVAL_SET]
                [N_MIA_FEATURE]; /* owned, [n] features in row order; rank 0 only, D_f and test */
    double distance_reference, norm_reference; /* ||w - w_reference||, ||w_reference||, NAN without
                                                */
};

/** Collective. Evaluate a model on the four sets (any may be empty). @param reference  what to
 * compare it with (the retrained model), or NULL. `v` is empty on error. */
int evaluate_model(struct evaluation *v, struct engine *e,
                   const struct index_set *const set[N_EVAL_SET], const struct ensemble *model,
                   const struct ensemble *reference, const char *name);
void evaluation_free(struct evaluation *v);

/** Local, rank 0. Append all figures but the gaps to the retrained model. @return IAU_OK or
 * IAU_ERR_MEM */
int evaluation_metrics(const struct evaluation *v, struct metrics *m);
/** Local, rank 0. Add the curves of the attacks under /roc/NAME; with `samples`, also the features
 * of samples under /samples/NAME. */
int evaluation_to_record(const struct evaluation *v, const char *name, int samples,
                         struct record *r);
/** Local. Add an attack's figures to the metrics as PREFIX_auc and so on, none where `a` is empty;
 * and its curve under /roc/NAME/ATTACK. */
int attack_metrics(const struct mia_result *a, const char *prefix, struct metrics *m);
int attack_to_record(const struct mia_result *a, const char *name, const char *attack,
                     struct record *r);
const char *eval_set_name(enum eval_set s);

#endif
