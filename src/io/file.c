/* Files leave whole or not at all: written beside the target, synced, renamed, and the directory
 * synced. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"

/* IAU_OK if `path` is free (*there = 0) or a regular file (*there = 1), reached through links or
 * not. */
static int check_kind(const char *path, int *there)
{
    struct stat st;
    size_t length = strlen(path);
    *there = 0;
    if (length == 0 || path[length - 1] == '/')
        return FAIL(IAU_ERR_IO, "'%s' names no file", path);
    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return FAIL(IAU_ERR_IO, "%s is %s, no regular file", path,
                        S_ISDIR(st.st_mode) ? "a directory" : "a device, pipe or socket");
        *there = 1;
        return IAU_OK;
    }
    if (errno != ENOENT)
        return FAIL(IAU_ERR_IO, "cannot use %s: %s", path, strerror(errno));
    if (lstat(path, &st) == 0)
        return FAIL(IAU_ERR_IO, "%s is a link to nothing, no regular file", path);
    return IAU_OK;
}

/* The directory `path` lies in; the caller frees. */
static char *directory_of(const char *path)
{
    char *dir = mem_strdup(path);
    if (!dir)
        return NULL;
    char *slash = strrchr(dir, '/');
    if (!slash)
        strcpy(dir, "."); /* fits: a path has at least one character */
    else
        slash[slash == dir] = '\0';
    return dir;
}

int file_exists(const char *path)
{
    int there;
    int rc = check_kind(path, &there);
    return rc == IAU_OK ? there : -rc;
}

