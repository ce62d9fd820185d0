/* Sweeps and steps over ranks and threads: the same bytes as one process that goes through all
 * units in order. */
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

/* --- one process, unit after unit, without the sweep layer but for its gather */

/* Exact sums of a set: n_param gradients, then loss and hits. */
static int64_t *sum_by_hand(const struct small_data *s, const struct engine *e, const float *w,
                            const struct index_set *set)
{
    const struct model *m = &s->model;
    const struct work all = {.rows = &s->rows[set->part], .n_unit = 1};
    double scale = exact_scale(set->n, EXACT_BITS_VALUE);
    int64_t *acc = mem_alloc(m->n_param + N_VALUE, sizeof *acc);
    float *dw = mem_alloc(m->n_param, sizeof *dw);
    struct unit u = {0};
    int32_t index[UNIT_MAX_LANES];
    REQUIRE(acc && dw && unit_init(&u, m, e->lanes, UNIT_GRADIENT) == IAU_OK);
    for (int64_t first = 0; first < set->n; first += e->unit) {
        struct piece piece = {index, set->n - first < e->unit ? (int)(set->n - first) : e->unit};
        struct work work = all;
        for (int i = 0; i < piece.n; i++)
            index[i] = (int32_t)set->row[first + i];
        work.piece = &piece;
        sweep_gather(e, &work, 0, &u);
        model_forward(m, w, &u);
        model_backward(m, w, &u, dw);
        CU_ASSERT_EQUAL(exact_add(acc, dw, m->n_param, scale, EXACT_BITS_VALUE), 0);
        exact_add_one(acc + m->n_param + VALUE_LOSS, unit_loss(&u), scale, EXACT_BITS_VALUE);
        exact_add_one(acc + m->n_param + VALUE_CORRECT, (double)unit_correct(m, &u), scale,
                      EXACT_BITS_VALUE);
    }
    unit_free(&u);
    free(dw);
    return acc;
}

/* Whether a segment holds these sums, bit by bit, and hands them out rightly as sum and as mean. */
static int holds(const struct sums *s, int segment, const int64_t *truth)
{
    const struct segment *g = &s->segment[segment];
    double *total = mem_alloc(g->n_vector, sizeof *total);
    float *mean = mem_alloc(g->n_vector, sizeof *mean);
    int same = g->lone || !memcmp(s->acc + g->begin, truth, (size_t)g->n_vector * sizeof *truth);
    sums_total(s, segment, total);
    sums_mean(s, segment, 0, g->n_vector, mean);
    for (int64_t i = 0; same && i < g->n_vector; i++) {
        same = total[i] == (double)truth[i] / g->scale;
        same &= fabs(mean[i] - total[i] / (double)g->n_samples) <= 0x1p-24 * fabs(mean[i]);
    }
    same &= sums_value(s, segment, 0) == (double)truth[g->n_vector] / g->scale;
    free(total);
    free(mean);
    return same;
}

/* Every `stride`-th row of a part from `first` on. */
static void take_rows(struct index_set *set, const struct small_data *s, enum dataset_part part,
                      int64_t first, int64_t stride)
{
    int64_t n = (s->dataset.n[part] - first + stride - 1) / stride;
    int64_t *row = mem_alloc(n, sizeof *row);
    for (int64_t i = 0; i < n; i++)
        row[i] = first + i * stride;
    REQUIRE(index_set_from_rows(set, part, row, n) == IAU_OK);
    free(row);
}

static float *initial_params(const struct model *m)
{
    float *w = mem_alloc(m->n_param, sizeof *w);
    REQUIRE(w);
    model_init_params(m, 7, w);
    return w;
}

/* --- gradient sums */

static void check_gradient_sum(struct small_data *s, struct engine *e, const float *w,
                               struct index_set *set)
{
    struct share share = {0};
    struct sums sums = {0};
    int64_t n_param = s->model.n_param, *truth = sum_by_hand(s, e, w, set);
    CU_ASSERT_EQUAL(share_load(&share, e, set), IAU_OK);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &n_param, N_VALUE, e->n_thread), IAU_OK);
    struct work work = share_work(e, &share);
    for (int twice = 0; twice < 2;
         twice++) { /* what one sum leaves behind must not enter the next */
        sums_begin(&sums, &set->n);
        sweep_add_gradient(e, w, &work, &sums, 0);
        CU_ASSERT_EQUAL(sweep_reduce(e, &sums, "a sum"), IAU_OK);
        CU_ASSERT(holds(&sums, 0, truth));
    }
    double loss = NAN, accuracy = NAN, scale = sums.segment[0].scale, n = (double)set->n;
    CU_ASSERT_EQUAL(sweep_loss(e, w, &share, "a loss", &loss, &accuracy), IAU_OK);
    CU_ASSERT_EQUAL(loss, (double)truth[n_param + VALUE_LOSS] / scale / n);
    CU_ASSERT_EQUAL(accuracy, (double)truth[n_param + VALUE_CORRECT] / scale / n);
    sums_free(&sums);
    share_free(&share);
    index_set_free(set);
    free(truth);
}

