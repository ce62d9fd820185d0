/* Tuning, through the methods that are made of it: steps in the right order on the right batches,
 * the same bytes on any number of ranks and threads, streamed, and stopped and resumed; frozen
 * batch norm; and errors that all ranks agree on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/stop.h"
#include "method_run.h"
#include "nn/spec.h"
#include "train/descent.h"

/* --- the steps, one by one */

/* The parts of a run done by hand. */
struct hand {
    struct engine engine;
    struct batches batches[2]; /* of the retained and of the forgotten samples */
    struct optimizer optimizer;
    struct descent descent;
    float *w;
};

static void hand_open(struct hand *h, const struct method_run *r, int n_term)
{
    const struct index_set *set[] = {&method_sets.retain, &method_sets.forget};
    const int64_t batch[] = {r->opts.tuning.batch, r->opts.forget_batch};
    size_t bytes = (size_t)method_table.model.n_param * sizeof *h->w;
    *h = (struct hand){.w = mem_alloc(method_table.model.n_param, sizeof *h->w)};
    small_engine(&h->engine, &method_table, (int)r->train.unit, &test_comm);
    REQUIRE(engine_teacher(&h->engine) == IAU_OK);
    for (int i = 0; i < 2; i++) {
        struct batch_opts opts = {.batch = batch[i], .unit = r->train.unit, .seed = r->opts.seed};
        REQUIRE(batches_open(&h->batches[i], &h->engine, set[i], &opts, "by hand") == IAU_OK);
    }
    memcpy(h->w, r->w, bytes);
    REQUIRE(optimizer_init(&h->optimizer, &r->opts.tuning.optimizer, method_table.model.n_param) ==
            IAU_OK);
    h->descent = (struct descent){.engine = &h->engine, .optimizer = &h->optimizer, .w = h->w};
    REQUIRE(descent_init(&h->descent, n_term, 0) == IAU_OK);
}

static void hand_close(struct hand *h)
{
    descent_free(&h->descent);
    optimizer_free(&h->optimizer);
    batches_close(&h->batches[0]);
    batches_close(&h->batches[1]);
    engine_free(&h->engine);
    free(h->w);
}

/* Batch number `at` of a set's epochs. */
static struct descent_term hand_term(struct hand *h, int which, int64_t at, double weight,
                                     const struct objective *objective)
{
    struct batches *b = &h->batches[which];
    int64_t n = b->plan.n_step;
    return (struct descent_term){.work = batches_work(b, at / n, at % n, objective),
                                 .n_samples = shard_step_samples(&b->plan, at % n),
                                 .weight = weight};
}

static void hand_step(struct hand *h, int n_term, const struct descent_term *term, double lr)
{
    int64_t word = 0;
    CU_ASSERT_EQUAL(descent_step(&h->descent, n_term, term, lr, "by hand", &word), IAU_OK);
}

static void expect_same_end(struct hand *h, struct method_run *r)
{
    method_execute(r);
    CU_ASSERT_EQUAL(r->rc, IAU_OK);
    CU_ASSERT(r->o.w &&
              memcmp(r->o.w, h->w, (size_t)method_table.model.n_param * sizeof *h->w) == 0);
    outcome_free(&r->o);
    hand_close(h);
}

/* 263 retained samples are 6 batches, 65 forgotten ones 4, which go round and round. */
static void a_second_set_goes_round_beside_the_first(void)
{
    static struct hand h; /* must not move */
    struct method_run r = method_run_of(METHOD_NEGGRAD_PLUS);
    r.opts.tuning.epochs = 3;
    hand_open(&h, &r, 2);
    CU_ASSERT_EQUAL(h.batches[0].plan.n_step, 6);
    CU_ASSERT_EQUAL(h.batches[1].plan.n_step, 4);
    for (int64_t at = 0; at < 18; at++) {
        struct descent_term term[] = {hand_term(&h, 0, at, 0.95, NULL),
                                      hand_term(&h, 1, at, -(1 - 0.95), NULL)};
        hand_step(&h, 2, term, r.opts.tuning.optimizer.lr);
    }
    expect_same_end(&h, &r);
}

