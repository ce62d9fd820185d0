/* Training: the same bytes at any rank and thread count, what is learned, the restricted gradient,
 * and the best model kept. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "train/restriction.h"
#include "train_run.h"

/* --- the same bytes */

/* On all ranks, and on one: this process alone. */
static void compare_with_one_rank(struct train_run *r)
{
    struct train_run alone = *r;
    alone.comm = small_self();
    run_execute(r);
    run_execute(&alone);
    CU_ASSERT_TRUE(run_same(r, &alone));
    outcome_free(&r->o);
    outcome_free(&alone.o);
}

static void same_bytes_at_any_rank_count(void)
{
    static const int64_t sizes[][2] = {
        {50, 16}, {20, 16}, {7, 16}, {64, 5}, {1000, 64}}; /* batch and unit */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int norm = RESTRICTION_PER_TENSOR; norm <= RESTRICTION_GLOBAL; norm++) {
            struct train_run r = run_table();
            r.opts.batch = sizes[i][0]; /* 328 samples: no batch but 8 divides them; 7 in a unit of
                                           16 is one shard */
            r.opts.unit = sizes[i][1];
            r.opts.restriction = (struct restriction_opts){0.05, norm};
            compare_with_one_rank(&r);
        }
    struct train_run r = run_images();
    r.opts.restriction.alpha = 0.01;
    compare_with_one_rank(&r);
    r.opts.restriction.alpha = 0;
    r.opts.batch = 33;
    r.opts.optimizer = (struct optimizer_opts){
        .name = OPTIMIZER_SGD, .lr = 0.05, .momentum = 0.9, .weight_decay = 1e-3};
    compare_with_one_rank(&r);
}

static void same_bytes_at_any_thread_count(void)
{
    int n_thread = omp_get_max_threads();
    struct train_run one = run_images(), two;
    one.opts.restriction.alpha = 0.01;
    one.opts.unit = 10;
    two = one;
    omp_set_num_threads(1);
    run_execute(&one);
    omp_set_num_threads(2);
    run_execute(&two);
    omp_set_num_threads(n_thread);
    CU_ASSERT_TRUE(run_same(&one, &two));
    outcome_free(&one.o);
    outcome_free(&two.o);
}

/* --- what is learned */

static void training_learns(void)
{
    struct train_run r = run_table(), images_run = run_images();
    struct naive a;
    r.opts.epochs = images_run.opts.epochs = 12;
    run_execute(&r);
    CU_ASSERT_TRUE(history_at(&r.o.history, 11, "accuracy_train") > 0.75);
    CU_ASSERT_TRUE(history_at(&r.o.history, 11, "accuracy_valid") > 0.7);
    CU_ASSERT_TRUE(history_at(&r.o.history, 11, "loss_train") <
                   history_at(&r.o.history, 0, "loss_train"));
    naive_sum(&a, &table, r.o.w, &sets.test, 0);
    CU_ASSERT_TRUE((double)a.correct / (double)sets.test.n > 0.7); /* a third by chance */
    outcome_free(&r.o);
    naive_free(&a);
    images_run.opts.optimizer.lr = 2e-3;
    run_execute(&images_run);
    CU_ASSERT_TRUE(history_at(&images_run.o.history, 11, "accuracy_valid") > 0.7);
    outcome_free(&images_run.o);
}

/* With a rate of 0 the columns must be the initial model's figures: every sample is seen once an
 * epoch. */
