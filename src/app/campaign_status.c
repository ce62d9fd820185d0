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

/* Whether the file of a given origin, if it is there, is still the model with that digest. */
static int is_same_model(const char *file, const char *digest, int *same)
{
    struct record r = {0};
    int rc = file_exists(file) == 1 ? record_read_attributes(&r, file) : IAU_ERR_IO;
    *same = rc != IAU_OK || strcmp(record_text(&r, "/", "digest", ""), digest) == 0;
    record_free(&r);
    if (rc == IAU_ERR_MEM)
        return rc;
    error_clear();
    return IAU_OK;
}

/* What is there of an output: a file, which can be read, and was made with the settings of now. */
struct found {
    int there, readable, fits;
    int is_of_requeued; /* output_is_of_requeued */
    int n_failed;       /* methods, named with the reasons in `failed` */
    char failed[REASON_CHARS];
};

/* A method that has made no model is named with the reason. */
static void note_failure(const char *name, const char *reason, struct found *found)
{
    size_t at = strlen(found->failed);
    snprintf(found->failed + at, sizeof found->failed - at, "%s%s: %s",
             at ? "; " : "failed methods: ", name, reason);
    found->n_failed++;
}

/* One model of a task's results, or why there is none; does it fit the config? */
static int find_model(const struct record *r, const struct config *cfg, enum stage_kind kind,
                      int index, struct found *found)
{
    char path[300], *name = stage_name(cfg, kind, index);
    const char *given = kind == STAGE_ORIGIN ? cfg->origin[index].file : NULL;
    if (!name)
        return FAIL(IAU_ERR_MEM, "no memory for a name");
    snprintf(path, sizeof path, "/methods/%s", name);
    const char *reason = record_text(r, path, "failed", NULL);
    int rc = stage_fits(cfg, kind, index, record_text(r, path, "settings", NULL), &found->fits);
    if (rc == IAU_OK && found->fits && given)
        rc = is_same_model(given, record_text(r, path, "model_digest", ""), &found->fits);
    if (rc == IAU_OK && reason)
        note_failure(name, reason, found);
    free(name);
    return rc;
}

/* Read the attributes of an output's file, if it is there and whole. */
static int look_at_file(struct record *r, const char *path, struct found *found)
{
    *found = (struct found){.there = file_exists(path) == 1};
    int rc = found->there ? record_read_attributes(r, path) : IAU_OK;
    found->readable = found->there && rc == IAU_OK;
    found->is_of_requeued = found->readable && output_is_of_requeued(r);
    if (rc == IAU_ERR_MEM)
        return rc;
    error_clear();
    return IAU_OK;
}

/* The results in FOLDER: do they tell of every model of the task's config, made with its settings?
 */
static int find_results(const struct config *cfg, const char *folder, struct found *found)
{
    int rc = IAU_OK;
    struct record r = {0};
    char *path = job_path(folder, "results", ".h5");
    if (!path)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a file name"));
    TRY(look_at_file(&r, path, found));
    found->fits =
        found->readable && strcmp(record_text(&r, "/", "format", ""), RESULTS_FORMAT) == 0;
    for (int kind = STAGE_ORIGIN; kind <= STAGE_METHOD; kind++)
        for (int i = 0; i < stage_count(cfg, (enum stage_kind)kind) && found->fits; i++)
            TRY(find_model(&r, cfg, (enum stage_kind)kind, i, found));
out:
    record_free(&r);
    free(path);
    return rc;
}

/* The file of a shared stage. */
static int find_shared_file(const struct config *cfg, const struct shared *shared,
                            struct found *found)
{
    int rc = IAU_OK;
    struct record r = {0};
    char *path = job_path(shared->folder, shared->name, ".h5");
    if (!path)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a file name"));
    TRY(look_at_file(&r, path, found));
    if (found->readable)
        TRY(stage_fits(cfg, shared->kind, shared->index, record_text(&r, "/", "settings", NULL),
                       &found->fits));
out:
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

/* The last row of FOLDER/progress.csv as "origin epoch 17"; "" without one, or where `only` is not
 * NULL and it is of another model. */
static void read_progress(const char *folder, const char *only, char *out, size_t size)
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
    if (sscanf(line ? line + 1 : tail, "%103[^,],%15[^,],%lld,", model, event, &number) == 3 &&
        (!only || strcmp(only, model) == 0))
        snprintf(out, size, ", %s %s %lld", model, event, number);
}

/* "process 12 on node3, job 7_1" */
static void write_worker(char *out, size_t size, const struct run_seen *seen)
{
    snprintf(out, size, "process %lld on %s%s%s", (long long)seen->pid, seen->host,
             *seen->job ? ", job " : "", seen->job);
}

/* What the state file of a task, or of the stage NAME, in FOLDER says, where the outputs are not
 * complete. */
static int look_at_state(const struct campaign *c, const char *folder, const char *name,
                         struct standing *s, struct run_seen *seen)
{
    char worker[240], progress[160], age[32];
    int rc = run_state_read(seen, folder, name);
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
        read_progress(folder, name, progress, sizeof progress);
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
    int rc = IAU_OK;
    struct config cfg = {0};
    struct run_seen seen;
    struct found found;
    const char *folder = c->task[task].folder;
    *s = (struct standing){0};
    TRY(campaign_config(c, task, &cfg));
    TRY(look_at_state(c, folder, NULL, s, &seen));
    if (s->outcome == RUN_RUNNING)
        goto out;
    TRY(find_results(&cfg, folder, &found));
    if (found.fits) {
        *s = (struct standing){.outcome = RUN_DONE,
                               .is_of_requeued = found.is_of_requeued,
                               .n_failed = found.n_failed};
        snprintf(s->note, sizeof s->note, "%s", found.failed);
    } else if (seen.outcome == RUN_DONE || (found.readable && seen.outcome == RUN_UNKNOWN)) {
        s->outcome = RUN_FAILED;
        snprintf(s->note, sizeof s->note,
                 found.readable ? "results.h5 was made with other settings"
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
    struct run_seen seen;
    struct found found;
    const struct shared *shared = &c->shared[stage];
    *s = (struct standing){0};
    TRY(campaign_config(c, shared->first, &cfg));
    TRY(find_shared_file(&cfg, shared, &found));
    if (found.fits) {
        *s = (struct standing){.outcome = RUN_DONE, .is_of_requeued = found.is_of_requeued};
        goto out;
    }
    TRY(look_at_state(c, shared->folder, shared->name, s, &seen));
    if (seen.outcome == RUN_DONE || (found.there && seen.outcome == RUN_UNKNOWN)) {
        s->outcome = RUN_FAILED;
        snprintf(s->note, sizeof s->note, "its file %s",
                 found.readable ? "was made with other settings"
                 : found.there  ? "is damaged"
                                : "was there and is gone");
    }
out:
    config_free(&cfg);
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
    int64_t count[N_OUTCOME] = {0}, n_partly = 0;
    char partly[64] = "";
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
        n_partly += s->n_failed > 0;
        log_line("task %5lld  %-8s %s%s%s", (long long)k, outcome_word[s->outcome], text,
                 *s->note ? "; " : "", s->note);
        free(text);
    }
    if (n_partly)
        snprintf(partly, sizeof partly, " (%lld with failed methods)", (long long)n_partly);
    log_line("%lld done%s, %lld running, %lld failed, %lld stopped, %lld missing",
             (long long)count[RUN_DONE], partly, (long long)count[RUN_RUNNING],
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
