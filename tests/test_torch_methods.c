/* Methods that train, as a whole, against what fixtures/make_torch_methods.py computed in float64
 * from the same parameters on the same batches; and the labels that it drew. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_table.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "import_case.h"
#include "sweep/objective.h"
#include "torch_case.h"
#include "unlearn/method.h"

static const char *const runs[] = {"finetune",           "ascent", "neggrad_plus", "random_label",
                                   "random_label_mixed", "scrub",  "scrub_sgd",    "salun"};
enum { N_RUN = sizeof runs / sizeof *runs };
static const char *const norm_runs[] = {"finetune", "ascent", "neggrad_plus", "scrub"};
enum { N_NORM_RUN = sizeof norm_runs / sizeof *norm_runs, N_NORM_FORGET = 18 };

static struct torch_case torch;
static struct torch_case norm; /* its model and parameters; the samples are those of torch */
static struct record truth;
static char *data_path;
static struct dataset dataset;
static struct partition sets;

static void take_set(struct index_set *set, const char *name)
{
    const struct record_array *a = torch_find(&torch, &torch.inputs, "%s", name);
    REQUIRE(index_set_from_rows(set, PART_TRAIN, a->data, record_count(a)) == IAU_OK);
}

/* The samples of the fixture as a dataset file, whose ids are row numbers. */
static void open_data(void)
{
    struct import_case c;
    char *source = harness_fixture("fixtures/torch.h5");
    data_path = harness_path("torch_data.h5");
    import_case_init(&c, "hdf5", &source, 1, data_path);
    c.opts.x = c.opts.test_x = "/mlp/x";
    c.opts.y = c.opts.test_y = "/mlp/y";
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    import_works(&c);
    torch_case_open(&torch, "mlp");
    torch_read(&truth, "torch_methods.h5");
    REQUIRE(dataset_open(&dataset, data_path, &test_comm) == IAU_OK);
    REQUIRE(dataset.n[PART_TRAIN] == torch.rows.n && dataset.n_class == torch.dataset.n_class);
    take_set(&sets.retain, "retain");
    take_set(&sets.forget, "forget");
    REQUIRE(index_set_all(&sets.train, PART_TRAIN, torch.rows.n) == IAU_OK);
    free(source);
}

static void close_data(void)
{
    partition_free(&sets);
    dataset_close(&dataset);
    record_free(&truth);
    torch_case_close(&torch);
    free(data_path);
}

static const char *text(const struct torch_case *c, const char *run, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/%s/%s", c->name, run);
    return record_text(&truth, path, name, "");
}

static double number(const struct torch_case *c, const char *run, const char *name)
{
    return torch_attribute(c, &truth, run, name);
}

/* The settings of a run, with whole sets as batches. */
static struct method_opts opts_of(const struct torch_case *c, const char *run)
{
    struct method_opts o = {.seed = (int64_t)number(c, run, "seed"), .forget_batch = 64};
    while (o.method < N_METHOD && strcmp(config_method_name(o.method), text(c, run, "method")) != 0)
        o.method++;
    REQUIRE(o.method < N_METHOD);
    o.until = ASCENT_UNTIL_OFF;
    o.neggrad_alpha = o.scrub.alpha = number(c, run, "alpha");
    o.scrub.gamma = number(c, run, "gamma");
    o.scrub.temperature = number(c, run, "temperature");
    o.scrub.msteps = (int64_t)number(c, run, "msteps");
    o.relabel.exclude_true = number(c, run, "exclude_true") != 0;
    o.relabel.redraw = number(c, run, "redraw") != 0;
    o.relabel.order = number(c, run, "mixed") != 0 ? RELABEL_MIXED : RELABEL_SEQUENTIAL;
    o.salun_fraction = number(c, run, "fraction");
    int64_t every = (int64_t)number(c, run, "every");
    o.tuning = (struct tuning_opts){
        .mode = c == &norm ? TUNING_TRAIN : TUNING_EVAL,
        .epochs = (int64_t)number(c, run, "epochs"),
        .batch = 64,
        .optimizer = {.name = strcmp(text(c, run, "optimizer"), "adam") == 0 ? OPTIMIZER_ADAM
                                                                             : OPTIMIZER_SGD,
                      .lr = number(c, run, "lr"),
                      .momentum = number(c, run, "momentum"),
                      .weight_decay = number(c, run, "weight_decay"),
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8},
        .schedule = {
            .name = every ? SCHEDULE_STEP : SCHEDULE_CONSTANT, .every = every, .factor = 0.1}};
    return o;
}

/* Parameters that have kept their bits. */
static int64_t count_kept(const float *w)
{
    int64_t n = 0;
    for (int64_t i = 0; i < torch.model.n_param; i++)
        n += memcmp(&w[i], &torch.w[i], sizeof *w) == 0;
    return n;
}

