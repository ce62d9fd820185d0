/* NumPy's arrays: .npy files and members of .npz archives. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "npy.h"

/* Arrays in Fortran order are turned around in windows; where the file cannot be read at any place,
 * one window holds them all. */
enum { WINDOW_BYTES = 16 << 20, MOST_BYTES = 256 << 20, PIECE_BYTES = 1 << 18 };

/* --- the stream: a file or a member */

int npy_read_bytes(struct npy *s, int64_t n, void *out)
{
    return s->member.archive ? archive_member_read(&s->member, n, out)
                             : import_file_read(&s->file, n, out);
}

static int skip_bytes(struct npy *s, int64_t n)
{
    char scratch[4096];
    if (!s->member.archive)
        return import_file_skip(&s->file, n);
    for (int64_t done = 0, k; done < n; done += k) {
        k = n - done < (int64_t)sizeof scratch ? n - done : (int64_t)sizeof scratch;
        int rc = archive_member_read(&s->member, k, scratch);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

int npy_end(struct npy *s)
{
    return s->member.archive ? archive_member_end(&s->member) : import_file_end(&s->file);
}

static int rewind_stream(struct npy *s)
{
    return s->member.archive ? archive_member_rewind(&s->member) : import_file_rewind(&s->file);
}

/* --- rows in C order */

static int64_t row_bytes(const struct array *a)
{
    return a->n_value * ((struct npy *)a->state)->size;
}

static int read_rows(struct array *a, int64_t n, enum record_type type, void *out)
{
    struct npy *s = a->state;
    int64_t bytes = row_bytes(a), wide = a->n_value * (int64_t)h5_type_bytes(type);
    int rc = IAU_OK;
    if (!out)
        TRY(skip_bytes(s, n * bytes));
    for (int64_t done = 0, k; done < n && out; done += k) {
        k = n - done < s->raw_rows ? n - done : s->raw_rows;
        TRY(npy_read_bytes(s, k * bytes, s->raw));
        if (s->swap)
            npy_swap(s->raw, k * a->n_value, s->size);
        TRY(npy_convert(a, s->raw, k * a->n_value, type, (char *)out + done * wide));
        s->at += k;
    }
    s->at += out ? 0 : n;
    if (s->at == a->dims[0])
        rc = npy_end(s);
out:
    return rc;
}

/* --- rows in Fortran order */

/* Column by column into the window, whose rows are whole and in C order. The trailing extents turn
 * around, too: in the file the first one changes fastest. */
static void put_column(const struct array *a, int64_t column, const char *from, int64_t n)
{
    const struct npy *s = a->state;
    int64_t place = 0, rest = column;
    for (int i = 1; i < a->ndim; i++) {
        int64_t inner = 1;
        for (int j = i + 1; j < a->ndim; j++)
            inner *= a->dims[j];
        place += rest % a->dims[i] * inner;
        rest /= a->dims[i];
    }
    for (int64_t i = 0; i < n; i++)
        memcpy(s->raw + (i * a->n_value + place) * s->size, from + i * s->size, (size_t)s->size);
}

static int read_column(struct array *a, int64_t column, int64_t first, int64_t n, char *out)
{
    struct npy *s = a->state;
    int64_t at = s->head + (column * a->dims[0] + first) * s->size, n_bytes = n * s->size;
    if (s->fd < 0)
        return npy_read_bytes(s, n_bytes, out);
    for (int64_t done = 0; done < n_bytes;) {
        ssize_t got = pread(s->fd, out + done, (size_t)(n_bytes - done), at + done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got ? FAIL(IAU_ERR_IO, "cannot read %s: %s", a->name, strerror(errno))
                       : FAIL(IAU_ERR_FORMAT, "%s is truncated", a->name);
        done += got;
    }
    return IAU_OK;
}

static int bring_window(struct array *a, int64_t row)
{
    struct npy *s = a->state;
    if (row >= s->window_first && row < s->window_first + s->window_n)
        return IAU_OK;
    int64_t first = row / s->raw_rows * s->raw_rows, n = a->dims[0] - first;
    n = n < s->raw_rows ? n : s->raw_rows;
    char *column = mem_alloc(n, (size_t)s->size);
    int rc = column ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to read %s", a->name);
    s->window_n = 0;
    for (int64_t c = 0; c < a->n_value && rc == IAU_OK; c++) {
        rc = read_column(a, c, first, n, column);
        if (rc == IAU_OK)
            put_column(a, c, column, n);
    }
    free(column);
    if (rc == IAU_OK && s->fd < 0)
        rc = npy_end(s);
    if (rc == IAU_OK) {
        s->window_first = first;
        s->window_n = n;
        if (s->swap)
            npy_swap(s->raw, n * a->n_value, s->size);
    }
    return rc;
}

static int read_turned(struct array *a, int64_t n, enum record_type type, void *out)
{
    struct npy *s = a->state;
    int64_t wide = a->n_value * (int64_t)h5_type_bytes(type);
    for (int64_t i = 0; i < n && out; i++) {
        int rc = bring_window(a, s->at + i);
        if (rc == IAU_OK)
            rc = npy_convert(a, s->raw + (s->at + i - s->window_first) * row_bytes(a), a->n_value,
                             type, (char *)out + i * wide);
        if (rc != IAU_OK)
            return rc;
    }
    s->at += n;
    return IAU_OK;
}

/* --- the kind */

static int start_npy(struct array *a)
{
    struct npy *s = a->state;
    s->at = 0;
    if (s->by_columns)
        return IAU_OK;
    int rc = rewind_stream(s);
    return rc == IAU_OK ? skip_bytes(s, s->head) : rc;
}

static int read_npy(struct array *a, int64_t n, enum record_type type, void *out)
{
    REQUIRE(((struct npy *)a->state)->at + n <= a->dims[0]);
    return ((struct npy *)a->state)->by_columns ? read_turned(a, n, type, out)
                                                : read_rows(a, n, type, out);
}

static void close_npy(struct array *a)
{
    struct npy *s = a->state;
    import_file_close(&s->file);
    archive_member_close(&s->member);
    if (s->fd >= 0)
        close(s->fd);
    free(s->raw);
    free(s);
}

static const struct array_kind npy_kind = {start_npy, read_npy, close_npy};

/* Room for a piece of rows, or for a window of columns. */
static int make_room(struct array *a, int is_plain)
{
    struct npy *s = a->state;
    int64_t bytes = row_bytes(a), all = bytes * a->dims[0];
    int64_t room = s->by_columns ? WINDOW_BYTES : PIECE_BYTES;
    if (s->by_columns && !is_plain && all > MOST_BYTES)
        return FAIL(IAU_ERR_FORMAT,
                    "%s is compressed, in Fortran order and larger than %d MiB: save it in C order "
                    "(numpy.ascontiguousarray)",
                    a->name, MOST_BYTES >> 20);
    s->raw_rows = room / bytes > 1 ? room / bytes : 1;
    if (s->raw_rows > a->dims[0] || (s->by_columns && !is_plain))
        s->raw_rows = a->dims[0];
    s->raw = mem_alloc(s->raw_rows, (size_t)bytes);
    return s->raw ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to read %s", a->name);
}

static int finish_open(struct array *a, char *name, int is_plain)
{
    struct npy *s = a->state;
    int ndim = 0, rc = IAU_OK;
    int64_t dims[ARRAY_MOST_DIMS] = {0};
    if (!name)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read an array"));
    TRY(npy_read_head(s, name, &ndim, dims));
    a->is_u8 = s->size == 1 && s->kind != 'i';
    a->is_integer = s->kind != 'f';
    TRY(array_describe(a, name, ndim, dims));
    name = NULL;
    if (a->n_value == 1)
        s->by_columns = 0;
    int64_t n_bytes;
    if (__builtin_mul_overflow(row_bytes(a), a->dims[0], &n_bytes) || n_bytes > INT64_MAX - s->head)
        TRY(npy_refuse(a->name, "its extents are too large"));
    if (s->member.archive && s->member.size != s->head + n_bytes)
        TRY(FAIL(IAU_ERR_FORMAT, "%s has %lld bytes, its header says %lld", a->name,
                 (long long)s->member.size, (long long)(s->head + n_bytes)));
    if (!s->member.archive)
        TRY(import_file_check_size(&s->file, s->head + n_bytes));
    TRY(make_room(a, is_plain));
    if (s->by_columns && is_plain && (s->fd = open(s->file.path, O_RDONLY | O_CLOEXEC)) < 0)
        rc = FAIL(IAU_ERR_IO, "cannot open %s: %s", s->file.path, strerror(errno));
out:
    free(name);
    return rc;
}

static int begin_open(struct array *a)
{
    struct npy *s = mem_alloc(1, sizeof *s);
    *a = (struct array){.kind = &npy_kind, .state = s};
    if (!s) {
        a->kind = NULL;
        return FAIL(IAU_ERR_MEM, "no memory to read an array");
    }
    s->fd = -1;
    return IAU_OK;
}

int array_open_npy(struct array *a, const char *path)
{
    int rc = begin_open(a);
    if (rc != IAU_OK)
        return rc;
    struct npy *s = a->state;
    rc = import_file_open(&s->file, path);
    return rc == IAU_OK ? finish_open(a, mem_strdup(path), import_file_is_plain(&s->file)) : rc;
}

int array_open_member(struct array *a, const struct archive *z, const char *name)
{
    int rc = begin_open(a);
    if (rc != IAU_OK)
        return rc;
    struct npy *s = a->state;
    size_t size = strlen(z->path) + strlen(name) + 16;
    char *member = mem_alloc((int64_t)size, 1), *full = mem_alloc((int64_t)size, 1);
    if (!member || !full)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", z->path));
    snprintf(member, size, "%s.npy", name);
    if (!archive_has(z, member))
        snprintf(member, size, "%s", name);
    snprintf(full, size, "%s: %s", z->path, member);
    TRY(archive_member_open(&s->member, z, member));
    rc = finish_open(a, full, 0);
    full = NULL;
out:
    free(member);
    free(full);
    return rc;
}
