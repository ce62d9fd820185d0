/* What the samples of a step pull the model towards: the labels they have, other labels, or what a
 * teacher says. Local. */
#ifndef IAU_SWEEP_OBJECTIVE_H
#define IAU_SWEEP_OBJECTIVE_H

#include <stdint.h>

#include "nn/model.h"

/* Labels drawn at random, uniform over the classes, keyed by (seed, epoch, stable id of the
 * sample). */
struct relabel {
    uint64_t seed;
    int64_t epoch;       /* to be changed where labels are drawn anew each epoch */
    int exclude_true;    /* never the true label */
    int64_t n_only;      /* only of the samples with these ids, ascending; 0: of all */
    const int64_t *only; /* borrowed */
};

/* The objective is label x cross-entropy + teacher x T^2 KL(teacher || model) a sample, both
 * softmaxes of the second at the temperature T. */
struct objective {
    double label;
    double teacher, temperature;
    const float *teacher_w;        /* borrowed, [n_param + n_buffer]; where teacher is not 0 */
    const struct relabel *relabel; /* borrowed; NULL: the labels of the file */
};

/** Draw labels only for the samples with these n ids, which are put in order and stay borrowed. */
void relabel_only(struct relabel *r, int64_t *id, int64_t n);
/** The label of a sample with the stable id `id` and the true label `label`. */
int32_t relabel_draw(const struct relabel *r, int64_t id, int32_t label, int n_class);
/** Forward pass at w, and the objective's gradient by the logits in the top node's da. Labels must
 * have been drawn. @param logits [3][n_class][lanes], workspace, where there is a teacher
 *  @return the objective, summed over the unit's samples */
double objective_forward(const struct objective *o, const struct model *m, const float *w,
                         struct unit *u, float *logits);

#endif
