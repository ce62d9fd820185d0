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

/* The file's training rows and test rows, both ascending, out of a source without a test part. */
static int draw_test_part(struct import_plan *p)
{
    const struct source_opts *o = p->reader->opts;
    struct index_set test = {0}, train = {0};
    int64_t *order = NULL, n_train = 0, n = p->reader->n[PART_TRAIN];
    int rc = IAU_OK;
    TRY(split_train_valid(n, o->test_fraction, (uint32_t)o->test_seed, &order, &n_train, &test));
    if (test.n == 0)
        TRY(FAIL(IAU_ERR_DATA, "a test fraction of %g takes none of %lld rows", o->test_fraction,
                 (long long)n));
    TRY(index_set_from_rows(&train, PART_TRAIN, order, n_train));
    p->n[PART_TRAIN] = train.n;
    p->n[PART_TEST] = test.n;
    p->from[PART_TEST] = PART_TRAIN;
    p->order[PART_TRAIN] = train.row;
    p->order[PART_TEST] = test.row;
    train.row = test.row = NULL;
out:
    free(order);
    index_set_free(&train);
    index_set_free(&test);
    return rc;
}

static int shuffle(struct import_plan *p)
{
    int64_t n = p->n[PART_TRAIN], *before = p->order[PART_TRAIN];
    int64_t window = WINDOW_BYTES / (int64_t)p->row_bytes;
    window = window < 1 ? 1 : window < WINDOW_ROWS ? window : WINDOW_ROWS;
    if (n > window * MOST_PASSES)
        return FAIL(
            IAU_ERR_USAGE,
            "%lld rows of %zu bytes are too many to shuffle: it takes a pass over the source "
            "for each %lld rows, and %d are made at most; shuffle the source itself",
            (long long)n, p->row_bytes, (long long)window, MOST_PASSES);
    int64_t *order = mem_alloc(n, sizeof *order);
    if (!order)
        return FAIL(IAU_ERR_MEM, "no memory to shuffle %lld rows", (long long)n);
    split_numpy_permutation((uint32_t)p->reader->opts->shuffle, n, order);
    for (int64_t i = 0; before && i < n; i++)
        order[i] = before[order[i]];
    free(before);
    p->order[PART_TRAIN] = order;
    p->is_shuffled = 1;
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
    p->window = mem_alloc(p->window_rows, sizeof *p->window);
    if (!p->window)
        TRY(FAIL(IAU_ERR_MEM, "no memory to order %lld rows", (long long)p->window_rows));
out:
    return rc;
}

void import_plan_free(struct import_plan *p)
{
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        free(p->order[part]);
    free(p->window);
    *p = (struct import_plan){0};
}

int64_t import_plan_row(const struct import_plan *p, enum dataset_part part, int64_t i)
{
    return p->order[part] ? p->order[part][i] : i;
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

int import_plan_take(struct import_plan *p, enum dataset_part part, int64_t first, int64_t n,
                     const struct import_rows *to)
{
    const int64_t *order = p->order[part];
    if (!order)
        return read_run(p, p->from[part], first, n, to);
    REQUIRE(n <= p->window_rows);
    for (int64_t i = 0; i < n; i++)
        p->window[i] = (struct import_place){order[first + i], i};
    if (p->is_shuffled && part == PART_TRAIN)
        qsort(p->window, (size_t)n, sizeof *p->window, by_row);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && p->window[j].row == p->window[i].row + (j - i) &&
                        p->window[j].place == p->window[i].place + (j - i);)
            j++;
        struct import_rows here = at_place(p, to, p->window[i].place);
        int rc = read_run(p, p->from[part], p->window[i].row, j - i, &here);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}
