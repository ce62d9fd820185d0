/* The pieces of training that need no samples: optimizers against torch's formulas in double,
 * learning rates, the direction of gradient restriction, histories, and parameters and costs in
 * records. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "train/checkpoint.h"
#include "train/history.h"
#include "train/optimizer.h"
#include "train/restriction.h"
#include "train/schedule.h"

enum { N = 37 }; /* no multiple of any vector width */

static struct optimizer_opts adam(void)
{
    return (struct optimizer_opts){
        .name = OPTIMIZER_ADAM, .lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

/* One step of the formulas in double; m is also the momentum buffer. */
static void reference_step(const struct optimizer_opts *p, int t, double *w, double *m, double *v,
                           const float *g)
{
    for (int i = 0; i < N; i++) {
        double q = g[i] + p->weight_decay * w[i];
        if (p->name == OPTIMIZER_SGD) {
            m[i] = t == 1 ? q : p->momentum * m[i] + q;
            w[i] -= p->lr * m[i];
            continue;
        }
        m[i] = p->beta1 * m[i] + (1 - p->beta1) * q;
        v[i] = p->beta2 * v[i] + (1 - p->beta2) * q * q;
        double m_hat = m[i] / (1 - pow(p->beta1, t)), v_hat = v[i] / (1 - pow(p->beta2, t));
        w[i] -= p->lr * m_hat / (sqrt(v_hat) + p->epsilon);
    }
}

static void check_against_reference(const struct optimizer_opts *opts)
{
    struct optimizer o;
    float w[N], g[N];
    double reference[N], m[N] = {0}, v[N] = {0}, start[N], worst = 0;
    CU_ASSERT_EQUAL(optimizer_init(&o, opts, N), IAU_OK);
    harness_fill(w, N, 1);
    for (int i = 0; i < N; i++)
        start[i] = reference[i] = w[i];
    for (int t = 1; t <= 5; t++) {
        harness_fill(g, N, (uint64_t)(10 + t));
        for (int i = 0; i < N; i++)
            g[i] *= i % 3 == 0 ? 1e-4f : 1; /* gradients of quite different size */
        optimizer_step(&o, opts->lr, w, g);
        reference_step(opts, t, reference, m, v, g);
    }
    CU_ASSERT_EQUAL(o.t, 5);
    for (int i = 0; i < N; i++) /* a step is rounded to the resolution of a float near w */
        worst = fmax(worst,
                     fabs(w[i] - reference[i]) / (1e-5 * fabs(reference[i] - start[i]) + 5 * 6e-8));
    CU_ASSERT_TRUE(worst < 1);
    optimizer_free(&o);
    optimizer_free(&o);
}

static void adam_is_torchs(void)
{
    struct optimizer_opts opts = adam();
    check_against_reference(&opts);
    opts.weight_decay = 0.1;
    check_against_reference(&opts);
    opts.beta1 = 0.5;
    opts.beta2 = 0.9;
    opts.epsilon = 1e-3; /* outside the root: inside, this would be another update altogether */
    check_against_reference(&opts);
}

static void sgd_is_torchs(void)
{
    struct optimizer_opts opts = {.name = OPTIMIZER_SGD, .lr = 0.05};
    check_against_reference(&opts);
    opts.momentum = 0.9; /* the first buffer is the gradient, not (1 - mu) of it */
    check_against_reference(&opts);
    opts.weight_decay = 0.02;
    check_against_reference(&opts);
}

/* Equation of the IAU step: from zero state, Adam moves each parameter by lr against the sign of q.
 */
static void first_adam_step_is_the_sign(void)
{
    static const float size[] = {1e-5f, 1e-3f, 1, 1e3f, 5e5f};
    struct optimizer_opts opts = adam();
    struct optimizer o;
    float w[10] = {0}, q[10];
    for (int i = 0; i < 10; i++)
        q[i] = (i % 2 ? -1 : 1) * size[i / 2];
    CU_ASSERT_EQUAL(optimizer_init(&o, &opts, 10), IAU_OK);
    optimizer_step(&o, 1e-3, w, q);
    for (int i = 0; i < 10; i++) {
        double expected = -1e-3 * q[i] / (fabs((double)q[i]) + 1e-8);
        CU_ASSERT_DOUBLE_EQUAL(w[i], expected, 1e-9);
        CU_ASSERT_DOUBLE_EQUAL(w[i], i % 2 ? 1e-3 : -1e-3, 1.1e-6); /* |q| = 1e-5 is 1000 epsilon */
    }
    optimizer_free(&o);
}

static void a_zero_gradient_moves_nothing(void)
{
    struct optimizer_opts opts = adam();
    struct optimizer o;
    float w[2] = {0.25f, -3}, q[2] = {0, 0}, small[2] = {1e-30f, 0};
    CU_ASSERT_EQUAL(optimizer_init(&o, &opts, 2), IAU_OK);
    optimizer_step(&o, 1e-3, w, q);
    CU_ASSERT_TRUE(w[0] == 0.25f && w[1] == -3);
    optimizer_step(&o, 1e-3, w,
                   small); /* its square underflows; epsilon keeps the quotient finite */
    CU_ASSERT_TRUE(isfinite(w[0]) && fabsf(w[0] - 0.25f) < 1e-6f);
    optimizer_free(&o);
}

static void short_memory_for_the_state(void)
{
    struct optimizer_opts opts = adam();
    struct optimizer o;
    for (int k = 1; k <= 2; k++) {
        mem_fail_after(k);
        harness_expect_error(optimizer_init(&o, &opts, N), IAU_ERR_MEM,
                             "optimizer state of 37 parameters");
        CU_ASSERT_TRUE(!o.m && !o.v);
    }
    mem_fail_after(0);
}

static void rates_at_known_points(void)
{
    struct schedule_opts s = {.name = SCHEDULE_CONSTANT};
    CU_ASSERT_EQUAL(schedule_rate(&s, 0.1, 0, 10), 0.1);
    CU_ASSERT_EQUAL(schedule_rate(&s, 0.1, 9, 10), 0.1);
    s = (struct schedule_opts){.name = SCHEDULE_STEP, .every = 3, .factor = 0.5};
    static const double step[] = {0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2};
    for (int e = 0; e < 7; e++)
        CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&s, 0.8, e, 100), step[e], 1e-15);
    s = (struct schedule_opts){.name = SCHEDULE_COSINE, .floor = 0.1};
    CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&s, 2, 0, 8), 2, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&s, 2, 4, 8), 1.1, 1e-15); /* half way between 2 and .2 */
    CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&s, 2, 8, 8), 0.2, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&s, 2, 2, 8), 0.2 + 1.8 * (1 + sqrt(0.5)) / 2, 1e-14);
    s.floor = 0;
    CU_ASSERT_DOUBLE_EQUAL(schedule_rate(&s, 2, 4, 8), 1, 1e-15);
}

