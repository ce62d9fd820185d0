/* results.h5: every model file that is there, evaluated on the same sets, in one file that is
 * replaced as a whole. */
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
#include "io/formats.h"

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
        if (r->entry[i].stage && r->stages->stage[i].kind == STAGE_RETRAIN &&
            r->stages->stage[i].origin == s->origin)
            return &r->entry[i];
    return NULL;
}

/* Read a model file and make sure that it is what the config says. */
static int load_entry(struct results *r, struct entry *entry, const struct stage *s)
{
    int rc = IAU_OK;
    char *settings = NULL;
    TRY(model_file_read(&entry->file, r->job, s->path));
    record_drop(&entry->file.record, "/gradient_sum");
    entry->stage = s;
    TRY(stage_settings(r->job, s, &settings));
    rc = output_compare(s->path, record_text(&entry->file.record, "/", "settings", NULL), settings,
                        IAU_ERR_DATA,
                        "make it again with `iau run --force`, or set what it was made with");
    TRY(comm_agree(r->job->comm, rc));
out:
    free(settings);
    return rc;
}

static int load_all(struct results *r)
{
    int rc = IAU_OK, n = 0;
    struct job *job = r->job;
    char missing[256] = "";
    for (int i = 0; i < r->stages->n; i++) {
        const struct stage *s = &r->stages->stage[i];
        int64_t there = job->comm->rank == 0 ? file_exists(s->path) : 0;
        comm_bcast(job->comm, &there, sizeof there, 0);
        size_t at = strlen(missing);
        if (!there)
            snprintf(missing + at, sizeof missing - at, "%s%s", at ? ", " : "", s->name);
        else
            TRY(load_entry(r, &r->entry[i], s));
        n += there != 0;
    }
    if (n == 0)
        TRY(comm_agree(job->comm,
                       FAIL(IAU_ERR_IO,
                            "%s holds no model of this config; `iau train` or `iau run` makes them",
                            job->cfg.output.dir)));
    if (missing[0])
        log_line("not there and left out: %s", missing);
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
    TRY(evaluate_model(&entry->evaluation, &e, sets, entry->file.w, twin ? twin->file.w : NULL,
                       entry->stage->name));
out:
    engine_free(&e);
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
    snprintf(path, sizeof path, stage_counts_epochs(r->job, s) ? "/epochs/%s" : "/steps/%s",
             s->name);
    TRY(copy_arrays(&r->record, from, "/history", path));
    snprintf(path, sizeof path, "/cost/%s", s->name);
    TRY(copy_arrays(&r->record, from, "/cost", path));
out:
    return rc;
}

/* Rank 0. */
static int write_results(struct results *r, const char *path)
{
    int rc = IAU_OK;
    char digest[DIGEST_CHARS];
    int same_bytes = r->job->machine.same_bytes;
    for (int i = 0; i < r->stages->n; i++) {
        struct entry *entry = &r->entry[i];
        if (!entry->stage)
            continue;
        same_bytes = same_bytes &&
                     strcmp(record_text(&entry->file.record, "/provenance", "same_bytes", "yes"),
                            "yes") == 0;
        struct entry *twin = twin_of(r, entry->stage);
        TRY(evaluation_to_record(&entry->evaluation, twin ? &twin->evaluation : NULL,
                                 entry->stage->name, r->job->cfg.evaluate.samples, &r->record));
        TRY(describe_entry(r, entry));
    }
    TRY(provenance_add(&r->record, r->job, same_bytes));
    TRY(format_digest(RESULTS_FORMAT, &r->record, digest));
    TRY(record_set_text(&r->record, "/", "format", RESULTS_FORMAT));
    TRY(record_set_text(&r->record, "/", "digest", digest));
    TRY(record_write(&r->record, path));
out:
    return rc;
}

