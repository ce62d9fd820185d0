/* Threshold attacks against counting by hand, naive counting of pairs, and Python's figures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "eval/mia.h"
#include "harness.h"

/* The definitions, in O(n^2). */
static void attack_naively(struct mia_result *r, const float *m, int64_t n_m, const float *o,
                           int64_t n_o)
{
    double pairs = 0;
    r->balanced_accuracy = 0.5;
    r->tpr_at_fpr_1e2 = r->tpr_at_fpr_1e3 = 0;
    for (int64_t t = 0; t < n_m; t++) {
        int64_t tp = 0, fp = 0;
        for (int64_t i = 0; i < n_m; i++)
            tp += m[i] >= m[t];
        for (int64_t i = 0; i < n_o; i++) {
            fp += o[i] >= m[t];
            pairs += m[t] > o[i] ? 1 : m[t] == o[i] ? 0.5 : 0;
        }
        double tpr = (double)tp / (double)n_m, fpr = (double)fp / (double)n_o;
        r->balanced_accuracy = fmax(r->balanced_accuracy, (tpr + 1 - fpr) / 2);
        if (fpr <= 0.01)
            r->tpr_at_fpr_1e2 = fmax(r->tpr_at_fpr_1e2, tpr);
        if (fpr <= 0.001)
            r->tpr_at_fpr_1e3 = fmax(r->tpr_at_fpr_1e3, tpr);
    }
    r->auc = pairs / (double)n_m / (double)n_o;
}

/* Scores with shift, in `levels` equal steps so that there are ties; 0: no ties to speak of. */
static float *make_scores(int64_t n, uint64_t seed, float shift, int levels)
{
    struct rng rng = {.seed = seed, .purpose = RNG_INIT};
    float *s = mem_alloc(n, sizeof *s);
    for (int64_t i = 0; i < n; i++) {
        s[i] = rng_uniform(&rng, (uint64_t)i) + shift;
        if (levels)
            s[i] = floorf(s[i] * (float)levels) / (float)levels;
    }
    return s;
}