static void build_model(struct model *m)
{
    static int64_t hidden[] = {4};
    struct model_opts opts = {.name = MODEL_MLP, .hidden = {1, hidden}};
    CU_ASSERT_EQUAL(model_build(m, &opts, (struct shape){3, 1, 1}, 2), IAU_OK);
}

static double norm_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void directions_have_norm_one(void)
{
    struct model m;
    float g[64], v[64];
    build_model(&m);
    CU_ASSERT_EQUAL(m.n_param, 3 * 4 + 4 + 4 * 2 + 2);
    harness_fill(g, m.n_param, 3);
    memset(g + m.tensor[1]->offset, 0,
           (size_t)m.tensor[1]->count * sizeof *g); /* one tensor without gradient */
    double norm = restriction_direction(&m, RESTRICTION_GLOBAL, g, v);
    CU_ASSERT_DOUBLE_EQUAL(norm, norm_of(g, m.n_param), 1e-12 * norm);
    for (int i = 0; i < m.n_param; i++)
        CU_ASSERT_DOUBLE_EQUAL(v[i], g[i] / norm, 1e-7);
    double sum = restriction_direction(&m, RESTRICTION_PER_TENSOR, g, v), expected = 0;
    for (int t = 0; t < m.n_tensor; t++) {
        const struct tensor *tensor = m.tensor[t];
        double own = norm_of(g + tensor->offset, tensor->count);
        expected += own;
        CU_ASSERT_DOUBLE_EQUAL(norm_of(v + tensor->offset, tensor->count), t == 1 ? 0 : 1, 1e-6);
        for (int64_t i = tensor->offset; i < tensor->offset + tensor->count; i++)
            CU_ASSERT_DOUBLE_EQUAL(v[i], t == 1 ? 0 : g[i] / own, 1e-7);
    }
    CU_ASSERT_DOUBLE_EQUAL(sum, expected, 1e-12 * expected);
    memset(g, 0, sizeof g);
    CU_ASSERT_EQUAL(restriction_direction(&m, RESTRICTION_GLOBAL, g, v), 0);
    CU_ASSERT_EQUAL(norm_of(v, m.n_param), 0);
}

