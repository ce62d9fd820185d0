/* Runs of the unlearning step for tests. */
#include "unlearn_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"

struct outcome origin, image_origin;
struct partition few, one, most, neighbours, learned, image_few;

static void request_rows(struct partition *p, const int64_t *row, int64_t n)
{
    index_set_free(&p->retain);
    index_set_free(&p->forget);
    CU_ASSERT_EQUAL(index_set_from_rows(&p->forget, PART_TRAIN, row, n), IAU_OK);
    CU_ASSERT_EQUAL(index_set_minus(&p->retain, &p->train, &p->forget), IAU_OK);
}

/* A request for the rows at these positions of the training set. */
static void make_request(struct partition *p, const struct small_data *s, int64_t first, int64_t n,
                         int64_t stride)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    int64_t *row = mem_alloc(n, sizeof *row);
    CU_ASSERT_EQUAL(partition_init(p, &s->dataset, &split, NULL, &test_comm), IAU_OK);
    for (int64_t i = 0; i < n; i++)
        row[i] = p->train.row[first + i * stride];
    request_rows(p, row, n);
    free(row);
}

/* A request for the first 20 rows of little loss. */
static void request_learned(struct partition *p)
{
    int64_t row[20], n = 0;
    make_request(p, &table, 0, 1, 1);
    for (int64_t i = 0; i < p->train.n && n < 20; i++) {
        struct index_set single = {PART_TRAIN, 1, &p->train.row[i]};
        struct naive a;
        naive_sum(&a, &table, origin.w, &single, 0);
        if (a.loss < 0.2)
            row[n++] = *single.row;
    }
    CU_ASSERT_EQUAL(n, 20);
    request_rows(p, row, n);
}

void unlearn_open_data(void)
{
    run_open_data();
    make_request(&few, &table, 3, 16, 20);
    make_request(&one, &table, 100, 1, 1);
    make_request(&most, &table, 0, 327, 1);
    make_request(&neighbours, &table, 0, 12, 1);
    make_request(&image_few, &images, 1, 7, 20);
    struct train_opts opts = small_train_opts();
    opts.epochs = 10;
    small_train(&origin, &table, &few, &opts, &test_comm);
    request_learned(&learned);
    opts.epochs = 4;
    small_train(&image_origin, &images, &image_few, &opts, &test_comm);
}

void unlearn_close_data(void)
{
    struct partition *all[] = {&few, &one, &most, &neighbours, &learned, &image_few};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        partition_free(all[i]);
    outcome_free(&origin);
    outcome_free(&image_origin);
    run_close_data();
}

struct unlearn_run unlearn_table(const struct partition *request)
{
    struct iau_opts opts = {.correction = 1,
                            .weight = 1,
                            .optimizer = OPTIMIZER_ADAM,
                            .lr = 1e-3,
                            .scale = IAU_SCALE_MEAN,
                            .step = IAU_STEP_FIXED,
                            .steps = 1};
    return (struct unlearn_run){
        .data = &table, .sets = request, .opts = opts, .comm = test_comm, .w = origin.w};
}

void unlearn_execute(struct unlearn_run *r)
{
    struct engine e;
    struct progress progress = {0};
    small_engine(&e, r->data, 16, &r->comm);
    struct unlearn u = {.engine = &e,
                        .opts = &(struct method_opts){.iau = r->opts},
                        .sets = r->sets,
                        .w = r->w,
                        .gradient_sum = r->cache,
                        .loss_sum = r->cache ? r->cache_loss : NAN,
                        .name = "iau",
                        .progress = &progress};
    r->rc = iau_run(&r->o, &u);
    r->cost = e.cost;
    engine_free(&e);
}

int unlearn_same_parameters(const struct unlearn_run *a, const struct unlearn_run *b)
{
    size_t bytes = (size_t)a->data->model.n_param * sizeof *a->o.w;
    return a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, bytes) == 0;
}

int unlearn_same(const struct unlearn_run *a, const struct unlearn_run *b)
{
    return unlearn_same_parameters(a, b) && same_history(&a->o.history, &b->o.history);
}

void means_take(struct means *a, const struct small_data *s, const float *w,
                const struct partition *p)
{
    naive_sum(&a->retain, s, w, &p->retain, 1);
    naive_sum(&a->forget, s, w, &p->forget, 1);
    for (int64_t i = 0; i < s->model.n_param; i++) {
        a->retain.gradient[i] /= (double)p->retain.n;
        a->forget.gradient[i] /= (double)p->forget.n;
    }
}

void means_free(struct means *a)
{
    naive_free(&a->retain);
    naive_free(&a->forget);
}
