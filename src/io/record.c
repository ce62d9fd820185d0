/* Files in memory: arrays and attributes by path, their digest, and their way to HDF5 and back. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/h5.h"
#include "io/record.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are over little-endian data");

static const struct h5_layout layout = {.chunk_bytes = 1 << 20};

static void free_array(struct record_array *a)
{
    free(a->path);
    free(a->data);
}

static void free_attribute(struct record_attribute *a)
{
    free(a->path);
    free(a->name);
    free(a->text);
}

void record_free(struct record *r)
{
    for (int64_t i = 0; i < r->n_array; i++)
        free_array(&r->array[i]);
    for (int64_t i = 0; i < r->n_attribute; i++)
        free_attribute(&r->attribute[i]);
    free(r->array);
    free(r->attribute);
    *r = (struct record){0};
}

int64_t record_count(const struct record_array *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->ndim; i++)
        n *= a->dims[i];
    return n;
}

double record_value(const struct record_array *a, int64_t i)
{
    REQUIRE(a->type != RECORD_TEXT && i >= 0 && i < record_count(a));
    switch (a->type) {
    case RECORD_F32:
        return ((const float *)a->data)[i];
    case RECORD_F64:
        return ((const double *)a->data)[i];
    case RECORD_I32:
        return ((const int32_t *)a->data)[i];
    case RECORD_I64:
        return (double)((const int64_t *)a->data)[i];
    default:
        return ((const uint8_t *)a->data)[i];
    }
}

const struct record_array *record_find(const struct record *r, const char *path)
{
    for (int64_t i = 0; i < r->n_array; i++)
        if (!strcmp(r->array[i].path, path))
            return &r->array[i];
    return NULL;
}

const struct record_attribute *record_attribute_find(const struct record *r, const char *path,
                                                     const char *name)
{
    for (int64_t i = 0; i < r->n_attribute; i++)
        if (!strcmp(r->attribute[i].path, path) && !strcmp(r->attribute[i].name, name))
            return &r->attribute[i];
    return NULL;
}

const char *record_text(const struct record *r, const char *path, const char *name,
                        const char *fallback)
{
    const struct record_attribute *a = record_attribute_find(r, path, name);
    return a && a->type == RECORD_TEXT ? a->text : fallback;
}

static size_t element_bytes(const struct record_array *a)
{
    return a->type == RECORD_TEXT ? (size_t)a->width : h5_type_bytes(a->type);
}

/* Take over `a`, in the place of an array with the same path if there is one. */
static int put_array(struct record *r, struct record_array a)
{
    struct record_array *old = (struct record_array *)record_find(r, a.path);
    if (old) {
        free_array(old);
        *old = a;
        return IAU_OK;
    }
    struct record_array *more = realloc(r->array, (size_t)(r->n_array + 1) * sizeof *more);
    if (!more) {
        free_array(&a);
        return FAIL(IAU_ERR_MEM, "no memory for another array");
    }
    r->array = more;
    more[r->n_array++] = a;
    return IAU_OK;
}

static int put_attribute(struct record *r, struct record_attribute a)
{
    struct record_attribute *old =
        (struct record_attribute *)record_attribute_find(r, a.path, a.name);
    if (old) {
        free_attribute(old);
        *old = a;
        return IAU_OK;
    }
    struct record_attribute *more =
        realloc(r->attribute, (size_t)(r->n_attribute + 1) * sizeof *more);
    if (!more) {
        free_attribute(&a);
        return FAIL(IAU_ERR_MEM, "no memory for another attribute");
    }
    r->attribute = more;
    more[r->n_attribute++] = a;
    return IAU_OK;
}

int record_add(struct record *r, const char *path, enum record_type type, int ndim,
               const int64_t *dims, const void *data)
{
    REQUIRE(path[0] == '/' && type != RECORD_TEXT && ndim >= 0 && ndim <= RECORD_MAX_DIMS);
    struct record_array a = {.path = mem_strdup(path), .type = type, .ndim = ndim};
    for (int i = 0; i < ndim; i++)
        a.dims[i] = dims[i];
    int64_t n = record_count(&a);
    a.data = mem_alloc(n, h5_type_bytes(type));
    if (!a.path || !a.data) {
        free_array(&a);
        return FAIL(IAU_ERR_MEM, "no memory for the %lld values of %s", (long long)n, path);
    }
    if (n)
        memcpy(a.data, data, (size_t)n * h5_type_bytes(type));
    return put_array(r, a);
}

