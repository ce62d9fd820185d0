/* The order of an import: which rows make the test part, which order the training rows get, and
 * fetching them from a source that is read in its own order only. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/split.h"
#include "import_private.h"

/* Rows are taken in windows. Those of a shuffled part cost a pass over the source each, so they are
 * large, and their number is limited. */
enum { BLOCK_BYTES = 4 << 20, WINDOW_BYTES = 256 << 20, WINDOW_ROWS = 1 << 20, MOST_PASSES = 64 };

/* Mark the rows of the test part in a source that has none. */
static int draw_test_part(struct import_plan *p)
{
    const struct source_opts *o = p->reader->opts;
    int64_t n = p->reader->n[PART_TRAIN], n_test = (int64_t)((double)n * o->test_fraction);
    if (n_test < 1 || n_test >= n || n > (int64_t)UINT32_MAX + 1)
        return FAIL(IAU_ERR_DATA, "a test fraction of %g takes %s of %lld rows", o->test_fraction,
                    n_test < 1 ? "none" : "too many", (long long)n);
    p->is_test = mem_alloc((n + 7) / 8, 1);
    if (!p->is_test)
        return FAIL(IAU_ERR_MEM, "no memory to draw from %lld rows", (long long)n);
    p->n[PART_TRAIN] = n - n_test;
    p->n[PART_TEST] = n_test;
    p->from[PART_TEST] = PART_TRAIN;
    return split_numpy_last((uint32_t)o->test_seed, n, n_test, p->is_test);
}

/* The first row from `row` on that was drawn for a part. */
static int64_t next_drawn(const struct import_plan *p, enum dataset_part part, int64_t row)
{
    while ((p->is_test[row / 8] >> row % 8 & 1) != (part == PART_TEST))
        row++;
    return row;
}

static int shuffle(struct import_plan *p)
{
    int64_t n = p->n[PART_TRAIN];
    int64_t window = WINDOW_BYTES / (int64_t)p->row_bytes;
    window = window < 1 ? 1 : window < WINDOW_ROWS ? window : WINDOW_ROWS;
    if (n > window * MOST_PASSES)
        return FAIL(
            IAU_ERR_USAGE,
            "%lld rows of %zu bytes are too many to shuffle: it takes a pass over the source "
            "for each %lld rows, and %d are made at most; shuffle the source itself",
            (long long)n, p->row_bytes, (long long)window, MOST_PASSES);
    int64_t *before = p->is_test ? mem_alloc(n, sizeof *before) : NULL;
    int64_t *order = mem_alloc(n, sizeof *order);
    if (!order || (p->is_test && !before)) {
        free(order);
        free(before);
        return FAIL(IAU_ERR_MEM, "no memory to shuffle %lld rows", (long long)n);
    }
    for (int64_t i = 0; before && i < n; i++)
        before[i] = import_plan_row(p, PART_TRAIN, i);
    split_numpy_permutation((uint32_t)p->reader->opts->shuffle, n, order);
    for (int64_t i = 0; before && i < n; i++)
        order[i] = before[order[i]];
    free(before);
    p->order = order;
    p->window_rows = window;
    return IAU_OK;
}

static int check_test_part(const struct import_plan *p)
{
    const struct import_reader *r = p->reader;
    if (r->n[PART_TEST] == 0 && r->opts->test_fraction == 0)
        return FAIL(IAU_ERR_USAGE, "%s has no test part here: give a test fraction%s",
                    p->format->name, p->format->takes & TAKES_TEST_FILES ? " or test files" : "");
    if (r->n[PART_TEST] > 0 && r->opts->test_fraction > 0)
        return FAIL(IAU_ERR_USAGE,
                    "%s has a test part here: a test fraction is for sources without",
                    p->format->name);
    return IAU_OK;
}

