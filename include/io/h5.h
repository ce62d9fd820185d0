/* The one door to HDF5, private to io and data. No MPI-IO: every rank opens files for itself,
 * read-only, with the default driver; rank 0 alone writes. All calls hold one lock. HDF5's own
 * error print is off: what fails becomes one line that names the file, the object and the cause.
 * Everything here is local. */
#ifndef IAU_IO_H5_H
#define IAU_IO_H5_H

#include <stddef.h>
#include <stdint.h>

#include "core/lists.h"
#include "io/record.h"

struct h5 {
    int64_t id;             /* 0: closed */
    char *path;             /* owned; for messages */
    struct h5_image *image; /* owned; the bytes of a file in memory */
};

struct h5_array {
    int64_t id;            /* 0: closed */
    const struct h5 *file; /* borrowed; outlives the array */
    char *path;            /* owned */
    enum record_type type;
    int64_t width; /* RECORD_TEXT: bytes of an element */
    int ndim;
    int64_t dims[RECORD_MAX_DIMS];
};

/** Open read-only. @return IAU_OK, IAU_ERR_IO, IAU_ERR_FORMAT (no HDF5, truncated, damaged) or
 * IAU_ERR_MEM */
int h5_open(struct h5 *f, const char *path);
/** Whether HDF5 survives a file that was written elsewhere: opening it and `n` arrays, in a child
 * process. Some damaged files crash the library. @return IAU_ERR_FORMAT where this one does, else
 * IAU_OK, whatever else is wrong with the file */
int h5_probe(const char *path, const char *const *array, int n);
/** Create a file on disk for streaming; messages call it `shown`. The caller checks `h5_close`,
 * reads the file back (HDF5 may report success after a failed write on a full disk), and renames.
 */
int h5_create(struct h5 *f, const char *path, const char *shown);
/** Create a file in memory; `path` only names it in messages. Its bytes come from
 *  `h5_close_image`. */
int h5_create_image(struct h5 *f, const char *path);
/** Close a file made by `h5_create_image` and hand out its bytes; the caller frees *p. */
int h5_close_image(struct h5 *f, void **p, size_t *n_bytes);
/** Let the system begin to bring to disk what was written so far, so that the final sync is short;
 * a hint. */
void h5_begin_sync(const struct h5 *f);
/** Close; fine on a zeroed or closed file. Only a written file can fail here. */
int h5_close(struct h5 *f);

/** Open an array and describe it. IAU_ERR_FORMAT where it is missing, no array, or of a type or
 * rank that is not read. Integers up to 32 bits become RECORD_I32 (uint8 stays), floats up to 32
 * bits RECORD_F32. */
int h5_array_open(struct h5_array *a, const struct h5 *f, const char *path);
/** The same, and columns of texts of a fixed width, too. */
int h5_array_open_any(struct h5_array *a, const struct h5 *f, const char *path);
/* How an array is laid out. */
struct h5_layout {
    int64_t chunk_bytes; /* about as large are its chunks, whole rows each */
    int compress;        /* shuffle and deflate */
};

/** Create an array and the groups above it, chunked along the first extent, with a Fletcher-32
 * checksum; a scalar lies in the object header, whose metadata checksum covers it. */
int h5_array_create(struct h5_array *a, const struct h5 *f, const char *path, enum record_type type,
                    int ndim, const int64_t *dims, const struct h5_layout *layout);
/** The same for a column of n texts of `width` bytes each, NUL included. */
int h5_texts_create(struct h5_array *a, const struct h5 *f, const char *path, int64_t n,
                    int64_t width, const struct h5_layout *layout);
/** From now on rows are read as numbers of `type`, whatever the file holds. */
void h5_array_convert(struct h5_array *a, enum record_type type);
/** Read or write `n` rows (of the first extent) from row `first` on, as a->type; a scalar is one
 * row. */
int h5_array_read(const struct h5_array *a, int64_t first, int64_t n, void *out);
int h5_array_write(const struct h5_array *a, int64_t first, int64_t n, const void *in);
/** Read rows that were read before: the checksums of their chunks are not computed again, which
 * takes two thirds of the time. */
int h5_array_read_known(const struct h5_array *a, int64_t first, int64_t n, void *out);
/** Close; fine on a zeroed or closed array. Writes what HDF5 still held back, so a writer checks
 * the result. */
int h5_array_close(struct h5_array *a);

/** Write attributes of an object; a missing object becomes a group. Texts have a fixed length, so
 * that the metadata checksum covers them. */
int h5_set_text(const struct h5 *f, const char *object, const char *name, const char *text);
int h5_set_i64(const struct h5 *f, const char *object, const char *name, int64_t value);
int h5_set_f64(const struct h5 *f, const char *object, const char *name, double value);
int h5_set_floats(const struct h5 *f, const char *object, const char *name, int64_t n,
                  const float *v);
int h5_set_texts(const struct h5 *f, const char *object, const char *name, int64_t n,
                 char *const *v);

/** Read a scalar attribute of any number or string type into `out` (type, and text, i64 or f64;
 * path and name stay unset; out->text is the caller's). IAU_ERR_FORMAT where it is missing or
 * something else. */
int h5_get_scalar(const struct h5 *f, const char *object, const char *name,
                  struct record_attribute *out);
/** The same for a text, the caller frees *out; for an integer; for lists of exactly n elements. */
int h5_get_text(const struct h5 *f, const char *object, const char *name, char **out);
int h5_get_i64(const struct h5 *f, const char *object, const char *name, int64_t *out);
int h5_get_floats(const struct h5 *f, const char *object, const char *name, int64_t n, float *out);
int h5_get_texts(const struct h5 *f, const char *object, const char *name, int64_t n, char **out);

/** Append to zeroed lists the absolute paths of all arrays and of all groups ("/" included), in
 * order of names; release with `h5_list_free`. */
int h5_list_objects(const struct h5 *f, struct text_list *arrays, struct text_list *groups);
/** Append the names of an object's attributes, in order. */
int h5_list_attributes(const struct h5 *f, const char *object, struct text_list *names);
void h5_list_free(struct text_list *list);

/** Version of the HDF5 library in use, a static text. */
const char *h5_version(void);
/** Bytes of one element of a number type. */
size_t h5_type_bytes(enum record_type type);

#endif
