/* results.h5: all models of a config in one file, which is replaced as a whole. */
#include "app/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/formats.h"
#include "unlearn/method.h"

struct entry *results_twin(const struct results *r, const struct stage *s)
{
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage && r->stages->stage[i].kind == STAGE_RETRAIN &&
            r->stages->stage[i].index == s->origin)
            return &r->entry[i];
    return NULL;
}

/* How far the retrained twins of an origin lie apart. */
static int find_floor(struct results *r, int origin)
{
    int n = 0, rc = IAU_OK;
    const struct metrics **twin = mem_alloc(r->stages->n, sizeof *twin);
    if (!twin)
        return FAIL(IAU_ERR_MEM, "no memory for the noise floor");
    for (int i = 0; i < r->stages->n; i++) {
        const struct stage *s = r->entry[i].stage;
        if (s && s->kind == STAGE_RETRAIN && s->origin == origin)
            twin[n++] = &r->entry[i].metrics;
    }
    rc = metrics_floor(&r->floor[origin], twin, n);
    free(twin);
    return rc;
}

double results_seconds(const struct entry *entry)
{
    const struct record_array *a = record_find(&entry->file.record, "/cost/seconds_total");
    return a ? record_value(a, 0) : NAN;
}

int results_is_ranked(const struct results *r, const struct entry *entry)
{
    const struct stage *s = entry->stage;
    int is_retrained = s && s->kind != STAGE_ORIGIN && stage_trains(r->job, s);
    return s && s->kind != STAGE_ORIGIN &&
           (!is_retrained || (r->job->cfg.evaluate.rank_retrain && s->kind == STAGE_RETRAIN &&
                              results_twin(r, s) == entry));
}

static int rank_methods(struct results *r)
{
    int n = 0;
    struct ranking *all = mem_alloc(r->stages->n, sizeof *all);
    if (!all)
        return FAIL(IAU_ERR_MEM, "no memory for the ranking");
    for (int i = 0; i < r->stages->n; i++) {
        const struct entry *entry = &r->entry[i];
        const struct metrics *m = &entry->metrics;
        if (results_is_ranked(r, entry))
            all[n++] = (struct ranking){
                .value = {[RANK_REMOVAL] = metrics_value(m, "mia_confidence_auc"),
                          [RANK_REMOVAL_GAP] = metrics_value(m, "gap_mia_confidence_auc"),
                          [RANK_EFFICIENCY] = results_seconds(entry),
                          [RANK_UTILITY] = metrics_value(m, "accuracy_test")}};
    }
    ranking_fill(all, n);
    for (int i = r->stages->n; i-- > 0;)
        if (results_is_ranked(r, &r->entry[i]))
            r->entry[i].ranking = all[--n];
    free(all);
    return IAU_OK;
}

/* The share of what a poisoned batch cost that a model has won back: (A_u - A_0) / (A_r - A_0) in
 * accuracy on test samples, of it, its origin and the retrained twin. */
static int add_recovered(const struct results *r, struct entry *entry, const struct entry *twin)
{
    const struct entry *origin = NULL;
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage && r->entry[i].stage->kind == STAGE_ORIGIN &&
            r->entry[i].stage->index == entry->stage->origin)
            origin = &r->entry[i];
    if (!r->job->cfg.forget.poison || entry->stage->kind != STAGE_METHOD || !origin)
        return IAU_OK;
    double before = metrics_value(&origin->metrics, "accuracy_test"),
           lost = metrics_value(&twin->metrics, "accuracy_test") - before,
           won = metrics_value(&entry->metrics, "accuracy_test") - before;
    return metrics_add(&entry->metrics, "recovered_accuracy_test", lost > 0 ? won / lost : NAN,
                       "higher", 1, "share of what was lost", METRIC_RELATIVE);
}

/* All figures of a model. Where the forgotten samples are unlike those they are compared with, by
 * class or by label, a model that never saw them tells them apart, too. */
static int add_figures(const struct results *r, struct entry *entry)
{
    const struct forget_opts *f = &r->job->cfg.forget;
    int rc = IAU_OK;
    TRY(evaluation_metrics(&entry->evaluation, &entry->metrics));
    TRY(findings_metrics(&entry->findings, &entry->metrics));
    if (f->classes.n) /* of which the audit's outsiders are, too */
        metrics_drop_ideals(&entry->metrics, "mia_");
    if (f->poison) {
        metrics_drop_ideals(&entry->metrics, "lira_");
        metrics_drop_ideals(&entry->metrics, "ulira_");
    }
out:
    return rc;
}

int results_complete(struct results *r)
{
    int rc = IAU_OK, n_origin = r->job->cfg.n_origin;
    r->floor = mem_alloc(n_origin, sizeof *r->floor);
    if (!r->floor)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the noise floor"));
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage)
            TRY(add_figures(r, &r->entry[i]));
    for (int i = 0; i < n_origin; i++)
        TRY(find_floor(r, i));
    for (int i = 0; i < r->stages->n; i++) {
        struct entry *entry = &r->entry[i],
                     *twin = entry->stage ? results_twin(r, entry->stage) : NULL;
        if (twin) {
            TRY(metrics_add_gaps(&entry->metrics, &twin->metrics));
            TRY(add_recovered(r, entry, twin));
        }
    }
    TRY(rank_methods(r));
out:
    return rc;
}

