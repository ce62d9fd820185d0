/* Tables with a header: one column of labels, one of ids if wanted, and numbers in all others. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/reader.h"

struct csv {
    int n_column;
    char **column;       /* owned, each owned: names, as in the first file's header */
    int at_label, at_id; /* columns; at_id is -1 without ids */
    struct import_classes classes;
    enum dataset_part part; /* of the pass, and in it */
    int64_t file;           /* the file that is open, */
    struct import_text text;
    int64_t row; /* and the row that comes next */
};

static const struct text_list *files_of(const struct import_reader *r, enum dataset_part part)
{
    return part == PART_TEST ? &r->opts->test_files : &r->opts->files;
}

/* --- header */

static int add_column(struct csv *s, const char *name)
{
    char **more = realloc(s->column, (size_t)(s->n_column + 1) * sizeof *more);
    char *copy = mem_strdup(name);
    if (more)
        s->column = more;
    if (!more || !copy) {
        free(copy);
        return FAIL(IAU_ERR_MEM, "no memory for the names of columns");
    }
    s->column[s->n_column++] = copy;
    return IAU_OK;
}

/* The column of a name; -1 if it is not there, -2 if it is there twice. */
static int find_column(const struct csv *s, const char *name)
{
    int at = -1;
    for (int i = 0; i < s->n_column; i++)
        if (strcmp(s->column[i], name) == 0)
            at = at == -1 ? i : -2;
    return at;
}

static int choose_column(const struct csv *s, const char *path, const char *option,
                         const char *name, int *at)
{
    char some[160] = "";
    *at = find_column(s, name);
    if (*at >= 0)
        return IAU_OK;
    if (*at == -2)
        return FAIL(IAU_ERR_DATA, "%s has more than one column '%s'", path, name);
    for (int i = 0; i < s->n_column && strlen(some) + 4 < sizeof some; i++)
        snprintf(some + strlen(some), sizeof some - strlen(some), "%s%s", i ? ", " : "",
                 s->column[i]);
    return FAIL(IAU_ERR_DATA, "%s has no column '%s' (--%s, data.source.%s); it has %s%s", path,
                name, option, option, some, strlen(some) + 4 < sizeof some ? "" : "...");
}

/* The header of the first file is learned; others must be the same. */
static int read_header(struct csv *s)
{
    char *at, *field;
    const char *path = s->text.file.path;
    int n = 0, is_first = s->n_column == 0;
    int rc = import_text_next(&s->text, &at);
    if (rc == IAU_OK && !at)
        rc = FAIL(IAU_ERR_FORMAT, "%s holds no header", path);
    for (; rc == IAU_OK && at; n++) {
        if (!import_text_field(&at, &field))
            return FAIL(IAU_ERR_FORMAT, "%s:%lld: wrong quotes in the header", path,
                        (long long)s->text.line);
        if (is_first)
            rc = add_column(s, field);
        else if (n >= s->n_column || strcmp(field, s->column[n]) != 0)
            return FAIL(IAU_ERR_DATA, "%s: column %d is '%s', not '%s' as in the first file", path,
                        n + 1, field, n < s->n_column ? s->column[n] : "the end");
    }
    if (rc == IAU_OK && n < s->n_column)
        rc = FAIL(IAU_ERR_DATA, "%s has %d columns, the first file has %d", path, n, s->n_column);
    return rc;
}

static int open_file(struct csv *s, const char *path)
{
    import_text_close(&s->text);
    int rc = import_text_open(&s->text, path);
    return rc == IAU_OK ? read_header(s) : rc;
}

static int choose_columns(struct import_reader *r, struct csv *s)
{
    const char *path = r->opts->files.v[0];
    const char *label = source_has(r->opts->y) ? r->opts->y : "label";
    int rc = IAU_OK;
    s->at_id = -1;
    TRY(choose_column(s, path, "y", label, &s->at_label));
    if (source_has(r->opts->id))
        TRY(choose_column(s, path, "id", r->opts->id, &s->at_id));
    if (s->at_id == s->at_label)
        TRY(FAIL(IAU_ERR_USAGE, "column '%s' is named for labels and for ids", label));
    r->has_ids = s->at_id >= 0;
    r->ndim = 1;
    r->dims[0] = s->n_column - 1 - r->has_ids;
    if (r->dims[0] < 1)
        rc = FAIL(IAU_ERR_DATA, "%s has no columns of numbers", path);
out:
    return rc;
}

/* --- rows */

static int wrong_field(const struct csv *s, int column, const char *text, const char *what)
{
    return FAIL(IAU_ERR_FORMAT, "%s:%lld: column '%s': '%.40s' is %s", s->text.file.path,
                (long long)s->text.line, s->column[column], text, what);
}

static int put_number(const struct csv *s, int column, const char *text, float *x)
{
    double value;
    if (!import_number(text, &value))
        return wrong_field(s, column, text, *text ? "no number" : "empty, not a number");
    if (fabs(value) > FLT_MAX)
        return wrong_field(s, column, text, "too large for float32");
    *x = (float)value;
    return IAU_OK;
}

static int put_label(const struct csv *s, const char *text, int32_t *label)
{
    *label = import_classes_find(&s->classes, text);
    return *label >= 0 ? IAU_OK
                       : wrong_field(s, s->at_label, text, "no label of the training part");
}

