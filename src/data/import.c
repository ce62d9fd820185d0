/* Import: a reader's rows become one dataset file, streamed in constant memory to a temporary file
 * that is closed, read back and compared before it takes its place. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/import.h"
#include "data/split.h"
#include "io/file.h"
#include "io/h5.h"
#include "par/comm.h"

enum { CHUNK_BYTES = 128 << 10, BLOCK_BYTES = 4 << 20 };

const struct import_format *const import_formats[] = {&import_idx, &import_cifar10, NULL};

struct writer {
    const struct import_request *request;
    const struct import_format *format;
    struct import_reader reader;
    struct h5 file;
    struct digest digest;   /* of the data as they are written; /test precedes /train in it */
    char hex[DIGEST_CHARS]; /* the same, finished */
    size_t row_bytes;
    int n_value;          /* of one channel of a sample */
    double *sum, *square; /* owned, [channels]: over the training part; exact for uint8 */
    int64_t *order; /* owned; source row of each training row where they are shuffled, else NULL */
    char *all;      /* owned; then the training samples in the order of the source, */
    int32_t *all_label; /* owned; and their labels */
    int64_t n_done;     /* rows, for progress */
};

static int64_t row_id(const struct writer *w, enum dataset_part part, int64_t i)
{
    if (part == PART_TEST)
        return w->reader.n[PART_TRAIN] + i;
    return w->order ? w->order[i] : i;
}

/* Add samples to the sums over the training part. */
static void count_values(struct writer *w, const void *x, int64_t n)
{
    for (int64_t i = 0; i < n * w->reader.dims[0]; i++) {
        double sum = 0, square = 0;
        if (w->reader.is_u8) {
            uint64_t s = 0, q = 0;
            const uint8_t *v = (const uint8_t *)x + i * w->n_value;
            for (int k = 0; k < w->n_value; k++) {
                s += v[k];
                q += (uint64_t)v[k] * v[k];
            }
            sum = (double)s;
            square = (double)q;
        } else {
            const float *v = (const float *)x + i * w->n_value;
            for (int k = 0; k < w->n_value; k++) {
                sum += v[k];
                square += (double)v[k] * v[k];
            }
        }
        w->sum[i % w->reader.dims[0]] += sum;
        w->square[i % w->reader.dims[0]] += square;
    }
}

/* Rows [first, first + n) of a part as they will stand in the file. */
static int next_rows(struct writer *w, enum dataset_part part, int64_t first, int64_t n, char *x,
                     int32_t *label)
{
    if (part == PART_TEST || !w->order)
        return w->format->next(&w->reader, part, n, x, label);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = w->order[first + i];
        memcpy(x + (size_t)i * w->row_bytes, w->all + (size_t)from * w->row_bytes, w->row_bytes);
        label[i] = w->all_label[from];
    }
    return IAU_OK;
}

static int write_column(struct writer *w, const char *path, enum record_type type, int64_t n,
                        const void *v)
{
    struct h5_array a = {0};
    int rc = IAU_OK;
    TRY(h5_array_create(&a, &w->file, path, type, 1, &n, CHUNK_BYTES));
    digest_array(&w->digest, path, 1, &n);
    digest_bytes(&w->digest, v, (size_t)n * h5_type_bytes(type));
    TRY(h5_array_write(&a, 0, n, v));
    TRY(h5_array_close(&a));
out:
    h5_array_close(&a);
    return rc;
}

static int write_ids(struct writer *w, enum dataset_part part, const char *path)
{
    int64_t n = w->reader.n[part], *id = mem_alloc(n, sizeof *id);
    if (!id)
        return FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)n);
    for (int64_t i = 0; i < n; i++)
        id[i] = row_id(w, part, i);
    int rc = write_column(w, path, RECORD_I64, n, id);
    free(id);
    return rc;
}

static int write_samples(struct writer *w, enum dataset_part part, const char *path, int32_t *label)
{
    const struct import_reader *r = &w->reader;
    struct h5_array a = {0};
    int rc = IAU_OK;
    int64_t n = r->n[part], total = r->n[PART_TRAIN] + r->n[PART_TEST];
    int64_t dims[RECORD_MAX_DIMS] = {n, r->dims[0], r->dims[1], r->dims[2]};
    int64_t block = (int64_t)w->row_bytes < BLOCK_BYTES ? BLOCK_BYTES / (int64_t)w->row_bytes : 1;
    char *x = mem_alloc(block, w->row_bytes);
    if (!x)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld samples", (long long)block));
    TRY(h5_array_create(&a, &w->file, path, r->is_u8 ? RECORD_U8 : RECORD_F32, 1 + r->ndim, dims,
                        CHUNK_BYTES));
    digest_array(&w->digest, path, 1 + r->ndim, dims);
    for (int64_t first = 0; first < n; first += block) {
        int64_t k = n - first < block ? n - first : block;
        TRY(next_rows(w, part, first, k, x, label + first));
        digest_bytes(&w->digest, x, (size_t)k * w->row_bytes);
        if (part == PART_TRAIN)
            count_values(w, x, k);
        TRY(h5_array_write(&a, first, k, x));
        w->n_done += k;
        log_live("import: %lld of %lld samples", (long long)w->n_done, (long long)total);
    }
    TRY(h5_array_close(&a));
out:
    h5_array_close(&a);
    free(x);
    return rc;
}

