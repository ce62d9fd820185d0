/* Likelihood-ratio attacks from shadow models (LiRA; Carlini et al. 2022): how the margin of each
 * target (eval/margin.h) is distributed over models that were trained with it and over models that
 * were not, as Gaussians; and U-LiRA (Hayes et al. 2024), which asks the same of models that were
 * trained with a target and then made to forget it. Local, pure arithmetic, deterministic.
 *
 * Shadows come in pairs: 2j is trained with a random half of the targets, 2j + 1 with the other
 * half. So every target has as many models with as without it, and a pair left out takes one of
 * each: where there is nothing to tell, swapping the two of each pair changes nothing, and the
 * accuracy of U-LiRA's attack is 1/2 on average, exactly. */
#ifndef IAU_AUDIT_LIRA_H
#define IAU_AUDIT_LIRA_H

#include <stdint.h>

#include "eval/mia.h"

enum { LIRA_MIN_SHADOWS = 6, LIRA_POOLED_BELOW = 64 };

/* Variances of the Gaussians: of each target by itself, or pooled within targets: the mean over all
 * of their variances, which is steadier with few models. */
enum lira_variance { LIRA_VARIANCE_AUTO, LIRA_VARIANCE_SAMPLE, LIRA_VARIANCE_POOLED };

/* X(field, name in files) */
#define IAU_LIRA_LIST(X)                                                                      \
    X(LIRA_ONLINE, "lira_online")   /* log N(phi; with) - log N(phi; without) */              \
    X(LIRA_OFFLINE, "lira_offline") /* log of the normal distribution function at phi, models \
                                       without: one-sided, as in the paper */                 \
    X(LIRA_DENSITY, "lira_density") /* -log N(phi; without): two-sided, as in its code */

enum lira_attack {
#define X(field, name) field,
    IAU_LIRA_LIST(X)
#undef X
        N_LIRA
};

/* What shadow models say of the targets. */
struct lira_table {
    int64_t n_shadow; /* even, at least LIRA_MIN_SHADOWS */
    int64_t n_target;
    const double *margin;  /* borrowed, [n_shadow][n_target] */
    const uint8_t *member; /* borrowed, [n_shadow][n_target]: 1 where the target was trained with;
                              the two of a pair are opposites */
};

/* Gaussians of every target: [0] without it, [1] with it. */
struct lira_fit {
    int64_t n_target;
    double *mean[2], *variance[2]; /* owned, [n_target]; unbiased, and never below 1e-12 */
};

const char *lira_name(enum lira_attack a);
/** What `auto` means for so many shadows: pooled below LIRA_POOLED_BELOW. */
enum lira_variance lira_choose(enum lira_variance v, int64_t n_shadow);
/** Means (the centre is the mean, not the median) and variances. @return IAU_OK or IAU_ERR_MEM */
int lira_fit(struct lira_fit *f, const struct lira_table *t, enum lira_variance variance);
void lira_fit_free(struct lira_fit *f);
/** The score of target i, higher: more like a member, of a model in which it has the margin `phi`.
 */
double lira_score(const struct lira_fit *f, enum lira_attack a, int64_t i, double phi);

/* What U-LiRA finds. */
struct ulira_result {
    double accuracy;       /* over targets, pairs and both sides, ties half */
    struct mia_result roc; /* of all these decisions together; released by mia_free */
};

/** For every target and pair: the margin in the pair's model that was trained with the target, as
 * `with` has it, against the margin in the other, as `without` has it; each is judged by the
 * likelihood ratio of Gaussians fitted to the other pairs. @param with, without  [n_shadow]
 * [n_target]; t->margin is not used
 *  @return IAU_OK, IAU_ERR_NUMERIC or IAU_ERR_MEM */
int ulira_attack(struct ulira_result *r, const struct lira_table *t, const double *with,
                 const double *without, enum lira_variance variance);

#endif
