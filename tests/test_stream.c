/* Streaming: what comes through the background reader is what memory would hold, in training steps
 * and in sweeps, to the last bit of their results; and what goes wrong in it comes out as one
 * error. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/stop.h"
#include "data/feed.h"
#include "io/file.h"
#include "kernel/vector.h"
#include "small_data.h"
#include "sweep/product.h"
#include "unlearn/iau.h"

/* Enough for five pools of a single shard, and for two of four. */
static const struct small_shape shape_table = {
    .c = 5, .n_class = 3, .n_train = 23011, .n_test = 900, .noise = 0.9f, .flipped = 0.1};
static const struct small_shape shape_images = {
    .c = 2, .h = 6, .w = 5, .n_class = 4, .n_train = 12100, .n_test = 300, .noise = 0.9f};

static struct small_data table, images;
static struct partition table_sets, image_sets;
static struct model image_model;

static void open_data(void)
{
    static int64_t hidden[] = {9};
    const struct data_opts split = {.seed = 3, .valid = 0.1};
    const struct forget_opts forget = {.ratio = 0.3, .seed = 1};
    const struct model_opts mlp = {.name = MODEL_MLP, .hidden = {1, hidden}};
    small_data_open(&table, "table.h5", &shape_table);
    small_data_open(&images, "images.h5", &shape_images);
    REQUIRE(partition_init(&table_sets, &table.dataset, &split, &forget, &test_comm) == IAU_OK);
    REQUIRE(partition_init(&image_sets, &images.dataset, &split, &forget, &test_comm) == IAU_OK);
    struct shape in = {images.dataset.c, images.dataset.h, images.dataset.w};
    REQUIRE(model_build(&image_model, &mlp, in, images.dataset.n_class) == IAU_OK);
}

static void close_data(void)
{
    partition_free(&table_sets);
    partition_free(&image_sets);
    small_data_close(&table);
    small_data_close(&images);
}

/* --- the stream */

static int64_t wrong_samples(const struct small_data *s, const int64_t *row, int64_t n,
                             const void *x)
{
    size_t bytes = s->rows[PART_TRAIN].sample_bytes;
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++)
        wrong += memcmp((const char *)x + (size_t)i * bytes,
                        (const char *)s->rows[PART_TRAIN].x + (size_t)row[i] * bytes, bytes) != 0;
    return wrong;
}

static void a_stream_serves_what_is_asked(void)
{
    enum { N_REQUEST = 5, N_ROW = 3000 };
    static int64_t row[N_REQUEST][N_ROW];
    struct stream_request q[N_REQUEST] = {0};
    struct stream s;
    CU_ASSERT_EQUAL(stream_open(&s, &table.dataset, PART_TRAIN), IAU_OK);
    for (int k = 0; k < N_REQUEST; k++) {
        for (int64_t i = 0; i < N_ROW; i++)
            row[k][i] = i * (1 + k) + k + i / 50; /* dense and sparse, with gaps */
        q[k] = (struct stream_request){.row = row[k],
                                       .n = N_ROW,
                                       .is_known = k > 2,
                                       .x = mem_alloc(N_ROW, table.rows[0].sample_bytes)};
        REQUIRE(q[k].x);
    }
    row[3][N_ROW - 1] = table.dataset.n[PART_TRAIN]; /* there is no such row */
    for (int k = 0; k < N_REQUEST; k++)
        stream_ask(&s, &q[k]);
    for (int k = N_REQUEST - 1; k >= 0; k--) { /* waited for in any order */
        int rc = stream_wait(&s, &q[k]);
        if (k == 3)
            harness_expect_error(rc, IAU_ERR_DATA, "/train/x has no row 23011");
        else
            CU_ASSERT(rc == IAU_OK && wrong_samples(&table, row[k], N_ROW, q[k].x) == 0);
    }
    for (int k = 0; k < 3; k++) /* closed before they are all served */
        stream_ask(&s, &q[k]);
    stream_close(&s);
    stream_close(&s);
    for (int k = 0; k < N_REQUEST; k++)
        free(q[k].x);
}

/* --- the feed */

