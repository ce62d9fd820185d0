/* Sums of squares of single samples' gradients: against one sample at a time, by the reference and
 * by units of one sample; the same bytes on any number of ranks and threads; and bad numbers. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "small_data.h"
#include "sweep/squares.h"
#include "trial.h"

/* --- one unit */

/* SUM over samples of the squares of the gradients that the reference finds in double; it has no
 * dropout of single samples. */
static void check_unit(struct trial *t)
{
    if (t->set.masks)
        return;
    int64_t n = t->m.n_param, count = shape_count(t->m.in);
    double *want = mem_alloc(n, sizeof *want), *dw = mem_alloc(n, sizeof *dw);
    for (int k = 0; k < t->set.n; k++) {
        struct reference_set one = {.n = 1, .x = t->set.x + k * count, .label = t->set.label + k};
        reference_run(&t->m, t->wd, &one, dw);
        for (int64_t j = 0; j < n; j++)
            want[j] += dw[j] * dw[j];
    }
    model_forward(&t->m, t->w, &t->u);
    for (int again = 0; again < 2; again++) { /* a backward pass leaves the activations */
        model_loss_gradient(&t->m, &t->u);
        model_squares_from_top(&t->m, t->w, &t->u, t->g);
        trial_expect_equal(t, "squares", t->g, want, 6e-6);
    }
    free(want);
    free(dw);
}

static void squares_of_a_unit_equal_the_double_precision_ones(void)
{
    trial_run(check_unit, 1);
}

/* --- a set */

struct setup {
    struct small_data data;
    struct index_set set;
    float *w; /* owned */
};

/* After some training, so that probabilities and squares differ widely. */
static void setup_open(struct setup *s, const struct small_shape *shape)
{
    struct train_opts opts = small_train_opts();
    struct partition sets = {0};
    struct outcome o;
    int64_t n, row[199];
    small_data_open(&s->data, "squares.h5", shape);
    opts.epochs = 3;
    REQUIRE(index_set_all(&sets.train, PART_TRAIN, s->data.dataset.n[PART_TRAIN]) == IAU_OK);
    small_train(&o, &s->data, &sets, &opts, &test_comm);
    s->w = o.w;
    o.w = NULL;
    outcome_free(&o);
    index_set_free(&sets.train);
    for (n = 0; n < 199 && 3 * n + 1 < s->data.dataset.n[PART_TRAIN]; n++)
        row[n] = 3 * n + 1;
    REQUIRE(index_set_from_rows(&s->set, PART_TRAIN, row, n) == IAU_OK);
}

static void setup_close(struct setup *s)
{
    free(s->w);
    index_set_free(&s->set);
    small_data_close(&s->data);
}

static double *sum_on(const struct setup *s, int unit, enum square_labels labels,
                      const struct comm *comm, struct cost *cost)
{
    struct engine e;
    struct share share;
    struct squares squares;
    double *sum = mem_alloc(s->data.model.n_param, sizeof *sum);
    small_engine(&e, &s->data, unit, comm);
    CU_ASSERT_EQUAL(share_load(&share, &e, &s->set), IAU_OK);
    CU_ASSERT_EQUAL(squares_init(&squares, &e, "squares"), IAU_OK);
    CU_ASSERT_EQUAL(squares_sum(&squares, s->w, &share, labels, NULL, sum), IAU_OK);
    CU_ASSERT_EQUAL(squares_sum(&squares, s->w, &share, labels, NULL, sum),
                    IAU_OK); /* nothing is left */
    *cost = e.cost;
    squares_free(&squares);
    share_free(&share);
    engine_free(&e);
    return sum;
}

/* One sample a unit, one label after another, squared and added in double. */
static double *sum_by_hand(const struct setup *s, enum square_labels labels)
{
    const struct model *m = &s->data.model;
    double *sum = mem_alloc(m->n_param, sizeof *sum);
    float *dw = mem_alloc(m->n_param, sizeof *dw);
    struct unit u;
    REQUIRE(unit_init(&u, m, 16, UNIT_GRADIENT) == IAU_OK);
    for (int64_t i = 0; i < s->set.n; i++) {
        naive_forward(&s->data, s->w, PART_TRAIN, s->set.row[i], &u);
        int32_t label = u.label[0];
        for (int y = 0; y < m->n_class; y++) {
            double weight = labels == SQUARES_TRUE ? y == label : u.p[y * u.lanes];
            u.label[0] = y;
            model_backward(m, s->w, &u, dw);
            for (int64_t j = 0; j < m->n_param; j++)
                sum[j] += weight * dw[j] * dw[j];
        }
    }
    unit_free(&u);
    free(dw);
    return sum;
}

