/* Samples in memory, and reading them by rows from a dataset file. Everything here is local. */
#ifndef IAU_DATA_ROWS_H
#define IAU_DATA_ROWS_H

#include "data/dataset.h"
#include "io/h5.h"

/* Samples in memory, as stored in the file. */
struct rows {
    enum dataset_part part;
    int64_t n;           /* samples held; 0 is legal */
    size_t sample_bytes; /* of one sample in x */
    void *x;             /* owned; [n][c][h][w] uint8 or float */
    int32_t *label;      /* owned; [n] */
    int64_t *id;         /* owned; [n]; NULL unless asked for */
};

/* An open dataset file that samples are read from, one request after another. */
struct row_reader {
    const struct dataset *dataset; /* borrowed */
    struct h5 file;
    struct h5_array x;
    enum dataset_part part;
    size_t row_bytes;
    char *buffer; /* owned; rows of one read */
};

/** Bytes of one sample as stored. */
size_t dataset_sample_bytes(const struct dataset *d);
/** Load the samples and labels at `n` ascending row numbers of a part; order kept. Labels outside
 * [0, n_class) and values that are not finite are IAU_ERR_FORMAT naming the row. Reads whole runs
 * of rows. */
int rows_load(struct rows *r, const struct dataset *d, enum dataset_part part, const int64_t *row,
              int64_t n);
/** The same, with the stable ids. */
int rows_load_with_ids(struct rows *r, const struct dataset *d, enum dataset_part part,
                       const int64_t *row, int64_t n);
/** The same without the samples: x is NULL. */
int rows_load_columns(struct rows *r, const struct dataset *d, enum dataset_part part,
                      const int64_t *row, int64_t n, int with_ids);
/** Release; fine on an empty `r`. */
void rows_free(struct rows *r);

/** Open the samples of a part. The file must still be the one that `d` describes. */
int row_reader_open(struct row_reader *q, const struct dataset *d, enum dataset_part part);
/** Read the samples at n ascending rows to `x`.
 *  @param is_known  they were read before: checksums and values are not looked at again */
int row_reader_read(struct row_reader *q, const int64_t *row, int64_t n, void *x, int is_known);
/** Close; fine on a zeroed or closed reader. */
void row_reader_close(struct row_reader *q);

#endif
