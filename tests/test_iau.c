/* The unlearning step: q against direct sums over D_r and D_f, one formula with and without the
 * cache, the same bytes at any rank count, calibration, what the history says, and errors that all
 * ranks agree on. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "small_data.h"
#include "unlearn/iau.h"

static struct small_data table, images; /* opened by the first test, closed by the last */
static struct outcome origin, image_origin;
/* Requests: 4.9 % over the whole set; one sample; all but one; neighbours, which are one rank's
 * share of D and one unit of D_f; samples that the origin has learned well. */
static struct partition few, one, most, neighbours, learned, image_few;

static void request_rows(struct partition *p, const int64_t *row, int64_t n)
{
    index_set_free(&p->retain);
    index_set_free(&p->forget);
    CU_ASSERT_EQUAL(index_set_from_rows(&p->forget, PART_TRAIN, row, n), IAU_OK);
    CU_ASSERT_EQUAL(index_set_minus(&p->retain, &p->train, &p->forget), IAU_OK);
}

/* A request for the rows at these positions of the training set. */
static void make_request(struct partition *p, const struct small_data *s, int64_t first, int64_t n,
                         int64_t stride)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    int64_t *row = mem_alloc(n, sizeof *row);
    CU_ASSERT_EQUAL(partition_init(p, &s->dataset, &split, NULL, &test_comm), IAU_OK);
    for (int64_t i = 0; i < n; i++)
        row[i] = p->train.row[first + i * stride];
    request_rows(p, row, n);
    free(row);
}

/* A request for the first 20 rows of little loss. */
static void request_learned(struct partition *p)
{
    int64_t row[20], n = 0;
    make_request(p, &table, 0, 1, 1);
    for (int64_t i = 0; i < p->train.n && n < 20; i++) {
        struct index_set single = {PART_TRAIN, 1, &p->train.row[i]};
        struct naive a;
        naive_sum(&a, &table, origin.w, &single, 0);
        if (a.loss < 0.2)
            row[n++] = *single.row;
    }
    CU_ASSERT_EQUAL(n, 20);
    request_rows(p, row, n);
}

static void open_data(void)
{
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    small_data_open(&images, "images.h5", &small_images);
    make_request(&few, &table, 3, 16, 20);
    make_request(&one, &table, 100, 1, 1);
    make_request(&most, &table, 0, 327, 1);
    make_request(&neighbours, &table, 0, 12, 1);
    make_request(&image_few, &images, 1, 7, 20);
    struct train_opts opts = small_train_opts();
    opts.epochs = 10;
    small_train(&origin, &table, &few, &opts, &test_comm);
    request_learned(&learned);
    opts.epochs = 4;
    small_train(&image_origin, &images, &image_few, &opts, &test_comm);
}

static void close_data(void)
{
    struct partition *all[] = {&few, &one, &most, &neighbours, &learned, &image_few};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        partition_free(all[i]);
    outcome_free(&origin);
    outcome_free(&image_origin);
    small_data_close(&table);
    small_data_close(&images);
}

/* One run: what is asked for, and what comes out. */
struct run {
    const struct small_data *data;
    const struct partition *sets;
    struct iau_opts opts;
    struct comm comm;
    const float *w;
    const double *cache; /* or NULL */
    double cache_loss;
    int rc;
    struct outcome o;
    struct cost cost;
};

static struct run table_run(const struct partition *sets)
{
    struct iau_opts opts = {.correction = 1,
                            .weight = 1,
                            .optimizer = OPTIMIZER_ADAM,
                            .lr = 1e-3,
                            .scale = IAU_SCALE_MEAN,
                            .step = IAU_STEP_FIXED,
                            .steps = 1};
    return (struct run){
        .data = &table, .sets = sets, .opts = opts, .comm = test_comm, .w = origin.w};
}

static void execute(struct run *r)
{
    struct engine e;
    struct progress progress = {0};
    small_engine(&e, r->data, 16, &r->comm);
    struct unlearn u = {.engine = &e,
                        .opts = &(struct method_opts){.iau = r->opts},
                        .sets = r->sets,
                        .w = r->w,
                        .gradient_sum = r->cache,
                        .loss_sum = r->cache ? r->cache_loss : NAN,
                        .name = "iau",
                        .progress = &progress};
    r->rc = iau_run(&r->o, &u);
    r->cost = e.cost;
    engine_free(&e);
}

