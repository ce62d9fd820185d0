/* The unlearning step: q against direct sums over D_r and D_f, one formula with and without the
 * cache, and the same bytes at any rank count. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "unlearn_run.h"

/* --- q against naive sums */

/* q of a run: by a gradient step so long that the rounding of the parameters does not show. */
static void measure_q(struct unlearn_run *r, double *q)
{
    const double lr = 0x1p20;
    r->opts.optimizer = OPTIMIZER_SGD;
    r->opts.lr = lr;
    unlearn_execute(r);
    CU_ASSERT_EQUAL(r->rc, IAU_OK);
    for (int64_t i = 0; i < r->data->model.n_param; i++)
        q[i] = r->o.w ? ((double)r->w[i] - r->o.w[i]) / lr : NAN;
}

/* ||q - (c_r g(D_r) - c_f g(D_f))|| relative to q. */
static double q_error(struct unlearn_run *r, double c_retain, double c_forget)
{
    int64_t n = r->data->model.n_param;
    struct means a;
    double *q = mem_alloc(n, sizeof *q), *expected = mem_alloc(n, sizeof *expected);
    means_take(&a, r->data, r->w, r->sets);
    for (int64_t i = 0; i < n; i++)
        expected[i] = c_retain * a.retain.gradient[i] - c_forget * a.forget.gradient[i];
    measure_q(r, q);
    double error = relative_error(q, expected, n);
    means_free(&a);
    free(q);
    free(expected);
    outcome_free(&r->o);
    return error;
}

static void q_is_the_difference_of_two_means(void)
{
    struct unlearn_run r = unlearn_table(&few);
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    r = unlearn_table(&few);
    r.cache = origin.gradient_sum;
    r.cache_loss = origin.loss_sum;
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, few.forget.n); /* what the cache is for */
    r = (struct unlearn_run){.data = &images,
                             .sets = &image_few,
                             .opts = r.opts,
                             .comm = test_comm,
                             .w = image_origin.w};
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, image_few.train.n + image_few.forget.n);
}

static void odd_requests(void)
{
    struct unlearn_run r = unlearn_table(&one);
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, 328 + 1);
    r = unlearn_table(&most); /* D_r is the smaller set: it has its own sweep */
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, 1 + 327);
    r = unlearn_table(&neighbours);
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
}

