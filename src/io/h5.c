/* HDF5 behind one lock: files on disk and in memory, arrays by rows, and errors as single lines. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/memory.h"
#include "h5_private.h"
#include "io/h5.h"

enum { CAUSE_CHARS = 256, IMAGE_GROWTH = 4 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void h5_enter(void)
{
    static int is_set_up;
    pthread_mutex_lock(&lock);
    if (!is_set_up)
        H5dont_atexit(); /* it would retry, and print about, writes that failed on a full disk */
    is_set_up = 1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* per thread where the library is thread-safe */
}

int h5_leave(int rc)
{
    pthread_mutex_unlock(&lock);
    return rc;
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *e, void *out)
{
    if (n == 0 && e->desc)
        snprintf(out, CAUSE_CHARS, "%s", e->desc);
    return 0;
}

/* The cause of the last failed call in plain words; IAU_ERR_IO in *code where the system refused.
 */
static const char *cause(char out[CAUSE_CHARS], int *code)
{
    static const struct {
        const char *part, *text;
    } plain[] = {{"Fletcher32", "checksum mismatch, the file is damaged"},
                 {"checksum", "checksum mismatch, the file is damaged"},
                 {"truncated file", "the file is truncated"}};
    static const char system_text[] = "error message = '";
    snprintf(out, CAUSE_CHARS, "HDF5 gives no reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, out);
    char *system_error = strstr(out, system_text);
    if (system_error) {
        *code = IAU_ERR_IO;
        memmove(out, system_error + sizeof system_text - 1,
                strlen(system_error + sizeof system_text - 1) + 1);
        out[strcspn(out, "'")] = '\0';
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strstr(out, plain[i].part))
            return plain[i].text;
    return out;
}

int h5_fail(const struct h5 *f, int code, const char *verb, const char *object)
{
    char text[CAUSE_CHARS];
    const char *why = cause(text, &code);
    return FAIL(code, "%s: cannot %s%s%s: %s", f->path, verb, *object ? " " : "", object, why);
}

/* --- files
 * ---------------------------------------------------------------------------------------------------
 */

/* The memory of a file in memory. H5Fget_file_image would copy it, and in HDF5 1.10 gives it a
 * superblock with a wrong checksum; so the buffer is caught when the file is closed. */
struct h5_image {
    void *p; /* owned once the file is closed */
};

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *image)
{
    (void)op, (void)image;
    return malloc(size);
}

static void *image_memcpy(void *to, const void *from, size_t size, H5FD_file_image_op_t op,
                          void *image)
{
    (void)op, (void)image;
    return memcpy(to, from, size);
}

static void *image_realloc(void *p, size_t size, H5FD_file_image_op_t op, void *image)
{
    (void)op, (void)image;
    return realloc(p, size);
}

static herr_t image_catch(void *p, H5FD_file_image_op_t op, void *image)
{
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        ((struct h5_image *)image)->p = p;
    else
        free(p);
    return 0;
}

static void *image_same(void *image)
{
    return image;
}

static herr_t image_keep(void *image)
{
    (void)image;
    return 0;
}

static void use_memory(hid_t access, struct h5_image *image)
{
    H5FD_file_image_callbacks_t calls = {image_malloc, image_memcpy, image_realloc, image_catch,
                                         image_same,   image_keep,   image};
    H5Pset_fapl_core(access, IMAGE_GROWTH, 0);
    H5Pset_file_image_callbacks(access, &calls);
}

static int set_path(struct h5 *f, const char *path)
{
    *f = (struct h5){.path = mem_strdup(path)};
    return f->path ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to open %s", path);
}

static int finish_open(struct h5 *f, hid_t id, const char *verb)
{
    int rc = IAU_OK;
    if (id < 0) {
        rc = h5_fail(f, IAU_ERR_FORMAT, verb, "");
        free(f->path);
        *f = (struct h5){0};
        return rc;
    }
    f->id = id;
    return rc;
}

