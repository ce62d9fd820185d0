/* The formula of each method that trains: what it comes down to where its settings make it
 * something simpler, its guard, its mask, and its cost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "method_run.h"
#include "unlearn/salun.h"

/* Run both; the same parameters and histories? */
static int same_ends(struct method_run *a, struct method_run *b)
{
    method_execute(a);
    method_execute(b);
    size_t bytes = (size_t)method_table.model.n_param * sizeof *a->o.w;
    int same = a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, bytes) == 0;
    outcome_free(&a->o);
    outcome_free(&b->o);
    return same;
}

static double distance(const float *w)
{
    return vector_distance(w, method_origin.w, method_table.model.n_param);
}

/* --- ascent */

static void ascent_is_fine_tuning_upside_down(void)
{
    struct partition swapped = method_sets;
    struct method_run up = method_run_of(METHOD_ASCENT), down = method_run_of(METHOD_FINETUNE);
    swapped.retain = method_sets.forget;
    up.opts.until = ASCENT_UNTIL_OFF;
    up.opts.tuning.epochs = 4;
    up.opts.tuning.optimizer.weight_decay = 0;
    down.opts.tuning = up.opts.tuning;
    down.opts.tuning.optimizer.lr = -up.opts.tuning.optimizer.lr;
    down.sets = &swapped;
    CU_ASSERT(same_ends(&up, &down));
}

/* Mean loss on a set by a naive loop. */
static double loss_on(const struct index_set *set, const float *w)
{
    struct naive a;
    naive_sum(&a, &method_table, w, set, 0);
    double loss = a.loss / (double)set->n;
    naive_free(&a);
    return loss;
}

static int has_passed(const float *w)
{
    return loss_on(&method_sets.forget, w) > loss_on(&method_sets.valid, w);
}

static void ascent_stops_when_it_has_passed_validation(void)
{
    struct method_run guarded = method_run_of(METHOD_ASCENT), free_run = guarded;
    guarded.opts.tuning.optimizer.lr = 5e-3;
    guarded.opts.tuning.epochs = 30;
    CU_ASSERT(!has_passed(method_origin.w));
    method_execute(&guarded);
    CU_ASSERT_EQUAL(guarded.rc, IAU_OK);
    int64_t n = guarded.o.history.n_row;
    CU_ASSERT(n > 1 && n < 30 && has_passed(guarded.o.w));
    free_run.opts = guarded.opts;
    free_run.opts.until = ASCENT_UNTIL_OFF;
    free_run.opts.tuning.epochs = n;
    method_execute(&free_run);
    CU_ASSERT_EQUAL(distance(free_run.o.w), distance(guarded.o.w));
    outcome_free(&free_run.o);
    free_run.opts.tuning.epochs = n - 1; /* an epoch less would not have been enough */
    method_execute(&free_run);
    CU_ASSERT(free_run.o.history.n_row == n - 1 && !has_passed(free_run.o.w));
    outcome_free(&free_run.o);
    free_run.opts.tuning.epochs = n + 2;
    method_execute(&free_run);
    CU_ASSERT_EQUAL(free_run.o.history.n_row, n + 2);
    outcome_free(&free_run.o);
    outcome_free(&guarded.o);
}

/* The one step of the epoch can be taken; what it leads to cannot be looked at. */
static void a_guard_that_sees_no_number_is_an_error(void)
{
    char printed[2000];
    struct capture c;
    struct method_run r = method_run_of(METHOD_ASCENT);
    r.opts.tuning.batch = 100;
    r.opts.tuning.optimizer.lr = 1e12;
    capture_begin(&c);
    method_execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_NUMERIC, printed,
                       "method: after epoch 1: the loss is not finite or too large; a smaller "
                       "learning rate may help");
    CU_ASSERT_PTR_NULL(r.o.w);
}

/* --- neggrad_plus */

static void half_and_half_is_the_direction_of_iau(void)
{
    int64_t n = method_table.model.n_param;
    struct method_run r = method_run_of(METHOD_NEGGRAD_PLUS);
    struct naive retain, forget;
    double *moved = mem_alloc(n, sizeof *moved), *q = mem_alloc(n, sizeof *q);
    r.opts.neggrad_alpha = 0.5;
    r.opts.tuning.batch = r.opts.forget_batch = 1000;
    r.opts.tuning.epochs = 1;
    r.opts.tuning.optimizer.lr = 0.5;
    method_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    naive_sum(&retain, &method_table, method_origin.w, &method_sets.retain, 1);
    naive_sum(&forget, &method_table, method_origin.w, &method_sets.forget, 1);
    for (int64_t i = 0; i < n; i++) {
        moved[i] = (double)method_origin.w[i] - r.o.w[i];
        q[i] = 0.25 * (retain.gradient[i] / (double)method_sets.retain.n -
                       forget.gradient[i] / (double)method_sets.forget.n);
    }
    CU_ASSERT(relative_error(moved, q, n) < 1e-5);
    naive_free(&retain);
    naive_free(&forget);
    outcome_free(&r.o);
    free(moved);
    free(q);
}

