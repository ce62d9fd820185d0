/* HDF5 behind one lock: files on disk and in memory, and errors as single lines. */
#define _GNU_SOURCE /* sync_file_range */
#include <errno.h>
#include <fcntl.h>
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

/* --- files */

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

/* The name of every file in memory. H5Fcreate first reads what stands under the name, so it must
 * not be that of the target: below a device, nothing ever stands. */
#define NOWHERE "/dev/null/memory"

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
        free(f->image);
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
    if (in_memory && !(f->image = mem_alloc(1, sizeof *f->image))) {
        h5_close(f);
        return FAIL(IAU_ERR_MEM, "no memory to write %s", shown);
    }
    h5_enter();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_obj_track_times(creation, 0);
    if (in_memory)
        use_memory(access, f->image);
    rc = finish_open(f, H5Fcreate(in_memory ? NOWHERE : path, H5F_ACC_TRUNC, creation, access),
                     "create it");
    H5Pclose(access);
    H5Pclose(creation);
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

void h5_begin_sync(const struct h5 *f)
{
    void *handle = NULL;
    h5_enter();
    if (H5Fget_vfd_handle(f->id, H5P_DEFAULT, &handle) >= 0 && handle)
        sync_file_range(*(const int *)handle, 0, 0, SYNC_FILE_RANGE_WRITE);
    h5_leave(IAU_OK);
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
    *p = NULL;
    *n_bytes = 0;
    h5_enter();
    ssize_t size = H5Fflush(f->id, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(f->id, NULL, 0);
    if (size < 0)
        rc = h5_fail(f, IAU_ERR_IO, "build it in memory", "");
    h5_leave(rc);
    if (rc == IAU_OK)
        rc = close_file(f);
    if (rc == IAU_OK) {
        *p = f->image->p;
        *n_bytes = (size_t)size;
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