int import_plan_init(struct import_plan *p, const struct import_format *format,
                     struct import_reader *r)
{
    int rc = IAU_OK;
    int64_t chunk, most;
    *p = (struct import_plan){.format = format, .reader = r, .next = -1};
    p->row_bytes = r->is_u8 ? 1 : sizeof(float);
    for (int i = 0; i < r->ndim; i++)
        p->row_bytes *= (size_t)r->dims[i];
    chunk = import_chunk_rows(p->row_bytes);
    p->window_rows = BLOCK_BYTES / ((int64_t)p->row_bytes * chunk) * chunk;
    p->window_rows = p->window_rows < chunk ? chunk : p->window_rows;
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        p->n[part] = r->n[part];
        p->from[part] = part;
    }
    TRY(check_test_part(p));
    if (r->opts->test_fraction > 0)
        TRY(draw_test_part(p));
    if (r->opts->shuffle >= 0)
        TRY(shuffle(p));
    most = p->n[PART_TRAIN] > p->n[PART_TEST] ? p->n[PART_TRAIN] : p->n[PART_TEST];
    p->window_rows = p->window_rows < most ? p->window_rows : most;
    p->window = p->order ? mem_alloc(p->window_rows, sizeof *p->window) : NULL;
    if (p->order && !p->window)
        TRY(FAIL(IAU_ERR_MEM, "no memory to order %lld rows", (long long)p->window_rows));
out:
    return rc;
}

void import_plan_free(struct import_plan *p)
{
    free(p->id[PART_TRAIN]);
    free(p->id[PART_TEST]);
    free(p->is_test);
    free(p->order);
    free(p->window);
    *p = (struct import_plan){0};
}

int64_t import_plan_row(struct import_plan *p, enum dataset_part part, int64_t i)
{
    if (part == PART_TRAIN && p->order)
        return p->order[i];
    if (!p->is_test)
        return i;
    struct import_place *at = &p->found[part];
    if (at->place > i || at->place == 0) /* row 0 may belong to the other part */
        *at = (struct import_place){.row = next_drawn(p, part, 0)};
    for (; at->place < i; at->place++)
        at->row = next_drawn(p, part, at->row + 1);
    return at->row;
}

/* Rows [row, row + n) of the source; a new pass begins where they lie behind. */
static int read_run(struct import_plan *p, enum dataset_part part, int64_t row, int64_t n,
                    const struct import_rows *to)
{
    static const struct import_rows nothing;
    int rc = IAU_OK;
    if (p->next < 0 || p->part != part || row < p->next) {
        p->next = -1;
        TRY(p->format->start(p->reader, part));
        p->part = part;
        p->next = 0;
    }
    if (row > p->next)
        TRY(p->format->next(p->reader, row - p->next, &nothing));
    TRY(p->format->next(p->reader, n, to));
    p->next = row + n;
out:
    return rc;
}

static struct import_rows at_place(const struct import_plan *p, const struct import_rows *to,
                                   int64_t place)
{
    return (struct import_rows){
        .x = to->x ? (char *)to->x + (size_t)place * p->row_bytes : NULL,
        .label = to->label ? to->label + place : NULL,
        .id = to->id ? to->id + place : NULL,
    };
}

static int by_row(const void *a, const void *b)
{
    const struct import_place *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* Rows of a shuffled part, in the order of the source. */
static int take_shuffled(struct import_plan *p, int64_t first, int64_t n,
                         const struct import_rows *to)
{
    REQUIRE(n <= p->window_rows);
    for (int64_t i = 0; i < n; i++)
        p->window[i] = (struct import_place){p->order[first + i], i};
    qsort(p->window, (size_t)n, sizeof *p->window, by_row);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && p->window[j].row == p->window[i].row + (j - i) &&
                        p->window[j].place == p->window[i].place + (j - i);)
            j++;
        struct import_rows here = at_place(p, to, p->window[i].place);
        int rc = read_run(p, PART_TRAIN, p->window[i].row, j - i, &here);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

/* Rows of a part that was drawn: run by run. */
static int take_drawn(struct import_plan *p, enum dataset_part part, int64_t first, int64_t n,
                      const struct import_rows *to)
{
    int64_t row = import_plan_row(p, part, first);
    for (int64_t i = 0, k; i < n; i += k) {
        int64_t begin = row;
        for (k = 1; i + k < n && (row = next_drawn(p, part, row + 1)) == begin + k;)
            k++;
        struct import_rows here = at_place(p, to, i);
        int rc = read_run(p, PART_TRAIN, begin, k, &here);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

int import_plan_take(struct import_plan *p, enum dataset_part part, int64_t first, int64_t n,
                     const struct import_rows *to)
{
    if (part == PART_TRAIN && p->order)
        return take_shuffled(p, first, n, to);
    return p->is_test ? take_drawn(p, part, first, n, to)
                      : read_run(p, p->from[part], first, n, to);
}
