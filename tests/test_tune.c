/* Strengths that a search tries, the one it keeps, and what it says of cost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/stop.h"
#include "harness.h"
#include "method_run.h"

enum { N_SPREAD = 5 };

static struct method_run search(enum method_name method, int64_t trials)
{
    struct method_run r = method_run_of(method);
    r.opts.tune = trials;
    r.opts.tune_range = 100;
    return r;
}

static double trial(const struct method_run *r, int64_t i, const char *column)
{
    return history_at(&r->o.trials, i, column);
}

/* The row with the least objective, the first of several. */
static int64_t best_row(const struct method_run *r, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (trial(r, i, "objective") < trial(r, best, "objective"))
            best = i;
    return best;
}

static void it_keeps_what_a_plain_run_at_the_best_strength_gives(void)
{
    static const enum method_name methods[] = {METHOD_IAU, METHOD_INFLUENCE, METHOD_RANDOM_LABEL};
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        struct method_run tuned = search(methods[m], 7), plain = method_run_of(methods[m]);
        double *strength = (double *)((char *)&plain.opts + method_of(methods[m])->strength);
        method_execute(&tuned);
        CU_ASSERT_EQUAL(tuned.rc, IAU_OK);
        CU_ASSERT_EQUAL(tuned.o.trials.n_row, 7);
        if (tuned.rc == IAU_OK && tuned.o.trials.n_row == 7) {
            *strength = trial(&tuned, best_row(&tuned, 7), "strength");
            method_execute(&plain);
            CU_ASSERT(method_same(&tuned, &plain)); /* its cost, too, is that of one run */
        }
        CU_ASSERT(tuned.o.search.forwards > tuned.cost.forwards);
        outcome_free(&tuned.o);
        outcome_free(&plain.o);
    }
}

/* Accuracy of a run's parameters on test samples, by naive loops. */
static double test_accuracy(const struct method_run *r)
{
    struct naive sum;
    naive_sum(&sum, &method_table, r->o.w, &method_sets.test, 0);
    double accuracy = (double)sum.correct / (double)method_sets.test.n;
    naive_free(&sum);
    return accuracy;
}

static void trials_are_measured_on_test_samples(void)
{
    struct method_run tuned = search(METHOD_FINETUNE, 7);
    tuned.opts.tune_range = 1e8; /* the longest steps run off */
    method_execute(&tuned);
    CU_ASSERT_EQUAL(tuned.rc, IAU_OK);
    for (int i = 0; i < tuned.o.trials.n_row; i++) {
        struct method_run plain = method_run_of(METHOD_FINETUNE);
        double accuracy = trial(&tuned, i, "accuracy_test");
        plain.opts.tuning.optimizer.lr = trial(&tuned, i, "strength");
        error_hush(1);
        method_execute(&plain);
        error_hush(0);
        if (plain.rc == IAU_OK && isfinite(trial(&tuned, i, "objective")))
            CU_ASSERT_EQUAL(accuracy, test_accuracy(&plain));
        if (plain.rc != IAU_OK)
            CU_ASSERT(isnan(accuracy));
        outcome_free(&plain.o);
    }
    if (tuned.rc == IAU_OK)
        CU_ASSERT_EQUAL(trial(&tuned, best_row(&tuned, 7), "accuracy_test"), test_accuracy(&tuned));
    outcome_free(&tuned.o);
}

/* Without test samples, or with others, the same is found, with the same work. */
static void test_samples_decide_nothing_and_cost_nothing(void)
{
    struct partition none = method_sets, other = method_sets;
    none.test = (struct index_set){.part = PART_TEST};
    other.test = method_sets.forget;
    const struct partition *const sets[] = {&none, &other};
    struct method_run with = search(METHOD_INFLUENCE, 7);
    method_execute(&with);
    CU_ASSERT_EQUAL(with.rc, IAU_OK);
    for (int k = 0; k < 2; k++) {
        struct method_run without = search(METHOD_INFLUENCE, 7);
        without.sets = sets[k];
        method_execute(&without);
        CU_ASSERT(method_same(&with, &without));
        CU_ASSERT_EQUAL(with.o.search.forwards, without.o.search.forwards);
        CU_ASSERT_EQUAL(with.o.search.gradients, without.o.search.gradients);
        CU_ASSERT_EQUAL(with.o.search.hvps, without.o.search.hvps);
        CU_ASSERT_EQUAL(with.o.search.payload_bytes, without.o.search.payload_bytes);
        for (int i = 0; i < without.o.trials.n_row; i++) {
            double accuracy = trial(&without, i, "accuracy_test");
            CU_ASSERT_EQUAL(trial(&with, i, "strength"), trial(&without, i, "strength"));
            CU_ASSERT_EQUAL(trial(&with, i, "objective"), trial(&without, i, "objective"));
            CU_ASSERT(k == 0 ? isnan(accuracy) : accuracy == trial(&with, i, "accuracy_forget"));
        }
        outcome_free(&without.o);
    }
    outcome_free(&with.o);
}

