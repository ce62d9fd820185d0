/* iau campaign status: how each shared stage and task stands, and what is left to do. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/campaign.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/formats.h"

static const char *const outcome_word[] = {"missing", "running", "done", "failed", "stopped"};
enum { N_OUTCOME = RUN_STOPPED + 1, LINE_CHARS = 160, TAIL_BYTES = 4096 };

/* --- one task or stage */

/* Whether the settings stored with a model begin with those that the config gives it; digests of
 * data, forget set and parent follow, which only a run can check. */
static int fits(const char *stored, const struct config *cfg, enum stage_kind kind, int index,
                int *rc)
{
    char *text = config_text(cfg, stage_scope(kind), index);
    int same = text && stored && strncmp(stored, text, strlen(text)) == 0;
    if (!text)
        *rc = FAIL(IAU_ERR_MEM, "no memory for settings");
    free(text);
    return same;
}

/* One model of a task's results. */
static int has_model(const struct record *r, const struct config *cfg, enum stage_kind kind,
                     int index, int *rc)
{
    char path[300], *name = stage_name(cfg, kind, index);
    snprintf(path, sizeof path, "/methods/%s", name ? name : "");
    free(name);
    return fits(record_text(r, path, "settings", NULL), cfg, kind, index, rc);
}

/* Whether the results in FOLDER hold every model of the task's config, made with its settings. */
static int has_results(const struct config *cfg, const char *folder, int *there, int *whole)
{
    int rc = IAU_OK;
    struct record r = {0};
    char *path = job_path(folder, "results", ".h5");
    *there = *whole = 0;
    if (!path)
        return FAIL(IAU_ERR_MEM, "no memory for a file name");
    if (file_exists(path) == 1 && (rc = record_read_attributes(&r, path)) == IAU_OK) {
        *there = 1;
        *whole = strcmp(record_text(&r, "/", "format", ""), RESULTS_FORMAT) == 0;
        for (int kind = STAGE_ORIGIN; kind <= STAGE_METHOD; kind++)
            for (int i = 0; i < stage_count(cfg, (enum stage_kind)kind); i++)
                *whole = *whole && has_model(&r, cfg, (enum stage_kind)kind, i, &rc);
    }
    if (rc != IAU_OK && rc != IAU_ERR_MEM) { /* a damaged file counts as none */
        error_clear();
        rc = IAU_OK;
    }
    record_free(&r);
    free(path);
    return rc;
}

static void write_age(char out[32], double age_s)
{
    if (age_s < 120)
        snprintf(out, 32, "%.0f s", age_s);
    else if (age_s < 7200)
        snprintf(out, 32, "%.0f min", age_s / 60);
    else
        snprintf(out, 32, "%.0f h", age_s / 3600);
}

/* The last row of FOLDER/progress.csv as "origin epoch 17", "" without one. */
static void read_progress(const char *folder, char *out, size_t size)
{
    char *path = job_path(folder, "progress", ".csv"), tail[TAIL_BYTES + 1];
    FILE *f = path ? fopen(path, "rbe") : NULL;
    size_t n = 0;
    out[0] = '\0';
    if (f) {
        if (fseek(f, -TAIL_BYTES, SEEK_END) != 0)
            rewind(f);
        n = fread(tail, 1, TAIL_BYTES, f);
        fclose(f);
    }
    free(path);
    tail[n] = '\0';
    char *end = strrchr(tail, '\n'); /* the last line that is whole */
    if (!end)
        return;
    *end = '\0';
    char *line = strrchr(tail, '\n'), model[104], event[16];
    long long number;
    if (sscanf(line ? line + 1 : tail, "%103[^,],%15[^,],%lld,", model, event, &number) == 3)
        snprintf(out, size, ", %s %s %lld", model, event, number);
}

/* "process 12 on node3, job 7_1" */
static void write_worker(char *out, size_t size, const struct run_seen *seen)
{
    snprintf(out, size, "process %lld on %s%s%s", (long long)seen->pid, seen->host,
             *seen->job ? ", job " : "", seen->job);
}

