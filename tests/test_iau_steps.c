/* Unlearning in several steps and with a calibrated length, what the history says, and errors that
 * all ranks agree on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "unlearn_run.h"

/* --- several steps */

/* Without momentum there is no state: three steps are three runs of one step. */
static void three_steps_are_one_after_another(void)
{
    struct unlearn_run together = unlearn_table(&few), step[3];
    together.opts.optimizer = OPTIMIZER_SGD;
    together.opts.lr = 0.05;
    together.opts.steps = 3;
    together.cache = origin.gradient_sum; /* serves the first step only */
    together.cache_loss = origin.loss_sum;
    unlearn_execute(&together);
    CU_ASSERT_EQUAL(together.o.history.n_row, 3);
    CU_ASSERT_EQUAL(together.cost.gradients, 3 * few.forget.n + 2 * few.train.n);
    for (int k = 0; k < 3; k++) {
        step[k] = unlearn_table(&few);
        step[k].opts.optimizer = OPTIMIZER_SGD;
        step[k].opts.lr = 0.05;
        step[k].w = k ? step[k - 1].o.w : origin.w;
        unlearn_execute(&step[k]);
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "step"), k + 1);
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "norm_step"),
                        history_at(&step[k].o.history, 0, "norm_step"));
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "loss_retain"),
                        history_at(&step[k].o.history, 0, "loss_retain"));
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "distance"),
                        vector_distance(step[k].o.w, origin.w,
                                        table.model.n_param)); /* from where it all began */
    }
    CU_ASSERT_TRUE(unlearn_same_parameters(&together, &step[2]));
    outcome_free(&together.o);
    for (int k = 0; k < 3; k++)
        outcome_free(&step[k].o);
}

/* Adam's moments live through the steps: against the formulas in double, from naive sums at the
 * points passed. */
static void adam_keeps_its_state_between_steps(void)
{
    int64_t n = table.model.n_param;
    double *m = mem_alloc(n, sizeof *m), *v = mem_alloc(n, sizeof *v),
           *moved = mem_alloc(n, sizeof *moved);
    double *expected = mem_alloc(n, sizeof *expected);
    float *w = mem_alloc(n, sizeof *w);
    struct unlearn_run r = unlearn_table(&few);
    r.opts.steps = 3;
    r.opts.lr = 0.02;
    unlearn_execute(&r);
    for (int64_t i = 0; i < n; i++)
        expected[i] = w[i] = origin.w[i];
    for (int t = 1; t <= 3; t++) {
        struct means a;
        means_take(&a, &table, w, &few);
        for (int64_t i = 0; i < n; i++) {
            double q = a.retain.gradient[i] - a.forget.gradient[i];
            m[i] = 0.9 * m[i] + 0.1 * q;
            v[i] = 0.999 * v[i] + 0.001 * q * q;
            expected[i] -=
                0.02 * m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
            w[i] = (float)expected[i];
        }
        means_free(&a);
    }
    for (int64_t i = 0; i < n; i++) {
        moved[i] = r.o.w ? (double)r.o.w[i] - origin.w[i] : NAN;
        expected[i] -= origin.w[i];
    }
    CU_ASSERT_TRUE(relative_error(moved, expected, n) < 1e-3);
    outcome_free(&r.o);
    free(m);
    free(v);
    free(w);
    free(moved);
    free(expected);
}

/* --- calibration */

static double mean_loss(const struct small_data *s, const float *w, const struct index_set *set)
{
    struct naive a;
    naive_sum(&a, s, w, set, 0);
    return a.loss / (double)set->n;
}