static int check_regular(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FAIL(IAU_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(IAU_ERR_IO, "%s is no regular file", path);
    return IAU_OK;
}

int h5_open(struct h5 *f, const char *path)
{
    *f = (struct h5){0};
    int rc = check_regular(path);
    if (rc == IAU_OK)
        rc = set_path(f, path);
    if (rc != IAU_OK)
        return rc;
    h5_enter();
    if (H5Fis_hdf5(path) == 0) {
        free(f->path);
        *f = (struct h5){0};
        return h5_leave(FAIL(IAU_ERR_FORMAT, "%s is not an HDF5 file", path));
    }
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, 0,
                        1); /* files are replaced by rename, and some file systems have no locks */
#endif
    hid_t id = H5Fopen(path, H5F_ACC_RDONLY, access);
    rc = finish_open(f, id, "open it");
    H5Pclose(access);
    return h5_leave(rc);
}

/* Format 1.10 is the first whose metadata are all checksummed; without times equal content gives
 * equal bytes. */
static int create(struct h5 *f, const char *path, const char *shown, int in_memory)
{
    int rc = set_path(f, shown);
    if (rc != IAU_OK)
        return rc;
    h5_enter();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    struct h5_image *image = in_memory ? calloc(1, sizeof *image) : NULL;
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_obj_track_times(creation, 0);
    if (image)
        use_memory(access, image);
    if (in_memory && !image)
        rc = FAIL(IAU_ERR_MEM, "no memory to write %s", shown);
    else
        rc = finish_open(f, H5Fcreate(path, H5F_ACC_TRUNC, creation, access), "create it");
    H5Pclose(access);
    H5Pclose(creation);
    if (rc == IAU_OK)
        f->image = image;
    else
        free(image);
    return h5_leave(rc);
}

int h5_create(struct h5 *f, const char *path, const char *shown)
{
    return create(f, path, shown, 0);
}

int h5_create_image(struct h5 *f, const char *path)
{
    return create(f, path, path, 1);
}

static int close_file(struct h5 *f)
{
    int rc = IAU_OK;
    if (f->id > 0) {
        h5_enter();
        if (H5Fclose(f->id) < 0)
            rc = h5_fail(f, IAU_ERR_IO, "finish it", "");
        f->id = 0;
        h5_leave(rc);
    }
    return rc;
}

int h5_close_image(struct h5 *f, void **p, size_t *n_bytes)
{
    int rc = IAU_OK;
    hsize_t size = 0;
    *p = NULL;
    *n_bytes = 0;
    h5_enter();
    if (H5Fflush(f->id, H5F_SCOPE_GLOBAL) < 0 || H5Fget_filesize(f->id, &size) < 0)
        rc = h5_fail(f, IAU_ERR_IO, "build it in memory", "");
    h5_leave(rc);
    if (rc == IAU_OK)
        rc = close_file(f);
    if (rc == IAU_OK) {
        *p = f->image->p;
        *n_bytes = size;
        f->image->p = NULL;
    }
    h5_close(f);
    return rc;
}

int h5_close(struct h5 *f)
{
    int rc = close_file(f);
    if (f->image)
        free(f->image->p);
    free(f->image);
    free(f->path);
    *f = (struct h5){0};
    return rc;
}

/* --- types and names
 * ----------------------------------------------------------------------------------------- */

size_t h5_type_bytes(enum record_type type)
{
    return type == RECORD_U8 ? 1 : type == RECORD_F32 || type == RECORD_I32 ? 4 : 8;
}

static hid_t memory_type(enum record_type type)
{
    const hid_t t[] = {[RECORD_F32] = H5T_NATIVE_FLOAT,
                       [RECORD_F64] = H5T_NATIVE_DOUBLE,
                       [RECORD_I32] = H5T_NATIVE_INT32,
                       [RECORD_I64] = H5T_NATIVE_INT64,
                       [RECORD_U8] = H5T_NATIVE_UINT8};
    return t[type];
}

