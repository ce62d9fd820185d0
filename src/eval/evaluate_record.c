/* Evaluations as lists of metrics, and their curves and samples in results files. */
#include <math.h>
#include <stdio.h>

#include "core/error.h"
#include "eval/evaluate.h"

static const char share_of_samples[] = "share of samples";

static int add_set(const struct evaluation *v, enum eval_set set, struct metrics *m)
{
    char metric[64];
    int rc = IAU_OK, is_forget = set == SET_FORGET;
    const struct set_result *r = &v->set[set];
    const char *name = eval_set_name(set);
    snprintf(metric, sizeof metric, "accuracy_%s", name);
    TRY(metrics_add(m, metric, r->accuracy, is_forget ? metric_like_retrain : "higher",
                    is_forget ? NAN : 1, share_of_samples, METRIC_COMPARED));
    snprintf(metric, sizeof metric, "accuracy_%s_true", name);
    TRY(metrics_add(m, metric, r->accuracy_true, "higher", 1,
                    "share of samples, by their true labels", METRIC_COMPARED));
    snprintf(metric, sizeof metric, "loss_%s", name);
    TRY(metrics_add(m, metric, r->loss, is_forget ? metric_like_retrain : "lower",
                    is_forget ? NAN : 0, "nats per sample", METRIC_PLAIN));
    snprintf(metric, sizeof metric, "kl_retrain_%s", name);
    TRY(metrics_add(m, metric, r->kl, "lower", 0, "nats per sample", METRIC_RELATIVE));
    snprintf(metric, sizeof metric, "js_retrain_%s", name);
    TRY(metrics_add(m, metric, r->js, "lower", 0, "nats per sample, at most ln 2",
                    METRIC_RELATIVE));
    snprintf(metric, sizeof metric, "agreement_retrain_%s", name);
    TRY(metrics_add(m, metric, r->agreement, "higher", 1, share_of_samples, METRIC_RELATIVE));
out:
    return rc;
}

int attack_metrics(const struct mia_result *a, const char *prefix, struct metrics *m)
{
    const struct {
        const char *name;
        double value, ideal;
        const char *unit;
        enum metric_kind kind;
    } all[] = {
        {"auc", a->auc, 0.5, "area under the ROC curve", METRIC_COMPARED},
        {"balanced_accuracy", a->balanced_accuracy, 0.5, share_of_samples, METRIC_PLAIN},
        {"tpr_at_fpr_1e-2", a->tpr_at_fpr_1e2, 0.01, "share of members", METRIC_PLAIN},
        {"tpr_at_fpr_1e-3", a->tpr_at_fpr_1e3, 0.001, "share of members", METRIC_PLAIN},
    };
    char metric[METRIC_NAME_CHARS];
    int rc = IAU_OK;
    for (size_t i = 0; a->n_point && i < sizeof all / sizeof *all; i++) {
        snprintf(metric, sizeof metric, "%s_%s", prefix, all[i].name);
        TRY(metrics_add(m, metric, all[i].value, metric_like_retrain, all[i].ideal, all[i].unit,
                        all[i].kind));
    }
out:
    return rc;
}

static int add_thresholds(const struct evaluation *v, enum mia_feature f, struct metrics *m)
{
    char metric[METRIC_NAME_CHARS];
    int rc = IAU_OK;
    const char *name = mia_feature_name(f);
    snprintf(metric, sizeof metric, "mia_%s_member_share", name);
    TRY(metrics_add(m, metric, v->threshold[f].called_member, metric_like_retrain, NAN,
                    "share of forgotten samples", METRIC_COMPARED));
    snprintf(metric, sizeof metric, "mia_%s_class_balanced_accuracy", name);
    TRY(metrics_add(m, metric, v->threshold[f].balanced_accuracy, metric_like_retrain, 0.5,
                    share_of_samples, METRIC_COMPARED));
out:
    return rc;
}

int evaluation_metrics(const struct evaluation *v, struct metrics *m)
{
    char prefix[64];
    int rc = IAU_OK;
    for (int set = 0; set < N_EVAL_SET; set++)
        TRY(add_set(v, set, m));
    for (int f = 0; f < N_MIA_FEATURE; f++) {
        snprintf(prefix, sizeof prefix, "mia_%s", mia_feature_name(f));
        TRY(attack_metrics(&v->mia[f], prefix, m));
        TRY(add_thresholds(v, f, m));
    }
    if (!isnan(v->set[SET_FORGET].accuracy_true)) /* wrong labels tell the sets apart anyhow */
        metrics_drop_ideals(m, "mia_");
    TRY(metrics_add(m, "distance_retrain", v->distance_reference, "lower", 0,
                    "Euclidean norm of parameters", METRIC_RELATIVE));
    TRY(metrics_add(m, "distance_retrain_relative", v->distance_reference / v->norm_reference,
                    "lower", 0, "share of the norm of the retrained model's parameters",
                    METRIC_RELATIVE));
out:
    return rc;
}

int attack_to_record(const struct mia_result *a, const char *name, const char *attack,
                     struct record *r)
{
    char path[256];
    int rc = IAU_OK;
    if (!a->n_point)
        return IAU_OK;
    snprintf(path, sizeof path, "/roc/%s/%s/fpr", name, attack);
    TRY(record_add_column(r, path, RECORD_F64, a->n_point, a->fpr));
    snprintf(path, sizeof path, "/roc/%s/%s/tpr", name, attack);
    TRY(record_add_column(r, path, RECORD_F64, a->n_point, a->tpr));
out:
    return rc;
}

static int add_samples(const struct evaluation *v, const char *name, struct record *r)
{
    char path[256];
    for (int set = 0; set < N_EVAL_SET; set++)
        for (int f = 0; f < N_MIA_FEATURE; f++) {
            if (!v->score[set][f])
                continue;
            snprintf(path, sizeof path, "/samples/%s/%s/%s", name, eval_set_name(set),
                     mia_feature_name(f));
            int rc = record_add_column(r, path, RECORD_F32, v->set[set].n, v->score[set][f]);
            if (rc != IAU_OK)
                return rc;
        }
    return IAU_OK;
}

int evaluation_to_record(const struct evaluation *v, const char *name, int samples,
                         struct record *r)
{
    int rc = IAU_OK;
    for (int f = 0; f < N_MIA_FEATURE; f++)
        TRY(attack_to_record(&v->mia[f], name, mia_feature_name(f), r));
    if (samples)
        TRY(add_samples(v, name, r));
out:
    return rc;
}
