/* Gaussians of margins, and what they say of a model. */
#include "audit/lira.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

static const double least_variance = 1e-12; /* of models that agree to the last digit */

const char *lira_name(enum lira_attack a)
{
    static const char *const name[] = {
#define X(field, text) text,
        IAU_LIRA_LIST(X)
#undef X
    };
    return name[a];
}

enum lira_variance lira_choose(enum lira_variance v, int64_t n_shadow)
{
    if (v != LIRA_VARIANCE_AUTO)
        return v;
    return n_shadow < LIRA_POOLED_BELOW ? LIRA_VARIANCE_POOLED : LIRA_VARIANCE_SAMPLE;
}

static double at_least(double variance)
{
    return variance > least_variance ? variance : least_variance;
}

/* --- LiRA */

static void fit_target(struct lira_fit *f, const struct lira_table *t, int64_t i)
{
    double sum[2] = {0}, squares[2] = {0}, half = (double)t->n_shadow / 2;
    for (int64_t k = 0; k < t->n_shadow; k++)
        sum[t->member[k * t->n_target + i]] += t->margin[k * t->n_target + i];
    for (int side = 0; side < 2; side++)
        f->mean[side][i] = sum[side] / half;
    for (int64_t k = 0; k < t->n_shadow; k++) {
        int side = t->member[k * t->n_target + i];
        double d = t->margin[k * t->n_target + i] - f->mean[side][i];
        squares[side] += d * d;
    }
    for (int side = 0; side < 2; side++)
        f->variance[side][i] = at_least(squares[side] / (half - 1));
}

static void pool(double *variance, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += variance[i];
    for (int64_t i = 0; i < n; i++)
        variance[i] = sum / (double)n;
}

int lira_fit(struct lira_fit *f, const struct lira_table *t, enum lira_variance variance)
{
    REQUIRE(t->n_shadow >= LIRA_MIN_SHADOWS && t->n_shadow % 2 == 0);
    *f = (struct lira_fit){.n_target = t->n_target};
    for (int side = 0; side < 2; side++) {
        f->mean[side] = mem_alloc(t->n_target, sizeof(double));
        f->variance[side] = mem_alloc(t->n_target, sizeof(double));
        if (!f->mean[side] || !f->variance[side]) {
            lira_fit_free(f);
            return FAIL(IAU_ERR_MEM, "no memory for the fits of %lld targets",
                        (long long)t->n_target);
        }
    }
    for (int64_t i = 0; i < t->n_target; i++)
        fit_target(f, t, i);
    for (int side = 0; side < 2 && lira_choose(variance, t->n_shadow) == LIRA_VARIANCE_POOLED;
         side++)
        pool(f->variance[side], t->n_target);
    return IAU_OK;
}

void lira_fit_free(struct lira_fit *f)
{
    for (int side = 0; side < 2; side++) {
        free(f->mean[side]);
        free(f->variance[side]);
    }
    *f = (struct lira_fit){0};
}

static double log_density(double x, double mean, double variance)
{
    double d = x - mean;
    return -0.5 * (log(2 * M_PI * variance) + d * d / variance);
}

/* log of the standard normal distribution function; far out, where it rounds to 0, by the first
 * terms of its asymptotic series. */
static double log_distribution(double z)
{
    double zz = z * z;
    if (z > -30)
        return log(0.5 * erfc(-z * M_SQRT1_2));
    return -0.5 * zz - log(-z * sqrt(2 * M_PI)) + log1p(-1 / zz + 3 / (zz * zz));
}

double lira_score(const struct lira_fit *f, enum lira_attack a, int64_t i, double phi)
{
    double without = log_density(phi, f->mean[0][i], f->variance[0][i]);
    if (a == LIRA_ONLINE)
        return log_density(phi, f->mean[1][i], f->variance[1][i]) - without;
    if (a == LIRA_DENSITY)
        return -without;
    return log_distribution((phi - f->mean[0][i]) / sqrt(f->variance[0][i]));
}

/* --- U-LiRA */

/* One side of a target over the pairs: moments of all, from which a pair is taken away again. They
 * are about the first value, so that little cancels. */
struct moments {
    double origin, sum, squares;
};

struct ulira {
    const struct lira_table *table;
    const double *with, *without;
    int64_t n_pair;
    struct moments *moments[2]; /* owned, [n_target]; [0] without, [1] with */
    float *score[2];            /* owned, [n_target][n_pair]: likelihood ratios of both sides */
};

