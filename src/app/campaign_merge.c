/* iau campaign merge: one row a task and model, columns of settings, metrics and costs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/campaign.h"
#include "app/config_table.h"
#include "app/version.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/formats.h"

/* A column of numbers that may be unknown. */
struct column {
    char *path;          /* owned; "/metrics/accuracy_test" */
    double *value;       /* owned, [n_row] */
    struct record about; /* its attributes, of the array "/": direction, ideal, unit */
    int ideals_differ;   /* between rows: it has none then */
};

struct row {
    int64_t task;
    char *model, *kind, *origin, *digest, *failed; /* owned */
};

struct merge {
    const struct campaign *c;
    int64_t n_row, room;
    struct row *row; /* owned */
    int n_column;
    struct column *column; /* owned */
};

/* What campaign.h5 is made of; of methods that have failed there is only the reason. */
struct tables {
    struct merge models, trials, failed;
};

static void merge_free(struct merge *m)
{
    for (int64_t i = 0; i < m->n_row; i++) {
        free(m->row[i].model);
        free(m->row[i].kind);
        free(m->row[i].origin);
        free(m->row[i].digest);
        free(m->row[i].failed);
    }
    for (int i = 0; i < m->n_column; i++) {
        free(m->column[i].path);
        free(m->column[i].value);
        record_free(&m->column[i].about);
    }
    free(m->row);
    free(m->column);
}

/* --- gathering */

/* Room for another row in every column. */
static int grow(struct merge *m)
{
    if (m->n_row < m->room)
        return IAU_OK;
    int64_t room = m->room ? 2 * m->room : 64;
    struct row *row = realloc(m->row, (size_t)room * sizeof *row);
    if (!row)
        return FAIL(IAU_ERR_MEM, "no memory for %lld rows", (long long)room);
    m->row = row;
    for (int i = 0; i < m->n_column; i++) {
        double *value = realloc(m->column[i].value, (size_t)room * sizeof *value);
        if (!value)
            return FAIL(IAU_ERR_MEM, "no memory for %lld rows", (long long)room);
        m->column[i].value = value;
    }
    m->room = room;
    return IAU_OK;
}

/* The column GROUP/NAME, made where it is new: unknown in every row so far. */
static struct column *find_column(struct merge *m, const char *group, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", group, name);
    for (int i = 0; i < m->n_column; i++)
        if (strcmp(m->column[i].path, path) == 0)
            return &m->column[i];
    struct column *more = realloc(m->column, (size_t)(m->n_column + 1) * sizeof *more);
    if (!more)
        return NULL;
    m->column = more;
    struct column *c = &more[m->n_column];
    *c = (struct column){mem_strdup(path), mem_alloc(m->room, sizeof *c->value), {0}, 0};
    if (!c->path || !c->value) {
        free(c->path);
        free(c->value);
        return NULL;
    }
    m->n_column++;
    for (int64_t i = 0; i < m->room; i++)
        c->value[i] = NAN;
    return c;
}

/* What an object of one record says of itself, to an object of another; but not `without`. */
static int copy_attributes(struct record *to, const char *to_path, const struct record *from,
                           const char *path, const char *without)
{
    int rc = IAU_OK;
    for (int64_t i = 0; i < from->n_attribute && rc == IAU_OK; i++) {
        const struct record_attribute *a = &from->attribute[i];
        if (strcmp(a->path, path) != 0 || strcmp(a->name, without) == 0)
            continue;
        rc = a->type == RECORD_TEXT  ? record_set_text(to, to_path, a->name, a->text)
             : a->type == RECORD_I64 ? record_set_i64(to, to_path, a->name, a->i64)
                                     : record_set_f64(to, to_path, a->name, a->f64);
    }
    return rc;
}

/* A metric's ideal is a number, or a text on whose value it is. */
static int is_same_ideal(const struct record *r, const char *path, const struct record *s,
                         const char *other)
{
    const struct record_attribute *a = record_attribute_find(r, path, "ideal"),
                                  *b = record_attribute_find(s, other, "ideal");
    if (!a || !b || a->type != b->type)
        return a == b;
    return a->type == RECORD_TEXT ? strcmp(a->text, b->text) == 0 : a->f64 == b->f64;
}

/* Put the scalars below PREFIX into the last row's columns of GROUP. */
static int add_scalars(struct merge *m, const struct record *r, const char *prefix,
                       const char *group)
{
    int rc = IAU_OK;
    size_t n = strlen(prefix);
    for (int64_t i = 0; i < r->n_array; i++) {
        const struct record_array *a = &r->array[i];
        if (strncmp(a->path, prefix, n) != 0 || a->path[n] != '/' || a->ndim != 0)
            continue;
        struct column *c = find_column(m, group, a->path + n + 1);
        if (!c)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a column"));
        c->value[m->n_row - 1] = record_value(a, 0);
        if (c->about.n_attribute == 0) /* noise is that of a task */
            TRY(copy_attributes(&c->about, "/", r, a->path, "noise_floor"));
        else if (!is_same_ideal(&c->about, "/", r, a->path))
            c->ideals_differ = 1;
    }
out:
    return rc;
}

