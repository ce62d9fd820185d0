/* Softmax cross-entropy against its closed forms in double, with extreme logits, empty lanes, and
 * derivatives against central differences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "harness.h"
#include "kernel/softmax.h"

enum { MAX_LANES = 64 };

/* Logits, labels and weights of one unit, and everything computed from them. */
struct unit {
    int n_class, lanes;
    float *z, *p, *dz, *rz, *rdz; /* owned; [n_class][lanes] */
    int32_t label[MAX_LANES];
    float weight[MAX_LANES], loss[MAX_LANES];
};

static void unit_run(struct unit *u)
{
    softmax_forward(u->n_class, u->lanes, u->z, u->label, u->p, u->loss);
    softmax_backward(u->n_class, u->lanes, u->p, u->label, u->weight, u->dz);
    softmax_backward_tangent(u->n_class, u->lanes, u->p, u->rz, u->weight, u->rdz);
}

/* Every third lane is empty: a copy of lane 0 with weight 0. */
static void unit_init(struct unit *u, int n_class, int lanes, float spread)
{
    int64_t n = (int64_t)n_class * lanes;
    u->n_class = n_class;
    u->lanes = lanes;
    u->z = mem_alloc(n, sizeof(float));
    u->p = mem_alloc(n, sizeof(float));
    u->dz = mem_alloc(n, sizeof(float));
    u->rz = mem_alloc(n, sizeof(float));
    u->rdz = mem_alloc(n, sizeof(float));
    harness_fill(u->z, n, (uint64_t)n_class);
    harness_fill(u->rz, n, (uint64_t)n_class + 1);
    for (int64_t i = 0; i < n; i++)
        u->z[i] *= spread;
    for (int l = 0; l < lanes; l++) {
        u->label[l] = (l * 7 + 3) % n_class;
        u->weight[l] = l % 3 != 2;
        for (int k = 0; k < n_class && l % 3 == 2; k++)
            u->z[k * lanes + l] = u->z[k * lanes];
    }
    unit_run(u);
}

static void unit_free(struct unit *u)
{
    free(u->z);
    free(u->p);
    free(u->dz);
    free(u->rz);
    free(u->rdz);
}

/* Cross-entropy of lane `l` with logits z + h v, in double; the probabilities of class k go to p
 * unless NULL. */
static double loss_at(const struct unit *u, int l, double h, double *p)
{
    double largest = -INFINITY, sum = 0;
    for (int k = 0; k < u->n_class; k++)
        largest = fmax(largest, u->z[k * u->lanes + l] + h * u->rz[k * u->lanes + l]);
    for (int k = 0; k < u->n_class; k++)
        sum += exp(u->z[k * u->lanes + l] + h * u->rz[k * u->lanes + l] - largest);
    for (int k = 0; p && k < u->n_class; k++)
        p[k] = exp(u->z[k * u->lanes + l] + h * u->rz[k * u->lanes + l] - largest) / sum;
    int at = u->label[l] * u->lanes + l;
    return log(sum) + largest - u->z[at] - h * u->rz[at];
}

/* exp's 2 ulp, a float sum over classes, the subtraction of the largest logit: relative to p, and
 * in the loss absolute plus relative. */
static double bound(const struct unit *u, float spread)
{
    return ldexp(u->n_class + 8 + 2 * spread, -24);
}