int record_add_scalar(struct record *r, const char *path, double value)
{
    return record_add(r, path, RECORD_F64, 0, NULL, &value);
}

int record_add_column(struct record *r, const char *path, enum record_type type, int64_t n,
                      const void *data)
{
    return record_add(r, path, type, 1, &n, data);
}

int record_add_texts(struct record *r, const char *path, int64_t n, const char *const *texts)
{
    REQUIRE(path[0] == '/');
    struct record_array a = {
        .path = mem_strdup(path), .type = RECORD_TEXT, .width = 1, .ndim = 1, .dims = {n}};
    for (int64_t i = 0; i < n; i++)
        a.width = (int64_t)strlen(texts[i]) + 1 > a.width ? (int64_t)strlen(texts[i]) + 1 : a.width;
    a.data = mem_alloc(n, (size_t)a.width);
    if (!a.path || !a.data) {
        free_array(&a);
        return FAIL(IAU_ERR_MEM, "no memory for the %lld texts of %s", (long long)n, path);
    }
    for (int64_t i = 0; i < n; i++)
        strcpy((char *)a.data + i * a.width, texts[i]);
    return put_array(r, a);
}

static int set_attribute(struct record *r, const char *path, const char *name,
                         struct record_attribute a)
{
    REQUIRE(path[0] == '/');
    a.path = mem_strdup(path);
    a.name = mem_strdup(name);
    if (!a.path || !a.name || (a.type == RECORD_TEXT && !a.text)) {
        free_attribute(&a);
        return FAIL(IAU_ERR_MEM, "no memory for attribute '%s'", name);
    }
    return put_attribute(r, a);
}

int record_set_text(struct record *r, const char *path, const char *name, const char *text)
{
    return set_attribute(r, path, name,
                         (struct record_attribute){.type = RECORD_TEXT, .text = mem_strdup(text)});
}

int record_set_i64(struct record *r, const char *path, const char *name, int64_t value)
{
    return set_attribute(r, path, name,
                         (struct record_attribute){.type = RECORD_I64, .i64 = value});
}

int record_set_f64(struct record *r, const char *path, const char *name, double value)
{
    return set_attribute(r, path, name,
                         (struct record_attribute){.type = RECORD_F64, .f64 = value});
}

/* --- digest */

static int ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

static int is_below(const char *path, const char *prefix)
{
    size_t k = strlen(prefix);
    return !strncmp(path, prefix, k) &&
           (path[k] == '\0' || path[k] == '/' || (k && prefix[k - 1] == '/'));
}

static int is_digested(const char *path, const char *const *prefixes, int portable)
{
    if (portable && (ends_in(path, "_s") || ends_in(path, "_bytes")))
        return 0;
    for (; *prefixes; prefixes++)
        if (is_below(path, *prefixes))
            return 1;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct record_array *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

int record_digest(const struct record *r, const char *const *prefixes, int portable,
                  char hex[DIGEST_CHARS])
{
    struct digest d = {0};
    hex[0] = '\0';
    const struct record_array **sorted = mem_alloc(r->n_array, sizeof *sorted);
    if (!sorted)
        return FAIL(IAU_ERR_MEM, "no memory for a digest");
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_array; i++)
        if (is_digested(r->array[i].path, prefixes, portable))
            sorted[n++] = &r->array[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_path);
    int rc = digest_init(&d);
    if (rc == IAU_OK) {
        for (int64_t i = 0; i < n; i++) {
            const struct record_array *a = sorted[i];
            digest_array(&d, a->path, a->ndim, a->dims);
            digest_bytes(&d, a->data, (size_t)record_count(a) * element_bytes(a));
        }
        digest_final(&d, hex);
    }
    free(sorted);
    return rc;
}

void record_drop(struct record *r, const char *prefix)
{
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_array; i++)
        if (is_below(r->array[i].path, prefix))
            free_array(&r->array[i]);
        else
            r->array[n++] = r->array[i];
    r->n_array = n;
}

/* --- to and from HDF5 */

static int64_t n_rows(int ndim, const int64_t *dims)
{
    return ndim ? dims[0] : 1;
}

