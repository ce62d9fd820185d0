/* Attributes of HDF5 files, and lists of what a file holds. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "h5_private.h"

hid_t h5_text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size ? size : 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* Write an attribute of `n` elements, a scalar for n < 0; one that is there is replaced. */
static int write_attribute(const struct h5 *f, const char *object, const char *name, hid_t stored,
                           hid_t given, int64_t n, const void *v)
{
    int rc = h5_path_exists(f, object) ? IAU_OK : h5_make_groups(f, object, 1);
    if (rc != IAU_OK)
        return rc;
    hsize_t extent = (hsize_t)(n < 0 ? 1 : n);
    if (H5Aexists_by_name(f->id, object, name, H5P_DEFAULT) > 0)
        H5Adelete_by_name(f->id, object, name, H5P_DEFAULT);
    hid_t space = n < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &extent, NULL);
    hid_t id = H5Acreate_by_name(f->id, object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT,
                                 H5P_DEFAULT);
    if (id < 0 || H5Awrite(id, given, v) < 0)
        rc = h5_fail(f, IAU_ERR_IO, "write attribute", name);
    if (id >= 0 && H5Aclose(id) < 0 && rc == IAU_OK)
        rc = h5_fail(f, IAU_ERR_IO, "write attribute", name);
    H5Sclose(space);
    return rc;
}

int h5_set_text(const struct h5 *f, const char *object, const char *name, const char *text)
{
    h5_enter();
    hid_t type = h5_text_type(strlen(text) + 1);
    int rc = write_attribute(f, object, name, type, type, -1, text);
    H5Tclose(type);
    return h5_leave(rc);
}

int h5_set_i64(const struct h5 *f, const char *object, const char *name, int64_t value)
{
    h5_enter();
    return h5_leave(write_attribute(f, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, -1, &value));
}

int h5_set_f64(const struct h5 *f, const char *object, const char *name, double value)
{
    h5_enter();
    return h5_leave(
        write_attribute(f, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, -1, &value));
}

int h5_set_floats(const struct h5 *f, const char *object, const char *name, int64_t n,
                  const float *v)
{
    h5_enter();
    return h5_leave(write_attribute(f, object, name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, n, v));
}

int h5_set_texts(const struct h5 *f, const char *object, const char *name, int64_t n,
                 char *const *v)
{
    size_t size = 1;
    for (int64_t i = 0; i < n; i++)
        size = strlen(v[i]) + 1 > size ? strlen(v[i]) + 1 : size;
    char *block = mem_alloc(n, size);
    if (!block)
        return FAIL(IAU_ERR_MEM, "no memory to write %s", f->path);
    for (int64_t i = 0; i < n; i++)
        strcpy(block + (size_t)i * size, v[i]);
    h5_enter();
    hid_t type = h5_text_type(size);
    int rc = write_attribute(f, object, name, type, type, n, block);
    H5Tclose(type);
    free(block);
    return h5_leave(rc);
}

/* An attribute as opened for reading. */
struct attribute {
    hid_t id, type;
    int known;       /* enum record_type, or -1 */
    int is_variable; /* a text of variable length */
    int ndim;
    int64_t n; /* elements */
};

static void close_attribute(struct attribute *a)
{
    if (a->type > 0)
        H5Tclose(a->type);
    if (a->id > 0)
        H5Aclose(a->id);
}