static void agrees_with_naive_counts(void)
{
    static const struct {
        int64_t n_m, n_o;
        int levels;
        float shift;
    } cases[] = {{1, 1, 0, 0},          {1, 50, 0, 0.2f},     {50, 1, 3, 0.2f},
                 {7, 13, 2, 0.1f},      {100, 100, 10, 0},    {99, 101, 0, 0.3f},
                 {300, 700, 40, -0.2f}, {400, 2000, 0, 0.1f}, {400, 2000, 500, 0.4f}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mia_result r, want;
        float *m = make_scores(cases[i].n_m, 2 * i, cases[i].shift, cases[i].levels);
        float *o = make_scores(cases[i].n_o, 2 * i + 1, 0, cases[i].levels);
        attack_naively(&want, m, cases[i].n_m, o, cases[i].n_o);
        CU_ASSERT_EQUAL(mia_attack(&r, m, cases[i].n_m, o, cases[i].n_o), IAU_OK);
        CU_ASSERT_DOUBLE_EQUAL(r.auc, want.auc, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(r.balanced_accuracy, want.balanced_accuracy, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(r.tpr_at_fpr_1e2, want.tpr_at_fpr_1e2, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(r.tpr_at_fpr_1e3, want.tpr_at_fpr_1e3, 1e-12);
        mia_free(&r);
        free(m);
        free(o);
    }
}

static void by_hand(void)
{
    /* Pairs won by members: 3 beats 2, 1 and 0; 2 beats 1 and 0 and ties once; 1 ties once and
     * beats 0. */
    static const float m[] = {1, 3, 2}, o[] = {0, 2, 1};
    struct mia_result r;
    CU_ASSERT_EQUAL(mia_attack(&r, m, 3, o, 3), IAU_OK);
    CU_ASSERT_DOUBLE_EQUAL(r.auc, 7.0 / 9, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(r.balanced_accuracy, 2.0 / 3, 1e-15);
    CU_ASSERT_EQUAL(r.threshold, 3);
    CU_ASSERT_DOUBLE_EQUAL(r.tpr_at_fpr_1e2, 1.0 / 3, 1e-15);
    /* (0,0) (0,1/3) (2/3,1) (1,1): the two middle steps lie on one line. */
    CU_ASSERT_EQUAL(r.n_point, 4);
    CU_ASSERT_DOUBLE_EQUAL(r.fpr[2], 2.0 / 3, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(r.tpr[1], 1.0 / 3, 1e-15);
    mia_free(&r);
}

static void perfect_reversed_and_no_separation(void)
{
    static const float high[] = {5, 6, 7, 8}, low[] = {1, 2, 3}, same[] = {2, 2, 2};
    struct mia_result r;
    CU_ASSERT_EQUAL(mia_attack(&r, high, 4, low, 3), IAU_OK);
    CU_ASSERT_TRUE(r.auc == 1 && r.balanced_accuracy == 1 && r.threshold == 5);
    CU_ASSERT_TRUE(r.tpr_at_fpr_1e2 == 1 && r.tpr_at_fpr_1e3 == 1);
    mia_free(&r);
    CU_ASSERT_EQUAL(mia_attack(&r, low, 3, high, 4), IAU_OK);
    CU_ASSERT_TRUE(r.auc == 0 && r.balanced_accuracy == 0.5 && isinf(r.threshold));
    CU_ASSERT_TRUE(r.tpr_at_fpr_1e2 == 0);
    mia_free(&r);
    CU_ASSERT_EQUAL(mia_attack(&r, same, 3, same, 2), IAU_OK);
    CU_ASSERT_TRUE(r.auc == 0.5 && r.balanced_accuracy == 0.5);
    CU_ASSERT_TRUE(r.n_point == 2 && r.fpr[1] == 1 && r.tpr[1] == 1);
    mia_free(&r);
    mia_free(&r);
}

/* 100 and 1,000 non-members are where one false alarm is just allowed. */
static void one_false_alarm_in_a_hundred_is_allowed(void)
{
    float member[] = {1}, other[1000] = {[7] = 2};
    struct mia_result r;
    CU_ASSERT_EQUAL(mia_attack(&r, member, 1, other, 99), IAU_OK);
    CU_ASSERT_EQUAL(r.tpr_at_fpr_1e2, 0);
    mia_free(&r);
    CU_ASSERT_EQUAL(mia_attack(&r, member, 1, other, 100), IAU_OK);
    CU_ASSERT_EQUAL(r.tpr_at_fpr_1e2, 1);
    CU_ASSERT_EQUAL(r.tpr_at_fpr_1e3, 0);
    mia_free(&r);
    CU_ASSERT_EQUAL(mia_attack(&r, member, 1, other, 1000), IAU_OK);
    CU_ASSERT_EQUAL(r.tpr_at_fpr_1e3, 1);
    mia_free(&r);
}

/* Area below the stored curve, by trapezoids. */
static double area(const struct mia_result *r)
{
    double sum = 0;
    for (int i = 1; i < r->n_point; i++)
        sum += (r->fpr[i] - r->fpr[i - 1]) * (r->tpr[i] + r->tpr[i - 1]) / 2;
    return sum;
}

static void curve_is_thinned_but_true(void)
{
    enum { N_M = 20000, N_O = 30000 };
    float *m = make_scores(N_M, 1, 0.1f, 0), *o = make_scores(N_O, 2, 0, 0);
    struct mia_result r;
    CU_ASSERT_EQUAL(mia_attack(&r, m, N_M, o, N_O), IAU_OK);
    CU_ASSERT_EQUAL(r.n_point, MIA_MAX_POINTS);
    CU_ASSERT_TRUE(r.fpr[0] == 0 && r.tpr[0] == 0);
    CU_ASSERT_TRUE(r.fpr[r.n_point - 1] == 1 && r.tpr[r.n_point - 1] == 1);
    int64_t wrong = 0;
    for (int i = 1; i < r.n_point; i++)
        wrong += r.fpr[i] < r.fpr[i - 1] || r.tpr[i] < r.tpr[i - 1];
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_DOUBLE_EQUAL(area(&r), r.auc, 1e-4);
    /* The low end is exact: neighbouring corners there differ by single samples on one axis. */
    for (int i = 1; i < 100; i++)
        wrong += r.fpr[i] != r.fpr[i - 1] && r.tpr[i] != r.tpr[i - 1];
    CU_ASSERT_EQUAL(wrong, 0);
    mia_free(&r);
    free(m);
    free(o);
}

static void order_of_the_samples_does_not_matter(void)
{
    enum { N = 500 };
    float *m = make_scores(N, 1, 0.1f, 30), *o = make_scores(N, 2, 0, 30);
    struct mia_result a, b;
    CU_ASSERT_EQUAL(mia_attack(&a, m, N, o, N), IAU_OK);
    for (int64_t i = 0; i < N / 2; i++) {
        float swap = m[i];
        m[i] = m[N - 1 - i];
        m[N - 1 - i] = swap;
    }
    CU_ASSERT_EQUAL(mia_attack(&b, m, N, o, N), IAU_OK);
    CU_ASSERT_TRUE(a.auc == b.auc && a.threshold == b.threshold && a.n_point == b.n_point);
    CU_ASSERT_EQUAL(memcmp(a.tpr, b.tpr, (size_t)a.n_point * sizeof *a.tpr), 0);
    mia_free(&a);
    mia_free(&b);
    free(m);
    free(o);
}

static void bad_scores_are_refused(void)
{
    static const float good[] = {1, 2}, bad[] = {1, NAN};
    struct mia_result r;
    harness_expect_error(mia_attack(&r, bad, 2, good, 2), IAU_ERR_NUMERIC,
                         "score 1 of the members is not a number");
    CU_ASSERT_PTR_NULL(r.fpr);
    harness_expect_error(mia_attack(&r, good, 2, bad, 2), IAU_ERR_NUMERIC,
                         "score 1 of the others is not a number");
    harness_expect_error(mia_attack(&r, good, 0, good, 2), IAU_ERR_DATA, "0 members and 2 others");
    harness_expect_error(mia_attack(&r, good, 2, good, 0), IAU_ERR_DATA, "2 members and 0 others");
    for (int k = 1; k <= 5; k++) {
        mem_fail_after(k);
        harness_expect_error(mia_attack(&r, good, 2, good, 2), IAU_ERR_MEM, "");
        mem_fail_after(0);
        CU_ASSERT_PTR_NULL(r.fpr);
    }
}

/* Of equal probabilities the first counts as the prediction, as accuracies have it. */
static void ties_go_to_the_first_class(void)
{
    static const float p[] = {0.2f, 0.4f, 0.4f};
    float f[N_MIA_FEATURE];
    for (int label = 0; label < 3; label++) {
        mia_features(p, 3, 1, label, f);
        CU_ASSERT_EQUAL(f[MIA_CORRECTNESS], label == 1);
    }
}

/* Two values only: the curve has one corner, and ties count half. */
static void an_attack_by_correctness(void)
{
    static const float member[] = {1, 1, 1, 0}, other[] = {1, 0, 0};
    struct mia_result r;
    CU_ASSERT_EQUAL(mia_attack(&r, member, 4, other, 3), IAU_OK);
    CU_ASSERT_DOUBLE_EQUAL(r.auc, (3 * 2 + 0.5 * (3 * 1 + 1 * 2)) / 12, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(r.balanced_accuracy, (3.0 / 4 + 2.0 / 3) / 2, 1e-15);
    CU_ASSERT_TRUE(r.threshold == 1 && r.n_point == 3);
    mia_free(&r);
}

/* Python, in double: p = (.7, .2, .1); entropy -sum p log p; modified entropy -(1-p_y) log p_y -
 * sum p_i log(1-p_i). */
static void features_match_their_formulas(void)
{
    static const float p[] = {0.7f, -1,   0.2f,
                              -1,   0.1f, -1}; /* stride 2: the -1 belong to another sample */
    float f[N_MIA_FEATURE];
    mia_features(p, 3, 2, 0, f);
    CU_ASSERT_EQUAL(f[MIA_CORRECTNESS], 1);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_CONFIDENCE], 0.7, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_ENTROPY], 0.8018185525433373, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_MODIFIED_ENTROPY], 0.16216724501024432, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_LOSS], 0.35667494393873245, 1e-6);
    mia_features(p, 3, 2, 2, f);
    CU_ASSERT_EQUAL(f[MIA_CORRECTNESS], 0);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_CONFIDENCE], 0.1, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_ENTROPY], 0.8018185525433373, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_MODIFIED_ENTROPY], 2.959736256985638, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_LOSS], 2.302585092994046, 1e-6);
}