static int write_array(const struct h5 *f, const struct record_array *a)
{
    struct h5_array out;
    int rc = a->type == RECORD_TEXT
                 ? h5_texts_create(&out, f, a->path, a->dims[0], a->width, &layout)
                 : h5_array_create(&out, f, a->path, a->type, a->ndim, a->dims, &layout);
    if (rc != IAU_OK)
        return rc;
    rc = h5_array_write(&out, 0, n_rows(a->ndim, a->dims), a->data);
    int closed = h5_array_close(&out);
    return rc != IAU_OK ? rc : closed;
}

static int write_attribute(const struct h5 *f, const struct record_attribute *a)
{
    if (a->type == RECORD_TEXT)
        return h5_set_text(f, a->path, a->name, a->text);
    return a->type == RECORD_I64 ? h5_set_i64(f, a->path, a->name, a->i64)
                                 : h5_set_f64(f, a->path, a->name, a->f64);
}

int record_write(const struct record *r, const char *path)
{
    struct h5 f = {0};
    void *image = NULL;
    size_t n_bytes = 0;
    int rc = IAU_OK;
    TRY(file_check_target(path));
    TRY(h5_create_image(&f, path));
    for (int64_t i = 0; i < r->n_array; i++)
        TRY(write_array(&f, &r->array[i]));
    for (int64_t i = 0; i < r->n_attribute; i++)
        TRY(write_attribute(&f, &r->attribute[i]));
    TRY(h5_close_image(&f, &image, &n_bytes));
    TRY(file_write_atomic(path, image, n_bytes));
out:
    h5_close(&f);
    free(image);
    return rc;
}

static int read_array(struct record *r, const struct h5 *f, const char *path)
{
    struct h5_array in;
    int rc = h5_array_open_any(&in, f, path);
    if (rc != IAU_OK)
        return rc;
    struct record_array a = {
        .path = mem_strdup(path), .type = in.type, .width = in.width, .ndim = in.ndim};
    memcpy(a.dims, in.dims, sizeof a.dims);
    a.data = mem_alloc(record_count(&a), element_bytes(&a));
    if (!a.path || !a.data)
        rc = FAIL(IAU_ERR_MEM, "no memory for %s of %s", path, f->path);
    else
        rc = h5_array_read(&in, 0, n_rows(a.ndim, a.dims), a.data);
    h5_array_close(&in);
    if (rc == IAU_OK)
        return put_array(r, a);
    free_array(&a);
    return rc;
}

static int read_attributes(struct record *r, const struct h5 *f, const char *object)
{
    struct text_list names = {0};
    int rc = h5_list_attributes(f, object, &names);
    for (int64_t i = 0; i < names.n && rc == IAU_OK; i++) {
        struct record_attribute a;
        rc = h5_get_scalar(f, object, names.v[i], &a);
        if (rc == IAU_OK)
            rc = set_attribute(r, object, names.v[i], a);
    }
    h5_list_free(&names);
    return rc;
}

/* `prefix`: of the arrays to read; NULL: none. */
static int read_file(struct record *r, const char *path, const char *prefix)
{
    struct h5 f;
    struct text_list arrays = {0}, groups = {0};
    *r = (struct record){0};
    int rc = h5_open(&f, path);
    if (rc != IAU_OK)
        return rc;
    TRY(h5_list_objects(&f, &arrays, &groups));
    for (int64_t i = 0; i < arrays.n && prefix; i++)
        if (is_below(arrays.v[i], prefix))
            TRY(read_array(r, &f, arrays.v[i]));
    for (int64_t i = 0; i < groups.n; i++)
        TRY(read_attributes(r, &f, groups.v[i]));
    for (int64_t i = 0; i < arrays.n; i++)
        TRY(read_attributes(r, &f, arrays.v[i]));
out:
    h5_list_free(&arrays);
    h5_list_free(&groups);
    h5_close(&f);
    if (rc != IAU_OK)
        record_free(r);
    return rc;
}

int record_read(struct record *r, const char *path)
{
    return read_file(r, path, "/");
}

int record_read_part(struct record *r, const char *path, const char *prefix)
{
    return read_file(r, path, prefix);
}

int record_read_attributes(struct record *r, const char *path)
{
    return read_file(r, path, NULL);
}
