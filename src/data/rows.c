/* Rows of a dataset file: picked out of windows that are read as a whole. */
#include "data/rows.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/poison.h"
#include "dataset_private.h"

/* A read goes on over rows that nobody wants as long as these take less than another read would. */
enum { WINDOW_ROWS = 2048, GAP_BYTES = 64 << 10 };

size_t dataset_sample_bytes(const struct dataset *d)
{
    return (size_t)d->c * (size_t)d->h * (size_t)d->w * (d->is_u8 ? 1 : sizeof(float));
}

static int64_t window_rows(size_t row_bytes)
{
    int64_t window = DATASET_WINDOW_BYTES / (int64_t)row_bytes;
    return window < 1 ? 1 : window > WINDOW_ROWS ? WINDOW_ROWS : window;
}

/* Copy the rows at row[0..n) of an array to `out`. A window that is wanted whole goes there
 * directly, any other through `buffer`, which holds one window. */
static int pick_rows(const struct h5_array *a, const int64_t *row, int64_t n, size_t row_bytes,
                     char *buffer, int is_known, char *out)
{
    int64_t window = window_rows(row_bytes), gap = 1 + GAP_BYTES / (int64_t)row_bytes;
    if (n && (row[0] < 0 || row[n - 1] >= a->dims[0]))
        return FAIL(IAU_ERR_DATA, "%s: %s has no row %lld", a->file->path, a->path,
                    (long long)(row[0] < 0 ? row[0] : row[n - 1]));
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && row[j] - row[i] < window && row[j] - row[j - 1] <= gap; j++)
            REQUIRE(row[j] > row[j - 1]);
        int64_t span = row[j - 1] - row[i] + 1;
        char *to = out + (size_t)i * row_bytes, *from = span == j - i ? to : buffer;
        int rc = is_known ? h5_array_read_known(a, row[i], span, from)
                          : h5_array_read(a, row[i], span, from);
        if (rc != IAU_OK)
            return rc;
        if (from == to)
            continue;
        for (int64_t k = i; k < j; k++)
            memcpy(to + (size_t)(k - i) * row_bytes, from + (size_t)(row[k] - row[i]) * row_bytes,
                   row_bytes);
    }
    return IAU_OK;
}

/* --- the samples */

int row_reader_open(struct row_reader *q, const struct dataset *d, enum dataset_part part)
{
    int rc = IAU_OK;
    *q = (struct row_reader){.dataset = d, .part = part, .row_bytes = dataset_sample_bytes(d)};
    TRY(dataset_reopen(&q->file, d));
    TRY(dataset_open_array(&q->x, &q->file, part, "x"));
    q->buffer = mem_alloc(window_rows(q->row_bytes), q->row_bytes);
    if (!q->buffer)
        rc = FAIL(IAU_ERR_MEM, "no memory to read %s", d->path);
out:
    if (rc != IAU_OK)
        row_reader_close(q);
    return rc;
}

static int check_finite(const struct row_reader *q, const int64_t *row, int64_t n, const float *x)
{
    int64_t n_value = (int64_t)(q->row_bytes / sizeof *x);
    for (int64_t i = 0; i < n; i++, x += n_value) {
        int bad = 0;
        for (int64_t k = 0; k < n_value; k++)
            bad |= !(fabsf(x[k]) <= FLT_MAX);
        if (bad)
            return FAIL(IAU_ERR_FORMAT, "%s: a value in row %lld of /%s/x is not finite",
                        q->dataset->path, (long long)row[i], dataset_part_name(q->part));
    }
    return IAU_OK;
}

int row_reader_read(struct row_reader *q, const int64_t *row, int64_t n, void *x, int is_known)
{
    int rc = pick_rows(&q->x, row, n, q->row_bytes, q->buffer, is_known, x);
    return rc != IAU_OK || is_known || q->dataset->is_u8 ? rc : check_finite(q, row, n, x);
}

void row_reader_close(struct row_reader *q)
{
    free(q->buffer);
    h5_array_close(&q->x);
    h5_close(&q->file);
    *q = (struct row_reader){0};
}

/* --- labels, ids, and all of it */

static int load_column(const struct h5 *f, enum dataset_part part, const char *name,
                       const int64_t *row, int64_t n, size_t row_bytes, void *out)
{
    struct h5_array a;
    int rc = dataset_open_array(&a, f, part, name);
    if (rc != IAU_OK)
        return rc;
    char *buffer = mem_alloc(window_rows(row_bytes), row_bytes);
    rc = buffer ? pick_rows(&a, row, n, row_bytes, buffer, 0, out)
                : FAIL(IAU_ERR_MEM, "no memory to read %s", f->path);
    free(buffer);
    h5_array_close(&a);
    return rc;
}

int rows_load_columns(struct rows *r, const struct dataset *d, enum dataset_part part,
                      const int64_t *row, int64_t n, int with_ids)
{
    struct h5 f = {0};
    int rc = IAU_OK;
    *r = (struct rows){.part = part, .n = n, .sample_bytes = dataset_sample_bytes(d)};
    r->label = mem_alloc(n, sizeof *r->label);
    r->id = with_ids ? mem_alloc(n, sizeof *r->id) : NULL;
    if (!r->label || (with_ids && !r->id))
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld rows of %s", (long long)n, d->path));
    TRY(dataset_reopen(&f, d));
    TRY(load_column(&f, part, "y", row, n, sizeof *r->label, r->label));
    for (int64_t i = 0; i < n; i++)
        TRY(dataset_check_label(d, part, r->label[i], row[i]));
    if (d->poison && part == PART_TRAIN)
        poison_apply(d->poison, row, n, r->label);
    if (with_ids)
        TRY(load_column(&f, part, "id", row, n, sizeof *r->id, r->id));
out:
    h5_close(&f);
    if (rc != IAU_OK)
        rows_free(r);
    return rc;
}

static int load(struct rows *r, const struct dataset *d, enum dataset_part part, const int64_t *row,
                int64_t n, int with_ids)
{
    struct row_reader q = {0};
    int rc = rows_load_columns(r, d, part, row, n, with_ids);
    if (rc != IAU_OK)
        return rc;
    r->x = mem_alloc(n, r->sample_bytes);
    if (!r->x)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld rows of %s", (long long)n, d->path));
    TRY(row_reader_open(&q, d, part));
    TRY(row_reader_read(&q, row, n, r->x, 0));
out:
    row_reader_close(&q);
    if (rc != IAU_OK)
        rows_free(r);
    return rc;
}

int rows_load(struct rows *r, const struct dataset *d, enum dataset_part part, const int64_t *row,
              int64_t n)
{
    return load(r, d, part, row, n, 0);
}

int rows_load_with_ids(struct rows *r, const struct dataset *d, enum dataset_part part,
                       const int64_t *row, int64_t n)
{
    return load(r, d, part, row, n, 1);
}

void rows_free(struct rows *r)
{
    free(r->x);
    free(r->label);
    free(r->id);
    *r = (struct rows){0};
}
