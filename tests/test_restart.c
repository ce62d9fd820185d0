/* Training interrupted: a resumed run equals an unbroken one, restart files explain themselves and
 * are checked, and whatever goes wrong is one error on all ranks. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/stop.h"
#include "harness.h"
#include "io/file.h"
#include "io/record.h"
#include "train_run.h"

/* --- restart */

static int is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void remove_file(const char *path)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        file_remove(path);
    comm_barrier(&test_comm);
}

static void remove_all(const char *path)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(restart_remove(path), IAU_OK);
    comm_barrier(&test_comm);
}

/* Stop after every single step for `n_stop` steps, each time in a fresh run; then go on to the end,
 * on all ranks or on one. */
static void interrupt_and_finish(struct train_run r, int n_stop, int finish_alone)
{
    struct train_run unbroken = r;
    run_execute(&unbroken);
    for (int i = 0; i < n_stop; i++) {
        stop_set(test_comm.rank == test_comm.size - 1); /* one rank is asked, all stop */
        run_execute(&r);
        stop_set(0);
        CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
        CU_ASSERT_PTR_NULL(r.o.w);
        CU_ASSERT_TRUE(is_there(r.restart));
        r.resume = 1;
    }
    if (finish_alone)
        r.comm = small_self();
    run_execute(&r);
    CU_ASSERT_TRUE(run_same(&r, &unbroken));
    outcome_free(&r.o);
    outcome_free(&unbroken.o);
    remove_file(r.restart);
}

static void a_resumed_run_equals_an_unbroken_one(void)
{
    char *path = harness_path("origin.restart.h5");
    struct train_run r = run_table();
    r.restart = path;
    r.opts.restriction.alpha = 0.05;
    interrupt_and_finish(r, 9, 0);  /* 7 steps an epoch: beyond the first epoch's end */
    interrupt_and_finish(r, 7, 1);  /* just at it, and on another rank count */
    interrupt_and_finish(r, 14, 1); /* after the very last step */
    r.opts.restriction.alpha = 0;
    r.opts.optimizer = (struct optimizer_opts){.name = OPTIMIZER_SGD, .lr = 0.1, .momentum = 0.9};
    r.opts.epochs = 3;
    interrupt_and_finish(r, 3, 1);
    free(path);
}

/* The best model and the count of epochs below it: four steps an epoch, and the end after the
 * third. */
static void early_stopping_survives_a_restart(void)
{
    char *path = harness_path("early.restart.h5");
    struct train_run r = run_wrecked(5, 2), unbroken;
    r.restart = path;
    r.opts.batch = 82;
    r.opts.optimizer.lr = 0.15;
    unbroken = r;
    run_execute(&unbroken);
    CU_ASSERT_EQUAL(unbroken.o.history.n_row, 3);
    CU_ASSERT_EQUAL(run_check_kept(&unbroken), 0);
    outcome_free(&unbroken.o);
    interrupt_and_finish(r, 9, 0);
    interrupt_and_finish(r, 12, 1);
    free(path);
}

static void a_restart_file_explains_itself(void)
{
    char *path = harness_path("stopped.h5");
    struct record file = {0};
    struct train_run r = run_table();
    r.restart = path;
    stop_set(1);
    run_execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
    CU_ASSERT_EQUAL(record_read(&file, path), IAU_OK);
    CU_ASSERT_STRING_EQUAL(record_text(&file, "/", "settings", ""), "the settings");
    CU_ASSERT_STRING_EQUAL(record_text(&file, "/", "format", ""), "iau-restart");
    const struct record_array *step = record_find(&file, "/state/step"),
                              *w = record_find(&file, "/params/fc1.bias");
    CU_ASSERT_TRUE(step && record_value(step, 0) == 1);
    CU_ASSERT_TRUE(w && w->type == RECORD_F32 && w->dims[0] == 11);
    record_free(&file);
    remove_file(path);
    free(path);
}