/* What two feeds give for a step, compared sample by sample. */
static int64_t differing(const struct feed *a, const struct feed *b, int64_t n_unit)
{
    int64_t differ = 0;
    size_t bytes = a->rows.sample_bytes;
    for (int64_t j = 0; j < n_unit; j++) {
        differ += a->piece[j].n != b->piece[j].n;
        for (int k = 0; k < a->piece[j].n; k++) {
            int32_t p = a->piece[j].index[k], q = b->piece[j].index[k];
            differ += a->rows.label[p] != b->rows.label[q] || a->rows.id[p] != b->rows.id[q] ||
                      memcmp((char *)a->rows.x + (size_t)p * bytes,
                             (char *)b->rows.x + (size_t)q * bytes, bytes) != 0;
        }
    }
    return differ;
}

/* Bytes that a streamed feed takes: one byte less than it needs is refused. */
static int64_t least_bytes(const struct small_data *s, const struct shard_plan *plan,
                           struct range own)
{
    int64_t bytes = 0;
    for (int64_t j = own.begin; j < own.end; j++) {
        struct range r = shard_positions(plan, (int)j);
        int64_t n = r.end - r.begin;
        bytes += 2 * (n < SHARD_POOL ? n : SHARD_POOL) * (int64_t)(s->rows[0].sample_bytes + 12) +
                 12 * n;
    }
    return bytes;
}

struct feed_case {
    int64_t n;
    int batch, unit, least;
    int64_t epoch, step; /* to begin with */
};

static void check_feed(const struct feed_case *c)
{
    struct shard_plan plan = shard_plan(c->n, c->batch, c->unit);
    struct range own = shard_range(plan.n_shard, test_comm.rank, test_comm.size);
    struct index_set train = table_sets.train;
    struct feed memory, streamed;
    int64_t differ = 0, bytes = least_bytes(&table, &plan, own), n_unit, n_other;
    train.n = c->n;
    if (c->least)
        shard_plan_groups(&plan, c->least);
    CU_ASSERT_EQUAL(feed_open(&memory, &table.dataset, &train, &plan, own, 5, 1, INT64_MAX, "a"),
                    IAU_OK);
    CU_ASSERT_EQUAL(feed_open(&streamed, &table.dataset, &train, &plan, own, 5, 1, bytes, "b"),
                    IAU_OK);
    CU_ASSERT(!memory.is_streamed &&
              (own.begin == own.end || memory.n_bytes <= bytes || streamed.is_streamed));
    int64_t step = c->step;
    for (int64_t epoch = c->epoch; epoch < c->epoch + 3; epoch++, step = 0)
        for (; step < plan.n_step; step++) {
            CU_ASSERT_EQUAL(feed_step(&memory, epoch, step, &n_unit), IAU_OK);
            CU_ASSERT_EQUAL(feed_step(&streamed, epoch, step, &n_other), IAU_OK);
            differ += n_unit != n_other ? 1 : differing(&memory, &streamed, n_unit);
        }
    CU_ASSERT_EQUAL(differ, 0);
    feed_close(&memory);
    feed_close(&streamed);
}

