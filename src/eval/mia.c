/* Threshold attacks: features of a softmax, and the ROC curve of a score by one walk down the
 * sorted values. */
#include "eval/mia.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

static const struct {
    const char *name;
    int sign;
} features[N_MIA_FEATURE] = {
#define X(field, name, sign) [field] = {name, sign},
    IAU_MIA_FEATURE_LIST(X)
#undef X
};

const char *mia_feature_name(enum mia_feature f)
{
    return features[f].name;
}

int mia_feature_sign(enum mia_feature f)
{
    return features[f].sign;
}

static const double clip = 1e-30;

static double log_of(double p)
{
    return log(p > clip ? p : clip);
}

/* log(1 - q), exact also where q is far below one unit in the last place of 1. */
static double log_of_rest(double q)
{
    return 1 - q > clip ? log1p(-q) : log(clip);
}

void mia_features(const float *p, int n_class, int stride, int label, float out[N_MIA_FEATURE])
{
    double p_y = p[(int64_t)label * stride];
    int best = 0;
    double entropy = -p_y * log_of(p_y), others = 0, modified = 0;
    for (int i = 0; i < n_class; i++) {
        double p_i = p[(int64_t)i * stride];
        best = p_i > p[(int64_t)best * stride] ? i : best;
        if (i == label)
            continue;
        others += p_i;
        entropy -= p_i * log_of(p_i);
        modified -= p_i * log_of_rest(p_i);
    }
    /* A float near 1 hides how sure the model is; the sum of the other probabilities still tells.
     */
    double loss = p_y > 0.5 ? -log_of_rest(others) : -log_of(p_y);
    out[MIA_CORRECTNESS] = (float)(best == label);
    out[MIA_CONFIDENCE] = (float)p_y;
    out[MIA_ENTROPY] = (float)entropy;
    out[MIA_MODIFIED_ENTROPY] = (float)(modified + others * loss);
    out[MIA_LOSS] = (float)loss;
}

static int compare_descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* A sorted copy; the caller frees *sorted. */
static int sort_scores(const float *score, int64_t n, const char *whose, float **sorted)
{
    for (int64_t i = 0; i < n; i++)
        if (isnan(score[i]))
            return FAIL(IAU_ERR_NUMERIC, "score %" PRId64 " of the %s is not a number", i, whose);
    *sorted = mem_alloc(n, sizeof **sorted);
    if (!*sorted)
        return FAIL(IAU_ERR_MEM, "no memory for %" PRId64 " scores", n);
    memcpy(*sorted, score, (size_t)n * sizeof **sorted);
    qsort(*sorted, (size_t)n, sizeof **sorted, compare_descending);
    return IAU_OK;
}

/* A point of the curve in counts: non-members and members at or above a threshold. */
struct corner {
    int64_t fp, tp;
};

/* Append a point; one that lies on the line from its neighbours is no corner and is replaced. */
static int64_t push_corner(struct corner *c, int64_t n, struct corner next)
{
    if (n >= 2) {
        struct corner a = c[n - 2], b = c[n - 1];
        if ((b.fp - a.fp) * (next.tp - b.tp) == (b.tp - a.tp) * (next.fp - b.fp))
            n--;
    }
    c[n] = next;
    return n + 1;
}

/* Figures that want the best threshold, at the point `at` of the walk. */
static void take_best(struct mia_result *r, int64_t *best, struct corner at, float score)
{
    int64_t gain = at.tp * r->n_other - at.fp * r->n_member;
    double tpr = (double)at.tp / (double)r->n_member;
    if (gain > *best) {
        *best = gain;
        r->threshold = score;
        r->balanced_accuracy = (1 + (double)gain / ((double)r->n_member * (double)r->n_other)) / 2;
    }
    if (at.fp * 100 <= r->n_other)
        r->tpr_at_fpr_1e2 = tpr;
    if (at.fp * 1000 <= r->n_other)
        r->tpr_at_fpr_1e3 = tpr;
}

/* Lower the threshold from score to score, equal scores at once. Counts are integers, so nothing is
 * rounded before the final quotients. @return the number of corners */
static int64_t walk_scores(struct mia_result *r, const float *member, const float *other,
                           struct corner *corner)
{
    struct corner at = {0, 0};
    int64_t n = push_corner(corner, 0, at), best = 0, twice_area = 0;
    while (at.tp < r->n_member || at.fp < r->n_other) {
        struct corner last = at;
        float score = at.fp == r->n_other || (at.tp < r->n_member && member[at.tp] > other[at.fp])
                          ? member[at.tp]
                          : other[at.fp];
        while (at.tp < r->n_member && member[at.tp] == score)
            at.tp++;
        while (at.fp < r->n_other && other[at.fp] == score)
            at.fp++;
        twice_area += (at.fp - last.fp) * (at.tp + last.tp);
        take_best(r, &best, at, score);
        n = push_corner(corner, n, at);
    }
    r->auc = (double)twice_area / 2 / ((double)r->n_member * (double)r->n_other);
    return n;
}

/* Keep the first half of the points as they are, where a small FPR is looked at on a log axis; thin
 * the rest evenly. */
static int keep_points(struct mia_result *r, const struct corner *corner, int64_t n)
{
    int64_t exact = n <= MIA_MAX_POINTS ? n : MIA_MAX_POINTS / 2;
    int64_t rest = n <= MIA_MAX_POINTS ? 0 : MIA_MAX_POINTS - exact;
    r->n_point = (int)(exact + rest);
    r->fpr = mem_alloc(r->n_point, sizeof *r->fpr);
    r->tpr = mem_alloc(r->n_point, sizeof *r->tpr);
    if (!r->fpr || !r->tpr)
        return FAIL(IAU_ERR_MEM, "no memory for %d points of a curve", r->n_point);
    for (int i = 0; i < r->n_point; i++) {
        int64_t k = i < exact ? i : exact - 1 + (i - exact + 1) * (n - exact) / rest;
        r->fpr[i] = (double)corner[k].fp / (double)r->n_other;
        r->tpr[i] = (double)corner[k].tp / (double)r->n_member;
    }
    return IAU_OK;
}

int mia_attack(struct mia_result *r, const float *member, int64_t n_member, const float *other,
               int64_t n_other)
{
    int rc = IAU_OK;
    float *sorted_member = NULL, *sorted_other = NULL;
    struct corner *corner = NULL;
    *r = (struct mia_result){
        .n_member = n_member, .n_other = n_other, .balanced_accuracy = 0.5, .threshold = INFINITY};
    if (n_member < 1 || n_other < 1)
        TRY(FAIL(IAU_ERR_DATA,
                 "an attack needs samples on both sides, got %" PRId64 " members and %" PRId64
                 " others",
                 n_member, n_other));
    TRY(sort_scores(member, n_member, "members", &sorted_member));
    TRY(sort_scores(other, n_other, "others", &sorted_other));
    corner = mem_alloc(n_member + n_other + 1, sizeof *corner);
    if (!corner)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %" PRId64 " points of a curve",
                 n_member + n_other + 1));
    TRY(keep_points(r, corner, walk_scores(r, sorted_member, sorted_other, corner)));
out:
    free(sorted_member);
    free(sorted_other);
    free(corner);
    if (rc != IAU_OK)
        mia_free(r);
    return rc;
}

void mia_free(struct mia_result *r)
{
    free(r->fpr);
    free(r->tpr);
    *r = (struct mia_result){0};
}
