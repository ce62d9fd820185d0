/* NumPy's arrays: .npy files and members of .npz archives. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"

/* Arrays in Fortran order are turned around in windows; where the file cannot be read at any place,
 * one window holds them all. */
enum { WINDOW_BYTES = 16 << 20, MOST_BYTES = 256 << 20, PIECE_BYTES = 1 << 18 };
enum { HEAD_MOST = 1 << 20, MAGIC_BYTES = 8 };

struct npy {
    struct import_file file;      /* open, or */
    struct archive_member member; /* open */
    char kind;                    /* b, u, i or f */
    int size;                     /* bytes of a value */
    int swap;                     /* of the other byte order */
    int by_columns;               /* in Fortran order */
    int64_t head;                 /* bytes before the data */
    int64_t at;                   /* the row that comes next */
    char *raw;                    /* owned; values as stored: a piece, or by columns a window */
    int64_t raw_rows;             /* room in it */
    int fd;                       /* of a plain file by columns, else -1 */
    int64_t window_first, window_n;
};

/* --- the stream: a file or a member */

static int read_bytes(struct npy *s, int64_t n, void *out)
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

static int end_stream(struct npy *s)
{
    return s->member.archive ? archive_member_end(&s->member) : import_file_end(&s->file);
}

static int rewind_stream(struct npy *s)
{
    return s->member.archive ? archive_member_rewind(&s->member) : import_file_rewind(&s->file);
}

/* --- header */

/* What stands behind 'key': in a dictionary as Python prints it, NULL if the key is not there. */
static const char *value_of(const char *dict, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = dict; (p = strstr(p, key)); p += n) {
        if (p == dict || (p[-1] != '\'' && p[-1] != '"') || p[n] != p[-1])
            continue;
        p += n + 1;
        p += strspn(p, " ");
        if (*p == ':')
            return p + 1 + strspn(p + 1, " ");
    }
    return NULL;
}

static int wrong_head(const char *name, const char *what)
{
    return FAIL(IAU_ERR_FORMAT, "%s is no NumPy array: %s", name, what);
}

/* '<f4' and the like. */
static int read_type(struct npy *s, const char *name, const char *text)
{
    static const char *const known[] = {"b1", "u1", "u2", "u4", "u8", "i1",
                                        "i2", "i4", "i8", "f2", "f4", "f8"};
    char type[8] = "";
    if (text && (*text == '\'' || *text == '"')) {
        size_t n = strcspn(text + 1, "'\"");
        if (n < sizeof type)
            memcpy(type, text + 1, n);
    }
    int has_order = *type && strchr("<>|=", *type);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(type + has_order, known[i]) == 0) {
            s->kind = known[i][0];
            s->size = known[i][1] - '0';
            s->swap = *type == '>' && s->size > 1;
            return IAU_OK;
        }
    return FAIL(IAU_ERR_FORMAT,
                "%s: its type is %.20s, but bool, integers and floats of up to 8 bytes are read",
                name,
                *type  ? type
                : text ? "structured"
                       : "missing");
}

/* "(10, 3)"; more than ARRAY_MOST_DIMS extents are counted, not kept. */
static int read_shape(const char *name, const char *text, int *ndim, int64_t *dims)
{
    *ndim = 0;
    if (!text || *text != '(')
        return wrong_head(name, "it has no shape");
    for (text++; *text != ')'; (*ndim)++) {
        char *end;
        errno = 0;
        long long extent = strtoll(text, &end, 10);
        if (end == text || errno || extent < 0)
            return wrong_head(name, "its shape is no list of extents");
        if (*ndim < ARRAY_MOST_DIMS)
            dims[*ndim] = extent;
        text = end + strspn(end, " L");
        if (*text != ',' && *text != ')')
            return wrong_head(name, "its shape is no list of extents");
        text += *text == ',';
        text += strspn(text, " ");
    }
    return IAU_OK;
}

static int read_dictionary(struct npy *s, const char *name, const char *dict, int *ndim,
                           int64_t *dims)
{
    const char *order = value_of(dict, "fortran_order");
    int rc = read_type(s, name, value_of(dict, "descr"));
    if (rc == IAU_OK)
        rc = read_shape(name, value_of(dict, "shape"), ndim, dims);
    if (rc != IAU_OK)
        return rc;
    s->by_columns = order && strncmp(order, "True", 4) == 0;
    return s->by_columns || (order && strncmp(order, "False", 5) == 0)
               ? IAU_OK
               : wrong_head(name, "its order is neither C nor Fortran");
}

