/* results.h5: every model file that is there, evaluated on the same sets, in one file that is replaced as a whole. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/model_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/evaluate.h"
#include "io/file.h"

/* One model on its way into the results. */
struct entry {
    const struct stage *stage; /* borrowed; NULL where the file is not there */
    struct model_file file;
    struct evaluation evaluation;
};

struct results {
    struct job *job;
    const struct stage_list *stages;
    struct entry *entry; /* owned, [stages->n] */
    struct record record;
};

/* The retrained twin of a stage's origin, or NULL where it is not there. */
static struct entry *twin_of(struct results *r, const struct stage *s)
{
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage && r->stages->stage[i].kind == STAGE_RETRAIN && r->stages->stage[i].origin == s->origin)
            return &r->entry[i];
    return NULL;
}

static int load_all(struct results *r)
{
    int rc = IAU_OK, n = 0;
    struct job *job = r->job;
    for (int i = 0; i < r->stages->n; i++) {
        const struct stage *s = &r->stages->stage[i];
        int64_t there = job->comm->rank == 0 ? file_exists(s->path) : 0;
        comm_bcast(job->comm, &there, sizeof there, 0);
        if (!there) {
            log_line("%s  is not there (%s); left out", s->name, s->path);
            continue;
        }
        TRY(model_file_read(&r->entry[i].file, job, s->path));
        r->entry[i].stage = s;
        n++;
    }
    if (n == 0)
        TRY(comm_agree(job->comm, FAIL(IAU_ERR_IO, "%s has no model files of this config; run `iau train` or `iau run`",
                                       job->cfg.output.dir)));
out:
    return rc;
}

static int evaluate_entry(struct results *r, struct entry *entry)
{
    int rc = IAU_OK;
    struct job *job = r->job;
    struct engine e = {0};
    const struct index_set *sets[N_EVAL_SET] = {[SET_RETAIN] = &job->sets.retain,
                                                [SET_FORGET] = &job->sets.forget,
                                                [SET_VALID] = &job->sets.valid,
                                                [SET_TEST] = &job->sets.test};
    struct entry *twin = twin_of(r, entry->stage);
    TRY(job_engine(job, stage_train_opts(job, entry->stage), &e));
    TRY(evaluate_model(&entry->evaluation, &e, sets, entry->file.w, twin ? twin->file.w : NULL, entry->stage->name));
out:
    engine_free(&e);
    return rc;
}

/* Copy what a model file says of itself: columns under `from` become `to`/<last component>. */
static int copy_arrays(struct record *to, const struct record *from, const char *prefix, const char *target)
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

static int describe_entry(struct results *r, const struct entry *entry)
{
    int rc = IAU_OK;
    const struct stage *s = entry->stage;
    const struct config *cfg = &r->job->cfg;
    const struct record *from = &entry->file.record;
    char path[256];
    snprintf(path, sizeof path, "/methods/%s", s->name);
    TRY(record_set_text(&r->record, path, "kind", stage_kind_name(s->kind)));
    TRY(record_set_text(&r->record, path, "origin", cfg->origin[s->origin].name));
    TRY(record_set_text(&r->record, path, "file", s->path));
    TRY(record_set_text(&r->record, path, "model_digest", entry->file.digest));
    TRY(record_set_text(&r->record, path, "settings", record_text(from, "/", "settings", "")));
    snprintf(path, sizeof path, stage_trains(r->job, s) ? "/epochs/%s" : "/steps/%s", s->name);
    TRY(copy_arrays(&r->record, from, "/history", path));
    snprintf(path, sizeof path, "/cost/%s", s->name);
    TRY(copy_arrays(&r->record, from, "/cost", path));
out:
    return rc;
}

static const char *const digest_prefixes[] = {"/epochs", "/steps", "/evaluation", "/roc", "/ranking", NULL};

/* Rank 0. */
static int write_results(struct results *r, const char *path)
{
    int rc = IAU_OK;
    char digest[DIGEST_CHARS];
    for (int i = 0; i < r->stages->n; i++) {
        struct entry *entry = &r->entry[i];
        if (!entry->stage)
            continue;
        struct entry *twin = twin_of(r, entry->stage);
        TRY(evaluation_to_record(&entry->evaluation, twin ? &twin->evaluation : NULL, entry->stage->name,
                                 r->job->cfg.evaluate.samples, &r->record));
        TRY(describe_entry(r, entry));
    }
    TRY(provenance_add(&r->record, r->job));
    TRY(record_digest(&r->record, digest_prefixes, 1, digest));
    TRY(record_set_text(&r->record, "/", "format", "iau-results"));
    TRY(record_set_text(&r->record, "/", "digest", digest));
    TRY(record_write(&r->record, path));
out:
    return rc;
}

static double total_seconds(const struct entry *entry)
{
    const struct record_array *a = record_find(&entry->file.record, "/cost/seconds_total");
    return a ? record_value(a, 0) : NAN;
}

static void print_table(struct results *r)
{
    log_line("%s", "");
    log_line("%-16s %8s %8s %8s %8s %10s %9s %9s", "", "retained", "forgot.", "valid.", "test", "attack", "gap to",
             "");
    log_line("%-16s %8s %8s %8s %8s %10s %9s %9s", "model", "acc. %", "acc. %", "acc. %", "acc. %", "AUC", "retrain",
             "seconds");
    for (int i = 0; i < r->stages->n; i++) {
        struct entry *entry = &r->entry[i];
        if (!entry->stage)
            continue;
        struct evaluation *v = &entry->evaluation;
        struct entry *twin = twin_of(r, entry->stage);
        char gap[16] = "-";
        if (twin && twin != entry)
            snprintf(gap, sizeof gap, "%.4f", evaluation_gap(v, &twin->evaluation));
        log_line("%-16s %8.2f %8.2f %8.2f %8.2f %10.4f %9s %9.3f", entry->stage->name,
                 100 * v->set[SET_RETAIN].accuracy, 100 * v->set[SET_FORGET].accuracy,
                 100 * v->set[SET_VALID].accuracy, 100 * v->set[SET_TEST].accuracy, v->mia[MIA_CONFIDENCE].auc, gap,
                 total_seconds(entry));
    }
    log_line("Best is what the retrained model gets. Attack: confidence, forgotten against test samples; 0.5 is a coin.");
    log_line("Gap: mean of |accuracy| on retained, forgotten, test and |AUC| differences; 0 is best. Seconds: the work");
    log_line("itself, without reading and writing.");
}

int evaluate_stages(struct job *job, const struct stage_list *stages)
{
    int rc = IAU_OK;
    char *path = job_path(job, "results", ".h5");
    struct results r = {.job = job, .stages = stages, .entry = mem_alloc(stages->n, sizeof *r.entry)};
    TRY(comm_agree(job->comm, r.entry && path ? IAU_OK : FAIL(IAU_ERR_MEM, "results")));
    TRY(load_all(&r));
    for (int i = 0; i < stages->n; i++)
        if (r.entry[i].stage)
            TRY(evaluate_entry(&r, &r.entry[i]));
    TRY(comm_agree(job->comm, job->comm->rank == 0 ? write_results(&r, path) : IAU_OK));
    if (job->comm->rank == 0)
        print_table(&r);
    log_line("results: %s", path);
out:
    for (int i = 0; r.entry && i < stages->n; i++) {
        model_file_free(&r.entry[i].file);
        evaluation_free(&r.entry[i].evaluation);
    }
    free(r.entry);
    record_free(&r.record);
    free(path);
    return rc;
}
