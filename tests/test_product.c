/* Hessian products against differences of double-precision gradients, and the gradient of the
 * restricted loss against differences of that loss. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "kernel/vector.h"
#include "train/restriction.h"
#include "trial.h"

/* --- second derivatives */

/* A random direction of length 1. */
static void random_direction(float *v, int64_t n, uint64_t seed)
{
    harness_fill(v, n, seed);
    float norm = (float)vector_norm(v, n);
    for (int64_t i = 0; i < n; i++)
        v[i] /= norm;
}

/* Along random directions u.Hv is small beside |u| |Hv|, so the bound is on the latter; along u =
 * Hv / |Hv| it is not, and both sides must agree to 1e-5 of themselves. */
static void check_symmetry(struct trial *t)
{
    int64_t n = t->m.n_param;
    float *u = mem_alloc(n, sizeof *u), *v = mem_alloc(n, sizeof *v);
    float *hu = mem_alloc(n, sizeof *hu), *hv = mem_alloc(n, sizeof *hv);
    random_direction(u, n, 21);
    random_direction(v, n, 22);
    model_hessian_product(&t->m, t->w, v, &t->u, hv);
    model_hessian_product(&t->m, t->w, u, &t->u, hu);
    double norm = vector_norm(hv, n), uhv = vector_dot(u, hv, n), vhu = vector_dot(v, hu, n);
    CU_ASSERT(norm > 0.01);
    trial_expect(t, "u.Hv = v.Hu", "random", fabs(uhv - vhu) / norm, 1e-6);
    for (int64_t i = 0; i < n; i++)
        u[i] = hv[i] / (float)norm;
    model_hessian_product(&t->m, t->w, u, &t->u, hu);
    vhu = vector_dot(v, hu, n);
    trial_expect(t, "u.Hv = v.Hu", "aligned", fabs(vector_dot(u, hv, n) - vhu) / fabs(vhu), 1e-5);
    free(u);
    free(v);
    free(hu);
    free(hv);
}

static void the_hessian_is_symmetric(void)
{
    trial_run(check_symmetry, 1);
}

/* (g(w + hv) - g(w - hv)) / 2h in double. @return 0 where a kink lies between */
static int product_by_differences(const struct trial *t, const double *v, double *out)
{
    const double h = 1e-6;
    int64_t n = t->m.n_param;
    double *w = mem_alloc(n, sizeof *w), *down = mem_alloc(n, sizeof *down);
    trial_move(t, h, v, w);
    int smooth = reference_run(&t->m, w, &t->set, out).pattern == t->truth.pattern;
    trial_move(t, -h, v, w);
    smooth &= reference_run(&t->m, w, &t->set, down).pattern == t->truth.pattern;
    for (int64_t i = 0; i < n; i++)
        out[i] = (out[i] - down[i]) / (2 * h);
    free(w);
    free(down);
    return smooth;
}

static void compare_product(struct trial *t, const char *what, const double *v)
{
    int64_t n = t->m.n_param;
    float *vf = mem_alloc(n, sizeof *vf), *hv = mem_alloc(n, sizeof *hv);
    double *exact = mem_alloc(n, sizeof *exact);
    for (int64_t i = 0; i < n; i++)
        vf[i] = (float)v[i];
    model_hessian_product(&t->m, t->w, vf, &t->u, hv);
    CU_ASSERT(product_by_differences(t, v, exact));
    trial_expect_equal(t, what, hv, exact, 1e-5);
    free(vf);
    free(hv);
    free(exact);
}

static void check_product(struct trial *t)
{
    int64_t n = t->m.n_param;
    const struct tensor all = {.count = n};
    double *v = mem_alloc(n, sizeof *v);
    trial_direct(&all, NULL, 31, v, n);
    compare_product(t, "Hv, random v", v);
    trial_direct(&all, t->gd, 0, v, n);
    compare_product(t, "Hv, v along the gradient", v);
    /* One layer's tensors alone: the others' parts of Hv come through the tangents only. */
    for (int i = 0; !t->example->heavy && i < t->m.n_tensor; i += 3) {
        trial_direct(t->m.tensor[i], NULL, 32, v, n);
        compare_product(t, "Hv, v on one tensor", v);
    }
    free(v);
}

static void hessian_products_equal_differences_of_gradients(void)
{
    trial_run(check_product, 1);
}

/* --- gradient restriction */

static const double alpha = 0.1;

/* The mean loss's gradient and alpha times that of its norm, as training computes them. */
static void restricted_gradient(struct trial *t, enum restriction_norm norm, float *r)
{
    int64_t n = t->m.n_param;
    float *v = mem_alloc(n, sizeof *v), *hv = mem_alloc(n, sizeof *hv);
    for (int64_t i = 0; i < n; i++)
        r[i] = t->g[i] / (float)t->set.n;
    restriction_direction(&t->m, norm, r, v);
    model_hessian_product(&t->m, t->w, v, &t->u, hv);
    for (int64_t i = 0; i < n; i++)
        r[i] += (float)alpha * hv[i] / (float)t->set.n;
    free(v);
    free(hv);
}

