/* The attacks on one model, from what the shadows say. */
#include "audit/evidence.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/evaluate.h"
#include "eval/margin.h"

/* --- reading */

/* Rank 0. */
static int read_tables(struct evidence *v)
{
    const struct audit *a = v->audit;
    int rc = IAU_OK;
    for (int i = 0; i < a->n_origin; i++) {
        struct shadow_table *t = &v->table[i];
        TRY(shadow_read(t, a, i, &v->has_shadows[i]));
        if (!v->has_shadows[i])
            continue;
        struct lira_table view = {t->n_shadow, t->n_target, t->margin, t->member};
        TRY(lira_fit(&v->fit[i], &view, a->opts->variance));
    }
out:
    return rc;
}

int evidence_open(struct evidence *v, const struct audit *a)
{
    int rc = IAU_OK, n = a->n_origin;
    *v = (struct evidence){.audit = a,
                           .table = mem_alloc(n, sizeof *v->table),
                           .fit = mem_alloc(n, sizeof *v->fit),
                           .has_shadows = mem_alloc(n, sizeof *v->has_shadows)};
    rc =
        v->table && v->fit && v->has_shadows ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for an audit");
    if (rc == IAU_OK && a->comm->rank == 0)
        rc = read_tables(v);
    TRY(comm_agree(a->comm, rc));
    comm_bcast(a->comm, v->has_shadows, n * (int64_t)sizeof *v->has_shadows, 0);
    TRY(attack_open(&v->attack, a));
    for (int i = 0; i < n; i++)
        if (a->opts->shadows && !v->has_shadows[i])
            log_line("no LiRA for %s: not all of its shadows are there; `iau audit` makes them",
                     a->origin[i].name);
    if (a->opts->attack.shadows && !v->attack.model)
        log_line("no shadow-model attack: its network is not there; `iau audit` makes it");
out:
    if (rc != IAU_OK)
        evidence_close(v);
    return rc;
}

void evidence_close(struct evidence *v)
{
    for (int i = 0; v->audit && i < v->audit->n_origin; i++) {
        if (v->table)
            shadow_table_free(&v->table[i]);
        if (v->fit)
            lira_fit_free(&v->fit[i]);
    }
    free(v->table);
    free(v->fit);
    free(v->has_shadows);
    attack_close(&v->attack);
    *v = (struct evidence){0};
}

/* --- examining */

/* Rank 0: the scores of D_f against those of V'. */
static int run_lira(struct findings *f, const struct evidence *v, int origin, const double *margin)
{
    const struct targets *t = &v->audit->targets;
    int rc = IAU_OK;
    int64_t n = t->all.n;
    float *member = mem_alloc(n, sizeof *member), *other = mem_alloc(n, sizeof *other);
    if (!member || !other)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the scores of %lld targets", (long long)n));
    for (int k = 0; k < N_LIRA; k++) {
        int64_t n_member = 0, n_other = 0;
        for (int64_t i = 0; i < n; i++) {
            float score = (float)lira_score(&v->fit[origin], k, i, margin[i]);
            if (t->is_forgotten[i])
                member[n_member++] = score;
            else
                other[n_other++] = score;
        }
        TRY(mia_attack(&f->lira[k], member, n_member, other, n_other));
    }
out:
    free(member);
    free(other);
    return rc;
}

/* Margins in models that never saw a target: shadows that were retrained without their half, where
 * there are such; else those that were trained with the other half. */
static const double *margins_of_strangers(const struct evidence *v, const struct shadow_table *t)
{
    for (int i = 0; i < t->n_method; i++)
        if (audit_retrains(&v->audit->method[t->method[i]]))
            return t->unlearned[i];
    return t->margin;
}

/* Rank 0. */
static int run_ulira(struct findings *f, const struct evidence *v, int origin, int method)
{
    const struct shadow_table *t = &v->table[origin];
    struct lira_table view = {t->n_shadow, t->n_target, t->margin, t->member};
    enum lira_variance variance = v->audit->opts->variance;
    const double *strange = margins_of_strangers(v, t);
    if (method == FINDINGS_ORIGIN)
        return ulira_attack(&f->ulira, &view, t->margin, strange, variance);
    for (int i = 0; i < t->n_method; i++) {
        const double *unlearned = t->unlearned[i];
        if (t->method[i] != method)
            continue;
        int rc = ulira_attack(&f->ulira, &view, unlearned, strange, variance);
        return rc != IAU_OK ? rc
                            : ulira_attack(&f->residual, &view, unlearned, unlearned, variance);
    }
    return IAU_OK;
}