/* What the state file in FOLDER says, where the outputs are not complete. */
static int look_at_state(const struct campaign *c, const char *folder, struct standing *s,
                         struct run_seen *seen)
{
    char worker[240], progress[160], age[32];
    int rc = run_state_read(seen, folder);
    if (rc != IAU_OK)
        return rc;
    s->outcome = seen->outcome;
    write_worker(worker, sizeof worker, seen);
    write_age(age, seen->age_s);
    if (seen->outcome == RUN_RUNNING && (seen->is_gone || seen->age_s > c->silence_s)) {
        s->outcome = RUN_FAILED;
        snprintf(s->note, sizeof s->note, "%s: %s %s ago", worker,
                 seen->is_gone ? "it is gone, last seen" : "no sign of life, last", age);
    } else if (seen->outcome == RUN_RUNNING) {
        read_progress(folder, progress, sizeof progress);
        snprintf(s->note, sizeof s->note, "%s%s", worker, progress);
    } else if (seen->outcome == RUN_FAILED) {
        snprintf(s->note, sizeof s->note, "%s: %s", worker,
                 *seen->reason ? seen->reason : "it gave no reason");
    } else if (seen->outcome == RUN_STOPPED) {
        snprintf(s->note, sizeof s->note, "%s, %s ago; it goes on when it is run again", worker,
                 age);
    }
    return IAU_OK;
}

int campaign_look_at_task(const struct campaign *c, int64_t task, struct standing *s)
{
    int rc = IAU_OK, there, whole;
    struct config cfg = {0};
    struct run_seen seen;
    const char *folder = c->task[task].folder;
    *s = (struct standing){0};
    TRY(campaign_config(c, task, &cfg));
    TRY(look_at_state(c, folder, s, &seen));
    if (s->outcome == RUN_RUNNING)
        goto out;
    TRY(has_results(&cfg, folder, &there, &whole));
    if (whole) {
        *s = (struct standing){.outcome = RUN_DONE};
    } else if (seen.outcome == RUN_DONE || (there && seen.outcome == RUN_UNKNOWN)) {
        s->outcome = RUN_FAILED;
        snprintf(s->note, sizeof s->note,
                 there ? "results.h5 was made with other settings"
                       : "results.h5 was there and is gone or damaged");
    }
out:
    config_free(&cfg);
    return rc;
}

int campaign_look_at_stage(const struct campaign *c, int64_t stage, struct standing *s)
{
    int rc = IAU_OK;
    struct config cfg = {0};
    struct record r = {0};
    struct run_seen seen;
    const struct shared *shared = &c->shared[stage];
    char *path = job_path(shared->folder, shared->name, ".h5");
    *s = (struct standing){0};
    if (!path)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a file name"));
    TRY(campaign_config(c, shared->first, &cfg));
    if (file_exists(path) == 1) {
        rc = record_read_attributes(&r, path);
        if (rc == IAU_OK &&
            fits(record_text(&r, "/", "settings", NULL), &cfg, shared->kind, shared->index, &rc))
            s->outcome = RUN_DONE;
        if (rc == IAU_ERR_MEM)
            goto out;
        error_clear();
        rc = IAU_OK;
    }
    if (s->outcome != RUN_DONE)
        TRY(look_at_state(c, shared->folder, s, &seen));
    if (s->outcome == RUN_DONE && file_exists(path) != 1)
        *s = (struct standing){.outcome = RUN_FAILED, .note = "its file was there and is gone"};
out:
    config_free(&cfg);
    record_free(&r);
    free(path);
    return rc;
}

/* --- all of them */

struct overview {
    struct standing *stage, *task; /* owned */
};

