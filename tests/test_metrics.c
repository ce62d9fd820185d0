/* Lists of metrics: gaps, the noise floor of several retrained models, and what stands in files;
 * and thresholds by class, by hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "eval/metrics.h"
#include "eval/threshold.h"
#include "harness.h"

/* A model of which only these are known. */
static struct metrics model(double forget, double retain, double test, double auc, double kl)
{
    struct metrics m = {0};
    const struct {
        const char *name;
        double value;
        enum metric_kind kind;
    } all[] = {
        {"accuracy_forget", forget, METRIC_COMPARED}, {"accuracy_retain", retain, METRIC_COMPARED},
        {"accuracy_test", test, METRIC_COMPARED},     {"mia_confidence_auc", auc, METRIC_COMPARED},
        {"kl_retrain_test", kl, METRIC_RELATIVE},     {"loss_test", 1, METRIC_PLAIN}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        CU_ASSERT_EQUAL(metrics_add(&m, all[i].name, all[i].value, metric_like_retrain, NAN,
                                    "share", all[i].kind),
                        IAU_OK);
    return m;
}

static void gaps_are_distances_from_the_retrained_model(void)
{
    struct metrics m = model(0.9, 0.7, 0.6, 0.6, 0.3), twin = model(0.5, 0.9, 0.6, 0.5, 0);
    CU_ASSERT_EQUAL(metrics_add_gaps(&m, &twin), IAU_OK);
    CU_ASSERT_EQUAL(m.n, 6 + 4 + 1);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&m, "gap_accuracy_forget"), 0.4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&m, "gap_accuracy_retain"), 0.2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&m, "gap_mia_confidence_auc"), 0.1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&m, "gap_average"), (0.4 + 0.2 + 0 + 0.1) / 4, 1e-12);
    CU_ASSERT_TRUE(isnan(metrics_value(&m, "gap_loss_test")));
    CU_ASSERT_TRUE(isnan(metrics_value(&m, "gap_kl_retrain_test")));
    metrics_free(&m);
    metrics_free(&twin);
    metrics_free(&twin);
}

/* Without a test set there is no attack, and no average of four. */
static void what_does_not_exist_is_left_out(void)
{
    struct metrics m = model(0.9, 0.7, NAN, NAN, NAN), twin = model(0.5, 0.9, NAN, NAN, NAN);
    CU_ASSERT_EQUAL(m.n, 3);
    CU_ASSERT_EQUAL(metrics_add_gaps(&m, &twin), IAU_OK);
    CU_ASSERT_EQUAL(m.n, 3 + 2);
    metrics_free(&m);
    metrics_free(&twin);
}

static void the_floor_is_a_mean_over_pairs(void)
{
    struct metrics a = model(0.5, 0.9, 0.6, 0.5, 0), b = model(0.6, 0.9, 0.5, 0.52, 0.1),
                   c = model(0.3, 0.8, 0.6, 0.5, 0.3), floor;
    const struct metrics *const all[] = {&a, &b, &c};
    CU_ASSERT_EQUAL(metrics_floor(&floor, all, 3), IAU_OK);
    CU_ASSERT_EQUAL(floor.n, 4 + 1 + 1);
    double forget = (0.1 + 0.2 + 0.3) / 3, retain = (0 + 0.1 + 0.1) / 3, test = (0.1 + 0 + 0.1) / 3,
           auc = (0.02 + 0 + 0.02) / 3;
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&floor, "gap_accuracy_forget"), forget, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&floor, "gap_accuracy_retain"), retain, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&floor, "gap_accuracy_test"), test, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&floor, "gap_mia_confidence_auc"), auc, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&floor, "gap_average"), (forget + retain + test + auc) / 4,
                           1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics_value(&floor, "kl_retrain_test"), 0.2, 1e-12);
    metrics_free(&floor);
    CU_ASSERT_EQUAL(metrics_floor(&floor, all, 1), IAU_OK);
    CU_ASSERT_EQUAL(floor.n, 0);
    metrics_free(&a);
    metrics_free(&b);
    metrics_free(&c);
}