/* A row of a model, with nothing known of it yet. */
static int add_row(struct merge *m, int64_t task, const struct record *r, const char *name)
{
    char path[300];
    int rc = IAU_OK;
    TRY(grow(m));
    for (int i = 0; i < m->n_column; i++)
        m->column[i].value[m->n_row] = NAN;
    snprintf(path, sizeof path, "/methods/%s", name);
    struct row *row = &m->row[m->n_row++];
    *row = (struct row){task,
                        mem_strdup(name),
                        mem_strdup(record_text(r, path, "kind", "")),
                        mem_strdup(record_text(r, path, "origin", "")),
                        mem_strdup(record_text(r, path, "model_digest", "")),
                        mem_strdup(record_text(r, path, "failed", ""))};
    if (!row->model || !row->kind || !row->origin || !row->digest || !row->failed)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a row"));
out:
    return rc;
}

static int add_model(struct merge *m, int64_t task, const struct record *r, const char *name)
{
    char path[300];
    int rc = IAU_OK;
    TRY(add_row(m, task, r, name));
    snprintf(path, sizeof path, "/evaluation/%s", name);
    TRY(add_scalars(m, r, path, "/metrics"));
    snprintf(path, sizeof path, "/ranking/%s", name);
    TRY(add_scalars(m, r, path, "/ranking"));
    snprintf(path, sizeof path, "/cost/%s", name);
    TRY(add_scalars(m, r, path, "/cost"));
out:
    return rc;
}

/* A row a strength that was tried for a method. */
static int add_trials(struct merge *t, int64_t task, const struct record *r, const char *name)
{
    int rc = IAU_OK;
    char prefix[300];
    int64_t first = t->n_row;
    int n = snprintf(prefix, sizeof prefix, "/trials/%s/", name);
    for (int64_t i = 0; i < r->n_array; i++) {
        const struct record_array *a = &r->array[i];
        if (strncmp(a->path, prefix, (size_t)n) != 0 || a->ndim != 1)
            continue;
        while (t->n_row - first < a->dims[0])
            TRY(add_row(t, task, r, name));
        struct column *c = find_column(t, "/trials", a->path + n);
        if (!c)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a column"));
        for (int64_t k = 0; k < a->dims[0]; k++)
            c->value[first + k] = record_value(a, k);
    }
out:
    return rc;
}

/* One model of a task's results, or why there is none. */
static int add_rows(struct tables *t, int64_t task, const struct record *r, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/methods/%s", name);
    const char *reason = record_text(r, path, "failed", NULL);
    if (reason) {
        log_warn("task %lld has no row of %s, which failed: %s", (long long)task, name, reason);
        return add_row(&t->failed, task, r, name);
    }
    int rc = add_model(&t->models, task, r, name);
    return rc == IAU_OK ? add_trials(&t->trials, task, r, name) : rc;
}

/* The models of a task in the order of its stages: origins, twins, methods. */
static int add_task(struct tables *t, const struct campaign *c, int64_t task)
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

/* --- writing */

/* A text of every row as a column; `pick` says which. */
static int write_texts(const struct merge *m, struct record *out, const char *path,
                       const char *(*pick)(const struct merge *, int64_t, int), int axis)
{
    const char **text = mem_alloc(m->n_row, sizeof *text);
    if (!text)
        return FAIL(IAU_ERR_MEM, "no memory for a column");
    for (int64_t i = 0; i < m->n_row; i++)
        text[i] = pick(m, i, axis);
    int rc = record_add_texts(out, path, m->n_row, text);
    free(text);
    return rc;
}

static const char *pick_name(const struct merge *m, int64_t i, int which)
{
    const struct row *r = &m->row[i];
    const char *const text[] = {r->model, r->kind, r->origin, r->digest, r->failed};
    return text[which];
}

static const char *pick_setting(const struct merge *m, int64_t i, int axis)
{
    return grid_value(&m->c->grid, m->row[i].task, axis);
}

