/* Models, their gradients against central differences of a double-precision loss, and their units.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "trial.h"

/* --- first derivatives */

static void check_loss(struct trial *t)
{
    trial_expect(t, "loss", "sum", fabs(unit_loss(&t->u) - t->truth.loss) / t->truth.loss, 1e-6);
    CU_ASSERT_EQUAL(unit_correct(&t->m, &t->u), t->truth.correct);
}

static void losses_and_hits_are_those_of_the_reference(void)
{
    trial_run(check_loss, 1);
}

static void check_gradient(struct trial *t)
{
    trial_expect_equal(t, "gradient", t->g, t->gd, 3e-6);
}

static void gradients_equal_the_double_precision_ones(void)
{
    trial_run(check_gradient, 1);
}

/* Central difference of the loss along v; NAN, which fails every bound, if a kink lies between. */
static double loss_slope(const struct trial *t, const double *v, double *w)
{
    const double h = 1e-6;
    trial_move(t, h, v, w);
    struct reference up = reference_run(&t->m, w, &t->set, NULL);
    trial_move(t, -h, v, w);
    struct reference down = reference_run(&t->m, w, &t->set, NULL);
    int smooth = up.pattern == t->truth.pattern && down.pattern == t->truth.pattern;
    return smooth ? (up.loss - down.loss) / (2 * h) : NAN;
}

/* A difference of losses is good to 1e-8 here; the bound leaves room for the gradient's float
 * arithmetic. */
static void compare_slope(const struct trial *t, const char *part, const double *v, double scale,
                          double *w)
{
    double slope = loss_slope(t, v, w);
    trial_expect(t, "gradient against differences of the loss", part,
                 fabs(trial_dot(t->g, v, t->m.n_param) - slope) / scale, 3e-6);
}

/* Along each tensor's own gradient and a random direction, beside the gradient's norm; and by
 * single parameters, beside the largest element. */
static void check_slopes(struct trial *t)
{
    int64_t n = t->m.n_param;
    double *v = mem_alloc(n, sizeof *v), *w = mem_alloc(n, sizeof *w);
    for (int i = 0; i < t->m.n_tensor; i++) {
        const struct tensor *p = t->m.tensor[i];
        double norm = reference_norm(t->gd + p->offset, p->count), largest = 0;
        for (int64_t k = p->offset; k < p->offset + p->count; k++)
            largest = fmax(largest, fabs(t->gd[k]));
        for (int random = 0; random < 2; random++) {
            trial_direct(p, random ? NULL : t->gd, (uint64_t)i + 5, v, n);
            compare_slope(t, p->name, v, norm, w);
        }
        int64_t single[] = {0, p->count / 3, p->count - 1};
        for (int k = 0; k < 3; k++) {
            memset(v, 0, (size_t)n * sizeof *v);
            v[p->offset + single[k]] = 1;
            compare_slope(t, p->name, v, largest, w);
        }
    }
    free(v);
    free(w);
}

static void gradients_equal_central_differences_of_the_loss(void)
{
    trial_run(check_slopes, 0);
}

/* --- units */

/* Empty lanes get other samples and labels; nothing that leaves the unit may change by a bit. */
static void check_padding(struct trial *t)
{
    int64_t n = t->m.n_param, count = shape_count(t->m.in);
    float *v = mem_alloc(n, sizeof *v), *hv = mem_alloc(n, sizeof *hv),
          *again = mem_alloc(n, sizeof *again);
    double loss = unit_loss(&t->u);
    harness_fill(v, n, 51);
    model_hessian_product(&t->m, t->w, v, &t->u, hv);
    for (int k = t->u.n; k < t->u.lanes; k++) {
        t->u.label[k] = (t->u.label[k] + k) % t->m.n_class;
        for (int64_t i = 0; i < count; i++)
            t->u.node[0].a[i * t->u.lanes + k] = (float)(i % 5 - 1.5 + 0.01 * k);
    }
    model_forward(&t->m, t->w, &t->u);
    CU_ASSERT_EQUAL(unit_loss(&t->u), loss);
    CU_ASSERT_EQUAL(unit_correct(&t->m, &t->u), t->truth.correct);
    model_backward(&t->m, t->w, &t->u, again);
    CU_ASSERT(!memcmp(again, t->g, (size_t)n * sizeof *again));
    model_hessian_product(&t->m, t->w, v, &t->u, again);
    CU_ASSERT(!memcmp(again, hv, (size_t)n * sizeof *again));
    free(v);
    free(hv);
    free(again);
}

