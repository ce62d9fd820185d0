/* Source files of an import: gzip or plain through one reader, with errors that name the file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"

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

/* The same where there must be an error. */
static int stream_error(const struct import_file *f)
{
    int rc = check_stream(f);
    return rc != IAU_OK ? rc : FAIL(IAU_ERR_FORMAT, "%s is truncated", f->path);
}

int import_file_read(struct import_file *f, int64_t n, void *out)
{
    for (int64_t done = 0; done < n;) {
        int64_t piece = n - done < PIECE_BYTES ? n - done : PIECE_BYTES;
        int got = gzread(f->gz, (char *)out + done, (unsigned)piece);
        if (got <= 0)
            return stream_error(f);
        done += got;
    }
    return IAU_OK;
}

int import_file_read_some(struct import_file *f, int64_t n, void *out, int64_t *got)
{
    *got = 0;
    while (*got < n) {
        int64_t piece = n - *got < PIECE_BYTES ? n - *got : PIECE_BYTES;
        int more = gzread(f->gz, (char *)out + *got, (unsigned)piece);
        if (more <= 0)
            return check_stream(f);
        *got += more;
    }
    return IAU_OK;
}

/* A seek in a plain file gives up what is buffered, so short ways are read. */
int import_file_skip(struct import_file *f, int64_t n)
{
    char scratch[4096];
    if (n >= BUFFER_BYTES)
        return gzseek(f->gz, n, SEEK_CUR) < 0 ? stream_error(f) : IAU_OK;
    for (int64_t done = 0; done < n; done += (int64_t)sizeof scratch) {
        int64_t left = n - done, piece = (int64_t)sizeof scratch;
        int rc = import_file_read(f, left < piece ? left : piece, scratch);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

int import_file_rewind(struct import_file *f)
{
    return gzrewind(f->gz) != 0 ? stream_error(f) : IAU_OK;
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

int import_file_is_plain(const struct import_file *f)
{
    return gzdirect(f->gz);
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

char *import_join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = mem_alloc((int64_t)size, 1);
    if (path)
        snprintf(path, size, "%s/%s", directory, name);
    return path;
}

/* --- the files of both parts */

static int is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int add_path(struct import_paths *p, enum dataset_part part, char *path)
{
    char **more = path ? realloc(p->path[part], (size_t)(p->n[part] + 1) * sizeof *more) : NULL;
    if (!more) {
        free(path);
        return FAIL(IAU_ERR_MEM, "no memory for file names");
    }
    p->path[part] = more;
    p->path[part][p->n[part]++] = path;
    return IAU_OK;
}

/* The folder itself, or the one in it that the published archive unpacks to. */
static int add_folder(struct import_paths *p, const char *folder, const struct import_names *names)
{
    char *inner = import_join(folder, names->folder);
    int rc = inner ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for file names");
    const char *base = inner && is_folder(inner) ? inner : folder;
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        for (const char *const *name = names->name[part]; *name && rc == IAU_OK; name++)
            rc = add_path(p, part, import_join(base, *name));
    free(inner);
    return rc;
}

int import_paths_init(struct import_paths *p, const struct import_reader *r, const char *format,
                      const struct import_names *names)
{
    const struct source_opts *o = r->opts;
    int all_train = o->test_files.n > 0 || o->test_fraction > 0;
    int rc = IAU_OK;
    *p = (struct import_paths){0};
    if (o->files.n == 1 && !all_train && (is_folder(o->files.v[0]) || access(o->files.v[0], F_OK)))
        return add_folder(p, o->files.v[0], names);
    if (o->files.n == 1 && !all_train)
        return FAIL(IAU_ERR_USAGE,
                    "%s takes a folder, or files, of which the last is the test part where there "
                    "are no test files and no test fraction; not just %s",
                    format, o->files.v[0]);
    for (int64_t i = 0; i < o->files.n && rc == IAU_OK; i++)
        rc = add_path(p, !all_train && i == o->files.n - 1 ? PART_TEST : PART_TRAIN,
                      mem_strdup(o->files.v[i]));
    for (int64_t i = 0; i < o->test_files.n && rc == IAU_OK; i++)
        rc = add_path(p, PART_TEST, mem_strdup(o->test_files.v[i]));
    return rc;
}

void import_paths_free(struct import_paths *p)
{
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        for (int i = 0; i < p->n[part]; i++)
            free(p->path[part][i]);
        free(p->path[part]);
    }
    *p = (struct import_paths){0};
}
