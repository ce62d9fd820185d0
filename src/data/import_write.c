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
    int n_value;            /* of one channel of a sample */
    int64_t *id[N_PART];    /* owned, [rows of the part]; NULL where ids are row numbers */
    double *sum, *square;   /* owned, [channels]: over the training part; exact for uint8 */
    int64_t *count;         /* owned, [n_class]: training samples */
    int32_t last_label;     /* of the training rows so far, */
    int is_sorted;          /* which ascend */
    int64_t n_done;         /* rows, for progress */
};

static const char *const part_name[N_PART] = {"training", "test"};

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

static int64_t row_id(const struct writer *w, enum dataset_part part, int64_t i)
{
    if (w->id[part])
        return w->id[part][i];
    int64_t row = import_plan_row(w->plan, part, i);
    return w->plan->from[part] == PART_TEST ? w->reader->n[PART_TRAIN] + row : row;
}

static int collect_ids(struct writer *w, enum dataset_part part)
{
    int64_t n = w->plan->n[part], most = w->plan->window_rows;
    w->id[part] = mem_alloc(n, sizeof *w->id[part]);
    if (!w->id[part])
        return FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)n);
    for (int64_t first = 0; first < n; first += most) {
        struct import_rows to = {.id = w->id[part] + first};
        int rc = import_plan_take(w->plan, part, first, n - first < most ? n - first : most, &to);
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
static int refuse_id(const struct writer *w, int64_t id)
{
    int64_t row[2] = {0};
    enum dataset_part part[2] = {PART_TRAIN, PART_TRAIN};
    int n = 0;
    for (enum dataset_part p = PART_TRAIN; p < N_PART; p++)
        for (int64_t i = 0; i < w->plan->n[p] && n < 2; i++)
            if (w->id[p][i] == id) {
                row[n] = import_plan_row(w->plan, p, i);
                part[n++] = w->plan->from[p];
            }
    int swap = part[0] == part[1] && row[0] > row[1];
    return FAIL(IAU_ERR_DATA,
                "id %lld is given twice: in row %lld of the %s part and row %lld of "
                "the %s part (the first is row 0)",
                (long long)id, (long long)row[swap], part_name[part[swap]], (long long)row[!swap],
                part_name[part[!swap]]);
}

/* Ids from the source; a request to forget goes by them, so none may be there twice. */
static int read_ids(struct writer *w)
{
    int64_t n_train = w->plan->n[PART_TRAIN], n = n_train + w->plan->n[PART_TEST], *all = NULL;
    int rc = IAU_OK;
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        TRY(collect_ids(w, part));
    all = mem_alloc(n, sizeof *all);
    if (!all)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)n));
    memcpy(all, w->id[PART_TRAIN], (size_t)n_train * sizeof *all);
    memcpy(all + n_train, w->id[PART_TEST], (size_t)(n - n_train) * sizeof *all);
    qsort(all, (size_t)n, sizeof *all, by_value);
    for (int64_t i = 1; i < n; i++)
        if (all[i] == all[i - 1])
            TRY(refuse_id(w, all[i]));
out:
    free(all);
    return rc;
}

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
            id[i] = row_id(w, part, first + i);
        digest_bytes(&w->digest, id, (size_t)k * sizeof *id);
        TRY(h5_array_write(&a, first, k, id));
    }
    TRY(h5_array_close(&a));
out:
    h5_array_close(&a);
    free(id);
    return rc;
}

/* --- statistics of the training part */

static void add_bytes(const uint8_t *v, int n, double *sum, double *square)
{
    enum { PIECE = 1 << 16 }; /* the squares of so many just fit 32 bits */
    uint64_t s = 0, q = 0;
    for (int done = 0; done < n; done += PIECE) {
        int k = n - done < PIECE ? n - done : PIECE;
        uint32_t s32 = 0, q32 = 0;
        for (int i = 0; i < k; i++) {
            uint32_t x = v[done + i];
            s32 += x;
            q32 += x * x;
        }
        s += s32;
        q += q32;
    }
    *sum += (double)s;
    *square += (double)q;
}

static void add_floats(const float *v, int n, double *sum, double *square)
{
    double s = 0, q = 0;
    for (int i = 0; i < n; i++) {
        s += v[i];
        q += (double)v[i] * v[i];
    }
    *sum += s;
    *square += q;
}

static void count_values(struct writer *w, const void *x, int64_t n)
{
    int64_t n_channel = w->reader->dims[0];
    int k = w->n_value;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < n_channel; c++) {
            int64_t at = (i * n_channel + c) * k;
            if (w->reader->is_u8)
                add_bytes((const uint8_t *)x + at, k, &w->sum[c], &w->square[c]);
            else
                add_floats((const float *)x + at, k, &w->sum[c], &w->square[c]);
        }
}

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
                            part_name[w->plan->from[part]]);
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
        TRY(import_plan_take(w->plan, part, first, k, block));
        for (int64_t i = 0; i < k; i++)
            REQUIRE(block->label[i] >= 0 && block->label[i] < w->reader->n_class);
        if (!w->reader->is_u8)
            TRY(check_finite(w, part, first, k, block->x));
        digest_bytes(&w->digest, block->x, (size_t)k * w->plan->row_bytes);
        if (part == PART_TRAIN) {
            count_values(w, block->x, k);
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
    const struct import_reader *r = w->reader;
    int64_t n_channel = r->dims[0];
    double n = (double)w->plan->n[PART_TRAIN] * w->n_value;
    double unit = dataset_unit(r->is_u8, r->ndim == 1);
    float *mean = mem_alloc(n_channel, sizeof *mean), *std = mem_alloc(n_channel, sizeof *std);
    int rc = IAU_OK;
    if (!mean || !std)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the statistics"));
    for (int64_t i = 0; i < n_channel; i++) {
        double m = w->sum[i] / n, variance = w->square[i] / n - m * m;
        mean[i] = (float)(m / unit);
        std[i] = (float)(sqrt(variance > 0 ? variance : 0) / unit);
    }
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
    struct writer w = {.request = request, .plan = p, .reader = r, .n_value = 1, .is_sorted = 1};
    int rc = IAU_OK;
    for (int i = 1; i < r->ndim; i++)
        w.n_value *= (int)r->dims[i];
    w.sum = mem_alloc(r->dims[0], sizeof *w.sum);
    w.square = mem_alloc(r->dims[0], sizeof *w.square);
    w.count = mem_alloc(r->n_class, sizeof *w.count);
    if (!w.sum || !w.square || !w.count)
        TRY(FAIL(IAU_ERR_MEM, "no memory to import %s", name));
    if (r->has_ids)
        TRY(read_ids(&w));
    TRY(write_and_commit(&w, name, source));
out:
    digest_final(&w.digest, w.hex);
    free(w.id[PART_TRAIN]);
    free(w.id[PART_TEST]);
    free(w.sum);
    free(w.square);
    free(w.count);
    return rc;
}