static const char *const columns[] = {"epoch", "loss", "seconds_s", NULL};

static void a_history_goes_to_a_record_and_back(void)
{
    struct history h, back;
    struct record r = {0};
    history_init(&h, columns);
    CU_ASSERT_EQUAL(h.n_column, 3);
    for (int i = 0; i < 150; i++) { /* grows twice */
        double row[] = {i + 1, i == 7 ? NAN : 1.0 / (i + 3), 0.5 * i};
        CU_ASSERT_EQUAL(history_add(&h, row), IAU_OK);
    }
    CU_ASSERT_EQUAL(history_to_record(&h, &r, "/epochs/origin"), IAU_OK);
    const struct record_array *loss = record_find(&r, "/epochs/origin/loss");
    CU_ASSERT_PTR_NOT_NULL(loss);
    CU_ASSERT_TRUE(loss && loss->ndim == 1 && loss->dims[0] == 150 && record_value(loss, 2) == 0.2);
    history_init(&back, columns);
    CU_ASSERT_EQUAL(history_from_record(&back, &r, "a.h5", "/epochs/origin"), IAU_OK);
    CU_ASSERT_EQUAL(back.n_row, 150);
    CU_ASSERT_EQUAL(memcmp(back.value, h.value, 450 * sizeof(double)), 0);
    history_free(&back);
    history_init(&back, columns);
    harness_expect_error(history_from_record(&back, &r, "a.h5", "/epochs/other"), IAU_ERR_FORMAT,
                         "a.h5: /epochs/other/epoch is missing or of the wrong length");
    CU_ASSERT_EQUAL(record_add_column(&r, "/epochs/origin/seconds_s", RECORD_F64, 149, h.value),
                    IAU_OK);
    harness_expect_error(history_from_record(&back, &r, "a.h5", "/epochs/origin"), IAU_ERR_FORMAT,
                         "seconds_s is missing");
    record_free(&r);
    history_free(&h);
    history_free(&h);
    history_free(&back);
}

static void an_empty_history_is_legal(void)
{
    struct history h, back;
    struct record r = {0};
    history_init(&h, columns);
    history_init(&back, columns);
    CU_ASSERT_EQUAL(history_to_record(&h, &r, "/epochs"), IAU_OK);
    CU_ASSERT_EQUAL(history_from_record(&back, &r, "a.h5", "/epochs"), IAU_OK);
    CU_ASSERT_EQUAL(back.n_row, 0);
    record_free(&r);
    history_free(&h);
    history_free(&back);
}