static int same_parameters(const struct run *a, const struct run *b)
{
    size_t bytes = (size_t)a->data->model.n_param * sizeof *a->o.w;
    return a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, bytes) == 0;
}

static int same_outcome(const struct run *a, const struct run *b)
{
    return same_parameters(a, b) && same_history(&a->o.history, &b->o.history);
}

/* --- q against naive sums */

/* Means over D_r and D_f at the origin, by naive loops. */
struct means {
    struct naive retain, forget;
};

static void naive_means(struct means *a, const struct small_data *s, const float *w,
                        const struct partition *p)
{
    naive_sum(&a->retain, s, w, &p->retain, 1);
    naive_sum(&a->forget, s, w, &p->forget, 1);
    for (int64_t i = 0; i < s->model.n_param; i++) {
        a->retain.gradient[i] /= (double)p->retain.n;
        a->forget.gradient[i] /= (double)p->forget.n;
    }
}

static void free_means(struct means *a)
{
    naive_free(&a->retain);
    naive_free(&a->forget);
}

/* q of a run: by a gradient step so long that the rounding of the parameters does not show. */
static void measure_q(struct run *r, double *q)
{
    const double lr = 0x1p20;
    r->opts.optimizer = OPTIMIZER_SGD;
    r->opts.lr = lr;
    execute(r);
    CU_ASSERT_EQUAL(r->rc, IAU_OK);
    for (int64_t i = 0; i < r->data->model.n_param; i++)
        q[i] = r->o.w ? ((double)r->w[i] - r->o.w[i]) / lr : NAN;
}

/* ||q - (c_r g(D_r) - c_f g(D_f))|| relative to q. */
static double q_error(struct run *r, double c_retain, double c_forget)
{
    int64_t n = r->data->model.n_param;
    struct means a;
    double *q = mem_alloc(n, sizeof *q), *expected = mem_alloc(n, sizeof *expected);
    naive_means(&a, r->data, r->w, r->sets);
    for (int64_t i = 0; i < n; i++)
        expected[i] = c_retain * a.retain.gradient[i] - c_forget * a.forget.gradient[i];
    measure_q(r, q);
    double error = relative_error(q, expected, n);
    free_means(&a);
    free(q);
    free(expected);
    outcome_free(&r->o);
    return error;
}

static void q_is_the_difference_of_two_means(void)
{
    struct run r = table_run(&few);
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    r = table_run(&few);
    r.cache = origin.gradient_sum;
    r.cache_loss = origin.loss_sum;
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, few.forget.n); /* what the cache is for */
    r = (struct run){.data = &images,
                     .sets = &image_few,
                     .opts = r.opts,
                     .comm = test_comm,
                     .w = image_origin.w};
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, image_few.train.n + image_few.forget.n);
}

static void odd_requests(void)
{
    struct run r = table_run(&one);
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, 328 + 1);
    r = table_run(&most); /* D_r is the smaller set: it has its own sweep */
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, 1 + 327);
    r = table_run(&neighbours);
    CU_ASSERT_TRUE(q_error(&r, 1, 1) < 1e-6);
}

