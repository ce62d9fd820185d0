/* A matrix by its products and in full. */
#include "matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "harness.h"

struct index_set matrix_set;

void matrix_open_data(void)
{
    int64_t row[137];
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    for (int i = 0; i < 137; i++)
        row[i] = (7 * i + 3) % table.dataset.n[PART_TRAIN];
    CU_ASSERT_EQUAL(index_set_from_rows(&matrix_set, PART_TRAIN, row, 137), IAU_OK);
}

void matrix_close_data(void)
{
    index_set_free(&matrix_set);
    small_data_close(&table);
}

void matrix_open(struct matrix *s, enum product_kind kind, uint64_t seed, float scale,
                 const struct comm *comm)
{
    *s = (struct matrix){.n = table.model.n_param};
    s->w = mem_alloc(s->n, sizeof *s->w);
    s->b = mem_alloc(s->n, sizeof *s->b);
    s->x = mem_alloc(s->n, sizeof *s->x);
    small_engine(&s->engine, &table, 16, comm);
    model_init_params(&table.model, seed, s->w);
    for (int64_t i = 0; i < s->n; i++)
        s->w[i] *= scale;
    harness_fill(s->b, s->n, 17);
    REQUIRE(share_load(&s->share, &s->engine, &matrix_set) == IAU_OK);
    REQUIRE(product_init(&s->product, &s->engine, kind, s->w, &s->share, "a matrix") == IAU_OK);
}

void matrix_close(struct matrix *s)
{
    product_free(&s->product);
    share_free(&s->share);
    engine_free(&s->engine);
    free(s->w);
    free(s->b);
    free(s->x);
    free(s->dense);
}

void matrix_write_down(struct matrix *s)
{
    int64_t n = s->n;
    float *unit = mem_alloc(n, sizeof *unit), *column = mem_alloc(n, sizeof *column);
    s->dense = mem_alloc(n * n, sizeof *s->dense);
    for (int64_t i = 0; i < n; i++) {
        unit[i] = 1;
        CU_ASSERT_EQUAL(product_apply(&s->product, unit, column), IAU_OK);
        unit[i] = 0;
        for (int64_t k = 0; k < n; k++) {
            s->dense[i * n + k] += column[k] / 2;
            s->dense[k * n + i] += column[k] / 2;
        }
    }
    free(unit);
    free(column);
}

double *matrix_solve(const struct matrix *s, double damping)
{
    int64_t n = s->n;
    double *a = mem_alloc(n * n, sizeof *a), *x = mem_alloc(n, sizeof *x);
    memcpy(a, s->dense, (size_t)(n * n) * sizeof *a);
    for (int64_t i = 0; i < n; i++) {
        a[i * n + i] += damping;
        x[i] = s->b[i];
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t r = i + 1; r < n; r++)
            best = fabs(a[r * n + i]) > fabs(a[best * n + i]) ? r : best;
        for (int64_t k = 0; k < n; k++) {
            double t = a[i * n + k];
            a[i * n + k] = a[best * n + k];
            a[best * n + k] = t;
        }
        double t = x[i];
        x[i] = x[best];
        x[best] = t;
        for (int64_t r = i + 1; r < n; r++) {
            double f = a[r * n + i] / a[i * n + i];
            for (int64_t k = i; k < n; k++)
                a[r * n + k] -= f * a[i * n + k];
            x[r] -= f * x[i];
        }
    }
    for (int64_t i = n; i-- > 0;) {
        for (int64_t k = i + 1; k < n; k++)
            x[i] -= a[i * n + k] * x[k];
        x[i] /= a[i * n + i];
    }
    free(a);
    return x;
}

/* One Jacobi rotation, which makes a[p][q] 0; columns of v turn along. */
static void rotate(double *a, double *v, int64_t n, int64_t p, int64_t q)
{
    double apq = a[p * n + q];
    if (apq == 0)
        return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int64_t k = 0; k < n; k++) {
        double kp = a[k * n + p], kq = a[k * n + q];
        a[k * n + p] = c * kp - s * kq;
        a[k * n + q] = s * kp + c * kq;
    }
    for (int64_t k = 0; k < n; k++) {
        double pk = a[p * n + k], qk = a[q * n + k], vp = v[k * n + p], vq = v[k * n + q];
        a[p * n + k] = c * pk - s * qk;
        a[q * n + k] = s * pk + c * qk;
        v[k * n + p] = c * vp - s * vq;
        v[k * n + q] = s * vp + c * vq;
    }
}

double matrix_eigenvalue(const struct matrix *s, double *vector, double *next)
{
    int64_t n = s->n, best = 0;
    double *a = mem_alloc(n * n, sizeof *a), *v = mem_alloc(n * n, sizeof *v);
    memcpy(a, s->dense, (size_t)(n * n) * sizeof *a);
    for (int64_t i = 0; i < n; i++)
        v[i * n + i] = 1;
    for (int sweep = 0; sweep < 12; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++)
                rotate(a, v, n, p, q);
    for (int64_t i = 1; i < n; i++)
        best = fabs(a[i * n + i]) > fabs(a[best * n + best]) ? i : best;
    *next = 0;
    for (int64_t i = 0; i < n; i++) {
        vector[i] = v[i * n + best];
        *next = i != best && fabs(a[i * n + i]) > *next ? fabs(a[i * n + i]) : *next;
    }
    double value = a[best * n + best];
    free(a);
    free(v);
    return value;
}
