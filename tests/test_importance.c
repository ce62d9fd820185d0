/* Methods that go by the importance of parameters, fisher and ssd: their formulas against plain
 * loops and closed forms, noise that is where it should be, the same bytes on any ranks and threads
 * and across a stop. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/stop.h"
#include "harness.h"
#include "io/file.h"
#include "method_run.h"
#include "unlearn/fisher.h"
#include "unlearn/importance.h"
#include "unlearn/ssd.h"

static double last(const struct method_run *r, const char *column)
{
    return history_at(&r->o.history, 0, column);
}

/* --- fisher */

/* Variance of the element at (o, i, rest) of a tensor, by the formula. */
static double variance_at(const struct model *m, int tensor, const double *f, double alpha,
                          int64_t o, int64_t rest)
{
    const struct tensor *t = m->tensor[tensor];
    int is_last = tensor >= m->n_tensor - 2; /* weight and bias of the last dense layer */
    int64_t n_in = t->ndim > 1 ? t->dims[1] : 1, n_rest = t->count / (t->dims[0] * n_in);
    double sum = 0;
    for (int64_t i = 0; i < n_in; i++)
        sum +=
            fmin(1 / (f[t->offset + (o * n_in + i) * n_rest + rest] + 1e-8), is_last ? 100 : 1000);
    return alpha * sum / (double)n_in * (is_last || t->ndim == 1 ? 10 : 1);
}

static void check_variance(const struct model *m)
{
    double *f = mem_alloc(m->n_param, sizeof *f), *v = mem_alloc(m->n_param, sizeof *v);
    int64_t n_clipped = 0;
    for (int64_t j = 0; j < m->n_param; j++)
        f[j] = pow(10, -8 + (double)(j * 37 % 101) / 10); /* 1e-8 to 100 */
    int64_t got = fisher_variance(m, f, 0.02, v);
    for (int t = 0; t < m->n_tensor; t++) {
        const struct tensor *p = m->tensor[t];
        int64_t n_in = p->ndim > 1 ? p->dims[1] : 1, n_rest = p->count / (p->dims[0] * n_in);
        for (int64_t k = 0; k < p->count; k++) {
            double want = variance_at(m, t, f, 0.02, k / (n_in * n_rest), k % n_rest);
            n_clipped += 1 / (f[p->offset + k] + 1e-8) > (t >= m->n_tensor - 2 ? 100 : 1000);
            CU_ASSERT(fabs(v[p->offset + k] / want - 1) < 1e-12);
        }
    }
    CU_ASSERT_EQUAL(got, n_clipped);
    free(f);
    free(v);
}

/* A hidden layer has as many rows as there are classes, and is not taken for the last one. */
static void variances_follow_the_formula(void)
{
    static struct model m;
    int64_t hidden[] = {3, 5};
    struct model_opts mlp = {.name = MODEL_MLP, .hidden = {2, hidden}},
                      lenet5 = {.name = MODEL_LENET5};
    REQUIRE(model_build(&m, &mlp, (struct shape){7, 1, 1}, 3) == IAU_OK);
    check_variance(&m);
    REQUIRE(model_build(&m, &lenet5, (struct shape){3, 32, 32}, 10) == IAU_OK);
    check_variance(&m);
}

/* The information about softmax regression's parameters: SUM_y p_y (p_c - [c = y])^2 x^2 is
 * p_c (1 - p_c) x^2. */
static void closed_form(const struct model *m, const float *w, const struct index_set *set,
                        double *f)
{
    const struct rows *rows = &method_table.rows[PART_TRAIN];
    struct unit u;
    int n_in = m->in.c;
    REQUIRE(unit_init(&u, m, 16, UNIT_FORWARD) == IAU_OK);
    memset(f, 0, (size_t)m->n_param * sizeof *f);
    for (int64_t i = 0; i < set->n; i++) {
        const float *x = (const float *)rows->x + set->row[i] * n_in;
        for (int k = 0; k < n_in; k++)
            for (int lane = 0; lane < 16; lane++)
                u.node[0].a[k * 16 + lane] = x[k];
        u.n = 1;
        model_forward(m, w, &u);
        for (int c = 0; c < m->n_class; c++) {
            double p = u.p[c * 16], spread = p * (1 - p) / (double)set->n;
            for (int k = 0; k < n_in; k++)
                f[c * n_in + k] += spread * x[k] * x[k];
            f[m->n_class * n_in + c] += spread;
        }
    }
    unit_free(&u);
}