static void calibration_meets_the_validation_loss(void)
{
    for (int optimizer = OPTIMIZER_ADAM; optimizer <= OPTIMIZER_SGD; optimizer++) {
        struct unlearn_run full = unlearn_table(&learned), r;
        full.opts.optimizer = optimizer;
        full.opts.lr = optimizer == OPTIMIZER_ADAM ? 5e-3 : 0.05;
        r = full;
        r.opts.step = IAU_STEP_CALIBRATED;
        unlearn_execute(&full);
        unlearn_execute(&r);
        CU_ASSERT_TRUE(mean_loss(&table, origin.w, &learned.forget) <
                       mean_loss(&table, origin.w, &learned.valid) - 0.02);
        CU_ASSERT_DOUBLE_EQUAL(mean_loss(&table, r.o.w, &learned.forget),
                               mean_loss(&table, r.o.w, &learned.valid), 1e-4);
        double length = history_at(&r.o.history, 0, "length"), worst = 0;
        CU_ASSERT_TRUE(length > 0.01 && length < 1000);
        for (int64_t i = 0; i < table.model.n_param;
             i++) /* along the full step, only shorter or longer */
            worst =
                fmax(worst, fabs(r.o.w[i] - origin.w[i] - length * (full.o.w[i] - origin.w[i])));
        CU_ASSERT_TRUE(worst < 1e-6 * (1 + length));
        CU_ASSERT_EQUAL(history_at(&full.o.history, 0, "length"), 1);
        outcome_free(&full.o);
        outcome_free(&r.o);
    }
}

/* A full step so long that its losses are beyond what a sum takes is only too long. */
static void calibration_comes_back_from_an_overflow(void)
{
    char printed[1000];
    struct capture c;
    struct unlearn_run r = unlearn_table(&learned), small = unlearn_table(&learned);
    small.opts.optimizer = r.opts.optimizer = OPTIMIZER_SGD;
    small.opts.step = r.opts.step = IAU_STEP_CALIBRATED;
    small.opts.lr = 0.05;
    r.opts.lr = 0.05 * (1 << 24);
    capture_begin(&c);
    unlearn_execute(&r);
    capture_end(&c, printed, sizeof printed);
    unlearn_execute(&small);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_STRING_EQUAL(printed, "");
    if (r.rc == IAU_OK && small.rc == IAU_OK) {
        double length = history_at(&r.o.history, 0, "length") * (1 << 24);
        CU_ASSERT_DOUBLE_EQUAL(mean_loss(&table, r.o.w, &learned.forget),
                               mean_loss(&table, r.o.w, &learned.valid), 1e-3);
        CU_ASSERT_DOUBLE_EQUAL(length / history_at(&small.o.history, 0, "length"), 1, 1e-2);
    }
    outcome_free(&r.o);
    outcome_free(&small.o);
}

static void calibration_leaves_a_forgotten_set_alone(void)
{
    char printed[1000];
    struct capture c;
    struct unlearn_run r = unlearn_table(&learned);
    struct partition turned =
        learned; /* "forget" what the model has not learned, against what it has */
    turned.forget = learned.valid;
    turned.valid = learned.forget;
    r.sets = &turned;
    r.opts.step = IAU_STEP_CALIBRATED;
    capture_begin(&c);
    unlearn_execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_OK, printed,
                       "iau: the forget set's loss is already that of validation");
    CU_ASSERT_TRUE(r.o.w &&
                   memcmp(r.o.w, origin.w, (size_t)table.model.n_param * sizeof *r.o.w) == 0);
    CU_ASSERT_EQUAL(history_at(&r.o.history, 0, "length"), 0);
    CU_ASSERT_EQUAL(history_at(&r.o.history, 0, "distance"), 0);
    outcome_free(&r.o);
}

/* --- history */

static void check_near(const struct unlearn_run *r, const char *column, double expected)
{
    double value = history_at(&r->o.history, 0, column);
    int near = fabs(value - expected) <= 2e-6 * fabs(expected) + 1e-9;
    CU_ASSERT_TRUE(near);
    if (!near)
        printf("column %s is %.9g where %.9g is expected\n", column, value, expected);
}