static void weight_scale_and_correction(void)
{
    struct run r = table_run(&few);
    r.opts.weight = 0.25;
    CU_ASSERT_TRUE(q_error(&r, 0.25, 1) < 1e-6);
    r = table_run(&few);
    r.opts.scale = IAU_SCALE_SUM;
    CU_ASSERT_TRUE(q_error(&r, (double)few.retain.n, (double)few.forget.n) < 1e-6);
    r = table_run(&few);
    r.opts.correction = 0;
    r.opts.weight = 7; /* of nothing */
    CU_ASSERT_TRUE(q_error(&r, 0, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, few.forget.n);
    r = table_run(&most);
    r.opts.correction = 0;
    CU_ASSERT_TRUE(q_error(&r, 0, 1) < 1e-6);
    CU_ASSERT_EQUAL(r.cost.gradients, most.forget.n);
}

/* IA alone is gradient ascent on the forgotten. */
static void without_correction_it_is_ascent(void)
{
    struct run r = table_run(&few);
    struct naive before, after;
    r.opts.correction = 0;
    r.opts.optimizer = OPTIMIZER_SGD;
    r.opts.lr = 0.01;
    execute(&r);
    naive_sum(&before, &table, r.w, &few.forget, 1);
    naive_sum(&after, &table, r.o.w, &few.forget, 0);
    double n = (double)few.forget.n, squared = 0;
    for (int64_t i = 0; i < table.model.n_param; i++)
        squared += before.gradient[i] * before.gradient[i] / (n * n);
    double gain = (after.loss - before.loss) / n; /* to first order lr ||g_f||^2 */
    CU_ASSERT_TRUE(gain > 0.9 * 0.01 * squared && gain < 1.2 * 0.01 * squared);
    outcome_free(&r.o);
    naive_free(&before);
    naive_free(&after);
}

/* The reference step: Adam from zero state is lr against the sign of q. */
static void adam_steps_by_the_sign(void)
{
    struct run r = table_run(&few);
    struct means a;
    execute(&r);
    naive_means(&a, &table, r.w, &few);
    int64_t n_clear = 0;
    for (int64_t i = 0; i < table.model.n_param; i++) {
        double q = a.retain.gradient[i] - a.forget.gradient[i];
        if (fabs(q) < 1e-5)
            continue;
        n_clear++;
        CU_ASSERT_DOUBLE_EQUAL((double)r.o.w[i] - r.w[i], q > 0 ? -1e-3 : 1e-3, 2e-6);
    }
    CU_ASSERT_TRUE(n_clear > table.model.n_param / 2);
    outcome_free(&r.o);
    free_means(&a);
}

/* --- the same bytes */

static void with_and_without_cache(void)
{
    const struct partition *requests[] = {&few, &one, &neighbours};
    for (int i = 0; i < 3; i++)
        for (int optimizer = OPTIMIZER_ADAM; optimizer <= OPTIMIZER_SGD; optimizer++) {
            struct run cached = table_run(requests[i]), swept;
            cached.opts.optimizer = optimizer;
            swept = cached;
            cached.cache = origin.gradient_sum;
            cached.cache_loss = origin.loss_sum;
            execute(&cached);
            execute(&swept);
            CU_ASSERT_TRUE(same_outcome(&cached, &swept));
            CU_ASSERT_EQUAL(swept.cost.gradients, cached.cost.gradients + 328);
            outcome_free(&cached.o);
            outcome_free(&swept.o);
        }
}

/* The trainer's sum and the function that recomputes it are one thing. */
static void the_cache_is_the_sum_at_the_origin(void)
{
    struct engine e;
    double loss, *sum = mem_alloc(table.model.n_param, sizeof *sum);
    small_engine(&e, &table, 16, &test_comm);
    CU_ASSERT_EQUAL(trainer_gradient_sum(&e, origin.w, &few.train, sum, &loss), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(sum, origin.gradient_sum, (size_t)table.model.n_param * sizeof *sum), 0);
    CU_ASSERT_EQUAL(loss, origin.loss_sum);
    engine_free(&e);
    free(sum);
}

/* A cache that does not apply must not be looked at; one that does is. */
static void where_the_cache_serves(void)
{
    int64_t n = table.model.n_param;
    double *nonsense = mem_alloc(n, sizeof *nonsense);
    for (int64_t i = 0; i < n; i++)
        nonsense[i] = i % 2 ? 1e5 : -1e5;
    for (int k = 0; k < 3; k++) {
        struct run with = table_run(k == 1 ? &most : &few), without;
        with.opts.correction = k != 2;
        without = with;
        with.cache = nonsense;
        execute(&with);
        execute(&without);
        CU_ASSERT_EQUAL(same_parameters(&with, &without), k > 0);
        outcome_free(&with.o);
        outcome_free(&without.o);
    }
    free(nonsense);
}

/* On all ranks, and on one: this process alone. */
static void compare_with_one_rank(struct run *r)
{
    struct run alone = *r;
    alone.comm = small_self();
    execute(r);
    execute(&alone);
    CU_ASSERT_TRUE(same_outcome(r, &alone));
    outcome_free(&r->o);
    outcome_free(&alone.o);
}

static void same_bytes_at_any_rank_count(void)
{
    const struct partition *requests[] = {&few, &one, &most, &neighbours};
    for (int i = 0; i < 4; i++) {
        struct run r = table_run(requests[i]);
        compare_with_one_rank(&r);
        r.opts.steps = 3;
        r.opts.scale = IAU_SCALE_SUM;
        r.cache = origin.gradient_sum;
        r.cache_loss = origin.loss_sum;
        compare_with_one_rank(&r);
        r.opts.steps = 1;
        r.opts.correction = 0;
        compare_with_one_rank(&r);
    }
    struct run r = table_run(&learned);
    r.opts.step = IAU_STEP_CALIBRATED;
    compare_with_one_rank(&r);
    r = table_run(NULL);
    r.data = &images;
    r.sets = &image_few;
    r.w = image_origin.w;
    compare_with_one_rank(&r);
}

static void same_bytes_at_any_thread_count(void)
{
    int n_thread = omp_get_max_threads();
    struct run single = table_run(&few), two;
    single.opts.steps = 2;
    two = single;
    omp_set_num_threads(1);
    execute(&single);
    omp_set_num_threads(2);
    execute(&two);
    omp_set_num_threads(n_thread);
    CU_ASSERT_TRUE(same_outcome(&single, &two));
    outcome_free(&single.o);
    outcome_free(&two.o);
}

/* --- several steps */

/* Without momentum there is no state: three steps are three runs of one step. */
static void three_steps_are_one_after_another(void)
{
    struct run together = table_run(&few), step[3];
    together.opts.optimizer = OPTIMIZER_SGD;
    together.opts.lr = 0.05;
    together.opts.steps = 3;
    together.cache = origin.gradient_sum; /* serves the first step only */
    together.cache_loss = origin.loss_sum;
    execute(&together);
    CU_ASSERT_EQUAL(together.o.history.n_row, 3);
    CU_ASSERT_EQUAL(together.cost.gradients, 3 * few.forget.n + 2 * few.train.n);
    for (int k = 0; k < 3; k++) {
        step[k] = table_run(&few);
        step[k].opts.optimizer = OPTIMIZER_SGD;
        step[k].opts.lr = 0.05;
        step[k].w = k ? step[k - 1].o.w : origin.w;
        execute(&step[k]);
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "step"), k + 1);
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "norm_step"),
                        history_at(&step[k].o.history, 0, "norm_step"));
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "loss_retain"),
                        history_at(&step[k].o.history, 0, "loss_retain"));
        CU_ASSERT_EQUAL(history_at(&together.o.history, k, "distance"),
                        vector_distance(step[k].o.w, origin.w,
                                        table.model.n_param)); /* from where it all began */
    }
    CU_ASSERT_TRUE(same_parameters(&together, &step[2]));
    outcome_free(&together.o);
    for (int k = 0; k < 3; k++)
        outcome_free(&step[k].o);
}

