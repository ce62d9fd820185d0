/* Training with batch norm: the same bytes at any rank count and after a restart, groups that are
 * too small, and running statistics that unlearning and evaluation leave alone. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/stop.h"
#include "data/shard.h"
#include "harness.h"
#include "train_run.h"
#include "unlearn/iau.h"

/* 240 samples in batches of `batch`. */
static struct train_run run_batches(int64_t batch, double alpha)
{
    struct train_run r = run_groups();
    r.opts.batch = batch;
    r.opts.restriction.alpha = alpha;
    return r;
}

static const struct {
    int64_t batch;
    double alpha;
} cases[] = {
    {100, 0.05}, {130, 0}, {130, 0.01},
    {64, 0},     {112, 0}, /* 112: the last 16 are groups of 8, left out */
    {400, 0.02},
};

static void same_bytes_at_any_rank_count(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_run all = run_batches(cases[i].batch, cases[i].alpha), alone = all;
        alone.comm = small_self();
        run_execute(&all);
        run_execute(&alone);
        CU_ASSERT(run_same(&all, &alone));
        outcome_free(&all.o);
        outcome_free(&alone.o);
    }
}

/* Stopped after the first step, on all ranks; then on from the file, on all ranks and on one. */
static void same_bytes_after_a_restart(void)
{
    char *path = harness_path("groups.restart.h5");
    struct train_run whole = run_batches(100, 0.02), r = whole;
    r.restart = path;
    run_execute(&whole);
    stop_set(1);
    run_execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
    comm_barrier(&test_comm);
    r.resume = 1;
    for (int alone = 0; alone < 2; alone++) {
        r.comm = alone ? small_self() : test_comm;
        run_execute(&r);
        CU_ASSERT(run_same(&whole, &r));
        outcome_free(&r.o);
    }
    outcome_free(&whole.o);
    free(path);
}

static void running_statistics_move_and_count_steps(void)
{
    struct train_run r = run_batches(100, 0);
    r.opts.patience = 0;
    run_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    for (int t = 0; r.o.w && t < groups.model.n_buffer_tensor; t++) {
        const struct tensor *b = groups.model.buffer[t];
        if (b->ndim == 0) /* the kept epoch's steps, three an epoch */
            CU_ASSERT(r.o.w[b->offset] == 3 || r.o.w[b->offset] == 6);
        for (int64_t i = 0; i < b->count && strstr(b->name, "running_var"); i++)
            CU_ASSERT(r.o.w[b->offset + i] > 0 && r.o.w[b->offset + i] != 1);
    }
    outcome_free(&r.o);
}

static void groups_below_16_samples_are_left_out(void)
{
    struct shard_plan p = shard_plan(240, 112, 64);
    CU_ASSERT_EQUAL(p.n_step, 3);
    CU_ASSERT_EQUAL(shard_plan_groups(&p, 16), 16);
    CU_ASSERT_EQUAL(p.n_step, 2);
    p = shard_plan(255, 112, 64); /* 31 left: a group of 16 stays, one of 15 goes */
    CU_ASSERT_EQUAL(shard_plan_groups(&p, 16), 15);
    CU_ASSERT_EQUAL(p.n_step, 3);
    CU_ASSERT_EQUAL(shard_step_samples(&p, 2), 16);
    CU_ASSERT_EQUAL(shard_unit(&p, 0, 2).end - shard_unit(&p, 0, 2).begin, 16);
    CU_ASSERT_EQUAL(shard_unit(&p, 1, 2).end - shard_unit(&p, 1, 2).begin, 0);
    p = shard_plan(15, 64, 64);
    CU_ASSERT_EQUAL(shard_plan_groups(&p, 16), 15);
    CU_ASSERT_EQUAL(p.n_step, 0);
    struct train_run r = run_batches(12, 0);
    run_execute(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_ERR_CONFIG);
    error_clear();
}

/* Frozen statistics: sums over samples separate, so the cache serves, and the buffers stay. */
static void unlearning_leaves_the_statistics_alone(void)
{
    const struct model *m = &groups.model;
    struct train_run origin = run_batches(100, 0);
    struct iau_opts step = {
        .correction = 1, .weight = 1, .optimizer = OPTIMIZER_ADAM, .lr = 1e-3, .steps = 1};
    struct comm self = small_self();
    struct outcome out[3];
    struct progress progress = {0};
    run_execute(&origin);
    CU_ASSERT_EQUAL(origin.rc, IAU_OK);
    for (int i = 0; i < 3; i++) { /* with the cache, without, without on one rank */
        struct engine e;
        small_engine(&e, &groups, GROUP_SAMPLES, i == 2 ? &self : &test_comm);
        struct unlearn u = {.engine = &e,
                            .opts = &(struct method_opts){.iau = step},
                            .sets = &group_sets,
                            .w = origin.o.w,
                            .name = "iau",
                            .progress = &progress};
        u.gradient_sum = i == 0 ? origin.o.gradient_sum : NULL;
        u.loss_sum = origin.o.loss_sum;
        CU_ASSERT_EQUAL(iau_run(&out[i], &u), IAU_OK);
        engine_free(&e);
    }
    size_t bytes = (size_t)model_state_floats(m) * sizeof *origin.o.w;
    CU_ASSERT_EQUAL(memcmp(out[0].w, out[1].w, bytes), 0);
    CU_ASSERT_EQUAL(memcmp(out[0].w, out[2].w, bytes), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(out[0].w, origin.o.w, (size_t)m->n_param * sizeof *origin.o.w), 0);
    CU_ASSERT_EQUAL(memcmp(out[0].w + m->n_param, origin.o.w + m->n_param,
                           (size_t)m->n_buffer * sizeof *origin.o.w),
                    0);
    for (int i = 0; i < 3; i++)
        outcome_free(&out[i]);
    outcome_free(&origin.o);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", run_open_data},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"same bytes after a restart", same_bytes_after_a_restart},
        {"running statistics move and count steps", running_statistics_move_and_count_steps},
        {"groups below 16 samples are left out", groups_below_16_samples_are_left_out},
        {"unlearning leaves the statistics alone", unlearning_leaves_the_statistics_alone},
        {"close the data", run_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "groups", tests);
}
