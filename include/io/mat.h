/* The one door to libmatio: numeric arrays of MATLAB files, of level 5 (compressed or not) and 7.3.
 * The latter are HDF5 inside, so every call holds the lock of io/h5. Everything here is local. */
#ifndef IAU_IO_MAT_H
#define IAU_IO_MAT_H

#include <stdint.h>

enum { MAT_MOST_DIMS = 4 };

struct mat {
    void *file; /* owned; a mat_t, NULL when closed */
    char *path; /* owned */
};

struct mat_array {
    const struct mat *mat; /* borrowed; outlives the array */
    void *info;            /* owned; a matvar_t, NULL when closed */
    int is_u8;             /* of MATLAB's class uint8 */
    int ndim;
    int64_t dims[MAT_MOST_DIMS]; /* the first one changes fastest */
    int64_t n;                   /* elements */
};

/** Open read-only. Of a file of level 5 every element is checked to be whole: its length, and what
 * is compressed to its end. @return IAU_OK, IAU_ERR_IO, IAU_ERR_FORMAT or IAU_ERR_MEM */
int mat_open(struct mat *m, const char *path);
void mat_close(struct mat *m);
/** Describe an array of real numbers. IAU_ERR_FORMAT where it is missing or something else. */
int mat_array_open(struct mat_array *a, const struct mat *m, const char *name);
/** Elements [first, first + n) in the file's order. Of a compressed array everything before them is
 * read, too, so few large pieces are better than many small ones. */
int mat_array_read_u8(const struct mat_array *a, int64_t first, int64_t n, uint8_t *out);
/** The whole array as double, of any class. */
int mat_array_read_all(const struct mat_array *a, double *out);
void mat_array_close(struct mat_array *a);

#endif