static void strengths_are_spread_then_narrowed(void)
{
    struct method_run r = search(METHOD_IAU, 12);
    struct naive origin;
    naive_sum(&origin, &method_table, method_origin.w, &method_sets.valid, 0);
    double before = origin.loss / (double)method_sets.valid.n;
    naive_free(&origin);
    method_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    if (r.rc == IAU_OK && r.o.trials.n_row == 12) {
        for (int i = 0; i < N_SPREAD; i++)
            CU_ASSERT_DOUBLE_EQUAL(trial(&r, i, "strength"), r.opts.iau.lr * pow(10, i - 2),
                                   1e-9 * pow(10, i));
        double middle = trial(&r, best_row(&r, N_SPREAD), "strength");
        for (int i = N_SPREAD; i < 12; i++) {
            CU_ASSERT(trial(&r, i, "strength") > middle / 10.0001);
            CU_ASSERT(trial(&r, i, "strength") < middle * 10.0001);
        }
        for (int i = 0; i < 12; i++) {
            double forget = trial(&r, i, "loss_forget"), valid = trial(&r, i, "loss_valid");
            CU_ASSERT_DOUBLE_EQUAL(trial(&r, i, "objective"),
                                   fabs(forget - valid) + fmax(0, valid - before), 1e-6);
        }
        CU_ASSERT(trial(&r, best_row(&r, 12), "objective") <=
                  trial(&r, best_row(&r, N_SPREAD), "objective"));
    }
    outcome_free(&r.o);
}

static void fewer_trials_than_the_spread_lie_in_the_middle(void)
{
    for (int n = 2; n <= 3; n++) {
        struct method_run r = search(METHOD_IAU, n);
        method_execute(&r);
        CU_ASSERT_EQUAL(r.rc, IAU_OK);
        CU_ASSERT_EQUAL(r.o.trials.n_row, n);
        for (int i = 0; i < r.o.trials.n_row; i++)
            CU_ASSERT_DOUBLE_EQUAL(trial(&r, i, "strength"),
                                   r.opts.iau.lr * pow(10, i - 0.5 * (n - 1)), 1e-9 * pow(10, i));
        outcome_free(&r.o);
    }
}

/* Steps so short that the longest is the best; and so long that the shortest is. */
static void a_search_stays_within_its_range(void)
{
    for (int is_long = 0; is_long < 2; is_long++) {
        struct method_run r = search(METHOD_IAU, 9);
        r.opts.tune_range = 10;
        r.opts.iau.lr = is_long ? 1 : 1e-5;
        method_execute(&r);
        CU_ASSERT_EQUAL(r.rc, IAU_OK);
        if (r.rc == IAU_OK && r.o.trials.n_row == 9) {
            CU_ASSERT_EQUAL(best_row(&r, N_SPREAD), is_long ? 0 : N_SPREAD - 1);
            for (int i = 0; i < 9; i++) {
                CU_ASSERT(trial(&r, i, "strength") < 10 * r.opts.iau.lr * (1 + 1e-9));
                CU_ASSERT(trial(&r, i, "strength") > 0.1 * r.opts.iau.lr * (1 - 1e-9));
            }
        }
        outcome_free(&r.o);
    }
}

static int same_searches(const struct method_run *a, const struct method_run *b)
{
    return method_same(a, b) && same_history(&a->o.trials, &b->o.trials) &&
           a->o.search.gradients == b->o.search.gradients;
}

