/* Unlearning in several steps interrupted: the same bytes as without a stop, on any number of
 * ranks; restart files that do not belong to the run are refused; and the live record of a run has
 * one row a step whatever happened to it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/stop.h"
#include "io/file.h"
#include "small_data.h"
#include "unlearn/iau.h"

enum { STEPS = 5 };

static struct small_data table;
static struct partition sets;
static struct outcome origin;

static void open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct forget_opts forget = {.ratio = 0.05, .seed = 1};
    struct train_opts opts = small_train_opts();
    opts.epochs = 3;
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    CU_ASSERT_EQUAL(partition_init(&sets, &table.dataset, &split, &forget, &test_comm), IAU_OK);
    small_train(&origin, &table, &sets, &opts, &test_comm);
}

static void close_data(void)
{
    partition_free(&sets);
    outcome_free(&origin);
    small_data_close(&table);
}

struct run {
    struct iau_opts opts;
    struct comm comm;
    struct checkpoint_opts checkpoint;
    const char *restart;
    int resume;
    int cached;
    struct progress progress;
    int rc;
    struct outcome o;
    struct cost cost;
};

static struct run plain_run(enum optimizer_name optimizer, const char *restart)
{
    struct iau_opts opts = {
        .correction = 1, .weight = 1, .optimizer = optimizer, .lr = 1e-2, .steps = STEPS};
    return (struct run){.opts = opts, .comm = test_comm, .restart = restart};
}

static void execute(struct run *r)
{
    struct engine e;
    small_engine(&e, &table, 16, &r->comm);
    struct restart restart = {.path = r->restart,
                              .settings = "",
                              .name = "iau",
                              .opts = r->checkpoint,
                              .resume = r->resume};
    struct unlearn u = {.engine = &e,
                        .opts = &(struct method_opts){.iau = r->opts},
                        .sets = &sets,
                        .w = origin.w,
                        .gradient_sum = r->cached ? origin.gradient_sum : NULL,
                        .loss_sum = r->cached ? origin.loss_sum : NAN,
                        .name = "iau",
                        .restart = &restart,
                        .progress = &r->progress};
    r->rc = iau_run(&r->o, &u);
    r->cost = e.cost;
    engine_free(&e);
}

static int same_run(const struct run *a, const struct run *b)
{
    size_t bytes = (size_t)model_state_floats(&table.model) * sizeof *a->o.w;
    return a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, bytes) == 0 &&
           same_history(&a->o.history, &b->o.history) && a->cost.gradients == b->cost.gradients &&
           a->cost.payload_bytes == b->cost.payload_bytes;
}

static void remove_restart(const char *path)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(restart_remove(path), IAU_OK);
    comm_barrier(&test_comm);
}

/* One rank is asked to stop, all do. */
static void stop_once(struct run *r)
{
    stop_set(test_comm.rank == test_comm.size - 1);
    execute(r);
    stop_set(0);
    CU_ASSERT_EQUAL(r->rc, IAU_STOPPED);
    CU_ASSERT_PTR_NULL(r->o.w);
    r->resume = 1;
}

static void a_resumed_run_equals_an_unbroken_one(void)
{
    char *path = harness_path("iau.restart.h5");
    for (int k = 0; k < 4; k++) {
        struct run unbroken = plain_run(k / 2 ? OPTIMIZER_SGD : OPTIMIZER_ADAM, path), r = unbroken;
        unbroken.cached = r.cached = k % 2;
        execute(&unbroken);
        for (int i = 0; i < STEPS - 1; i++)
            stop_once(&r);
        if (k % 2)
            r.comm = small_self(); /* on another rank count */
        execute(&r);
        CU_ASSERT_TRUE(same_run(&r, &unbroken));
        outcome_free(&r.o);
        outcome_free(&unbroken.o);
        remove_restart(path);
    }
    free(path);
}

/* A request to stop in the last step comes too late: the work is done. */
static void the_last_step_is_not_interrupted(void)
{
    char *path = harness_path("late.restart.h5");
    struct run r = plain_run(OPTIMIZER_ADAM, path);
    r.opts.steps = 1;
    stop_set(1);
    execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    comm_barrier(&test_comm);
    CU_ASSERT_EQUAL(file_exists(path), 0);
    outcome_free(&r.o);
    free(path);
}

