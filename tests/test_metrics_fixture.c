/* Every metric against what NumPy, SciPy and scikit-learn computed in double: evaluations of two
 * softmax regressions with their gaps, margins, LiRA and U-LiRA. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/lira.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/import.h"
#include "eval/evaluate.h"
#include "eval/margin.h"
#include "harness.h"

enum { N_RETAIN = 240, N_FORGET = 70, N_VALID = 60, N_TEST = 90 };

static struct record fixture;

static void read_fixture(void)
{
    char *path = harness_fixture("fixtures/metrics.h5");
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    CU_ASSERT_EQUAL_FATAL(record_read(&fixture, path), IAU_OK);
    free(path);
}

static const struct record_array *find(const char *path)
{
    const struct record_array *a = record_find(&fixture, path);
    if (!a)
        printf("the fixture has no %s\n", path);
    REQUIRE(a);
    return a;
}

/* --- evaluations */

struct bench {
    struct dataset dataset;
    struct model model;
    struct engine engine;
    struct index_set set[N_EVAL_SET];
    float *w[2]; /* the model's and the reference's */
};

static void open_data(struct bench *b)
{
    static char format[] = "hdf5", x[] = "/data/x", y[] = "/data/y", test_x[] = "/data/test_x",
                test_y[] = "/data/test_y";
    char *file = harness_fixture("fixtures/metrics.h5"), *out = harness_path("metrics-data.h5");
    struct source_opts source = {.format = format,
                                 .files = {1, &file},
                                 .x = x,
                                 .y = y,
                                 .test_x = test_x,
                                 .test_y = test_y,
                                 .shuffle = -1};
    struct import_request request = {.source = &source, .out = out, .force = 1};
    REQUIRE(import_run(&request, &test_comm) == IAU_OK);
    REQUIRE(dataset_open(&b->dataset, out, &test_comm) == IAU_OK);
    free(file);
    free(out);
}

static void take_rows(struct index_set *s, enum dataset_part part, int64_t first, int64_t n)
{
    int64_t *row = mem_alloc(n, sizeof *row);
    for (int64_t i = 0; i < n; i++)
        row[i] = first + i;
    REQUIRE(index_set_from_rows(s, part, row, n) == IAU_OK);
    free(row);
}

static void open_bench(struct bench *b)
{
    static const char *const groups[] = {"/model", "/reference"};
    char line[] = "dense classes", *lines[] = {line}, path[32];
    struct text_list text = {1, lines};
    open_data(b);
    REQUIRE(model_build_list(&b->model, "model", &text, (struct shape){b->dataset.c, 1, 1},
                             b->dataset.n_class) == IAU_OK);
    REQUIRE(engine_init(&b->engine, &b->model, &b->dataset, 16, NULL, NULL, &test_comm) == IAU_OK);
    take_rows(&b->set[SET_RETAIN], PART_TRAIN, 0, N_RETAIN);
    take_rows(&b->set[SET_FORGET], PART_TRAIN, N_RETAIN, N_FORGET);
    take_rows(&b->set[SET_VALID], PART_TRAIN, N_RETAIN + N_FORGET, N_VALID);
    take_rows(&b->set[SET_TEST], PART_TEST, 0, N_TEST);
    for (int i = 0; i < 2; i++) {
        b->w[i] = mem_alloc(b->model.n_param, sizeof *b->w[i]);
        for (int t = 0; t < 2; t++) {
            snprintf(path, sizeof path, "%s/%s", groups[i], t ? "b" : "w");
            memcpy(b->w[i] + b->model.tensor[t]->offset, find(path)->data,
                   (size_t)b->model.tensor[t]->count * sizeof(float));
        }
    }
}

static void close_bench(struct bench *b)
{
    for (int s = 0; s < N_EVAL_SET; s++)
        index_set_free(&b->set[s]);
    for (int i = 0; i < 2; i++)
        free(b->w[i]);
    engine_free(&b->engine);
    dataset_close(&b->dataset);
}

static void evaluate(struct bench *b, const float *w, struct metrics *m)
{
    struct evaluation v;
    const struct index_set *set[N_EVAL_SET];
    for (int s = 0; s < N_EVAL_SET; s++)
        set[s] = &b->set[s];
    struct ensemble model = {.n = 1, .w = w}, reference = {.n = 1, .w = b->w[1]};
    CU_ASSERT_EQUAL(evaluate_model(&v, &b->engine, set, &model, &reference, "model"), IAU_OK);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(evaluation_metrics(&v, m), IAU_OK);
    evaluation_free(&v);
}