/* Every column against figures from naive sums; `scale` is 1 for means, else the sums' counts are
 * put in. */
static void check_history(struct unlearn_run *r)
{
    int64_t n = table.model.n_param;
    int sum = r->opts.scale == IAU_SCALE_SUM;
    double c_retain = sum ? (double)r->sets->retain.n : 1,
           c_forget = sum ? (double)r->sets->forget.n : 1;
    double rr = 0, ff = 0, rf = 0, qq = 0, moved = 0;
    struct means a;
    unlearn_execute(r);
    means_take(&a, &table, origin.w, r->sets);
    for (int64_t i = 0; i < n; i++) {
        double g_r = c_retain * a.retain.gradient[i], g_f = c_forget * a.forget.gradient[i];
        double q = r->opts.weight * g_r - g_f, d = (double)r->o.w[i] - origin.w[i];
        rr += g_r * g_r;
        ff += g_f * g_f;
        rf += g_r * g_f;
        qq += q * q;
        moved += d * d;
    }
    CU_ASSERT_EQUAL(r->o.history.n_row, 1);
    check_near(r, "step", 1);
    check_near(r, "norm_retain", sqrt(rr));
    check_near(r, "norm_forget", sqrt(ff));
    check_near(r, "norm_step", sqrt(qq));
    check_near(r, "cosine", rf / sqrt(rr * ff));
    check_near(r, "loss_retain", a.retain.loss / (double)r->sets->retain.n);
    check_near(r, "loss_forget", a.forget.loss / (double)r->sets->forget.n);
    check_near(r, "length", 1);
    check_near(r, "distance", sqrt(moved));
    CU_ASSERT_TRUE(history_at(&r->o.history, 0, "seconds_s") > 0);
    outcome_free(&r->o);
    means_free(&a);
}

static void the_history_holds_what_it_says(void)
{
    struct unlearn_run r = unlearn_table(&few);
    check_history(&r);
    r.cache = origin.gradient_sum;
    r.cache_loss = origin.loss_sum;
    r.opts.weight = 3;
    check_history(&r);
    r.opts.scale = IAU_SCALE_SUM;
    r.opts.optimizer = OPTIMIZER_SGD;
    check_history(&r);
    r = unlearn_table(&most);
    check_history(&r);
}

static void columns_that_are_unknown_are_empty(void)
{
    struct unlearn_run r = unlearn_table(&few);
    r.opts.correction = 0;
    unlearn_execute(&r);
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "norm_retain")));
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "cosine")));
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "loss_retain")));
    check_near(&r, "loss_forget", mean_loss(&table, origin.w, &few.forget));
    CU_ASSERT_EQUAL(history_at(&r.o.history, 0, "norm_step"),
                    history_at(&r.o.history, 0, "norm_step"));
    outcome_free(&r.o);
    r = unlearn_table(&few); /* a cache of unknown loss */
    r.cache = origin.gradient_sum;
    r.cache_loss = NAN;
    unlearn_execute(&r);
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "loss_retain")));
    outcome_free(&r.o);
}

static void combining_two_vectors(void)
{
    const double retain[] = {3, 0, 4}, forget[] = {0, 2, 0}, zero[3] = {0};
    float q[3];
    struct iau_norms a = iau_combine(3, 0.5, retain, forget, q);
    CU_ASSERT_TRUE(q[0] == 1.5f && q[1] == -2 && q[2] == 2);
    CU_ASSERT_TRUE(a.retain == 5 && a.forget == 2 && a.cosine == 0);
    CU_ASSERT_DOUBLE_EQUAL(a.step, sqrt(1.5 * 1.5 + 8), 1e-12);
    a = iau_combine(3, 1, retain, retain, q); /* they cancel */
    CU_ASSERT_TRUE(a.step == 0 && q[2] == 0);
    CU_ASSERT_DOUBLE_EQUAL(a.cosine, 1, 1e-15);
    a = iau_combine(3, 1, NULL, forget, q);
    CU_ASSERT_TRUE(isnan(a.retain) && isnan(a.cosine) && a.forget == 2 && a.step == 2 &&
                   q[1] == -2);
    a = iau_combine(3, 1, zero, forget, q); /* no direction, no angle */
    CU_ASSERT_TRUE(a.retain == 0 && isnan(a.cosine));
}