static void warn_if_sorted(const int32_t *label, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (label[i] < label[i - 1])
            return;
    if (n > 1 && label[0] != label[n - 1])
        log_warn(
            "the training rows are sorted by label, so contiguous shards see few classes each; "
            "consider --shuffle SEED");
}

static int write_part(struct writer *w, enum dataset_part part, const char *const path[3])
{
    int64_t n = w->reader.n[part];
    int rc = IAU_OK;
    int32_t *label = mem_alloc(n, sizeof *label);
    if (!label)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld labels", (long long)n));
    TRY(write_ids(w, part, path[0]));
    TRY(write_samples(w, part, path[1], label));
    TRY(write_column(w, path[2], RECORD_I32, n, label));
    if (part == PART_TRAIN)
        warn_if_sorted(label, n);
out:
    free(label);
    return rc;
}

static int write_class_names(const struct writer *w)
{
    int n = w->reader.n_class, rc = IAU_OK;
    char **name = mem_alloc(n, sizeof *name), digits[16];
    if (!name)
        return FAIL(IAU_ERR_MEM, "no memory for %d class names", n);
    for (int i = 0; i < n && rc == IAU_OK; i++) {
        snprintf(digits, sizeof digits, "%d", i);
        name[i] = mem_strdup(w->reader.class_name ? w->reader.class_name[i] : digits);
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
    int64_t n_channel = w->reader.dims[0];
    double n = (double)w->reader.n[PART_TRAIN] * w->n_value, unit = w->reader.is_u8 ? 255 : 1;
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

static int write_source(const struct writer *w)
{
    size_t size = strlen(w->reader.source) + 64;
    char *text = mem_alloc((int64_t)size, 1);
    if (!text)
        return FAIL(IAU_ERR_MEM, "no memory for the attributes");
    int at = snprintf(text, size, "%s", w->reader.source);
    if (w->order)
        snprintf(text + at, size - (size_t)at, "; training rows shuffled with seed %lld",
                 (long long)w->request->shuffle_seed);
    int rc = h5_set_text(&w->file, "/", "source", text);
    free(text);
    return rc;
}

static int write_attributes(const struct writer *w, const char *name)
{
    int rc = IAU_OK;
    TRY(h5_set_text(&w->file, "/", "format", DATASET_FORMAT));
    TRY(h5_set_i64(&w->file, "/", "version", DATASET_VERSION));
    TRY(h5_set_text(&w->file, "/", "name", name));
    TRY(h5_set_i64(&w->file, "/", "classes", w->reader.n_class));
    TRY(write_class_names(w));
    TRY(write_statistics(w));
    TRY(write_source(w));
    TRY(h5_set_text(&w->file, "/", "digest", w->hex));
out:
    return rc;
}

/* Shuffling needs any row at any time, so the training part is read as a whole. */
static int load_for_shuffle(struct writer *w)
{
    int64_t n = w->reader.n[PART_TRAIN], seed = w->request->shuffle_seed;
    if (seed < 0)
        return IAU_OK;
    w->order = mem_alloc(n, sizeof *w->order);
    w->all = mem_alloc(n, w->row_bytes);
    w->all_label = mem_alloc(n, sizeof *w->all_label);
    if (!w->order || !w->all || !w->all_label)
        return FAIL(IAU_ERR_MEM, "no memory to shuffle %lld samples", (long long)n);
    split_numpy_permutation((uint32_t)seed, n, w->order);
    return w->format->next(&w->reader, PART_TRAIN, n, w->all, w->all_label);
}

static int write_file(struct writer *w, const char *temporary, const char *name)
{
    static const char *const path[N_PART][3] = {
        [PART_TRAIN] = {"/train/id", "/train/x", "/train/y"},
        [PART_TEST] = {"/test/id", "/test/x", "/test/y"}};
    int rc = IAU_OK;
    TRY(digest_init(&w->digest));
    TRY(h5_create(&w->file, temporary, w->request->out));
    TRY(write_part(w, PART_TEST, path[PART_TEST]));
    TRY(load_for_shuffle(w));
    TRY(write_part(w, PART_TRAIN, path[PART_TRAIN]));
    digest_final(&w->digest, w->hex);
    TRY(write_attributes(w, name));
    TRY(h5_close(&w->file));
out:
    h5_close(&w->file);
    return rc;
}

/* Write, read back, and put in place. */
static int write_and_commit(struct writer *w, const char *name)
{
    char hex[DIGEST_CHARS];
    char *temporary = file_temporary_name(w->request->out);
    int rc = IAU_OK;
    if (!temporary)
        return FAIL(IAU_ERR_MEM, "no memory to write %s", w->request->out);
    TRY(file_remove_stale(w->request->out));
    TRY(write_file(w, temporary, name));
    TRY(dataset_verify(temporary, hex));
    if (strcmp(hex, w->hex))
        TRY(FAIL(IAU_ERR_IO, "%s: what was read back is not what was written", w->request->out));
    TRY(file_commit(temporary, w->request->out));
    log_line("%s: %s, %lld training and %lld test samples, %d classes, digest %.12s",
             w->request->out, name, (long long)w->reader.n[PART_TRAIN],
             (long long)w->reader.n[PART_TEST], w->reader.n_class, w->hex);
out:
    if (rc != IAU_OK)
        file_remove(temporary);
    free(temporary);
    return rc;
}

/* The name asked for, the format's, or the last component of a single source or of the output; the
 * caller frees. */
static char *choose_name(const struct import_request *q, const struct import_format *format)
{
    if (q->name && *q->name)
        return mem_strdup(q->name);
    if (format->data_name)
        return mem_strdup(format->data_name);
    char *name = mem_strdup(q->n_source == 1 ? q->source[0] : q->out);
    if (!name)
        return NULL;
    size_t length = strlen(name);
    while (length > 1 && name[length - 1] == '/')
        name[--length] = '\0';
    char *slash = strrchr(name, '/');
    if (slash && slash[1])
        memmove(name, slash + 1, strlen(slash + 1) + 1);
    if (q->n_source != 1 && length > 3 && strrchr(name, '.') > name)
        *strrchr(name, '.') = '\0';
    return name;
}

static int check_request(const struct import_request *q, const struct import_format **format)
{
    char known[256] = "";
    *format = q->reader;
    for (int i = 0; import_formats[i] && !q->reader; i++) {
        if (!strcmp(import_formats[i]->name, q->format))
            *format = import_formats[i];
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", import_formats[i]->name);
    }
    if (!*format)
        return FAIL(IAU_ERR_USAGE, "unknown format '%s'; known are %s", q->format, known);
    if (q->n_source < 1)
        return FAIL(IAU_ERR_USAGE, "nothing to import: %s takes %s", q->format, (*format)->help);
    if (q->shuffle_seed < -1 || q->shuffle_seed > UINT32_MAX)
        return FAIL(IAU_ERR_USAGE, "shuffle seed %lld is not in 0..4294967295",
                    (long long)q->shuffle_seed);
    int rc = file_check_target(q->out);
    if (rc == IAU_OK && !q->force && file_exists(q->out) == 1)
        rc = FAIL(IAU_ERR_EXISTS, "%s exists; --force replaces it", q->out);
    return rc;
}

static int import_local(const struct import_request *q)
{
    struct writer w = {.request = q};
    char *name = NULL;
    int rc = check_request(q, &w.format);
    if (rc != IAU_OK)
        return rc;
    name = choose_name(q, w.format);
    if (!name)
        TRY(FAIL(IAU_ERR_MEM, "no memory to import %s", q->source[0]));
    TRY(w.format->open(&w.reader, q->n_source, q->source, name));
    w.n_value = 1;
    for (int i = 1; i < w.reader.ndim; i++)
        w.n_value *= (int)w.reader.dims[i];
    w.row_bytes =
        (size_t)w.reader.dims[0] * (size_t)w.n_value * (w.reader.is_u8 ? 1 : sizeof(float));
    w.sum = mem_alloc(w.reader.dims[0], sizeof *w.sum);
    w.square = mem_alloc(w.reader.dims[0], sizeof *w.square);
    if (!w.sum || !w.square)
        TRY(FAIL(IAU_ERR_MEM, "no memory to import %s", q->source[0]));
    TRY(write_and_commit(&w, name));
out:
    w.format->close(&w.reader);
    digest_final(&w.digest, w.hex);
    free(w.reader.source);
    free(w.order);
    free(w.all);
    free(w.all_label);
    free(w.sum);
    free(w.square);
    free(name);
    return rc;
}

int import_run(const struct import_request *request, const struct comm *comm)
{
    return comm_agree(comm, comm->rank == 0 ? import_local(request) : IAU_OK);
}
