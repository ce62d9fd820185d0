/* The engine where something is wrong: bad numbers and short memory on one rank are one message and
 * one code on all; and how it normalises samples. */
#include <math.h>
#include <stdlib.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "small_data.h"

static float *initial_params(const struct model *m)
{
    float *w = mem_alloc(m->n_param, sizeof *w);
    REQUIRE(w);
    model_init_params(m, 7, w);
    return w;
}

/* --- failures */

/* A gradient sum over everything at w: one message over all ranks, and the same code on each. */
static void expect_numeric_error(struct small_data *s, const float *w, const char *message)
{
    struct engine e;
    struct index_set set;
    struct share share;
    struct sums sums;
    struct capture capture;
    char printed[4096];
    small_engine(&e, s, 16, &test_comm);
    CU_ASSERT_EQUAL(index_set_all(&set, PART_TRAIN, s->dataset.n[PART_TRAIN]), IAU_OK);
    CU_ASSERT_EQUAL(share_load(&share, &e, &set), IAU_OK);
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &s->model.n_param, N_VALUE, e.n_thread), IAU_OK);
    struct work work = share_work(&e, &share);
    sums_begin(&sums, &set.n);
    sweep_add_gradient(&e, w, &work, &sums, 0);
    capture_begin(&capture);
    int rc = sweep_reduce(&e, &sums, "epoch 3 step 14");
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_NUMERIC, printed, message);
    sums_free(&sums);
    share_free(&share);
    index_set_free(&set);
    engine_free(&e);
}

static void values_that_are_not_finite_or_too_large_are_named(void)
{
    static struct small_data s;
    small_data_open(&s, "nan.h5", &small_images);
    float *w = initial_params(&s.model);
    for (int i = 0; i < s.model.n_tensor; i++) { /* none may get lost in a ReLU or a maximum */
        int64_t last = s.model.tensor[i]->offset + s.model.tensor[i]->count - 1;
        float keep = w[last];
        w[last] = NAN;
        expect_numeric_error(
            &s, w, ".weight is not finite or too large; a smaller learning rate may help");
        w[last] = keep;
    }
    free(w);
    small_data_close(&s);

    small_data_open(&s, "large.h5", &small_table);
    w = initial_params(&s.model);
    int64_t hidden = s.model.tensor[1]->count, last = s.model.tensor[2]->offset;
    for (int64_t i = 0; i < s.model.tensor[2]->count; i++)
        w[last + i] = (float)(i / hidden) * 2e6f;
    expect_numeric_error(&s, w, "epoch 3 step 14: fc1.weight is not finite or too large");
    free(w);
    small_data_close(&s);
}

/* Every rank passes the same addends, but for one bad number on the last. */
static void check_bad_addend(struct engine *e, int64_t at, float bad, double bad_value,
                             const char *message)
{
    const struct model *m = e->model;
    struct sums sums;
    struct capture capture;
    char printed[4096];
    int64_t n = 100;
    int is_last = test_comm.rank == test_comm.size - 1;
    float *x = mem_alloc(m->n_param, sizeof *x);
    double value[N_VALUE] = {1, 1};
    CU_ASSERT_EQUAL(sums_init(&sums, 1, &m->n_param, N_VALUE, e->n_thread), IAU_OK);
    if (is_last && at >= 0)
        x[at] = bad;
    if (is_last && at < 0)
        value[VALUE_LOSS] = bad_value;
    sums_begin(&sums, &n);
    sums_add(&sums, 0, 0, x, value);
    capture_begin(&capture);
    int rc = sweep_reduce(e, &sums, "a step");
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_NUMERIC, printed, message);
    sums_free(&sums);
    free(x);
}

static void one_bad_addend_on_one_rank_fails_everywhere(void)
{
    static struct small_data s;
    struct engine e;
    small_data_open(&s, "bad.h5", &small_images);
    small_engine(&e, &s, 16, &test_comm);
    const struct tensor *const *tensor = s.model.tensor;
    check_bad_addend(&e, 0, NAN, 0, "a step: conv1.weight is not");
    check_bad_addend(&e, tensor[5]->offset - 1, -INFINITY, 0, "a step: fc1.weight is not");
    check_bad_addend(&e, tensor[5]->offset, 0x1p20f, 0, "a step: fc1.bias is not");
    check_bad_addend(&e, s.model.n_param - 1, -0x1p21f, 0, "a step: fc3.bias is not");
    check_bad_addend(&e, -1, 0, NAN, "a step: the loss is not");
    check_bad_addend(&e, -1, 0, 0x1p20, "a step: the loss is not");
    engine_free(&e);
    small_data_close(&s);
}