/* The margin on a side of a pair. */
static double margin_at(const struct ulira *u, int64_t i, int64_t pair, int side)
{
    const struct lira_table *t = u->table;
    int64_t at = 2 * pair * t->n_target + i;
    int64_t with = t->member[at] ? at : at + t->n_target,
            other = t->member[at] ? at + t->n_target : at;
    return side ? u->with[with] : u->without[other];
}

static void add_moments(struct ulira *u, int64_t i, int side)
{
    struct moments m = {margin_at(u, i, 0, side), 0, 0};
    for (int64_t pair = 0; pair < u->n_pair; pair++) {
        double d = margin_at(u, i, pair, side) - m.origin;
        m.sum += d;
        m.squares += d * d;
    }
    u->moments[side][i] = m;
}

/* Mean and unbiased variance of a side without a pair. */
static void leave_out(const struct ulira *u, int64_t i, int64_t pair, int side, double *mean,
                      double *variance)
{
    const struct moments *m = &u->moments[side][i];
    double n = (double)u->n_pair - 1, d = margin_at(u, i, pair, side) - m->origin;
    double sum = m->sum - d, squares = m->squares - d * d;
    *mean = m->origin + sum / n;
    *variance = at_least((squares - sum * sum / n) / (n - 1));
}

/* The pooled variance of a side without a pair. */
static double pooled_without(const struct ulira *u, int64_t pair, int side)
{
    double mean, variance, sum = 0;
    for (int64_t i = 0; i < u->table->n_target; i++) {
        leave_out(u, i, pair, side, &mean, &variance);
        sum += variance;
    }
    return sum / (double)u->table->n_target;
}

/* Judge a pair's two margins of every target. @return twice the number of right decisions */
static int64_t judge_pair(struct ulira *u, int64_t pair, int pooled)
{
    double mean[2], variance[2], common[2] = {0};
    int64_t right = 0;
    for (int side = 0; side < 2 && pooled; side++)
        common[side] = pooled_without(u, pair, side);
    for (int64_t i = 0; i < u->table->n_target; i++) {
        for (int side = 0; side < 2; side++) {
            leave_out(u, i, pair, side, &mean[side], &variance[side]);
            variance[side] = pooled ? common[side] : variance[side];
        }
        for (int side = 0; side < 2; side++) {
            double phi = margin_at(u, i, pair, side);
            double ratio =
                log_density(phi, mean[1], variance[1]) - log_density(phi, mean[0], variance[0]);
            u->score[side][i * u->n_pair + pair] = (float)ratio;
            right += ratio == 0 ? 1 : 2 * ((ratio > 0) == side);
        }
    }
    return right;
}

int ulira_attack(struct ulira_result *r, const struct lira_table *t, const double *with,
                 const double *without, enum lira_variance variance)
{
    int rc = IAU_OK;
    struct ulira u = {.table = t, .with = with, .without = without, .n_pair = t->n_shadow / 2};
    int64_t n = t->n_target * u.n_pair, right = 0;
    int pooled = lira_choose(variance, t->n_shadow) == LIRA_VARIANCE_POOLED;
    REQUIRE(t->n_shadow >= LIRA_MIN_SHADOWS && t->n_shadow % 2 == 0);
    *r = (struct ulira_result){0};
    for (int side = 0; side < 2; side++) {
        u.moments[side] = mem_alloc(t->n_target, sizeof *u.moments[side]);
        u.score[side] = mem_alloc(n, sizeof *u.score[side]);
        if (!u.moments[side] || !u.score[side])
            TRY(FAIL(IAU_ERR_MEM, "no memory for %lld decisions", (long long)n));
    }
    for (int64_t i = 0; i < t->n_target; i++)
        for (int side = 0; side < 2; side++)
            add_moments(&u, i, side);
    for (int64_t pair = 0; pair < u.n_pair; pair++)
        right += judge_pair(&u, pair, pooled);
    r->accuracy = (double)right / 4 / (double)n;
    TRY(mia_attack(&r->roc, u.score[1], n, u.score[0], n));
out:
    for (int side = 0; side < 2; side++) {
        free(u.moments[side]);
        free(u.score[side]);
    }
    return rc;
}