static void empty_lanes_contribute_nothing(void)
{
    trial_run(check_padding, 1);
}

/* What a pass has said to be final, as it was when it said so. */
struct said {
    const float *vector;
    float *then;
    int64_t begin;
    int n_call;
};

static void note_final(void *ctx, int64_t begin)
{
    struct said *s = ctx;
    REQUIRE(begin <= s->begin);
    memcpy(s->then + begin, s->vector + begin, (size_t)(s->begin - begin) * sizeof *s->then);
    s->begin = begin;
    s->n_call++;
}

enum final_pass { GRADIENT, HESSIAN, GAUSS_NEWTON, N_FINAL_PASS };

static void check_final(struct trial *t)
{
    int64_t n = t->m.n_param;
    float *v = mem_alloc(n, sizeof *v), *out = mem_alloc(n, sizeof *out),
          *then = mem_alloc(n, sizeof *then);
    harness_fill(v, n, 52);
    for (int pass = 0; pass < N_FINAL_PASS; pass++) {
        struct said said = {out, then, n, 0};
        harness_fill(out, n, 53); /* nothing that could pass for a result */
        t->u.left = note_final;
        t->u.left_ctx = &said;
        if (pass == GRADIENT)
            model_backward(&t->m, t->w, &t->u, out);
        else
            (pass == HESSIAN ? model_hessian_product : model_gauss_newton_product)(&t->m, t->w, v,
                                                                                   &t->u, out);
        t->u.left = NULL;
        CU_ASSERT_EQUAL(said.begin, 0);
        CU_ASSERT_EQUAL(said.n_call, t->m.n_layer);
        CU_ASSERT(!memcmp(then, out, (size_t)n * sizeof *out));
    }
    free(v);
    free(out);
    free(then);
}

static void backward_passes_say_what_is_final(void)
{
    trial_run(check_final, 1);
}

static void a_unit_for_losses_alone_is_smaller_and_gives_the_same(void)
{
    static struct trial t;
    struct unit u = {0};
    trial_init(&t, &trial_examples[0]);
    int64_t forward = unit_bytes(&t.m, 16, UNIT_FORWARD),
            gradient = unit_bytes(&t.m, 16, UNIT_GRADIENT);
    CU_ASSERT(forward < gradient && gradient < unit_bytes(&t.m, 16, UNIT_TANGENT));
    CU_ASSERT(gradient < unit_bytes(&t.m, 64, UNIT_GRADIENT));
    CU_ASSERT_EQUAL(unit_init(&u, &t.m, 16, UNIT_FORWARD), IAU_OK);
    u.n = t.u.n;
    memcpy(u.label, t.u.label, sizeof u.label);
    memcpy(u.node[0].a, t.u.node[0].a, (size_t)shape_count(t.m.in) * 16 * sizeof(float));
    model_forward(&t.m, t.w, &u);
    CU_ASSERT_EQUAL(unit_loss(&u), unit_loss(&t.u));
    unit_free(&u);
    unit_free(&u);
    mem_fail_after(1);
    harness_expect_error(unit_init(&u, &t.m, 16, UNIT_GRADIENT), IAU_ERR_MEM,
                         "activations of a unit");
    mem_fail_after(0);
    unit_free(&u);
    trial_free(&t);
}

/* --- building and initial values */

static int build_lenet5(struct model *m, struct shape in, int n_class)
{
    struct model_opts opts = {.name = MODEL_LENET5};
    return model_build(m, &opts, in, n_class);
}

static int build_mlp(struct model *m)
{
    int64_t sizes[] = {29, 13};
    struct model_opts opts = {
        .name = MODEL_MLP, .hidden = {2, sizes}, .activation = ACTIVATION_TANH};
    return model_build(m, &opts, (struct shape){37, 1, 1}, 5);
}

