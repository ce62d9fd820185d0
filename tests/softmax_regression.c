/* Softmax regression in double. */
#include "softmax_regression.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "harness.h"

void regression_build(struct model *linear)
{
    struct model_opts opts = {.name = MODEL_MLP};
    REQUIRE(model_build(linear, &opts, (struct shape){N_FEATURE, 1, 1}, N_CLASS) == IAU_OK);
    REQUIRE(linear->n_param == N);
}

void derivatives(const struct index_set *set, const double *w, double *g, double *h)
{
    const struct rows *rows = &method_table.rows[PART_TRAIN];
    memset(g, 0, N * sizeof *g);
    memset(h, 0, N * N * sizeof *h);
    for (int64_t i = 0; i < set->n; i++) {
        const float *x = (const float *)rows->x + set->row[i] * N_FEATURE;
        double p[N_CLASS], sum = 0, a[N_FEATURE + 1];
        int at[N_CLASS][N_FEATURE + 1];
        for (int c = 0; c < N_CLASS; c++) {
            double z = w[N_CLASS * N_FEATURE + c];
            for (int k = 0; k <= N_FEATURE; k++) {
                at[c][k] = k < N_FEATURE ? c * N_FEATURE + k : N_CLASS * N_FEATURE + c;
                a[k] = k < N_FEATURE ? x[k] : 1;
                z += k < N_FEATURE ? w[at[c][k]] * a[k] : 0;
            }
            sum += p[c] = exp(z);
        }
        for (int c = 0; c < N_CLASS; c++)
            p[c] /= sum;
        for (int c = 0; c < N_CLASS; c++)
            for (int k = 0; k <= N_FEATURE; k++) {
                g[at[c][k]] += (p[c] - (c == rows->label[set->row[i]])) * a[k] / (double)set->n;
                for (int d = 0; d < N_CLASS; d++)
                    for (int l = 0; l <= N_FEATURE; l++)
                        h[at[c][k] * N + at[d][l]] +=
                            p[c] * ((c == d) - p[d]) * a[k] * a[l] / (double)set->n;
            }
    }
}

void solve(const double *h, double damping, const double *b, double *x)
{
    double a[N][N];
    memcpy(a, h, sizeof a);
    memcpy(x, b, N * sizeof *x);
    for (int i = 0; i < N; i++)
        a[i][i] += damping;
    for (int i = 0; i < N; i++)
        for (int r = i + 1; r < N; r++) {
            double f = a[r][i] / a[i][i];
            for (int k = i; k < N; k++)
                a[r][k] -= f * a[i][k];
            x[r] -= f * x[i];
        }
    for (int i = N; i-- > 0;) {
        for (int k = i + 1; k < N; k++)
            x[i] -= a[i][k] * x[k];
        x[i] /= a[i][i];
    }
}

double norm(const double *x)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* Without decay the loss does not change
 * where all classes' parameters move alike: Newton's steps, damped by nearly nothing, do not go
 * there. */
void minimise(const struct index_set *set, double decay, double *w)
{
    double g[N], h[N * N], x[N];
    for (int i = 0; i < 30; i++) {
        derivatives(set, w, g, h);
        for (int k = 0; k < N; k++)
            g[k] += decay * w[k];
        solve(h, decay > 0 ? decay : 1e-9, g, x);
        for (int k = 0; k < N; k++)
            w[k] -= x[k];
    }
    CU_ASSERT(norm(g) < 1e-12);
}

void to_float(const double *w, float *out)
{
    for (int k = 0; k < N; k++)
        out[k] = (float)w[k];
}

double error_of_step(const float *got, const double *want, const double *w)
{
    double difference[N], step[N];
    for (int k = 0; k < N; k++) {
        difference[k] = got[k] - want[k];
        step[k] = want[k] - w[k];
    }
    return norm(difference) / norm(step);
}
