/* Times the library's own work for `make bench`: training, inference and unlearning on random samples, through
 * the same trainer, sweeps and IAU step that the program runs. One JSON line a row.
 *
 * usage: bench DIRECTORY REPEATS ROW...   (under mpirun or alone; DIRECTORY takes the random data set)
 * ROW is lenet5-train, lenet5-train-256 (batch 256), lenet5-gr, lenet5-infer, mlp-train, mlp-gr, iau, iau-cached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/rng.h"
#include "data/import.h"
#include "io/file.h"
#include "kernel/gemm.h"
#include "unlearn/iau.h"

enum { MAX_REPEATS = 100, N_FORGET = 2000, COLUMN_SAMPLES_PER_S = 7, COLUMN_STEP_SECONDS = 9 };

/* What a row runs on and how. */
struct row {
    const char *name;
    int is_mlp;
    int64_t n, batch, unit;
    double alpha;
};

static const struct row rows[] = {
    {"lenet5-train", 0, 16000, 64, 16, 0},        {"lenet5-train-256", 0, 16384, 256, 16, 0},
    {"lenet5-gr", 0, 16000, 64, 16, 0.005},       {"lenet5-infer", 0, 16000, 64, 16, 0},
    {"mlp-train", 1, 40000, 64, 64, 0},           {"mlp-gr", 1, 40000, 64, 64, 0.005},
    {"iau", 0, 40000, 64, 16, 0},                 {"iau-cached", 0, 40000, 64, 16, 0},
};

struct bench {
    struct comm comm;
    struct dataset dataset;
    struct model model;
    struct engine engine;
    struct partition sets;
    int repeats;
    double value[MAX_REPEATS]; /* a repeat each */
};