/* One record, cut into fields. What is not wanted is not looked at, but counted. */
static int parse_record(const struct import_reader *r, char *at, float *x, int32_t *label,
                        int64_t *id)
{
    const struct csv *s = r->state;
    int n = 0;
    char *field;
    for (; at; n++) {
        int rc = IAU_OK;
        if (!import_text_field(&at, &field))
            return FAIL(IAU_ERR_FORMAT, "%s:%lld: wrong quotes in field %d", s->text.file.path,
                        (long long)s->text.line, n + 1);
        if (n >= s->n_column)
            continue;
        if (n == s->at_label)
            rc = label ? put_label(s, field, label) : IAU_OK;
        else if (n == s->at_id)
            rc = id && !import_integer(field, id)
                     ? wrong_field(s, n, field, "no integer of 64 bits")
                     : IAU_OK;
        else if (x)
            rc = put_number(s, n, field, x++);
        if (rc != IAU_OK)
            return rc;
    }
    return n == s->n_column ? IAU_OK
                            : FAIL(IAU_ERR_FORMAT, "%s:%lld: %d fields, the header has %d",
                                   s->text.file.path, (long long)s->text.line, n, s->n_column);
}

/* The label of a record, which is cut up to it. */
static int label_of(const struct csv *s, char *at, char **label)
{
    for (int i = 0; i <= s->at_label; i++)
        if (!at || !import_text_field(&at, label))
            return FAIL(IAU_ERR_FORMAT, "%s:%lld: %s", s->text.file.path, (long long)s->text.line,
                        at ? "wrong quotes" : "the row ends before its label");
    return **label ? IAU_OK : wrong_field(s, s->at_label, *label, "empty, not a label");
}

/* Read one file to its end: how many rows, and which labels. */
static int survey(struct import_reader *r, enum dataset_part part)
{
    struct csv *s = r->state;
    char *at, *label;
    int rc = IAU_OK;
    for (int64_t n = 0;; n++) {
        TRY(import_text_next(&s->text, &at));
        if (!at)
            break;
        if (part == PART_TRAIN) {
            TRY(label_of(s, at, &label));
            TRY(import_classes_add(&s->classes, label, s->text.file.path));
        }
        r->n[part]++;
        if (n % 4096 == 0)
            log_progress("import: looking at %s, line %lld", s->text.file.path,
                         (long long)s->text.line);
    }
out:
    return rc;
}

static int open_csv(struct import_reader *r)
{
    int rc = IAU_OK;
    struct csv *s = mem_alloc(1, sizeof *s);
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read tables");
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        const struct text_list *files = files_of(r, part);
        for (int64_t i = 0; i < files->n; i++) {
            TRY(open_file(s, files->v[i]));
            if (part == PART_TRAIN && i == 0)
                TRY(choose_columns(r, s));
            TRY(survey(r, part));
        }
        if (files->n && r->n[part] == 0)
            TRY(FAIL(IAU_ERR_DATA, "%s holds a header and no rows", files->v[files->n - 1]));
    }
    TRY(import_classes_sort(&s->classes, r->opts->files.v[0]));
    r->n_class = s->classes.n;
    r->class_name = (const char *const *)s->classes.name;
out:
    return rc;
}

static int start_csv(struct import_reader *r, enum dataset_part part)
{
    struct csv *s = r->state;
    s->part = part;
    s->file = 0;
    s->row = 0;
    return open_file(s, files_of(r, part)->v[0]);
}

/* The next record of the part, in whatever file. */
static int next_record(struct import_reader *r, char **at)
{
    struct csv *s = r->state;
    const struct text_list *files = files_of(r, s->part);
    int rc = import_text_next(&s->text, at);
    while (rc == IAU_OK && !*at && s->file + 1 < files->n) {
        rc = open_file(s, files->v[++s->file]);
        if (rc == IAU_OK)
            rc = import_text_next(&s->text, at);
    }
    return rc;
}

static int next_csv(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct csv *s = r->state;
    int64_t d = r->dims[0];
    int wanted = to->x || to->label || to->id, rc = IAU_OK;
    char *at;
    for (int64_t i = 0; i < n; i++) {
        TRY(next_record(r, &at));
        if (!at)
            break;
        if (wanted)
            TRY(parse_record(r, at, to->x ? (float *)to->x + i * d : NULL,
                             to->label ? to->label + i : NULL, to->id ? to->id + i : NULL));
        s->row++;
    }
    if (s->row == r->n[s->part])
        TRY(next_record(r, &at));
    if (!at != (s->row == r->n[s->part]))
        rc = FAIL(IAU_ERR_FORMAT, "%s has changed while it was read", s->text.file.path);
out:
    return rc;
}

static void close_csv(struct import_reader *r)
{
    struct csv *s = r->state;
    if (!s)
        return;
    import_text_close(&s->text);
    import_classes_free(&s->classes);
    for (int i = 0; i < s->n_column; i++)
        free(s->column[i]);
    free(s->column);
    free(s);
    r->state = NULL;
}

const struct import_format import_csv = {
    .name = "csv",
    .help = "tables with a header, gzip or not, comma-separated, text in quotes where need be: a "
            "column of labels (--y; by default 'label'), which become classes under their own "
            "names, perhaps one of ids (--id), and numbers in all others",
    .takes = TAKES_TEST_FILES | TAKES_Y | TAKES_ID,
    .open = open_csv,
    .start = start_csv,
    .next = next_csv,
    .close = close_csv,
};