int evaluate_check_target(const struct job *job)
{
    int rc = IAU_OK;
    if (job->comm->rank == 0 && job_has_folder(job->cfg.output.dir)) {
        char *path = job_path(job->cfg.output.dir, "results", ".h5");
        rc = path ? format_check_target(path, RESULTS_FORMAT, job->cli->force)
                  : FAIL(IAU_ERR_MEM, "no memory for a file name");
        free(path);
    }
    return comm_agree(job->comm, rc);
}

static double total_seconds(const struct entry *entry)
{
    const struct record_array *a = record_find(&entry->file.record, "/cost/seconds_total");
    return a ? record_value(a, 0) : NAN;
}

enum { CELL_CHARS = 16 };

/* A number of the table; "-" for one that does not exist, such as an accuracy on no validation
 * samples. */
static const char *cell(char text[CELL_CHARS], int digits, double x)
{
    if (isnan(x))
        return "-";
    snprintf(text, CELL_CHARS, "%.*f", digits, x);
    return text;
}

static void print_row(struct results *r, const struct entry *entry, int name_chars)
{
    static const enum eval_set order[N_EVAL_SET] = {SET_RETAIN, SET_FORGET, SET_VALID, SET_TEST};
    const struct evaluation *v = &entry->evaluation;
    struct entry *twin = twin_of(r, entry->stage);
    char text[N_EVAL_SET + 3][CELL_CHARS];
    const char *accuracy[N_EVAL_SET];
    for (int k = 0; k < N_EVAL_SET; k++)
        accuracy[k] = cell(text[k], 2, v->set[order[k]].n ? 100 * v->set[order[k]].accuracy : NAN);
    double gap = twin && twin != entry ? evaluation_gap(v, &twin->evaluation) : NAN;
    log_line("%-*s %9s %9s %9s %9s %8s %8s %9s", name_chars, entry->stage->name, accuracy[0],
             accuracy[1], accuracy[2], accuracy[3],
             cell(text[N_EVAL_SET], 4, v->mia[MIA_CONFIDENCE].auc),
             cell(text[N_EVAL_SET + 1], 4, gap),
             cell(text[N_EVAL_SET + 2], 3, total_seconds(entry)));
}

static void print_table(struct results *r)
{
    int name_chars = 12;
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage && (int)strlen(r->entry[i].stage->name) > name_chars)
            name_chars = (int)strlen(r->entry[i].stage->name);
    log_line("%s", "");
    log_line("%-*s %s %8s %8s", name_chars, "", "------------- accuracy in % -------------",
             "attack", "gap to");
    log_line("%-*s %9s %9s %9s %9s %8s %8s %9s", name_chars, "model", "retained", "forgotten",
             "validat.", "test", "AUC", "retrain", "seconds");
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage)
            print_row(r, &r->entry[i], name_chars);
    log_line("%s", "");
    log_line("Good unlearning gets what the retrained model gets. Attack: telling forgotten from "
             "test samples by");
    log_line("confidence, 0.5 is guessing. Gap: mean difference to the retrained model in accuracy "
             "on retained,");
    log_line("forgotten and test samples and in attack AUC; 0 is best. Seconds: computing, without "
             "files.");
}

int evaluate_stages(struct job *job, const struct stage_list *stages)
{
    int rc = IAU_OK;
    char *path = job_path(job->cfg.output.dir, "results", ".h5");
    struct results r = {
        .job = job, .stages = stages, .entry = mem_alloc(stages->n, sizeof *r.entry)};
    TRY(comm_agree(job->comm,
                   r.entry && path ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for results")));
    TRY(evaluate_check_target(job));
    TRY(load_all(&r));
    TRY(comm_agree(job->comm,
                   job->comm->rank == 0 ? file_make_directory(job->cfg.output.dir) : IAU_OK));
    for (int i = 0; i < stages->n; i++)
        if (r.entry[i].stage) {
            TRY(job_check_stop(job, "evaluating", stages->stage[i].name));
            TRY(evaluate_entry(&r, &r.entry[i]));
        }
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