static void a_loss_that_is_not_finite_fails_everywhere(void)
{
    static struct small_data s;
    struct engine e;
    struct index_set set;
    struct share share;
    struct capture capture;
    char printed[4096];
    double loss, accuracy;
    small_data_open(&s, "loss.h5", &small_table);
    small_engine(&e, &s, 16, &test_comm);
    float *w = initial_params(&s.model);
    w[s.model.n_param - 1] = INFINITY;
    CU_ASSERT_EQUAL(index_set_all(&set, PART_TEST, s.dataset.n[PART_TEST]), IAU_OK);
    CU_ASSERT_EQUAL(share_load(&share, &e, &set), IAU_OK);
    capture_begin(&capture);
    int rc = sweep_loss(&e, w, &share, "validation", &loss, &accuracy);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_NUMERIC, printed, "validation: the loss is not finite");
    share_free(&share);
    index_set_free(&set);
    free(w);
    engine_free(&e);
    small_data_close(&s);
}

static void memory_short_on_one_rank_fails_everywhere(void)
{
    static struct small_data s;
    struct engine e;
    struct index_set set;
    struct share share;
    struct capture capture;
    char printed[4096];
    double loss, accuracy;
    int is_last = test_comm.rank == test_comm.size - 1;
    small_data_open(&s, "memory.h5", &small_images);
    small_engine(&e, &s, 16, &test_comm);
    float *w = initial_params(&s.model);
    CU_ASSERT_EQUAL(index_set_all(&set, PART_TRAIN, s.dataset.n[PART_TRAIN]), IAU_OK);
    for (int k = 1; k <= 2; k++) {
        capture_begin(&capture);
        mem_fail_after(is_last ? k : 0);
        int rc = share_load(&share, &e, &set);
        mem_fail_after(0);
        capture_end(&capture, printed, sizeof printed);
        expect_one_message(rc, IAU_ERR_MEM, printed, "no memory");
        share_free(&share);
    }
    CU_ASSERT_EQUAL(share_load(&share, &e, &set), IAU_OK);
    capture_begin(&capture);
    mem_fail_after(is_last);
    int rc = sweep_loss(&e, w, &share, "validation", &loss, &accuracy);
    mem_fail_after(0);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_MEM, printed, "for sums");
    CU_ASSERT_EQUAL(sweep_loss(&e, w, &share, "validation", &loss, &accuracy), IAU_OK);
    share_free(&share);
    index_set_free(&set);
    free(w);
    engine_free(&e);
    small_data_close(&s);
}

/* Whichever allocation fails, nothing is left behind and the next attempt is as good as the first.
 */
static void an_engine_without_memory_is_empty(void)
{
    static struct small_data s;
    struct engine e;
    int rc = IAU_ERR_MEM, k;
    small_data_open(&s, "engine.h5", &small_images);
    for (k = 1; rc != IAU_OK && k < 20; k++) {
        mem_fail_after(k);
        rc = engine_init(&e, &s.model, &s.dataset, 16, NULL, NULL, &test_comm);
        mem_fail_after(0);
        if (rc == IAU_OK)
            break;
        harness_expect_error(rc, IAU_ERR_MEM, "memory");
        CU_ASSERT(!e.worker && !e.scale && !e.shift);
        engine_free(&e);
    }
    CU_ASSERT_EQUAL(k, 3 + 2 * engine_threads() +
                           1); /* scale, shift, workers; a unit and a vector each */
    mem_fail_after(3);
    harness_expect_error(engine_keep(&e, 4), IAU_ERR_MEM, "activations of a unit");
    mem_fail_after(0);
    engine_free(&e);
    engine_free(&e);
    small_data_close(&s);
}

/* --- normalisation */

/* Input values of a unit against (raw / 255 - mean) / std, and -mean / std in the padding. */
static void check_normalisation(const struct small_data *s, const struct engine *e, double mean,
                                double std)
{
    const struct shape in = s->model.in;
    const struct rows *rows = &s->rows[PART_TEST];
    struct work work = {.rows = rows, .n_unit = 1, .n = 5};
    struct unit u;
    double worst = 0;
    REQUIRE(unit_init(&u, &s->model, e->lanes, UNIT_FORWARD) == IAU_OK);
    sweep_gather(e, &work, 0, &u);
    for (int64_t i = 0; i < shape_count(in) * u.lanes; i++) {
        int lane = (int)(i % u.lanes), row = lane < 5 ? lane : 0;
        int y = (int)(i / u.lanes / in.w) % in.h - 10, x = (int)(i / u.lanes) % in.w - 10;
        int inside = y >= 0 && y < 12 && x >= 0 && x < 12;
        int raw = inside ? ((const uint8_t *)rows->x)[(row * 12 + y) * 12 + x] : 0;
        worst = fmax(worst, fabs(u.node[0].a[i] - (raw / 255.0 - mean) / std));
        CU_ASSERT_EQUAL(u.label[lane], rows->label[row]);
        CU_ASSERT_EQUAL(u.weight[lane], lane < 5);
    }
    CU_ASSERT(worst < 2e-7 / std);
    CU_ASSERT_EQUAL(u.n, 5);
    unit_free(&u);
}