static void check_tensor(const struct model *m, int i, const char *name, int ndim,
                         const int64_t *dims)
{
    const struct tensor *p = m->tensor[i];
    CU_ASSERT_STRING_EQUAL(p->name, name);
    CU_ASSERT(p->ndim == ndim && !memcmp(p->dims, dims, (size_t)ndim * sizeof *dims));
    CU_ASSERT_EQUAL(p->offset, i ? m->tensor[i - 1]->offset + m->tensor[i - 1]->count : 0);
}

static void lenet5_has_torch_names_and_shapes(void)
{
    static struct model m;
    CU_ASSERT_EQUAL(build_lenet5(&m, (struct shape){3, 32, 32}, 10), IAU_OK);
    CU_ASSERT_EQUAL(m.n_param, 62006);
    CU_ASSERT_EQUAL(m.n_tensor, 10);
    check_tensor(&m, 0, "conv1.weight", 4, (int64_t[]){6, 3, 5, 5});
    check_tensor(&m, 1, "conv1.bias", 1, (int64_t[]){6});
    check_tensor(&m, 2, "conv2.weight", 4, (int64_t[]){16, 6, 5, 5});
    check_tensor(&m, 3, "conv2.bias", 1, (int64_t[]){16});
    check_tensor(&m, 4, "fc1.weight", 2, (int64_t[]){120, 400});
    check_tensor(&m, 5, "fc1.bias", 1, (int64_t[]){120});
    check_tensor(&m, 6, "fc2.weight", 2, (int64_t[]){84, 120});
    check_tensor(&m, 7, "fc2.bias", 1, (int64_t[]){84});
    check_tensor(&m, 8, "fc3.weight", 2, (int64_t[]){10, 84});
    check_tensor(&m, 9, "fc3.bias", 1, (int64_t[]){10});
    CU_ASSERT_PTR_EQUAL(model_tensor_at(&m, 0), m.tensor[0]);
    CU_ASSERT_PTR_EQUAL(model_tensor_at(&m, 449), m.tensor[0]);
    CU_ASSERT_PTR_EQUAL(model_tensor_at(&m, 450), m.tensor[1]);
    CU_ASSERT_PTR_EQUAL(model_tensor_at(&m, 62005), m.tensor[9]);
    CU_ASSERT_EQUAL(build_lenet5(&m, (struct shape){1, 28, 28}, 7), IAU_OK);
    CU_ASSERT(m.in.c == 1 && m.in.h == 32 && m.in.w == 32 && m.n_class == 7);
    CU_ASSERT_EQUAL(m.n_param, 62006 - 300 - 3 * 85);
}

static void an_mlp_has_torch_names_and_shapes(void)
{
    static struct model m;
    CU_ASSERT_EQUAL(build_mlp(&m), IAU_OK);
    CU_ASSERT_EQUAL(m.n_param, 37 * 29 + 29 + 29 * 13 + 13 + 13 * 5 + 5);
    CU_ASSERT_EQUAL(m.n_tensor, 6);
    check_tensor(&m, 0, "fc1.weight", 2, (int64_t[]){29, 37});
    check_tensor(&m, 1, "fc1.bias", 1, (int64_t[]){29});
    check_tensor(&m, 4, "fc3.weight", 2, (int64_t[]){5, 13});
    check_tensor(&m, 5, "fc3.bias", 1, (int64_t[]){5});
    struct model_opts opts = {.name = MODEL_MLP};
    CU_ASSERT_EQUAL(model_build(&m, &opts, (struct shape){3, 8, 4}, 2), IAU_OK); /* images too */
    CU_ASSERT_EQUAL(m.n_param, 2 * 96 + 2);
}

/* Uniform in +-1/sqrt(fan_in), as torch has it. With 62,006 numbers the bounds below are 5 sigma.
 */
