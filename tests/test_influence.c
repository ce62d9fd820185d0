/* Influence functions on softmax regression, where everything has a closed form: the step against a
 * dense solver, and against retraining to the minimum; and what is said of a step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/stop.h"
#include "harness.h"
#include "io/file.h"
#include "softmax_regression.h"

static struct model linear; /* on the table */

static void open_data(void)
{
    method_open_data();
    regression_build(&linear);
}

/* --- runs */

static struct method_run run_linear(const struct partition *sets, const float *w)
{
    struct method_run r = method_run_of(METHOD_INFLUENCE);
    r.model = &linear;
    r.sets = sets;
    r.w = w;
    r.opts.influence.samples = 0;
    r.opts.influence.iterations = 200;
    r.opts.influence.tolerance = 1e-6;
    return r;
}

static double last(const struct method_run *r, const char *column)
{
    return history_at(&r->o.history, 0, column);
}

/* Far from any minimum, both forms and a strength. */
static void steps_are_those_of_a_dense_solver(void)
{
    const struct partition *s = &method_sets;
    double w[N], forget[N], retain[N], h[N * N], scratch[N * N], b[N], x[N], want[N];
    float start[N];
    double n_f = (double)s->forget.n, n = n_f + (double)s->retain.n;
    harness_fill(start, N, 3);
    for (int k = 0; k < N; k++)
        w[k] = start[k];
    derivatives(&s->forget, w, forget, scratch);
    derivatives(&s->retain, w, retain, h);
    for (int form = INFLUENCE_REWEIGHT; form <= INFLUENCE_NEWTON; form++)
        for (int kind = PRODUCT_HESSIAN; kind <= PRODUCT_GAUSS_NEWTON; kind++) {
            struct method_run r = run_linear(s, start);
            r.opts.influence.form = form;
            r.opts.influence.product = kind; /* the same for a linear model */
            r.opts.influence.damping = 0.03;
            r.opts.influence.strength = form == INFLUENCE_NEWTON ? 1 : 0.7;
            for (int k = 0; k < N; k++)
                b[k] = form == INFLUENCE_NEWTON ? -retain[k] : n_f / n * (forget[k] - retain[k]);
            solve(h, 0.03, b, x);
            for (int k = 0; k < N; k++)
                want[k] = w[k] + r.opts.influence.strength * x[k];
            method_execute(&r);
            CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
            CU_ASSERT(error_of_step(r.o.w, want, w) < 1e-4);
            CU_ASSERT_DOUBLE_EQUAL(last(&r, "norm_retain"), norm(retain), 1e-6);
            CU_ASSERT_DOUBLE_EQUAL(last(&r, "norm_forget"), norm(forget), 1e-6);
            CU_ASSERT_DOUBLE_EQUAL(last(&r, "norm_sample"), norm(retain), 1e-6);
            CU_ASSERT_DOUBLE_EQUAL(last(&r, "norm_right"), norm(b), 1e-6);
            CU_ASSERT(last(&r, "residual") <= 1e-6);
            CU_ASSERT_EQUAL(last(&r, "is_negative"), 0);
            derivatives(&s->retain, want, x, scratch);
            CU_ASSERT_DOUBLE_EQUAL(last(&r, "norm_sample_after"), norm(x), 1e-5);
            outcome_free(&r.o);
        }
}

/* The first n of the rows to forget. */
static void take_first(struct partition *sets, int64_t n)
{
    *sets = (struct partition){.train = method_sets.train, .valid = method_sets.valid};
    REQUIRE(index_set_from_rows(&sets->forget, PART_TRAIN, method_sets.forget.row, n) == IAU_OK);
    REQUIRE(index_set_minus(&sets->retain, &sets->train, &sets->forget) == IAU_OK);
}