/* Sets of one sample, of less than a unit a rank, of odd sizes, whole, and of the test part. */
static void check_gradient_sums(const struct small_shape *shape, int unit)
{
    static struct small_data s;
    static const struct {
        enum dataset_part part;
        int64_t first, stride;
    } cuts[] = {{PART_TRAIN, 100, 10000},
                {PART_TRAIN, 3, 37},
                {PART_TRAIN, 1, 7},
                {PART_TRAIN, 0, 1},
                {PART_TEST, 2, 3}};
    struct engine e;
    struct index_set set;
    small_data_open(&s, "sums.h5", shape);
    small_engine(&e, &s, unit, &test_comm);
    float *w = initial_params(&s.model);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        take_rows(&set, &s, cuts[i].part, cuts[i].first, cuts[i].stride);
        check_gradient_sum(&s, &e, w, &set);
    }
    free(w);
    engine_free(&e);
    small_data_close(&s);
}

static void gradient_sums_of_images_are_those_of_one_process(void)
{
    check_gradient_sums(&small_images, 16);
}

static void gradient_sums_of_a_table_are_those_of_one_process(void)
{
    check_gradient_sums(&small_table, 16);
    check_gradient_sums(&small_table, 64);
    check_gradient_sums(&small_table, 13);
}

/* Units are the program's own; one sample at a time by other means, they must come to the same
 * within rounding. */
static void gradient_sums_agree_with_naive_ones(void)
{
    static struct small_data s;
    struct engine e;
    struct index_set set;
    struct naive naive;
    small_data_open(&s, "naive.h5", &small_images);
    small_engine(&e, &s, 16, &test_comm);
    float *w = initial_params(&s.model);
    double *sum = mem_alloc(s.model.n_param, sizeof *sum), loss;
    take_rows(&set, &s, PART_TRAIN, 5, 3);
    naive_sum(&naive, &s, w, &set, 1);
    CU_ASSERT_EQUAL(trainer_gradient_sum(&e, w, &set, sum, &loss), IAU_OK);
    CU_ASSERT(relative_error(sum, naive.gradient, s.model.n_param) < 2e-6);
    CU_ASSERT_DOUBLE_EQUAL(loss, naive.loss, 1e-5 * naive.loss);
    naive_free(&naive);
    index_set_free(&set);
    free(sum);
    free(w);
    engine_free(&e);
    small_data_close(&s);
}

static void two_sums_and_a_stop_word_share_one_reduction(void)
{
    static struct small_data s;
    struct engine e;
    struct index_set set[2];
    struct share share[2];
    struct sums sums;
    int64_t *truth[2], n[2], last = test_comm.rank == test_comm.size - 1;
    small_data_open(&s, "two.h5", &small_table);
    small_engine(&e, &s, 16, &test_comm);
    float *w = initial_params(&s.model);
    int64_t lengths[2] = {s.model.n_param, s.model.n_param};
    CU_ASSERT_EQUAL(sums_init(&sums, 2, lengths, N_VALUE, e.n_thread), IAU_OK);
    for (int i = 0; i < 2; i++) {
        take_rows(&set[i], &s, PART_TRAIN, i, i ? 11 : 2);
        n[i] = set[i].n;
        truth[i] = sum_by_hand(&s, &e, w, &set[i]);
        CU_ASSERT_EQUAL(share_load(&share[i], &e, &set[i]), IAU_OK);
    }
    for (int stop = 1; stop >= 0; stop--) { /* the next sum begins without one */
        sums_begin(&sums, n);
        for (int i = 0; i < 2; i++) {
            struct work work = share_work(&e, &share[i]);
            sweep_add_gradient(&e, w, &work, &sums, i);
        }
        if (stop && last)
            *sums_stop(&sums, 0) = 5;
        CU_ASSERT_EQUAL(sweep_reduce(&e, &sums, "two sums"), IAU_OK);
        CU_ASSERT_EQUAL(*sums_stop(&sums, 0), 5 * stop);
        CU_ASSERT(holds(&sums, 0, truth[0]) && holds(&sums, 1, truth[1]));
    }
    CU_ASSERT_EQUAL(e.cost.gradients, 2 * (n[0] + n[1])); /* of all ranks together */
    CU_ASSERT_EQUAL(e.cost.payload_bytes, 2 * 8 * sums.length);
    CU_ASSERT(e.cost.forwards == 0 && e.cost.hvps == 0);
    for (int i = 0; i < 2; i++) {
        index_set_free(&set[i]);
        share_free(&share[i]);
        free(truth[i]);
    }
    sums_free(&sums);
    free(w);
    engine_free(&e);
    small_data_close(&s);
}