/* Adam's moments live through the steps: against the formulas in double, from naive sums at the
 * points passed. */
static void adam_keeps_its_state_between_steps(void)
{
    int64_t n = table.model.n_param;
    double *m = mem_alloc(n, sizeof *m), *v = mem_alloc(n, sizeof *v),
           *moved = mem_alloc(n, sizeof *moved);
    double *expected = mem_alloc(n, sizeof *expected);
    float *w = mem_alloc(n, sizeof *w);
    struct run r = table_run(&few);
    r.opts.steps = 3;
    r.opts.lr = 0.02;
    execute(&r);
    for (int64_t i = 0; i < n; i++)
        expected[i] = w[i] = origin.w[i];
    for (int t = 1; t <= 3; t++) {
        struct means a;
        naive_means(&a, &table, w, &few);
        for (int64_t i = 0; i < n; i++) {
            double q = a.retain.gradient[i] - a.forget.gradient[i];
            m[i] = 0.9 * m[i] + 0.1 * q;
            v[i] = 0.999 * v[i] + 0.001 * q * q;
            expected[i] -=
                0.02 * m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
            w[i] = (float)expected[i];
        }
        free_means(&a);
    }
    for (int64_t i = 0; i < n; i++) {
        moved[i] = r.o.w ? (double)r.o.w[i] - origin.w[i] : NAN;
        expected[i] -= origin.w[i];
    }
    CU_ASSERT_TRUE(relative_error(moved, expected, n) < 1e-3);
    outcome_free(&r.o);
    free(m);
    free(v);
    free(w);
    free(moved);
    free(expected);
}

