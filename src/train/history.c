/* A growing table of named columns. */
#include "train/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

void history_init(struct history *h, const char *const *name)
{
    *h = (struct history){.name = name};
    while (name[h->n_column])
        h->n_column++;
    REQUIRE(h->n_column <= HISTORY_MAX_COLUMNS);
}

void history_free(struct history *h)
{
    free(h->value);
    *h = (struct history){0};
}

int history_add(struct history *h, const double *row)
{
    if (h->n_row == h->capacity) {
        int64_t capacity = h->capacity ? 2 * h->capacity : 64;
        double *value = realloc(h->value, (size_t)(capacity * h->n_column) * sizeof *value);
        if (!value)
            return FAIL(IAU_ERR_MEM, "no memory for a history of %lld rows", (long long)capacity);
        h->value = value;
        h->capacity = capacity;
    }
    memcpy(h->value + h->n_row++ * h->n_column, row, (size_t)h->n_column * sizeof *row);
    return IAU_OK;
}

int history_to_record(const struct history *h, struct record *r, const char *prefix)
{
    int rc = IAU_OK;
    char path[128];
    double *column = mem_alloc(h->n_row, sizeof *column);
    if (!column)
        return FAIL(IAU_ERR_MEM, "no memory for a history of %lld rows", (long long)h->n_row);
    for (int c = 0; c < h->n_column; c++) {
        for (int64_t i = 0; i < h->n_row; i++)
            column[i] = h->value[i * h->n_column + c];
        snprintf(path, sizeof path, "%s/%s", prefix, h->name[c]);
        TRY(record_add_column(r, path, RECORD_F64, h->n_row, column));
    }
out:
    free(column);
    return rc;
}

int history_from_record(struct history *h, const struct record *r, const char *file,
                        const char *prefix)
{
    char path[128];
    const struct record_array *column[HISTORY_MAX_COLUMNS] = {NULL};
    for (int c = 0; c < h->n_column; c++) {
        snprintf(path, sizeof path, "%s/%s", prefix, h->name[c]);
        column[c] = record_find(r, path);
        if (!column[c] || record_count(column[c]) != record_count(column[0]))
            return FAIL(IAU_ERR_FORMAT, "%s: %s is missing or of the wrong length", file, path);
    }
    double row[HISTORY_MAX_COLUMNS];
    for (int64_t i = 0; i < record_count(column[0]); i++) {
        for (int c = 0; c < h->n_column; c++)
            row[c] = record_value(column[c], i);
        int rc = history_add(h, row);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}
