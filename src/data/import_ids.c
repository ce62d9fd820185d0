/* The ids of an import: row numbers, or what the source says. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "import_private.h"

const char *const import_part_name[N_PART] = {"training", "test"};

int64_t import_plan_id(struct import_plan *p, enum dataset_part part, int64_t i)
{
    if (p->id[part])
        return p->id[part][i];
    int64_t row = import_plan_row(p, part, i);
    return p->from[part] == PART_TEST ? p->reader->n[PART_TRAIN] + row : row;
}

static int collect_ids(struct import_plan *p, enum dataset_part part)
{
    int64_t n = p->n[part], most = p->window_rows;
    p->id[part] = mem_alloc(n, sizeof *p->id[part]);
    if (!p->id[part])
        return FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)n);
    for (int64_t first = 0; first < n; first += most) {
        struct import_rows to = {.id = p->id[part] + first};
        int rc = import_plan_take(p, part, first, n - first < most ? n - first : most, &to);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Name the rows of an id that is there twice. */
static int refuse_id(struct import_plan *p, int64_t id)
{
    int64_t row[2] = {0};
    enum dataset_part part[2] = {PART_TRAIN, PART_TRAIN};
    int n = 0;
    for (enum dataset_part k = PART_TRAIN; k < N_PART; k++)
        for (int64_t i = 0; i < p->n[k] && n < 2; i++)
            if (p->id[k][i] == id) {
                row[n] = import_plan_row(p, k, i);
                part[n++] = p->from[k];
            }
    int swap = part[0] == part[1] && row[0] > row[1];
    return FAIL(IAU_ERR_DATA,
                "id %lld is given twice: in row %lld of the %s part and row %lld of "
                "the %s part (the first is row 0)",
                (long long)id, (long long)row[swap], import_part_name[part[swap]],
                (long long)row[!swap], import_part_name[part[!swap]]);
}

int import_plan_read_ids(struct import_plan *p)
{
    int64_t n_train = p->n[PART_TRAIN], n = n_train + p->n[PART_TEST], *all = NULL;
    int rc = IAU_OK;
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        TRY(collect_ids(p, part));
    all = mem_alloc(n, sizeof *all);
    if (!all)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)n));
    memcpy(all, p->id[PART_TRAIN], (size_t)n_train * sizeof *all);
    memcpy(all + n_train, p->id[PART_TEST], (size_t)(n - n_train) * sizeof *all);
    qsort(all, (size_t)n, sizeof *all, by_value);
    for (int64_t i = 1; i < n; i++)
        if (all[i] == all[i - 1])
            TRY(refuse_id(p, all[i]));
out:
    free(all);
    return rc;
}