/* --- calibration */

static double mean_loss(const struct small_data *s, const float *w, const struct index_set *set)
{
    struct naive a;
    naive_sum(&a, s, w, set, 0);
    return a.loss / (double)set->n;
}

static void calibration_meets_the_validation_loss(void)
{
    for (int optimizer = OPTIMIZER_ADAM; optimizer <= OPTIMIZER_SGD; optimizer++) {
        struct run full = table_run(&learned), r;
        full.opts.optimizer = optimizer;
        full.opts.lr = optimizer == OPTIMIZER_ADAM ? 5e-3 : 0.05;
        r = full;
        r.opts.step = IAU_STEP_CALIBRATED;
        execute(&full);
        execute(&r);
        CU_ASSERT_TRUE(mean_loss(&table, origin.w, &learned.forget) <
                       mean_loss(&table, origin.w, &learned.valid) - 0.02);
        CU_ASSERT_DOUBLE_EQUAL(mean_loss(&table, r.o.w, &learned.forget),
                               mean_loss(&table, r.o.w, &learned.valid), 1e-4);
        double length = history_at(&r.o.history, 0, "length"), worst = 0;
        CU_ASSERT_TRUE(length > 0.01 && length < 1000);
        for (int64_t i = 0; i < table.model.n_param;
             i++) /* along the full step, only shorter or longer */
            worst =
                fmax(worst, fabs(r.o.w[i] - origin.w[i] - length * (full.o.w[i] - origin.w[i])));
        CU_ASSERT_TRUE(worst < 1e-6 * (1 + length));
        CU_ASSERT_EQUAL(history_at(&full.o.history, 0, "length"), 1);
        outcome_free(&full.o);
        outcome_free(&r.o);
    }
}

/* A full step so long that its losses are beyond what a sum takes is only too long. */
static void calibration_comes_back_from_an_overflow(void)
{
    char printed[1000];
    struct capture c;
    struct run r = table_run(&learned), small = table_run(&learned);
    small.opts.optimizer = r.opts.optimizer = OPTIMIZER_SGD;
    small.opts.step = r.opts.step = IAU_STEP_CALIBRATED;
    small.opts.lr = 0.05;
    r.opts.lr = 0.05 * (1 << 24);
    capture_begin(&c);
    execute(&r);
    capture_end(&c, printed, sizeof printed);
    execute(&small);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_STRING_EQUAL(printed, "");
    if (r.rc == IAU_OK && small.rc == IAU_OK) {
        double length = history_at(&r.o.history, 0, "length") * (1 << 24);
        CU_ASSERT_DOUBLE_EQUAL(mean_loss(&table, r.o.w, &learned.forget),
                               mean_loss(&table, r.o.w, &learned.valid), 1e-3);
        CU_ASSERT_DOUBLE_EQUAL(length / history_at(&small.o.history, 0, "length"), 1, 1e-2);
    }
    outcome_free(&r.o);
    outcome_free(&small.o);
}

static void calibration_leaves_a_forgotten_set_alone(void)
{
    char printed[1000];
    struct capture c;
    struct run r = table_run(&learned);
    struct partition turned =
        learned; /* "forget" what the model has not learned, against what it has */
    turned.forget = learned.valid;
    turned.valid = learned.forget;
    r.sets = &turned;
    r.opts.step = IAU_STEP_CALIBRATED;
    capture_begin(&c);
    execute(&r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r.rc, IAU_OK, printed,
                       "iau: the forget set's loss is already that of validation");
    CU_ASSERT_TRUE(r.o.w &&
                   memcmp(r.o.w, origin.w, (size_t)table.model.n_param * sizeof *r.o.w) == 0);
    CU_ASSERT_EQUAL(history_at(&r.o.history, 0, "length"), 0);
    CU_ASSERT_EQUAL(history_at(&r.o.history, 0, "distance"), 0);
    outcome_free(&r.o);
}

/* --- history */

