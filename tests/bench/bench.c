/* Times the library's own work for `make bench`: training, inference and unlearning on random
 * samples, through the same trainer, sweeps and IAU step that the program runs. One JSON line a
 * row.
 *
 * usage: bench DIRECTORY REPEATS ROW[:n=N][:batch=B]...   (under mpirun or alone; DIRECTORY takes
 * the random data set) ROW is one of `rows` below: MODEL-train, MODEL-gr (with gradient
 * restriction), -256 and -128 (that batch), lenet5-infer, iau and iau-cached (one step on LeNet5,
 * without and with the gradient sum), all on N samples; or reduce, the sum of N 64-bit integers
 * over the ranks. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/rng.h"
#include "data/import.h"
#include "data/reader.h"
#include "kernel/gemm.h"
#include "unlearn/iau.h"

enum { MAX_REPEATS = 100, N_FORGET = 2000, COLUMN_SAMPLES_PER_S = 7, COLUMN_STEP_SECONDS = 9 };

/* What a row runs on and how. */
struct row {
    const char *name;
    enum model_name model;
    int64_t n, batch, unit;
    double alpha;
};

static const struct row rows[] = {
    {"lenet5-train", MODEL_LENET5, 16000, 64, 16, 0},
    {"lenet5-train-256", MODEL_LENET5, 16384, 256, 16, 0},
    {"lenet5-gr", MODEL_LENET5, 16000, 64, 16, 0.005},
    {"lenet5-infer", MODEL_LENET5, 16000, 64, 16, 0},
    {"mlp-train", MODEL_MLP, 40000, 64, 64, 0},
    {"mlp-gr", MODEL_MLP, 40000, 64, 64, 0.005},
    {"resnet18-train", MODEL_RESNET18, 192, 64, 64, 0},
    {"resnet18-train-128", MODEL_RESNET18, 256, 128, 64, 0},
    {"resnet18-gr", MODEL_RESNET18, 192, 64, 64, 0.005},
    {"resnet18-gr-128", MODEL_RESNET18, 256, 128, 64, 0.005},
    {"vgg19-train-128", MODEL_VGG19, 256, 128, 64, 0},
    {"vgg19-train", MODEL_VGG19, 256, 64, 64, 0},
    {"vgg19-gr", MODEL_VGG19, 256, 64, 64, 0.005},
    {"iau", MODEL_LENET5, 40000, 64, 16, 0},
    {"iau-cached", MODEL_LENET5, 40000, 64, 16, 0},
    {"reduce", MODEL_LENET5, 1, 64, 16, 0},
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

/* A reader of random samples, so that the data come in through the same door as real ones. */
static const struct row *random_row;

static int random_open(struct import_reader *r)
{
    int is_table = random_row->model == MODEL_MLP;
    r->n[PART_TRAIN] = random_row->n;
    r->n[PART_TEST] = 100;
    r->ndim = is_table ? 1 : 3;
    r->dims[0] = is_table ? 600 : 3;
    r->dims[1] = r->dims[2] = 32;
    r->is_u8 = !is_table;
    r->n_class = is_table ? 100 : 10;
    return IAU_OK;
}

static int random_start(struct import_reader *r, enum dataset_part part)
{
    (void)r, (void)part;
    return IAU_OK;
}

static int random_next(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct rng rng = {1, RNG_SHUFFLE, 0};
    int64_t each = r->ndim == 3 ? 3072 : 600;
    for (int64_t i = 0; to->x && i < n * each; i++) {
        float u = rng_uniform(&rng, (uint64_t)i);
        if (r->is_u8)
            ((uint8_t *)to->x)[i] = (uint8_t)(256 * u);
        else
            ((float *)to->x)[i] = 2 * u - 1;
    }
    for (int64_t i = 0; to->label && i < n; i++)
        to->label[i] = (int32_t)((float)r->n_class * rng_uniform(&rng, (uint64_t)(n * each + i)));
    return IAU_OK;
}

static void random_close(struct import_reader *r)
{
    (void)r;
}

static const struct import_format random_format = {
    "random", "nothing", "random", 0, random_open, random_start, random_next, random_close};

static int make_data(struct bench *b, const struct row *row, const char *dir)
{
    int rc = IAU_OK;
    char out[512];
    snprintf(out, sizeof out, "%s/random.h5", dir);
    char *nothing[] = {(char *)"random numbers"};
    struct source_opts source = {.name = "random", .files = {1, nothing}, .shuffle = -1};
    struct import_request request = {
        .source = &source, .reader = &random_format, .out = out, .force = 1};
    random_row = row;
    TRY(import_run(&request, &b->comm));
    TRY(dataset_open(&b->dataset, out, &b->comm));
out:
    return rc;
}

static int setup(struct bench *b, const struct row *row, const char *dir)
{
    int rc = IAU_OK;
    int64_t hidden[] = {256, 128};
    struct model_opts model = {.name = row->model, .hidden = {2, hidden}, .width = 64};
    struct data_opts data = {.valid = 0};
    struct forget_opts forget = {.ratio = row->n > 8 * N_FORGET ? (double)N_FORGET / (double)row->n
                                                                : 0.125};
    TRY(make_data(b, row, dir));
    struct shape in = {b->dataset.c, b->dataset.h, b->dataset.w};
    TRY(comm_agree(&b->comm, model_build(&b->model, &model, in, b->dataset.n_class)));
    TRY(comm_agree(&b->comm, engine_init(&b->engine, &b->model, &b->dataset, (int)row->unit, NULL,
                                         NULL, &b->comm)));
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
    struct iau_opts opts = {
        .correction = 1, .weight = 1, .optimizer = OPTIMIZER_ADAM, .lr = 1e-3, .steps = 1};
    struct progress progress = {0};
    double loss_sum = 0, *sum = mem_alloc(b->model.n_param, sizeof *sum);
    TRY(comm_agree(&b->comm, sum ? IAU_OK : FAIL(IAU_ERR_MEM, "the gradient sum")));
    TRY(trainer_gradient_sum(&b->engine, w, &b->sets.train, sum, &loss_sum));
    for (int i = -1; i < b->repeats; i++) {
        struct outcome o;
        struct unlearn u = {.engine = &b->engine,
                            .opts = &(struct method_opts){.iau = opts},
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
    double middle = b->repeats % 2
                        ? b->value[b->repeats / 2]
                        : 0.5 * (b->value[b->repeats / 2 - 1] + b->value[b->repeats / 2]);
    if (b->comm.rank == 0)
        printf("{\"work\": \"%s\", \"ranks\": %d, \"threads\": %d, \"blas_core\": \"%s\", "
               "\"unit\": \"%s\", "
               "\"median\": %.6g, \"best\": %.6g}\n",
               row->name, b->comm.size, b->engine.n_thread, gemm_core_name(),
               is_time ? "s" : "samples/s", middle, b->value[is_time ? 0 : b->repeats - 1]);
}

/* Sums of n integers over the ranks: what the network makes of a reduction. */
static int run_reduction(struct bench *b, const struct row *row)
{
    int64_t *x = mem_alloc(row->n, sizeof *x);
    int rc = comm_agree(&b->comm, x ? IAU_OK : FAIL(IAU_ERR_MEM, "integers to add"));
    for (int i = -1; rc == IAU_OK && i < b->repeats; i++) {
        enum { CALLS = 20 };
        comm_barrier(&b->comm);
        double start = timer_now_s();
        for (int k = 0; k < CALLS; k++)
            comm_sum_i64(&b->comm, x, row->n);
        if (i >= 0)
            b->value[i] = (timer_now_s() - start) / CALLS;
    }
    free(x);
    if (rc == IAU_OK)
        print_row(b, row, 1);
    return rc;
}

static int run_row(struct bench *b, const struct row *row, const char *dir)
{
    int rc = IAU_OK;
    if (strcmp(row->name, "reduce") == 0)
        return run_reduction(b, row);
    int is_iau = strncmp(row->name, "iau", 3) == 0,
        is_inference = strstr(row->name, "infer") != NULL;
    float *w = NULL;
    TRY(setup(b, row, dir));
    w = mem_alloc(model_state_floats(&b->model), sizeof *w);
    TRY(comm_agree(&b->comm, w ? IAU_OK : FAIL(IAU_ERR_MEM, "parameters")));
    model_init_params(&b->model, 1, w);
    TRY(is_iau         ? time_iau(b, w, strcmp(row->name, "iau-cached") == 0)
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

/* The row that a word asks for, with what it says of samples and batch. */
static int find_row(const char *word, struct row *row)
{
    size_t length = strcspn(word, ":");
    *row = (struct row){0};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        if (strlen(rows[k].name) == length && strncmp(rows[k].name, word, length) == 0)
            *row = rows[k];
    for (const char *p = strchr(word, ':'); row->name && p; p = strchr(p + 1, ':'))
        if (sscanf(p, ":n=%" SCNd64, &row->n) != 1 &&
            sscanf(p, ":batch=%" SCNd64, &row->batch) != 1)
            row->name = NULL;
    return row->name && row->n > 0 && row->batch > 0
               ? IAU_OK
               : FAIL(IAU_ERR_USAGE, "no row is named '%s'", word);
}

int main(int argc, char **argv)
{
    int rc = IAU_OK;
    struct bench b = {0};
    struct row row;
    comm_start(&b.comm, &argc, &argv);
    log_init(b.comm.rank, LOG_LEVEL_QUIET);
    gemm_start();
    b.repeats = argc > 2 ? atoi(argv[2]) : 0;
    if (argc < 4 || b.repeats < 1 || b.repeats > MAX_REPEATS)
        TRY(comm_agree(&b.comm, FAIL(IAU_ERR_USAGE, "usage: bench DIRECTORY REPEATS ROW...")));
    for (int i = 3; i < argc; i++) {
        TRY(comm_agree(&b.comm, find_row(argv[i], &row)));
        TRY(run_row(&b, &row, argv[1]));
    }
out:
    comm_stop(&b.comm);
    return error_exit_status(rc);
}