/* The run's outcome; the caller frees. */
static void execute(struct outcome *o, const struct torch_case *c, const struct partition *p,
                    const struct method_opts *opts, const char *run)
{
    struct engine e;
    struct progress progress = {0};
    struct train_opts train = {.unit = c == &norm ? GROUP_SAMPLES : 16};
    REQUIRE(engine_init(&e, &c->model, &dataset, (int)train.unit, NULL, NULL, &test_comm) ==
            IAU_OK);
    struct unlearn u = {.engine = &e,
                        .opts = opts,
                        .train = &train,
                        .sets = p,
                        .w = c->w,
                        .name = run,
                        .progress = &progress};
    CU_ASSERT_EQUAL_FATAL(method_of(opts->method)->run(o, &u), IAU_OK);
    CU_ASSERT_EQUAL(o->history.n_row, opts->tuning.epochs);
    engine_free(&e);
}

static void check_run(const char *run)
{
    struct outcome o;
    struct method_opts opts = opts_of(&torch, run);
    execute(&o, &torch, &sets, &opts, run);
    torch_expect_moves(&torch, &truth, run, o.w, NULL, 0, 1e-5);
    int64_t n = torch.model.n_param, moved = (int64_t)(opts.salun_fraction * (double)n);
    if (opts.method == METHOD_SALUN)
        CU_ASSERT_EQUAL(count_kept(o.w), n - moved);
    outcome_free(&o);
}

static void methods_are_those_of_torch(void)
{
    for (int i = 0; i < N_RUN; i++)
        check_run(runs[i]);
}

/* --- batch norm in training mode */

static void open_norm(void)
{
    const struct record_array *x = torch_find(&torch, &torch.inputs, "x");
    char *lines = mem_strdup(record_text(&truth, "/norm", "layers", "")), *line[8], *save = NULL;
    struct text_list list = {0, line};
    for (char *l = strtok_r(lines, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        line[list.n++] = l;
    norm.name = "norm";
    REQUIRE(model_build_list(&norm.model, "norm", &list, (struct shape){(int)x->dims[1], 1, 1},
                             dataset.n_class) == IAU_OK);
    const struct record_array *params = torch_find(&norm, &truth, "params"),
                              *buffers = torch_find(&norm, &truth, "buffers");
    int64_t n_param = norm.model.n_param, n_buffer = norm.model.n_buffer;
    REQUIRE(record_count(params) == n_param && record_count(buffers) == n_buffer);
    norm.w = mem_alloc(model_state_floats(&norm.model), sizeof *norm.w);
    memcpy(norm.w, params->data, (size_t)n_param * sizeof *norm.w);
    memcpy(norm.w + n_param, buffers->data, (size_t)n_buffer * sizeof *norm.w);
    free(lines);
}

/* How far w is from what the file holds, beside how far that is from the start. */
static double error_of(const char *run, const char *what, const float *w, const float *start)
{
    const struct record_array *a = torch_find(&norm, &truth, "%s/%s", run, what);
    double error = 0, move = 0;
    for (int64_t i = 0; i < record_count(a); i++) {
        double expected = record_value(a, i);
        error += (w[i] - expected) * (w[i] - expected);
        move += (expected - start[i]) * (expected - start[i]);
    }
    return sqrt(error / move);
}

static void statistics_of_groups_are_those_of_torch(void)
{
    struct partition p = {0};
    int64_t row[64], n = torch.rows.n, n_param;
    for (int64_t i = 0; i < n; i++)
        row[i] = i;
    open_norm();
    n_param = norm.model.n_param;
    REQUIRE(index_set_from_rows(&p.forget, PART_TRAIN, row, N_NORM_FORGET) == IAU_OK);
    REQUIRE(index_set_from_rows(&p.retain, PART_TRAIN, row + N_NORM_FORGET, n - N_NORM_FORGET) ==
            IAU_OK);
    for (int i = 0; i < N_NORM_RUN; i++) {
        struct outcome o;
        struct method_opts opts = opts_of(&norm, norm_runs[i]);
        execute(&o, &norm, &p, &opts, norm_runs[i]);
        CU_ASSERT(error_of(norm_runs[i], "params", o.w, norm.w) < 1e-5);
        CU_ASSERT(error_of(norm_runs[i], "buffers", o.w + n_param, norm.w + n_param) < 1e-5);
        outcome_free(&o);
    }
    partition_free(&p);
    free(norm.w);
}

/* By a second implementation of the generator. */
static void labels_are_those_of_the_fixture(void)
{
    const struct record_array *a = torch_find(&torch, &truth, "labels");
    const int64_t n = torch.rows.n, epoch[] = {0, 3};
    CU_ASSERT_EQUAL(record_count(a), 4 * n);
    for (int k = 0; k < 4; k++) {
        struct relabel r = {.seed = 5, .epoch = epoch[k % 2], .exclude_true = k / 2};
        int64_t wrong = 0;
        for (int64_t i = 0; i < n; i++)
            wrong +=
                relabel_draw(&r, i, torch.rows.label[i], 10) != (int)record_value(a, k * n + i);
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"labels are those of the fixture", labels_are_those_of_the_fixture},
        {"methods are those of torch", methods_are_those_of_torch},
        {"statistics of groups are those of torch", statistics_of_groups_are_those_of_torch},
        {"(close data)", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "torch_methods", tests);
}
