/* The attack of Song and Mittal ("Systematic evaluation of privacy risks of machine learning
 * models", 2021): for each class a threshold on one score, learned where it is known who is a
 * member, and applied where it is not. Local, pure arithmetic, deterministic. */
#ifndef IAU_EVAL_THRESHOLD_H
#define IAU_EVAL_THRESHOLD_H

#include <stdint.h>

/* Samples of one kind; what is borrowed stays with the caller. */
struct scored {
    int64_t n;
    const float *score;   /* borrowed, [n]; higher: more like a member */
    const int32_t *label; /* borrowed, [n] */
};

struct threshold_result {
    double called_member;     /* share of the targets that are called members */
    double balanced_accuracy; /* (that + share of the outsiders that are not) / 2 */
};

/** Local. Thresholds that maximise (TPR + TNR) / 2 on `member` against `other`, the highest one of
 * equals, and none that anybody reaches where no threshold does better than guessing; a class that
 * is missing on a side takes the threshold of all classes together. Then `target` against
 * `outsider`.
 *  @return IAU_OK, IAU_ERR_DATA (a side is empty), IAU_ERR_NUMERIC or IAU_ERR_MEM */
int threshold_attack(struct threshold_result *r, int n_class, const struct scored *member,
                     const struct scored *other, const struct scored *target,
                     const struct scored *outsider);

#endif
