/* Steps over ranks and threads: the same bytes as one process that goes through all units in order,
 * also where one unit on one rank takes a short way. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"
#include "data/shard.h"
#include "harness.h"
#include "small_data.h"

/* A batch whose units have 16, 16, 9 and 1 samples, at scattered rows. */
enum { N_PIECES = 4, N_BATCH = 42 };

static void make_batch(int32_t *index, struct piece *piece, int64_t n_rows)
{
    static const int sizes[N_PIECES] = {16, 16, 9, 1};
    for (int i = 0; i < N_BATCH; i++)
        index[i] = (int32_t)((i * 37 + 11) % n_rows);
    for (int i = 0, used = 0; i < N_PIECES; used += sizes[i++])
        piece[i] = (struct piece){index + used, sizes[i]};
}

/* A step on this rank's units, its gradient kept, then the product along v, each reduced. */
static void run_step(struct engine *e, const struct work *work, const float *w, const float *v,
                     struct sums *sums, int64_t *gradient, int64_t *product)
{
    int64_t n = N_BATCH;
    size_t bytes = (size_t)(e->model->n_param + N_VALUE) * sizeof *gradient;
    sums_begin(sums, &n);
    sweep_add_step_gradient(e, w, work, sums, 0, 1);
    CU_ASSERT_EQUAL(sweep_reduce(e, sums, "a step"), IAU_OK);
    memcpy(gradient, sums->acc, bytes);
    sums_begin(sums, &n);
    sweep_add_step_product(e, w, v, work->n_unit, sums);
    CU_ASSERT_EQUAL(sweep_reduce(e, sums, "a product"), IAU_OK);
    memcpy(product, sums->acc, bytes);
}

/* The same by hand; values of a product are 0. */
static void step_by_hand(const struct small_data *s, const struct engine *e,
                         const struct work *batch, const float *w, const float *v,
                         int64_t *gradient, int64_t *product)
{
    const struct model *m = &s->model;
    double scale = exact_scale(N_BATCH, EXACT_BITS_VALUE);
    float *x = mem_alloc(m->n_param, sizeof *x);
    struct unit u = {0};
    REQUIRE(x && unit_init(&u, m, e->lanes, UNIT_TANGENT) == IAU_OK);
    for (int i = 0; i < N_PIECES; i++) {
        sweep_gather(e, batch, i, &u);
        model_forward(m, w, &u);
        model_backward(m, w, &u, x);
        exact_add(gradient, x, m->n_param, scale, EXACT_BITS_VALUE);
        exact_add_one(gradient + m->n_param + VALUE_LOSS, unit_loss(&u), scale, EXACT_BITS_VALUE);
        exact_add_one(gradient + m->n_param + VALUE_CORRECT, (double)unit_correct(m, &u), scale,
                      EXACT_BITS_VALUE);
        model_hessian_product(m, w, v, &u, x);
        exact_add(product, x, m->n_param, scale, EXACT_BITS_VALUE);
    }
    unit_free(&u);
    free(x);
}

static void check_step(struct small_data *s, int n_thread)
{
    struct engine e;
    struct sums sums;
    struct piece piece[N_PIECES];
    int32_t index[N_BATCH];
    int64_t n = s->model.n_param, *sum[4];
    omp_set_num_threads(n_thread);
    small_engine(&e, s, 16, &test_comm);
    omp_set_num_threads(1);
    struct range own = shard_range(N_PIECES, test_comm.rank, test_comm.size);
    float *w = small_params(&s->model), *v = mem_alloc(n, sizeof *v);
    harness_fill(v, n, 5);
    for (int i = 0; i < 4; i++)
        sum[i] = mem_alloc(n + N_VALUE, sizeof *sum[i]);
    make_batch(index, piece, s->dataset.n[PART_TRAIN]);
    struct work batch = {.rows = &s->rows[PART_TRAIN], .n_unit = N_PIECES, .piece = piece};
    struct work mine = {
        .rows = batch.rows, .n_unit = own.end - own.begin, .piece = piece + own.begin};
    CU_ASSERT_EQUAL(engine_keep(&e, (int)mine.n_unit), IAU_OK);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &n, N_VALUE, e.n_thread), IAU_OK);
    run_step(&e, &mine, w, v, &sums, sum[0], sum[1]);
    step_by_hand(s, &e, &batch, w, v, sum[2], sum[3]);
    CU_ASSERT(!memcmp(sum[0], sum[2], (size_t)(n + N_VALUE) * sizeof *sum[0]));
    CU_ASSERT(!memcmp(sum[1], sum[3], (size_t)(n + N_VALUE) * sizeof *sum[0]));
    CU_ASSERT(e.n_thread == n_thread && e.cost.gradients == N_BATCH && e.cost.hvps == N_BATCH);
    for (int i = 0; i < 4; i++)
        free(sum[i]);
    free(w);
    free(v);
    sums_free(&sums);
    engine_free(&e);
}

