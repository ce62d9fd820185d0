/* The dataset file of an import: written in blocks to a temporary file that is closed, read back
 * and compared before it takes its place. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/survey.h"
#include "import_private.h"
#include "io/file.h"
#include "io/h5.h"

/* A chunk of samples has about as many rows as half a run of a shard's order (data/shard.h), so
 * that a run reads little beside itself; small rows share chunks that are worth a read, and chunks
 * stay below the cache of HDF5, 1 MiB. */
enum { CHUNK_ROWS = 32, CHUNK_LEAST_BYTES = 16 << 10, CHUNK_MOST_BYTES = 512 << 10 };
enum { COLUMN_CHUNK_BYTES = 128 << 10, COLUMN_PIECE = 1 << 16 };

struct writer {
    const struct import_request *request;
    struct import_plan *plan;
    const struct import_reader *reader;
    struct h5 file;
    struct digest digest;   /* of the data as they are written; /test precedes /train in it */
    char hex[DIGEST_CHARS]; /* the same, finished */
    struct import_statistics statistics; /* of the training samples */
    int64_t *count;                      /* owned, [n_class]: training samples */
    int32_t last_label;                  /* of the training rows so far, */
    int is_sorted;                       /* which ascend */
    int64_t n_done;                      /* rows, for progress */
};

int64_t import_chunk_rows(size_t row_bytes)
{
    int64_t bytes = (int64_t)row_bytes, rows = CHUNK_ROWS;
    if (rows * bytes < CHUNK_LEAST_BYTES)
        rows = CHUNK_LEAST_BYTES / bytes;
    if (rows * bytes > CHUNK_MOST_BYTES)
        rows = CHUNK_MOST_BYTES / bytes;
    return rows < 1 ? 1 : rows;
}

static void show_progress(struct writer *w, int64_t n)
{
    int64_t total = w->plan->n[PART_TRAIN] + w->plan->n[PART_TEST];
    w->n_done += n;
    log_progress("import: %lld of %lld samples, %.0f %%", (long long)w->n_done, (long long)total,
                 100.0 * (double)w->n_done / (double)total);
}

/* --- ids */

static int write_ids(struct writer *w, enum dataset_part part, const char *path)
{
    const struct h5_layout layout = {COLUMN_CHUNK_BYTES, 0};
    struct h5_array a = {0};
    int rc = IAU_OK;
    int64_t n = w->plan->n[part], *id = mem_alloc(COLUMN_PIECE, sizeof *id);
    if (!id)
        TRY(FAIL(IAU_ERR_MEM, "no memory for ids"));
    TRY(h5_array_create(&a, &w->file, path, RECORD_I64, 1, &n, &layout));
    digest_array(&w->digest, path, 1, &n);
    for (int64_t first = 0; first < n; first += COLUMN_PIECE) {
        int64_t k = n - first < COLUMN_PIECE ? n - first : COLUMN_PIECE;
        for (int64_t i = 0; i < k; i++)
            id[i] = import_plan_id(w->plan, part, first + i);
        digest_bytes(&w->digest, id, (size_t)k * sizeof *id);
        TRY(h5_array_write(&a, first, k, id));
    }
    TRY(h5_array_close(&a));
out:
    h5_array_close(&a);
    free(id);
    return rc;
}

/* --- labels of the training part */

static void count_labels(struct writer *w, const int32_t *label, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        w->count[label[i]]++;
        w->is_sorted &= label[i] >= w->last_label;
        w->last_label = label[i];
    }
}

/* What makes training harder than it need be. */
static void warn(const struct writer *w)
{
    int n_full = 0, empty = -1;
    for (int c = 0; c < w->reader->n_class; c++) {
        n_full += w->count[c] > 0;
        empty = w->count[c] == 0 && empty < 0 ? c : empty;
    }
    if (empty >= 0)
        log_warn("%d of %d classes have no training sample; class %d is the first",
                 w->reader->n_class - n_full, w->reader->n_class, empty);
    if (w->is_sorted && n_full > 1)
        log_warn(
            "the training rows are sorted by label, so contiguous shards see few classes each; "
            "consider --shuffle SEED");
}

/* --- samples and labels */

