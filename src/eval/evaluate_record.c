/* Evaluations as they stand in results files: every number says which way is good, its ideal and
 * its unit. */
#include <math.h>
#include <stdio.h>

#include "core/error.h"
#include "eval/evaluate.h"

static const char *const like_retrain = "closer to the retrained model";

struct sheet {
    struct record *r;
    const char *name; /* of the model */
};

/* One metric; NAN means that it does not exist here, and it is left out. `ideal` NAN: the retrained
 * model's value. */
static int add(const struct sheet *s, const char *metric, double value, const char *direction,
               double ideal, const char *unit)
{
    char path[256];
    int rc = IAU_OK;
    if (isnan(value))
        return IAU_OK;
    snprintf(path, sizeof path, "/evaluation/%s/%s", s->name, metric);
    TRY(record_add_scalar(s->r, path, value));
    TRY(record_set_text(s->r, path, "direction", direction));
    if (isnan(ideal))
        TRY(record_set_text(s->r, path, "ideal", "the retrained model's value"));
    else
        TRY(record_set_f64(s->r, path, "ideal", ideal));
    TRY(record_set_text(s->r, path, "unit", unit));
out:
    return rc;
}

static int add_set(const struct sheet *s, const struct evaluation *v, enum eval_set set)
{
    char metric[64];
    int rc = IAU_OK;
    const struct set_result *r = &v->set[set];
    const char *name = eval_set_name(set);
    snprintf(metric, sizeof metric, "accuracy_%s", name);
    TRY(add(s, metric, r->accuracy, set == SET_FORGET ? like_retrain : "higher",
            set == SET_FORGET ? NAN : 1, "share of samples"));
    snprintf(metric, sizeof metric, "loss_%s", name);
    TRY(add(s, metric, r->loss, set == SET_FORGET ? like_retrain : "lower",
            set == SET_FORGET ? NAN : 0, "nats per sample"));
    snprintf(metric, sizeof metric, "kl_retrain_%s", name);
    TRY(add(s, metric, r->kl, "lower", 0, "nats per sample"));
    snprintf(metric, sizeof metric, "agreement_retrain_%s", name);
    TRY(add(s, metric, r->agreement, "higher", 1, "share of samples"));
out:
    return rc;
}

static int add_attack(const struct sheet *s, const struct evaluation *v, enum mia_feature f)
{
    char metric[96], path[256];
    int rc = IAU_OK;
    const struct mia_result *a = &v->mia[f];
    const char *name = mia_feature_name(f);
    if (!a->n_point)
        return IAU_OK;
    snprintf(metric, sizeof metric, "mia_%s_auc", name);
    TRY(add(s, metric, a->auc, like_retrain, 0.5, "area under the ROC curve"));
    snprintf(metric, sizeof metric, "mia_%s_balanced_accuracy", name);
    TRY(add(s, metric, a->balanced_accuracy, like_retrain, 0.5, "share of samples"));
    snprintf(metric, sizeof metric, "mia_%s_tpr_at_fpr_1e-2", name);
    TRY(add(s, metric, a->tpr_at_fpr_1e2, like_retrain, 0.01, "share of members"));
    snprintf(metric, sizeof metric, "mia_%s_tpr_at_fpr_1e-3", name);
    TRY(add(s, metric, a->tpr_at_fpr_1e3, like_retrain, 0.001, "share of members"));
    snprintf(path, sizeof path, "/roc/%s/%s/fpr", s->name, name);
    TRY(record_add_column(s->r, path, RECORD_F64, a->n_point, a->fpr));
    snprintf(path, sizeof path, "/roc/%s/%s/tpr", s->name, name);
    TRY(record_add_column(s->r, path, RECORD_F64, a->n_point, a->tpr));
out:
    return rc;
}

static int add_gaps(const struct sheet *s, const struct evaluation *v,
                    const struct evaluation *retrained)
{
    char metric[64];
    int rc = IAU_OK;
    for (int set = 0; set < N_EVAL_SET; set++) {
        snprintf(metric, sizeof metric, "gap_accuracy_%s", eval_set_name(set));
        TRY(add(s, metric, fabs(v->set[set].accuracy - retrained->set[set].accuracy), "lower", 0,
                "share of samples"));
    }
    if (v->mia[MIA_CONFIDENCE].n_point)
        TRY(add(s, "gap_mia_confidence_auc",
                fabs(v->mia[MIA_CONFIDENCE].auc - retrained->mia[MIA_CONFIDENCE].auc), "lower", 0,
                "area under the ROC curve"));
    TRY(add(s, "gap_average", evaluation_gap(v, retrained), "lower", 0, "mean of four gaps"));
    TRY(add(s, "distance_retrain", v->distance_reference, "lower", 0,
            "Euclidean norm of parameters"));
out:
    return rc;
}

static int add_samples(const struct sheet *s, const struct evaluation *v)
{
    char path[256];
    for (int set = 0; set < N_EVAL_SET; set++)
        for (int f = 0; f < N_MIA_FEATURE; f++) {
            if (!v->score[set][f])
                continue;
            snprintf(path, sizeof path, "/samples/%s/%s/%s", s->name, eval_set_name(set),
                     mia_feature_name(f));
            int rc = record_add_column(s->r, path, RECORD_F32, v->set[set].n, v->score[set][f]);
            if (rc != IAU_OK)
                return rc;
        }
    return IAU_OK;
}

int evaluation_to_record(const struct evaluation *v, const struct evaluation *retrained,
                         const char *name, int samples, struct record *r)
{
    int rc = IAU_OK;
    struct sheet s = {r, name};
    for (int set = 0; set < N_EVAL_SET; set++)
        TRY(add_set(&s, v, set));
    for (int f = 0; f < N_MIA_FEATURE; f++)
        TRY(add_attack(&s, v, f));
    if (retrained)
        TRY(add_gaps(&s, v, retrained));
    if (samples)
        TRY(add_samples(&s, v));
out:
    return rc;
}