/* Distance from the retrained minimum, relative to how far that is from the origin's. */
static double error_of_unlearning(enum influence_form form, double decay, int64_t n_forget)
{
    double origin[N] = {0}, retrained[N];
    float w[N];
    struct partition sets;
    take_first(&sets, n_forget);
    minimise(&sets.train, decay, origin);
    memcpy(retrained, origin, sizeof retrained);
    minimise(&sets.retain, decay, retrained);
    to_float(origin, w);
    struct method_run r = run_linear(&sets, w);
    r.opts.influence.form = form;
    r.opts.influence.damping = decay > 0 ? decay : 1e-5; /* else the matrix is singular */
    r.opts.influence.product = PRODUCT_HESSIAN;
    method_execute(&r);
    CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
    double error = error_of_step(r.o.w, retrained, origin);
    outcome_free(&r.o);
    index_set_free(&sets.forget);
    index_set_free(&sets.retain);
    return error;
}

/* The error is of second order in n_f / n, its share of the step of first: half as many samples,
 * half that share. Reweighting is the same with weight decay, where damping takes its place. */
static void newton_comes_to_the_retrained_minimum(void)
{
    static const struct {
        enum influence_form form;
        double decay;
    } cases[] = {{INFLUENCE_NEWTON, 0}, {INFLUENCE_REWEIGHT, 0}, {INFLUENCE_REWEIGHT, 0.05}};
    for (int i = 0; i < 3; i++) {
        double error[3];
        for (int halved = 0; halved < 3; halved++)
            error[halved] = error_of_unlearning(cases[i].form, cases[i].decay, 32 >> halved);
        CU_ASSERT(error[0] < 0.2);
        CU_ASSERT(error[1] / error[0] > 0.25 && error[1] / error[0] < 0.75);
        CU_ASSERT(error[2] / error[0] > 0.1 && error[2] / error[0] < 0.4);
    }
}

/* --- deep models */

static void the_same_bytes_on_any_ranks_and_threads(void)
{
    struct method_run r = method_run_of(METHOD_INFLUENCE);
    r.opts.influence.samples = 100;
    method_check_bytes(r, 4096);
    r.opts.influence.product = PRODUCT_HESSIAN;
    r.opts.influence.form = INFLUENCE_NEWTON;
    r.opts.influence.damping = 30; /* more than any negative curvature */
    method_check_bytes(r, 4096);
}

/* n_f gradients where G(D) is known; the sample's matrix, and two looks at it. */
static void costs_are_counted(void)
{
    int64_t n = method_sets.train.n, n_f = method_sets.forget.n, samples = 100, products = 4;
    double *sum = mem_alloc(method_table.model.n_param, sizeof *sum);
    for (int known = 0; known < 2; known++)
        for (int kind = PRODUCT_HESSIAN; kind <= PRODUCT_GAUSS_NEWTON; kind++) {
            struct method_run r = method_run_of(METHOD_INFLUENCE);
            r.opts.influence.samples = samples;
            r.opts.influence.product = kind;
            r.opts.influence.damping = 30;
            r.opts.influence.iterations = products;
            r.opts.influence.tolerance = 0;
            r.gradient_sum = known ? sum : NULL;
            method_execute(&r);
            CU_ASSERT_EQUAL(r.rc, IAU_OK);
            int is_hessian = kind == PRODUCT_HESSIAN;
            CU_ASSERT_EQUAL(r.cost.hvps, products * samples);
            CU_ASSERT_EQUAL(r.cost.gradients, n_f + (known ? 0 : n) + 2 * samples +
                                                  (is_hessian ? products * samples : 0));
            CU_ASSERT_EQUAL(r.cost.forwards, is_hessian ? 0 : products * samples);
            outcome_free(&r.o);
        }
    free(sum);
}

/* The Hessian of an untrained model has negative curvature, but not along its gradient; damping
 * that no setting allows makes it so there, too. */
static void negative_curvature_is_refused_before_and_told_after_the_first_step(void)
{
    const struct model *m = &method_table.model;
    struct capture capture;
    char printed[4096];
    float *w = mem_alloc(m->n_param, sizeof *w);
    model_init_params(m, 1, w);
    for (int64_t j = 0; j < m->n_param; j++)
        w[j] *= 3;
    struct method_run r = method_run_of(METHOD_INFLUENCE);
    r.w = w;
    r.opts.influence.product = PRODUCT_HESSIAN;
    r.opts.influence.form = INFLUENCE_NEWTON;
    r.opts.influence.iterations = 30;
    r.opts.influence.damping = 0;
    capture_begin(&capture);
    method_execute(&r);
    capture_end(&capture, printed, sizeof printed);
    CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
    CU_ASSERT(test_comm.rank > 0 || strstr(printed, "warning: method: negative curvature (-"));
    CU_ASSERT_EQUAL(last(&r, "is_negative"), 1);
    CU_ASSERT(last(&r, "iterations") > 1 && last(&r, "distance") > 0);
    outcome_free(&r.o);
    r.opts.influence.damping = -100;
    capture_begin(&capture);
    method_execute(&r);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_NUMERIC, printed,
                       "method: with damping -100 the curvature along the gradient is negative (-");
    CU_ASSERT_PTR_NULL(r.o.w);
    free(w);
}