/* Two epochs of both passes and two of the second alone; the rate drops after three. */
static void passes_follow_one_another_in_their_epochs(void)
{
    static struct hand h; /* must not move */
    struct method_run r = method_run_of(METHOD_SCRUB);
    r.opts.tuning.epochs = 4;
    r.opts.tuning.schedule.every = 3;
    r.opts.scrub.msteps = 2;
    const struct objective away = {.teacher = 1, .temperature = 2, .teacher_w = r.w},
                           close = {.label = 1, .teacher = 0.5, .temperature = 2, .teacher_w = r.w};
    hand_open(&h, &r, 1);
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        double lr = r.opts.tuning.optimizer.lr * (epoch < 3 ? 1 : 0.1);
        for (int64_t i = 0; i < 4 && epoch < 2; i++)
            hand_step(&h, 1, (struct descent_term[]){hand_term(&h, 1, 4 * epoch + i, -1, &away)},
                      lr);
        for (int64_t i = 0; i < 6; i++)
            hand_step(&h, 1, (struct descent_term[]){hand_term(&h, 0, 6 * epoch + i, 1, &close)},
                      lr);
    }
    expect_same_end(&h, &r);
}

static void the_history_has_a_row_an_epoch(void)
{
    struct method_run r = method_run_of(METHOD_SCRUB);
    r.opts.tuning.epochs = 3;
    r.opts.scrub.msteps = 2;
    method_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    const struct history *h = &r.o.history;
    CU_ASSERT_EQUAL(h->n_row, 3);
    for (int64_t i = 0; i < h->n_row; i++) {
        CU_ASSERT_EQUAL(history_at(h, i, "epoch"), (double)i + 1);
        CU_ASSERT(history_at(h, i, "loss_retain") > 0);
        CU_ASSERT_EQUAL(isnan(history_at(h, i, "loss_forget")) != 0, i == 2);
        CU_ASSERT(history_at(h, i, "distance") > 0 && history_at(h, i, "seconds_s") > 0);
    }
    outcome_free(&r.o);
}

/* --- same bytes */

static void check_ranks_and_threads(const struct method_run *plain)
{
    struct method_run all = *plain, alone = all, threads = all;
    alone.comm = small_self();
    threads.n_thread = 2;
    method_execute(&all);
    method_execute(&alone);
    method_execute(&threads);
    CU_ASSERT(method_same(&all, &alone));
    CU_ASSERT(method_same(&all, &threads));
    outcome_free(&all.o);
    outcome_free(&alone.o);
    outcome_free(&threads.o);
}

static void same_bytes_on_any_rank_and_thread_count(void)
{
    method_for_all(check_ranks_and_threads);
}

/* --- streaming */

static struct small_data large;
static struct partition large_sets;
static float *large_w;

/* One shard of 14,700 retained and one of 6,300 forgotten samples; a pool holds 4,096. */
static void open_large(void)
{
    static const struct small_shape shape = {
        .c = 24, .n_class = 3, .n_train = 23000, .n_test = 20, .noise = 0.9f};
    const struct data_opts split = {.seed = 3, .valid = 0.087};
    const struct forget_opts forget = {.ratio = 0.3, .seed = 1};
    small_data_open(&large, "large.h5", &shape);
    REQUIRE(partition_init(&large_sets, &large.dataset, &split, &forget, &test_comm) == IAU_OK);
    large_w = mem_alloc(large.model.n_param, sizeof *large_w);
    model_init_params(&large.model, 1, large_w);
}

static void close_large(void)
{
    free(large_w);
    partition_free(&large_sets);
    small_data_close(&large);
}

