/* Reductions that start while a step is still running: the same bytes as one reduction after it, at
 * any rank and thread count, with one outcome on all ranks. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/shard.h"
#include "harness.h"
#include "sweep/overlap.h"
#include "train_run.h"

/* On all ranks, overlapping, with 1 to 3 threads; and on this rank alone, one after the other. */
static void compare_with_one_rank(struct train_run r, int64_t bucket)
{
    struct train_run alone = r;
    r.bucket = bucket;
    alone.comm = small_self();
    run_execute(&alone);
    for (int n_thread = 1; n_thread <= 3; n_thread++) {
        omp_set_num_threads(n_thread);
        run_execute(&r);
        omp_set_num_threads(1);
        CU_ASSERT_TRUE(run_same(&r, &alone));
        outcome_free(&r.o);
    }
    outcome_free(&alone.o);
}

/* Buckets of less than an item a rank, of a few layers, and two that cut layers; batches of 1, 4
 * and 11 units. */
static void training_has_the_same_bytes(void)
{
    static const int64_t bucket[] = {1, 40, 100}, batch[] = {16, 50, 170};
    for (int i = 0; i < 3; i++) {
        struct train_run r = run_table();
        r.opts.batch = batch[i];
        compare_with_one_rank(r, bucket[i]);
        r.opts.restriction.alpha = 0.05;
        compare_with_one_rank(r, bucket[i]);
    }
}

static void training_of_convolutions_has_the_same_bytes(void)
{
    struct train_run r = run_images();
    r.opts.epochs = 1;
    compare_with_one_rank(r, 50000);
    r.opts.restriction.alpha = 0.01;
    compare_with_one_rank(r, 5000);
}

static void training_with_batch_norm_has_the_same_bytes(void)
{
    struct train_run r = run_groups();
    r.opts.batch = 130;
    compare_with_one_rank(r, 100);
    r.opts.batch = 240;
    r.opts.restriction.alpha = 0.02;
    compare_with_one_rank(r, 33);
}

/* --- a step by itself */

enum { N_PIECES = 5, PIECE = 16 };

struct step {
    struct engine engine;
    struct sums sums;
    struct rows rows; /* a copy of all samples that a test may spoil */
    struct piece piece[N_PIECES];
    int32_t index[N_PIECES * PIECE];
    struct work work; /* this rank's */
    float *w;
};

static void step_open(struct step *s, int64_t bucket, int n_thread)
{
    const struct model *m = &table.model;
    struct index_set all;
    struct range own = shard_range(N_PIECES, test_comm.rank, test_comm.size);
    omp_set_num_threads(n_thread);
    small_engine(&s->engine, &table, PIECE, &test_comm);
    omp_set_num_threads(1);
    s->engine.bucket = bucket;
    s->w = small_params(m);
    REQUIRE(index_set_all(&all, PART_TRAIN, table.dataset.n[PART_TRAIN]) == IAU_OK);
    REQUIRE(rows_load(&s->rows, &table.dataset, PART_TRAIN, all.row, all.n) == IAU_OK);
    index_set_free(&all);
    for (int i = 0; i < N_PIECES * PIECE; i++)
        s->index[i] = i;
    for (int i = 0; i < N_PIECES; i++)
        s->piece[i] = (struct piece){s->index + i * PIECE, PIECE};
    s->work = (struct work){
        .rows = &s->rows, .n_unit = own.end - own.begin, .piece = s->piece + own.begin};
    REQUIRE(sums_init(&s->sums, 1, &m->n_param, N_VALUE, s->engine.n_thread) == IAU_OK);
    REQUIRE(engine_overlap(&s->engine, &s->sums) == IAU_OK);
}

static void step_close(struct step *s)
{
    sums_free(&s->sums);
    rows_free(&s->rows);
    engine_free(&s->engine);
    free(s->w);
}

static void step_add(struct step *s)
{
    int64_t n = N_PIECES * PIECE;
    sums_begin(&s->sums, &n);
    sweep_add_step_gradient(&s->engine, s->w, &s->work, &s->sums, 0, 0);
}

/* All parameters are on their way before anybody asks for the sum, wherever there was work. */
static void sums_set_out_before_the_step_ends(void)
{
    for (int n_thread = 1; n_thread <= 3; n_thread++) {
        static struct step s;
        step_open(&s, 10, n_thread);
        const struct overlap *o = s.sums.overlap;
        CU_ASSERT_FATAL(o != NULL);
        step_add(&s);
        CU_ASSERT_EQUAL(o->n_bucket, (table.model.n_param + 9) / 10);
        CU_ASSERT_EQUAL(o->ring.n, s.work.n_unit ? o->n_bucket : 0);
        CU_ASSERT_TRUE(s.engine.cost.seconds[PHASE_REDUCE] >= o->seconds);
        CU_ASSERT_EQUAL(sweep_reduce(&s.engine, &s.sums, "a step"), IAU_OK);
        CU_ASSERT_FALSE(o->is_running);
        step_close(&s);
    }
}

