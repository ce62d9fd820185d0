/* NumPy's .npy format: what the files that read it share. */
#ifndef IAU_DATA_NPY_H
#define IAU_DATA_NPY_H

#include "array.h"
#include "data/reader.h"

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

/** The stream, a file or a member of an archive: read exactly n bytes; check that it ends. */
int npy_read_bytes(struct npy *s, int64_t n, void *out);
int npy_end(struct npy *s);
/** Read the header: type, order, and extents, of which more than ARRAY_MOST_DIMS are counted and
 * not kept. @param name  for messages */
int npy_read_head(struct npy *s, const char *name, int *ndim, int64_t *dims);
/** IAU_ERR_FORMAT: NAME is no NumPy array. */
int npy_refuse(const char *name, const char *what);
/** Turn the bytes of n values around. */
void npy_swap(char *p, int64_t n, int size);
/** n values of the rows from a's next one on, from raw ones in this machine's order. */
int npy_convert(const struct array *a, const char *raw, int64_t n, enum record_type type,
                void *out);

#endif
