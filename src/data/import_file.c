/* Source files of an import: gzip or plain through one reader, with errors that name the file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/import.h"

enum { BUFFER_BYTES = 1 << 18, PIECE_BYTES = 1 << 30, DEFLATE_MOST = 1032 };

int import_file_open(struct import_file *f, const char *path)
{
    struct stat st;
    *f = (struct import_file){0};
    if (stat(path, &st) != 0)
        return FAIL(IAU_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(IAU_ERR_IO, "%s is no regular file", path);
    if (st.st_size == 0)
        return FAIL(IAU_ERR_FORMAT, "%s is empty", path);
    f->size = st.st_size;
    f->path = mem_strdup(path);
    if (!f->path)
        return FAIL(IAU_ERR_MEM, "no memory to open %s", path);
    f->gz = gzopen(path, "rb");
    if (!f->gz)
        return FAIL(IAU_ERR_IO, "cannot open %s: %s", path,
                    errno ? strerror(errno) : "out of memory");
    gzbuffer(f->gz, BUFFER_BYTES);
    return IAU_OK;
}

/* Why reading stopped before its end; IAU_OK if the file simply ends here. */
static int check_stream(const struct import_file *f)
{
    int code;
    gzerror(f->gz, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return IAU_OK;
    if (code == Z_ERRNO)
        return FAIL(IAU_ERR_IO, "cannot read %s: %s", f->path, strerror(errno));
    if (code == Z_BUF_ERROR)
        return FAIL(IAU_ERR_FORMAT, "%s is truncated", f->path);
    return FAIL(IAU_ERR_FORMAT, "%s is damaged: its compressed data are wrong", f->path);
}

int import_file_read(struct import_file *f, int64_t n, void *out)
{
    for (int64_t done = 0; done < n;) {
        int64_t piece = n - done < PIECE_BYTES ? n - done : PIECE_BYTES;
        int got = gzread(f->gz, (char *)out + done, (unsigned)piece);
        if (got <= 0) {
            int rc = check_stream(f);
            return rc != IAU_OK ? rc : FAIL(IAU_ERR_FORMAT, "%s is truncated", f->path);
        }
        done += got;
    }
    return IAU_OK;
}

int import_file_check_size(struct import_file *f, int64_t n)
{
    if (gzdirect(f->gz) && f->size != n)
        return FAIL(IAU_ERR_FORMAT, "%s has %lld bytes, its header says %lld", f->path,
                    (long long)f->size, (long long)n);
    if (f->size < n / DEFLATE_MOST)
        return FAIL(IAU_ERR_FORMAT, "%s is too short for the %lld bytes that its header says",
                    f->path, (long long)n);
    return IAU_OK;
}

int import_file_end(struct import_file *f)
{
    char more;
    if (gzread(f->gz, &more, 1) > 0)
        return FAIL(IAU_ERR_FORMAT, "%s is longer than its header says", f->path);
    return check_stream(f);
}

void import_file_close(struct import_file *f)
{
    if (f->gz)
        gzclose(f->gz);
    free(f->path);
    *f = (struct import_file){0};
}

char *import_source_text(const char *format, int n_file, const struct import_file *file)
{
    size_t size = strlen(format) + 1, at = 0;
    for (int i = 0; i < n_file; i++)
        size += strlen(file[i].path) + 2;
    char *text = mem_alloc((int64_t)size, 1);
    for (int i = 0; text && i < n_file; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s%s", i ? ", " : format, i ? "" : ": ",
                               file[i].path);
    return text;
}

char *import_join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = mem_alloc((int64_t)size, 1);
    if (path)
        snprintf(path, size, "%s/%s", directory, name);
    return path;
}