static int check_finite(const struct writer *w, enum dataset_part part, int64_t first, int64_t n,
                        const float *x)
{
    int64_t n_value = (int64_t)(w->plan->row_bytes / sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        const float *v = x + i * n_value;
        int bad = 0;
        for (int64_t k = 0; k < n_value; k++)
            bad |= !(fabsf(v[k]) <= FLT_MAX);
        for (int64_t k = 0; k < n_value && bad; k++)
            if (!isfinite(v[k]))
                return FAIL(IAU_ERR_FORMAT,
                            "value %lld in row %lld of the %s part is not a finite number in "
                            "float32 (both count from 0)",
                            (long long)k, (long long)import_plan_row(w->plan, part, first + i),
                            import_part_name[w->plan->from[part]]);
    }
    return IAU_OK;
}

/* The labels stand in the file by now: they go into the digest after the samples. */
static int digest_labels(struct writer *w, const struct h5_array *y)
{
    int64_t n = y->dims[0];
    int32_t *label = mem_alloc(COLUMN_PIECE, sizeof *label);
    int rc = label ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for labels");
    digest_array(&w->digest, y->path, 1, &n);
    for (int64_t first = 0; first < n && rc == IAU_OK; first += COLUMN_PIECE) {
        int64_t k = n - first < COLUMN_PIECE ? n - first : COLUMN_PIECE;
        rc = h5_array_read(y, first, k, label);
        if (rc == IAU_OK)
            digest_bytes(&w->digest, label, (size_t)k * sizeof *label);
    }
    free(label);
    return rc;
}

static int write_blocks(struct writer *w, enum dataset_part part, const struct h5_array *x,
                        const struct h5_array *y, const struct import_rows *block, int64_t most)
{
    int rc = IAU_OK;
    int64_t n = w->plan->n[part];
    digest_array(&w->digest, x->path, x->ndim, x->dims);
    for (int64_t first = 0; first < n; first += most) {
        int64_t k = n - first < most ? n - first : most;
        digest_wait(&w->digest); /* of the block before */
        TRY(import_plan_take(w->plan, part, first, k, block));
        for (int64_t i = 0; i < k; i++)
            REQUIRE(block->label[i] >= 0 && block->label[i] < w->reader->n_class);
        if (!w->reader->is_u8)
            TRY(check_finite(w, part, first, k, block->x));
        digest_begin(&w->digest, block->x, (size_t)k * w->plan->row_bytes);
        if (part == PART_TRAIN) {
            import_statistics_add(&w->statistics, block->x, k);
            count_labels(w, block->label, k);
        }
        TRY(h5_array_write(x, first, k, block->x));
        TRY(h5_array_write(y, first, k, block->label));
        h5_begin_sync(&w->file);
        show_progress(w, k);
    }
    TRY(digest_labels(w, y));
out:
    return rc;
}

static int write_samples(struct writer *w, enum dataset_part part, const char *x_path,
                         const char *y_path)
{
    const struct import_reader *r = w->reader;
    const struct h5_layout column = {COLUMN_CHUNK_BYTES, 0};
    const struct h5_layout samples = {import_chunk_rows(w->plan->row_bytes) *
                                          (int64_t)w->plan->row_bytes,
                                      w->request->source->compress};
    struct h5_array x = {0}, y = {0};
    struct import_rows block = {0};
    int rc = IAU_OK;
    int64_t n = w->plan->n[part], most = n < w->plan->window_rows ? n : w->plan->window_rows;
    int64_t dims[RECORD_MAX_DIMS] = {n, r->dims[0], r->dims[1], r->dims[2]};
    block.x = mem_alloc(most, w->plan->row_bytes);
    block.label = mem_alloc(most, sizeof *block.label);
    if (!block.x || !block.label)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld samples", (long long)most));
    TRY(h5_array_create(&x, &w->file, x_path, r->is_u8 ? RECORD_U8 : RECORD_F32, 1 + r->ndim, dims,
                        &samples));
    TRY(h5_array_create(&y, &w->file, y_path, RECORD_I32, 1, &n, &column));
    TRY(write_blocks(w, part, &x, &y, &block, most));
    TRY(h5_array_close(&x));
    TRY(h5_array_close(&y));
out:
    h5_array_close(&x);
    h5_array_close(&y);
    free(block.x);
    free(block.label);
    return rc;
}

/* --- attributes */