/* Restart files written on the way change nothing, and any of them leads to the same end. */
static void checkpoints_by_the_clock(void)
{
    char *path = harness_path("clock.h5");
    struct train_run unbroken = run_table(), saving = run_table(), resumed;
    saving.restart = path;
    saving.checkpoint.every_seconds = 1e-9; /* due at every step */
    run_execute(&unbroken);
    run_execute(&saving);
    CU_ASSERT_TRUE(run_same(&saving, &unbroken));
    comm_barrier(&test_comm);
    CU_ASSERT_TRUE(is_there(path));
    resumed = saving;
    resumed.checkpoint.every_seconds = 0;
    resumed.resume = 1;
    run_execute(&resumed);
    CU_ASSERT_TRUE(run_same(&resumed, &unbroken));
    outcome_free(&unbroken.o);
    outcome_free(&saving.o);
    outcome_free(&resumed.o);
    remove_file(path);
    free(path);
}

/* The steps done, as a restart file has it; -1 without one. */
static int64_t steps_in(const char *path)
{
    struct record file = {0};
    if (!is_there(path))
        return -1;
    CU_ASSERT_EQUAL(record_read(&file, path), IAU_OK);
    const struct record_array *epoch = record_find(&file, "/state/epoch"),
                              *step = record_find(&file, "/state/step");
    int64_t steps = epoch && step ? (int64_t)(7 * record_value(epoch, 0) + record_value(step, 0))
                                  : -2; /* 7 steps an epoch */
    record_free(&file);
    return steps;
}

/* Every third step of 14, with two older files; each of them leads to the same end. */
static void checkpoints_by_steps(void)
{
    char *path[4] = {harness_path("steps.h5"), harness_path("steps.1.h5"),
                     harness_path("steps.2.h5"), harness_path("steps.3.h5")};
    struct train_run unbroken = run_table(), saving = run_table();
    run_execute(&unbroken);
    saving.restart = path[0];
    saving.checkpoint = (struct checkpoint_opts){.every_steps = 3, .keep = 3};
    run_execute(&saving);
    comm_barrier(&test_comm);
    CU_ASSERT_TRUE(run_same(&saving, &unbroken));
    for (int k = 0; k < 4; k++)
        CU_ASSERT_EQUAL(steps_in(path[k]), k < 3 ? 12 - 3 * k : -1);
    for (int k = 0; k < 3; k++) {
        struct train_run resumed = run_table();
        resumed.restart = path[k];
        resumed.resume = 1;
        run_execute(&resumed);
        CU_ASSERT_TRUE(run_same(&resumed, &unbroken));
        outcome_free(&resumed.o);
    }
    remove_all(path[0]);
    for (int k = 0; k < 4; k++) {
        CU_ASSERT_FALSE(is_there(path[k]));
        free(path[k]);
    }
    outcome_free(&unbroken.o);
    outcome_free(&saving.o);
}

/* --- errors */

static void an_absurd_rate_is_one_error(void)
{
    struct train_run r = run_table();
    r.opts.optimizer.lr = 1e30;
    run_expect_failure(&r, IAU_ERR_NUMERIC,
                       "origin: epoch 1 step 2: the loss is not finite or too large");
    r.opts.restriction.alpha = 0.05;
    run_expect_failure(&r, IAU_ERR_NUMERIC, "origin: epoch 1 step 2: ");
    r = run_images();
    r.opts.optimizer.lr = 1e30;
    run_expect_failure(&r, IAU_ERR_NUMERIC,
                       "origin: epoch 1 step 2: fc1.weight is not finite or too large");
    r = run_table();
    r.opts.optimizer.lr = 1e30;
    r.opts.batch = 1000; /* the first loss that blows up is that of validation */
    run_expect_failure(&r, IAU_ERR_NUMERIC,
                       "origin: validation after epoch 1: the loss is not finite or too large");
}

/* A restart file of one step, to be spoiled. */
static void make_restart(const char *path)
{
    struct train_run r = run_table();
    r.restart = path;
    stop_set(1);
    run_execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
}