static void check_near(const struct run *r, const char *column, double expected)
{
    double value = history_at(&r->o.history, 0, column);
    int near = fabs(value - expected) <= 2e-6 * fabs(expected) + 1e-9;
    CU_ASSERT_TRUE(near);
    if (!near)
        printf("column %s is %.9g where %.9g is expected\n", column, value, expected);
}

/* Every column against figures from naive sums; `scale` is 1 for means, else the sums' counts are
 * put in. */
static void check_history(struct run *r)
{
    int64_t n = table.model.n_param;
    int sum = r->opts.scale == IAU_SCALE_SUM;
    double c_retain = sum ? (double)r->sets->retain.n : 1,
           c_forget = sum ? (double)r->sets->forget.n : 1;
    double rr = 0, ff = 0, rf = 0, qq = 0, moved = 0;
    struct means a;
    execute(r);
    naive_means(&a, &table, origin.w, r->sets);
    for (int64_t i = 0; i < n; i++) {
        double g_r = c_retain * a.retain.gradient[i], g_f = c_forget * a.forget.gradient[i];
        double q = r->opts.weight * g_r - g_f, d = (double)r->o.w[i] - origin.w[i];
        rr += g_r * g_r;
        ff += g_f * g_f;
        rf += g_r * g_f;
        qq += q * q;
        moved += d * d;
    }
    CU_ASSERT_EQUAL(r->o.history.n_row, 1);
    check_near(r, "step", 1);
    check_near(r, "norm_retain", sqrt(rr));
    check_near(r, "norm_forget", sqrt(ff));
    check_near(r, "norm_step", sqrt(qq));
    check_near(r, "cosine", rf / sqrt(rr * ff));
    check_near(r, "loss_retain", a.retain.loss / (double)r->sets->retain.n);
    check_near(r, "loss_forget", a.forget.loss / (double)r->sets->forget.n);
    check_near(r, "length", 1);
    check_near(r, "distance", sqrt(moved));
    CU_ASSERT_TRUE(history_at(&r->o.history, 0, "seconds_s") > 0);
    outcome_free(&r->o);
    free_means(&a);
}

static void the_history_holds_what_it_says(void)
{
    struct run r = table_run(&few);
    check_history(&r);
    r.cache = origin.gradient_sum;
    r.cache_loss = origin.loss_sum;
    r.opts.weight = 3;
    check_history(&r);
    r.opts.scale = IAU_SCALE_SUM;
    r.opts.optimizer = OPTIMIZER_SGD;
    check_history(&r);
    r = table_run(&most);
    check_history(&r);
}

static void columns_that_are_unknown_are_empty(void)
{
    struct run r = table_run(&few);
    r.opts.correction = 0;
    execute(&r);
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "norm_retain")));
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "cosine")));
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "loss_retain")));
    check_near(&r, "loss_forget", mean_loss(&table, origin.w, &few.forget));
    CU_ASSERT_EQUAL(history_at(&r.o.history, 0, "norm_step"),
                    history_at(&r.o.history, 0, "norm_step"));
    outcome_free(&r.o);
    r = table_run(&few); /* a cache of unknown loss */
    r.cache = origin.gradient_sum;
    r.cache_loss = NAN;
    execute(&r);
    CU_ASSERT_TRUE(isnan(history_at(&r.o.history, 0, "loss_retain")));
    outcome_free(&r.o);
}

static void combining_two_vectors(void)
{
    const double retain[] = {3, 0, 4}, forget[] = {0, 2, 0}, zero[3] = {0};
    float q[3];
    struct iau_norms a = iau_combine(3, 0.5, retain, forget, q);
    CU_ASSERT_TRUE(q[0] == 1.5f && q[1] == -2 && q[2] == 2);
    CU_ASSERT_TRUE(a.retain == 5 && a.forget == 2 && a.cosine == 0);
    CU_ASSERT_DOUBLE_EQUAL(a.step, sqrt(1.5 * 1.5 + 8), 1e-12);
    a = iau_combine(3, 1, retain, retain, q); /* they cancel */
    CU_ASSERT_TRUE(a.step == 0 && q[2] == 0);
    CU_ASSERT_DOUBLE_EQUAL(a.cosine, 1, 1e-15);
    a = iau_combine(3, 1, NULL, forget, q);
    CU_ASSERT_TRUE(isnan(a.retain) && isnan(a.cosine) && a.forget == 2 && a.step == 2 &&
                   q[1] == -2);
    a = iau_combine(3, 1, zero, forget, q); /* no direction, no angle */
    CU_ASSERT_TRUE(a.retain == 0 && isnan(a.cosine));
}