/* --- errors */

static void expect_failure(struct unlearn_run *r, int code, const char *part)
{
    char printed[2000];
    struct capture c;
    capture_begin(&c);
    unlearn_execute(r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r->rc, code, printed, part);
    CU_ASSERT_TRUE(!r->o.w && !r->o.history.value);
}

static void parameters_that_blow_up(void)
{
    struct unlearn_run r = unlearn_table(&few);
    r.opts.steps = 2;
    r.opts.lr = 1e30;
    expect_failure(&r, IAU_ERR_NUMERIC, "iau: step 2: ");
    float *w = mem_alloc(table.model.n_param, sizeof *w);
    memcpy(w, origin.w, (size_t)table.model.n_param * sizeof *w);
    w[table.model.n_param - 1] = NAN;
    r = unlearn_table(&few);
    r.w = w;
    expect_failure(&r, IAU_ERR_NUMERIC, "iau: step 1: ");
    free(w);
}

static void samples_that_one_rank_cannot_read(void)
{
    struct unlearn_run r = unlearn_table(&few);
    char *path = table.dataset.path, nowhere[] = "/nowhere/d.h5";
    if (test_comm.rank == test_comm.size - 1)
        table.dataset.path = nowhere;
    expect_failure(&r, IAU_ERR_IO, nowhere);
    table.dataset.path = path;
}

/* Each allocation of a run fails in turn on the last rank: every rank must hear of it, in one line.
 */
static void short_memory_on_one_rank(void)
{
    int k = 1, rc = IAU_ERR_MEM;
    for (; k < 2000 && rc != IAU_OK; k++) {
        struct unlearn_run r = unlearn_table(&learned);
        struct engine e;
        struct progress progress = {0};
        char printed[2000];
        struct capture c;
        r.opts.step = IAU_STEP_CALIBRATED;
        small_engine(&e, &table, 16, &test_comm);
        struct unlearn u = {.engine = &e,
                            .opts = &(struct method_opts){.iau = r.opts},
                            .sets = &learned,
                            .w = origin.w,
                            .name = "iau",
                            .progress = &progress};
        capture_begin(&c);
        if (test_comm.rank == test_comm.size - 1)
            mem_fail_after(k);
        rc = iau_run(&r.o, &u);
        mem_fail_after(0);
        capture_end(&c, printed, sizeof printed);
        if (rc != IAU_OK)
            expect_one_message(rc, IAU_ERR_MEM, printed, "error");
        CU_ASSERT_TRUE(rc == IAU_OK || !r.o.w);
        outcome_free(&r.o);
        engine_free(&e);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT_TRUE(k > 15);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", unlearn_open_data},
        {"three steps are one after another", three_steps_are_one_after_another},
        {"adam keeps its state between steps", adam_keeps_its_state_between_steps},
        {"calibration meets the validation loss", calibration_meets_the_validation_loss},
        {"calibration comes back from an overflow", calibration_comes_back_from_an_overflow},
        {"calibration leaves a forgotten set alone", calibration_leaves_a_forgotten_set_alone},
        {"the history holds what it says", the_history_holds_what_it_says},
        {"columns that are unknown are empty", columns_that_are_unknown_are_empty},
        {"combining two vectors", combining_two_vectors},
        {"parameters that blow up", parameters_that_blow_up},
        {"samples that one rank cannot read", samples_that_one_rank_cannot_read},
        {"short memory on one rank", short_memory_on_one_rank},
        {"close the data", unlearn_close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "iau_steps", tests);
}
