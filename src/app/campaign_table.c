/* Rows and columns that grow with the results of tasks. */
#include "app/campaign_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

void campaign_table_free(struct campaign_table *m)
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

/* Room for another row in every column. */
static int grow(struct campaign_table *m)
{
    if (m->n_row < m->room)
        return IAU_OK;
    int64_t room = m->room ? 2 * m->room : 64;
    struct campaign_row *row = realloc(m->row, (size_t)room * sizeof *row);
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
static struct campaign_column *find_column(struct campaign_table *m, const char *group,
                                           const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", group, name);
    for (int i = 0; i < m->n_column; i++)
        if (strcmp(m->column[i].path, path) == 0)
            return &m->column[i];
    struct campaign_column *more = realloc(m->column, (size_t)(m->n_column + 1) * sizeof *more);
    if (!more)
        return NULL;
    m->column = more;
    struct campaign_column *c = &more[m->n_column];
    *c = (struct campaign_column){mem_strdup(path), mem_alloc(m->room, sizeof *c->value), {0}, 0};
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
int campaign_copy_attributes(struct record *to, const char *to_path, const struct record *from,
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
static int add_scalars(struct campaign_table *m, const struct record *r, const char *prefix,
                       const char *group)
{
    int rc = IAU_OK;
    size_t n = strlen(prefix);
    for (int64_t i = 0; i < r->n_array; i++) {
        const struct record_array *a = &r->array[i];
        if (strncmp(a->path, prefix, n) != 0 || a->path[n] != '/' || a->ndim != 0)
            continue;
        struct campaign_column *c = find_column(m, group, a->path + n + 1);
        if (!c)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a column"));
        c->value[m->n_row - 1] = record_value(a, 0);
        if (c->about.n_attribute == 0) /* noise is that of a task */
            TRY(campaign_copy_attributes(&c->about, "/", r, a->path, "noise_floor"));
        else if (!is_same_ideal(&c->about, "/", r, a->path))
            c->ideals_differ = 1;
    }
out:
    return rc;
}

/* A row of a model, with nothing known of it yet. */
int campaign_table_add_row(struct campaign_table *m, int64_t task, const struct record *r,
                           const char *name)
{
    char path[300];
    int rc = IAU_OK;
    TRY(grow(m));
    for (int i = 0; i < m->n_column; i++)
        m->column[i].value[m->n_row] = NAN;
    snprintf(path, sizeof path, "/methods/%s", name);
    struct campaign_row *row = &m->row[m->n_row++];
    *row = (struct campaign_row){task,
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

int campaign_table_add_model(struct campaign_table *m, int64_t task, const struct record *r,
                             const char *name)
{
    char path[300];
    int rc = IAU_OK;
    TRY(campaign_table_add_row(m, task, r, name));
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
int campaign_table_add_trials(struct campaign_table *t, int64_t task, const struct record *r,
                              const char *name)
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
            TRY(campaign_table_add_row(t, task, r, name));
        struct campaign_column *c = find_column(t, "/trials", a->path + n);
        if (!c)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a column"));
        for (int64_t k = 0; k < a->dims[0]; k++)
            c->value[first + k] = record_value(a, k);
    }
out:
    return rc;
}
