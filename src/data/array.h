/* An array of numbers in some file, read by rows from front to end: what the formats numpy and hdf5
 * make a data set of. Private to the importers. */
#ifndef IAU_DATA_ARRAY_H
#define IAU_DATA_ARRAY_H

#include "io/archive.h"
#include "io/h5.h"

enum { ARRAY_MOST_DIMS = 4 };

struct array {
    char *name;                    /* owned; for messages: the file, or FILE: MEMBER */
    int ndim;                      /* at least 1 */
    int64_t dims[ARRAY_MOST_DIMS]; /* all at least 1 */
    int64_t n_value;               /* of a row */
    int is_u8, is_integer;         /* uint8 or bool; that, or any other integer */
    const struct array_kind *kind; /* NULL: closed */
    void *state;                   /* owned by the kind */
};

struct array_kind {
    /* Go to the first row. */
    int (*start)(struct array *a);
    /* The next n rows as numbers of a type: RECORD_U8 of what is u8, RECORD_I64 of integers,
     * RECORD_F32 and RECORD_F64 of anything; NULL: pass over them. */
    int (*read)(struct array *a, int64_t n, enum record_type type, void *out);
    void (*close)(struct array *a);
};

/** Open a .npy file, plain or gzip; versions 1 to 3, C or Fortran order, of bool, integers and
 * floats. */
int array_open_npy(struct array *a, const char *path);
/** Open NAME.npy or NAME of an archive, as numpy.savez makes them. */
int array_open_member(struct array *a, const struct archive *z, const char *name);
/** Open an array of an HDF5 file. */
int array_open_h5(struct array *a, const struct h5 *f, const char *path);
/** Release; fine on a zeroed or closed array. */
void array_close(struct array *a);
/** For the kinds: check and keep the extents, and on success take over `name`. */
int array_describe(struct array *a, char *name, int ndim, const int64_t *dims);

#endif
