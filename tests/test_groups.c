/* Training with batch norm: the same bytes at any rank count and after a restart, groups that are
 * too small, and running statistics that unlearning and evaluation leave alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stop.h"
#include "data/shard.h"
#include "harness.h"
#include "small_data.h"
#include "unlearn/iau.h"

static const struct small_shape shape = {.c = 1,
                                         .h = 8,
                                         .w = 8,
                                         .n_class = 4,
                                         .n_train = 300,
                                         .n_test = 40,
                                         .noise = 0.8f,
                                         .flipped = 0.05};
static struct small_data data;
static struct partition sets;

static void open_data(void)
{
    static char *line[] = {"conv 4 3 pad=1 bias=off",
                           "batchnorm",
                           "relu",
                           "residual begin",
                           "conv 8 3 stride=2 pad=1 bias=off",
                           "batchnorm",
                           "residual skip",
                           "conv 8 1 stride=2 bias=off",
                           "batchnorm",
                           "residual end",
                           "relu",
                           "avgpool",
                           "dense classes"};
    struct text_list text = {sizeof line / sizeof *line, line};
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct forget_opts forget = {.ratio = 0.1, .seed = 1};
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&data, "groups.h5", &shape);
    CU_ASSERT_EQUAL(model_build_list(&data.model, "test", &text, (struct shape){1, 8, 8}, 4),
                    IAU_OK);
    CU_ASSERT_EQUAL(partition_init(&sets, &data.dataset, &split, &forget, &test_comm), IAU_OK);
}

static void close_data(void)
{
    partition_free(&sets);
    small_data_close(&data);
}

/* 240 samples in batches of `batch`. */
static struct train_opts opts_of(int64_t batch, double alpha)
{
    struct train_opts opts = small_train_opts();
    opts.unit = GROUP_SAMPLES;
    opts.batch = batch;
    opts.restriction.alpha = alpha;
    return opts;
}

static int train(struct outcome *o, const struct train_opts *opts, const char *restart, int resume,
                 const struct comm *comm)
{
    struct engine e;
    struct progress progress = {0};
    small_engine(&e, &data, (int)opts->unit, comm);
    struct restart file = {.path = restart, .settings = "", .name = "origin", .resume = resume};
    struct trainer t = {.engine = &e,
                        .opts = opts,
                        .train = &sets.train,
                        .valid = &sets.valid,
                        .name = "origin",
                        .restart = &file,
                        .progress = &progress};
    int rc = trainer_run(o, &t);
    engine_free(&e);
    return rc;
}

static int same_outcome(const struct outcome *a, const struct outcome *b)
{
    const struct model *m = &data.model;
    return a->w && b->w && memcmp(a->w, b->w, (size_t)model_state_floats(m) * sizeof *a->w) == 0 &&
           memcmp(a->gradient_sum, b->gradient_sum, (size_t)m->n_param * sizeof *a->gradient_sum) ==
               0 &&
           same_history(&a->history, &b->history);
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
    struct comm self = small_self();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_opts opts = opts_of(cases[i].batch, cases[i].alpha);
        struct outcome all, alone;
        CU_ASSERT_EQUAL(train(&all, &opts, "", 0, &test_comm), IAU_OK);
        CU_ASSERT_EQUAL(train(&alone, &opts, "", 0, &self), IAU_OK);
        CU_ASSERT(same_outcome(&all, &alone));
        outcome_free(&all);
        outcome_free(&alone);
    }
}