static hid_t file_type(enum record_type type)
{
    const hid_t t[] = {[RECORD_F32] = H5T_IEEE_F32LE,
                       [RECORD_F64] = H5T_IEEE_F64LE,
                       [RECORD_I32] = H5T_STD_I32LE,
                       [RECORD_I64] = H5T_STD_I64LE,
                       [RECORD_U8] = H5T_STD_U8LE};
    return t[type];
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

/* --- arrays
 * --------------------------------------------------------------------------------------------------
 */

static int describe(struct h5_array *a, const char *path)
{
    const struct h5 *f = a->file;
    hid_t type = H5Dget_type(a->id), space = H5Dget_space(a->id);
    int known = h5_record_type(type), ndim = H5Sget_simple_extent_ndims(space);
    int is_null = H5Sget_simple_extent_type(space) == H5S_NULL;
    hsize_t dims[H5S_MAX_RANK] = {0};
    H5Sget_simple_extent_dims(space, dims, NULL);
    H5Tclose(type);
    H5Sclose(space);
    if (known < 0 || known == RECORD_TEXT || is_null)
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

int h5_array_open(struct h5_array *a, const struct h5 *f, const char *path)
{
    int rc = start_array(a, f, path);
    if (rc != IAU_OK)
        return rc;
    h5_enter();
    if (!h5_path_exists(f, path)) {
        rc = FAIL(IAU_ERR_FORMAT, "%s has no %s", f->path, path);
    } else {
        a->id = H5Dopen2(f->id, path, H5P_DEFAULT);
        rc = a->id < 0 ? h5_fail(f, IAU_ERR_FORMAT, "open array", path) : describe(a, path);
    }
    if (rc != IAU_OK)
        release_array(a);
    return h5_leave(rc);
}

static int64_t row_bytes(const struct h5_array *a)
{
    int64_t bytes = (int64_t)h5_type_bytes(a->type);
    for (int i = 1; i < a->ndim; i++)
        bytes *= a->dims[i];
    return bytes;
}

/* How an array is laid out: compact for a scalar, nothing for an empty array, else equal chunks of
 * rows. */
static hid_t layout(const struct h5_array *a, int64_t chunk_bytes)
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
    int64_t most = chunk_bytes > bytes ? chunk_bytes / bytes : 1;
    int64_t n_chunk = (a->dims[0] + most - 1) / most;
    chunk[0] = (hsize_t)((a->dims[0] + n_chunk - 1) / n_chunk);
    for (int i = 1; i < a->ndim; i++)
        chunk[i] = (hsize_t)a->dims[i];
    H5Pset_chunk(p, a->ndim, chunk);
    H5Pset_fletcher32(p);
    return p;
}

int h5_array_create(struct h5_array *a, const struct h5 *f, const char *path, enum record_type type,
                    int ndim, const int64_t *dims, int64_t chunk_bytes)
{
    REQUIRE(type != RECORD_TEXT && ndim >= 0 && ndim <= RECORD_MAX_DIMS);
    int rc = start_array(a, f, path);
    if (rc != IAU_OK)
        return rc;
    a->type = type;
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
        hid_t creation = layout(a, chunk_bytes);
        a->id = H5Dcreate2(f->id, path, file_type(type), space, H5P_DEFAULT, creation, H5P_DEFAULT);
        if (a->id < 0)
            rc = h5_fail(f, IAU_ERR_IO, "create array", path);
        H5Pclose(creation);
        H5Sclose(space);
    }
    if (rc != IAU_OK)
        release_array(a);
    return h5_leave(rc);
}

static int transfer(const struct h5_array *a, int64_t first, int64_t n, void *out, const void *in)
{
    REQUIRE(first >= 0 && n >= 0 && first + n <= (a->ndim ? a->dims[0] : 1));
    if (n == 0 || row_bytes(a) == 0)
        return IAU_OK;
    int rc = IAU_OK;
    char what[CAUSE_CHARS];
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
    hid_t type = memory_type(a->type);
    herr_t failed = out ? H5Dread(a->id, type, memory, space, H5P_DEFAULT, out)
                        : H5Dwrite(a->id, type, memory, space, H5P_DEFAULT, in);
    if (failed < 0)
        rc = h5_fail(a->file, out ? IAU_ERR_FORMAT : IAU_ERR_IO, out ? "read" : "write",
                     a->ndim ? what : a->path);
    if (a->ndim) {
        H5Sclose(space);
        H5Sclose(memory);
    }
    return h5_leave(rc);
}

int h5_array_read(const struct h5_array *a, int64_t first, int64_t n, void *out)
{
    return transfer(a, first, n, out, NULL);
}

int h5_array_write(const struct h5_array *a, int64_t first, int64_t n, const void *in)
{
    return transfer(a, first, n, NULL, in);
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
