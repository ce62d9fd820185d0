/* Dataset files: checked and described by every rank, then read by rows, each rank its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/poison.h"
#include "dataset_private.h"
#include "io/h5.h"
#include "par/comm.h"

static const char *const part_name[N_PART] = {"train", "test"};

const char *dataset_part_name(enum dataset_part part)
{
    return part_name[part];
}

/* --- open */

int dataset_open_array(struct h5_array *a, const struct h5 *f, enum dataset_part part,
                       const char *name)
{
    char path[32];
    snprintf(path, sizeof path, "/%s/%s", part_name[part], name);
    return h5_array_open(a, f, path);
}

/* Take the sample shape from an open `x`, or compare it with the one known. */
static int check_samples(struct dataset *d, enum dataset_part part, const struct h5_array *x)
{
    if ((x->type != RECORD_U8 && x->type != RECORD_F32) || (x->ndim != 4 && x->ndim != 2))
        return FAIL(IAU_ERR_FORMAT, "%s: %s is not uint8 or float32 with 4 or 2 extents", d->path,
                    x->path);
    int is_table = x->ndim == 2;
    int64_t shape[3] = {x->dims[1], is_table ? 1 : x->dims[2], is_table ? 1 : x->dims[3]};
    int64_t size = 1;
    for (int i = 0; i < 3; i++) {
        if (shape[i] < 1 || shape[i] > INT32_MAX / size)
            return FAIL(IAU_ERR_FORMAT, "%s: %s has empty or too large samples", d->path, x->path);
        size *= shape[i];
    }
    if (x->dims[0] < 1)
        return FAIL(IAU_ERR_FORMAT, "%s: %s is empty", d->path, x->path);
    d->n[part] = x->dims[0];
    if (part == PART_TRAIN) {
        d->c = (int)shape[0];
        d->h = (int)shape[1];
        d->w = (int)shape[2];
        d->is_u8 = x->type == RECORD_U8;
        d->is_table = is_table;
    } else if (shape[0] != d->c || shape[1] != d->h || shape[2] != d->w ||
               is_table != d->is_table || (x->type == RECORD_U8) != d->is_u8) {
        return FAIL(IAU_ERR_FORMAT, "%s: %s has other samples than /train/x", d->path, x->path);
    }
    return IAU_OK;
}

static int check_column(const struct dataset *d, enum dataset_part part, const struct h5 *f,
                        const char *name, enum record_type type)
{
    struct h5_array a;
    int rc = dataset_open_array(&a, f, part, name);
    if (rc != IAU_OK)
        return rc;
    if (a.type != type || a.ndim != 1 || a.dims[0] != d->n[part])
        rc = FAIL(IAU_ERR_FORMAT, "%s: %s is not %s with %lld rows, as many as x has", d->path,
                  a.path, type == RECORD_I32 ? "int32" : "int64", (long long)d->n[part]);
    h5_array_close(&a);
    return rc;
}

static int check_part(struct dataset *d, enum dataset_part part, const struct h5 *f)
{
    struct h5_array x;
    int rc = dataset_open_array(&x, f, part, "x");
    if (rc != IAU_OK)
        return rc;
    rc = check_samples(d, part, &x);
    h5_array_close(&x);
    if (rc == IAU_OK)
        rc = check_column(d, part, f, "y", RECORD_I32);
    if (rc == IAU_OK)
        rc = check_column(d, part, f, "id", RECORD_I64);
    return rc;
}

static int check_format(const struct h5 *f)
{
    char *format = NULL;
    int64_t version = 0;
    int rc = h5_get_text(f, "/", "format", &format);
    if (rc == IAU_OK && strcmp(format, DATASET_FORMAT))
        rc = FAIL(IAU_ERR_FORMAT, "%s is no dataset file: its format is '%s'", f->path, format);
    if (rc == IAU_OK)
        rc = h5_get_i64(f, "/", "version", &version);
    if (rc == IAU_OK && version != DATASET_VERSION)
        rc = FAIL(IAU_ERR_FORMAT,
                  "%s is a dataset file of version %lld, this program reads version %d", f->path,
                  (long long)version, DATASET_VERSION);
    free(format);
    return rc;
}

static int read_digest(const struct h5 *f, char hex[DIGEST_CHARS])
{
    char *text = NULL;
    int rc = h5_get_text(f, "/", "digest", &text);
    if (rc == IAU_OK && strspn(text, "0123456789abcdef") != DIGEST_CHARS - 1)
        rc = FAIL(IAU_ERR_FORMAT, "%s: attribute 'digest' is no SHA-256 digest", f->path);
    snprintf(hex, DIGEST_CHARS, "%s", text ? text : "");
    free(text);
    return rc;
}

static int read_classes(struct dataset *d, const struct h5 *f)
{
    int64_t n = 0;
    int rc = h5_get_i64(f, "/", "classes", &n);
    if (rc != IAU_OK)
        return rc;
    if (n < 2 || n > 1 << 20)
        return FAIL(IAU_ERR_FORMAT, "%s: attribute 'classes' is %lld, at least 2 are needed",
                    d->path, (long long)n);
    d->class_name = mem_alloc(n, sizeof *d->class_name);
    if (!d->class_name)
        return FAIL(IAU_ERR_MEM, "no memory to describe %s", d->path);
    d->n_class = (int)n;
    return h5_get_texts(f, "/", "class_names", n, d->class_name);
}