static void an_epoch_sees_each_sample_once(void)
{
    struct train_run r = run_table();
    struct naive train, valid;
    float *w = mem_alloc(table.model.n_param, sizeof *w);
    r.opts.optimizer.lr = 0;
    r.opts.schedule.name = SCHEDULE_COSINE;
    run_execute(&r);
    model_init_params(&table.model, 42, w);
    CU_ASSERT_TRUE(r.o.w && memcmp(w, r.o.w, (size_t)table.model.n_param * sizeof *w) == 0);
    naive_sum(&train, &table, w, &sets.train, 1);
    naive_sum(&valid, &table, w, &sets.valid, 0);
    double n = (double)sets.train.n, n_valid = (double)sets.valid.n;
    for (int e = 0; e < 2; e++) {
        CU_ASSERT_EQUAL(history_at(&r.o.history, e, "epoch"), e + 1);
        CU_ASSERT_EQUAL(history_at(&r.o.history, e, "lr"), 0);
        CU_ASSERT_DOUBLE_EQUAL(history_at(&r.o.history, e, "loss_train"), train.loss / n, 1e-6);
        CU_ASSERT_EQUAL(history_at(&r.o.history, e, "accuracy_train"), (double)train.correct / n);
        CU_ASSERT_DOUBLE_EQUAL(history_at(&r.o.history, e, "loss_valid"), valid.loss / n_valid,
                               1e-6);
        CU_ASSERT_EQUAL(history_at(&r.o.history, e, "accuracy_valid"),
                        (double)valid.correct / n_valid);
    }
    CU_ASSERT_EQUAL(r.cost.gradients, 3 * sets.train.n); /* two epochs and the gradient sum */
    CU_ASSERT_EQUAL(r.cost.forwards, 2 * sets.valid.n);
    CU_ASSERT_EQUAL(r.cost.hvps, 0);
    CU_ASSERT_TRUE(relative_error(r.o.gradient_sum, train.gradient, table.model.n_param) < 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(r.o.loss_sum, train.loss, 1e-5 * train.loss);
    outcome_free(&r.o);
    naive_free(&train);
    naive_free(&valid);
    free(w);
}

static void the_rate_follows_the_schedule(void)
{
    struct train_run r = run_table(), constant = run_table();
    r.opts.epochs = 3;
    r.opts.schedule = (struct schedule_opts){.name = SCHEDULE_STEP, .every = 2, .factor = 0.1};
    run_execute(&r);
    constant.opts.epochs = 2;
    run_execute(&constant);
    CU_ASSERT_EQUAL(history_at(&r.o.history, 1, "lr"), 0.01);
    CU_ASSERT_DOUBLE_EQUAL(history_at(&r.o.history, 2, "lr"), 0.001, 1e-12);
    for (int e = 0; e < 2; e++) /* up to the drop nothing differs */
        CU_ASSERT_EQUAL(history_at(&r.o.history, e, "loss_train"),
                        history_at(&constant.o.history, e, "loss_train"));
    outcome_free(&r.o);
    outcome_free(&constant.o);
}

static void no_gradient_sum_unless_wanted(void)
{
    struct train_run r = run_table();
    r.opts.epochs = 1;
    r.opts.gradient_sum = 0;
    run_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_PTR_NULL(r.o.gradient_sum);
    CU_ASSERT_EQUAL(r.cost.gradients, sets.train.n);
    outcome_free(&r.o);
}

/* --- gradient restriction */

/* The mean gradient over the training set by naive loops. */
static void mean_gradient(const float *w, double *g)
{
    struct naive a;
    naive_sum(&a, &table, w, &sets.train, 1);
    for (int64_t i = 0; i < table.model.n_param; i++)
        g[i] = a.gradient[i] / (double)sets.train.n;
    naive_free(&a);
}

/* One SGD step of rate 1 on the whole set moves by g + alpha H v: H v from differences of naive
 * gradients. */
static void restricted_step(enum restriction_norm norm, double alpha)
{
    int64_t n = table.model.n_param;
    struct train_run r = run_table();
    r.opts.epochs = 1;
    r.opts.batch = 400; /* one step */
    r.opts.restriction = (struct restriction_opts){alpha, norm};
    r.opts.optimizer = (struct optimizer_opts){.name = OPTIMIZER_SGD, .lr = 1};
    run_execute(&r);
    float *w = mem_alloc(n, sizeof *w), *v = mem_alloc(n, sizeof *v),
          *at = mem_alloc(n, sizeof *at);
    double *g[3], *moved = mem_alloc(n, sizeof *moved), *expected = mem_alloc(n, sizeof *expected);
    model_init_params(&table.model, 42, w);
    for (int k = 0; k < 3; k++)
        g[k] = mem_alloc(n, sizeof **g);
    mean_gradient(w, g[1]);
    for (int64_t i = 0; i < n; i++)
        at[i] = (float)g[1][i];
    restriction_direction(&table.model, norm, at, v);
    const double h = 0.01;
    for (int k = 0; k < 3; k += 2) {
        for (int64_t i = 0; i < n; i++)
            at[i] = w[i] + (float)((k - 1) * h) * v[i];
        mean_gradient(at, g[k]);
    }
    double along = 0;
    for (int64_t i = 0; i < n; i++) {
        double product = (g[2][i] - g[0][i]) / (2 * h);
        expected[i] = g[1][i] + alpha * product;
        along += product * product;
        moved[i] = r.o.w ? (double)w[i] - r.o.w[i] : 0;
    }
    CU_ASSERT_TRUE(alpha * sqrt(along) > 0.1); /* the second term is no trifle here */
    CU_ASSERT_TRUE(relative_error(moved, expected, n) < 2e-4);
    CU_ASSERT_EQUAL(r.cost.hvps, sets.train.n);
    for (int k = 0; k < 3; k++)
        free(g[k]);
    free(w);
    free(v);
    free(at);
    free(moved);
    free(expected);
    outcome_free(&r.o);
}

static void restriction_adds_its_exact_gradient(void)
{
    restricted_step(RESTRICTION_GLOBAL, 0.8);
    restricted_step(RESTRICTION_PER_TENSOR, 0.8);
}

/* --- early stopping */

static void the_best_model_is_kept(void)
{
    struct train_run patient = run_wrecked(4, 0), hasty = run_wrecked(6, 2), steady = run_table();
    run_execute(&patient);
    CU_ASSERT_EQUAL(patient.o.history.n_row, 4);  /* patience 0 never stops */
    CU_ASSERT_EQUAL(run_check_kept(&patient), 0); /* the first epoch's model has a copy, too */
    run_execute(&hasty);
    CU_ASSERT_EQUAL(hasty.o.history.n_row, 3);
    CU_ASSERT_EQUAL(run_check_kept(&hasty), 0);
    CU_ASSERT_TRUE(run_same_parameters(&patient, &hasty));
    steady.opts.epochs = 14;
    steady.opts.patience = 3;
    steady.opts.optimizer.lr = 0.05; /* goes up and down */
    run_execute(&steady);
    CU_ASSERT_TRUE(run_check_kept(&steady) > 0);
    outcome_free(&patient.o);
    outcome_free(&hasty.o);
    outcome_free(&steady.o);
}

static void of_equals_the_last_is_kept(void)
{
    struct train_run r = run_table();
    int64_t n_best = 0;
    r.sets = &tiny_valid; /* 12 samples have few accuracies to choose from */
    r.opts.epochs = 9;
    r.opts.patience = 8;
    run_execute(&r);
    int64_t best = run_check_kept(&r);
    for (int64_t e = 0; e < r.o.history.n_row; e++)
        n_best += history_at(&r.o.history, e, "accuracy_valid") ==
                  history_at(&r.o.history, best, "accuracy_valid");
    CU_ASSERT_TRUE(n_best > 1);
    outcome_free(&r.o);
}

/* The cache for unlearning belongs to the parameters handed over, not to the last ones. */
static void the_gradient_sum_is_the_best_models(void)
{
    struct train_run r = run_wrecked(3, 0);
    struct naive a;
    run_execute(&r);
    naive_sum(&a, &table, r.o.w, &sets.train, 1);
    CU_ASSERT_TRUE(relative_error(r.o.gradient_sum, a.gradient, table.model.n_param) < 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(r.o.loss_sum, a.loss, 1e-5 * a.loss);
    naive_free(&a);
    outcome_free(&r.o);
}

static void without_validation_the_last_model_is_kept(void)
{
    struct train_run r = run_wrecked(3, 1), first = run_wrecked(1, 0);
    struct naive a;
    r.sets = first.sets = &no_valid;
    run_execute(&r);
    run_execute(&first);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_EQUAL(r.o.history.n_row, 3);
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "accuracy_valid")));
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 2, "loss_valid")));
    CU_ASSERT_FALSE(run_same_parameters(&r, &first));
    naive_sum(&a, &table, r.o.w, &no_valid.train, 0);
    CU_ASSERT_TRUE(a.loss / (double)no_valid.train.n >
                   2 * history_at(&first.o.history, 0, "loss_train"));
    CU_ASSERT_EQUAL(r.cost.forwards, 0);
    outcome_free(&r.o);
    outcome_free(&first.o);
}

