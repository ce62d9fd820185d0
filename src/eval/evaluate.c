/* One pass over each set gives losses, hits, per-sample features and the comparison with a
 * reference model. */
#include "eval/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "kernel/vector.h"

enum { VALUE_KL = N_VALUE, VALUE_AGREE, N_EVAL_VALUE };

struct scan {
    struct engine *e;
    const float *w, *reference;
    struct work work;
    struct sums *sums;
    float *p; /* [n_thread][n_class][lanes]: the model's probabilities beside the reference's */
    float *feature; /* [n_local][N_MIA_FEATURE], or NULL */
};

const char *eval_set_name(enum eval_set s)
{
    static const char *const name[] = {
#define X(field, text) text,
        IAU_SET_LIST(X)
#undef X
    };
    return name[s];
}

/* KL(p || q) in nats and whether both predict the same class, for lane i of two [n_class][lanes]
 * arrays. */
static void compare_lane(const float *p, const float *q, int n_class, int lanes, int i, double *kl,
                         double *agree)
{
    int best_p = 0, best_q = 0;
    for (int c = 0; c < n_class; c++) {
        double a = p[c * lanes + i], b = q[c * lanes + i];
        if (a > 0)
            *kl += a * (log(a) - log(fmax(b, 1e-30)));
        best_p = p[c * lanes + i] > p[best_p * lanes + i] ? c : best_p;
        best_q = q[c * lanes + i] > q[best_q * lanes + i] ? c : best_q;
    }
    *agree += best_p == best_q;
}

static void unit_scan(struct worker *wk, void *ctx, int64_t i)
{
    const struct scan *s = ctx;
    const struct model *m = s->e->model;
    struct unit *u = &wk->unit;
    int64_t first = i * s->e->unit;
    sweep_gather(s->e, &s->work, i, u);
    model_forward(m, s->w, u);
    double value[N_EVAL_VALUE] = {
        [VALUE_LOSS] = unit_loss(u), [VALUE_CORRECT] = (double)unit_correct(m, u)};
    if (s->feature)
        for (int k = 0; k < u->n; k++)
            mia_features(u->p + k, m->n_class, u->lanes, u->label[k],
                         s->feature + (first + k) * N_MIA_FEATURE);
    if (s->reference) {
        float *p = s->p + (int64_t)wk->thread * m->n_class * u->lanes;
        memcpy(p, u->p, (size_t)(m->n_class * u->lanes) * sizeof *p);
        model_forward(m, s->reference, u);
        for (int k = 0; k < u->n; k++)
            compare_lane(p, u->p, m->n_class, u->lanes, k, &value[VALUE_KL], &value[VALUE_AGREE]);
    }
    sums_add(s->sums, wk->thread, 0, NULL, value);
}

/* Bring the features of a set to rank 0, one array a feature, in row order. */
static int collect_features(struct evaluation *v, enum eval_set set, const struct comm *comm,
                            const float *local, int64_t n_local, int64_t n)
{
    int rc = IAU_OK;
    float *all = comm->rank == 0 ? mem_alloc(n * N_MIA_FEATURE, sizeof *all) : NULL;
    for (int f = 0; comm->rank == 0 && f < N_MIA_FEATURE; f++) {
        v->score[set][f] = mem_alloc(n, sizeof(float));
        if (!v->score[set][f])
            rc = FAIL(IAU_ERR_MEM, "no memory for scores of %lld samples", (long long)n);
    }
    if (comm->rank == 0 && !all)
        rc = FAIL(IAU_ERR_MEM, "no memory for scores of %lld samples", (long long)n);
    TRY(comm_agree(comm, rc));
    comm_gather(comm, local, n_local, N_MIA_FEATURE * sizeof *local, all);
    for (int f = 0; comm->rank == 0 && f < N_MIA_FEATURE; f++)
        for (int64_t i = 0; i < n; i++)
            v->score[set][f][i] = all[i * N_MIA_FEATURE + f];
out:
    free(all);
    return rc;
}