/* How far a run's noise is from that of the seed, in units of its deviation, at the most. */
static double worst_noise(const struct method_run *r, const double *variance, const float *middle)
{
    double worst = 0;
    for (int t = 0; t < r->model->n_tensor; t++) {
        const struct tensor *p = r->model->tensor[t];
        struct rng rng = {(uint64_t)r->opts.seed, RNG_NOISE, (uint64_t)t};
        for (int64_t k = 0; k < p->count; k++) {
            int64_t j = p->offset + k;
            double z = (r->o.w[j] - middle[j]) / sqrt(variance[j]);
            worst = fmax(worst, fabs(z - rng_normal(&rng, (uint64_t)k)));
        }
    }
    return worst;
}

static void fisher_of_softmax_regression_has_its_closed_form(void)
{
    static struct model linear;
    struct model_opts opts = {.name = MODEL_MLP};
    REQUIRE(model_build(&linear, &opts, method_table.model.in, method_table.model.n_class) ==
            IAU_OK);
    int64_t n = linear.n_param;
    float *w = mem_alloc(n, sizeof *w);
    double *f = mem_alloc(n, sizeof *f), *v = mem_alloc(n, sizeof *v), mean = 0;
    harness_fill(w, n, 4);
    struct method_run r = method_run_of(METHOD_FISHER);
    r.model = &linear;
    r.w = w;
    r.opts.fisher.alpha = 0.01;
    method_execute(&r);
    CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
    closed_form(&linear, w, &method_sets.retain, f);
    for (int64_t j = 0; j < n; j++)
        mean += f[j] / (double)n;
    CU_ASSERT(fabs(last(&r, "mean_information") / mean - 1) < 1e-5);
    CU_ASSERT_EQUAL(last(&r, "share_clipped"), fisher_variance(&linear, f, 0.01, v) / (double)n);
    CU_ASSERT(worst_noise(&r, v, w) < 1e-3);
    CU_ASSERT_EQUAL(r.cost.gradients, method_sets.retain.n * linear.n_class);
    outcome_free(&r.o);
    free(w);
    free(f);
    free(v);
}

/* Of all samples of a class. */
static void a_class_that_is_gone_starts_from_nothing(void)
{
    struct partition sets = {.train = method_sets.train, .valid = method_sets.valid};
    const struct model *m = &method_table.model;
    const int32_t *label = method_table.rows[PART_TRAIN].label;
    int64_t n = 0, *row = mem_alloc(sets.train.n, sizeof *row), n_class = m->n_class;
    for (int64_t i = 0; i < sets.train.n; i++)
        if (label[sets.train.row[i]] == 1)
            row[n++] = sets.train.row[i];
    REQUIRE(index_set_from_rows(&sets.forget, PART_TRAIN, row, n) == IAU_OK);
    REQUIRE(index_set_minus(&sets.retain, &sets.train, &sets.forget) == IAU_OK);
    struct method_run r = method_run_of(METHOD_FISHER);
    r.sets = &sets;
    r.opts.fisher.alpha = 1e-12; /* noise elsewhere is small */
    method_execute(&r);
    CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
    for (int t = 0; t < m->n_tensor; t++) {
        const struct tensor *p = m->tensor[t];
        struct rng rng = {(uint64_t)r.opts.seed, RNG_NOISE, (uint64_t)t};
        for (int64_t k = 0; k < p->count; k++) {
            int is_gone = t >= m->n_tensor - 2 && k / (p->count / n_class) == 1;
            double want = is_gone ? sqrt(1e-3) * rng_normal(&rng, (uint64_t)k) : r.w[p->offset + k];
            CU_ASSERT(fabs(r.o.w[p->offset + k] - want) < 2e-4);
        }
    }
    outcome_free(&r.o);
    free(row);
    index_set_free(&sets.forget);
    index_set_free(&sets.retain);
}

