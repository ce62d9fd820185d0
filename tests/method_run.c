/* Runs of methods for tests. */
#include "method_run.h"

#include <omp.h>
#include <string.h>

#include "app/config_table.h"
#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "harness.h"
#include "unlearn/tune.h"

struct small_data method_table;
struct partition method_sets;
struct outcome method_origin;

void method_open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct forget_opts forget = {.ratio = 0.2, .seed = 11};
    struct train_opts opts = small_train_opts();
    opts.epochs = 40;
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&method_table, "table.h5", &small_table);
    REQUIRE(partition_init(&method_sets, &method_table.dataset, &split, &forget, &test_comm) ==
            IAU_OK);
    small_train(&method_origin, &method_table, &method_sets, &opts, &test_comm);
}

void method_close_data(void)
{
    partition_free(&method_sets);
    outcome_free(&method_origin);
    small_data_close(&method_table);
}

struct method_opts method_defaults(enum method_name method)
{
    struct method_opts o = {0};
    struct setting_table t = config_method_table(method);
    for (int i = 0; i < t.n; i++)
        if (t.row[i].type != SETTING_TEXT) /* the name and the origin's, which are owned */
            REQUIRE(setting_default(&t.row[i], (char *)&o + t.row[i].offset) == IAU_OK);
    o.method = method;
    return o;
}

struct method_run method_run_of(enum method_name method)
{
    struct method_run r = {.opts = method_defaults(method),
                           .data = &method_table,
                           .model = &method_table.model,
                           .sets = &method_sets,
                           .w = method_origin.w,
                           .train = small_train_opts(),
                           .comm = test_comm,
                           .n_thread = 1,
                           .restart = "/nowhere/r.restart.h5"};
    r.opts.tuning.batch = 50;
    r.opts.forget_batch = 20;
    r.opts.tuning.epochs = 2;
    return r;
}

void method_execute(struct method_run *r)
{
    struct engine e;
    struct progress progress = {0};
    omp_set_num_threads(r->n_thread);
    REQUIRE(engine_init(&e, r->model, &r->data->dataset, (int)r->train.unit, NULL, NULL,
                        &r->comm) == IAU_OK);
    omp_set_num_threads(1);
    e.memory_bytes = r->memory_bytes;
    struct restart restart = {.path = r->restart,
                              .settings = "the settings",
                              .name = "method",
                              .opts = r->checkpoint,
                              .resume = r->resume};
    struct unlearn u = {.engine = &e,
                        .opts = &r->opts,
                        .train = &r->train,
                        .sets = r->sets,
                        .w = r->w,
                        .gradient_sum = r->gradient_sum,
                        .name = "method",
                        .restart = &restart,
                        .progress = &progress};
    if (r->progress && test_comm.rank == 0)
        REQUIRE(progress_open(&progress, r->progress) == IAU_OK);
    if (r->fail_after && r->comm.rank == r->comm.size - 1)
        mem_fail_after(r->fail_after);
    const struct method *method = method_of(r->opts.method);
    r->rc = r->opts.tune ? tune_run(&r->o, &u, method) : method->run(&r->o, &u);
    mem_fail_after(0);
    r->cost = e.cost;
    CU_ASSERT_EQUAL(e.used_bytes, 0);
    progress_close(&progress);
    engine_free(&e);
}

void method_for_all(void (*check)(const struct method_run *r))
{
    static const enum method_name methods[] = {METHOD_FINETUNE,     METHOD_ASCENT,
                                               METHOD_NEGGRAD_PLUS, METHOD_RANDOM_LABEL,
                                               METHOD_SCRUB,        METHOD_SALUN};
    struct method_run r;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        r = method_run_of(methods[i]);
        check(&r);
    }
    r = method_run_of(METHOD_RANDOM_LABEL);
    r.opts.relabel = (struct relabel_opts){.exclude_true = 1, .order = RELABEL_MIXED};
    check(&r);
    r = method_run_of(METHOD_SCRUB);
    r.opts.scrub.msteps = 1; /* epochs of unlike length */
    r.opts.tuning.optimizer.name = OPTIMIZER_SGD;
    check(&r);
}

void method_check_bytes(struct method_run r, int64_t memory_bytes)
{
    struct method_run alone = r;
    alone.comm = small_self();
    method_execute(&alone);
    for (int threads = 1; threads <= 3; threads += 2)
        for (int streams = 0; streams <= (memory_bytes > 0); streams++) {
            r.n_thread = threads;
            r.memory_bytes = streams ? memory_bytes : 0;
            method_execute(&r);
            r.cost.payload_bytes = alone.cost.payload_bytes; /* no messages on one rank */
            CU_ASSERT(method_same(&r, &alone));
            outcome_free(&r.o);
        }
    outcome_free(&alone.o);
}

void method_check_memory(struct method_run r, int64_t step)
{
    struct capture capture;
    char printed[4096];
    int rc = IAU_ERR_MEM;
    for (int64_t k = 1; rc != IAU_OK && k < 400; k += step) {
        r.fail_after = k;
        capture_begin(&capture);
        method_execute(&r);
        capture_end(&capture, printed, sizeof printed);
        rc = r.rc;
        if (rc != IAU_OK)
            expect_one_message(r.rc, IAU_ERR_MEM, printed, "no memory");
        CU_ASSERT_EQUAL(r.o.w == NULL, rc != IAU_OK);
        outcome_free(&r.o);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
}

int method_same(const struct method_run *a, const struct method_run *b)
{
    size_t bytes = (size_t)model_state_floats(a->model) * sizeof *a->o.w;
    return a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, bytes) == 0 &&
           same_history(&a->o.history, &b->o.history) && a->cost.gradients == b->cost.gradients &&
           a->cost.forwards == b->cost.forwards && a->cost.hvps == b->cost.hvps &&
           a->cost.payload_bytes == b->cost.payload_bytes;
}
