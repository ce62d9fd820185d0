/* Arrays of HDF5 files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "core/error.h"
#include "core/memory.h"

struct h5_rows {
    struct h5_array array;
    int64_t at; /* the row that comes next */
};

static int start_h5(struct array *a)
{
    ((struct h5_rows *)a->state)->at = 0;
    return IAU_OK;
}

static int read_h5(struct array *a, int64_t n, enum record_type type, void *out)
{
    struct h5_rows *s = a->state;
    int rc = IAU_OK;
    if (out) {
        h5_array_convert(&s->array, type);
        rc = h5_array_read(&s->array, s->at, n, out);
    }
    s->at += n;
    return rc;
}

static void close_h5(struct array *a)
{
    struct h5_rows *s = a->state;
    h5_array_close(&s->array);
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
out:
    free(absolute);
    free(name);
    return rc;
}
