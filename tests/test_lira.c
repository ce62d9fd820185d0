/* LiRA on Gaussians whose ROC curve is known, and U-LiRA where there is nothing to tell and where
 * there is something known. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/lira.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "harness.h"

static double normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    struct rng r = {seed, RNG_INIT, stream};
    uint32_t word[4];
    rng_words(&r, index, word);
    return sqrt(-2 * log((word[0] + 1.0) * 0x1p-32)) * cos(2 * M_PI * (word[1] * 0x1p-32));
}

static double distribution(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2);
}

/* Shadows in pairs of opposites: margins are level + shift x member + deviation x noise. */
struct synthetic {
    struct lira_table table;
    double *margin;
    uint8_t *member;
    double *level;
};

static void make(struct synthetic *s, uint64_t seed, int64_t n_shadow, int64_t n_target,
                 double shift, double deviation)
{
    s->margin = mem_alloc(n_shadow * n_target, sizeof *s->margin);
    s->member = mem_alloc(n_shadow * n_target, sizeof *s->member);
    s->level = mem_alloc(n_target, sizeof *s->level);
    for (int64_t i = 0; i < n_target; i++) {
        s->level[i] = 5 * normal(seed, 1, (uint64_t)i);
        for (int64_t k = 0; k < n_shadow; k++) {
            int64_t at = k * n_target + i;
            struct rng coin = {seed, RNG_ORDER, (uint64_t)k / 2};
            s->member[at] = (rng_uniform(&coin, (uint64_t)i) < 0.5f) == (k % 2 == 0);
            s->margin[at] = s->level[i] + shift * s->member[at] +
                            deviation * normal(seed, 2 + (uint64_t)k, (uint64_t)i);
        }
    }
    s->table = (struct lira_table){n_shadow, n_target, s->margin, s->member};
}

static void drop(struct synthetic *s)
{
    free(s->margin);
    free(s->member);
    free(s->level);
}

/* A model that was trained with the even targets. */
static void attack_model(const struct synthetic *s, enum lira_attack a, double shift,
                         double deviation, enum lira_variance variance, struct mia_result *r)
{
    struct lira_fit f;
    int64_t n = s->table.n_target, n_member = 0, n_other = 0;
    float *member = mem_alloc(n, sizeof *member), *other = mem_alloc(n, sizeof *other);
    CU_ASSERT_EQUAL(lira_fit(&f, &s->table, variance), IAU_OK);
    for (int64_t i = 0; i < n; i++) {
        double phi = s->level[i] + (i % 2 ? 0 : shift) + deviation * normal(77, 1000, (uint64_t)i);
        float score = (float)lira_score(&f, a, i, phi);
        *(i % 2 ? &other[n_other++] : &member[n_member++]) = score;
    }
    CU_ASSERT_EQUAL(mia_attack(r, member, n_member, other, n_other), IAU_OK);
    lira_fit_free(&f);
    free(member);
    free(other);
}

/* With known Gaussians the best test has TPR = Phi(Phi^-1(FPR) + d), so AUC = Phi(d / sqrt 2) and
 * balanced accuracy Phi(d / 2), d = shift / deviation. Many pooled shadows know them well. */
static void lira_reaches_the_known_roc(void)
{
    enum { SHADOWS = 64, TARGETS = 6000 };
    static const double d[] = {0, 0.5, 1.5};
    for (int k = 0; k < 3; k++) {
        struct synthetic s;
        make(&s, 10 + (uint64_t)k, SHADOWS, TARGETS, 2 * d[k], 2);
        for (int a = LIRA_ONLINE; a <= LIRA_OFFLINE; a++) {
            struct mia_result r;
            attack_model(&s, a, 2 * d[k], 2, LIRA_VARIANCE_POOLED, &r);
            if (a == LIRA_ONLINE && d[k] == 0) { /* the ratio is noise of the fits */
                CU_ASSERT_TRUE(fabs(r.auc - 0.5) < 5 * sqrt(1 / 6.0 / (TARGETS / 2)));
                mia_free(&r);
                continue;
            }
            /* Means are known to 1 / sqrt(32) of a deviation. */
            CU_ASSERT_TRUE(fabs(r.auc - distribution(d[k] / sqrt(2 * (1 + 1 / 32.0)))) <
                           5 * sqrt(1 / 6.0 / (TARGETS / 2)));
            CU_ASSERT_TRUE(fabs(r.balanced_accuracy - distribution(d[k] / 2)) < 0.03);
            if (d[k] == 1.5) /* Phi^-1(.01) = -2.326 */
                CU_ASSERT_TRUE(fabs(r.tpr_at_fpr_1e2 - distribution(-2.326 + d[k])) < 0.06);
            mia_free(&r);
        }
        drop(&s);
    }
}