static void the_same_bytes_on_any_ranks_and_threads(void)
{
    struct method_run alone = search(METHOD_INFLUENCE, 6);
    alone.comm = small_self();
    method_execute(&alone);
    for (int n_thread = 1; n_thread <= 3; n_thread += 2) {
        struct method_run all = search(METHOD_INFLUENCE, 6);
        all.n_thread = n_thread;
        method_execute(&all);
        all.cost.payload_bytes = alone.cost.payload_bytes; /* no messages on one rank */
        CU_ASSERT(same_searches(&alone, &all));
        outcome_free(&all.o);
    }
    outcome_free(&alone.o);
}

/* A trial that runs off is none to keep, and prints nothing; where all do, that is an error. */
static void strengths_that_run_off(void)
{
    struct capture capture;
    char printed[4096];
    struct method_run some = search(METHOD_FINETUNE, 5), none = search(METHOD_FINETUNE, 5);
    some.opts.tuning.optimizer.lr = 1e4;
    some.opts.tune_range = 1e8;
    none.opts.tuning.optimizer.lr = 1e37;
    none.opts.tune_range = 10;
    capture_begin(&capture);
    method_execute(&some);
    capture_end(&capture, printed, sizeof printed);
    CU_ASSERT_EQUAL(some.rc, IAU_OK);
    CU_ASSERT_PTR_NULL(strstr(printed, "error"));
    CU_ASSERT(some.rc != IAU_OK || isinf(trial(&some, 4, "objective")));
    capture_begin(&capture);
    method_execute(&none);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(none.rc, IAU_ERR_NUMERIC, printed,
                       "every strength that was tried runs off; try another range");
    CU_ASSERT_PTR_NULL(none.o.w);
    outcome_free(&some.o);
}

/* What goes by validation samples says so where there are none. */
static void validation_samples_are_asked_for(void)
{
    static const char *const uses[] = {
        "find its strength by (tune)", "calibrate its step by (step: calibrated)",
        "calibrate its step by (step: calibrated)", "stop by (until: validation)"};
    struct method_run runs[] = {search(METHOD_FINETUNE, 5), method_run_of(METHOD_IAU),
                                method_run_of(METHOD_IAU_CURVATURE), method_run_of(METHOD_ASCENT)};
    struct partition none = method_sets;
    none.valid = (struct index_set){.part = PART_TRAIN};
    runs[1].opts.iau.step = IAU_STEP_CALIBRATED;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct capture capture;
        char printed[4096], part[200];
        runs[i].sets = &none;
        capture_begin(&capture);
        method_execute(&runs[i]);
        capture_end(&capture, printed, sizeof printed);
        snprintf(part, sizeof part, "method: no validation sample is left to %s; set", uses[i]);
        expect_one_message(runs[i].rc, IAU_ERR_DATA, printed, part);
        CU_ASSERT_PTR_NULL(runs[i].o.w);
    }
}

static void a_stop_is_obeyed_between_trials(void)
{
    struct method_run r = search(METHOD_IAU, 5);
    stop_set(test_comm.rank == test_comm.size - 1);
    method_execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
    CU_ASSERT_PTR_NULL(r.o.w);
    CU_ASSERT_EQUAL(r.cost.gradients, 0);
    outcome_free(&r.o);
}

/* What is no matter of the strength ends the search, with its message. */
static void a_rank_without_memory_stops_all(void)
{
    method_check_memory(search(METHOD_IAU, 2), 3);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", method_open_data},
        {"it keeps what a plain run at the best strength gives",
         it_keeps_what_a_plain_run_at_the_best_strength_gives},
        {"trials are measured on test samples", trials_are_measured_on_test_samples},
        {"test samples decide nothing and cost nothing",
         test_samples_decide_nothing_and_cost_nothing},
        {"strengths are spread, then narrowed", strengths_are_spread_then_narrowed},
        {"fewer trials than the spread lie in the middle",
         fewer_trials_than_the_spread_lie_in_the_middle},
        {"a search stays within its range", a_search_stays_within_its_range},
        {"the same bytes on any ranks and threads", the_same_bytes_on_any_ranks_and_threads},
        {"strengths that run off", strengths_that_run_off},
        {"validation samples are asked for", validation_samples_are_asked_for},
        {"a stop is obeyed between trials", a_stop_is_obeyed_between_trials},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "tune", tests);
}