static void weight_scale_and_correction(void)
{
    struct unlearn_run r = unlearn_table(&few);
    r.opts.weight = 0.25;
    CU_ASSERT_TRUE(q_error(&r, 0.25, 1) < 1e-6);
    r = unlearn_table(&few);
    r.opts.scale = IAU_SCALE_SUM;
    CU_ASSERT_TRUE(q_error(&r, (double)few.retain.n, (double)few.forget.n) < 1e-6);
    r = unlearn_table(&few);
    r.opts.correction = 0;
    r.opts.weight = 7; /* of nothing */
    CU_ASSERT_TRUE(q_error(&r, 0, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, few.forget.n);
    r = unlearn_table(&most);
    r.opts.correction = 0;
    CU_ASSERT_TRUE(q_error(&r, 0, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, most.forget.n);
}

/* IA alone is gradient ascent on the forgotten. */
static void without_correction_it_is_ascent(void)
{
    struct unlearn_run r = unlearn_table(&few);
    struct naive before, after;
    r.opts.correction = 0;
    r.opts.optimizer = OPTIMIZER_SGD;
    r.opts.lr = 0.01;
    unlearn_execute(&r);
    naive_sum(&before, &table, r.w, &few.forget, 1);
    naive_sum(&after, &table, r.o.w, &few.forget, 0);
    double n = (double)few.forget.n, squared = 0;
    for (int64_t i = 0; i < table.model.n_param; i++)
        squared += before.gradient[i] * before.gradient[i] / (n * n);
    double gain = (after.loss - before.loss) / n; /* to first order lr ||g_f||^2 */
    CU_ASSERT_TRUE(gain > 0.9 * 0.01 * squared && gain < 1.2 * 0.01 * squared);
    outcome_free(&r.o);
    naive_free(&before);
    naive_free(&after);
}

/* The reference step: Adam from zero state is lr against the sign of q. */
static void adam_steps_by_the_sign(void)
{
    struct unlearn_run r = unlearn_table(&few);
    struct means a;
    unlearn_execute(&r);
    means_take(&a, &table, r.w, &few);
    int64_t n_clear = 0;
    for (int64_t i = 0; i < table.model.n_param; i++) {
        double q = a.retain.gradient[i] - a.forget.gradient[i];
        if (fabs(q) < 1e-5)
            continue;
        n_clear++;
        CU_ASSERT_DOUBLE_EQUAL((double)r.o.w[i] - r.w[i], q > 0 ? -1e-3 : 1e-3, 2e-6);
    }
    CU_ASSERT_TRUE(n_clear > table.model.n_param / 2);
    outcome_free(&r.o);
    means_free(&a);
}

/* --- the same bytes */

static void with_and_without_cache(void)
{
    const struct partition *requests[] = {&few, &one, &neighbours};
    for (int i = 0; i < 3; i++)
        for (int optimizer = OPTIMIZER_ADAM; optimizer <= OPTIMIZER_SGD; optimizer++) {
            struct unlearn_run cached = unlearn_table(requests[i]), swept;
            cached.opts.optimizer = optimizer;
            swept = cached;
            cached.cache = origin.gradient_sum;
            cached.cache_loss = origin.loss_sum;
            unlearn_execute(&cached);
            unlearn_execute(&swept);
            CU_ASSERT_TRUE(unlearn_same(&cached, &swept));
            CU_ASSERT_EQUAL(swept.cost.gradients, cached.cost.gradients + 328);
            outcome_free(&cached.o);
            outcome_free(&swept.o);
        }
}

/* The trainer's sum and the function that recomputes it are one thing. */
static void the_cache_is_the_sum_at_the_origin(void)
{
    struct engine e;
    double loss, *sum = mem_alloc(table.model.n_param, sizeof *sum);
    small_engine(&e, &table, 16, &test_comm);
    CU_ASSERT_EQUAL(trainer_gradient_sum(&e, origin.w, &few.train, sum, &loss), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(sum, origin.gradient_sum, (size_t)table.model.n_param * sizeof *sum), 0);
    CU_ASSERT_EQUAL(loss, origin.loss_sum);
    engine_free(&e);
    free(sum);
}

/* A cache that does not apply must not be looked at; one that does is. */
static void where_the_cache_serves(void)
{
    int64_t n = table.model.n_param;
    double *nonsense = mem_alloc(n, sizeof *nonsense);
    for (int64_t i = 0; i < n; i++)
        nonsense[i] = i % 2 ? 1e5 : -1e5;
    for (int k = 0; k < 3; k++) {
        struct unlearn_run with = unlearn_table(k == 1 ? &most : &few), without;
        with.opts.correction = k != 2;
        without = with;
        with.cache = nonsense;
        unlearn_execute(&with);
        unlearn_execute(&without);
        CU_ASSERT_EQUAL(unlearn_same_parameters(&with, &without), k > 0);
        outcome_free(&with.o);
        outcome_free(&without.o);
    }
    free(nonsense);
}

/* On all ranks, and on one: this process alone. */
static void compare_with_one_rank(struct unlearn_run *r)
{
    struct unlearn_run alone = *r;
    alone.comm = small_self();
    unlearn_execute(r);
    unlearn_execute(&alone);
    CU_ASSERT_TRUE(unlearn_same(r, &alone));
    outcome_free(&r->o);
    outcome_free(&alone.o);
}

static void same_bytes_at_any_rank_count(void)
{
    const struct partition *requests[] = {&few, &one, &most, &neighbours};
    for (int i = 0; i < 4; i++) {
        struct unlearn_run r = unlearn_table(requests[i]);
        compare_with_one_rank(&r);
        r.opts.steps = 3;
        r.opts.scale = IAU_SCALE_SUM;
        r.cache = origin.gradient_sum;
        r.cache_loss = origin.loss_sum;
        compare_with_one_rank(&r);
        r.opts.steps = 1;
        r.opts.correction = 0;
        compare_with_one_rank(&r);
    }
    struct unlearn_run r = unlearn_table(&learned);
    r.opts.step = IAU_STEP_CALIBRATED;
    compare_with_one_rank(&r);
    r = unlearn_table(NULL);
    r.data = &images;
    r.sets = &image_few;
    r.w = image_origin.w;
    compare_with_one_rank(&r);
}

static void same_bytes_at_any_thread_count(void)
{
    int n_thread = omp_get_max_threads();
    struct unlearn_run single = unlearn_table(&few), two;
    single.opts.steps = 2;
    two = single;
    omp_set_num_threads(1);
    unlearn_execute(&single);
    omp_set_num_threads(2);
    unlearn_execute(&two);
    omp_set_num_threads(n_thread);
    CU_ASSERT_TRUE(unlearn_same(&single, &two));
    outcome_free(&single.o);
    outcome_free(&two.o);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", unlearn_open_data},
        {"q is the difference of two means", q_is_the_difference_of_two_means},
        {"odd requests", odd_requests},
        {"weight, scale and correction", weight_scale_and_correction},
        {"without correction it is ascent", without_correction_it_is_ascent},
        {"adam steps by the sign", adam_steps_by_the_sign},
        {"with and without cache", with_and_without_cache},
        {"the cache is the sum at the origin", the_cache_is_the_sum_at_the_origin},
        {"where the cache serves", where_the_cache_serves},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"same bytes at any thread count", same_bytes_at_any_thread_count},
        {"close the data", unlearn_close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "iau", tests);
}
