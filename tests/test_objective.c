/* Objectives of steps: labels drawn at random, by sample and not by who draws them, and a gradient
 * that is that of the value. */
#include "sweep/objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/rows.h"
#include "harness.h"
#include "kernel/vector.h"
#include "small_data.h"

enum { N_CLASS = 10, N_ID = 50000 };

static struct small_data table, images;

static void open_data(void)
{
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    small_data_open(&images, "images.h5", &small_images);
}

static void close_data(void)
{
    small_data_close(&table);
    small_data_close(&images);
}

/* --- drawn labels */

/* chi^2 with n - 1 degrees of freedom: mean n - 1, deviation sqrt(2 (n - 1)); five of these. */
static void expect_uniform(const int64_t *count, int n)
{
    double chi = 0, total = 0;
    for (int c = 0; c < n; c++)
        total += (double)count[c];
    for (int c = 0; c < n; c++)
        chi += pow((double)count[c] - total / n, 2) / (total / n);
    CU_ASSERT(total > 1000 && chi < n - 1 + 5 * sqrt(2.0 * (n - 1)));
}

static void labels_are_uniform(void)
{
    struct relabel r = {.seed = 3, .epoch = 2};
    int64_t count[N_CLASS] = {0}, others[N_CLASS][N_CLASS] = {{0}};
    for (int64_t id = 0; id < N_ID; id++)
        count[relabel_draw(&r, id, (int32_t)(id % N_CLASS), N_CLASS)]++;
    expect_uniform(count, N_CLASS);
    r.exclude_true = 1;
    for (int64_t id = 0; id < N_ID; id++)
        others[id % N_CLASS][relabel_draw(&r, id, (int32_t)(id % N_CLASS), N_CLASS)]++;
    for (int c = 0; c < N_CLASS; c++) {
        CU_ASSERT_EQUAL(others[c][c], 0);
        others[c][c] = others[c][N_CLASS - 1]; /* the nine that may come stand first */
        expect_uniform(others[c], N_CLASS - 1);
    }
    CU_ASSERT_EQUAL(relabel_draw(&r, 5, 0, 2), 1); /* one other class is no choice */
    CU_ASSERT_EQUAL(relabel_draw(&r, 5, 1, 2), 0);
}

/* In how many of many draws two ways agree: a tenth, by chance. */
static void expect_unlike(const struct relabel *a, const struct relabel *b, int64_t shift)
{
    int64_t same = 0;
    for (int64_t id = 0; id < N_ID; id++)
        same += relabel_draw(a, id, 0, N_CLASS) == relabel_draw(b, id + shift, 0, N_CLASS);
    double deviation = sqrt(N_ID * 0.1 * 0.9);
    CU_ASSERT(fabs((double)same - 0.1 * N_ID) < 5 * deviation);
}

static void labels_depend_on_seed_epoch_and_id(void)
{
    const struct relabel r = {.seed = 3, .epoch = 2}, seed = {.seed = 4, .epoch = 2},
                         high = {.seed = 3 + (UINT64_C(1) << 40), .epoch = 2},
                         epoch = {.seed = 3, .epoch = 3};
    expect_unlike(&r, &seed, 0);
    expect_unlike(&r, &high, 0);
    expect_unlike(&r, &epoch, 0);
    expect_unlike(&r, &r, 1);
    expect_unlike(&r, &r, INT64_C(1) << 32);
    expect_unlike(&r, &r, INT64_C(1) << 60);
    expect_unlike(&r, &r, INT64_MIN); /* ids may be anything */
    for (int64_t id = -50; id < 50; id++)
        CU_ASSERT_EQUAL(relabel_draw(&r, id, 1, N_CLASS), relabel_draw(&r, id, 2, N_CLASS));
}