static void all_for_the_retained_is_fine_tuning(void)
{
    struct method_run r = method_run_of(METHOD_NEGGRAD_PLUS), tune = method_run_of(METHOD_FINETUNE);
    r.opts.neggrad_alpha = 1;
    tune.opts.tuning = r.opts.tuning;
    CU_ASSERT(same_ends(&r, &tune));
    r.opts.neggrad_alpha = 0.99;
    CU_ASSERT(!same_ends(&r, &tune));
}

/* --- random_label */

static void another_seed_draws_other_labels(void)
{
    struct method_run a = method_run_of(METHOD_RANDOM_LABEL), b = a;
    a.opts.tuning.batch = b.opts.tuning.batch = 1000; /* so that only labels can differ */
    CU_ASSERT(same_ends(&a, &b));
    b.opts.seed = 2;
    CU_ASSERT(!same_ends(&a, &b));
    b.opts.seed = a.opts.seed;
    b.opts.relabel.redraw = 0;
    CU_ASSERT(!same_ends(&a, &b));
    a.opts.tuning.epochs = b.opts.tuning.epochs = 1;
    CU_ASSERT(same_ends(&a, &b));
}

static void a_lone_class_has_no_other(void)
{
    char printed[2000];
    struct capture c;
    struct small_data lone = method_table;
    struct method_run r = method_run_of(METHOD_RANDOM_LABEL);
    lone.dataset.n_class = 1;
    r.data = &lone;
    r.opts.relabel.exclude_true = 1;
    capture_begin(&c);
    method_execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_CONFIG, printed, "has no other class to draw a label from");
}

/* --- scrub */

/* Without weight decay, the pass over the forgotten samples stands still as long as the model is
 * the origin; once it is not, it moves. */
static void the_first_ascent_stands_still(void)
{
    struct method_run with = method_run_of(METHOD_SCRUB), without;
    with.opts.tuning.epochs = with.opts.scrub.msteps = 1;
    with.opts.tuning.optimizer.name = OPTIMIZER_SGD;
    with.opts.tuning.optimizer.weight_decay = 0;
    without = with;
    without.opts.scrub.msteps = 0;
    CU_ASSERT(same_ends(&with, &without));
    with.opts.tuning.epochs = without.opts.tuning.epochs = 2;
    CU_ASSERT(same_ends(&with, &without));
    with.opts.scrub.msteps = 2;
    CU_ASSERT(!same_ends(&with, &without));
    with.opts.scrub.msteps = 1;
    with.opts.tuning.optimizer.weight_decay = without.opts.tuning.optimizer.weight_decay = 0.1;
    CU_ASSERT(!same_ends(&with, &without));
}

static void without_a_teacher_it_is_fine_tuning(void)
{
    struct method_run r = method_run_of(METHOD_SCRUB), tune = method_run_of(METHOD_FINETUNE);
    r.opts.scrub = (struct scrub_opts){.alpha = 0, .gamma = 1, .temperature = 2, .msteps = 0};
    tune.opts.tuning = r.opts.tuning;
    CU_ASSERT(same_ends(&r, &tune));
    r.opts.scrub.alpha = 0.1;
    CU_ASSERT(!same_ends(&r, &tune));
}

/* --- salun */

/* By sorting: is place i among the k largest, equal ones in order? */
static int is_among(int64_t n, const double *g, int64_t k, int64_t i)
{
    int64_t before = 0;
    for (int64_t j = 0; j < n; j++)
        before += fabs(g[j]) > fabs(g[i]) || (fabs(g[j]) == fabs(g[i]) && j < i);
    return before < k;
}

