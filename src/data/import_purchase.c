/* Purchase100, Location and Texas100 as published: lines of a label, counted from 1 and perhaps in
 * quotes, and binary features; or one file of features and one of labels. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/reader.h"

enum { MOST_CLASSES = 1 << 16 };

struct purchase {
    struct import_text features; /* behind the label of a line, unless there is a file of labels */
    struct import_text labels;   /* closed if there is none */
    enum dataset_part part;      /* of the pass */
    int64_t row;                 /* that comes next in it */
};

static const struct text_list *files_of(const struct import_reader *r, enum dataset_part part)
{
    return part == PART_TEST ? &r->opts->test_files : &r->opts->files;
}

static int open_part(const struct import_reader *r, enum dataset_part part)
{
    struct purchase *s = r->state;
    const struct text_list *files = files_of(r, part);
    import_text_close(&s->features);
    import_text_close(&s->labels);
    int rc = import_text_open(&s->features, files->v[0]);
    return rc == IAU_OK && files->n == 2 ? import_text_open(&s->labels, files->v[1]) : rc;
}

static int wrong_field(const struct import_text *t, int column, const char *field, const char *what)
{
    return FAIL(IAU_ERR_FORMAT, "%s:%lld: column %d: '%.40s' is %s", t->file.path,
                (long long)t->line, column, field, what);
}

static int next_field(const struct import_text *t, char **at, int column, char **field)
{
    return import_text_field(at, field) ? IAU_OK
                                        : FAIL(IAU_ERR_FORMAT, "%s:%lld: column %d: wrong quotes",
                                               t->file.path, (long long)t->line, column);
}

/* The label that *at points to, from 0. */
static int read_label(const struct import_text *t, char **at, int32_t *label)
{
    char *field;
    int64_t value;
    int rc = next_field(t, at, 1, &field);
    if (rc != IAU_OK)
        return rc;
    if (!import_integer(field, &value) || value < 1 || value > MOST_CLASSES)
        return wrong_field(t, 1, field, "no label; they count from 1");
    *label = (int32_t)value - 1;
    return IAU_OK;
}

/* The next row: its label, and where its features are; *at is NULL after the last one. */
static int next_row(const struct import_reader *r, char **at, int32_t *label)
{
    struct purchase *s = r->state;
    char *text;
    int rc = import_text_next(&s->features, at);
    if (rc != IAU_OK || (!s->labels.buffer && !*at))
        return rc;
    if (!s->labels.buffer) {
        rc = read_label(&s->features, at, label);
        return rc == IAU_OK && !*at ? FAIL(IAU_ERR_FORMAT, "%s:%lld: a label without features",
                                           s->features.file.path, (long long)s->features.line)
                                    : rc;
    }
    rc = import_text_next(&s->labels, &text);
    if (rc == IAU_OK && !text != !*at)
        return FAIL(IAU_ERR_DATA, "%s and %s differ in their number of lines",
                    s->features.file.path, s->labels.file.path);
    if (rc != IAU_OK || !text)
        return rc;
    rc = read_label(&s->labels, &text, label);
    return rc == IAU_OK && text ? FAIL(IAU_ERR_FORMAT, "%s:%lld: more than a label",
                                       s->labels.file.path, (long long)s->labels.line)
                                : rc;
}

/* Rows of a part, and classes up to the largest label of the training part. */
static int survey(struct import_reader *r, enum dataset_part part)
{
    struct purchase *s = r->state;
    char *at;
    int32_t label;
    int rc = open_part(r, part);
    while (rc == IAU_OK && (rc = next_row(r, &at, &label)) == IAU_OK && at) {
        if (r->n[PART_TRAIN] == 0) { /* how many features */
            r->dims[0] = 1;
            for (const char *p = at; (p = strchr(p, ',')); p++)
                r->dims[0]++;
        }
        if (part == PART_TRAIN && label >= r->n_class)
            r->n_class = label + 1;
        if (r->n[part]++ % 4096 == 0)
            log_progress("import: looking at %s, line %lld", s->features.file.path,
                         (long long)s->features.line);
    }
    if (rc == IAU_OK && r->n[part] == 0)
        rc = FAIL(IAU_ERR_FORMAT, "%s holds no rows", s->features.file.path);
    return rc;
}