static void a_step_and_its_product_are_those_of_one_process(void)
{
    static struct small_data s;
    static const struct small_shape *const shapes[] = {&small_images, &small_table};
    for (int i = 0; i < 2; i++) {
        small_data_open(&s, "step.h5", shapes[i]);
        for (int n_thread = 1; n_thread <= 3; n_thread++)
            check_step(&s, n_thread);
        small_data_close(&s);
    }
}

/* Whether two sums hand out the same bits, in pieces that no chunk of the conversion divides. */
static int hand_out_the_same(const struct sums *a, const struct sums *b, const float *start)
{
    const struct sums *s[2] = {a, b};
    int64_t n = a->segment[0].n_vector;
    float *mean[2], *added[2];
    double *total[2];
    for (int k = 0; k < 2; k++) {
        mean[k] = mem_alloc(n, sizeof **mean);
        added[k] = mem_alloc(n, sizeof **added);
        total[k] = mem_alloc(n, sizeof **total);
        memcpy(added[k], start, (size_t)n * sizeof *start);
        for (int64_t i = 0; i < n; i += 777) {
            int64_t count = n - i < 777 ? n - i : 777;
            sums_mean(s[k], 0, i, count, mean[k] + i);
            sums_add_mean(s[k], 0, 0.3, i, count, added[k] + i);
        }
        sums_total(s[k], 0, total[k]);
    }
    int same = !memcmp(mean[0], mean[1], (size_t)n * sizeof **mean) &&
               !memcmp(added[0], added[1], (size_t)n * sizeof **added) &&
               !memcmp(total[0], total[1], (size_t)n * sizeof **total);
    for (int k = 0; k < 2; k++) {
        free(mean[k]);
        free(added[k]);
        free(total[k]);
    }
    for (int i = 0; i < N_VALUE; i++)
        same &= sums_value(a, 0, i) == sums_value(b, 0, i);
    return same;
}

/* The vector that a step of one unit on one rank leaves to its sums, against the same vector by way
 * of the integers: first as it is, then with addends that cannot be summed. */
static void a_step_of_one_unit_needs_no_integers(void)
{
    static struct small_data s;
    struct engine e;
    struct sums sums, integers;
    struct piece piece[N_PIECES];
    int32_t index[N_BATCH];
    struct comm self = small_self();
    int64_t n_samples = 16;
    small_data_open(&s, "one.h5", &small_images);
    small_engine(&e, &s, 16, &self);
    int64_t n = s.model.n_param;
    float *w = small_params(&s.model), *v = mem_alloc(n, sizeof *v);
    harness_fill(v, n, 5);
    make_batch(index, piece, s.dataset.n[PART_TRAIN]);
    struct work work = {.rows = &s.rows[PART_TRAIN], .n_unit = 1, .piece = piece};
    CU_ASSERT_EQUAL(engine_keep(&e, 1), IAU_OK);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &n, N_VALUE, 1), IAU_OK);
    CU_ASSERT_EQUAL(sums_init(&integers, 1, &n, N_VALUE, 1), IAU_OK);
    for (int pass = 0; pass < 4; pass++) { /* a gradient, a product, both again but bad */
        sums_begin(&sums, &n_samples);
        sums_begin(&integers, &n_samples);
        if (pass >= 2)
            w[n / 2] = NAN;
        if (pass % 2 == 0)
            sweep_add_step_gradient(&e, w, &work, &sums, 0, 1);
        else
            sweep_add_step_product(&e, w, v, 1, &sums);
        CU_ASSERT_PTR_EQUAL(sums.segment[0].lone, e.worker[0].vector);
        double value[N_VALUE] = {sums_value(&sums, 0, 0), sums_value(&sums, 0, 1)};
        sums_add(&integers, 0, 0, e.worker[0].vector, value);
        CU_ASSERT_EQUAL(*sums_bad(&sums, 0) > 0, pass >= 2);
        CU_ASSERT_EQUAL(sums.first_bad[0], integers.first_bad[0]);
        CU_ASSERT_EQUAL(sweep_reduce(&e, &sums, NULL), sweep_reduce(&e, &integers, NULL));
        if (pass < 2)
            CU_ASSERT(hand_out_the_same(&sums, &integers, v));
    }
    sums_free(&sums);
    sums_free(&integers);
    free(w);
    free(v);
    engine_free(&e);
    small_data_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a step and its product are those of one process",
         a_step_and_its_product_are_those_of_one_process},
        {"a step of one unit needs no integers", a_step_of_one_unit_needs_no_integers},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "step", tests);
}