static void initial_values_are_uniform_within_their_bound(void)
{
    static struct model m;
    static const int fan_in[] = {75, 75, 150, 150, 400, 400, 120, 120, 84, 84};
    CU_ASSERT_EQUAL(build_lenet5(&m, (struct shape){3, 32, 32}, 10), IAU_OK);
    float *w = mem_alloc(m.n_param, sizeof *w), *other = mem_alloc(m.n_param, sizeof *other);
    double sum = 0, squares = 0, largest = 0;
    model_init_params(&m, 42, w);
    for (int i = 0; i < m.n_tensor; i++) {
        const struct tensor *p = m.tensor[i];
        for (int64_t k = p->offset; k < p->offset + p->count; k++) {
            double x = w[k] * sqrt(fan_in[i]); /* uniform in [-1, 1) */
            largest = fmax(largest, fabs(x));
            sum += x;
            squares += x * x;
        }
        CU_ASSERT_EQUAL(p->fan_in, fan_in[i]);
    }
    double n = (double)m.n_param;
    CU_ASSERT(largest <= 1 + 1e-6 && largest > 0.999);
    CU_ASSERT_DOUBLE_EQUAL(sum / n, 0, 5 * sqrt(1 / 3.0 / n));
    CU_ASSERT_DOUBLE_EQUAL(squares / n, 1 / 3.0, 5 * sqrt(4 / 45.0 / n));
    model_init_params(&m, 42, other);
    CU_ASSERT(!memcmp(w, other, (size_t)m.n_param * sizeof *w));
    model_init_params(&m, 43, other);
    CU_ASSERT(harness_relative_error(other, w, m.n_param) > 1.3); /* unrelated: sqrt(2) */
    CU_ASSERT(memcmp(w + m.tensor[1]->offset, w + m.tensor[0]->offset, 6 * sizeof *w));
    free(w);
    free(other);
}

static void what_does_not_fit_is_refused(void)
{
    static struct model m;
    struct layer l;
    int64_t offset = 0, many[40];
    struct model_opts lenet5 = {.name = MODEL_LENET5};
    harness_expect_error(model_build(&m, &lenet5, (struct shape){3, 33, 32}, 10), IAU_ERR_CONFIG,
                         "lenet5 takes images up to 32x32, not 33x32");
    harness_expect_error(model_build(&m, &lenet5, (struct shape){1, 28, 64}, 10), IAU_ERR_CONFIG,
                         "not 28x64");
    harness_expect_error(layer_conv2d(&l, "conv9", (struct shape){6, 7, 4}, 8, 5, 1, 0, &offset),
                         IAU_ERR_CONFIG, "layer conv9: a 5x5 window does not fit its input 6x7x4");
    harness_expect_error(layer_conv2d(&l, "conv9", (struct shape){6, 2, 9}, 8, 5, 1, 1, &offset),
                         IAU_ERR_CONFIG, "6x2x9");
    harness_expect_error(layer_maxpool(&l, (struct shape){4, 2, 3}, 3, 3), IAU_ERR_CONFIG,
                         "max-pooling: a 3x3 window does not fit its input 4x2x3");
    CU_ASSERT_EQUAL(offset, 0); /* refused layers take no place */
    CU_ASSERT_EQUAL(layer_conv2d(&l, "conv9", (struct shape){6, 3, 9}, 8, 5, 1, 1, &offset),
                    IAU_OK);
    for (int i = 0; i < 40; i++)
        many[i] = 3;
    struct model_opts deep = {.name = MODEL_MLP, .hidden = {31, many}};
    CU_ASSERT_EQUAL(model_build(&m, &deep, (struct shape){4, 1, 1}, 2), IAU_OK);
    deep.hidden.n = 32;
    harness_expect_error(model_build(&m, &deep, (struct shape){4, 1, 1}, 2), IAU_ERR_CONFIG,
                         "model.hidden has 32 layers; at most 31 fit");
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"losses and hits are those of the reference", losses_and_hits_are_those_of_the_reference},
        {"gradients equal the double-precision ones", gradients_equal_the_double_precision_ones},
        {"gradients equal central differences of the loss",
         gradients_equal_central_differences_of_the_loss},
        {"empty lanes contribute nothing", empty_lanes_contribute_nothing},
        {"backward passes say what is final", backward_passes_say_what_is_final},
        {"a unit for losses alone is smaller and gives the same",
         a_unit_for_losses_alone_is_smaller_and_gives_the_same},
        {"lenet5 has torch's names and shapes", lenet5_has_torch_names_and_shapes},
        {"an mlp has torch's names and shapes", an_mlp_has_torch_names_and_shapes},
        {"initial values are uniform within their bound",
         initial_values_are_uniform_within_their_bound},
        {"what does not fit is refused", what_does_not_fit_is_refused},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "nn", tests);
}