/* Rank 0: how many rows of steps progress.csv has; removes it. */
static int take_step_rows(void)
{
    char *path = harness_path("progress.csv"), *text = NULL;
    size_t size;
    int n = 0;
    REQUIRE(file_read_all(path, &text, &size, 1 << 20) == IAU_OK);
    for (const char *at = text; (at = strstr(at, "method,step,")); at++)
        n++;
    CU_ASSERT_EQUAL(file_remove(path), IAU_OK);
    free(text);
    free(path);
    return n;
}

/* Stopped after each of the first products, and, where a repair follows, after each of its first
 * steps; the last part alone on one rank. */
static void check_resuming(struct method_run whole)
{
    struct method_run r;
    char *path = harness_path("method.restart.h5"), *folder = harness_path(".");
    whole.restart = path;
    r = whole;
    r.progress = folder;
    method_execute(&whole);
    for (int i = 0; i < 9; i++) {
        stop_set(test_comm.rank == test_comm.size - 1);
        method_execute(&r);
        stop_set(0);
        CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
        CU_ASSERT_PTR_NULL(r.o.w);
        r.resume = 1;
    }
    r.comm = small_self();
    method_execute(&r);
    CU_ASSERT(method_same(&r, &whole));
    outcome_free(&r.o);
    outcome_free(&whole.o);
    comm_barrier(&test_comm);
    if (test_comm.rank == 0) {
        CU_ASSERT_EQUAL(restart_remove(path), IAU_OK);
        CU_ASSERT_EQUAL(take_step_rows(), 1);
    }
    comm_barrier(&test_comm);
    free(path);
    free(folder);
}

static void a_stopped_run_goes_on(void)
{
    struct method_run r = method_run_of(METHOD_INFLUENCE);
    r.opts.influence.samples = 100;
    r.opts.influence.iterations = 12;
    r.opts.influence.tolerance = 0;
    check_resuming(r);
    r = method_run_of(METHOD_IAU_CURVATURE);
    r.opts.curvature.iterations = 5; /* so that the repair is stopped, too */
    check_resuming(r);
    r.opts.curvature.iterations = 20;
    check_resuming(r);
}

static void a_restart_file_of_another_run_is_refused(void)
{
    struct capture capture;
    char printed[4096], *path = harness_path("other.restart.h5");
    struct method_run r = method_run_of(METHOD_INFLUENCE);
    r.restart = path;
    stop_set(1);
    method_execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
    r.resume = 1;
    r.opts.influence.iterations = 0; /* of which the file has done more */
    capture_begin(&capture);
    method_execute(&r);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_FORMAT, printed, "/cg does not belong to this run");
    CU_ASSERT_PTR_NULL(r.o.w);
    free(path);
}

static void a_rank_without_memory_stops_all(void)
{
    method_check_memory(method_run_of(METHOD_INFLUENCE), 3);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open data", open_data},
        {"steps are those of a dense solver", steps_are_those_of_a_dense_solver},
        {"newton comes to the retrained minimum", newton_comes_to_the_retrained_minimum},
        {"the same bytes on any ranks and threads", the_same_bytes_on_any_ranks_and_threads},
        {"costs are counted", costs_are_counted},
        {"negative curvature is refused before and told after the first step",
         negative_curvature_is_refused_before_and_told_after_the_first_step},
        {"a stopped run goes on", a_stopped_run_goes_on},
        {"a restart file of another run is refused", a_restart_file_of_another_run_is_refused},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"close data", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "influence", tests);
}
