/* A file in memory: named arrays and attributes, written to HDF5 and read from it as a whole. Paths
 * are absolute
 * ("/params/conv1.weight"); groups come into being by themselves. Local throughout; rank 0 alone
 * writes. */
#ifndef IAU_IO_RECORD_H
#define IAU_IO_RECORD_H

#include <stdint.h>

#include "core/digest.h"

enum record_type { RECORD_F32, RECORD_F64, RECORD_I32, RECORD_I64, RECORD_U8, RECORD_TEXT };
enum { RECORD_MAX_DIMS = 4 };

struct record_array {
    char *path;            /* owned */
    enum record_type type; /* RECORD_TEXT for a column of texts only */
    int64_t width;         /* RECORD_TEXT: bytes of an element, NUL included */
    int ndim;              /* 0 for a scalar */
    int64_t dims[RECORD_MAX_DIMS];
    void *data; /* owned */
};

struct record_attribute {
    char *path; /* owned; the object it belongs to: a group ("/" is the root) or an array */
    char *name; /* owned */
    enum record_type type; /* RECORD_TEXT, RECORD_I64 or RECORD_F64, scalar */
    char *text;            /* owned; RECORD_TEXT only */
    int64_t i64;
    double f64;
};

struct record {
    int64_t n_array, n_attribute;
    struct record_array *array;         /* owned */
    struct record_attribute *attribute; /* owned */
};

/** Release everything; fine on a zeroed or already freed record. A record starts as `{0}`. */
void record_free(struct record *r);
/** Append an array; the data are copied. A path that is there already is replaced. @return IAU_OK
 * or IAU_ERR_MEM */
int record_add(struct record *r, const char *path, enum record_type type, int ndim,
               const int64_t *dims, const void *data);
/** Scalars and columns: record_add with ndim 0 and 1. */
int record_add_scalar(struct record *r, const char *path, double value);
int record_add_column(struct record *r, const char *path, enum record_type type, int64_t n,
                      const void *data);
/** A column of n texts. */
int record_add_texts(struct record *r, const char *path, int64_t n, const char *const *texts);
int record_set_text(struct record *r, const char *path, const char *name, const char *text);
int record_set_i64(struct record *r, const char *path, const char *name, int64_t value);
int record_set_f64(struct record *r, const char *path, const char *name, double value);
/** The array at `path`, or NULL. Borrowed. */
const struct record_array *record_find(const struct record *r, const char *path);
/** The attribute, or NULL (no error); text, or `fallback`. Borrowed. */
const struct record_attribute *record_attribute_find(const struct record *r, const char *path,
                                                     const char *name);
const char *record_text(const struct record *r, const char *path, const char *name,
                        const char *fallback);
/** Number of elements of an array. */
int64_t record_count(const struct record_array *a);
/** Element i of a numeric array as double. */
double record_value(const struct record_array *a, int64_t i);
/** SHA-256 over the arrays whose path begins with one of the NULL-terminated `prefixes`, in sorted
 * path order: path, NUL, shape as int64, little-endian data. Paths that end in "_s" or "_bytes"
 * (seconds, memory) stay out where `portable` is set. */
int record_digest(const struct record *r, const char *const *prefixes, int portable,
                  char hex[DIGEST_CHARS]);
/** Write as one HDF5 file through io/file: whole or not at all. Arrays carry a Fletcher-32 checksum
 * where they have extents. @return IAU_OK, IAU_ERR_IO or IAU_ERR_MEM */
int record_write(const struct record *r, const char *path);
/** Read every array and attribute of a file; checksums are verified by HDF5. `r` is empty on error.
 *  @return IAU_OK, IAU_ERR_IO, IAU_ERR_FORMAT (names path and, where known, the object) or
 * IAU_ERR_MEM */
int record_read(struct record *r, const char *path);
/** The same with the arrays at and below `prefix` only. */
int record_read_part(struct record *r, const char *path, const char *prefix);
/** The same without the arrays: attributes alone, however large the file. A file that is damaged or
 * cut short in its structure is an error here, too; damage inside of arrays goes unseen. */
int record_read_attributes(struct record *r, const char *path);
/** Release the arrays at and below `prefix`; attributes stay. */
void record_drop(struct record *r, const char *prefix);

#endif