static void files_say_what_numbers_mean(void)
{
    struct metrics a = model(0.5, 0.9, 0.6, 0.5, 0), b = model(0.6, 0.9, 0.5, 0.52, 0.1), floor;
    const struct metrics *const twins[] = {&a, &b};
    struct record r = {0};
    CU_ASSERT_EQUAL(metrics_floor(&floor, twins, 2), IAU_OK);
    CU_ASSERT_EQUAL(metrics_add_gaps(&b, &a), IAU_OK);
    CU_ASSERT_EQUAL(metrics_to_record(&b, &floor, "iau", &r), IAU_OK);
    const struct record_attribute *noise =
        record_attribute_find(&r, "/evaluation/iau/gap_accuracy_test", "noise_floor");
    CU_ASSERT_TRUE(noise && fabs(noise->f64 - 0.1) < 1e-12);
    noise = record_attribute_find(&r, "/evaluation/iau/kl_retrain_test", "noise_floor");
    CU_ASSERT_TRUE(noise && fabs(noise->f64 - 0.1) < 1e-12);
    CU_ASSERT_PTR_NULL(record_attribute_find(&r, "/evaluation/iau/loss_test", "noise_floor"));
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/evaluation/iau/gap_average", "direction", ""),
                           "lower");
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/evaluation/iau/loss_test", "ideal", ""),
                           "the retrained model's value");
    record_free(&r);
    metrics_free(&a);
    metrics_free(&b);
    metrics_free(&floor);
}

static void an_ideal_that_is_none_is_dropped(void)
{
    struct metrics m = {0};
    const char *const name[] = {"mia_loss_auc", "lira_online_auc", "accuracy_test"};
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(
            metrics_add(&m, name[i], 0.7, "closer to ideal", 0.5, "share", METRIC_PLAIN), IAU_OK);
    metrics_drop_ideals(&m, "lira_");
    CU_ASSERT_EQUAL(m.v[0].ideal, 0.5);
    CU_ASSERT_TRUE(isnan(m.v[1].ideal));
    CU_ASSERT_STRING_EQUAL(m.v[1].direction, metric_like_retrain);
    CU_ASSERT_EQUAL(m.v[2].ideal, 0.5);
    metrics_free(&m);
}

/* Class 0 is told apart at 0.5, class 1 at 0.9, and of class 2 no non-member is known. */
static void thresholds_by_class(void)
{
    static const float member[] = {0.5f, 0.7f, 0.9f, 0.95f, 0.1f},
                       other[] = {0.4f, 0.2f, 0.8f, 0.6f},
                       target[] = {0.5f, 0.45f, 0.85f, 0.92f, 0.9f, 0.3f},
                       outsider[] = {0.6f, 0.1f, 0.85f};
    static const int32_t member_label[] = {0, 0, 1, 1, 2}, other_label[] = {0, 0, 1, 1},
                         target_label[] = {0, 0, 1, 1, 2, 2}, outsider_label[] = {0, 0, 1};
    struct scored m = {5, member, member_label}, o = {4, other, other_label},
                  t = {6, target, target_label}, u = {3, outsider, outsider_label}, none = {0};
    struct threshold_result r;
    CU_ASSERT_EQUAL(threshold_attack(&r, 3, &m, &o, &t, &u), IAU_OK);
    /* All classes together: 0.9 finds 2 of 5 and no other. */
    CU_ASSERT_DOUBLE_EQUAL(r.called_member, 3.0 / 6, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(r.balanced_accuracy, (3.0 / 6 + 2.0 / 3) / 2, 1e-15);
    harness_expect_error(threshold_attack(&r, 3, &m, &none, &t, &u), IAU_ERR_DATA,
                         "5 members and 0 others");
    harness_expect_error(threshold_attack(&r, 3, &m, &o, &none, &u), IAU_ERR_DATA,
                         "0 targets and 3 outsiders");
    for (int k = 1; k <= 20; k++) {
        mem_fail_after(k);
        int rc = threshold_attack(&r, 3, &m, &o, &t, &u);
        mem_fail_after(0);
        if (rc == IAU_OK)
            break;
        harness_expect_error(rc, IAU_ERR_MEM, "no memory");
    }
}

/* Nobody is called a member where members look less like members than others do. */
static void no_threshold_where_none_helps(void)
{
    static const float low[] = {1, 2}, high[] = {3, 4};
    static const int32_t label[] = {0, 0};
    struct scored m = {2, low, label}, o = {2, high, label};
    struct threshold_result r;
    CU_ASSERT_EQUAL(threshold_attack(&r, 1, &m, &o, &o, &m), IAU_OK);
    CU_ASSERT_TRUE(r.called_member == 0 && r.balanced_accuracy == 0.5);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"gaps are distances from the retrained model",
                            gaps_are_distances_from_the_retrained_model},
                           {"what does not exist is left out", what_does_not_exist_is_left_out},
                           {"the floor is a mean over pairs", the_floor_is_a_mean_over_pairs},
                           {"files say what numbers mean", files_say_what_numbers_mean},
                           {"an ideal that is none is dropped", an_ideal_that_is_none_is_dropped},
                           {"thresholds by class", thresholds_by_class},
                           {"no threshold where none helps", no_threshold_where_none_helps},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "metrics", tests);
}