/* Enough for the forgotten samples and two pools of the others. */
static void check_streaming(const struct method_run *plain)
{
    struct method_run memory = *plain, streamed;
    int64_t bytes = (int64_t)large.rows[0].sample_bytes + 12;
    memory.data = &large;
    memory.model = &large.model;
    memory.sets = &large_sets;
    memory.w = large_w;
    memory.train.unit = 64;
    memory.opts.tuning.batch = memory.opts.forget_batch = 64;
    streamed = memory;
    streamed.memory_bytes = 6300 * bytes + 8192 * bytes + 12 * 21000 + 12000;
    method_execute(&memory);
    method_execute(&streamed);
    CU_ASSERT(method_same(&memory, &streamed));
    outcome_free(&memory.o);
    outcome_free(&streamed.o);
}

static void what_is_streamed_gives_the_same_bytes(void)
{
    CU_ASSERT(large_sets.retain.n > 14000 && large_sets.forget.n <= 6300);
    method_for_all(check_streaming);
}

/* --- restarts */

static void remove_restart(const char *path)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(restart_remove(path), IAU_OK);
    comm_barrier(&test_comm);
}

/* One rank is asked to stop, all do after the next step. */
static void stop_once(struct method_run *r)
{
    stop_set(r->comm.size == 1 || test_comm.rank == test_comm.size - 1);
    method_execute(r);
    stop_set(0);
    CU_ASSERT_EQUAL(r->rc, IAU_STOPPED);
    CU_ASSERT_PTR_NULL(r->o.w);
    r->resume = 1;
}

/* Stopped after each of the first steps, through the ends of passes and of an epoch; the last part
 * alone on one rank. */
static void check_resuming(const struct method_run *plain)
{
    char *path = harness_path("method.restart.h5");
    struct method_run unbroken = *plain, r = *plain;
    unbroken.restart = r.restart = path;
    method_execute(&unbroken);
    CU_ASSERT_EQUAL(unbroken.rc, IAU_OK);
    int n = plain->opts.method == METHOD_ASCENT ? 3 : 12;
    for (int i = 0; i < n; i++)
        stop_once(&r);
    r.comm = small_self();
    method_execute(&r);
    CU_ASSERT(method_same(&r, &unbroken));
    outcome_free(&r.o);
    outcome_free(&unbroken.o);
    remove_restart(path);
    free(path);
}

static void a_resumed_run_equals_an_unbroken_one(void)
{
    method_for_all(check_resuming);
}

static void a_restart_file_of_another_run_is_refused(void)
{
    char *path = harness_path("other.restart.h5"), printed[2000];
    struct capture c;
    struct method_run r = method_run_of(METHOD_FINETUNE);
    r.restart = path;
    for (int i = 0; i < 7; i++)
        stop_once(&r);
    r.opts.tuning.epochs = 1; /* of which the file has done more */
    capture_begin(&c);
    method_execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_FORMAT, printed, "/state does not belong to this run");
    CU_ASSERT_PTR_NULL(r.o.w);
    remove_restart(path);
    free(path);
}

/* --- batch norm */

/* A run that was stopped after its first step ends as this one did. */
static void check_resumed(const struct method_run *done)
{
    char *path = harness_path("norm.restart.h5");
    struct method_run r = *done;
    r.restart = path;
    stop_once(&r);
    method_execute(&r);
    CU_ASSERT(method_same(&r, done));
    outcome_free(&r.o);
    remove_restart(path);
    free(path);
}

/* Whether a run in this mode moves them, on any number of ranks alike. In evaluation mode a unit of
 * any size will do. */
