/* One pass over each set gives losses, hits, per-sample features and the comparison with a
 * reference model. */
#include "eval/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/poison.h"

enum { VALUE_TRUE = N_VALUE, VALUE_KL, VALUE_JS, VALUE_AGREE, N_EVAL_VALUE };

struct scan {
    struct engine *e;
    const struct ensemble *model, *reference;
    struct work work;
    struct sums *sums;
    const int32_t *truth; /* [n_local]; where labels are wrong; or NULL */
    float *p; /* [n_thread][2][n_class][lanes]: the model's probabilities beside the reference's,
                 and room for an ensemble's */
    float *feature; /* [n_local][N_MIA_FEATURE] */
};

/* What the attacks look at besides the features; rank 0. */
struct labels {
    int32_t *of[N_EVAL_SET]; /* owned, [n] */
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

/* p log(p / q), 0 for p = 0. */
static double divergence(double p, double q)
{
    return p > 0 ? p * (log(p) - log(fmax(q, 1e-30))) : 0;
}

/* The likeliest class of lane i of [n_class][lanes]; of equal ones the first. */
static int predicted(const float *p, int n_class, int lanes, int i)
{
    int best = 0;
    for (int c = 1; c < n_class; c++)
        best = p[c * lanes + i] > p[best * lanes + i] ? c : best;
    return best;
}

/* Divergences of p from q in nats and whether both predict the same class, for lane i of two
 * [n_class][lanes] arrays. */
static void compare_lane(const float *p, const float *q, int n_class, int lanes, int i,
                         double value[N_EVAL_VALUE])
{
    for (int c = 0; c < n_class; c++) {
        double a = p[c * lanes + i], b = q[c * lanes + i], middle = (a + b) / 2;
        value[VALUE_KL] += divergence(a, b);
        value[VALUE_JS] += (divergence(a, middle) + divergence(b, middle)) / 2;
    }
    value[VALUE_AGREE] += predicted(p, n_class, lanes, i) == predicted(q, n_class, lanes, i);
}

static void unit_scan(struct worker *wk, void *ctx, int64_t i)
{
    const struct scan *s = ctx;
    const struct model *m = s->e->model;
    struct unit *u = &wk->unit;
    int64_t first = i * s->e->unit, n_p = (int64_t)m->n_class * u->lanes;
    float *p = s->p + 2 * n_p * wk->thread;
    sweep_gather(s->e, &s->work, i, u);
    ensemble_forward(s->model, m, u, p + n_p);
    double value[N_EVAL_VALUE] = {
        [VALUE_LOSS] = unit_loss(u), [VALUE_CORRECT] = (double)unit_correct(m, u)};
    for (int k = 0; k < u->n; k++)
        mia_features(u->p + k, m->n_class, u->lanes, u->label[k],
                     s->feature + (first + k) * N_MIA_FEATURE);
    for (int k = 0; s->truth && k < u->n; k++)
        value[VALUE_TRUE] += predicted(u->p, m->n_class, u->lanes, k) == s->truth[first + k];
    if (s->reference) {
        memcpy(p, u->p, (size_t)n_p * sizeof *p);
        ensemble_forward(s->reference, m, u, p + n_p);
        for (int k = 0; k < u->n; k++)
            compare_lane(p, u->p, m->n_class, u->lanes, k, value);
    }
    sums_add(s->sums, wk->thread, 0, NULL, value);
}

/* Bring the features and labels of a set to rank 0, one array a feature, in row order. */
static int collect_features(struct evaluation *v, enum eval_set set, const struct comm *comm,
                            const float *local, const struct share *share, struct labels *labels)
{
    int rc = IAU_OK;
    int64_t n = share->n_global, n_local = share->rows.n;
    float *all = comm->rank == 0 ? mem_alloc(n * N_MIA_FEATURE, sizeof *all) : NULL;
    for (int f = 0; comm->rank == 0 && f < N_MIA_FEATURE; f++) {
        v->score[set][f] = mem_alloc(n, sizeof(float));
        if (!v->score[set][f])
            rc = FAIL(IAU_ERR_MEM, "no memory for scores of %lld samples", (long long)n);
    }
    if (comm->rank == 0)
        labels->of[set] = mem_alloc(n, sizeof(int32_t));
    if (comm->rank == 0 && (!all || !labels->of[set]))
        rc = FAIL(IAU_ERR_MEM, "no memory for scores of %lld samples", (long long)n);
    TRY(comm_agree(comm, rc));
    comm_gather(comm, local, n_local, N_MIA_FEATURE * sizeof *local, all);
    comm_gather(comm, share->rows.label, n_local, sizeof(int32_t), labels->of[set]);
    for (int f = 0; comm->rank == 0 && f < N_MIA_FEATURE; f++)
        for (int64_t i = 0; i < n; i++)
            v->score[set][f][i] = all[i * N_MIA_FEATURE + f];
out:
    free(all);
    return rc;
}

static int scan_set(struct evaluation *v, struct engine *e, enum eval_set which,
                    const struct index_set *set, const struct ensemble *model,
                    const struct ensemble *reference, struct labels *labels, const char *name)
{
    int rc = IAU_OK;
    struct set_result *out = &v->set[which];
    struct share share = {0};
    struct sums sums = {0};
    char what[96];
    struct scan s = {.e = e, .model = model, .reference = reference, .sums = &sums};
    *out = (struct set_result){set->n, NAN, NAN, NAN, NAN, NAN, NAN};
    if (set->n == 0)
        return IAU_OK;
    TRY(share_load(&share, e, set));
    s.work = share_work(e, &share);
    const struct poison *poison = which == SET_FORGET ? e->dataset->poison : NULL;
    REQUIRE(!poison || poison->n == set->n);
    if (poison)
        s.truth = poison_truth(poison, share.first, share.rows.n);
    s.p = mem_alloc((int64_t)e->n_thread * 2 * e->model->n_class * e->lanes, sizeof *s.p);
    s.feature = mem_alloc(share.rows.n * N_MIA_FEATURE, sizeof *s.feature);
    rc = !s.p || !s.feature
             ? FAIL(IAU_ERR_MEM, "no memory to evaluate %lld samples", (long long)set->n)
             : sums_init(&sums, 1, (int64_t[]){0}, N_EVAL_VALUE, e->n_thread);
    TRY(comm_agree(e->comm, rc));
    sums_begin(&sums, &set->n);
    sweep_work(e, &s.work, unit_scan, &s);
    e->cost.forwards += set->n * (model->n + (reference ? reference->n : 0));
    snprintf(what, sizeof what, "%s: evaluation on the %s set", name, eval_set_name(which));
    TRY(sweep_reduce(e, &sums, what));
    double n = (double)set->n;
    out->loss = sums_value(&sums, 0, VALUE_LOSS) / n;
    out->accuracy = sums_value(&sums, 0, VALUE_CORRECT) / n;
    out->accuracy_true = s.truth ? sums_value(&sums, 0, VALUE_TRUE) / n : NAN;
    out->kl = reference ? sums_value(&sums, 0, VALUE_KL) / n : NAN;
    out->js = reference ? sums_value(&sums, 0, VALUE_JS) / n : NAN;
    out->agreement = reference ? sums_value(&sums, 0, VALUE_AGREE) / n : NAN;
    TRY(collect_features(v, which, e->comm, s.feature, &share, labels));
out:
    free(s.p);
    free(s.feature);
    sums_free(&sums);
    share_free(&share);
    return rc;
}

/* The scores of a set by one feature: its values with the feature's sign. The caller frees *score.
 */
static int score_set(const struct evaluation *v, enum eval_set set, enum mia_feature f,
                     const struct labels *labels, float **score, struct scored *out)
{
    float sign = (float)mia_feature_sign(f);
    *out = (struct scored){v->set[set].n, *score = mem_alloc(v->set[set].n, sizeof **score),
                           labels->of[set]};
    if (!*score)
        return FAIL(IAU_ERR_MEM, "no memory for scores of %lld samples", (long long)out->n);
    for (int64_t i = 0; i < out->n; i++)
        (*score)[i] = sign * v->score[set][f][i];
    return IAU_OK;
}

/* Rank 0: the attacks by one feature. D_f against test; and with thresholds by class. */
static int attack(struct evaluation *v, enum mia_feature f, int n_class,
                  const struct labels *labels)
{
    int rc = IAU_OK;
    float *score[N_EVAL_SET] = {NULL};
    struct scored s[N_EVAL_SET] = {{0}};
    for (int set = 0; set < N_EVAL_SET; set++)
        if (v->set[set].n)
            TRY(score_set(v, set, f, labels, &score[set], &s[set]));
    if (!s[SET_FORGET].n || !s[SET_TEST].n)
        goto out;
    TRY(mia_attack(&v->mia[f], s[SET_FORGET].score, s[SET_FORGET].n, s[SET_TEST].score,
                   s[SET_TEST].n));
    if (s[SET_RETAIN].n)
        TRY(threshold_attack(&v->threshold[f], n_class, &s[SET_RETAIN], &s[v->outsiders],
                             &s[SET_FORGET], &s[SET_TEST]));
out:
    for (int set = 0; set < N_EVAL_SET; set++)
        free(score[set]);
    return rc;
}

/* Rank 0: what serves the attacks only is not kept: a training set may be large. */
static void drop_scores(struct evaluation *v, enum eval_set set)
{
    for (int f = 0; f < N_MIA_FEATURE; f++) {
        free(v->score[set][f]);
        v->score[set][f] = NULL;
    }
}

static int attack_all(struct evaluation *v, int n_class, const struct labels *labels)
{
    int rc = IAU_OK;
    for (int f = 0; f < N_MIA_FEATURE && rc == IAU_OK; f++)
        rc = attack(v, f, n_class, labels);
    drop_scores(v, SET_RETAIN);
    drop_scores(v, SET_VALID);
    return rc;
}

int evaluate_model(struct evaluation *v, struct engine *e,
                   const struct index_set *const set[N_EVAL_SET], const struct ensemble *model,
                   const struct ensemble *reference, const char *name)
{
    int rc = IAU_OK;
    struct labels labels = {{NULL}};
    *v = (struct evaluation){.distance_reference = NAN,
                             .norm_reference = NAN,
                             .outsiders = set[SET_VALID]->n ? SET_VALID : SET_TEST};
    for (int f = 0; f < N_MIA_FEATURE; f++)
        v->threshold[f] = (struct threshold_result){NAN, NAN};
    e->phase = PHASE_EVALUATE;
    for (int s = 0; s < N_EVAL_SET; s++)
        TRY(scan_set(v, e, s, set[s], model, reference, &labels, name));
    if (reference)
        ensemble_distance(model, reference, e->model->n_param, &v->distance_reference,
                          &v->norm_reference);
    rc = e->comm->rank == 0 ? attack_all(v, e->model->n_class, &labels) : IAU_OK;
    TRY(comm_agree(e->comm, rc));
out:
    e->phase = PHASE_COMPUTE;
    for (int s = 0; s < N_EVAL_SET; s++)
        free(labels.of[s]);
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
