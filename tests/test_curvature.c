/* IAU with curvature: its step on softmax regression against a dense solver, the length that losses
 * decide, the repair after it, and the same bytes everywhere. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "harness.h"
#include "kernel/vector.h"
#include "softmax_regression.h"

static struct model linear; /* on the table */

static void open_data(void)
{
    method_open_data();
    regression_build(&linear);
}

/* All of D_r, to the end, and nothing after the step. */
static struct method_run run_linear(const float *w)
{
    struct method_run r = method_run_of(METHOD_IAU_CURVATURE);
    r.model = &linear;
    r.w = w;
    r.opts.curvature.samples = 0;
    r.opts.curvature.iterations = 60;
    r.opts.curvature.relative_damping = 0.05;
    r.opts.curvature.repair = 0;
    return r;
}

static double first(const struct method_run *r, const char *column)
{
    return history_at(&r->o.history, 0, column);
}

static void the_step_is_that_of_a_dense_solver(void)
{
    double w[N], forget[N], retain[N], h[N * N], scratch[N * N], b[N], x[N], want[N];
    float start[N];
    harness_fill(start, N, 3);
    for (int k = 0; k < N; k++)
        w[k] = start[k];
    derivatives(&method_sets.forget, w, forget, scratch);
    derivatives(&method_sets.retain, w, retain, h);
    for (int k = 0; k < N; k++)
        b[k] = forget[k] - retain[k];
    double bb = 0, bhb = 0;
    for (int k = 0; k < N; k++)
        for (int j = 0; j < N; j++) {
            bb += j == k ? b[k] * b[k] : 0;
            bhb += b[k] * h[k * N + j] * b[j];
        }
    solve(h, 0.05 * bhb / bb, b, x);
    for (int k = 0; k < N; k++)
        want[k] = w[k] + 0.6 * x[k];
    struct method_run r = run_linear(start);
    r.opts.curvature.step = IAU_STEP_FIXED;
    r.opts.curvature.strength = 0.6;
    method_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    if (r.rc == IAU_OK) {
        CU_ASSERT(error_of_step(r.o.w, want, w) < 1e-4);
        CU_ASSERT_DOUBLE_EQUAL(first(&r, "norm_retain"), norm(retain), 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(first(&r, "norm_forget"), norm(forget), 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(first(&r, "norm_direction"), norm(x), 1e-3 * norm(x));
        CU_ASSERT_DOUBLE_EQUAL(first(&r, "length"), 0.6, 1e-12);
        CU_ASSERT_EQUAL(r.cost.hvps, (int64_t)first(&r, "products") * method_sets.retain.n);
    }
    outcome_free(&r.o);
}

/* At the calibrated length the losses on D_f and V are equal; a strength multiplies it. */
static void losses_meet_at_the_calibrated_length(void)
{
    struct method_run once = method_run_of(METHOD_IAU_CURVATURE);
    once.opts.curvature.held_out = 0;
    once.opts.curvature.repair = 0;
    once.opts.curvature.strength = 1;
    struct method_run twice = once;
    twice.opts.curvature.strength = 2;
    method_execute(&once);
    method_execute(&twice);
    CU_ASSERT(once.rc == IAU_OK && twice.rc == IAU_OK);
    if (once.rc == IAU_OK && twice.rc == IAU_OK) {
        double forget = first(&once, "loss_forget"), valid = first(&once, "loss_valid");
        CU_ASSERT(first(&once, "length") > 0);
        CU_ASSERT_DOUBLE_EQUAL(forget, valid, 1e-3 * valid);
        CU_ASSERT_DOUBLE_EQUAL(first(&twice, "length"), 2 * first(&once, "length"), 1e-9);
        CU_ASSERT(first(&twice, "loss_forget") > first(&twice, "loss_valid"));
        for (int64_t i = 0; i < method_table.model.n_param; i++)
            CU_ASSERT_DOUBLE_EQUAL(twice.o.w[i] - method_origin.w[i],
                                   2 * (once.o.w[i] - method_origin.w[i]), 1e-5);
    }
    outcome_free(&once.o);
    outcome_free(&twice.o);
}

/* Without a hold and without averages, the repair is fine-tuning from the step's end. */
static void the_repair_is_fine_tuning_held_back(void)
{
    struct method_run step = method_run_of(METHOD_IAU_CURVATURE),
                      tuned = method_run_of(METHOD_FINETUNE);
    step.opts.curvature.repair = 0;
    struct method_run whole = step;
    whole.opts.curvature.repair = 1;
    whole.opts.curvature.hold = whole.opts.curvature.average = 0;
    method_execute(&step);
    method_execute(&whole);
    tuned.opts.tuning = whole.opts.tuning;
    tuned.w = step.o.w;
    method_execute(&tuned);
    CU_ASSERT(step.rc == IAU_OK && whole.rc == IAU_OK && tuned.rc == IAU_OK);
    if (whole.rc == IAU_OK && tuned.rc == IAU_OK) {
        size_t bytes = (size_t)method_table.model.n_param * sizeof *whole.o.w;
        CU_ASSERT_EQUAL(memcmp(whole.o.w, tuned.o.w, bytes), 0);
        CU_ASSERT_EQUAL(whole.o.history.n_row, 1 + tuned.o.history.n_row);
    }
    whole.opts.curvature.hold = 0.5;
    struct method_run held = whole;
    held.o = (struct outcome){0};
    method_execute(&held);
    CU_ASSERT_EQUAL(held.rc, IAU_OK);
    if (held.rc == IAU_OK && whole.rc == IAU_OK) {
        int64_t last = whole.o.history.n_row - 1;
        CU_ASSERT(history_at(&held.o.history, last, "distance") !=
                  history_at(&whole.o.history, last, "distance"));
    }
    outcome_free(&step.o);
    outcome_free(&whole.o);
    outcome_free(&tuned.o);
    outcome_free(&held.o);
}

/* The hold weighs samples: the repair is that of NegGrad+ whose two means weigh 1 and
 * hold |D_f| / |D_r|. */
static void the_hold_is_by_the_sample(void)
{
    struct method_run step = method_run_of(METHOD_IAU_CURVATURE),
                      pull = method_run_of(METHOD_NEGGRAD_PLUS);
    step.opts.curvature.repair = 0;
    struct method_run held = step;
    held.opts.curvature.repair = 1;
    held.opts.curvature.hold = 2;
    held.opts.curvature.average = 0;
    method_execute(&step);
    method_execute(&held);
    double weight = 2 * (double)method_sets.forget.n / (double)method_sets.retain.n;
    pull.opts.tuning = held.opts.tuning;
    pull.opts.tuning.optimizer.lr *= 1 + weight;
    pull.opts.forget_batch = held.opts.forget_batch;
    pull.opts.neggrad_alpha = 1 / (1 + weight);
    pull.w = step.o.w;
    method_execute(&pull);
    CU_ASSERT(step.rc == IAU_OK && held.rc == IAU_OK && pull.rc == IAU_OK);
    if (held.rc == IAU_OK && pull.rc == IAU_OK) {
        int64_t n = method_table.model.n_param;
        CU_ASSERT(vector_distance(held.o.w, pull.o.w, n) <
                  1e-4 * vector_distance(held.o.w, step.o.w, n));
    }
    outcome_free(&step.o);
    outcome_free(&held.o);
    outcome_free(&pull.o);
}

/* However strong it is, it does not drive the forgotten samples' loss beyond twice that of guessing
 * but by what a step overshoots. */
static void the_hold_has_an_end(void)
{
    struct method_run r = method_run_of(METHOD_IAU_CURVATURE);
    r.opts.curvature.hold = 40;
    r.opts.curvature.repair = 1;
    r.opts.tuning.epochs = 5;
    method_execute(&r);
    CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
    for (int64_t i = 1; i < r.o.history.n_row; i++)
        CU_ASSERT(history_at(&r.o.history, i, "loss_forget") <
                  2.5 * log(method_table.dataset.n_class));
    outcome_free(&r.o);
}

/* Of ten steps the last nine tenths are nine, though (1 - 0.9) 10 is less than 1 in floating point;
 * a little more are ten. */
static void an_average_counts_whole_steps(void)
{
    static const double share[] = {0.9, 0.9 - 1e-3, 0.9 + 1e-3};
    struct method_run r[3];
    size_t bytes = (size_t)method_table.model.n_param * sizeof(float);
    int rc = IAU_OK;
    for (int i = 0; i < 3; i++) {
        r[i] = method_run_of(METHOD_IAU_CURVATURE);
        r[i].opts.curvature.repair = 1;
        r[i].opts.tuning.batch = 53; /* 5 steps an epoch */
        r[i].opts.curvature.average = share[i];
        method_execute(&r[i]);
        rc = r[i].rc > rc ? r[i].rc : rc;
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT(rc != IAU_OK || memcmp(r[0].o.w, r[1].o.w, bytes) == 0);
    CU_ASSERT(rc != IAU_OK || memcmp(r[0].o.w, r[2].o.w, bytes) != 0);
    for (int i = 0; i < 3; i++)
        outcome_free(&r[i].o);
}

/* The repair's passes need more memory than there is to spare here; test_tuning.c streams such. */
static void the_same_bytes_on_any_ranks_and_threads(void)
{
    struct method_run r = method_run_of(METHOD_IAU_CURVATURE);
    method_check_bytes(r, 0);
    r.opts.curvature.repair = 0;
    method_check_bytes(r, 4096);
}

static void costs_are_what_plans_say(void)
{
    struct method_run r = method_run_of(METHOD_IAU_CURVATURE);
    const struct unlearn_sizes sizes = {.train = method_sets.train.n,
                                        .retain = method_sets.retain.n,
                                        .forget = method_sets.forget.n,
                                        .valid = method_sets.valid.n};
    r.opts.curvature.hold = 0;
    method_execute(&r);
    struct unlearn_load load = method_of(METHOD_IAU_CURVATURE)->load(&r.opts, &sizes);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_DOUBLE_EQUAL(load.gradients,
                           (double)r.cost.gradients + 2 * (double)r.cost.hvps +
                               (double)method_sets.forget.n,
                           0.02 * load.gradients);
    outcome_free(&r.o);
}

static void a_rank_without_memory_stops_all(void)
{
    method_check_memory(method_run_of(METHOD_IAU_CURVATURE), 5);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"the step is that of a dense solver", the_step_is_that_of_a_dense_solver},
        {"losses meet at the calibrated length", losses_meet_at_the_calibrated_length},
        {"the repair is fine-tuning, held back", the_repair_is_fine_tuning_held_back},
        {"the hold is by the sample", the_hold_is_by_the_sample},
        {"the hold has an end", the_hold_has_an_end},
        {"an average counts whole steps", an_average_counts_whole_steps},
        {"the same bytes on any ranks and threads", the_same_bytes_on_any_ranks_and_threads},
        {"costs are what plans say", costs_are_what_plans_say},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "curvature", tests);
}
