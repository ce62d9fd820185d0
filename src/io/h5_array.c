/* Arrays of HDF5 files: described, created, and read or written by rows. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "h5_private.h"

enum { OBJECT_CHARS = 256, DEFLATE_LEVEL = 4 };

/* --- types and names */

size_t h5_type_bytes(enum record_type type)
{
    return type == RECORD_U8 ? 1 : type == RECORD_F32 || type == RECORD_I32 ? 4 : 8;
}

/* The type of an array in memory, or in the file; the caller closes it. */
static hid_t memory_type(const struct h5_array *a)
{
    const hid_t t[] = {[RECORD_F32] = H5T_NATIVE_FLOAT,
                       [RECORD_F64] = H5T_NATIVE_DOUBLE,
                       [RECORD_I32] = H5T_NATIVE_INT32,
                       [RECORD_I64] = H5T_NATIVE_INT64,
                       [RECORD_U8] = H5T_NATIVE_UINT8};
    return a->type == RECORD_TEXT ? h5_text_type((size_t)a->width) : H5Tcopy(t[a->type]);
}

static hid_t file_type(const struct h5_array *a)
{
    const hid_t t[] = {[RECORD_F32] = H5T_IEEE_F32LE,
                       [RECORD_F64] = H5T_IEEE_F64LE,
                       [RECORD_I32] = H5T_STD_I32LE,
                       [RECORD_I64] = H5T_STD_I64LE,
                       [RECORD_U8] = H5T_STD_U8LE};
    return a->type == RECORD_TEXT ? h5_text_type((size_t)a->width) : H5Tcopy(t[a->type]);
}

int h5_record_type(hid_t type)
{
    H5T_class_t kind = H5Tget_class(type);
    size_t size = H5Tget_size(type);
    if (kind == H5T_STRING)
        return RECORD_TEXT;
    if (kind == H5T_FLOAT)
        return size <= 4 ? RECORD_F32 : size <= 8 ? RECORD_F64 : -1;
    if (kind != H5T_INTEGER)
        return -1;
    int is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
    if (size == 1 && !is_signed)
        return RECORD_U8;
    if (size < 4 || (size == 4 && is_signed))
        return RECORD_I32;
    return size == 4 || is_signed ? RECORD_I64 : -1;
}

int h5_make_groups(const struct h5 *f, const char *path, int whole)
{
    int rc = IAU_OK;
    hid_t creation = -1;
    char *part = mem_strdup(path);
    if (!part)
        return FAIL(IAU_ERR_MEM, "no memory to write %s", f->path);
    creation = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(creation, 0);
    for (char *end = part; rc == IAU_OK && end && end[0] && end[1];) {
        end = strchr(end + 1, '/');
        if (end)
            *end = '\0';
        else if (!whole)
            break;
        if (H5Lexists(f->id, part, H5P_DEFAULT) <= 0) {
            hid_t group = H5Gcreate2(f->id, part, H5P_DEFAULT, creation, H5P_DEFAULT);
            if (group < 0)
                rc = h5_fail(f, IAU_ERR_IO, "create group", part);
            else
                H5Gclose(group);
        }
        if (end)
            *end = '/';
    }
    H5Pclose(creation);
    free(part);
    return rc;
}

int h5_path_exists(const struct h5 *f, const char *path)
{
    return !strcmp(path, "/") || H5Oexists_by_name(f->id, path, H5P_DEFAULT) > 0;
}

/* --- arrays */

static int describe(struct h5_array *a, const char *path, int with_texts)
{
    const struct h5 *f = a->file;
    hid_t type = H5Dget_type(a->id), space = H5Dget_space(a->id);
    int known = h5_record_type(type), ndim = H5Sget_simple_extent_ndims(space);
    int is_null = H5Sget_simple_extent_type(space) == H5S_NULL;
    hsize_t dims[H5S_MAX_RANK] = {0};
    int is_column = known == RECORD_TEXT && ndim == 1 && !H5Tis_variable_str(type) && with_texts;
    H5Sget_simple_extent_dims(space, dims, NULL);
    a->width = is_column ? (int64_t)H5Tget_size(type) : 0;
    H5Tclose(type);
    H5Sclose(space);
    if (known < 0 || (known == RECORD_TEXT && !is_column) || is_null)
        return FAIL(IAU_ERR_FORMAT, "%s: %s holds no numbers of a known type", f->path, path);
    if (ndim < 0 || ndim > RECORD_MAX_DIMS)
        return FAIL(IAU_ERR_FORMAT, "%s: %s has %d extents, at most %d are read", f->path, path,
                    ndim, RECORD_MAX_DIMS);
    a->type = (enum record_type)known;
    a->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        a->dims[i] = (int64_t)dims[i];
    return IAU_OK;
}

