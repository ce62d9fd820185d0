/* iau campaign merge: the results of all tasks as one file. */
#include <stdio.h>
#include <stdlib.h>

#include "app/campaign.h"
#include "app/campaign_table.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/formats.h"

/* One model of a task's results, or why there is none. */
static int add_rows(struct campaign_tables *t, int64_t task, const struct record *r,
                    const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/methods/%s", name);
    const char *reason = record_text(r, path, "failed", NULL);
    if (reason) {
        log_warn("task %lld has no row of %s, which failed: %s", (long long)task, name, reason);
        return campaign_table_add_row(&t->failed, task, r, name);
    }
    int rc = campaign_table_add_model(&t->models, task, r, name);
    return rc == IAU_OK ? campaign_table_add_trials(&t->trials, task, r, name) : rc;
}

/* The models of a task in the order of its stages: origins, twins, methods. */
static int add_task(struct campaign_tables *t, const struct campaign *c, int64_t task)
{
    int rc = IAU_OK;
    struct record r = {0};
    struct config cfg = {0};
    char *path = job_path(c->task[task].folder, "results", ".h5"), *name = NULL;
    if (!path)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a file name"));
    TRY(campaign_config(c, task, &cfg));
    TRY(record_read(&r, path));
    for (int kind = STAGE_ORIGIN; kind <= STAGE_METHOD; kind++)
        for (int i = 0; i < stage_count(&cfg, (enum stage_kind)kind); i++) {
            name = stage_name(&cfg, (enum stage_kind)kind, i);
            if (!name)
                TRY(FAIL(IAU_ERR_MEM, "no memory for a name"));
            TRY(add_rows(t, task, &r, name));
            free(name);
            name = NULL;
        }
out:
    free(name);
    free(path);
    record_free(&r);
    config_free(&cfg);
    return rc;
}

/* Which tasks are done; the others are an error, unless --partial is content with what is there. */
static int find_done(const struct campaign *c, char *done, int64_t *n_done)
{
    int rc = IAU_OK;
    char *missing = mem_alloc(c->grid.n_task, 1), *text = NULL;
    *n_done = 0;
    if (!missing)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a list of numbers"));
    for (int64_t k = 0; k < c->grid.n_task; k++) {
        struct standing s;
        TRY(campaign_look_at_task(c, k, &s));
        done[k] = s.outcome == RUN_DONE;
        missing[k] = !done[k];
        *n_done += done[k];
    }
    text = campaign_numbers(missing, c->grid.n_task);
    if (!text)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a list of numbers"));
    if (*n_done == 0 || (*text && !c->cli->partial))
        TRY(FAIL(IAU_ERR_IO, "%s: tasks that are not done: %s; see `iau campaign status`%s",
                 c->cli->config, text, *n_done ? ", or leave them out with --partial" : ""));
    if (*text)
        log_warn("left out: tasks %s, which are not done", text);
out:
    free(missing);
    free(text);
    return rc;
}

int campaign_merge(const struct campaign *c)
{
    int rc = IAU_OK;
    int64_t n_done;
    struct campaign_tables t = {.models.c = c, .trials.c = c, .failed.c = c};
    char *done = mem_alloc(c->grid.n_task, 1), *path = job_path(c->dir, "campaign", ".h5");
    if (!done || !path)
        TRY(FAIL(IAU_ERR_MEM, "no memory to merge"));
    TRY(find_done(c, done, &n_done));
    TRY(format_check_target(path, CAMPAIGN_FORMAT, c->cli->force));
    for (int64_t k = 0; k < c->grid.n_task; k++)
        if (done[k])
            TRY(add_task(&t, c, k));
    TRY(campaign_write(&t, c, path, n_done));
    log_line("%lld tasks, %lld rows: %s", (long long)n_done, (long long)t.models.n_row, path);
out:
    campaign_table_free(&t.models);
    campaign_table_free(&t.trials);
    campaign_table_free(&t.failed);
    free(done);
    free(path);
    return rc;
}