/* A deviation to either side counts as strange in the two-sided form alone. */
static void one_side_and_two_sides(void)
{
    struct synthetic s;
    struct lira_fit f;
    make(&s, 3, 20, 5, 1, 1);
    CU_ASSERT_EQUAL(lira_fit(&f, &s.table, LIRA_VARIANCE_SAMPLE), IAU_OK);
    double mean = f.mean[0][0], last = -INFINITY;
    CU_ASSERT_DOUBLE_EQUAL(lira_score(&f, LIRA_DENSITY, 0, mean - 1),
                           lira_score(&f, LIRA_DENSITY, 0, mean + 1), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(lira_score(&f, LIRA_OFFLINE, 0, mean), log(0.5), 1e-12);
    for (double phi = mean - 300; phi < mean + 5; phi += 0.37) {
        double score = lira_score(&f, LIRA_OFFLINE, 0, phi);
        CU_ASSERT_TRUE(isfinite(score) && score > last);
        last = score;
    }
    lira_fit_free(&f);
    drop(&s);
}

static void few_shadows_are_pooled(void)
{
    CU_ASSERT_EQUAL(lira_choose(LIRA_VARIANCE_AUTO, 62), LIRA_VARIANCE_POOLED);
    CU_ASSERT_EQUAL(lira_choose(LIRA_VARIANCE_AUTO, 64), LIRA_VARIANCE_SAMPLE);
    CU_ASSERT_EQUAL(lira_choose(LIRA_VARIANCE_SAMPLE, 8), LIRA_VARIANCE_SAMPLE);
    struct synthetic s;
    struct lira_fit own, all, automatic;
    make(&s, 4, 12, 30, 1, 1);
    CU_ASSERT_EQUAL(lira_fit(&own, &s.table, LIRA_VARIANCE_SAMPLE), IAU_OK);
    CU_ASSERT_EQUAL(lira_fit(&all, &s.table, LIRA_VARIANCE_POOLED), IAU_OK);
    CU_ASSERT_EQUAL(lira_fit(&automatic, &s.table, LIRA_VARIANCE_AUTO), IAU_OK);
    double sum = 0;
    for (int64_t i = 0; i < 30; i++)
        sum += own.variance[1][i];
    for (int64_t i = 0; i < 30; i++) {
        CU_ASSERT_DOUBLE_EQUAL(all.variance[1][i], sum / 30, 1e-12);
        CU_ASSERT_EQUAL(all.variance[1][i], automatic.variance[1][i]);
        CU_ASSERT_EQUAL(all.mean[1][i], own.mean[1][i]);
    }
    lira_fit_free(&own);
    lira_fit_free(&all);
    lira_fit_free(&automatic);
    drop(&s);
}

/* Models that agree to the last digit give no infinities. */
static void equal_margins_have_a_least_variance(void)
{
    struct synthetic s;
    struct lira_fit f;
    struct ulira_result r;
    make(&s, 5, 8, 4, 0, 0);
    CU_ASSERT_EQUAL(lira_fit(&f, &s.table, LIRA_VARIANCE_SAMPLE), IAU_OK);
    for (int a = 0; a < N_LIRA; a++)
        CU_ASSERT_TRUE(isfinite(lira_score(&f, a, 0, s.level[0] + 3)));
    CU_ASSERT_EQUAL(lira_score(&f, LIRA_ONLINE, 0, s.level[0] + 3), 0);
    CU_ASSERT_EQUAL(ulira_attack(&r, &s.table, s.margin, s.margin, LIRA_VARIANCE_SAMPLE), IAU_OK);
    CU_ASSERT_EQUAL(r.accuracy, 0.5);
    CU_ASSERT_EQUAL(r.roc.auc, 0.5);
    mia_free(&r.roc);
    lira_fit_free(&f);
    drop(&s);
}

/* Where nothing tells the two sides apart, half of the decisions are right on average, also with
 * few shadows; leaving out one model instead of a pair would give .42 with 6 of them, and .473
 * pooled. */
static void ulira_is_fair(void)
{
    for (int64_t n_shadow = LIRA_MIN_SHADOWS; n_shadow <= 16; n_shadow += 10)
        for (int pooled = 0; pooled < 2; pooled++) {
            struct synthetic s;
            struct ulira_result r;
            make(&s, 6, n_shadow, 20000, 0, 1.5);
            CU_ASSERT_EQUAL(ulira_attack(&r, &s.table, s.margin, s.margin,
                                         pooled ? LIRA_VARIANCE_POOLED : LIRA_VARIANCE_SAMPLE),
                            IAU_OK);
            CU_ASSERT_TRUE(fabs(r.accuracy - 0.5) < 5 * 0.5 / sqrt(20000.0 * (double)n_shadow / 2));
            CU_ASSERT_TRUE(fabs(r.roc.auc - 0.5) < 0.01);
            mia_free(&r.roc);
            drop(&s);
        }
}

/* Accuracy Phi(d / 2) with known Gaussians; what is left of the shift after unlearning counts. */
static void ulira_finds_what_is_left(void)
{
    struct synthetic s;
    struct ulira_result r;
    enum { SHADOWS = 64, TARGETS = 2000 };
    make(&s, 7, SHADOWS, TARGETS, 2, 1);
    double *unlearned = mem_alloc(SHADOWS * TARGETS, sizeof *unlearned);
    for (int left = 0; left <= 2; left++) {
        for (int64_t i = 0; i < SHADOWS * TARGETS; i++)
            unlearned[i] = s.margin[i] - (s.member[i] ? 2 - left : 0);
        CU_ASSERT_EQUAL(ulira_attack(&r, &s.table, unlearned, s.margin, LIRA_VARIANCE_POOLED),
                        IAU_OK);
        CU_ASSERT_TRUE(fabs(r.accuracy - distribution(left / 2.0)) < 0.02);
        CU_ASSERT_TRUE(fabs(r.roc.auc - distribution(left / sqrt(2))) < 0.02);
        mia_free(&r.roc);
    }
    free(unlearned);
    drop(&s);
}

static void short_memory(void)
{
    struct synthetic s;
    make(&s, 8, 8, 5, 1, 1);
    int rc = IAU_ERR_MEM;
    for (int k = 1; k < 40 && rc != IAU_OK; k++) {
        struct lira_fit f;
        struct ulira_result r = {0};
        mem_fail_after(k);
        rc = lira_fit(&f, &s.table, LIRA_VARIANCE_AUTO);
        if (rc == IAU_OK)
            rc = ulira_attack(&r, &s.table, s.margin, s.margin, LIRA_VARIANCE_AUTO);
        mem_fail_after(0);
        if (rc != IAU_OK)
            harness_expect_error(rc, IAU_ERR_MEM, "no memory");
        lira_fit_free(&f);
        mia_free(&r.roc);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    drop(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"LiRA reaches the known ROC", lira_reaches_the_known_roc},
        {"one side and two sides", one_side_and_two_sides},
        {"few shadows are pooled", few_shadows_are_pooled},
        {"equal margins have a least variance", equal_margins_have_a_least_variance},
        {"U-LiRA is fair", ulira_is_fair},
        {"U-LiRA finds what is left", ulira_finds_what_is_left},
        {"short memory", short_memory},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "lira", tests);
}