/* Replace an array, or take one out (type RECORD_TEXT); with `seal`, under a new digest. */
static void spoil(const char *path, const char *array, enum record_type type, int64_t n,
                  const void *data, int seal)
{
    static const char *const everything[] = {"/", NULL};
    char digest[DIGEST_CHARS] = "";
    struct record from = {0}, to = {0};
    comm_barrier(&test_comm);
    if (test_comm.rank == 0) {
        REQUIRE(record_read(&from, path) == IAU_OK);
        for (int64_t i = 0; i < from.n_array; i++) {
            const struct record_array *a = &from.array[i];
            if (strcmp(a->path, array) != 0)
                REQUIRE(record_add(&to, a->path, a->type, a->ndim, a->dims, a->data) == IAU_OK);
        }
        if (type != RECORD_TEXT)
            REQUIRE(record_add(&to, array, type, n ? 1 : 0, &n, data) == IAU_OK);
        if (seal)
            REQUIRE(record_digest(&to, everything, 0, digest) == IAU_OK);
        else
            strcpy(digest, record_text(&from, "/", "digest", ""));
        REQUIRE(record_set_text(&to, "/", "digest", digest) == IAU_OK);
        REQUIRE(record_write(&to, path) == IAU_OK);
        record_free(&from);
        record_free(&to);
    }
    comm_barrier(&test_comm);
}

static void expect_bad_restart(const char *path, int code, const char *part)
{
    struct train_run r = run_table();
    r.restart = path;
    r.resume = 1;
    run_expect_failure(&r, code, part);
    comm_barrier(&test_comm);
}

static void cut_file(const char *path, double share)
{
    char *text;
    size_t n;
    comm_barrier(&test_comm);
    if (test_comm.rank == 0) {
        REQUIRE(file_read_all(path, &text, &n, 1 << 24) == IAU_OK);
        REQUIRE(file_write_atomic(path, text, (size_t)((double)n * share)) == IAU_OK);
        free(text);
    }
    comm_barrier(&test_comm);
}

static void damaged_restart_files_are_refused(void)
{
    static const struct {
        const char *array;
        enum record_type type;
        int64_t n; /* 0: a scalar */
        int code;
        const char *part;
    } cases[] = {
        {"/params/fc1.weight", RECORD_TEXT, 0, IAU_ERR_DATA, "has no /params/fc1.weight"},
        {"/best/fc2.bias", RECORD_F32, 2, IAU_ERR_DATA, "/best/fc2.bias has another shape or type"},
        {"/optimizer/v/fc1.bias", RECORD_F64, 11, IAU_ERR_DATA,
         "/optimizer/v/fc1.bias has another shape or type"},
        {"/state/step", RECORD_TEXT, 0, IAU_ERR_FORMAT, "has no /state/step"},
        {"/state/worse", RECORD_I32, 0, IAU_ERR_FORMAT, "/state/worse"},
        {"/state/loss_sum", RECORD_I64, 3, IAU_ERR_FORMAT, "/state/loss_sum"},
        {"/history/lr", RECORD_F64, 2, IAU_ERR_FORMAT, "/history/lr"},
        {"/cost/hvps", RECORD_TEXT, 0, IAU_ERR_FORMAT, "/cost/hvps"},
    };
    static const double zeros[16];
    static const int64_t places[] = {-1, 8}; /* an epoch has 7 steps */
    char *path = harness_path("damaged.h5");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_restart(path);
        spoil(path, cases[i].array, cases[i].type, cases[i].n, zeros, 1);
        expect_bad_restart(path, cases[i].code, cases[i].part);
        expect_bad_restart(path, cases[i].code, path);
    }
    for (int i = 0; i < 2; i++) {
        make_restart(path);
        spoil(path, "/state/step", RECORD_I64, 0, &places[i], 1);
        expect_bad_restart(path, IAU_ERR_FORMAT, "/state/step");
    }
    make_restart(path);
    spoil(path, "/state/loss_sum", RECORD_F64, 0, zeros, 0);
    expect_bad_restart(path, IAU_ERR_FORMAT, "do not match the digest");
    make_restart(path);
    cut_file(path, 0.6);
    expect_bad_restart(path, IAU_ERR_FORMAT, path);
    cut_file(path, 0);
    expect_bad_restart(path, IAU_ERR_FORMAT, path);
    remove_file(path);
    expect_bad_restart(path, IAU_ERR_IO, path);
    free(path);
}