static int open_attribute(struct attribute *a, const struct h5 *f, const char *object,
                          const char *name)
{
    *a = (struct attribute){0};
    if (!h5_path_exists(f, object) || H5Aexists_by_name(f->id, object, name, H5P_DEFAULT) == 0)
        return FAIL(IAU_ERR_FORMAT, "%s has no attribute '%s' at %s", f->path, name, object);
    a->id = H5Aopen_by_name(f->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (a->id < 0)
        return h5_fail(f, IAU_ERR_FORMAT, "read attribute", name);
    a->type = H5Aget_type(a->id);
    a->known = h5_record_type(a->type);
    a->is_variable = a->known == RECORD_TEXT && H5Tis_variable_str(a->type) > 0;
    hid_t space = H5Aget_space(a->id);
    a->ndim = H5Sget_simple_extent_ndims(space);
    a->n = H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    return IAU_OK;
}

/* The n texts of an attribute, each a new string. */
static int read_texts(const struct h5 *f, const struct attribute *a, const char *name, char **out)
{
    int rc = IAU_OK;
    size_t size = a->is_variable ? sizeof(char *) : H5Tget_size(a->type);
    char *block = mem_alloc(a->n, size), *one = mem_alloc((int64_t)size + 1, 1);
    hid_t type =
        H5Tcopy(a->type); /* as stored: a reader of fixed UTF-8 texts may not ask for ASCII */
    if (!block || !one)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", f->path));
    if (H5Aread(a->id, type, block) < 0)
        TRY(h5_fail(f, IAU_ERR_FORMAT, "read attribute", name));
    for (int64_t i = 0; i < a->n && rc == IAU_OK; i++) {
        char *at = block + (size_t)i * size;
        if (a->is_variable)
            out[i] = mem_strdup(((char **)(void *)block)[i] ? ((char **)(void *)block)[i] : "");
        else
            out[i] = mem_strdup(
                memcpy(one, at, size)); /* `one` ends in a NUL, the stored text need not */
        if (!out[i])
            rc = FAIL(IAU_ERR_MEM, "no memory to read %s", f->path);
    }
    if (a->is_variable)
        for (int64_t i = 0; i < a->n; i++)
            H5free_memory(((char **)(void *)block)[i]);
out:
    H5Tclose(type);
    free(one);
    free(block);
    return rc;
}

static int read_scalar(const struct h5 *f, const struct attribute *a, const char *object,
                       const char *name, struct record_attribute *out)
{
    if (a->n != 1 || a->known < 0)
        return FAIL(IAU_ERR_FORMAT, "%s: attribute '%s' at %s is neither one number nor one text",
                    f->path, name, object);
    herr_t failed = 0;
    if (a->known == RECORD_TEXT) {
        out->type = RECORD_TEXT;
        return read_texts(f, a, name, &out->text);
    }
    if (a->known == RECORD_F32 || a->known == RECORD_F64) {
        out->type = RECORD_F64;
        failed = H5Aread(a->id, H5T_NATIVE_DOUBLE, &out->f64);
    } else {
        out->type = RECORD_I64;
        failed = H5Aread(a->id, H5T_NATIVE_INT64, &out->i64);
    }
    return failed < 0 ? h5_fail(f, IAU_ERR_FORMAT, "read attribute", name) : IAU_OK;
}

int h5_get_scalar(const struct h5 *f, const char *object, const char *name,
                  struct record_attribute *out)
{
    struct attribute a;
    *out = (struct record_attribute){0};
    h5_enter();
    int rc = open_attribute(&a, f, object, name);
    if (rc == IAU_OK)
        rc = read_scalar(f, &a, object, name, out);
    close_attribute(&a);
    return h5_leave(rc);
}

int h5_get_text(const struct h5 *f, const char *object, const char *name, char **out)
{
    struct record_attribute a;
    *out = NULL;
    int rc = h5_get_scalar(f, object, name, &a);
    if (rc == IAU_OK && a.type != RECORD_TEXT)
        return FAIL(IAU_ERR_FORMAT, "%s: attribute '%s' at %s is no text", f->path, name, object);
    *out = a.text;
    return rc;
}

int h5_get_i64(const struct h5 *f, const char *object, const char *name, int64_t *out)
{
    struct record_attribute a;
    int rc = h5_get_scalar(f, object, name, &a);
    *out = a.i64;
    if (rc == IAU_OK && a.type != RECORD_I64) {
        free(a.text);
        return FAIL(IAU_ERR_FORMAT, "%s: attribute '%s' at %s is no integer", f->path, name,
                    object);
    }
    return rc;
}

int h5_get_floats(const struct h5 *f, const char *object, const char *name, int64_t n, float *out)
{
    struct attribute a;
    h5_enter();
    int rc = open_attribute(&a, f, object, name);
    if (rc == IAU_OK && (a.n != n || a.ndim != 1 || a.known < 0 || a.known == RECORD_TEXT))
        rc = FAIL(IAU_ERR_FORMAT, "%s: attribute '%s' at %s is no list of %lld numbers", f->path,
                  name, object, (long long)n);
    if (rc == IAU_OK && H5Aread(a.id, H5T_NATIVE_FLOAT, out) < 0)
        rc = h5_fail(f, IAU_ERR_FORMAT, "read attribute", name);
    close_attribute(&a);
    return h5_leave(rc);
}

int h5_get_texts(const struct h5 *f, const char *object, const char *name, int64_t n, char **out)
{
    struct attribute a;
    h5_enter();
    int rc = open_attribute(&a, f, object, name);
    if (rc == IAU_OK && (a.n != n || a.ndim != 1 || a.known != RECORD_TEXT))
        rc = FAIL(IAU_ERR_FORMAT, "%s: attribute '%s' at %s is no list of %lld texts", f->path,
                  name, object, (long long)n);
    if (rc == IAU_OK)
        rc = read_texts(f, &a, name, out);
    close_attribute(&a);
    return h5_leave(rc);
}

/* --- lists */

static int append(struct text_list *list, const char *prefix, const char *text)
{
    size_t size = strlen(prefix) + strlen(text) + 1;
    char **more = realloc(list->v, (size_t)(list->n + 1) * sizeof *more);
    if (!more)
        return -1;
    list->v = more;
    more[list->n] = mem_alloc((int64_t)size, 1);
    if (!more[list->n])
        return -1;
    snprintf(more[list->n++], size, "%s%s", prefix, text);
    return 0;
}

/* What a listing collects, and whether memory ran out over it. */
struct listing {
    struct text_list *arrays, *groups, *names;
    int failed;
};

static herr_t keep_object(hid_t root, const char *name, const H5O_info_t *info, void *arg)
{
    (void)root;
    struct listing *l = arg;
    if (info->type != H5O_TYPE_DATASET && info->type != H5O_TYPE_GROUP)
        return 0;
    l->failed = append(info->type == H5O_TYPE_DATASET ? l->arrays : l->groups, "/",
                       strcmp(name, ".") ? name : "");
    return l->failed;
}

static herr_t keep_name(hid_t object, const char *name, const H5A_info_t *info, void *arg)
{
    (void)object;
    (void)info;
    struct listing *l = arg;
    l->failed = append(l->names, "", name);
    return l->failed;
}

static int finish_listing(const struct h5 *f, const struct listing *l, herr_t result,
                          const char *object)
{
    if (l->failed)
        return h5_leave(FAIL(IAU_ERR_MEM, "no memory to list %s", f->path));
    return h5_leave(result < 0 ? h5_fail(f, IAU_ERR_FORMAT, "list what is in", object) : IAU_OK);
}

int h5_list_objects(const struct h5 *f, struct text_list *arrays, struct text_list *groups)
{
    struct listing l = {.arrays = arrays, .groups = groups};
    h5_enter();
    return finish_listing(f, &l, H5Ovisit(f->id, H5_INDEX_NAME, H5_ITER_INC, keep_object, &l), "/");
}

int h5_list_attributes(const struct h5 *f, const char *object, struct text_list *names)
{
    struct listing l = {.names = names};
    hsize_t at = 0;
    h5_enter();
    return finish_listing(f, &l,
                          H5Aiterate_by_name(f->id, object, H5_INDEX_NAME, H5_ITER_INC, &at,
                                             keep_name, &l, H5P_DEFAULT),
                          object);
}

void h5_list_free(struct text_list *list)
{
    for (int64_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct text_list){0};
}