static void put_be32(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* An IDX file of random bytes below `limit`. */
static int write_idx(const char *path, int n_dim, const uint32_t *dims, uint32_t limit)
{
    size_t head = 4 + 4 * (size_t)n_dim, n = 1;
    for (int i = 0; i < n_dim; i++)
        n *= dims[i];
    uint8_t *p = malloc(head + n);
    if (!p)
        return FAIL(IAU_ERR_MEM, "%zu random bytes", n);
    put_be32(p, 0x800u + (uint32_t)n_dim);
    for (int i = 0; i < n_dim; i++)
        put_be32(p + 4 + 4 * i, dims[i]);
    struct rng r = {1, RNG_SHUFFLE, limit};
    for (size_t i = 0; i < n; i++) {
        uint32_t words[4];
        if (i % 4 == 0)
            rng_words(&r, i / 4, words);
        p[head + i] = (uint8_t)(words[i % 4] % limit);
    }
    int rc = file_write_atomic(path, p, head + n);
    free(p);
    return rc;
}

/* A CIFAR-10 binary file of random pixels. */
static int write_cifar(const char *path, int64_t n)
{
    enum { RECORD = 3073 };
    uint8_t *p = malloc((size_t)n * RECORD);
    if (!p)
        return FAIL(IAU_ERR_MEM, "%lld random samples", (long long)n);
    struct rng r = {1, RNG_SHUFFLE, 0};
    for (int64_t i = 0; i < n * RECORD; i++) {
        uint32_t words[4];
        if (i % 4 == 0)
            rng_words(&r, (uint64_t)i / 4, words);
        p[i] = (uint8_t)(i % RECORD == 0 ? words[i % 4] % 10 : words[i % 4]);
    }
    int rc = file_write_atomic(path, p, (size_t)n * RECORD);
    free(p);
    return rc;
}

static int write_sources(const struct row *row, char path[4][512], const char *dir, int *n_source)
{
    int rc = IAU_OK;
    uint32_t n = (uint32_t)row->n;
    for (int i = 0; i < 4; i++)
        snprintf(path[i], 512, "%s/source%d", dir, i);
    *n_source = row->is_mlp ? 4 : 2;
    if (row->is_mlp) {
        TRY(write_idx(path[0], 3, (uint32_t[]){n, 24, 25}, 256));
        TRY(write_idx(path[1], 1, (uint32_t[]){n}, 100));
        TRY(write_idx(path[2], 3, (uint32_t[]){100, 24, 25}, 256));
        TRY(write_idx(path[3], 1, (uint32_t[]){100}, 100));
    } else {
        TRY(write_cifar(path[0], row->n));
        TRY(write_cifar(path[1], 100));
    }
out:
    return rc;
}

static int make_data(struct bench *b, const struct row *row, const char *dir)
{
    int rc = IAU_OK, n_source = row->is_mlp ? 4 : 2;
    char path[4][512], out[512];
    snprintf(out, sizeof out, "%s/random.h5", dir);
    TRY(comm_agree(&b->comm, b->comm.rank == 0 ? write_sources(row, path, dir, &n_source) : IAU_OK));
    const char *source[4] = {path[0], path[1], path[2], path[3]};
    struct import_request request = {.format = row->is_mlp ? "idx" : "cifar10",
                                     .n_source = n_source,
                                     .source = source,
                                     .out = out,
                                     .shuffle_seed = -1,
                                     .force = 1};
    TRY(import_run(&request, &b->comm));
    TRY(dataset_open(&b->dataset, out, &b->comm));
out:
    return rc;
}

static int setup(struct bench *b, const struct row *row, const char *dir)
{
    int rc = IAU_OK;
    int64_t hidden[] = {256, 128};
    struct model_opts model = {row->is_mlp ? MODEL_MLP : MODEL_LENET5, {2, hidden}, ACTIVATION_TANH};
    struct data_opts data = {.valid = 0};
    struct forget_opts forget = {.ratio = (double)N_FORGET / (double)row->n, .ids = NULL};
    TRY(make_data(b, row, dir));
    struct shape in = {b->dataset.c, b->dataset.h, b->dataset.w};
    TRY(comm_agree(&b->comm, model_build(&b->model, &model, in, b->dataset.n_class)));
    TRY(comm_agree(&b->comm, engine_init(&b->engine, &b->model, &b->dataset, (int)row->unit, NULL, NULL, &b->comm)));
    TRY(partition_init(&b->sets, &b->dataset, &data, &forget, &b->comm));
out:
    return rc;
}

static int time_training(struct bench *b, const struct row *row)
{
    struct train_opts opts = {.seed = 1,
                              .epochs = b->repeats + 1, /* the first warms up */
                              .batch = row->batch,
                              .unit = row->unit,
                              .optimizer = {OPTIMIZER_ADAM, 1e-4, 0, 0, .9, .999, 1e-8},
                              .restriction = {row->alpha, RESTRICTION_PER_TENSOR}};
    struct index_set none = {0};
    struct progress progress = {0};
    struct trainer t = {.engine = &b->engine,
                        .opts = &opts,
                        .train = &b->sets.train,
                        .valid = &none,
                        .name = row->name,
                        .progress = &progress};
    struct outcome o;
    int rc = trainer_run(&o, &t);
    for (int i = 0; rc == IAU_OK && i < b->repeats; i++)
        b->value[i] = o.history.value[(i + 1) * o.history.n_column + COLUMN_SAMPLES_PER_S];
    outcome_free(&o);
    return rc;
}

static int time_inference(struct bench *b, const float *w)
{
    int rc = IAU_OK;
    struct share share = {0};
    double loss, accuracy;
    TRY(share_load(&share, &b->engine, &b->sets.train));
    for (int i = -1; i < b->repeats; i++) {
        double start = timer_now_s();
        TRY(sweep_loss(&b->engine, w, &share, "inference", &loss, &accuracy));
        if (i >= 0)
            b->value[i] = (double)b->sets.train.n / (timer_now_s() - start);
    }
out:
    share_free(&share);
    return rc;
}

static int time_iau(struct bench *b, const float *w, int cached)
{
    int rc = IAU_OK;
    struct iau_opts opts = {.correction = 1, .weight = 1, .optimizer = OPTIMIZER_ADAM, .lr = 1e-3, .steps = 1};
    struct progress progress = {0};
    double loss_sum = 0, *sum = mem_alloc(b->model.n_param, sizeof *sum);
    TRY(comm_agree(&b->comm, sum ? IAU_OK : FAIL(IAU_ERR_MEM, "the gradient sum")));
    TRY(trainer_gradient_sum(&b->engine, w, &b->sets.train, sum, &loss_sum));
    for (int i = -1; i < b->repeats; i++) {
        struct outcome o;
        struct iau u = {.engine = &b->engine,
                        .opts = &opts,
                        .sets = &b->sets,
                        .w = w,
                        .gradient_sum = cached ? sum : NULL,
                        .loss_sum = loss_sum,
                        .name = "iau",
                        .progress = &progress};
        TRY(iau_run(&o, &u));
        if (i >= 0)
            b->value[i] = o.history.value[COLUMN_STEP_SECONDS];
        outcome_free(&o);
    }
out:
    free(sum);
    return rc;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(struct bench *b, const struct row *row, int is_time)
{
    qsort(b->value, (size_t)b->repeats, sizeof *b->value, compare);
    double middle = b->repeats % 2 ? b->value[b->repeats / 2]
                                   : 0.5 * (b->value[b->repeats / 2 - 1] + b->value[b->repeats / 2]);
    if (b->comm.rank == 0)
        printf("{\"work\": \"%s\", \"ranks\": %d, \"threads\": %d, \"blas_core\": \"%s\", \"unit\": \"%s\", "
               "\"median\": %.6g, \"best\": %.6g}\n",
               row->name, b->comm.size, b->engine.n_thread, gemm_core_name(), is_time ? "s" : "samples/s", middle,
               b->value[is_time ? 0 : b->repeats - 1]);
}

static int run_row(struct bench *b, const struct row *row, const char *dir)
{
    int rc = IAU_OK;
    int is_iau = strncmp(row->name, "iau", 3) == 0, is_inference = strstr(row->name, "infer") != NULL;
    float *w = NULL;
    TRY(setup(b, row, dir));
    w = mem_alloc(b->model.n_param, sizeof *w);
    TRY(comm_agree(&b->comm, w ? IAU_OK : FAIL(IAU_ERR_MEM, "parameters")));
    model_init_params(&b->model, 1, w);
    TRY(is_iau ? time_iau(b, w, strcmp(row->name, "iau-cached") == 0)
        : is_inference ? time_inference(b, w)
                       : time_training(b, row));
    print_row(b, row, is_iau);
out:
    free(w);
    partition_free(&b->sets);
    engine_free(&b->engine);
    dataset_close(&b->dataset);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = IAU_OK;
    struct bench b = {0};
    comm_start(&b.comm, &argc, &argv);
    log_init(b.comm.rank, LOG_LEVEL_QUIET);
    gemm_start();
    b.repeats = argc > 2 ? atoi(argv[2]) : 0;
    if (argc < 4 || b.repeats < 1 || b.repeats > MAX_REPEATS)
        TRY(comm_agree(&b.comm, FAIL(IAU_ERR_USAGE, "usage: bench DIRECTORY REPEATS ROW...")));
    for (int i = 3; i < argc; i++) {
        const struct row *row = NULL;
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            row = strcmp(rows[k].name, argv[i]) == 0 ? &rows[k] : row;
        TRY(comm_agree(&b.comm, row ? IAU_OK : FAIL(IAU_ERR_USAGE, "no row is named '%s'", argv[i])));
        TRY(run_row(&b, row, argv[1]));
    }
out:
    comm_stop(&b.comm);
    return error_exit_status(rc);
}