static int scan_set(struct evaluation *v, struct engine *e, enum eval_set which,
                    const struct index_set *set, const float *w, const float *reference,
                    const char *name)
{
    int rc = IAU_OK;
    struct set_result *out = &v->set[which];
    struct share share = {0};
    struct sums sums = {0};
    char what[96];
    struct scan s = {.e = e, .w = w, .reference = reference, .sums = &sums};
    int want_features = which == SET_FORGET || which == SET_TEST;
    *out = (struct set_result){set->n, NAN, NAN, NAN, NAN};
    if (set->n == 0)
        return IAU_OK;
    TRY(share_load(&share, e, set));
    s.work = share_work(e, &share);
    s.p = mem_alloc((int64_t)e->n_thread * e->model->n_class * e->lanes, sizeof *s.p);
    s.feature = want_features ? mem_alloc(share.rows.n * N_MIA_FEATURE, sizeof *s.feature) : NULL;
    rc = !s.p || (want_features && !s.feature)
             ? FAIL(IAU_ERR_MEM, "no memory to evaluate %lld samples", (long long)set->n)
             : sums_init(&sums, 1, (int64_t[]){0}, N_EVAL_VALUE, e->n_thread);
    TRY(comm_agree(e->comm, rc));
    sums_begin(&sums, &set->n);
    sweep_work(e, &s.work, unit_scan, &s);
    e->cost.forwards += set->n * (reference ? 2 : 1);
    snprintf(what, sizeof what, "%s: evaluation on the %s set", name, eval_set_name(which));
    TRY(sweep_reduce(e, &sums, what));
    double n = (double)set->n;
    out->loss = sums_value(&sums, 0, VALUE_LOSS) / n;
    out->accuracy = sums_value(&sums, 0, VALUE_CORRECT) / n;
    out->kl = reference ? sums_value(&sums, 0, VALUE_KL) / n : NAN;
    out->agreement = reference ? sums_value(&sums, 0, VALUE_AGREE) / n : NAN;
    if (want_features)
        TRY(collect_features(v, which, e->comm, s.feature, share.rows.n, set->n));
out:
    free(s.p);
    free(s.feature);
    sums_free(&sums);
    share_free(&share);
    return rc;
}

/* Rank 0: one attack a feature, D_f against test. */
static int attack(struct evaluation *v)
{
    int rc = IAU_OK;
    int64_t n_forget = v->set[SET_FORGET].n, n_test = v->set[SET_TEST].n;
    float *member = mem_alloc(n_forget, sizeof *member), *other = mem_alloc(n_test, sizeof *other);
    if (!member || !other)
        TRY(FAIL(IAU_ERR_MEM, "no memory for scores of %lld samples",
                 (long long)(n_forget + n_test)));
    for (int f = 0; f < N_MIA_FEATURE; f++) {
        float sign = (float)mia_feature_sign(f);
        for (int64_t i = 0; i < n_forget; i++)
            member[i] = sign * v->score[SET_FORGET][f][i];
        for (int64_t i = 0; i < n_test; i++)
            other[i] = sign * v->score[SET_TEST][f][i];
        TRY(mia_attack(&v->mia[f], member, n_forget, other, n_test));
    }
out:
    free(member);
    free(other);
    return rc;
}

int evaluate_model(struct evaluation *v, struct engine *e,
                   const struct index_set *const set[N_EVAL_SET], const float *w,
                   const float *reference, const char *name)
{
    int rc = IAU_OK;
    *v = (struct evaluation){.distance_reference = NAN};
    e->phase = PHASE_EVALUATE;
    for (int s = 0; s < N_EVAL_SET; s++)
        TRY(scan_set(v, e, s, set[s], w, reference, name));
    if (reference)
        v->distance_reference = vector_distance(w, reference, e->model->n_param);
    if (v->set[SET_FORGET].n && v->set[SET_TEST].n)
        TRY(comm_agree(e->comm, e->comm->rank == 0 ? attack(v) : IAU_OK));
out:
    e->phase = PHASE_COMPUTE;
    if (rc != IAU_OK)
        evaluation_free(v);
    return rc;
}

void evaluation_free(struct evaluation *v)
{
    for (int s = 0; s < N_EVAL_SET; s++)
        for (int f = 0; f < N_MIA_FEATURE; f++)
            free(v->score[s][f]);
    for (int f = 0; f < N_MIA_FEATURE; f++)
        mia_free(&v->mia[f]);
    *v = (struct evaluation){0};
}

double evaluation_gap(const struct evaluation *a, const struct evaluation *b)
{
    return (fabs(a->set[SET_FORGET].accuracy - b->set[SET_FORGET].accuracy) +
            fabs(a->set[SET_RETAIN].accuracy - b->set[SET_RETAIN].accuracy) +
            fabs(a->set[SET_TEST].accuracy - b->set[SET_TEST].accuracy) +
            fabs(a->mia[MIA_CONFIDENCE].auc - b->mia[MIA_CONFIDENCE].auc)) /
           4;
}