static void check_lane(const struct unit *u, int l, float spread, double *p)
{
    double loss = loss_at(u, l, 0, p), sum = 0, mean = 0, eps = bound(u, spread);
    CU_ASSERT(fabs(u->loss[l] - loss) <= eps + ldexp(fabs(loss), -23));
    for (int k = 0; k < u->n_class; k++) {
        sum += u->p[k * u->lanes + l];
        mean += p[k] * u->rz[k * u->lanes + l];
    }
    CU_ASSERT_DOUBLE_EQUAL(sum, 1, eps);
    int bad = 0;
    for (int k = 0; k < u->n_class; k++) {
        int at = k * u->lanes + l;
        double dz = u->weight[l] * (p[k] - (k == u->label[l]));
        double rdz = u->weight[l] * p[k] * (u->rz[at] - mean);
        bad += !(fabs(u->p[at] - p[k]) <= eps * p[k] + 1e-37);
        bad += !(fabs(u->dz[at] - dz) <= eps * p[k] + ldexp(1, -24));
        bad += !(fabs(u->rdz[at] - rdz) <= 4 * eps * p[k] + 1e-37);
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void check_unit(int n_class, int lanes, float spread)
{
    struct unit u;
    unit_init(&u, n_class, lanes, spread);
    double *p = mem_alloc(n_class, sizeof(double));
    for (int l = 0; l < lanes; l++)
        check_lane(&u, l, spread, p);
    free(p);
    unit_free(&u);
}

static void values_match_closed_forms(void)
{
    check_unit(1, 16, 3);
    check_unit(2, 32, 5);
    check_unit(10, 16, 4);
    check_unit(10, 64, 30);
    check_unit(47, 48, 8);
    check_unit(100, 64, 4);
    check_unit(1000, 16, 6);
}

/* Lane l gets logits 0 but for class 1, which gets `value`; label 0 or 1. */
static void check_extreme(float value, int label, double loss)
{
    struct unit u;
    unit_init(&u, 3, 16, 0);
    for (int l = 0; l < 16; l++) {
        u.z[16 + l] = value;
        u.label[l] = label;
        u.weight[l] = 1;
    }
    unit_run(&u);
    CU_ASSERT_DOUBLE_EQUAL(u.loss[3], loss, 1e-6 * loss + 1e-30);
    for (int i = 0; i < 48; i++) {
        CU_ASSERT(u.p[i] >= 0 && u.p[i] <= 1);
        CU_ASSERT(isfinite(u.dz[i]) && isfinite(u.rdz[i]));
    }
    unit_free(&u);
}

static void extreme_logits_stay_finite(void)
{
    check_extreme(80, 1, 0);
    check_extreme(80, 0, 80);
    check_extreme(-80, 1, 80 + log(2));
    check_extreme(-80, 0, log(2));
    check_extreme(1e4f, 1, 0);
    check_extreme(1e4f, 0, 1e4);
    check_extreme(-1e4f, 1, 1e4 + log(2));
    check_extreme(3e38f, 0, 3e38);
}

static void what_is_not_finite_shows_in_the_loss(void)
{
    struct unit u;
    unit_init(&u, 5, 16, 1);
    u.z[2 * 16 + 1] = NAN;
    u.z[0 * 16 + 2] = NAN;
    u.z[3 * 16 + 4] = INFINITY;
    unit_run(&u);
    for (int l = 0; l < 16; l++)
        CU_ASSERT_EQUAL(isfinite(u.loss[l]) != 0, l != 1 && l != 2 && l != 4);
    unit_free(&u);
}

static void empty_lanes_give_zero_gradient(void)
{
    struct unit u;
    unit_init(&u, 10, 16, 3);
    for (int k = 0; k < 10; k++)
        for (int l = 2; l < 16; l += 3) {
            CU_ASSERT_EQUAL(u.dz[k * 16 + l], 0);
            CU_ASSERT_EQUAL(u.rdz[k * 16 + l], 0);
        }
    float *p = mem_alloc(160, sizeof(float));
    softmax_forward(10, 16, u.z, u.label, p, NULL); /* no loss wanted */
    CU_ASSERT_EQUAL(memcmp(p, u.p, 160 * sizeof(float)), 0);
    free(p);
    unit_free(&u);
}

static void probabilities_may_take_the_place_of_logits(void)
{
    struct unit u;
    float loss[16];
    unit_init(&u, 10, 16, 3);
    softmax_forward(10, 16, u.z, u.label, u.z, loss);
    CU_ASSERT_EQUAL(memcmp(u.z, u.p, 160 * sizeof(float)), 0);
    CU_ASSERT_EQUAL(memcmp(loss, u.loss, sizeof loss), 0);
    unit_free(&u);
}

static double lane_dot(const struct unit *u, const float *a, const float *b, int l)
{
    double sum = 0;
    for (int k = 0; k < u->n_class; k++)
        sum += (double)a[k * u->lanes + l] * b[k * u->lanes + l];
    return sum;
}

static void derivatives_match_central_differences(void)
{
    struct unit u;
    const double h = 1e-4;
    unit_init(&u, 10, 32, 3);
    for (int l = 0; l < 32; l++) {
        double up = loss_at(&u, l, h, NULL), down = loss_at(&u, l, -h, NULL);
        double at = loss_at(&u, l, 0, NULL);
        double first = (up - down) / (2 * h), second = (up - 2 * at + down) / (h * h);
        CU_ASSERT_DOUBLE_EQUAL(lane_dot(&u, u.dz, u.rz, l), u.weight[l] * first, 2e-6);
        CU_ASSERT_DOUBLE_EQUAL(lane_dot(&u, u.rdz, u.rz, l), u.weight[l] * second, 2e-6);
    }
    unit_free(&u);
}

static void tangent_is_symmetric_and_positive(void)
{
    struct unit u;
    unit_init(&u, 23, 48, 4);
    float *v = mem_alloc(23 * 48, sizeof(float)), *mv = mem_alloc(23 * 48, sizeof(float));
    harness_fill(v, 23 * 48, 99);
    softmax_backward_tangent(23, 48, u.p, v, u.weight, mv);
    for (int l = 0; l < 48; l++) {
        CU_ASSERT_DOUBLE_EQUAL(lane_dot(&u, u.rz, mv, l), lane_dot(&u, v, u.rdz, l), 1e-6);
        CU_ASSERT(lane_dot(&u, v, mv, l) >= -1e-7);
    }
    for (int i = 0; i < 23 * 48; i++)
        v[i] = 5;
    softmax_backward_tangent(23, 48, u.p, v, u.weight, mv);
    for (int i = 0; i < 23 * 48; i++)
        CU_ASSERT_DOUBLE_EQUAL(mv[i], 0, 1e-5); /* equal logits change nothing */
    free(v);
    free(mv);
    unit_free(&u);
}

/* --- the divergence from a teacher */

/* softmax(z / T) of a lane in double. */
static void tempered(int n_class, int lanes, const float *z, double temperature, int l, double *p)
{
    double largest = -INFINITY, sum = 0;
    for (int k = 0; k < n_class; k++)
        largest = fmax(largest, z[k * lanes + l] / temperature);
    for (int k = 0; k < n_class; k++)
        sum += p[k] = exp(z[k * lanes + l] / temperature - largest);
    for (int k = 0; k < n_class; k++)
        p[k] /= sum;
}

/* The teacher's logits are the student's plus `step` times others; dz holds something before. */
static void check_distill(int n_class, double temperature, float spread, float step)
{
    enum { LANES = 32 };
    struct unit u;
    unit_init(&u, n_class, LANES, spread);
    int64_t n = (int64_t)n_class * LANES;
    float *t = mem_alloc(n, sizeof *t), *q = mem_alloc(2 * n, sizeof *q), kl[LANES];
    double *p_t = mem_alloc(n_class, sizeof *p_t), *p_z = mem_alloc(n_class, sizeof *p_z);
    for (int64_t i = 0; i < n; i++) {
        t[i] = u.z[i] + step * u.rz[i];
        u.dz[i] = 2;
    }
    softmax_distill(n_class, LANES, (float)temperature, t, u.z, u.weight, u.dz, kl, q);
    double eps = bound(&u, spread / (float)temperature);
    for (int l = 0; l < LANES; l++) {
        double sum = 0;
        int bad = 0;
        tempered(n_class, LANES, t, temperature, l, p_t);
        tempered(n_class, LANES, u.z, temperature, l, p_z);
        for (int k = 0; k < n_class; k++) {
            double dz = u.weight[l] * temperature * (p_z[k] - p_t[k]);
            sum += p_t[k] * log(p_t[k] / p_z[k]);
            bad += !(fabs(u.dz[k * LANES + l] - 2 - dz) <= 4 * temperature * eps + 0x1p-22);
        }
        CU_ASSERT_EQUAL(bad, 0);
        CU_ASSERT(kl[l] >= 0 && fabs(kl[l] - sum) <= 4 * eps * (1 + sum));
    }
    free(t);
    free(q);
    free(p_t);
    free(p_z);
    unit_free(&u);
}

static void the_divergence_matches_its_closed_form(void)
{
    check_distill(2, 1, 3, 1);
    check_distill(10, 2, 4, 2);
    check_distill(10, 0.5, 4, 0.01f);
    check_distill(10, 4, 30, 10);
    check_distill(100, 1, 4, 3);
}

/* No rounding is left where student and teacher are one. */
static void a_model_does_not_diverge_from_itself(void)
{
    struct unit u;
    _Alignas(64) float q[2 * 10 * 16], kl[16];
    unit_init(&u, 10, 16, 20);
    memset(u.dz, 0, 10 * 16 * sizeof *u.dz);
    softmax_distill(10, 16, 3, u.z, u.z, u.weight, u.dz, kl, q);
    for (int i = 0; i < 10 * 16; i++)
        CU_ASSERT_EQUAL(u.dz[i], 0);
    for (int l = 0; l < 16; l++)
        CU_ASSERT_EQUAL(kl[l], 0);
    u.z[5] = NAN;
    softmax_distill(10, 16, 3, u.z, u.z, u.weight, u.dz, kl, q);
    CU_ASSERT(isnan(kl[5]) && isnan(u.dz[5]) && kl[6] == 0);
    unit_free(&u);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"values match closed forms", values_match_closed_forms},
        {"extreme logits stay finite", extreme_logits_stay_finite},
        {"what is not finite shows in the loss", what_is_not_finite_shows_in_the_loss},
        {"empty lanes give zero gradient", empty_lanes_give_zero_gradient},
        {"probabilities may take the place of logits", probabilities_may_take_the_place_of_logits},
        {"derivatives match central differences", derivatives_match_central_differences},
        {"the tangent is symmetric and positive", tangent_is_symmetric_and_positive},
        {"the divergence matches its closed form", the_divergence_matches_its_closed_form},
        {"a model does not diverge from itself", a_model_does_not_diverge_from_itself},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "softmax", tests);
}