static int statistics_move(const struct method_run *plain, enum tuning_mode mode)
{
    static const char *const lines[] = {"dense 9", "batchnorm", "relu", "dense classes"};
    struct text_list layers = {4, (char **)lines};
    struct model_opts opts = {.name = MODEL_LAYERS, .layers = layers};
    struct shape in = {method_table.dataset.c, method_table.dataset.h, method_table.dataset.w};
    struct model m;
    struct method_run r = *plain, alone;
    REQUIRE(model_build(&m, &opts, in, method_table.dataset.n_class) == IAU_OK && m.n_buffer > 0);
    float *w = mem_alloc(model_state_floats(&m), sizeof *w);
    model_init_params(&m, 3, w);
    harness_fill(w + m.n_param, m.n_buffer, 1);
    for (int64_t i = m.n_param; i < model_state_floats(&m); i++)
        w[i] = 1 + 0.5f * w[i];
    w[m.n_param + m.n_buffer - 1] = 7; /* a count, which files hold as an integer */
    r.model = &m;
    r.w = w;
    r.opts.tuning.mode = mode;
    r.train.unit = mode == TUNING_TRAIN ? GROUP_SAMPLES : r.train.unit;
    alone = r;
    alone.comm = small_self();
    method_execute(&r);
    method_execute(&alone);
    CU_ASSERT(method_same(&r, &alone));
    CU_ASSERT(memcmp(r.o.w, w, (size_t)m.n_param * sizeof *w) != 0);
    check_resumed(&r);
    int moved = memcmp(r.o.w + m.n_param, w + m.n_param, (size_t)m.n_buffer * sizeof *w) != 0;
    outcome_free(&r.o);
    outcome_free(&alone.o);
    free(w);
    return moved;
}

static void check_modes(const struct method_run *plain)
{
    CU_ASSERT(!statistics_move(plain, TUNING_EVAL));
    CU_ASSERT(statistics_move(plain, TUNING_TRAIN));
}

static void batch_norm_trains_in_training_mode_alone(void)
{
    method_for_all(check_modes);
}

static void few_samples_keep_the_statistics(void)
{
    struct method_run r = method_run_of(METHOD_ASCENT);
    r.opts.tuning.batch = 15;
    CU_ASSERT(!statistics_move(&r, TUNING_TRAIN));
    r.opts.tuning.batch = 16;
    CU_ASSERT(statistics_move(&r, TUNING_TRAIN));
}

/* --- errors */

static void check_short_memory(const struct method_run *plain)
{
    struct method_run r = *plain;
    char printed[4000];
    int k = 0;
    r.rc = IAU_ERR_MEM;
    while (r.rc != IAU_OK && ++k < 300) {
        struct capture c;
        r = *plain;
        capture_begin(&c);
        r.fail_after = k;
        method_execute(&r);
        capture_end(&c, printed, sizeof printed);
        CU_ASSERT(r.rc == IAU_OK || (r.rc == IAU_ERR_MEM && !r.o.w && !r.o.history.value));
        outcome_free(&r.o);
    }
    CU_ASSERT(k > 8 && k < 300);
}

static void a_rank_without_memory_stops_all(void)
{
    method_for_all(check_short_memory);
}

static void check_running_off(const struct method_run *plain)
{
    char printed[2000];
    struct capture c;
    struct method_run r = *plain;
    r.opts.tuning.optimizer.lr = 1e18;
    r.opts.tuning.optimizer.weight_decay = 0.1; /* so that Adam's steps grow, too */
    capture_begin(&c);
    method_execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_NUMERIC, printed, "method: epoch 1 step ");
    CU_ASSERT(strstr(printed, "is not finite or too large; a smaller learning rate may help") ||
              test_comm.rank != 0);
    CU_ASSERT_PTR_NULL(r.o.w);
}

static void what_runs_off_is_an_error_of_its_step(void)
{
    method_for_all(check_running_off);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", method_open_data},
        {"a second set goes round beside the first", a_second_set_goes_round_beside_the_first},
        {"passes follow one another in their epochs", passes_follow_one_another_in_their_epochs},
        {"the history has a row an epoch", the_history_has_a_row_an_epoch},
        {"same bytes on any rank and thread count", same_bytes_on_any_rank_and_thread_count},
        {"(open a large table)", open_large},
        {"what is streamed gives the same bytes", what_is_streamed_gives_the_same_bytes},
        {"(close it)", close_large},
        {"a resumed run equals an unbroken one", a_resumed_run_equals_an_unbroken_one},
        {"a restart file of another run is refused", a_restart_file_of_another_run_is_refused},
        {"batch norm trains in training mode alone", batch_norm_trains_in_training_mode_alone},
        {"few samples keep the statistics", few_samples_keep_the_statistics},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"what runs off is an error of its step", what_runs_off_is_an_error_of_its_step},
        {"(close data)", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "tuning", tests);
}