static void noise_is_drawn_by_the_seed(void)
{
    struct method_run a = method_run_of(METHOD_FISHER), b = a;
    b.opts.seed = 2;
    method_execute(&a);
    method_execute(&b);
    double mean = 0, square = 0, n = (double)a.model->n_param;
    for (int64_t j = 0; j < a.model->n_param; j++) {
        CU_ASSERT(a.o.w[j] != b.o.w[j]);
        mean += (a.o.w[j] - a.w[j]) / n;
        square += pow(a.o.w[j] - a.w[j], 2) / n;
    }
    double variance = last(&a, "variance");
    CU_ASSERT(fabs(mean) < 4 * sqrt(variance / n));
    CU_ASSERT(square / variance > 0.6 && square / variance < 1.5);
    CU_ASSERT_EQUAL(last(&a, "mean_information"), last(&b, "mean_information"));
    outcome_free(&a.o);
    outcome_free(&b.o);
}

/* --- ssd */

static void dampening_follows_the_formula(void)
{
    enum { N = 6 };
    struct ssd_opts opts = {.alpha = 10, .lambda = 1};
    const double all[N] = {1, 1, 0.5, 0, 0, 3}, forget[N] = {10, 10.5, 20, 1e-3, 0, 3};
    const float start[N] = {1, -2, 3, 4, 5, 6};
    float w[N];
    memcpy(w, start, sizeof w);
    struct ssd_count c = ssd_dampen(&opts, N, all, forget, w);
    const double factor[N] = {1, 1 / 10.5, 0.025, 0, 1, 1};
    for (int j = 0; j < N; j++)
        CU_ASSERT_EQUAL(w[j], (float)(factor[j] * start[j]));
    CU_ASSERT_EQUAL(c.n, 3);
    CU_ASSERT_DOUBLE_EQUAL(c.factor_sum, 1 / 10.5 + 0.025, 1e-15);
    memcpy(w, start, sizeof w);
    opts = (struct ssd_opts){.alpha = 10, .lambda = 20}; /* never made larger */
    CU_ASSERT_EQUAL(ssd_dampen(&opts, N, all, forget, w).n, 3);
    CU_ASSERT_EQUAL(w[1], start[1]);
    CU_ASSERT_EQUAL(w[2], 0.5f * start[2]);
    for (opts.alpha = 1; opts.alpha < 20; opts.alpha *= 3) { /* where the two are one */
        memcpy(w, start, sizeof w);
        CU_ASSERT_EQUAL(ssd_dampen(&opts, N, forget, forget, w).n, 0);
        CU_ASSERT_EQUAL(memcmp(w, start, sizeof w), 0);
    }
}

/* Mean of the squares of single samples' gradients, in double. */
static double *importance_by_hand(const struct index_set *set)
{
    const struct model *m = &method_table.model;
    struct unit u;
    double *mean = mem_alloc(m->n_param, sizeof *mean);
    float *dw = mem_alloc(m->n_param, sizeof *dw);
    REQUIRE(unit_init(&u, m, 16, UNIT_GRADIENT) == IAU_OK);
    for (int64_t i = 0; i < set->n; i++) {
        naive_forward(&method_table, method_origin.w, PART_TRAIN, set->row[i], &u);
        model_backward(m, method_origin.w, &u, dw);
        for (int64_t j = 0; j < m->n_param; j++)
            mean[j] += (double)dw[j] * dw[j] / (double)set->n;
    }
    unit_free(&u);
    free(dw);
    return mean;
}