static void only_the_samples_named_get_other_labels(void)
{
    int64_t only[] = {40, 3, INT64_MAX, -7, 2};
    const struct relabel all = {.seed = 1, .exclude_true = 1};
    struct relabel some = all;
    relabel_only(&some, only, 5);
    for (int64_t id = -60; id < 60; id++) {
        int is_named = id == -7 || id == 2 || id == 3 || id == 40;
        int32_t drawn = relabel_draw(&some, id, 4, N_CLASS);
        CU_ASSERT_EQUAL(drawn, is_named ? relabel_draw(&all, id, 4, N_CLASS) : 4);
    }
    CU_ASSERT_NOT_EQUAL(relabel_draw(&some, INT64_MAX, 4, N_CLASS), 4);
    CU_ASSERT_EQUAL(relabel_draw(&some, INT64_MAX - 1, 4, N_CLASS), 4);
}

/* What units get is drawn by their samples' ids, which here are not their rows. */
static void units_get_the_labels_of_their_samples(void)
{
    const int64_t row[] = {3, 4, 9, 10, 30, 31, 32, 33, 34, 80, 90, 91, 92, 100, 120, 200, 300};
    const struct relabel relabel = {.seed = 8, .epoch = 1, .exclude_true = 1};
    const struct objective objective = {.label = 1, .relabel = &relabel};
    struct engine e;
    struct rows rows;
    struct unit u;
    small_engine(&e, &table, 16, &test_comm);
    REQUIRE(rows_load_with_ids(&rows, &table.dataset, PART_TRAIN, row, 17) == IAU_OK);
    REQUIRE(unit_init(&u, &table.model, 16, UNIT_FORWARD) == IAU_OK);
    struct work work = {.rows = &rows, .n_unit = 2, .n = 17, .objective = &objective};
    for (int i = 0; i < 2; i++) {
        sweep_gather(&e, &work, i, &u);
        CU_ASSERT_EQUAL(u.n, i == 0 ? 16 : 1);
        for (int k = 0; k < u.n; k++) {
            int32_t label = table.rows[PART_TRAIN].label[row[16 * i + k]];
            int64_t id = small_data_id(PART_TRAIN, row[16 * i + k]);
            CU_ASSERT_EQUAL(u.label[k], relabel_draw(&relabel, id, label, 3));
            CU_ASSERT_NOT_EQUAL(u.label[k], label);
        }
    }
    unit_free(&u);
    rows_free(&rows);
    engine_free(&e);
}

/* --- value and gradient */

/* A step's objective over 50 samples, on all ranks: the sum, and its gradient [n_param] as mean. */
static double step_sum(struct engine *e, const struct small_data *s, const struct rows *rows,
                       const struct objective *objective, const float *w, float *g)
{
    struct sums sums;
    const int64_t n = 50, n_unit = 4;
    struct range own = shard_range(n_unit, test_comm.rank, test_comm.size);
    int32_t index[50];
    struct piece piece[4];
    for (int i = 0; i < 50; i++)
        index[i] = i;
    for (int i = 0; i < 4; i++)
        piece[i] = (struct piece){index + 16 * i, i < 3 ? 16 : 2};
    struct work work = {.rows = rows,
                        .n_unit = own.end - own.begin,
                        .piece = piece + own.begin,
                        .objective = objective};
    REQUIRE(sums_init(&sums, 1, &s->model.n_param, N_VALUE, e->n_thread) == IAU_OK);
    sums_begin(&sums, &n);
    sweep_add_step_gradient(e, w, &work, &sums, 0, 0);
    CU_ASSERT_EQUAL(sweep_reduce(e, &sums, "an objective"), IAU_OK);
    sums_mean(&sums, 0, 0, s->model.n_param, g);
    double value = sums_value(&sums, 0, VALUE_LOSS);
    sums_free(&sums);
    return value;
}

/* The value's slope along a direction, by central differences, against the gradient; kinks of ReLU
 * come in between. */