static int look(const struct campaign *c, struct overview *o)
{
    int rc = IAU_OK;
    o->stage = mem_alloc(c->n_shared, sizeof *o->stage);
    o->task = mem_alloc(c->grid.n_task, sizeof *o->task);
    if (!o->stage || !o->task)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the standing of %lld tasks",
                 (long long)c->grid.n_task));
    for (int64_t i = 0; i < c->n_shared; i++)
        TRY(campaign_look_at_stage(c, i, &o->stage[i]));
    for (int64_t k = 0; k < c->grid.n_task; k++)
        TRY(campaign_look_at_task(c, k, &o->task[k]));
out:
    return rc;
}

static int is_left(const struct standing *s)
{
    return s->outcome != RUN_DONE && s->outcome != RUN_RUNNING;
}

/* The tasks that are left, of those chosen by --task, and the stages that are left and that they
 * need, as lists of numbers. */
static int list_left(const struct campaign *c, const struct overview *o, char **tasks,
                     char **stages)
{
    int rc = IAU_OK;
    char *task = NULL, *stage = mem_alloc(c->n_shared, 1);
    *tasks = *stages = NULL;
    if (!stage)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a list of numbers"));
    TRY(campaign_choose("--task", c->cli->task, c->grid.n_task, &task));
    for (int64_t k = 0; k < c->grid.n_task; k++) {
        task[k] = task[k] && is_left(&o->task[k]);
        for (int i = 0; task[k] && i < c->task[k].n_stage; i++) {
            int64_t s = c->task[k].stage[i];
            if (s >= 0 && is_left(&o->stage[s]))
                stage[s] = 1;
        }
    }
    *tasks = campaign_numbers(task, c->grid.n_task);
    *stages = campaign_numbers(stage, c->n_shared);
    if (!*tasks || !*stages)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a list of numbers"));
out:
    free(task);
    free(stage);
    return rc;
}

static int print_all(const struct campaign *c, const struct overview *o)
{
    int64_t count[N_OUTCOME] = {0};
    log_line("campaign %s: %lld tasks, %lld shared stages, in %s", c->cli->config,
             (long long)c->grid.n_task, (long long)c->n_shared, c->dir);
    for (int64_t i = 0; i < c->n_shared; i++)
        log_line("stage %4lld  %-8s %s/%s.h5%s%s", (long long)i, outcome_word[o->stage[i].outcome],
                 c->shared[i].folder, c->shared[i].name, *o->stage[i].note ? "; " : "",
                 o->stage[i].note);
    for (int64_t k = 0; k < c->grid.n_task; k++) {
        const struct standing *s = &o->task[k];
        char *text = grid_describe(&c->grid, k);
        if (!text)
            return FAIL(IAU_ERR_MEM, "no memory for a line");
        count[s->outcome]++;
        log_line("task %5lld  %-8s %s%s%s", (long long)k, outcome_word[s->outcome], text,
                 *s->note ? "; " : "", s->note);
        free(text);
    }
    log_line("%lld done, %lld running, %lld failed, %lld stopped, %lld missing",
             (long long)count[RUN_DONE], (long long)count[RUN_RUNNING],
             (long long)count[RUN_FAILED], (long long)count[RUN_STOPPED],
             (long long)count[RUN_UNKNOWN]);
    return IAU_OK;
}

int campaign_status(const struct campaign *c)
{
    int rc = IAU_OK;
    struct overview o = {0};
    char *tasks = NULL, *stages = NULL;
    TRY(look(c, &o));
    TRY(list_left(c, &o, &tasks, &stages));
    if (c->cli->left) {
        log_line("stages %s\ntasks %s", stages, tasks);
        goto out;
    }
    TRY(print_all(c, &o));
    if (*tasks) {
        log_line("the rest: iau campaign run %s --task=%s", c->cli->config, tasks);
        log_line("on Slurm: jobs/submit_campaign.sh --task=%s %s", tasks, c->cli->config);
    }
out:
    free(o.stage);
    free(o.task);
    free(tasks);
    free(stages);
    return rc;
}