static void features_of_certain_models_are_finite(void)
{
    static const float sure[] = {1, 0, 0}, nearly[] = {1, 1e-12f, 0};
    float f[N_MIA_FEATURE];
    mia_features(sure, 3, 1, 0, f);
    CU_ASSERT_TRUE(f[MIA_CONFIDENCE] == 1 && f[MIA_ENTROPY] == 0 && f[MIA_MODIFIED_ENTROPY] == 0 &&
                   f[MIA_LOSS] == 0);
    mia_features(sure, 3, 1, 1, f); /* sure, and wrong: both logarithms are cut at 1e-30 */
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_LOSS], 69.07755, 1e-4);
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_MODIFIED_ENTROPY], 2 * 69.07755, 2e-4);
    mia_features(nearly, 3, 1, 0, f); /* the loss tells what a float near 1 cannot */
    CU_ASSERT_DOUBLE_EQUAL(f[MIA_LOSS], 1e-12, 1e-18);
}

static void scores_point_towards_members(void)
{
    static const float member[] = {0.9f, 0.05f, 0.05f}, other[] = {0.4f, 0.45f, 0.15f};
    float a[N_MIA_FEATURE], b[N_MIA_FEATURE];
    mia_features(member, 3, 1, 0, a);
    mia_features(other, 3, 1, 0, b);
    for (enum mia_feature f = 0; f < N_MIA_FEATURE; f++)
        CU_ASSERT_TRUE((float)mia_feature_sign(f) * a[f] > (float)mia_feature_sign(f) * b[f]);
    CU_ASSERT_STRING_EQUAL(mia_feature_name(MIA_MODIFIED_ENTROPY), "modified_entropy");
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"agrees with naive counts", agrees_with_naive_counts},
        {"by hand", by_hand},
        {"perfect, reversed and no separation", perfect_reversed_and_no_separation},
        {"one false alarm in a hundred is allowed", one_false_alarm_in_a_hundred_is_allowed},
        {"curve is thinned but true", curve_is_thinned_but_true},
        {"order of the samples does not matter", order_of_the_samples_does_not_matter},
        {"bad scores are refused", bad_scores_are_refused},
        {"features match their formulas", features_match_their_formulas},
        {"ties go to the first class", ties_go_to_the_first_class},
        {"an attack by correctness", an_attack_by_correctness},
        {"features of certain models are finite", features_of_certain_models_are_finite},
        {"scores point towards members", scores_point_towards_members},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "mia", tests);
}