/* Stopped after the first step, on all ranks; then on from the file, on all ranks and on one. */
static void same_bytes_after_a_restart(void)
{
    struct train_opts opts = opts_of(100, 0.02);
    struct comm self = small_self();
    struct outcome whole, stopped, resumed;
    char *path = harness_path("groups.restart.h5");
    CU_ASSERT_EQUAL(train(&whole, &opts, "", 0, &test_comm), IAU_OK);
    stop_set(1);
    CU_ASSERT_EQUAL(train(&stopped, &opts, path, 0, &test_comm), IAU_STOPPED);
    stop_set(0);
    comm_barrier(&test_comm);
    for (int alone = 0; alone < 2; alone++) {
        CU_ASSERT_EQUAL(train(&resumed, &opts, path, 1, alone ? &self : &test_comm), IAU_OK);
        CU_ASSERT(same_outcome(&whole, &resumed));
        outcome_free(&resumed);
    }
    outcome_free(&stopped);
    outcome_free(&whole);
    free(path);
}

static void running_statistics_move_and_count_steps(void)
{
    struct train_opts opts = opts_of(100, 0);
    struct outcome o;
    opts.patience = 0;
    CU_ASSERT_EQUAL(train(&o, &opts, "", 0, &test_comm), IAU_OK);
    for (int t = 0; o.w && t < data.model.n_buffer_tensor; t++) {
        const struct tensor *b = data.model.buffer[t];
        if (b->ndim == 0) /* the kept epoch's steps, three an epoch */
            CU_ASSERT(o.w[b->offset] == 3 || o.w[b->offset] == 6);
        for (int64_t i = 0; i < b->count && strstr(b->name, "running_var"); i++)
            CU_ASSERT(o.w[b->offset + i] > 0 && o.w[b->offset + i] != 1);
    }
    outcome_free(&o);
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
    struct train_opts opts = opts_of(12, 0);
    struct outcome o;
    int rc = train(&o, &opts, "", 0, &test_comm);
    CU_ASSERT_EQUAL(rc, IAU_ERR_CONFIG);
    error_clear();
}

/* Frozen statistics: sums over samples separate, so the cache serves, and the buffers stay. */
static void unlearning_leaves_the_statistics_alone(void)
{
    const struct model *m = &data.model;
    struct train_opts opts = opts_of(100, 0);
    struct iau_opts step = {
        .correction = 1, .weight = 1, .optimizer = OPTIMIZER_ADAM, .lr = 1e-3, .steps = 1};
    struct comm self = small_self();
    struct outcome origin, out[3];
    struct progress progress = {0};
    CU_ASSERT_EQUAL(train(&origin, &opts, "", 0, &test_comm), IAU_OK);
    for (int i = 0; i < 3; i++) { /* with the cache, without, without on one rank */
        struct engine e;
        small_engine(&e, &data, GROUP_SAMPLES, i == 2 ? &self : &test_comm);
        struct unlearn u = {.engine = &e,
                            .opts = &(struct method_opts){.iau = step},
                            .sets = &sets,
                            .w = origin.w,
                            .name = "iau",
                            .progress = &progress};
        u.gradient_sum = i == 0 ? origin.gradient_sum : NULL;
        u.loss_sum = origin.loss_sum;
        CU_ASSERT_EQUAL(iau_run(&out[i], &u), IAU_OK);
        engine_free(&e);
    }
    size_t bytes = (size_t)model_state_floats(m) * sizeof *origin.w;
    CU_ASSERT_EQUAL(memcmp(out[0].w, out[1].w, bytes), 0);
    CU_ASSERT_EQUAL(memcmp(out[0].w, out[2].w, bytes), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(out[0].w, origin.w, (size_t)m->n_param * sizeof *origin.w), 0);
    CU_ASSERT_EQUAL(memcmp(out[0].w + m->n_param, origin.w + m->n_param,
                           (size_t)m->n_buffer * sizeof *origin.w),
                    0);
    for (int i = 0; i < 3; i++)
        outcome_free(&out[i]);
    outcome_free(&origin);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open data", open_data},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"same bytes after a restart", same_bytes_after_a_restart},
        {"running statistics move and count steps", running_statistics_move_and_count_steps},
        {"groups below 16 samples are left out", groups_below_16_samples_are_left_out},
        {"unlearning leaves the statistics alone", unlearning_leaves_the_statistics_alone},
        {"close data", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "groups", tests);
}