/* Refused before a row is looked at: there is no such file. */
static void a_rank_takes_no_more_rows_than_its_order_can_name(void)
{
    struct train_run r = run_table();
    struct partition huge = *r.sets;
    huge.train = (struct index_set){.part = PART_TRAIN, .n = (int64_t)test_comm.size << 32};
    r.sets = &huge;
    run_expect_failure(&r, IAU_ERR_CONFIG, "training samples on one rank");
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", run_open_data},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"same bytes at any thread count", same_bytes_at_any_thread_count},
        {"training learns", training_learns},
        {"an epoch sees each sample once", an_epoch_sees_each_sample_once},
        {"the rate follows the schedule", the_rate_follows_the_schedule},
        {"no gradient sum unless wanted", no_gradient_sum_unless_wanted},
        {"restriction adds its exact gradient", restriction_adds_its_exact_gradient},
        {"the best model is kept", the_best_model_is_kept},
        {"of equals the last is kept", of_equals_the_last_is_kept},
        {"the gradient sum is the best model's", the_gradient_sum_is_the_best_models},
        {"without validation the last model is kept", without_validation_the_last_model_is_kept},
        {"a rank takes no more rows than its order can name",
         a_rank_takes_no_more_rows_than_its_order_can_name},
        {"close the data", run_close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "train", tests);
}
