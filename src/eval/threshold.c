/* Thresholds by class: each is the best one of an attack on that class alone. */
#include "eval/threshold.h"

#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "eval/mia.h"

/* The scores of a class, after another; @return how many */
static int64_t pick_class(const struct scored *s, int32_t class, float *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (s->label[i] == class)
            out[n++] = s->score[i];
    return n;
}

static int best_threshold(const float *member, int64_t n_member, const float *other,
                          int64_t n_other, double *threshold)
{
    struct mia_result r;
    int rc = mia_attack(&r, member, n_member, other, n_other);
    if (rc == IAU_OK)
        *threshold = r.threshold;
    mia_free(&r);
    return rc;
}

/* [n_class] thresholds. */
static int learn(int n_class, const struct scored *member, const struct scored *other,
                 double *threshold)
{
    int rc = IAU_OK;
    double all;
    float *m = mem_alloc(member->n, sizeof *m), *o = mem_alloc(other->n, sizeof *o);
    if (!m || !o)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld scores", (long long)(member->n + other->n)));
    TRY(best_threshold(member->score, member->n, other->score, other->n, &all));
    for (int c = 0; c < n_class; c++) {
        int64_t n_member = pick_class(member, c, m), n_other = pick_class(other, c, o);
        threshold[c] = all;
        if (n_member && n_other)
            TRY(best_threshold(m, n_member, o, n_other, &threshold[c]));
    }
out:
    free(m);
    free(o);
    return rc;
}

static double share_called(const struct scored *s, const double *threshold)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        n += s->score[i] >= threshold[s->label[i]];
    return (double)n / (double)s->n;
}

int threshold_attack(struct threshold_result *r, int n_class, const struct scored *member,
                     const struct scored *other, const struct scored *target,
                     const struct scored *outsider)
{
    int rc = IAU_OK;
    double *threshold = mem_alloc(n_class, sizeof *threshold);
    if (!threshold)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %d thresholds", n_class));
    if (target->n < 1 || outsider->n < 1)
        TRY(FAIL(IAU_ERR_DATA,
                 "an attack needs samples on both sides, got %lld targets and %lld "
                 "outsiders",
                 (long long)target->n, (long long)outsider->n));
    TRY(learn(n_class, member, other, threshold));
    r->called_member = share_called(target, threshold);
    r->balanced_accuracy = (r->called_member + 1 - share_called(outsider, threshold)) / 2;
out:
    free(threshold);
    return rc;
}