static void check_slope(const struct small_data *s, const struct objective *objective, double bound)
{
    int64_t n = s->model.n_param, row[50];
    float *w = mem_alloc(n, sizeof *w), *v = mem_alloc(n, sizeof *v), *g = mem_alloc(n, sizeof *g),
          *at = mem_alloc(n, sizeof *at), *out = mem_alloc(n, sizeof *out);
    const float h = 1e-3f;
    double value[2];
    struct engine e;
    struct rows rows;
    for (int64_t i = 0; i < 50; i++)
        row[i] = 2 * i;
    REQUIRE(rows_load_with_ids(&rows, &s->dataset, PART_TRAIN, row, 50) == IAU_OK);
    small_engine(&e, s, 16, &test_comm);
    REQUIRE(engine_teacher(&e) == IAU_OK);
    model_init_params(&s->model, 6, w);
    step_sum(&e, s, &rows, objective, w, g);
    harness_fill(v, n, 11);
    float size = (float)vector_norm(v, n), steepness = (float)vector_norm(g, n);
    for (int64_t i = 0; i < n; i++) /* mostly uphill: that is where a slope shows */
        v[i] = v[i] / size + g[i] / steepness;
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < n; i++)
            at[i] = w[i] + (k ? h : -h) * v[i];
        value[k] = step_sum(&e, s, &rows, objective, at, out) / 50;
    }
    double difference = (value[1] - value[0]) / (2 * (double)h);
    CU_ASSERT(fabs(difference - vector_dot(g, v, n)) <= bound * steepness);
    engine_free(&e);
    rows_free(&rows);
    free(w);
    free(v);
    free(g);
    free(at);
    free(out);
}

static void gradients_are_those_of_the_values(void)
{
    const struct small_data *data[] = {&table, &images};
    const struct relabel relabel = {.seed = 1};
    for (int i = 0; i < 2; i++) {
        float *teacher = mem_alloc(data[i]->model.n_param, sizeof *teacher);
        model_init_params(&data[i]->model, 5, teacher);
        const struct objective objectives[] = {
            {.label = 1},
            {.label = 0.3, .relabel = &relabel},
            {.teacher = 1, .temperature = 2, .teacher_w = teacher},
            {.label = 0.7, .teacher = 0.4, .temperature = 3, .teacher_w = teacher}};
        for (int k = 0; k < 4; k++)
            check_slope(data[i], &objectives[k], i ? 3e-3 : 2e-4);
        free(teacher);
    }
}

/* SCRUB's ascent begins at a stationary point: not a bit of a gradient. */
static void a_teacher_has_nothing_to_teach_itself(void)
{
    const struct small_data *data[] = {&table, &images};
    for (int i = 0; i < 2; i++) {
        int64_t n = data[i]->model.n_param, row[50], moved = 0;
        float *w = mem_alloc(n, sizeof *w), *g = mem_alloc(n, sizeof *g);
        struct engine e;
        struct rows rows;
        model_init_params(&data[i]->model, 5, w);
        const struct objective away = {.teacher = 1, .temperature = 2, .teacher_w = w};
        for (int64_t k = 0; k < 50; k++)
            row[k] = k;
        REQUIRE(rows_load(&rows, &data[i]->dataset, PART_TRAIN, row, 50) == IAU_OK);
        small_engine(&e, data[i], 16, &test_comm);
        REQUIRE(engine_teacher(&e) == IAU_OK);
        CU_ASSERT_EQUAL(step_sum(&e, data[i], &rows, &away, w, g), 0);
        for (int64_t k = 0; k < n; k++)
            moved += g[k] != 0;
        CU_ASSERT_EQUAL(moved, 0);
        CU_ASSERT(e.cost.gradients == 50 && e.cost.forwards == 50);
        engine_free(&e);
        rows_free(&rows);
        free(w);
        free(g);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"labels are uniform", labels_are_uniform},
        {"labels depend on seed, epoch and id", labels_depend_on_seed_epoch_and_id},
        {"only the samples named get other labels", only_the_samples_named_get_other_labels},
        {"units get the labels of their samples", units_get_the_labels_of_their_samples},
        {"gradients are those of the values", gradients_are_those_of_the_values},
        {"a teacher has nothing to teach itself", a_teacher_has_nothing_to_teach_itself},
        {"(close data)", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "objective", tests);
}
