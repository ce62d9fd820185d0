/* Arrays of HDF5 files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "core/error.h"
#include "core/memory.h"

/* A read of a few rows costs HDF5 as much as one of so many bytes. */
enum { AHEAD_BYTES = 256 << 10 };

struct h5_rows {
    struct h5_array array;
    int64_t at; /* the row that comes next */
    /* Rows [first, first + n) of a type, read ahead where few are asked for at a time. */
    void *ahead; /* owned, [n_ahead] rows of the widest type */
    int64_t n_ahead, first, n;
    enum record_type type;
};

static int start_h5(struct array *a)
{
    ((struct h5_rows *)a->state)->at = 0;
    return IAU_OK;
}

static int read_ahead(struct array *a, enum record_type type)
{
    struct h5_rows *s = a->state;
    int64_t left = a->dims[0] - s->at, n = left < s->n_ahead ? left : s->n_ahead;
    int rc = h5_array_read(&s->array, s->at, n, s->ahead);
    s->first = s->at;
    s->n = rc == IAU_OK ? n : 0;
    s->type = type;
    return rc;
}

static int read_h5(struct array *a, int64_t n, enum record_type type, void *out)
{
    struct h5_rows *s = a->state;
    int64_t row_bytes = a->n_value * (int64_t)h5_type_bytes(type);
    int rc = IAU_OK;
    REQUIRE(s->at + n <= a->dims[0]);
    h5_array_convert(&s->array, type);
    for (int64_t done = 0, k; done < n && out && rc == IAU_OK; done += k, s->at += k) {
        char *to = (char *)out + done * row_bytes;
        int64_t from = s->at - s->first;
        k = n - done;
        if (type == s->type && from >= 0 && from < s->n) {
            k = k < s->n - from ? k : s->n - from;
            memcpy(to, (char *)s->ahead + from * row_bytes, (size_t)(k * row_bytes));
        } else if (k >= s->n_ahead) {
            rc = h5_array_read(&s->array, s->at, k, to);
        } else {
            rc = read_ahead(a, type);
            k = 0;
        }
    }
    s->at += out ? 0 : n;
    return rc;
}

static void close_h5(struct array *a)
{
    struct h5_rows *s = a->state;
    h5_array_close(&s->array);
    free(s->ahead);
    free(s);
}

static const struct array_kind h5_kind = {start_h5, read_h5, close_h5};

int array_open_h5(struct array *a, const struct h5 *f, const char *path)
{
    struct h5_rows *s = mem_alloc(1, sizeof *s);
    size_t size = strlen(f->path) + strlen(path) + 4;
    char *name = mem_alloc((int64_t)size, 1), *absolute = mem_alloc((int64_t)size, 1);
    int rc = IAU_OK;
    *a = (struct array){.kind = s ? &h5_kind : NULL, .state = s};
    if (!s || !name || !absolute)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", f->path));
    snprintf(absolute, size, "%s%s", *path == '/' ? "" : "/", path);
    snprintf(name, size, "%s: %s", f->path, absolute);
    TRY(h5_array_open(&s->array, f, absolute));
    a->is_u8 = s->array.type == RECORD_U8;
    a->is_integer = a->is_u8 || s->array.type == RECORD_I32 || s->array.type == RECORD_I64;
    TRY(array_describe(a, name, s->array.ndim, s->array.dims));
    name = NULL;
    s->n_ahead = AHEAD_BYTES / (a->n_value * (int64_t)sizeof(double));
    s->ahead = mem_alloc(s->n_ahead, (size_t)a->n_value * sizeof(double));
    if (!s->ahead)
        rc = FAIL(IAU_ERR_MEM, "no memory to read %s", a->name);
out:
    free(absolute);
    free(name);
    return rc;
}
