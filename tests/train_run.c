/* Training runs for tests. */
#include "train_run.h"

#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "harness.h"

struct small_data table, images;
struct partition sets, no_valid, tiny_valid, image_sets;

void run_open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2}, all = {.seed = 1},
                     tiny = {.seed = 1, .valid = 0.03};
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    small_data_open(&images, "images.h5", &small_images);
    CU_ASSERT_EQUAL(partition_init(&sets, &table.dataset, &split, NULL, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(partition_init(&image_sets, &images.dataset, &split, NULL, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(partition_init(&no_valid, &table.dataset, &all, NULL, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(partition_init(&tiny_valid, &table.dataset, &tiny, NULL, &test_comm), IAU_OK);
}

void run_close_data(void)
{
    partition_free(&sets);
    partition_free(&image_sets);
    partition_free(&no_valid);
    partition_free(&tiny_valid);
    small_data_close(&table);
    small_data_close(&images);
}

struct train_run run_table(void)
{
    return (struct train_run){.data = &table,
                              .sets = &sets,
                              .opts = small_train_opts(),
                              .comm = test_comm,
                              .restart = "/nowhere/r.h5"};
}

struct train_run run_images(void)
{
    struct train_run r = run_table();
    r.data = &images;
    r.sets = &image_sets;
    return r;
}

void run_execute(struct train_run *r)
{
    struct engine e;
    struct progress progress = {0};
    small_engine(&e, r->data, (int)r->opts.unit, &r->comm);
    struct restart restart = {.path = r->restart,
                              .settings = "the settings",
                              .name = "origin",
                              .opts = r->checkpoint,
                              .resume = r->resume};
    struct trainer t = {.engine = &e,
                        .opts = &r->opts,
                        .train = &r->sets->train,
                        .valid = &r->sets->valid,
                        .name = "origin",
                        .restart = &restart,
                        .progress = &progress};
    r->rc = trainer_run(&r->o, &t);
    r->cost = e.cost;
    engine_free(&e);
}

int run_same(const struct train_run *a, const struct train_run *b)
{
    size_t n = (size_t)a->data->model.n_param;
    return a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, n * sizeof *a->o.w) == 0 &&
           !a->o.gradient_sum == !b->o.gradient_sum &&
           (!a->o.gradient_sum ||
            memcmp(a->o.gradient_sum, b->o.gradient_sum, n * sizeof *a->o.gradient_sum) == 0) &&
           a->o.loss_sum == b->o.loss_sum && same_history(&a->o.history, &b->o.history) &&
           a->cost.gradients == b->cost.gradients && a->cost.hvps == b->cost.hvps &&
           a->cost.forwards == b->cost.forwards;
}

int run_same_parameters(const struct train_run *a, const struct train_run *b)
{
    return a->o.w && b->o.w &&
           memcmp(a->o.w, b->o.w, (size_t)a->data->model.n_param * sizeof *a->o.w) == 0;
}

struct train_run run_wrecked(int64_t epochs, int64_t patience)
{
    struct train_run r = run_table();
    r.opts.epochs = epochs;
    r.opts.patience = patience;
    r.opts.batch = 20;
    r.opts.optimizer.lr = 0.03;
    r.opts.schedule = (struct schedule_opts){.name = SCHEDULE_STEP, .every = 1, .factor = 30};
    return r;
}

/* The rule on the history: ties count as improvement. @return the epoch whose model is to be kept;
 * *last the one to stop after */
static int64_t expected_best(const struct history *h, int64_t epochs, int64_t patience,
                             int64_t *last)
{
    int64_t best = 0, worse = 0;
    for (int64_t e = 1; e < h->n_row; e++) {
        int better = history_at(h, e, "accuracy_valid") >= history_at(h, best, "accuracy_valid");
        worse = better ? 0 : worse + 1;
        best = better ? e : best;
        if (patience && worse >= patience) {
            *last = e;
            return best;
        }
    }
    *last = epochs - 1;
    return best;
}

int64_t run_check_kept(struct train_run *r)
{
    int64_t last, best = expected_best(&r->o.history, r->opts.epochs, r->opts.patience, &last);
    struct train_run shorter = *r;
    struct partition unwatched = *r->sets;
    unwatched.valid = (struct index_set){PART_TRAIN, 0, NULL};
    shorter.sets = &unwatched;
    CU_ASSERT_EQUAL(r->rc, IAU_OK);
    CU_ASSERT_EQUAL(r->o.history.n_row, last + 1);
    shorter.opts.epochs = best + 1;
    run_execute(&shorter);
    CU_ASSERT_TRUE(run_same_parameters(r, &shorter));
    outcome_free(&shorter.o);
    return best;
}

void run_expect_failure(struct train_run *r, int code, const char *part)
{
    char printed[2000];
    struct capture c;
    capture_begin(&c);
    run_execute(r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r->rc, code, printed, part);
    CU_ASSERT_TRUE(!r->o.w && !r->o.gradient_sum && !r->o.history.value);
}
