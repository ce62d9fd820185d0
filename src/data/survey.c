/* One pass over a dataset file, in the order of its digest. */
#include "data/survey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "dataset_private.h"

enum { BLOCK_BYTES = 4 << 20 };

/* The arrays of the digest, in its order. */
static const struct source {
    const char *path;
    enum dataset_part part;
    char kind; /* i, x or y */
} sources[] = {{"/test/id", PART_TEST, 'i'},  {"/test/x", PART_TEST, 'x'},
               {"/test/y", PART_TEST, 'y'},   {"/train/id", PART_TRAIN, 'i'},
               {"/train/x", PART_TRAIN, 'x'}, {"/train/y", PART_TRAIN, 'y'}};

/* --- what is seen */

static void see_samples(struct dataset_survey *s, enum dataset_part part, const struct dataset *d,
                        const void *x, int64_t n)
{
    int64_t n_value = n * d->c * d->h * d->w;
    if (d->is_u8) {
        uint8_t least = UINT8_MAX, most = 0;
        for (int64_t i = 0; i < n_value; i++) {
            uint8_t v = ((const uint8_t *)x)[i];
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
        s->least[part] = fmin(s->least[part], least);
        s->most[part] = fmax(s->most[part], most);
        return;
    }
    float least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n_value; i++) {
        float v = ((const float *)x)[i];
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    s->least[part] = fmin(s->least[part], least);
    s->most[part] = fmax(s->most[part], most);
}

static int see(struct dataset_survey *s, const struct source *from, const struct dataset *d,
               const void *rows, int64_t first, int64_t n)
{
    enum dataset_part part = from->part;
    if (from->kind == 'x')
        see_samples(s, part, d, rows, n);
    for (int64_t i = 0; i < n && from->kind == 'y'; i++) {
        int32_t label = ((const int32_t *)rows)[i];
        int rc = dataset_check_label(d, part, label, first + i);
        if (rc != IAU_OK)
            return rc;
        s->count[part][label]++;
    }
    for (int64_t i = 0; i < n && from->kind == 'i'; i++) {
        int64_t id = ((const int64_t *)rows)[i];
        s->id_least[part] = id < s->id_least[part] ? id : s->id_least[part];
        s->id_most[part] = id > s->id_most[part] ? id : s->id_most[part];
    }
    return IAU_OK;
}

/* --- the pass */

/* Blocks go into the digest while the next one is read. */
static int read_blocks(struct digest *sum, const struct h5_array *a, struct dataset_survey *s,
                       const struct source *from, const struct dataset *d, int64_t n,
                       int64_t row_bytes, char *buffer)
{
    int rc = IAU_OK;
    digest_array(sum, a->path, a->ndim, a->dims);
    for (int64_t first = 0, k; rc == IAU_OK && first < a->dims[0]; first += k) {
        char *block = buffer + first / n % 2 * n * row_bytes;
        k = a->dims[0] - first < n ? a->dims[0] - first : n;
        rc = h5_array_read(a, first, k, block);
        if (rc == IAU_OK)
            digest_begin(sum, block, (size_t)(k * row_bytes));
        if (rc == IAU_OK && s)
            rc = see(s, from, d, block, first, k);
    }
    digest_wait(sum);
    return rc;
}

static int read_array(struct digest *sum, const struct h5_array *a, struct dataset_survey *s,
                      const struct source *from, const struct dataset *d)
{
    int64_t row_bytes = (int64_t)h5_type_bytes(a->type);
    for (int i = 1; i < a->ndim; i++)
        row_bytes *= a->dims[i];
    int64_t n = row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
    n = n < a->dims[0] ? n : a->dims[0];
    char *buffer = mem_alloc(2 * n, (size_t)row_bytes);
    if (!buffer)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", a->file->path);
    int rc = read_blocks(sum, a, s, from, d, n, row_bytes, buffer);
    free(buffer);
    return rc;
}

static int read_all(struct dataset_survey *s, const struct dataset *d, char hex[DIGEST_CHARS])
{
    struct h5 f = {0};
    struct h5_array a = {0};
    struct digest sum = {0};
    int rc = IAU_OK;
    hex[0] = '\0';
    TRY(h5_open(&f, d->path));
    TRY(digest_init(&sum));
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        TRY(h5_array_open(&a, &f, sources[i].path));
        TRY(read_array(&sum, &a, s, &sources[i], d));
        h5_array_close(&a);
    }
    digest_final(&sum, hex);
    if (strcmp(hex, d->digest) != 0)
        rc =
            FAIL(IAU_ERR_FORMAT, "%s: the stored digest %.12s... is not that of the data, %.12s...",
                 d->path, d->digest, hex);
out:
    if (sum.state)
        digest_final(&sum, hex);
    h5_array_close(&a);
    h5_close(&f);
    return rc;
}

int dataset_verify(const char *path, char hex[DIGEST_CHARS])
{
    struct dataset d;
    hex[0] = '\0';
    int rc = dataset_open_local(&d, path);
    if (rc == IAU_OK)
        rc = read_all(NULL, &d, hex);
    dataset_close(&d);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Ids should be different, over both parts. */
static int count_twins(struct dataset_survey *s, const struct dataset *d)
{
    int64_t n_train = d->n[PART_TRAIN], n = n_train + d->n[PART_TEST];
    int64_t *all = mem_alloc(n, sizeof *all), *part = NULL;
    int rc = IAU_OK;
    if (!all)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)n));
    TRY(dataset_read_ids(d, PART_TRAIN, &part));
    memcpy(all, part, (size_t)n_train * sizeof *all);
    free(part);
    TRY(dataset_read_ids(d, PART_TEST, &part));
    memcpy(all + n_train, part, (size_t)(n - n_train) * sizeof *all);
    free(part);
    qsort(all, (size_t)n, sizeof *all, by_value);
    for (int64_t i = 1; i < n; i++)
        s->n_twin += all[i] == all[i - 1];
out:
    free(all);
    return rc;
}

int dataset_survey(struct dataset_survey *s, const struct dataset *d)
{
    int rc = IAU_OK;
    *s = (struct dataset_survey){0};
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        s->least[part] = INFINITY;
        s->most[part] = -INFINITY;
        s->id_least[part] = INT64_MAX;
        s->id_most[part] = INT64_MIN;
        s->count[part] = mem_alloc(d->n_class, sizeof *s->count[part]);
        if (!s->count[part])
            TRY(FAIL(IAU_ERR_MEM, "no memory to count %d classes", d->n_class));
    }
    TRY(read_all(s, d, s->digest));
    TRY(count_twins(s, d));
out:
    return rc;
}

void dataset_survey_free(struct dataset_survey *s)
{
    free(s->count[PART_TRAIN]);
    free(s->count[PART_TEST]);
    *s = (struct dataset_survey){0};
}