/* --- errors */

static void expect_failure(struct run *r, int code, const char *part)
{
    char printed[2000];
    struct capture c;
    capture_begin(&c);
    execute(r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r->rc, code, printed, part);
    CU_ASSERT_TRUE(!r->o.w && !r->o.history.value);
}

static void parameters_that_blow_up(void)
{
    struct run r = table_run(&few);
    r.opts.steps = 2;
    r.opts.lr = 1e30;
    expect_failure(&r, IAU_ERR_NUMERIC, "iau: step 2: ");
    float *w = mem_alloc(table.model.n_param, sizeof *w);
    memcpy(w, origin.w, (size_t)table.model.n_param * sizeof *w);
    w[table.model.n_param - 1] = NAN;
    r = table_run(&few);
    r.w = w;
    expect_failure(&r, IAU_ERR_NUMERIC, "iau: step 1: ");
    free(w);
}

static void samples_that_one_rank_cannot_read(void)
{
    struct run r = table_run(&few);
    char *path = table.dataset.path, nowhere[] = "/nowhere/d.h5";
    if (test_comm.rank == test_comm.size - 1)
        table.dataset.path = nowhere;
    expect_failure(&r, IAU_ERR_IO, nowhere);
    table.dataset.path = path;
}

/* Each allocation of a run fails in turn on the last rank: every rank must hear of it, in one line.
 */
static void short_memory_on_one_rank(void)
{
    int k = 1, rc = IAU_ERR_MEM;
    for (; k < 2000 && rc != IAU_OK; k++) {
        struct run r = table_run(&learned);
        struct engine e;
        struct progress progress = {0};
        char printed[2000];
        struct capture c;
        r.opts.step = IAU_STEP_CALIBRATED;
        small_engine(&e, &table, 16, &test_comm);
        struct unlearn u = {.engine = &e,
                            .opts = &(struct method_opts){.iau = r.opts},
                            .sets = &learned,
                            .w = origin.w,
                            .name = "iau",
                            .progress = &progress};
        capture_begin(&c);
        if (test_comm.rank == test_comm.size - 1)
            mem_fail_after(k);
        rc = iau_run(&r.o, &u);
        mem_fail_after(0);
        capture_end(&c, printed, sizeof printed);
        if (rc != IAU_OK)
            expect_one_message(rc, IAU_ERR_MEM, printed, "error");
        CU_ASSERT_TRUE(rc == IAU_OK || !r.o.w);
        outcome_free(&r.o);
        engine_free(&e);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT_TRUE(k > 15);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", open_data},
        {"q is the difference of two means", q_is_the_difference_of_two_means},
        {"odd requests", odd_requests},
        {"weight, scale and correction", weight_scale_and_correction},
        {"without correction it is ascent", without_correction_it_is_ascent},
        {"adam steps by the sign", adam_steps_by_the_sign},
        {"with and without cache", with_and_without_cache},
        {"the cache is the sum at the origin", the_cache_is_the_sum_at_the_origin},
        {"where the cache serves", where_the_cache_serves},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"same bytes at any thread count", same_bytes_at_any_thread_count},
        {"three steps are one after another", three_steps_are_one_after_another},
        {"adam keeps its state between steps", adam_keeps_its_state_between_steps},
        {"calibration meets the validation loss", calibration_meets_the_validation_loss},
        {"calibration comes back from an overflow", calibration_comes_back_from_an_overflow},
        {"calibration leaves a forgotten set alone", calibration_leaves_a_forgotten_set_alone},
        {"the history holds what it says", the_history_holds_what_it_says},
        {"columns that are unknown are empty", columns_that_are_unknown_are_empty},
        {"combining two vectors", combining_two_vectors},
        {"parameters that blow up", parameters_that_blow_up},
        {"samples that one rank cannot read", samples_that_one_rank_cannot_read},
        {"short memory on one rank", short_memory_on_one_rank},
        {"close the data", close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "iau", tests);
}