static int read_statistics(struct dataset *d, const struct h5 *f)
{
    d->mean = mem_alloc(d->c, sizeof *d->mean);
    d->std = mem_alloc(d->c, sizeof *d->std);
    if (!d->mean || !d->std)
        return FAIL(IAU_ERR_MEM, "no memory to describe %s", d->path);
    int rc = h5_get_floats(f, "/", "mean", d->c, d->mean);
    if (rc == IAU_OK)
        rc = h5_get_floats(f, "/", "std", d->c, d->std);
    for (int i = 0; i < d->c && rc == IAU_OK; i++)
        if (!isfinite(d->mean[i]) || !isfinite(d->std[i]) || d->std[i] < 0)
            rc = FAIL(IAU_ERR_FORMAT, "%s: mean or std of channel %d is no sensible number",
                      d->path, i);
    return rc;
}

/* The program can do without it. */
static int read_source(struct dataset *d, const struct h5 *f)
{
    if (h5_get_text(f, "/", "source", &d->source) != IAU_OK) {
        error_clear();
        d->source = mem_strdup("");
    }
    return d->source ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to describe %s", d->path);
}

int dataset_open_local(struct dataset *d, const char *path)
{
    struct h5 f = {0};
    int rc = IAU_OK;
    *d = (struct dataset){.path = mem_strdup(path)};
    if (!d->path)
        TRY(FAIL(IAU_ERR_MEM, "no memory to open %s", path));
    TRY(h5_open(&f, path));
    TRY(check_format(&f));
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        TRY(check_part(d, part, &f));
    TRY(h5_get_text(&f, "/", "name", &d->name));
    TRY(read_source(d, &f));
    TRY(read_classes(d, &f));
    TRY(read_statistics(d, &f));
    TRY(read_digest(&f, d->digest));
out:
    h5_close(&f);
    return rc;
}

int dataset_open(struct dataset *d, const char *path, const struct comm *comm)
{
    int rc = comm_agree(comm, dataset_open_local(d, path));
    if (rc != IAU_OK)
        dataset_close(d);
    return rc;
}

void dataset_close(struct dataset *d)
{
    for (int i = 0; d->class_name && i < d->n_class; i++)
        free(d->class_name[i]);
    free(d->class_name);
    free(d->mean);
    free(d->std);
    free(d->name);
    free(d->source);
    free(d->path);
    *d = (struct dataset){0};
}

/* --- columns */

int dataset_reopen(struct h5 *f, const struct dataset *d)
{
    char digest[DIGEST_CHARS];
    int rc = h5_open(f, d->path);
    if (rc != IAU_OK)
        return rc;
    rc = read_digest(f, digest);
    if (rc == IAU_OK && strcmp(digest, d->digest))
        rc =
            FAIL(IAU_ERR_FORMAT, "%s has been replaced by another dataset during the run", d->path);
    if (rc != IAU_OK)
        h5_close(f);
    return rc;
}

int dataset_check_label(const struct dataset *d, enum dataset_part part, int32_t label, int64_t row)
{
    if (label >= 0 && label < d->n_class)
        return IAU_OK;
    return FAIL(IAU_ERR_FORMAT, "%s: label %d in row %lld of /%s/y is not in 0..%d", d->path, label,
                (long long)row, part_name[part], d->n_class - 1);
}

static int read_column(const struct dataset *d, enum dataset_part part, const char *name,
                       size_t size, void **out)
{
    struct h5 f = {0};
    struct h5_array a = {0};
    int rc = IAU_OK;
    void *v = NULL;
    *out = NULL;
    TRY(dataset_reopen(&f, d));
    TRY(dataset_open_array(&a, &f, part, name));
    v = mem_alloc(d->n[part], size);
    if (!v)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the %lld rows of %s", (long long)d->n[part], d->path));
    TRY(h5_array_read(&a, 0, d->n[part], v));
    *out = v;
    v = NULL;
out:
    free(v);
    h5_array_close(&a);
    h5_close(&f);
    return rc;
}

int dataset_read_labels(const struct dataset *d, enum dataset_part part, int32_t **out)
{
    void *v;
    int rc = read_column(d, part, "y", sizeof **out, &v);
    *out = v;
    for (int64_t i = 0; rc == IAU_OK && i < d->n[part]; i++)
        rc = dataset_check_label(d, part, (*out)[i], i);
    if (rc == IAU_OK && d->poison && part == PART_TRAIN)
        poison_apply_all(d->poison, *out);
    if (rc != IAU_OK) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

int dataset_read_ids(const struct dataset *d, enum dataset_part part, int64_t **out)
{
    void *v;
    int rc = read_column(d, part, "id", sizeof **out, &v);
    *out = v;
    return rc;
}

int dataset_is_one(const char *path)
{
    struct h5 f = {0};
    char *format = NULL;
    int is = h5_open(&f, path) == IAU_OK && h5_get_text(&f, "/", "format", &format) == IAU_OK &&
             strcmp(format, DATASET_FORMAT) == 0;
    free(format);
    h5_close(&f);
    error_clear();
    return is;
}