static void feeds_stream_what_memory_holds(void)
{
    static const struct feed_case cases[] = {
        {20710, 64, 64, 0, 0, 0},    /* one shard of 6 pools, units that divide them */
        {20710, 50, 64, 0, 3, 99},   /* units across the edges of pools; from a step on */
        {20709, 150, 64, 0, 7, 130}, /* three shards of uneven units */
        {20000, 128, 64, 16, 0, 0},  /* a last group that is left out */
        {16384, 32, 16, 0, 1, 0},    /* two shards of two whole pools */
        {8192, 64, 64, 0, 0, 127},   /* two pools, the last step first */
        {12289, 64, 64, 0, 16777212,
         3} /* a last pool of one sample, in the last epochs there can be */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_feed(&cases[i]);
}

static void too_little_memory_is_refused(void)
{
    struct shard_plan plan = shard_plan(20000, 64, 64);
    struct range own = {0, 1}, none = {1, 1};
    struct index_set train = table_sets.train;
    int64_t bytes = least_bytes(&table, &plan, own);
    struct feed f;
    train.n = 20000;
    CU_ASSERT_EQUAL(feed_open(&f, &table.dataset, &train, &plan, own, 5, 1, bytes, "x"), IAU_OK);
    CU_ASSERT(f.is_streamed && f.n_bytes == bytes);
    feed_close(&f);
    harness_expect_error(
        feed_open(&f, &table.dataset, &train, &plan, own, 5, 1, bytes - 1, "x"), IAU_ERR_CONFIG,
        "x: data.memory_mib leaves a rank 0 MiB for 1 shards of the training set, but they "
        "take 1 in memory, and 1 streamed: two pools of up to 4096 samples each");
    CU_ASSERT_EQUAL(feed_open(&f, &table.dataset, &train, &plan, none, 5, 1, 0, "x"), IAU_OK);
    feed_close(&f);
}

/* --- sweeps */

/* Loss and gradient sums over a set, and a product with the Hessian, with so much memory. */
static void sums_over(const struct small_data *s, const struct index_set *set, int64_t memory_bytes,
                      double *gradient, double value[4])
{
    struct engine e;
    struct share share;
    float *w = mem_alloc(s->model.n_param, sizeof *w),
          *out = mem_alloc(s->model.n_param, sizeof *out);
    double loss_sum;
    struct product p;
    small_engine(&e, s, 64, &test_comm);
    model_init_params(&s->model, 1, w);
    e.memory_bytes = memory_bytes;
    CU_ASSERT_EQUAL(trainer_gradient_sum(&e, w, set, gradient, &loss_sum), IAU_OK);
    CU_ASSERT_EQUAL(e.used_bytes, 0);
    CU_ASSERT_EQUAL(share_load(&share, &e, set), IAU_OK);
    CU_ASSERT_EQUAL(share.stream != NULL, memory_bytes > 0 && share.rows.n * 24 > memory_bytes);
    for (int i = 0; i < 2; i++) /* the second time over what is known */
        CU_ASSERT_EQUAL(sweep_loss(&e, w, &share, "sweep", &value[i], &value[2]), IAU_OK);
    CU_ASSERT_EQUAL(product_init(&p, &e, PRODUCT_HESSIAN, w, &share, "product"), IAU_OK);
    CU_ASSERT_EQUAL(product_apply(&p, w, out), IAU_OK);
    value[3] = vector_norm(out, s->model.n_param);
    product_free(&p);
    CU_ASSERT(memory_bytes == 0 || e.used_bytes > 0);
    share_free(&share);
    CU_ASSERT_EQUAL(e.used_bytes, 0);
    engine_free(&e);
    free(w);
    free(out);
}

static void sweeps_in_windows_give_the_same_sums(void)
{
    int64_t n = table.model.n_param;
    double *in_memory = mem_alloc(n, sizeof(double)), *streamed = mem_alloc(n, sizeof(double));
    double value[2][4];
    const struct index_set *sets[] = {&table_sets.train, &table_sets.forget, &table_sets.valid};
    for (int k = 0; k < 3; k++) {
        sums_over(&table, sets[k], 0, in_memory, value[0]);
        for (int64_t memory = 1; memory < 40000;
             memory = 12 * memory + 3000) { /* a unit, and more */
            sums_over(&table, sets[k], memory, streamed, value[1]);
            CU_ASSERT(memcmp(in_memory, streamed, (size_t)n * sizeof(double)) == 0);
            CU_ASSERT(memcmp(value[0], value[1], sizeof value[0]) == 0);
            CU_ASSERT_EQUAL(value[1][0], value[1][1]);
        }
    }
    free(in_memory);
    free(streamed);
}

/* --- training and unlearning */

struct trained {
    int rc;
    struct outcome o;
};

static struct trained train(int64_t memory_bytes, const char *restart, int resume, int64_t epochs,
                            struct comm comm)
{
    struct engine e;
    struct trained t = {0};
    struct progress progress = {0};
    struct train_opts opts = small_train_opts();
    opts.batch = 96;
    opts.unit = 48;
    opts.epochs = epochs;
    opts.restriction.alpha = 0.01;
    opts.augment = (struct augment_opts){2, 1};
    struct restart where = {
        .path = restart, .settings = "", .name = "origin", .opts.keep = 1, .resume = resume};
    REQUIRE(engine_init(&e, &image_model, &images.dataset, 48, NULL, NULL, &comm) == IAU_OK);
    e.memory_bytes = memory_bytes;
    struct trainer trainer = {.engine = &e,
                              .opts = &opts,
                              .train = &image_sets.train,
                              .valid = &image_sets.valid,
                              .name = "origin",
                              .restart = &where,
                              .progress = &progress};
    t.rc = trainer_run(&t.o, &trainer);
    CU_ASSERT(t.rc != IAU_OK || e.used_bytes == 0);
    engine_free(&e);
    return t;
}

static int same_outcome(const struct outcome *a, const struct outcome *b)
{
    size_t n = (size_t)image_model.n_param;
    return a->w && b->w && memcmp(a->w, b->w, n * sizeof *a->w) == 0 &&
           memcmp(a->gradient_sum, b->gradient_sum, n * sizeof *a->gradient_sum) == 0 &&
           a->loss_sum == b->loss_sum && same_history(&a->history, &b->history);
}

/* 10,890 training samples of 60 bytes in two shards: 1.2 MB in memory with labels and ids; in pools
 * 8,192 a shard. */
static int64_t tight(void)
{
    struct shard_plan plan = shard_plan(image_sets.train.n, 96, 48);
    return least_bytes(&images, &plan, (struct range){0, 2}) / (test_comm.size > 1 ? 2 : 1) + 40;
}

static void training_streams_to_the_same_bytes(void)
{
    char *restart = harness_path("stream.restart.h5");
    struct trained memory = train(0, restart, 0, 3, test_comm);
    CU_ASSERT_EQUAL(memory.rc, IAU_OK);
    struct trained alone = train(0, restart, 0, 3, small_self());
    CU_ASSERT(same_outcome(&memory.o, &alone.o));
    outcome_free(&alone.o);
    struct trained streamed = train(tight(), restart, 0, 3, test_comm);
    CU_ASSERT(streamed.rc == IAU_OK && same_outcome(&memory.o, &streamed.o));
    outcome_free(&streamed.o);
    stop_set(1); /* after the first step; then on, first streamed, then from memory */
    struct trained stopped = train(tight(), restart, 0, 3, test_comm);
    CU_ASSERT_EQUAL(stopped.rc, IAU_STOPPED);
    stopped = train(0, restart, 1, 3, test_comm);
    CU_ASSERT_EQUAL(stopped.rc, IAU_STOPPED);
    stop_set(0);
    streamed = train(tight(), restart, 1, 3, test_comm);
    CU_ASSERT(streamed.rc == IAU_OK && same_outcome(&memory.o, &streamed.o));
    outcome_free(&streamed.o);
    outcome_free(&memory.o);
    free(restart);
}

static struct outcome unlearn(int64_t memory_bytes)
{
    struct engine e;
    struct outcome o;
    struct progress progress = {0};
    struct iau_opts opts = {
        .correction = 1, .weight = 1, .lr = 1e-3, .step = IAU_STEP_CALIBRATED, .steps = 1};
    float *w = mem_alloc(model_state_floats(&table.model), sizeof *w);
    small_engine(&e, &table, 16, &test_comm);
    e.memory_bytes = memory_bytes;
    model_init_params(&table.model, 9, w);
    struct unlearn u = {.engine = &e,
                        .opts = &(struct method_opts){.iau = opts},
                        .sets = &table_sets,
                        .w = w,
                        .name = "iau",
                        .progress = &progress};
    CU_ASSERT_EQUAL(iau_run(&o, &u), IAU_OK);
    engine_free(&e);
    free(w);
    return o;
}

/* Three sets at a time: the whole, the forgotten and the validation samples. */
static void unlearning_streams_to_the_same_bytes(void)
{
    struct outcome memory = unlearn(0), streamed = unlearn(150000), tiny = unlearn(1);
    size_t bytes = (size_t)table.model.n_param * sizeof(float);
    CU_ASSERT(memcmp(memory.w, streamed.w, bytes) == 0 && memcmp(memory.w, tiny.w, bytes) == 0);
    CU_ASSERT(same_history(&memory.history, &streamed.history) &&
              same_history(&memory.history, &tiny.history));
    outcome_free(&memory);
    outcome_free(&streamed);
    outcome_free(&tiny);
}

/* --- errors */

/* Turn a byte of the samples around, in the last of the chunks. */
static void damage(const char *path)
{
    char *p = NULL;
    size_t n = 0;
    const size_t bytes = images.rows[PART_TRAIN].sample_bytes;
    const char *sample =
        (const char *)images.rows[PART_TRAIN].x + (size_t)(shape_images.n_train - 5) * bytes;
    REQUIRE(file_read_all(path, &p, &n, 1 << 24) == IAU_OK);
    char *at = memmem(p, n, sample, bytes);
    REQUIRE(at);
    *at ^= 1;
    REQUIRE(file_write_atomic(path, p, n) == IAU_OK);
    free(p);
}

static void damage_comes_out_as_an_error_of_the_step(void)
{
    char *restart = harness_path("damage.restart.h5"), printed[2048], *p = NULL;
    size_t n = 0;
    struct capture c;
    comm_barrier(&test_comm);
    CU_ASSERT_EQUAL(file_read_all(images.path, &p, &n, 1 << 24), IAU_OK);
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        damage(images.path);
    comm_barrier(&test_comm);
    capture_begin(&c);
    struct trained t = train(tight(), restart, 0, 3, test_comm);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(t.rc, IAU_ERR_FORMAT, printed, "images.h5: cannot read /train/x rows");
    expect_one_message(t.rc, IAU_ERR_FORMAT, printed, "checksum mismatch");
    outcome_free(&t.o);
    struct engine e;
    double sum[4096], loss_sum;
    float *w = mem_alloc(image_model.n_param, sizeof *w);
    REQUIRE(image_model.n_param <= 4096);
    REQUIRE(engine_init(&e, &image_model, &images.dataset, 16, NULL, NULL, &test_comm) == IAU_OK);
    e.memory_bytes = 3000;
    for (int i = 0; i < 2; i++) { /* again after a failure: it fails again, and nothing hangs */
        capture_begin(&c);
        int rc = trainer_gradient_sum(&e, w, &image_sets.train, sum, &loss_sum);
        capture_end(&c, printed, sizeof printed);
        expect_one_message(rc, IAU_ERR_FORMAT, printed, "checksum mismatch");
        CU_ASSERT_EQUAL(e.failed, IAU_OK);
    }
    CU_ASSERT_EQUAL(
        trainer_gradient_sum(&e, w, &(struct index_set){PART_TRAIN, 2000, image_sets.train.row},
                             sum, &loss_sum),
        IAU_OK); /* others are fine */
    engine_free(&e);
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(file_write_atomic(images.path, p, n), IAU_OK);
    comm_barrier(&test_comm);
    free(w);
    free(p);
    free(restart);
}

static void short_memory_is_an_error(void)
{
    struct shard_plan plan = shard_plan(20000, 64, 64);
    struct index_set train = table_sets.train;
    int64_t bytes = least_bytes(&table, &plan, (struct range){0, 1});
    struct feed f;
    int rc = IAU_ERR_MEM, k;
    train.n = 20000;
    for (k = 1; rc != IAU_OK && k < 100; k++) {
        mem_fail_after(k);
        rc = feed_open(&f, &table.dataset, &train, &plan, (struct range){0, 1}, 5, 1, bytes, "x");
        mem_fail_after(0);
        CU_ASSERT(rc == IAU_OK || rc == IAU_ERR_MEM);
        error_clear();
        feed_close(&f);
    }
    CU_ASSERT(rc == IAU_OK && k > 15);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"data are there", open_data},
        {"a stream serves what is asked", a_stream_serves_what_is_asked},
        {"feeds stream what memory holds", feeds_stream_what_memory_holds},
        {"too little memory is refused", too_little_memory_is_refused},
        {"sweeps in windows give the same sums", sweeps_in_windows_give_the_same_sums},
        {"training streams to the same bytes", training_streams_to_the_same_bytes},
        {"unlearning streams to the same bytes", unlearning_streams_to_the_same_bytes},
        {"damage comes out as an error of the step", damage_comes_out_as_an_error_of_the_step},
        {"short memory is an error", short_memory_is_an_error},
        {"data are gone", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "stream", tests);
}