/* What varies, as the setting's own type: integers and reals as numbers, the rest as words. */
static int write_setting(const struct merge *m, struct record *out, int axis)
{
    const struct grid_axis *a = &m->c->grid.axis[axis];
    const struct setting *s = config_find_row(a->key);
    char path[300];
    snprintf(path, sizeof path, "/settings/%s", a->key);
    if (s->type != SETTING_INT && s->type != SETTING_REAL)
        return write_texts(m, out, path, pick_setting, axis);
    int64_t *i64 = mem_alloc(m->n_row, sizeof *i64);
    double *f64 = mem_alloc(m->n_row, sizeof *f64);
    int rc = i64 && f64 ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a column");
    for (int64_t i = 0; i < m->n_row && rc == IAU_OK; i++) {
        i64[i] = strtoll(pick_setting(m, i, axis), NULL, 10);
        f64[i] = strtod(pick_setting(m, i, axis), NULL);
    }
    if (rc == IAU_OK)
        rc = s->type == SETTING_INT ? record_add_column(out, path, RECORD_I64, m->n_row, i64)
                                    : record_add_column(out, path, RECORD_F64, m->n_row, f64);
    free(i64);
    free(f64);
    return rc;
}

static int write_tasks(const struct merge *m, struct record *out, const char *path)
{
    int64_t *task = mem_alloc(m->n_row, sizeof *task);
    if (!task)
        return FAIL(IAU_ERR_MEM, "no memory for a column");
    for (int64_t i = 0; i < m->n_row; i++)
        task[i] = m->row[i].task;
    int rc = record_add_column(out, path, RECORD_I64, m->n_row, task);
    free(task);
    return rc;
}

static int write_columns(const struct merge *m, struct record *out)
{
    int rc = IAU_OK;
    for (int i = 0; i < m->n_column; i++) {
        const struct column *c = &m->column[i];
        TRY(record_add_column(out, c->path, RECORD_F64, m->n_row, c->value));
        TRY(copy_attributes(out, c->path, &c->about, "/", c->ideals_differ ? "ideal" : ""));
    }
out:
    return rc;
}

static int write_rows(const struct merge *m, struct record *out)
{
    static const char *const names[] = {"/row/model", "/row/kind", "/row/origin",
                                        "/row/model_digest"};
    int rc = IAU_OK;
    TRY(write_tasks(m, out, "/row/task"));
    for (int i = 0; i < 4; i++)
        TRY(write_texts(m, out, names[i], pick_name, i));
    for (int i = 0; i < m->c->grid.n_axis; i++)
        TRY(write_setting(m, out, i));
    TRY(write_columns(m, out));
out:
    return rc;
}

static int write_trials(const struct merge *t, struct record *out)
{
    int rc = IAU_OK;
    if (t->n_row == 0)
        return IAU_OK;
    TRY(write_tasks(t, out, "/trials/task"));
    TRY(write_texts(t, out, "/trials/model", pick_name, 0));
    TRY(write_columns(t, out));
out:
    return rc;
}

static int write_failed(const struct merge *f, struct record *out)
{
    int rc = IAU_OK;
    if (f->n_row == 0)
        return IAU_OK;
    TRY(write_tasks(f, out, "/failed/task"));
    TRY(write_texts(f, out, "/failed/model", pick_name, 0));
    TRY(write_texts(f, out, "/failed/reason", pick_name, 4));
out:
    return rc;
}

static int write_file(const struct tables *t, const struct campaign *c, const char *path,
                      int64_t n_merged)
{
    int rc = IAU_OK;
    char digest[DIGEST_CHARS];
    struct record out = {0};
    TRY(write_rows(&t->models, &out));
    TRY(write_trials(&t->trials, &out));
    TRY(write_failed(&t->failed, &out));
    TRY(format_digest(CAMPAIGN_FORMAT, &out, digest));
    TRY(record_set_text(&out, "/", "format", CAMPAIGN_FORMAT));
    TRY(record_set_text(&out, "/", "digest", digest));
    TRY(record_set_i64(&out, "/", "tasks", c->grid.n_task));
    TRY(record_set_i64(&out, "/", "tasks_merged", n_merged));
    TRY(record_set_text(&out, "/provenance", "config", c->text));
    TRY(record_set_text(&out, "/provenance", "version", version_text()));
    TRY(record_write(&out, path));
out:
    record_free(&out);
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
    struct tables t = {.models.c = c, .trials.c = c, .failed.c = c};
    char *done = mem_alloc(c->grid.n_task, 1), *path = job_path(c->dir, "campaign", ".h5");
    if (!done || !path)
        TRY(FAIL(IAU_ERR_MEM, "no memory to merge"));
    TRY(find_done(c, done, &n_done));
    TRY(format_check_target(path, CAMPAIGN_FORMAT, c->cli->force));
    for (int64_t k = 0; k < c->grid.n_task; k++)
        if (done[k])
            TRY(add_task(&t, c, k));
    TRY(write_file(&t, c, path, n_done));
    log_line("%lld tasks, %lld rows: %s", (long long)n_done, (long long)t.models.n_row, path);
out:
    merge_free(&t.models);
    merge_free(&t.trials);
    merge_free(&t.failed);
    free(done);
    free(path);
    return rc;
}
