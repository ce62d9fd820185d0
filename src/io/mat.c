/* MATLAB files through libmatio, behind the lock of HDF5, with the checks that libmatio leaves out:
 * it would read a file that was cut short, and past the checksums of what is compressed. */
#include "io/mat.h"

#include <errno.h>
#include <limits.h>
#include <matio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "h5_private.h"

enum { HEAD_BYTES = 128, TAG_BYTES = 8, LEVEL_5 = 0x0100, LEVEL_7_3 = 0x0200, COMPRESSED = 15 };
enum { PIECE_BYTES = 1 << 16 };

/* --- is the file whole? */

struct check {
    FILE *f;
    const char *path;
    int64_t size;
    int big_endian;
    unsigned char *piece; /* owned, [2][PIECE_BYTES]: as stored, and unpacked */
};

static uint32_t number(const struct check *c, const unsigned char *p)
{
    return c->big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                         : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Unpack one piece of what is compressed, and forget it. @return zlib's code */
static int unpack(struct check *c, z_stream *z, size_t n)
{
    int code;
    z->next_in = c->piece;
    z->avail_in = (uInt)n;
    do {
        z->next_out = c->piece + PIECE_BYTES;
        z->avail_out = PIECE_BYTES;
        code = inflate(z, Z_NO_FLUSH);
    } while (code == Z_OK && (z->avail_in > 0 || z->avail_out == 0));
    return code == Z_BUF_ERROR && z->avail_in == 0 ? Z_OK : code;
}

/* The n bytes of a compressed element must end with the right checksum. */
static int check_compressed(struct check *c, uint32_t n)
{
    z_stream z = {0};
    int code = inflateInit(&z);
    if (code != Z_OK)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", c->path);
    for (uint32_t done = 0, k; done < n && code == Z_OK; done += k) {
        k = n - done < PIECE_BYTES ? n - done : PIECE_BYTES;
        code = fread(c->piece, 1, k, c->f) == k ? unpack(c, &z, k) : Z_DATA_ERROR;
    }
    inflateEnd(&z);
    return code == Z_STREAM_END
               ? IAU_OK
               : FAIL(IAU_ERR_FORMAT, "%s is damaged: its compressed data are wrong", c->path);
}

/* Elements follow each other to the end of the file. */
static int check_elements(struct check *c)
{
    unsigned char tag[TAG_BYTES];
    for (int64_t at = HEAD_BYTES; at < c->size;) {
        int has_tag = c->size - at >= TAG_BYTES && fseek(c->f, (long)at, SEEK_SET) == 0 &&
                      fread(tag, 1, TAG_BYTES, c->f) == TAG_BYTES;
        uint32_t type = has_tag ? number(c, tag) : 0, n = has_tag ? number(c, tag + 4) : 0;
        if (!has_tag || n > c->size - at - TAG_BYTES)
            return FAIL(IAU_ERR_FORMAT, "%s is truncated", c->path);
        if (type != COMPRESSED && type != MAT_T_MATRIX)
            return FAIL(IAU_ERR_FORMAT, "%s is damaged: no array begins at byte %lld", c->path,
                        (long long)at);
        int rc = type == COMPRESSED ? check_compressed(c, n) : IAU_OK;
        if (rc != IAU_OK)
            return rc;
        at += TAG_BYTES + (int64_t)n;
    }
    return IAU_OK;
}

static int check_head(struct check *c, int *level)
{
    unsigned char head[HEAD_BYTES] = {0};
    size_t n = fread(head, 1, HEAD_BYTES, c->f);
    int little = memcmp(head + 126, "IM", 2) == 0;
    c->big_endian = memcmp(head + 126, "MI", 2) == 0;
    *level = c->big_endian ? head[124] << 8 | head[125] : head[125] << 8 | head[124];
    if (n < HEAD_BYTES || (!little && !c->big_endian) || (*level != LEVEL_5 && *level != LEVEL_7_3))
        return FAIL(IAU_ERR_FORMAT, "%s is no MATLAB file of level 5 or 7.3", c->path);
    return IAU_OK;
}

static int check_file(const char *path)
{
    struct stat st;
    struct check c = {.path = path, .f = fopen(path, "rbe")};
    int rc = IAU_OK, level;
    if (!c.f || fstat(fileno(c.f), &st) != 0)
        TRY(FAIL(IAU_ERR_IO, "cannot open %s: %s", path, strerror(errno)));
    if (!S_ISREG(st.st_mode))
        TRY(FAIL(IAU_ERR_IO, "%s is no regular file", path));
    if (st.st_size == 0)
        TRY(FAIL(IAU_ERR_FORMAT, "%s is empty", path));
    c.size = st.st_size;
    c.piece = mem_alloc(2, PIECE_BYTES);
    if (!c.piece)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", path));
    TRY(check_head(&c, &level));
    if (level == LEVEL_5)
        TRY(check_elements(&c));
out:
    if (c.f)
        fclose(c.f);
    free(c.piece);
    return rc;
}

/* --- libmatio */

static char said[200]; /* the last thing that libmatio complained about */

static void keep_message(int level, char *message)
{
    (void)level;
    snprintf(said, sizeof said, "%s", message);
    said[strcspn(said, "\n")] = '\0';
}

static void enter(void)
{
    h5_enter();
    Mat_LogInitFunc("iau", keep_message);
    said[0] = '\0';
}

static int fail(const struct mat *m, const char *verb, const char *object)
{
    return FAIL(IAU_ERR_FORMAT, "%s: cannot %s%s%s%s%s", m->path, verb, *object ? " " : "", object,
                *said ? ": " : "", said);
}

int mat_open(struct mat *m, const char *path)
{
    *m = (struct mat){0};
    int rc = check_file(path);
    if (rc != IAU_OK)
        return rc;
    m->path = mem_strdup(path);
    if (!m->path)
        return FAIL(IAU_ERR_MEM, "no memory to open %s", path);
    enter();
    m->file = Mat_Open(path, MAT_ACC_RDONLY);
    if (!m->file)
        rc = fail(m, "open it", "");
    return h5_leave(rc);
}

void mat_close(struct mat *m)
{
    if (m->file) {
        enter();
        Mat_Close(m->file);
        h5_leave(IAU_OK);
    }
    free(m->path);
    *m = (struct mat){0};
}

static int describe(struct mat_array *a, const char *name)
{
    const matvar_t *v = a->info;
    int64_t most = INT_MAX; /* libmatio counts elements in int */
    if (v->class_type < MAT_C_DOUBLE || v->class_type > MAT_C_UINT64 || v->isComplex)
        return FAIL(IAU_ERR_FORMAT, "%s: '%s' is no array of real numbers", a->mat->path, name);
    if (v->rank < 1 || v->rank > MAT_MOST_DIMS)
        return FAIL(IAU_ERR_FORMAT, "%s: '%s' has %d extents, at most %d are read", a->mat->path,
                    name, v->rank, MAT_MOST_DIMS);
    a->is_u8 = v->class_type == MAT_C_UINT8;
    a->ndim = v->rank;
    a->n = 1;
    for (int i = 0; i < v->rank; i++) {
        a->dims[i] = (int64_t)v->dims[i];
        if (a->dims[i] < 1 || a->dims[i] > most / a->n)
            return FAIL(IAU_ERR_FORMAT, "%s: '%s' is empty or has more than %lld elements",
                        a->mat->path, name, (long long)most);
        a->n *= a->dims[i];
    }
    return IAU_OK;
}

int mat_array_open(struct mat_array *a, const struct mat *m, const char *name)
{
    *a = (struct mat_array){.mat = m};
    enter();
    a->info = Mat_VarReadInfo(m->file, name);
    int rc =
        a->info ? describe(a, name) : FAIL(IAU_ERR_FORMAT, "%s has no array '%s'", m->path, name);
    return h5_leave(rc);
}

static int read_elements(const struct mat_array *a, int64_t first, int64_t n, void *out)
{
    matvar_t *v = a->info;
    REQUIRE(first >= 0 && n >= 0 && first + n <= a->n);
    enter();
    int failed = Mat_VarReadDataLinear(a->mat->file, v, out, (int)first, 1, (int)n);
    return h5_leave(failed || *said ? fail(a->mat, "read", v->name) : IAU_OK);
}

int mat_array_read_u8(const struct mat_array *a, int64_t first, int64_t n, uint8_t *out)
{
    REQUIRE(a->is_u8);
    return read_elements(a, first, n, out);
}

/* Element i of an array of any class. */
static double value_at(enum matio_classes class, const void *p, int64_t i)
{
    switch (class) {
    case MAT_C_DOUBLE:
        return ((const double *)p)[i];
    case MAT_C_SINGLE:
        return ((const float *)p)[i];
    case MAT_C_INT8:
        return ((const int8_t *)p)[i];
    case MAT_C_UINT8:
        return ((const uint8_t *)p)[i];
    case MAT_C_INT16:
        return ((const int16_t *)p)[i];
    case MAT_C_UINT16:
        return ((const uint16_t *)p)[i];
    case MAT_C_INT32:
        return ((const int32_t *)p)[i];
    case MAT_C_UINT32:
        return ((const uint32_t *)p)[i];
    case MAT_C_INT64:
        return (double)((const int64_t *)p)[i];
    default:
        return (double)((const uint64_t *)p)[i];
    }
}

int mat_array_read_all(const struct mat_array *a, double *out)
{
    const matvar_t *v = a->info;
    void *raw = mem_alloc(a->n, sizeof(double)); /* as wide as any class */
    if (!raw)
        return FAIL(IAU_ERR_MEM, "no memory for the %lld elements of '%s'", (long long)a->n,
                    v->name);
    int rc = read_elements(a, 0, a->n, raw);
    for (int64_t i = 0; i < a->n && rc == IAU_OK; i++)
        out[i] = value_at(v->class_type, raw, i);
    free(raw);
    return rc;
}

void mat_array_close(struct mat_array *a)
{
    if (a->info) {
        enter();
        Mat_VarFree(a->info);
        h5_leave(IAU_OK);
    }
    *a = (struct mat_array){0};
}
