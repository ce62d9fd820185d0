/* Membership inference by thresholds: how well one number per sample tells members from
 * non-members. Features as in Song and Mittal; a ROC curve and its figures from two arrays of
 * scores. Local, pure arithmetic, deterministic. */
#ifndef IAU_EVAL_MIA_H
#define IAU_EVAL_MIA_H

#include <stdint.h>

/* X(field, name in files, sign): sign * feature is a score, higher for samples that look like
 * members. */
#define IAU_MIA_FEATURE_LIST(X)                                                                  \
    X(MIA_CORRECTNESS, "correctness", 1)            /* 1 where the label is predicted, else 0 */ \
    X(MIA_CONFIDENCE, "confidence", 1)              /* softmax probability of the true label */  \
    X(MIA_ENTROPY, "entropy", -1)                   /* of the softmax, in nats */                \
    X(MIA_MODIFIED_ENTROPY, "modified_entropy", -1) /* one that knows the true label */          \
    X(MIA_LOSS, "loss", -1)                         /* cross-entropy, in nats */

enum mia_feature {
#define X(field, name, sign) field,
    IAU_MIA_FEATURE_LIST(X)
#undef X
        N_MIA_FEATURE
};

enum { MIA_MAX_POINTS = 1000 };

/* What the best use of one score achieves: a sample is called a member where its score reaches a
 * threshold. */
struct mia_result {
    int64_t n_member, n_other;
    double auc;               /* chance that a member scores above a non-member; ties count half */
    double balanced_accuracy; /* (TPR + TNR) / 2 at the best threshold; at least .5 */
    double threshold;         /* that threshold; INFINITY where calling nobody a member is best */
    double tpr_at_fpr_1e2;    /* the most members found with at most 1 % of the non-members */
    double tpr_at_fpr_1e3;    /* the same at .1 %; below 1,000 non-members that means none */
    int n_point;              /* of the ROC curve, from (0, 0) to (1, 1) */
    double *fpr, *tpr;        /* owned; [n_point], ascending; corners, all where FPR is small */
};

/** Name of a feature in files. */
const char *mia_feature_name(enum mia_feature f);
/** 1 where members have the higher values, -1 where they have the lower ones. */
int mia_feature_sign(enum mia_feature f);
/** Features of one sample from its softmax: p[i * stride] is the probability of class i < n_class.
 *  Logarithms are taken of at least 1e-30. */
void mia_features(const float *p, int n_class, int stride, int label, float out[N_MIA_FEATURE]);
/** Attack: scores of members and of non-members, higher = more like a member. O(n log n).
 *  @param r  filled on success; empty, and safe to free, on error
 *  @return IAU_OK, IAU_ERR_DATA (one side is empty), IAU_ERR_NUMERIC (a score is not a
 *          number) or IAU_ERR_MEM */
int mia_attack(struct mia_result *r, const float *member, int64_t n_member, const float *other,
               int64_t n_other);
/** Release; fine on an empty `r`. */
void mia_free(struct mia_result *r);

#endif