static void check_set(const struct small_shape *shape)
{
    static struct setup s;
    setup_open(&s, shape);
    for (int labels = SQUARES_TRUE; labels <= SQUARES_EXPECTED; labels++) {
        struct cost cost;
        double *want = sum_by_hand(&s, labels), *sum = sum_on(&s, 32, labels, &test_comm, &cost);
        for (int t = 0; t < s.data.model.n_tensor; t++) {
            const struct tensor *p = s.data.model.tensor[t];
            CU_ASSERT(relative_error(sum + p->offset, want + p->offset, p->count) < 5e-6);
            for (int64_t j = p->offset; j < p->offset + p->count; j++)
                if (want[j] > 1e-9) /* small ones are as good as large ones */
                    CU_ASSERT(fabs(sum[j] / want[j] - 1) < 1e-3);
        }
        int64_t times = labels == SQUARES_TRUE ? 1 : s.data.model.n_class;
        CU_ASSERT_EQUAL(cost.gradients, 2 * times * s.set.n);
        free(want);
        free(sum);
    }
    setup_close(&s);
}

static void squares_of_a_set_equal_those_of_single_samples(void)
{
    check_set(&small_table);
    check_set(&small_images);
}

static void the_same_bytes_on_any_ranks_and_threads(void)
{
    static struct setup s;
    struct comm self = small_self();
    int n_thread = omp_get_max_threads();
    setup_open(&s, &small_images);
    size_t bytes = (size_t)s.data.model.n_param * sizeof(double);
    for (int labels = SQUARES_TRUE; labels <= SQUARES_EXPECTED; labels++) {
        struct cost cost;
        double *alone = sum_on(&s, 16, labels, &self, &cost);
        for (int threads = 1; threads <= 2; threads++) {
            omp_set_num_threads(threads);
            double *sum = sum_on(&s, 16, labels, &test_comm, &cost);
            CU_ASSERT_EQUAL(memcmp(sum, alone, bytes), 0);
            free(sum);
        }
        omp_set_num_threads(n_thread);
        free(alone);
    }
    setup_close(&s);
}

/* The square of a gradient of 2e6 is too large, as is what is not finite. */
static void a_bad_square_is_named(void)
{
    static struct setup s;
    const float bad[] = {NAN, 3e18f};
    setup_open(&s, &small_images);
    for (int i = 0; i < 2; i++) {
        struct engine e;
        struct share share;
        struct squares squares;
        struct capture capture;
        char printed[4096];
        double *sum = mem_alloc(s.data.model.n_param, sizeof *sum);
        s.w[s.data.model.tensor[2]->offset] = bad[i];
        small_engine(&e, &s.data, 16, &test_comm);
        CU_ASSERT_EQUAL(share_load(&share, &e, &s.set), IAU_OK);
        CU_ASSERT_EQUAL(squares_init(&squares, &e, "fisher: importances"), IAU_OK);
        capture_begin(&capture);
        int rc = squares_sum(&squares, s.w, &share, SQUARES_TRUE, NULL, sum);
        capture_end(&capture, printed, sizeof printed);
        expect_one_message(rc, IAU_ERR_NUMERIC, printed,
                           "fisher: importances: conv1.weight is not finite or too large");
        squares_free(&squares);
        share_free(&share);
        engine_free(&e);
        free(sum);
    }
    setup_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"squares of a unit equal the double-precision ones",
         squares_of_a_unit_equal_the_double_precision_ones},
        {"squares of a set equal those of single samples",
         squares_of_a_set_equal_those_of_single_samples},
        {"the same bytes on any ranks and threads", the_same_bytes_on_any_ranks_and_threads},
        {"a bad square is named", a_bad_square_is_named},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "squares", tests);
}
