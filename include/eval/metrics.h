/* Figures of a model as they stand in results files: each says which way is good, what is ideal,
 * its unit, and, where models are compared with the retrained one, how far retrained models lie
 * apart. Local. */
#ifndef IAU_EVAL_METRICS_H
#define IAU_EVAL_METRICS_H

#include "io/record.h"

enum { METRIC_NAME_CHARS = 80 };

/* For a metric whose ideal is what the retrained model gets. */
extern const char metric_like_retrain[];

enum metric_kind {
    METRIC_PLAIN,
    METRIC_COMPARED, /* its distance from the retrained model's is a metric of its own, gap_NAME */
    METRIC_RELATIVE, /* it compares with the retrained model already */
    METRIC_GAP
};

struct metric {
    char name[METRIC_NAME_CHARS];
    double value;
    const char *direction; /* borrowed, static; like `unit` */
    double ideal;          /* NAN: the retrained model's value */
    const char *unit;
    enum metric_kind kind;
};

/* A list in order of their making. */
struct metrics {
    int n, room;
    struct metric *v; /* owned */
};

/** Append; a value of NAN means that it does not exist here, and nothing is appended. @return
 * IAU_OK or IAU_ERR_MEM */
int metrics_add(struct metrics *m, const char *name, double value, const char *direction,
                double ideal, const char *unit, enum metric_kind kind);
/** The retrained model's value becomes the ideal of all whose names begin so. */
void metrics_drop_ideals(struct metrics *m, const char *prefix);
/** Release; fine on an empty list. */
void metrics_free(struct metrics *m);
/** The value of a name, NAN if it is not there. */
double metrics_value(const struct metrics *m, const char *name);
/** Append gap_NAME = |value - the retrained model's| for the compared ones, and gap_average: the
 * mean of four, accuracy on D_f, D_r and test and AUC of the confidence attack (the field's
 * "average gap"). */
int metrics_add_gaps(struct metrics *m, const struct metrics *retrained);
/** The noise floor: the mean over all pairs of n retrained models of what is a gap between other
 * models and the first of them; of relative metrics, the mean over all but the first, with which
 * they compare. Empty for n < 2. @param[out] floor  gaps and relative metrics */
int metrics_floor(struct metrics *floor, const struct metrics *const *retrained, int n);
/** Add all under /evaluation/MODEL, with attributes direction, ideal, unit and, where `floor` has
 * the same name, noise_floor. */
int metrics_to_record(const struct metrics *m, const struct metrics *floor, const char *model,
                      struct record *r);

#endif