static int start_array(struct h5_array *a, const struct h5 *f, const char *path)
{
    *a = (struct h5_array){.file = f, .path = mem_strdup(path)};
    return a->path ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for %s of %s", path, f->path);
}

static void release_array(struct h5_array *a)
{
    if (a->id > 0)
        H5Dclose(a->id);
    free(a->path);
    *a = (struct h5_array){0};
}

static int open_array(struct h5_array *a, const struct h5 *f, const char *path, int with_texts)
{
    int rc = start_array(a, f, path);
    if (rc != IAU_OK)
        return rc;
    h5_enter();
    if (!h5_path_exists(f, path)) {
        rc = FAIL(IAU_ERR_FORMAT, "%s has no %s", f->path, path);
    } else {
        a->id = H5Dopen2(f->id, path, H5P_DEFAULT);
        rc = a->id < 0 ? h5_fail(f, IAU_ERR_FORMAT, "open array", path)
                       : describe(a, path, with_texts);
    }
    if (rc != IAU_OK)
        release_array(a);
    return h5_leave(rc);
}

int h5_array_open(struct h5_array *a, const struct h5 *f, const char *path)
{
    return open_array(a, f, path, 0);
}

int h5_array_open_any(struct h5_array *a, const struct h5 *f, const char *path)
{
    return open_array(a, f, path, 1);
}

static int64_t row_bytes(const struct h5_array *a)
{
    int64_t bytes = a->type == RECORD_TEXT ? a->width : (int64_t)h5_type_bytes(a->type);
    for (int i = 1; i < a->ndim; i++)
        bytes *= a->dims[i];
    return bytes;
}

/* How an array is laid out: compact for a scalar, nothing for an empty array, else equal chunks of
 * rows. */
static hid_t creation_of(const struct h5_array *a, const struct h5_layout *layout)
{
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(p, 0);
    H5Pset_fill_time(p, H5D_FILL_TIME_NEVER);
    hsize_t chunk[RECORD_MAX_DIMS];
    int64_t bytes = row_bytes(a);
    if (a->ndim == 0)
        H5Pset_layout(p, H5D_COMPACT);
    if (a->ndim == 0 || bytes == 0 || a->dims[0] == 0)
        return p;
    int64_t most = layout->chunk_bytes > bytes ? layout->chunk_bytes / bytes : 1;
    int64_t n_chunk = (a->dims[0] + most - 1) / most;
    chunk[0] = (hsize_t)((a->dims[0] + n_chunk - 1) / n_chunk);
    for (int i = 1; i < a->ndim; i++)
        chunk[i] = (hsize_t)a->dims[i];
    H5Pset_chunk(p, a->ndim, chunk);
    if (layout->compress && h5_type_bytes(a->type) > 1)
        H5Pset_shuffle(p);
    if (layout->compress)
        H5Pset_deflate(p, DEFLATE_LEVEL);
    H5Pset_fletcher32(p);
    return p;
}

static int create_array(struct h5_array *a, const struct h5 *f, const char *path,
                        enum record_type type, int64_t width, int ndim, const int64_t *dims,
                        const struct h5_layout *layout)
{
    REQUIRE(ndim >= 0 && ndim <= RECORD_MAX_DIMS);
    int rc = start_array(a, f, path);
    if (rc != IAU_OK)
        return rc;
    a->type = type;
    a->width = width;
    a->ndim = ndim;
    hsize_t extent[RECORD_MAX_DIMS] = {0};
    for (int i = 0; i < ndim; i++) {
        a->dims[i] = dims[i];
        extent[i] = (hsize_t)dims[i];
    }
    h5_enter();
    rc = h5_make_groups(f, path, 0);
    if (rc == IAU_OK) {
        hid_t space = ndim ? H5Screate_simple(ndim, extent, NULL) : H5Screate(H5S_SCALAR);
        hid_t creation = creation_of(a, layout);
        hid_t stored = file_type(a);
        a->id = H5Dcreate2(f->id, path, stored, space, H5P_DEFAULT, creation, H5P_DEFAULT);
        if (a->id < 0)
            rc = h5_fail(f, IAU_ERR_IO, "create array", path);
        H5Tclose(stored);
        H5Pclose(creation);
        H5Sclose(space);
    }
    if (rc != IAU_OK)
        release_array(a);
    return h5_leave(rc);
}