/* Shares and areas are exact but for the last quotient; the rest is float arithmetic. */
static void compare(const struct metrics *m)
{
    static const char prefix[] = "/expected/";
    int n_expected = 0;
    for (int64_t i = 0; i < fixture.n_array; i++) {
        const struct record_array *a = &fixture.array[i];
        if (strncmp(a->path, prefix, sizeof prefix - 1) != 0)
            continue;
        const char *name = a->path + sizeof prefix - 1;
        int is_smooth = strstr(name, "loss_") == name || strstr(name, "kl_") == name ||
                        strstr(name, "js_") == name || strstr(name, "distance") == name;
        double value = metrics_value(m, name), want = record_value(a, 0);
        if (!(fabs(value - want) <= (is_smooth ? 2e-6 : 1e-12)))
            printf("%s: %.9g, but %.9g by NumPy\n", name, value, want);
        CU_ASSERT_TRUE(fabs(value - want) <= (is_smooth ? 2e-6 : 1e-12));
        n_expected++;
    }
    CU_ASSERT_EQUAL(n_expected, m->n);
}

static void evaluations_are_those_of_numpy(void)
{
    static struct bench b;
    struct metrics own = {0}, twin = {0};
    open_bench(&b);
    evaluate(&b, b.w[0], &own);
    evaluate(&b, b.w[1], &twin);
    if (test_comm.rank == 0) {
        CU_ASSERT_EQUAL(metrics_add_gaps(&own, &twin), IAU_OK);
        compare(&own);
    }
    metrics_free(&own);
    metrics_free(&twin);
    close_bench(&b);
}

/* --- margins and likelihood ratios */

static void margins_are_those_of_scipy(void)
{
    const struct record_array *z = find("/margin/z"), *label = find("/margin/label"),
                              *phi = find("/margin/phi");
    int n_class = (int)z->dims[1];
    for (int64_t i = 0; i < z->dims[0]; i++) {
        double margin = margin_of((const float *)z->data + i * n_class, n_class, 1,
                                  ((const int32_t *)label->data)[i]);
        CU_ASSERT_DOUBLE_EQUAL(margin, record_value(phi, i), 1e-9);
    }
}

static struct lira_table table(void)
{
    const struct record_array *margin = find("/lira/margin");
    return (struct lira_table){margin->dims[0], margin->dims[1], margin->data,
                               find("/lira/member")->data};
}

static void lira_is_that_of_scipy(void)
{
    struct lira_table t = table();
    const struct record_array *target = find("/lira/target");
    for (int pooled = 0; pooled < 2; pooled++) {
        struct lira_fit f;
        CU_ASSERT_EQUAL(lira_fit(&f, &t, pooled ? LIRA_VARIANCE_POOLED : LIRA_VARIANCE_SAMPLE),
                        IAU_OK);
        for (int a = 0; a < N_LIRA; a++) {
            char path[64];
            snprintf(path, sizeof path, "/lira/%s/%s", pooled ? "pooled" : "sample", lira_name(a));
            const struct record_array *want = find(path);
            for (int64_t i = 0; i < t.n_target; i++) {
                double score = lira_score(&f, a, i, record_value(target, i)),
                       truth = record_value(want, i);
                CU_ASSERT_DOUBLE_EQUAL(score, truth, 1e-9 * fmax(1, fabs(truth)));
            }
        }
        lira_fit_free(&f);
    }
}

static void ulira_is_that_of_plain_loops(void)
{
    struct lira_table t = table();
    for (int pooled = 0; pooled < 2; pooled++) {
        struct ulira_result r;
        const char *group = pooled ? "pooled" : "sample";
        char path[64];
        CU_ASSERT_EQUAL(ulira_attack(&r, &t, find("/lira/unlearned")->data, t.margin,
                                     pooled ? LIRA_VARIANCE_POOLED : LIRA_VARIANCE_SAMPLE),
                        IAU_OK);
        snprintf(path, sizeof path, "/lira/%s/ulira_accuracy", group);
        CU_ASSERT_DOUBLE_EQUAL(r.accuracy, record_value(find(path), 0), 1e-12);
        snprintf(path, sizeof path, "/lira/%s/ulira_auc", group);
        CU_ASSERT_DOUBLE_EQUAL(r.roc.auc, record_value(find(path), 0), 1e-12);
        mia_free(&r.roc);
    }
}

static void drop_fixture(void)
{
    record_free(&fixture);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"read the fixture", read_fixture},
                           {"evaluations are those of NumPy", evaluations_are_those_of_numpy},
                           {"margins are those of SciPy", margins_are_those_of_scipy},
                           {"LiRA is that of SciPy", lira_is_that_of_scipy},
                           {"U-LiRA is that of plain loops", ulira_is_that_of_plain_loops},
                           {"drop the fixture", drop_fixture},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "metrics_fixture", tests);
}