static int open_purchase(struct import_reader *r)
{
    int rc = IAU_OK;
    r->state = mem_alloc(1, sizeof(struct purchase));
    if (!r->state)
        return FAIL(IAU_ERR_MEM, "no memory to read purchases");
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        if (files_of(r, part)->n > 2)
            return FAIL(IAU_ERR_USAGE,
                        "purchase takes one file, or one of features and one of labels, not %lld",
                        (long long)files_of(r, part)->n);
    r->ndim = 1;
    r->is_u8 = 1;
    r->n_class = 2;
    TRY(survey(r, PART_TRAIN));
    if (r->opts->test_files.n)
        TRY(survey(r, PART_TEST));
out:
    return rc;
}

static int start_purchase(struct import_reader *r, enum dataset_part part)
{
    struct purchase *s = r->state;
    s->part = part;
    s->row = 0;
    return open_part(r, part);
}

/* A feature that is not the one character of the common case. */
static int odd_feature(const struct import_text *t, char **at, int column, uint8_t *x)
{
    char *field;
    double value;
    int rc = next_field(t, at, column, &field);
    if (rc != IAU_OK)
        return rc;
    if (!import_number(field, &value) || (value != 0 && value != 1))
        return wrong_field(t, column, field, "neither 0 nor 1");
    *x = value == 1;
    return IAU_OK;
}

static int read_features(const struct import_reader *r, char *at, uint8_t *x)
{
    const struct purchase *s = r->state;
    int64_t d = r->dims[0], n = 0;
    int first = s->labels.buffer ? 1 : 2; /* number of the first feature's column */
    for (; at; n++) {
        if (n == d)
            break;
        if ((at[0] == '0' || at[0] == '1') && (at[1] == ',' || !at[1])) {
            x[n] = at[0] == '1';
            at = at[1] ? at + 2 : NULL;
            continue;
        }
        int rc = odd_feature(&s->features, &at, (int)n + first, &x[n]);
        if (rc != IAU_OK)
            return rc;
    }
    if (n < d || at)
        return FAIL(IAU_ERR_FORMAT, "%s:%lld: %s features than in the first line, which has %lld",
                    s->features.file.path, (long long)s->features.line, at ? "more" : "fewer",
                    (long long)d);
    return IAU_OK;
}

static int unknown_label(const struct import_reader *r, int32_t label)
{
    const struct purchase *s = r->state;
    const struct import_text *t = s->labels.buffer ? &s->labels : &s->features;
    return FAIL(IAU_ERR_FORMAT, "%s:%lld: label %d is not in 1..%d, those of the training part",
                t->file.path, (long long)t->line, label + 1, r->n_class);
}

static int next_purchase(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct purchase *s = r->state;
    int rc = IAU_OK;
    int32_t label;
    char *at;
    for (int64_t i = 0; i < n; i++) {
        TRY(next_row(r, &at, &label));
        if (!at)
            break;
        if (label >= r->n_class)
            TRY(unknown_label(r, label));
        if (to->label)
            to->label[i] = label;
        if (to->x)
            TRY(read_features(r, at, (uint8_t *)to->x + i * r->dims[0]));
        s->row++;
    }
    if (s->row == r->n[s->part])
        TRY(next_row(r, &at, &label));
    if (!at != (s->row == r->n[s->part]))
        rc = FAIL(IAU_ERR_FORMAT, "%s has changed while it was read", s->features.file.path);
out:
    return rc;
}

static void close_purchase(struct import_reader *r)
{
    struct purchase *s = r->state;
    if (!s)
        return;
    import_text_close(&s->features);
    import_text_close(&s->labels);
    free(s);
    r->state = NULL;
}

const struct import_format import_purchase = {
    .name = "purchase",
    .help =
        "Purchase100, Location, Texas100 as published, gzip or not: a file of lines with a label "
        "from 1 on (in quotes or not) and features 0 or 1, comma-separated; or two files, the "
        "features and the labels",
    .takes = TAKES_TEST_FILES,
    .open = open_purchase,
    .start = start_purchase,
    .next = next_purchase,
    .close = close_purchase,
};