/* --- shares */

static void shares_cut_a_set_at_units_and_miss_no_row(void)
{
    static struct small_data s;
    struct engine e;
    struct index_set set;
    struct share share;
    small_data_open(&s, "share.h5", &small_images);
    small_engine(&e, &s, 16, &test_comm);
    for (int64_t stride = 1; stride <= 200; stride = stride * 3 + 4) {
        take_rows(&set, &s, PART_TRAIN, 1, stride);
        CU_ASSERT_EQUAL(share_load(&share, &e, &set), IAU_OK);
        int64_t total = share.rows.n, wrong = 0;
        int is_last = share.first + share.rows.n == set.n;
        CU_ASSERT_EQUAL(share.n_global, set.n);
        CU_ASSERT(share.rows.n % e.unit == 0 || is_last);
        CU_ASSERT(share.first % e.unit == 0 || is_last);
        CU_ASSERT_EQUAL(share_work(&e, &share).n_unit, (share.rows.n + e.unit - 1) / e.unit);
        for (int64_t i = 0; i < share.rows.n; i++) {
            int64_t row = set.row[share.first + i];
            size_t size = s.rows[PART_TRAIN].sample_bytes;
            wrong += share.rows.label[i] != s.rows[PART_TRAIN].label[row];
            wrong += memcmp((char *)share.rows.x + (size_t)i * size,
                            (char *)s.rows[PART_TRAIN].x + (size_t)row * size, size) != 0;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        comm_sum_i64(&test_comm, &total, 1);
        CU_ASSERT_EQUAL(total, set.n);
        share_free(&share);
        share_free(&share);
        index_set_free(&set);
    }
    CU_ASSERT_EQUAL(share_load(&share, &e, &set), IAU_OK); /* the freed, empty set */
    CU_ASSERT(share.rows.n == 0 && share.n_global == 0 && share_work(&e, &share).n_unit == 0);
    share_free(&share);
    engine_free(&e);
    small_data_close(&s);
}

/* --- steps */

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
    float *w = initial_params(&s->model), *v = mem_alloc(n, sizeof *v);
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

static void threads_do_not_change_a_sum(void)
{
    static struct small_data s;
    struct index_set set;
    struct engine e;
    small_data_open(&s, "threads.h5", &small_images);
    float *w = initial_params(&s.model);
    for (int n_thread = 2; n_thread <= 3; n_thread++) {
        omp_set_num_threads(n_thread);
        CU_ASSERT_EQUAL(engine_threads(), n_thread);
        small_engine(&e, &s, 16, &test_comm);
        omp_set_num_threads(1);
        take_rows(&set, &s, PART_TRAIN, 1, 1);
        check_gradient_sum(&s, &e, w, &set);
        engine_free(&e);
    }
    free(w);
    small_data_close(&s);
}

static void a_checksum_notices_every_bit_and_place(void)
{
    float w[4] = {1, 2, 3, 4};
    uint64_t sum = sweep_checksum(w, 4);
    CU_ASSERT(sweep_checksum(w, 3) != sum);
    w[3] = nextafterf(4, 5);
    CU_ASSERT(sweep_checksum(w, 4) != sum);
    w[3] = 3;
    w[2] = 4;
    CU_ASSERT(sweep_checksum(w, 4) != sum);
    w[2] = 3;
    w[3] = 4;
    CU_ASSERT_EQUAL(sweep_checksum(w, 4), sum);
    float zero = 0, minus_zero = -0.0f;
    CU_ASSERT(sweep_checksum(&zero, 1) != sweep_checksum(&minus_zero, 1));
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"gradient sums of images are those of one process",
         gradient_sums_of_images_are_those_of_one_process},
        {"gradient sums of a table are those of one process",
         gradient_sums_of_a_table_are_those_of_one_process},
        {"gradient sums agree with naive ones", gradient_sums_agree_with_naive_ones},
        {"two sums and a stop word share one reduction",
         two_sums_and_a_stop_word_share_one_reduction},
        {"shares cut a set at units and miss no row", shares_cut_a_set_at_units_and_miss_no_row},
        {"a step and its product are those of one process",
         a_step_and_its_product_are_those_of_one_process},
        {"threads do not change a sum", threads_do_not_change_a_sum},
        {"a checksum notices every bit and place", a_checksum_notices_every_bit_and_place},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "sweep", tests);
}