int file_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int file_check_target(const char *path)
{
    int there, rc = check_kind(path, &there);
    if (rc != IAU_OK)
        return rc;
    struct stat st;
    char *dir = directory_of(path);
    if (!dir)
        return FAIL(IAU_ERR_MEM, "no memory to check %s", path);
    if (stat(dir, &st) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot write %s: directory %s: %s", path, dir, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        rc = FAIL(IAU_ERR_IO, "cannot write %s: %s is no directory", path, dir);
    else if (access(dir, W_OK | X_OK) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot write %s: directory %s: %s", path, dir, strerror(errno));
    free(dir);
    return rc;
}

/* ".HOST.NAMESPACE." of this process: process numbers mean something within these only, and two
 * jobs that write the same target must not take the same name. */
static void own_part(char out[HOST_NAME_MAX + 32])
{
    char host[HOST_NAME_MAX + 1] = "";
    struct stat st = {0};
    gethostname(host, sizeof host - 1);
    stat("/proc/self/ns/pid", &st);
    snprintf(out, HOST_NAME_MAX + 32, ".%s.%llx.", host, (unsigned long long)st.st_ino);
}

/* What a link points to, or `path` itself: a rename cannot leave the file system. The caller frees.
 */
static char *target_of(const char *path)
{
    char *real = realpath(path, NULL);
    return real ? real : mem_strdup(path);
}

char *file_temporary_name(const char *path)
{
    char own[HOST_NAME_MAX + 32], *target = target_of(path);
    own_part(own);
    size_t size = (target ? strlen(target) : 0) + strlen(own) + 32;
    char *name = target ? mem_alloc((int64_t)size, 1) : NULL;
    if (name)
        snprintf(name, size, "%s%s%ld.tmp", target, own, (long)getpid());
    free(target);
    return name;
}

/* Whether `name` is START, the number of a process that is no more, and ".tmp". */
static int is_stale(const char *name, const char *start)
{
    char *end;
    size_t n = strlen(start);
    if (strncmp(name, start, n) != 0 || name[n] < '1' || name[n] > '9')
        return 0;
    long pid = strtol(name + n, &end, 10);
    return strcmp(end, ".tmp") == 0 && pid != getpid() && kill((pid_t)pid, 0) != 0 &&
           errno == ESRCH;
}

int file_remove_stale(const char *path)
{
    char own[HOST_NAME_MAX + 32], start[NAME_MAX + 1];
    char *target = target_of(path), *directory = target ? directory_of(target) : NULL;
    DIR *dir = directory ? opendir(directory) : NULL;
    int rc = directory ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to write %s", path);
    if (dir) {
        const char *slash = strrchr(target, '/');
        own_part(own);
        int n = snprintf(start, sizeof start, "%s%s", slash ? slash + 1 : target, own);
        for (struct dirent *e; n < (int)sizeof start && (e = readdir(dir));)
            if (is_stale(e->d_name, start))
                unlinkat(dirfd(dir), e->d_name, 0);
        closedir(dir);
    }
    free(directory);
    free(target);
    return rc;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int failed = fsync(fd) != 0 && errno != EINVAL; /* some file systems cannot sync a directory */
    int cause = errno;
    close(fd);
    errno = cause;
    return failed ? -1 : 0;
}

static int commit(const char *temporary, const char *path)
{
    struct stat st;
    char *dir = directory_of(path);
    if (!dir)
        return FAIL(IAU_ERR_MEM, "no memory to write %s", path);
    int rc = IAU_OK;
    if (stat(path, &st) == 0 && chmod(temporary, st.st_mode & 0777) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    else if (sync_path(temporary, O_RDONLY) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot write %s to disk: %s", path, strerror(errno));
    else if (rename(temporary, path) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot put %s in place: %s", path, strerror(errno));
    else if (sync_path(dir, O_RDONLY | O_DIRECTORY) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot sync directory %s: %s", dir, strerror(errno));
    free(dir);
    return rc;
}

int file_commit(const char *temporary, const char *path)
{
    int there, rc = check_kind(path, &there);
    if (rc == IAU_OK) {
        /* A link stays a link: what it points to is replaced. */
        char *real = there ? realpath(path, NULL) : NULL;
        rc = commit(temporary, real ? real : path);
        free(real);
    }
    if (rc != IAU_OK)
        unlink(temporary);
    return rc;
}

static int write_new(const char *temporary, const char *path, const char *p, size_t n_bytes)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return FAIL(IAU_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    int rc = IAU_OK;
    for (size_t done = 0; done < n_bytes && rc == IAU_OK;) {
        ssize_t k = write(fd, p + done, n_bytes - done);
        if (k >= 0)
            done += (size_t)k;
        else if (errno != EINTR)
            rc = FAIL(IAU_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    if (close(fd) != 0 && rc == IAU_OK)
        rc = FAIL(IAU_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return rc;
}

int file_write_atomic(const char *path, const void *p, size_t n_bytes)
{
    int there, rc = check_kind(path, &there);
    if (rc != IAU_OK)
        return rc;
    rc = file_remove_stale(path);
    if (rc != IAU_OK)
        return rc;
    char *temporary = file_temporary_name(path);
    if (!temporary)
        return FAIL(IAU_ERR_MEM, "no memory to write %s", path);
    rc = write_new(temporary, path, p, n_bytes);
    if (rc == IAU_OK)
        rc = file_commit(temporary, path);
    else
        unlink(temporary);
    free(temporary);
    return rc;
}

int file_make_directory(const char *path)
{
    struct stat st;
    int rc = IAU_OK;
    char *part = mem_strdup(path);
    if (!part)
        return FAIL(IAU_ERR_MEM, "no memory to create %s", path);
    for (char *end = part; end && rc == IAU_OK;) {
        end = *end ? strchr(end + 1, '/') : NULL;
        if (end)
            *end = '\0';
        if (mkdir(part, 0777) != 0 && (stat(part, &st) != 0 || !S_ISDIR(st.st_mode)))
            rc = FAIL(IAU_ERR_IO, "cannot create directory %s: %s", path, strerror(errno));
        if (end)
            *end = '/';
    }
    free(part);
    return rc;
}

/* Grow as the file does, so that pipes can be read too. */
static int read_stream(FILE *f, const char *path, char **p, size_t *n_bytes, size_t limit)
{
    char *text = NULL;
    size_t size = 0, got = 0;
    int rc = IAU_OK;
    do {
        if (got + 1 >= size) {
            size = size ? 2 * size : 4096;
            char *more = realloc(text, size);
            if (!more)
                TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", path));
            text = more;
        }
        got += fread(text + got, 1, size - got - 1, f);
        if (ferror(f))
            TRY(FAIL(IAU_ERR_IO, "cannot read %s: %s", path, strerror(errno)));
        if (got > limit)
            TRY(FAIL(IAU_ERR_FORMAT, "%s is longer than %zu bytes", path, limit));
    } while (!feof(f));
    text[got] = '\0';
    *p = text;
    *n_bytes = got;
    text = NULL;
out:
    free(text);
    return rc;
}

int file_read_all(const char *path, char **p, size_t *n_bytes, size_t limit)
{
    *p = NULL;
    *n_bytes = 0;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return FAIL(IAU_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    int rc = read_stream(f, path, p, n_bytes, limit);
    fclose(f);
    return rc;
}

int file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return FAIL(IAU_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return IAU_OK;
}

int file_move(const char *from, const char *to)
{
    if (rename(from, to) != 0 && errno != ENOENT)
        return FAIL(IAU_ERR_IO, "cannot move %s to %s: %s", from, to, strerror(errno));
    return IAU_OK;
}

int file_duplicate(const char *from, const char *to)
{
    char *p = NULL;
    size_t n_bytes;
    int rc = file_remove(to);
    if (rc != IAU_OK || link(from, to) == 0 || errno == ENOENT)
        return rc;
    if (errno == ENOSPC || errno == EROFS || errno == EACCES)
        return FAIL(IAU_ERR_IO, "cannot write %s: %s", to, strerror(errno));
    TRY(file_read_all(from, &p, &n_bytes, SIZE_MAX)); /* a file system without links */
    TRY(file_write_atomic(to, p, n_bytes));
out:
    free(p);
    return rc;
}