static int write_class_names(const struct writer *w)
{
    int n = w->reader->n_class, rc = IAU_OK;
    char **name = mem_alloc(n, sizeof *name), digits[16];
    if (!name)
        return FAIL(IAU_ERR_MEM, "no memory for %d class names", n);
    for (int i = 0; i < n && rc == IAU_OK; i++) {
        snprintf(digits, sizeof digits, "%d", i);
        name[i] = mem_strdup(w->reader->class_name ? w->reader->class_name[i] : digits);
        if (!name[i])
            rc = FAIL(IAU_ERR_MEM, "no memory for %d class names", n);
    }
    if (rc == IAU_OK)
        rc = h5_set_texts(&w->file, "/", "class_names", n, name);
    for (int i = 0; i < n; i++)
        free(name[i]);
    free(name);
    return rc;
}

static int write_statistics(const struct writer *w)
{
    int64_t n_channel = w->statistics.n_channel;
    float *mean = mem_alloc(n_channel, sizeof *mean), *std = mem_alloc(n_channel, sizeof *std);
    int rc = IAU_OK;
    if (!mean || !std)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the statistics"));
    import_statistics_get(&w->statistics, mean, std);
    TRY(h5_set_floats(&w->file, "/", "mean", n_channel, mean));
    TRY(h5_set_floats(&w->file, "/", "std", n_channel, std));
out:
    free(mean);
    free(std);
    return rc;
}

static int write_attributes(const struct writer *w, const char *name, const char *source)
{
    int rc = IAU_OK;
    TRY(h5_set_text(&w->file, "/", "format", DATASET_FORMAT));
    TRY(h5_set_i64(&w->file, "/", "version", DATASET_VERSION));
    TRY(h5_set_text(&w->file, "/", "name", name));
    TRY(h5_set_i64(&w->file, "/", "classes", w->reader->n_class));
    TRY(write_class_names(w));
    TRY(write_statistics(w));
    TRY(h5_set_text(&w->file, "/", "source", source));
    TRY(h5_set_text(&w->file, "/", "digest", w->hex));
out:
    return rc;
}

/* --- the file */

static int write_file(struct writer *w, const char *temporary, const char *name, const char *source)
{
    static const char *const path[N_PART][3] = {
        [PART_TRAIN] = {"/train/id", "/train/x", "/train/y"},
        [PART_TEST] = {"/test/id", "/test/x", "/test/y"}};
    static const enum dataset_part sorted[N_PART] = {PART_TEST, PART_TRAIN};
    int rc = IAU_OK;
    TRY(digest_init(&w->digest));
    TRY(h5_create(&w->file, temporary, w->request->out));
    for (int i = 0; i < N_PART; i++) {
        TRY(write_ids(w, sorted[i], path[sorted[i]][0]));
        TRY(write_samples(w, sorted[i], path[sorted[i]][1], path[sorted[i]][2]));
    }
    digest_final(&w->digest, w->hex);
    TRY(write_attributes(w, name, source));
    TRY(h5_close(&w->file));
out:
    h5_close(&w->file);
    return rc;
}

static int write_and_commit(struct writer *w, const char *name, const char *source)
{
    char hex[DIGEST_CHARS];
    const char *out = w->request->out;
    char *temporary = file_temporary_name(out);
    int rc = IAU_OK;
    if (!temporary)
        return FAIL(IAU_ERR_MEM, "no memory to write %s", out);
    TRY(file_remove_stale(out));
    TRY(write_file(w, temporary, name, source));
    TRY(dataset_verify(temporary, hex));
    if (strcmp(hex, w->hex))
        TRY(FAIL(IAU_ERR_IO, "%s: what was read back is not what was written", out));
    TRY(file_commit(temporary, out));
    warn(w);
    log_line("%s: %s, %lld training and %lld test samples, %d classes, digest %.12s", out, name,
             (long long)w->plan->n[PART_TRAIN], (long long)w->plan->n[PART_TEST],
             w->reader->n_class, w->hex);
out:
    if (rc != IAU_OK)
        file_remove(temporary);
    free(temporary);
    return rc;
}

int import_write(const struct import_request *request, struct import_plan *p, const char *name,
                 const char *source)
{
    const struct import_reader *r = p->reader;
    struct writer w = {.request = request, .plan = p, .reader = r, .is_sorted = 1};
    int rc = IAU_OK;
    TRY(import_statistics_init(&w.statistics, r));
    w.count = mem_alloc(r->n_class, sizeof *w.count);
    if (!w.count)
        TRY(FAIL(IAU_ERR_MEM, "no memory to import %s", name));
    if (r->has_ids)
        TRY(import_plan_read_ids(p));
    TRY(write_and_commit(&w, name, source));
out:
    digest_final(&w.digest, w.hex);
    import_statistics_free(&w.statistics);
    free(w.count);
    return rc;
}