static int examine_shadows(struct findings *f, const struct evidence *v, struct engine *e,
                           const float *w, int origin, int method, const char *name)
{
    int rc = IAU_OK;
    const struct index_set *targets = &v->audit->targets.all;
    int is_root = e->comm->rank == 0;
    double *margin = is_root ? mem_alloc(targets->n, sizeof *margin) : NULL;
    rc = is_root && !margin
             ? FAIL(IAU_ERR_MEM, "no memory for the margins of %lld targets", (long long)targets->n)
             : IAU_OK;
    TRY(comm_agree(e->comm, rc));
    TRY(margin_collect(e, w, targets, name, margin));
    rc = is_root ? run_lira(f, v, origin, margin) : IAU_OK;
    if (rc == IAU_OK && is_root && method != FINDINGS_NONE)
        rc = run_ulira(f, v, origin, method);
    TRY(comm_agree(e->comm, rc));
out:
    free(margin);
    return rc;
}

int evidence_examine(struct findings *f, const struct evidence *v, struct engine *e, const float *w,
                     int origin, int method, const char *name)
{
    int rc = IAU_OK;
    const struct partition *sets = v->audit->sets;
    *f = (struct findings){.attack_forget = NAN, .attack_test = NAN};
    if (origin >= 0 && v->has_shadows[origin])
        TRY(examine_shadows(f, v, e, w, origin, method, name));
    if (v->attack.model) {
        TRY(attack_share(&v->attack, e, w, &sets->forget, name, &f->attack_forget));
        if (sets->test.n)
            TRY(attack_share(&v->attack, e, w, &sets->test, name, &f->attack_test));
    }
out:
    if (rc != IAU_OK)
        findings_free(f);
    return rc;
}

void findings_free(struct findings *f)
{
    for (int k = 0; k < N_LIRA; k++)
        mia_free(&f->lira[k]);
    mia_free(&f->ulira.roc);
    mia_free(&f->residual.roc);
    *f = (struct findings){0};
}

/* --- figures */

static int add_ulira(const struct ulira_result *u, const char *prefix, struct metrics *m)
{
    char name[METRIC_NAME_CHARS];
    int rc = IAU_OK;
    if (!u->roc.n_point)
        return IAU_OK;
    snprintf(name, sizeof name, "%s_accuracy", prefix);
    TRY(metrics_add(m, name, u->accuracy, "closer to ideal", 0.5, "share of decisions",
                    METRIC_PLAIN));
    TRY(attack_metrics(&u->roc, prefix, m));
out:
    return rc;
}

int findings_metrics(const struct findings *f, struct metrics *m)
{
    static const char unit[] = "share of samples that the attack network calls members";
    int rc = IAU_OK;
    for (int k = 0; k < N_LIRA; k++)
        TRY(attack_metrics(&f->lira[k], lira_name(k), m));
    TRY(add_ulira(&f->ulira, "ulira", m));
    TRY(add_ulira(&f->residual, "ulira_residual", m));
    TRY(metrics_add(m, "shadow_attack_forget", f->attack_forget, metric_like_retrain, NAN, unit,
                    METRIC_COMPARED));
    TRY(metrics_add(m, "shadow_attack_test", f->attack_test, metric_like_retrain, NAN, unit,
                    METRIC_COMPARED));
out:
    return rc;
}

int findings_to_record(const struct findings *f, const char *name, struct record *r)
{
    int rc = IAU_OK;
    for (int k = 0; k < N_LIRA; k++)
        TRY(attack_to_record(&f->lira[k], name, lira_name(k), r));
    TRY(attack_to_record(&f->ulira.roc, name, "ulira", r));
    TRY(attack_to_record(&f->residual.roc, name, "ulira_residual", r));
out:
    return rc;
}