static void parameters_go_to_a_record_and_back(void)
{
    struct model m;
    struct record r = {0};
    float w[64], back[64] = {0};
    double d[64], d_back[64] = {0};
    build_model(&m);
    harness_fill(w, m.n_param, 5);
    for (int i = 0; i < m.n_param; i++)
        d[i] = w[i] * M_PI;
    CU_ASSERT_EQUAL(checkpoint_add_floats(&r, &m, "/params", w), IAU_OK);
    CU_ASSERT_EQUAL(checkpoint_add_doubles(&r, &m, "/gradient_sum", d), IAU_OK);
    const struct record_array *a = record_find(&r, "/params/fc1.weight");
    CU_ASSERT_TRUE(a && a->type == RECORD_F32 && a->ndim == 2 && a->dims[0] == 4 &&
                   a->dims[1] == 3);
    CU_ASSERT_EQUAL(checkpoint_get_floats(&r, "a.h5", &m, "/params", back), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(w, back, (size_t)m.n_param * sizeof *w), 0);
    CU_ASSERT_EQUAL(checkpoint_get_doubles(&r, "a.h5", &m, "/gradient_sum", d_back), IAU_OK);
    CU_ASSERT_EQUAL(memcmp(d, d_back, (size_t)m.n_param * sizeof *d), 0);
    harness_expect_error(checkpoint_get_floats(&r, "a.h5", &m, "/best", back), IAU_ERR_DATA,
                         "a.h5 has no /best/fc1.weight");
    harness_expect_error(checkpoint_get_floats(&r, "a.h5", &m, "/gradient_sum", back), IAU_ERR_DATA,
                         "a.h5: /gradient_sum/fc1.weight has another shape or type");
    int64_t turned[] = {3, 4};
    CU_ASSERT_EQUAL(record_add(&r, "/params/fc1.weight", RECORD_F32, 2, turned, w), IAU_OK);
    harness_expect_error(checkpoint_get_floats(&r, "a.h5", &m, "/params", back), IAU_ERR_DATA,
                         "a.h5: /params/fc1.weight has another shape");
    record_free(&r);
}

static void costs_go_to_a_record_and_add_up(void)
{
    struct record r = {0};
    struct cost c = {.forwards = 3, .gradients = INT64_C(1) << 40, .hvps = 5, .payload_bytes = 7};
    struct cost sum = {.forwards = 10, .seconds = {[PHASE_REDUCE] = 1}};
    c.seconds[PHASE_REDUCE] = 0.25;
    CU_ASSERT_EQUAL(checkpoint_add_cost(&r, "/cost", &c), IAU_OK);
    CU_ASSERT_EQUAL(checkpoint_get_cost(&r, "a.h5", "/cost", &sum), IAU_OK);
    CU_ASSERT_TRUE(sum.forwards == 13 && sum.gradients == c.gradients && sum.hvps == 5 &&
                   sum.payload_bytes == 7);
    CU_ASSERT_EQUAL(sum.seconds[PHASE_REDUCE], 1.25);
    harness_expect_error(checkpoint_get_cost(&r, "a.h5", "/elsewhere", &sum), IAU_ERR_FORMAT,
                         "a.h5 has no /elsewhere/forwards");
    record_free(&r);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"adam is torch's", adam_is_torchs},
        {"sgd is torch's", sgd_is_torchs},
        {"first adam step is the sign", first_adam_step_is_the_sign},
        {"a zero gradient moves nothing", a_zero_gradient_moves_nothing},
        {"short memory for the state", short_memory_for_the_state},
        {"rates at known points", rates_at_known_points},
        {"directions have norm one", directions_have_norm_one},
        {"a history goes to a record and back", a_history_goes_to_a_record_and_back},
        {"an empty history is legal", an_empty_history_is_legal},
        {"parameters go to a record and back", parameters_go_to_a_record_and_back},
        {"costs go to a record and add up", costs_go_to_a_record_and_add_up},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "optimizer", tests);
}