static void samples_are_normalised_by_the_file_or_by_the_settings(void)
{
    static struct small_data s;
    struct engine e;
    double m = 0.25, d = 0.125;
    struct real_list mean = {1, &m}, std = {1, &d}, none = {0};
    small_data_open(&s, "norm.h5", &small_images);
    CU_ASSERT_EQUAL(engine_init(&e, &s.model, &s.dataset, 16, NULL, NULL, &test_comm), IAU_OK);
    check_normalisation(&s, &e, s.dataset.mean[0], s.dataset.std[0]);
    engine_free(&e);
    CU_ASSERT_EQUAL(engine_init(&e, &s.model, &s.dataset, 32, &none, &none, &test_comm), IAU_OK);
    check_normalisation(&s, &e, s.dataset.mean[0], s.dataset.std[0]);
    engine_free(&e);
    CU_ASSERT_EQUAL(engine_init(&e, &s.model, &s.dataset, 16, &mean, &std, &test_comm), IAU_OK);
    check_normalisation(&s, &e, m, d);
    engine_free(&e);
    s.dataset.std[0] = 0; /* a constant channel: only its mean goes */
    CU_ASSERT_EQUAL(engine_init(&e, &s.model, &s.dataset, 16, NULL, NULL, &test_comm), IAU_OK);
    check_normalisation(&s, &e, s.dataset.mean[0], 1);
    engine_free(&e);
    small_data_close(&s);
}

static void tables_are_taken_as_they_are_unless_settings_say_otherwise(void)
{
    static struct small_data s;
    struct engine e;
    struct unit u;
    double m[7], d[7];
    struct real_list mean = {7, m}, std = {7, d};
    small_data_open(&s, "table.h5", &small_table);
    REQUIRE(unit_init(&u, &s.model, 16, UNIT_FORWARD) == IAU_OK);
    struct work work = {.rows = &s.rows[PART_TRAIN], .n_unit = 1, .n = 16};
    const float *x = s.rows[PART_TRAIN].x;
    for (int i = 0; i < 7; i++) {
        m[i] = i - 3;
        d[i] = 0.5 + i;
    }
    CU_ASSERT_EQUAL(engine_init(&e, &s.model, &s.dataset, 16, NULL, NULL, &test_comm), IAU_OK);
    sweep_gather(&e, &work, 0, &u);
    for (int i = 0; i < 7 * 16; i++)
        CU_ASSERT_EQUAL(u.node[0].a[i], x[i % 16 * 7 + i / 16]);
    engine_free(&e);
    CU_ASSERT_EQUAL(engine_init(&e, &s.model, &s.dataset, 16, &mean, &std, &test_comm), IAU_OK);
    sweep_gather(&e, &work, 0, &u);
    for (int i = 0; i < 7 * 16; i++)
        CU_ASSERT_DOUBLE_EQUAL(u.node[0].a[i], (x[i % 16 * 7 + i / 16] - m[i / 16]) / d[i / 16],
                               2e-6);
    engine_free(&e);
    unit_free(&u);
    small_data_close(&s);
}

static void wrong_normalisation_is_refused(void)
{
    static struct small_data s;
    struct engine e;
    double three[3] = {0.5, 0.5, 0.5}, zero = 0, nan = NAN;
    struct real_list one = {1, three}, many = {3, three}, none = {0}, flat = {1, &zero},
                     unknown = {1, &nan};
    const struct {
        const struct real_list *mean, *std;
        const char *message;
    } bad[] = {{&many, &many, "data.normalize needs 1 value"},
               {&one, &many, "data.normalize needs 1 value"},
               {&one, &none, "data.normalize needs 1 value"},
               {&none, &one, "data.normalize needs 1 value"},
               {&one, NULL, "data.normalize needs 1 value"},
               {NULL, &one, "data.normalize needs 1 value"},
               {&one, &flat, "data.normalize.std"},
               {&one, &unknown, "data.normalize.std"}};
    small_data_open(&s, "wrong.h5", &small_images);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = engine_init(&e, &s.model, &s.dataset, 16, bad[i].mean, bad[i].std, &test_comm);
        harness_expect_error(rc, IAU_ERR_CONFIG, bad[i].message);
        engine_free(&e);
    }
    small_data_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"values that are not finite or too large are named",
         values_that_are_not_finite_or_too_large_are_named},
        {"one bad addend on one rank fails everywhere",
         one_bad_addend_on_one_rank_fails_everywhere},
        {"a loss that is not finite fails everywhere", a_loss_that_is_not_finite_fails_everywhere},
        {"memory short on one rank fails everywhere", memory_short_on_one_rank_fails_everywhere},
        {"an engine without memory is empty", an_engine_without_memory_is_empty},
        {"samples are normalised by the file or by the settings",
         samples_are_normalised_by_the_file_or_by_the_settings},
        {"tables are taken as they are unless settings say otherwise",
         tables_are_taken_as_they_are_unless_settings_say_otherwise},
        {"wrong normalisation is refused", wrong_normalisation_is_refused},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "engine", tests);
}