int h5_array_create(struct h5_array *a, const struct h5 *f, const char *path, enum record_type type,
                    int ndim, const int64_t *dims, const struct h5_layout *layout)
{
    REQUIRE(type != RECORD_TEXT);
    return create_array(a, f, path, type, 0, ndim, dims, layout);
}

int h5_texts_create(struct h5_array *a, const struct h5 *f, const char *path, int64_t n,
                    int64_t width, const struct h5_layout *layout)
{
    return create_array(a, f, path, RECORD_TEXT, width, 1, &n, layout);
}

void h5_array_convert(struct h5_array *a, enum record_type type)
{
    a->type = type;
}

/* Rows in or out. @param how  HDF5's transfer properties */
static int transfer(const struct h5_array *a, int64_t first, int64_t n, hid_t how, void *out,
                    const void *in)
{
    REQUIRE(first >= 0 && n >= 0 && first + n <= (a->ndim ? a->dims[0] : 1));
    if (n == 0 || row_bytes(a) == 0)
        return IAU_OK;
    int rc = IAU_OK;
    char what[OBJECT_CHARS];
    hsize_t start[RECORD_MAX_DIMS] = {(hsize_t)first}, count[RECORD_MAX_DIMS] = {(hsize_t)n};
    for (int i = 1; i < a->ndim; i++)
        count[i] = (hsize_t)a->dims[i];
    snprintf(what, sizeof what, "%s rows %lld to %lld", a->path, (long long)first,
             (long long)(first + n - 1));
    h5_enter();
    hid_t space = H5S_ALL, memory = H5S_ALL;
    if (a->ndim) {
        space = H5Dget_space(a->id);
        memory = H5Screate_simple(a->ndim, count, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    }
    hid_t type = memory_type(a);
    herr_t failed = out ? H5Dread(a->id, type, memory, space, how, out)
                        : H5Dwrite(a->id, type, memory, space, how, in);
    if (failed < 0)
        rc = h5_fail(a->file, out ? IAU_ERR_FORMAT : IAU_ERR_IO, out ? "read" : "write",
                     a->ndim ? what : a->path);
    H5Tclose(type);
    if (a->ndim) {
        H5Sclose(space);
        H5Sclose(memory);
    }
    return h5_leave(rc);
}

int h5_array_read(const struct h5_array *a, int64_t first, int64_t n, void *out)
{
    return transfer(a, first, n, H5P_DEFAULT, out, NULL);
}

int h5_array_read_known(const struct h5_array *a, int64_t first, int64_t n, void *out)
{
    static hid_t unchecked; /* for all of the run */
    h5_enter();
    if (unchecked <= 0 && (unchecked = H5Pcreate(H5P_DATASET_XFER)) > 0)
        H5Pset_edc_check(unchecked, H5Z_DISABLE_EDC);
    hid_t how = unchecked > 0 ? unchecked : H5P_DEFAULT;
    h5_leave(IAU_OK);
    return transfer(a, first, n, how, out, NULL);
}

int h5_array_write(const struct h5_array *a, int64_t first, int64_t n, const void *in)
{
    return transfer(a, first, n, H5P_DEFAULT, NULL, in);
}

int h5_array_close(struct h5_array *a)
{
    int rc = IAU_OK;
    if (a->id > 0) {
        h5_enter();
        if (H5Dclose(a->id) < 0)
            rc = h5_fail(a->file, IAU_ERR_IO, "finish array", a->path);
        a->id = 0;
        h5_leave(rc);
    }
    release_array(a);
    return rc;
}

const char *h5_version(void)
{
    static char text[32];
    unsigned major = 0, minor = 0, release = 0;
    h5_enter();
    H5get_libversion(&major, &minor, &release);
    h5_leave(IAU_OK);
    snprintf(text, sizeof text, "HDF5 %u.%u.%u", major, minor, release);
    return text;
}