static void a_restart_file_of_another_model_is_refused(void)
{
    char *path = harness_path("other.h5");
    struct train_run r = run_images();
    r.restart = path;
    stop_set(1);
    run_execute(&r);
    stop_set(0);
    expect_bad_restart(path, IAU_ERR_DATA, "has another shape or type than the model's");
    remove_file(path);
    free(path);
}

static void a_restart_file_that_cannot_be_written(void)
{
    char *file = harness_path("plain_file"), *below = harness_path("plain_file/restart.h5");
    struct train_run r = run_table();
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(file_write_atomic(file, "whole", 5), IAU_OK);
    comm_barrier(&test_comm);
    r.restart = below;
    stop_set(1);
    run_expect_failure(&r, IAU_ERR_IO, below);
    stop_set(0);
    r.checkpoint.every_seconds = 1e-9;
    run_expect_failure(&r, IAU_ERR_IO, below);
    remove_file(file);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(mkfifo(file, 0600), 0);
    comm_barrier(&test_comm);
    r.restart = file;
    run_expect_failure(
        &r, IAU_ERR_IO,
        "is a device, pipe or socket, no regular file"); /* and nobody waits for a reader */
    remove_file(file);
    free(file);
    free(below);
}

static void samples_that_one_rank_cannot_read(void)
{
    struct train_run r = run_table();
    char *path = table.dataset.path, nowhere[] = "/nowhere/d.h5";
    if (test_comm.rank == test_comm.size - 1)
        table.dataset.path = nowhere;
    run_expect_failure(&r, IAU_ERR_IO, "/nowhere/d.h5");
    table.dataset.path = path;
}

/* Each allocation of a run fails in turn on the last rank: every rank must hear of it, in one line.
 */
static void short_memory_on_one_rank(void)
{
    char *path = harness_path("memory.h5");
    int k = 1, rc = IAU_ERR_MEM;
    for (; k < 3000 && rc != IAU_OK; k++) {
        struct train_run r = run_table();
        char printed[2000];
        struct capture c;
        r.opts.epochs = 1;
        r.opts.batch = 400; /* one step, and one restart file */
        r.opts.restriction.alpha = 0.05;
        struct restart restart = {
            .path = path, .settings = "", .name = "origin", .opts = {.every_steps = 1, .keep = 2}};
        struct engine e; /* apart from the run: its own failures are another test's */
        struct progress progress = {0};
        small_engine(&e, r.data, (int)r.opts.unit, &r.comm);
        struct trainer t = {.engine = &e,
                            .opts = &r.opts,
                            .train = &sets.train,
                            .valid = &sets.valid,
                            .name = "origin",
                            .restart = &restart,
                            .progress = &progress};
        capture_begin(&c);
        if (test_comm.rank == test_comm.size - 1)
            mem_fail_after(k);
        rc = trainer_run(&r.o, &t);
        mem_fail_after(0);
        capture_end(&c, printed, sizeof printed);
        if (rc != IAU_OK)
            expect_one_message(rc, IAU_ERR_MEM, printed, "error");
        CU_ASSERT_TRUE(rc == IAU_OK || !r.o.w);
        outcome_free(&r.o);
        engine_free(&e);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT_TRUE(k > 20);
    remove_all(path);
    free(path);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", run_open_data},
        {"a resumed run equals an unbroken one", a_resumed_run_equals_an_unbroken_one},
        {"early stopping survives a restart", early_stopping_survives_a_restart},
        {"a restart file explains itself", a_restart_file_explains_itself},
        {"checkpoints by the clock", checkpoints_by_the_clock},
        {"checkpoints by steps", checkpoints_by_steps},
        {"an absurd rate is one error", an_absurd_rate_is_one_error},
        {"damaged restart files are refused", damaged_restart_files_are_refused},
        {"a restart file of another model is refused", a_restart_file_of_another_model_is_refused},
        {"a restart file that cannot be written", a_restart_file_that_cannot_be_written},
        {"samples that one rank cannot read", samples_that_one_rank_cannot_read},
        {"short memory on one rank", short_memory_on_one_rank},
        {"close the data", run_close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "restart", tests);
}