static int read_head(struct npy *s, const char *name, int *ndim, int64_t *dims)
{
    uint8_t head[MAGIC_BYTES + 4];
    char *dict = NULL;
    int rc = IAU_OK;
    TRY(read_bytes(s, MAGIC_BYTES, head));
    if (memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        TRY(wrong_head(name, "it does not begin like one of version 1 to 3"));
    int n_length = head[6] == 1 ? 2 : 4;
    TRY(read_bytes(s, n_length, head));
    int64_t length = head[0] | head[1] << 8;
    if (n_length == 4)
        length |= (int64_t)head[2] << 16 | (int64_t)head[3] << 24;
    if (length > HEAD_MOST)
        TRY(wrong_head(name, "its header is too long"));
    dict = mem_alloc(length + 1, 1);
    if (!dict)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", name));
    TRY(read_bytes(s, length, dict));
    s->head = MAGIC_BYTES + n_length + length;
    TRY(read_dictionary(s, name, dict, ndim, dims));
out:
    free(dict);
    return rc;
}

/* --- values */

static float half(const uint8_t *p)
{
    uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8, sign = bits >> 15 << 31;
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    float x = (float)fraction * 0x1p-24f; /* subnormal */
    uint32_t wide =
        exponent == 31 ? 0x7f800000 | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
    if (exponent)
        memcpy(&x, &wide, sizeof x);
    memcpy(&wide, &x, sizeof wide);
    wide |= sign;
    memcpy(&x, &wide, sizeof x);
    return x;
}

static double load_float(const struct npy *s, const char *p)
{
    float f;
    double d;
    if (s->size == 2)
        return half((const uint8_t *)p);
    if (s->size == 4)
        return memcpy(&f, p, sizeof f), f;
    return memcpy(&d, p, sizeof d), d;
}

/* An integer of up to 8 bytes, in this machine's order; uint64 above INT64_MAX is caught by the
 * caller. */
static int64_t load_integer(const struct npy *s, const char *p)
{
    uint64_t bits = 0;
    memcpy(&bits, p, (size_t)s->size);
    int spare = 64 - 8 * s->size;
    return s->kind == 'i' ? (int64_t)(bits << spare) >> spare : (int64_t)bits;
}

static void swap_bytes(char *p, int64_t n, int size)
{
    for (int64_t i = 0; i < n; i++, p += size)
        for (int a = 0, b = size - 1; a < b; a++, b--) {
            char keep = p[a];
            p[a] = p[b];
            p[b] = keep;
        }
}

static int wrong_value(const struct array *a, const char *what)
{
    return FAIL(IAU_ERR_FORMAT, "%s: a value in the rows from %lld on is %s", a->name,
                (long long)((struct npy *)a->state)->at, what);
}

/* n values from raw ones in this machine's order. */
static int convert(const struct array *a, const char *raw, int64_t n, enum record_type type,
                   void *out)
{
    const struct npy *s = a->state;
    if (type == RECORD_U8 || (type == RECORD_F32 && s->kind == 'f' && s->size == 4)) {
        memcpy(out, raw, (size_t)n * (size_t)s->size);
        for (int64_t i = 0; i < n && s->kind == 'b'; i++)
            if (raw[i] & ~1)
                return wrong_value(a, "neither true nor false");
        return IAU_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        const char *p = raw + i * s->size;
        int64_t integer = s->kind == 'f' ? 0 : load_integer(s, p);
        if (s->kind == 'u' && integer < 0)
            return wrong_value(a, "above 9223372036854775807");
        double real = s->kind == 'f' ? load_float(s, p) : (double)integer;
        if (type == RECORD_I64)
            ((int64_t *)out)[i] = integer;
        else if (type == RECORD_F64)
            ((double *)out)[i] = real;
        else
            ((float *)out)[i] = (float)real;
    }
    return IAU_OK;
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
        TRY(read_bytes(s, k * bytes, s->raw));
        if (s->swap)
            swap_bytes(s->raw, k * a->n_value, s->size);
        TRY(convert(a, s->raw, k * a->n_value, type, (char *)out + done * wide));
        s->at += k;
    }
    s->at += out ? 0 : n;
    if (s->at == a->dims[0])
        rc = end_stream(s);
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
        return read_bytes(s, n_bytes, out);
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
        rc = end_stream(s);
    if (rc == IAU_OK) {
        s->window_first = first;
        s->window_n = n;
        if (s->swap)
            swap_bytes(s->raw, n * a->n_value, s->size);
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
            rc = convert(a, s->raw + (s->at + i - s->window_first) * row_bytes(a), a->n_value, type,
                         (char *)out + i * wide);
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
    TRY(read_head(s, name, &ndim, dims));
    a->is_u8 = s->size == 1 && s->kind != 'i';
    a->is_integer = s->kind != 'f';
    TRY(array_describe(a, name, ndim, dims));
    name = NULL;
    if (a->n_value == 1)
        s->by_columns = 0;
    int64_t n_bytes;
    if (__builtin_mul_overflow(row_bytes(a), a->dims[0], &n_bytes) || n_bytes > INT64_MAX - s->head)
        TRY(wrong_head(a->name, "its extents are too large"));
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