/* Copy what a model file says of itself: columns under `from` become `to`/<last component>. */
static int copy_arrays(struct record *to, const struct record *from, const char *prefix,
                       const char *target)
{
    char path[256];
    size_t n = strlen(prefix);
    for (int64_t i = 0; i < from->n_array; i++) {
        const struct record_array *a = &from->array[i];
        if (strncmp(a->path, prefix, n) != 0 || a->path[n] != '/')
            continue;
        snprintf(path, sizeof path, "%s%s", target, a->path + n);
        int rc = record_add(to, path, a->type, a->ndim, a->dims, a->data);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static const char *what_it_is(const struct config *cfg, const struct stage *s)
{
    if (s->is_given)
        return "A model given as a file: what methods start from.";
    if (s->kind == STAGE_ORIGIN)
        return "Training on all samples, those to forget included: what methods start from.";
    return method_of(s->kind == STAGE_METHOD ? cfg->method[s->index].method : METHOD_RETRAIN)->help;
}

/* What is said of every model, also of one that failed. @param[out] path  where */
static int describe_stage(const struct results *r, int i, struct record *out, char path[256])
{
    int rc = IAU_OK;
    const struct stage *s = &r->stages->stage[i];
    const struct config *cfg = &r->job->cfg;
    const struct record *from = &r->entry[i].file.record;
    snprintf(path, 256, "/methods/%s", s->name);
    TRY(record_set_text(out, path, "kind", stage_kind_name(s->kind)));
    TRY(record_set_i64(out, path, "order", i));
    TRY(record_set_text(out, path, "what", what_it_is(cfg, s)));
    TRY(record_set_text(out, path, "origin", cfg->origin[s->origin].name));
    TRY(record_set_text(out, path, "settings", record_text(from, "/", "settings", "")));
out:
    return rc;
}

static int describe_failure(const struct results *r, int i, struct record *out)
{
    int rc = IAU_OK;
    char path[256];
    TRY(describe_stage(r, i, out, path));
    TRY(record_set_text(out, path, "failed", r->entry[i].failure));
out:
    return rc;
}

static int describe_entry(const struct results *r, const struct entry *entry, struct record *out)
{
    int rc = IAU_OK;
    const struct stage *s = entry->stage;
    const struct record *from = &entry->file.record;
    char path[256];
    TRY(describe_stage(r, (int)(entry - r->entry), out, path));
    TRY(record_set_text(out, path, "file", s->path));
    TRY(record_set_text(out, path, "model_digest", entry->file.digest));
    if (entry->file.model.n > 1) {
        TRY(record_set_i64(out, path, "models", entry->file.model.n));
        TRY(record_set_text(out, path, "aggregate",
                            entry->file.model.rule == AGGREGATE_VOTE ? "vote" : "mean"));
    }
    snprintf(path, sizeof path, stage_counts_epochs(r->job, s) ? "/epochs/%s" : "/steps/%s",
             s->name);
    TRY(copy_arrays(out, from, "/history", path));
    snprintf(path, sizeof path, "/trials/%s", s->name);
    TRY(copy_arrays(out, from, "/trials", path));
    snprintf(path, sizeof path, "/cost/%s", s->name);
    TRY(copy_arrays(out, from, "/cost", path));
out:
    return rc;
}

static int add_ranking(const struct entry *entry, struct record *out)
{
    int rc = IAU_OK;
    char path[256];
    for (int k = 0; k < N_RANKING; k++) {
        double rank = entry->ranking.rank[k];
        if (isnan(rank))
            continue;
        snprintf(path, sizeof path, "/ranking/%s/%s", entry->stage->name,
                 ranking_name((enum ranking_key)k));
        TRY(record_add_scalar(out, path, rank));
        TRY(record_set_text(out, path, "direction", "lower"));
        TRY(record_set_f64(out, path, "ideal", 1));
        TRY(record_set_text(out, path, "unit", "rank"));
    }
out:
    return rc;
}

static int add_entry(const struct results *r, const struct entry *entry, struct record *out)
{
    int rc = IAU_OK;
    const char *name = entry->stage->name;
    TRY(metrics_to_record(&entry->metrics, &r->floor[entry->stage->origin], name, out));
    TRY(evaluation_to_record(&entry->evaluation, name, r->job->cfg.evaluate.samples, out));
    TRY(findings_to_record(&entry->findings, name, out));
    TRY(describe_entry(r, entry, out));
    if (results_is_ranked(r, entry))
        TRY(add_ranking(entry, out));
out:
    return rc;
}

int results_write(const struct results *r, const char *path)
{
    int rc = IAU_OK;
    struct record out = {0};
    char digest[DIGEST_CHARS];
    int same_bytes = r->job->machine.same_bytes;
    for (int i = 0; i < r->stages->n; i++) {
        const struct entry *entry = &r->entry[i];
        if (*entry->failure)
            TRY(describe_failure(r, i, &out));
        if (!entry->stage)
            continue;
        same_bytes = same_bytes &&
                     strcmp(record_text(&entry->file.record, "/provenance", "same_bytes", "yes"),
                            "yes") == 0;
        TRY(add_entry(r, entry, &out));
    }
    if (r->audit)
        TRY(job_audit_describe(r->audit, &out));
    TRY(provenance_add(&out, r->job, same_bytes));
    TRY(format_digest(RESULTS_FORMAT, &out, digest));
    TRY(record_set_text(&out, "/", "format", RESULTS_FORMAT));
    TRY(record_set_text(&out, "/", "digest", digest));
    TRY(record_write(&out, path));
out:
    record_free(&out);
    return rc;
}

void results_free(struct results *r)
{
    for (int i = 0; r->entry && i < r->stages->n; i++) {
        model_file_free(&r->entry[i].file);
        evaluation_free(&r->entry[i].evaluation);
        findings_free(&r->entry[i].findings);
        metrics_free(&r->entry[i].metrics);
    }
    for (int i = 0; r->floor && i < r->job->cfg.n_origin; i++)
        metrics_free(&r->floor[i]);
    evidence_close(&r->evidence);
    free(r->entry);
    free(r->floor);
}