static void ssd_dampens_by_the_importances(void)
{
    const struct model *m = &method_table.model;
    double *all = importance_by_hand(&method_sets.train),
           *forget = importance_by_hand(&method_sets.forget);
    float *w = mem_alloc(m->n_param, sizeof *w);
    memcpy(w, method_origin.w, (size_t)m->n_param * sizeof *w);
    struct method_run r = method_run_of(METHOD_SSD);
    r.opts.ssd.alpha = 1.5;
    r.opts.ssd.lambda = 0.7;
    method_execute(&r);
    CU_ASSERT_EQUAL_FATAL(r.rc, IAU_OK);
    struct ssd_count c = ssd_dampen(&r.opts.ssd, m->n_param, all, forget, w);
    CU_ASSERT(c.n > 5 && c.n < m->n_param / 2);
    CU_ASSERT_EQUAL(last(&r, "share_dampened"), (double)c.n / (double)m->n_param);
    CU_ASSERT(fabs(last(&r, "mean_factor") * (double)c.n / c.factor_sum - 1) < 1e-4);
    CU_ASSERT(harness_relative_error(r.o.w, w, m->n_param) < 1e-5);
    CU_ASSERT_EQUAL(r.cost.gradients, method_sets.train.n);
    outcome_free(&r.o);
    free(all);
    free(forget);
    free(w);
}

static void ssd_says_where_nothing_stands_out(void)
{
    struct capture capture;
    char printed[4096];
    struct method_run r = method_run_of(METHOD_SSD);
    r.opts.ssd.alpha = 1e6;
    capture_begin(&capture);
    method_execute(&r);
    capture_end(&capture, printed, sizeof printed);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT(test_comm.rank > 0 || strstr(printed, "nothing is moved"));
    CU_ASSERT_EQUAL(memcmp(r.o.w, r.w, (size_t)r.model->n_param * sizeof *r.w), 0);
    outcome_free(&r.o);
}

/* --- both */

static void for_both(void (*check)(struct method_run r))
{
    struct method_run r = method_run_of(METHOD_FISHER);
    check(r);
    r.opts.fisher.samples = 77;
    check(r);
    r = method_run_of(METHOD_SSD);
    r.opts.ssd.alpha = 1.5;
    check(r);
}

static void check_bytes(struct method_run r)
{
    method_check_bytes(r, 4096);
}

static void the_same_bytes_on_any_ranks_and_threads(void)
{
    for_both(check_bytes);
}

/* A stop between the two sets. */
static void a_stopped_run_goes_on(void)
{
    struct method_run whole = method_run_of(METHOD_SSD), r;
    struct capture capture;
    char printed[4096], *path = harness_path("ssd.restart.h5");
    whole.opts.ssd.alpha = 1.5;
    r = whole;
    r.restart = path;
    method_execute(&whole);
    stop_set(test_comm.rank == test_comm.size - 1);
    method_execute(&r);
    stop_set(0);
    CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
    CU_ASSERT_PTR_NULL(r.o.w);
    r.resume = 1;
    method_execute(&r);
    CU_ASSERT(method_same(&r, &whole));
    outcome_free(&r.o);
    r.opts =
        method_defaults(METHOD_FISHER); /* a file with fewer sums than this one needs, or more */
    capture_begin(&capture);
    method_execute(&r);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(r.rc, IAU_ERR_FORMAT, printed, "/state does not belong to this run");
    outcome_free(&whole.o);
    free(path);
}

static void check_memory(struct method_run r)
{
    method_check_memory(r, 2);
}

static void a_rank_without_memory_stops_all(void)
{
    for_both(check_memory);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open data", method_open_data},
        {"variances follow the formula", variances_follow_the_formula},
        {"fisher of softmax regression has its closed form",
         fisher_of_softmax_regression_has_its_closed_form},
        {"a class that is gone starts from nothing", a_class_that_is_gone_starts_from_nothing},
        {"noise is drawn by the seed", noise_is_drawn_by_the_seed},
        {"dampening follows the formula", dampening_follows_the_formula},
        {"ssd dampens by the importances", ssd_dampens_by_the_importances},
        {"ssd says where nothing stands out", ssd_says_where_nothing_stands_out},
        {"the same bytes on any ranks and threads", the_same_bytes_on_any_ranks_and_threads},
        {"a stopped run goes on", a_stopped_run_goes_on},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"close data", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "importance", tests);
}