static void restart_files_on_the_way(void)
{
    char *path = harness_path("way.restart.h5"), *older = harness_path("way.restart.1.h5");
    struct run unbroken = plain_run(OPTIMIZER_ADAM, path), saving = unbroken, resumed = unbroken;
    saving.checkpoint = (struct checkpoint_opts){.every_steps = 2, .keep = 2};
    execute(&unbroken);
    execute(&saving);
    CU_ASSERT_TRUE(same_run(&saving, &unbroken));
    comm_barrier(&test_comm);
    resumed.resume = 1;
    resumed.restart = older; /* after two steps; the newest is after four */
    execute(&resumed);
    CU_ASSERT_TRUE(same_run(&resumed, &unbroken));
    outcome_free(&unbroken.o);
    outcome_free(&saving.o);
    outcome_free(&resumed.o);
    remove_restart(path);
    CU_ASSERT_EQUAL(file_exists(older), 0);
    free(older);
    free(path);
}

static void a_restart_file_of_another_run_is_refused(void)
{
    char *path = harness_path("longer.restart.h5"), printed[2000];
    struct run r = plain_run(OPTIMIZER_ADAM, path);
    struct capture c;
    for (int i = 0; i < 3; i++)
        stop_once(&r);
    r.opts.steps = 2; /* of which the file has done three */
    capture_begin(&c);
    execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_FORMAT, printed, "/state does not belong to this run");
    r = plain_run(OPTIMIZER_ADAM, "/nowhere/iau.restart.h5");
    stop_set(1);
    capture_begin(&c);
    execute(&r);
    capture_end(&c, printed, sizeof printed);
    stop_set(0);
    expect_one_message(r.rc, IAU_ERR_IO, printed, "/nowhere/iau.restart.h5");
    CU_ASSERT_PTR_NULL(r.o.w);
    remove_restart(path);
    free(path);
}

/* --- progress.csv */

/* Rows of a model in a record, -1 without one. */
static int count_rows(const char *csv, const char *start)
{
    char *text;
    size_t n_bytes;
    int n = 0;
    if (file_read_all(csv, &text, &n_bytes, 1 << 20) != IAU_OK)
        return -1;
    for (char *line = text; *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] != 0))
        n += strncmp(line, start, strlen(start)) == 0;
    free(text);
    return n;
}

static void the_record_has_one_row_a_step(void)
{
    char *dir = harness_path("record"), *csv = harness_path("record/progress.csv"),
         *path = harness_path("record/iau.restart.h5");
    struct run r = plain_run(OPTIMIZER_ADAM, path);
    if (test_comm.rank == 0) {
        CU_ASSERT_EQUAL(file_make_directory(dir), IAU_OK);
        CU_ASSERT_EQUAL(progress_open(&r.progress, dir), IAU_OK);
    }
    progress_row(&r.progress, "iau_other", "step", 4, 1, 1, 1, 1, 1);
    progress_row(&r.progress, "iau", "epoch", 4, 1, 1, 1, 1, 1);
    r.checkpoint.every_steps = 2;
    execute(&r); /* as if killed after the last step: the newest file has four steps of five */
    outcome_free(&r.o);
    if (test_comm.rank == 0) {
        fputs("iau,step,6,0.1", r.progress.csv); /* cut short */
        progress_close(&r.progress);
        CU_ASSERT_EQUAL(progress_open(&r.progress, dir), IAU_OK);
    }
    r.resume = 1;
    execute(&r);
    outcome_free(&r.o);
    if (test_comm.rank == 0) {
        CU_ASSERT_EQUAL(count_rows(csv, "iau,step,"), STEPS);
        CU_ASSERT_EQUAL(count_rows(csv, ""), STEPS + 3); /* with the header and the others */
    }
    r.resume = 0; /* begun anew: the rows of the run before are gone */
    execute(&r);
    outcome_free(&r.o);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(count_rows(csv, ""), STEPS + 3);
    progress_close(&r.progress);
    remove_restart(path);
    free(path);
    free(csv);
    free(dir);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", open_data},
        {"a resumed run equals an unbroken one", a_resumed_run_equals_an_unbroken_one},
        {"the last step is not interrupted", the_last_step_is_not_interrupted},
        {"restart files on the way", restart_files_on_the_way},
        {"a restart file of another run is refused", a_restart_file_of_another_run_is_refused},
        {"the record has one row a step", the_record_has_one_row_a_step},
        {"close the data", close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "iau_restart", tests);
}