static void a_stop_word_arrives_with_the_sums(void)
{
    static struct step s;
    step_open(&s, 10, 1);
    for (int stop = 5; stop >= 0; stop -= 5) {
        step_add(&s);
        *sums_stop(&s.sums, 0) = test_comm.rank == test_comm.size - 1 ? stop : 0;
        CU_ASSERT_EQUAL(sweep_reduce(&s.engine, &s.sums, "a step"), IAU_OK);
        CU_ASSERT_EQUAL(*sums_stop(&s.sums, 0), stop);
    }
    step_close(&s);
}

/* A sample of the first rank's, or of the last one's, that is not finite. All ranks learn of it in
 * that step, with one message, and the next step is as good as any. */
static void a_bad_addend_fails_everywhere(void)
{
    static struct step s, good;
    step_open(&good, 0, 1);
    CU_ASSERT_PTR_NULL(good.sums.overlap);
    step_add(&good);
    CU_ASSERT_EQUAL(sweep_reduce(&good.engine, &good.sums, "a step"), IAU_OK);
    for (int n_thread = 1; n_thread <= 2; n_thread++)
        for (int last = 0; last < 2; last++) {
            struct capture capture;
            char printed[4096];
            step_open(&s, 10, n_thread);
            float *x = s.rows.x, *spoilt = &x[last ? (N_PIECES * PIECE - 1) * 7 : 3],
                  keep = *spoilt;
            *spoilt = NAN;
            step_add(&s);
            capture_begin(&capture);
            int rc = sweep_reduce(&s.engine, &s.sums, "a step");
            capture_end(&capture, printed, sizeof printed);
            expect_one_message(rc, IAU_ERR_NUMERIC, printed, "a step: fc1.weight is not finite");
            *spoilt = keep;
            step_add(&s);
            CU_ASSERT_EQUAL(sweep_reduce(&s.engine, &s.sums, "a step"), IAU_OK);
            CU_ASSERT(!memcmp(s.sums.acc, good.sums.acc, (size_t)s.sums.length * sizeof(int64_t)));
            step_close(&s);
        }
    step_close(&good);
}

/* --- where it is used */

static void it_is_for_large_models_between_hosts(void)
{
    struct engine e;
    struct sums sums;
    struct comm apart = test_comm, together = test_comm;
    apart.one_host = 0;
    together.one_host = 1;
    small_engine(&e, &images, 16, &together);
    CU_ASSERT_EQUAL(e.bucket, 0);
    engine_free(&e);
    small_engine(&e, &table, 16, &apart); /* too small for a second bucket */
    CU_ASSERT_TRUE(e.bucket > table.model.n_param);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &table.model.n_param, N_VALUE, 1), IAU_OK);
    CU_ASSERT_EQUAL(engine_overlap(&e, &sums), IAU_OK);
    CU_ASSERT_PTR_NULL(sums.overlap);
    sums_free(&sums);
    engine_free(&e);
    small_engine(&e, &images, 16, &apart);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &images.model.n_param, N_VALUE, 1), IAU_OK);
    CU_ASSERT_EQUAL(engine_overlap(&e, &sums), IAU_OK);
    CU_ASSERT_EQUAL(e.bucket, 1 << 14); /* more than a quarter of LeNet5 */
    CU_ASSERT(sums.overlap && sums.overlap->n_bucket == (images.model.n_param - 1) / e.bucket + 1);
    sums_free(&sums);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &images.model.n_param, N_VALUE, 1), IAU_OK);
    e.bucket = 1000;
    for (int k = 1; k <= 6; k++) {
        mem_fail_after(k);
        harness_expect_error(engine_overlap(&e, &sums), IAU_ERR_MEM, "no memory");
        CU_ASSERT_PTR_NULL(sums.overlap);
    }
    mem_fail_after(0);
    sums_free(&sums);
    engine_free(&e);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", run_open_data},
        {"training has the same bytes", training_has_the_same_bytes},
        {"training of convolutions has the same bytes",
         training_of_convolutions_has_the_same_bytes},
        {"training with batch norm has the same bytes",
         training_with_batch_norm_has_the_same_bytes},
        {"sums set out before the step ends", sums_set_out_before_the_step_ends},
        {"a stop word arrives with the sums", a_stop_word_arrives_with_the_sums},
        {"a bad addend fails everywhere", a_bad_addend_fails_everywhere},
        {"it is for large models between hosts", it_is_for_large_models_between_hosts},
        {"close the data", run_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "overlap", tests);
}