/* Along r itself and along a random direction, tensor by tensor. */
static void compare_restricted(struct trial *t, enum restriction_norm norm)
{
    const double h = 1e-6;
    int64_t n = t->m.n_param;
    float *r = mem_alloc(n, sizeof *r);
    double *rd = mem_alloc(n, sizeof *rd), *v = mem_alloc(n, sizeof *v),
           *w = mem_alloc(n, sizeof *w);
    double *scratch = mem_alloc(n, sizeof *scratch);
    restricted_gradient(t, norm, r);
    for (int64_t i = 0; i < n; i++)
        rd[i] = r[i];
    for (int i = 0; i < 2 * t->m.n_tensor; i++) {
        const struct tensor *p = t->m.tensor[i / 2];
        trial_direct(p, i % 2 ? NULL : rd, (uint64_t)i + 41, v, n);
        trial_move(t, h, v, w);
        double up =
            reference_restricted(&t->m, w, &t->set, alpha, norm == RESTRICTION_PER_TENSOR, scratch);
        trial_move(t, -h, v, w);
        double down =
            reference_restricted(&t->m, w, &t->set, alpha, norm == RESTRICTION_PER_TENSOR, scratch);
        trial_expect(t,
                     norm == RESTRICTION_GLOBAL ? "restricted loss, global"
                                                : "restricted loss, per tensor",
                     p->name,
                     fabs(trial_dot(r, v, n) - (up - down) / (2 * h)) /
                         reference_norm(rd + p->offset, p->count),
                     3e-6);
    }
    free(r);
    free(rd);
    free(v);
    free(w);
    free(scratch);
}

static void check_restricted_per_tensor(struct trial *t)
{
    compare_restricted(t, RESTRICTION_PER_TENSOR);
}

static void check_restricted_global(struct trial *t)
{
    compare_restricted(t, RESTRICTION_GLOBAL);
}

static void the_restricted_gradient_equals_differences_of_the_restricted_loss(void)
{
    trial_run(check_restricted_per_tensor, 0);
    trial_run(check_restricted_global, 0);
}

static void a_restriction_direction_has_unit_norms_and_none_at_zero(void)
{
    static struct model m;
    int64_t hidden[] = {6};
    struct model_opts opts = {.name = MODEL_MLP, .hidden = {1, hidden}};
    CU_ASSERT_EQUAL(model_build(&m, &opts, (struct shape){9, 1, 1}, 4), IAU_OK);
    float *g = mem_alloc(m.n_param, sizeof *g), *v = mem_alloc(m.n_param, sizeof *v);
    harness_fill(g, m.n_param, 3);
    const struct tensor *dead = m.tensor[2], *alive = m.tensor[3];
    memset(g + dead->offset, 0, (size_t)dead->count * sizeof *g);
    double sum = 0, norms = restriction_direction(&m, RESTRICTION_PER_TENSOR, g, v);
    for (int i = 0; i < m.n_tensor; i++)
        sum += vector_norm(g + m.tensor[i]->offset, m.tensor[i]->count);
    CU_ASSERT_DOUBLE_EQUAL(norms, sum, 1e-12 * sum);
    CU_ASSERT_DOUBLE_EQUAL(vector_norm(v + alive->offset, alive->count), 1, 1e-6);
    CU_ASSERT_EQUAL(vector_norm(v + dead->offset, dead->count), 0);
    norms = restriction_direction(&m, RESTRICTION_GLOBAL, g, v);
    CU_ASSERT_DOUBLE_EQUAL(norms, vector_norm(g, m.n_param), 1e-12 * norms);
    CU_ASSERT_DOUBLE_EQUAL(vector_norm(v, m.n_param), 1, 1e-6);
    memset(g, 0, (size_t)m.n_param * sizeof *g);
    CU_ASSERT_EQUAL(restriction_direction(&m, RESTRICTION_GLOBAL, g, v), 0);
    CU_ASSERT_EQUAL(vector_norm(v, m.n_param), 0);
    free(g);
    free(v);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"the Hessian is symmetric", the_hessian_is_symmetric},
                           {"Hessian products equal differences of gradients",
                            hessian_products_equal_differences_of_gradients},
                           {"the restricted gradient equals differences of the restricted loss",
                            the_restricted_gradient_equals_differences_of_the_restricted_loss},
                           {"a restriction direction has unit norms, and none at zero",
                            a_restriction_direction_has_unit_norms_and_none_at_zero},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "product", tests);
}