static void check_mask(int64_t n, const double *g, double fraction, int64_t k)
{
    uint8_t mask[1000];
    int64_t wrong = 0;
    CU_ASSERT_EQUAL(salun_mask(n, g, fraction, mask), k);
    for (int64_t i = 0; i < n; i++)
        wrong += mask[i] != is_among(n, g, k, i);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void the_mask_takes_the_largest_and_the_first(void)
{
    enum { N = 1000 };
    float x[N];
    double g[N], coarse[N], zero[N] = {0}, wide[N];
    harness_fill(x, N, 4);
    for (int i = 0; i < N; i++) {
        g[i] = x[i];
        coarse[i] = rint(3 * (double)x[i]);
        wide[i] = ldexp(x[i], i - 500);
    }
    const double *const all[] = {g, coarse, zero, wide};
    for (int k = 0; k < 4; k++) {
        check_mask(N, all[k], 0.5, 500);
        check_mask(N, all[k], 0.001, 1);
        check_mask(N, all[k], 1e-9, 1); /* but for at least one */
        check_mask(N, all[k], 0.9996, 999);
        check_mask(N, all[k], 1, 1000);
    }
    check_mask(1, g, 0.5, 1);
    check_mask(7, coarse, 0.5, 3);
}

/* The moved parameters are those with the largest sums of naive gradients, over all tensors. */
static void what_is_masked_keeps_its_bits(void)
{
    int64_t n = method_table.model.n_param, k = n * 3 / 10, wrong = 0;
    struct method_run r = method_run_of(METHOD_SALUN);
    struct naive forget;
    r.opts.salun_fraction = 0.3;
    r.opts.tuning.optimizer.weight_decay = 0.1;
    method_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    naive_sum(&forget, &method_table, method_origin.w, &method_sets.forget, 1);
    for (int64_t i = 0; i < n; i++) {
        int moved = memcmp(&r.o.w[i], &method_origin.w[i], sizeof *r.o.w) != 0;
        wrong += moved != is_among(n, forget.gradient, k, i);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    naive_free(&forget);
    outcome_free(&r.o);
}

static void a_mask_of_all_is_none(void)
{
    struct method_run r = method_run_of(METHOD_SALUN), plain = method_run_of(METHOD_RANDOM_LABEL);
    r.opts.salun_fraction = 1;
    r.opts.relabel.exclude_true = plain.opts.relabel.exclude_true = 1;
    plain.opts.tuning = r.opts.tuning;
    CU_ASSERT(same_ends(&r, &plain));
}

/* --- cost */

/* What a run counts is what plans say, and what the formula says. */
static void check_cost(const struct method_run *plain)
{
    struct method_run r = *plain;
    int64_t n_r = method_sets.retain.n, n_f = method_sets.forget.n, n_v = method_sets.valid.n;
    int64_t gradients = 0, forwards = 0, epochs = r.opts.tuning.epochs;
    const struct unlearn_sizes sizes = {
        .train = n_r + n_f, .retain = n_r, .forget = n_f, .valid = n_v};
    switch (r.opts.method) {
    case METHOD_FINETUNE:
        gradients = epochs * n_r;
        break;
    case METHOD_ASCENT:
        gradients = epochs * n_f;
        forwards = epochs * (n_f + n_v);
        break;
    case METHOD_NEGGRAD_PLUS: /* 12 steps: three times round the four batches */
        gradients = epochs * n_r + 3 * n_f;
        break;
    case METHOD_SCRUB: {
        int64_t msteps = r.opts.scrub.msteps < epochs ? r.opts.scrub.msteps : epochs;
        gradients = forwards = epochs * n_r + msteps * n_f;
        break;
    }
    default:
        gradients = epochs * (n_r + n_f) + (r.opts.method == METHOD_SALUN) * n_f;
    }
    method_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_EQUAL(r.cost.gradients, gradients);
    CU_ASSERT_EQUAL(r.cost.forwards, forwards);
    CU_ASSERT_EQUAL(r.cost.hvps, 0);
    struct unlearn_load load = method_of(r.opts.method)->load(&r.opts, &sizes);
    CU_ASSERT_DOUBLE_EQUAL(load.gradients, (double)gradients + (double)forwards / 3, 1e-6);
    CU_ASSERT(load.rows >= (double)n_f && load.rows <= (double)(n_r + 2 * n_f + n_v));
    outcome_free(&r.o);
}

static void costs_are_what_plans_say(void)
{
    method_for_all(check_cost);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", method_open_data},
        {"ascent is fine-tuning upside down", ascent_is_fine_tuning_upside_down},
        {"ascent stops when it has passed validation", ascent_stops_when_it_has_passed_validation},
        {"a guard that sees no number is an error", a_guard_that_sees_no_number_is_an_error},
        {"half and half is the direction of IAU", half_and_half_is_the_direction_of_iau},
        {"all for the retained is fine-tuning", all_for_the_retained_is_fine_tuning},
        {"another seed draws other labels", another_seed_draws_other_labels},
        {"a lone class has no other", a_lone_class_has_no_other},
        {"the first ascent stands still", the_first_ascent_stands_still},
        {"without a teacher it is fine-tuning", without_a_teacher_it_is_fine_tuning},
        {"the mask takes the largest, and the first", the_mask_takes_the_largest_and_the_first},
        {"what is masked keeps its bits", what_is_masked_keeps_its_bits},
        {"a mask of all is none", a_mask_of_all_is_none},
        {"costs are what plans say", costs_are_what_plans_say},
        {"(close data)", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "methods", tests);
}
