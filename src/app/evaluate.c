/* Every model file that is there, evaluated on the same sets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/failure.h"
#include "app/results.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/formats.h"

/* Read a model file and make sure that it is what the config says. */
static int load_entry(struct results *r, struct entry *entry, const struct stage *s)
{
    int rc = IAU_OK;
    char *settings = NULL;
    TRY(model_file_read(&entry->file, r->job, &s->train, s->path));
    record_drop(&entry->file.record, "/gradient_sum");
    entry->stage = s;
    TRY(stage_settings(r->job, s, &settings));
    rc = stage_check_file(r->job, s, &entry->file.record, settings,
                          "make it again with `iau run --force`, or set what it was made with");
    TRY(comm_agree(r->job->comm, rc));
out:
    free(settings);
    return rc;
}

int evaluate_check_models(const struct job *job, const struct stage_list *stages)
{
    int n = 0;
    for (int i = 0; i < stages->n && job->comm->rank == 0; i++)
        n += file_exists(stages->stage[i].path) == 1;
    return comm_agree(job->comm,
                      n || job->comm->rank != 0
                          ? IAU_OK
                          : FAIL(IAU_ERR_IO,
                                 "%s holds no model of this config; `iau train` or `iau run` makes "
                                 "them",
                                 job->cfg.output.dir));
}

static int load_all(struct results *r)
{
    int rc = IAU_OK;
    struct job *job = r->job;
    char missing[256] = "";
    TRY(evaluate_check_models(job, r->stages));
    for (int i = 0; i < r->stages->n; i++) {
        const struct stage *s = &r->stages->stage[i];
        int64_t there = job->comm->rank == 0 ? file_exists(s->path) : 0;
        comm_bcast(job->comm, &there, sizeof there, 0);
        size_t at = strlen(missing);
        TRY(failure_read(job, s, &r->entry[i].file.record, r->entry[i].failure));
        if (*r->entry[i].failure)
            continue;
        if (!there)
            snprintf(missing + at, sizeof missing - at, "%s%s", at ? ", " : "", s->name);
        else
            TRY(load_entry(r, &r->entry[i], s));
    }
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
    struct entry *twin = results_twin(r, entry->stage);
    TRY(job_engine(job, &entry->stage->train, &e));
    TRY(evaluate_model(&entry->evaluation, &e, sets, &entry->file.model,
                       twin ? &twin->file.model : NULL, entry->stage->name));
    entry->findings = (struct findings){.attack_forget = NAN, .attack_test = NAN};
    if (r->audit && entry->file.model.n == 1) /* shadows are single models */
        TRY(evidence_examine(&entry->findings, &r->evidence, &e, entry->file.w,
                             job_audit_origin(r->audit, entry->stage),
                             job_audit_method(r->audit, entry->stage), entry->stage->name));
out:
    engine_free(&e);
    return rc;
}

/* Evaluate all; a method's model whose outputs run off is none to speak of. */
static int evaluate_all(struct results *r)
{
    int rc = IAU_OK;
    for (int i = 0; i < r->stages->n; i++) {
        struct entry *entry = &r->entry[i];
        const struct stage *s = entry->stage;
        if (!s)
            continue;
        TRY(job_check_stop(r->job, "evaluating", s->name));
        rc = evaluate_entry(r, entry);
        if (rc == IAU_ERR_NUMERIC && s->kind == STAGE_METHOD) {
            failure_count(r->job, s, entry->failure);
            entry->stage = NULL;
            rc = IAU_OK;
        }
        TRY(rc);
    }
out:
    return rc;
}

int evaluate_check_target(const struct job *job)
{
    int rc = IAU_OK;
    if (job->comm->rank == 0 && file_is_directory(job->cfg.output.dir)) {
        char *path = job_path(job->cfg.output.dir, "results", ".h5");
        rc = path ? format_check_target(path, RESULTS_FORMAT, job->cli->force)
                  : FAIL(IAU_ERR_MEM, "no memory for a file name");
        free(path);
    }
    return comm_agree(job->comm, rc);
}

int evaluate_stages(struct job *job, const struct stage_list *stages, const struct audit *audit)
{
    int rc = IAU_OK;
    char *path = job_path(job->cfg.output.dir, "results", ".h5");
    struct results r = {.job = job,
                        .stages = stages,
                        .audit = audit,
                        .entry = mem_alloc(stages->n, sizeof *r.entry)};
    TRY(comm_agree(job->comm,
                   r.entry && path ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for results")));
    TRY(evaluate_check_target(job));
    TRY(load_all(&r));
    if (audit)
        TRY(evidence_open(&r.evidence, audit));
    TRY(comm_agree(job->comm,
                   job->comm->rank == 0 ? file_make_directory(job->cfg.output.dir) : IAU_OK));
    TRY(evaluate_all(&r));
    rc = job->comm->rank == 0 ? results_complete(&r) : IAU_OK;
    if (rc == IAU_OK && job->comm->rank == 0)
        rc = results_write(&r, path);
    TRY(comm_agree(job->comm, rc));
    if (job->comm->rank == 0)
        results_print(&r);
    log_line("results: %s", path);
out:
    results_free(&r);
    free(path);
    return rc;
}
