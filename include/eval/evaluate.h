/* What a model does on the retained, forgotten, validation and test sets, what attacks see, and how
 * far it is from the retrained model. */
#ifndef IAU_EVAL_EVALUATE_H
#define IAU_EVAL_EVALUATE_H

#include "eval/mia.h"
#include "io/record.h"
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
    double kl;        /* KL(p || p_reference) in nats, NAN without a reference */
    double agreement; /* share of samples on which model and reference predict the same class; NAN
                         without */
};

struct evaluation {
    struct set_result set[N_EVAL_SET];
    struct mia_result
        mia[N_MIA_FEATURE]; /* D_f against test; rank 0 only; empty if a set is empty */
    float *score[N_EVAL_SET]
                [N_MIA_FEATURE]; /* owned, [n] features in row order; rank 0 only, D_f and test */
    double distance_reference;   /* ||w - w_reference||, NAN without */
};

/** Collective. Evaluate parameters (and buffers) w on the four sets (any may be empty). @param
 * reference parameters to compare with (the retrained model), or NULL. `v` is empty on error. */
int evaluate_model(struct evaluation *v, struct engine *e,
                   const struct index_set *const set[N_EVAL_SET], const float *w,
                   const float *reference, const char *name);
void evaluation_free(struct evaluation *v);

/** Local, rank 0. Add all metrics under /evaluation/NAME, each with attributes direction, ideal and
 * unit, and the curves under /roc/NAME. @param retrained  the retrained model's evaluation for the
 * gaps, or NULL
 *  @param samples  also write per-sample features under /samples/NAME */
int evaluation_to_record(const struct evaluation *v, const struct evaluation *retrained,
                         const char *name, int samples, struct record *r);
/** Local. |a - b| of accuracy on D_f, D_r and test and of the confidence attack's AUC, averaged:
 * the field's "average gap" to the retrained model. */
double evaluation_gap(const struct evaluation *a, const struct evaluation *b);
const char *eval_set_name(enum eval_set s);

#endif
