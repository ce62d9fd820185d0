/* campaign.h5, one row a task and model: columns of settings, metrics and costs. */
#include <stdio.h>
#include <stdlib.h>

#include "app/campaign_table.h"
#include "app/config_table.h"
#include "app/version.h"
#include "core/error.h"
#include "core/memory.h"
#include "io/formats.h"

/* A text of every row as a column; `pick` says which. */
static int write_texts(const struct campaign_table *m, struct record *out, const char *path,
                       const char *(*pick)(const struct campaign_table *, int64_t, int), int axis)
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

static const char *pick_name(const struct campaign_table *m, int64_t i, int which)
{
    const struct campaign_row *r = &m->row[i];
    const char *const text[] = {r->model, r->kind, r->origin, r->digest, r->failed};
    return text[which];
}

static const char *pick_setting(const struct campaign_table *m, int64_t i, int axis)
{
    return grid_value(&m->c->grid, m->row[i].task, axis);
}

/* What varies, as the setting's own type: integers and reals as numbers, the rest as words. */
static int write_setting(const struct campaign_table *m, struct record *out, int axis)
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

static int write_tasks(const struct campaign_table *m, struct record *out, const char *path)
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

static int write_columns(const struct campaign_table *m, struct record *out)
{
    int rc = IAU_OK;
    for (int i = 0; i < m->n_column; i++) {
        const struct campaign_column *c = &m->column[i];
        TRY(record_add_column(out, c->path, RECORD_F64, m->n_row, c->value));
        TRY(campaign_copy_attributes(out, c->path, &c->about, "/",
                                     c->ideals_differ ? "ideal" : ""));
    }
out:
    return rc;
}

static int write_rows(const struct campaign_table *m, struct record *out)
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

static int write_trials(const struct campaign_table *t, struct record *out)
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

static int write_failed(const struct campaign_table *f, struct record *out)
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

int campaign_write(const struct campaign_tables *t, const struct campaign *c, const char *path,
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
