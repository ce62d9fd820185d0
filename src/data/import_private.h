/* What the files behind data/import.h share: the order of rows, and the writer of the dataset file.
 */
#ifndef IAU_DATA_IMPORT_PRIVATE_H
#define IAU_DATA_IMPORT_PRIVATE_H

#include "data/import.h"
#include "data/reader.h"

/* A row of the source, and where it goes in the window that is being filled. */
struct import_place {
    int64_t row, place;
};

/* Which row of the source stands in which row of the dataset file, and the pass over the source
 * that is under way. */
struct import_plan {
    const struct import_format *format; /* borrowed */
    struct import_reader *reader;       /* borrowed; open */
    size_t row_bytes;
    int64_t n[N_PART];              /* rows of the dataset file */
    enum dataset_part from[N_PART]; /* part of the source that a part is made of */
    uint8_t
        *is_test; /* owned; a bit a row of the source where the test part was drawn, else NULL */
    struct import_place found[N_PART]; /* the row of a part that was looked up last */
    int64_t *order; /* owned; source row of each training row where they are shuffled, else NULL */
    int64_t *id[N_PART];         /* owned; of each row where the source has ids */
    struct import_place *window; /* owned, [window_rows] where shuffled */
    int64_t window_rows;         /* most rows to take at a time */
    enum dataset_part part;      /* of the pass */
    int64_t next;                /* row that comes next in it; -1 before the first pass */
};

/** Local. Draw the test part and shuffle, as the reader's options say. @return IAU_OK,
 * IAU_ERR_USAGE (no test part, or two of them; too many rows to shuffle), IAU_ERR_DATA or
 * IAU_ERR_MEM */
int import_plan_init(struct import_plan *p, const struct import_format *format,
                     struct import_reader *r);
void import_plan_free(struct import_plan *p);
/** The row of the source that a row of the dataset file was; fast in ascending order. */
int64_t import_plan_row(struct import_plan *p, enum dataset_part part, int64_t i);
/** Local. Fetch rows [first, first + n) of a part, n <= window_rows. In ascending order of `first`
 * that is one pass over the source, or a pass a window where rows are shuffled. */
int import_plan_take(struct import_plan *p, enum dataset_part part, int64_t first, int64_t n,
                     const struct import_rows *to);

/** Local. Read the ids of a source that has them; a request to forget goes by them, so none may be
 * there twice. @return IAU_OK, IAU_ERR_DATA naming id and rows, IAU_ERR_MEM, or the reader's error
 */
int import_plan_read_ids(struct import_plan *p);
/** The id of a row of the dataset file: that, or its row number in the source. */
int64_t import_plan_id(struct import_plan *p, enum dataset_part part, int64_t i);

/* Sums over the training samples as they pass; exact for uint8 (below 2^53 / 255^2 values). */
struct import_statistics {
    int64_t n_channel, n_value; /* n_value of each channel in a sample: 1 in a table */
    int is_u8;
    double unit;                /* see dataset_unit() */
    int64_t n_row;              /* so far */
    double *sum, *square;       /* owned, [n_channel] */
    uint32_t *sum32, *square32; /* owned, [n_channel]; of a few rows of a table */
};

/** Local. @return IAU_OK or IAU_ERR_MEM; import_statistics_free() either way */
int import_statistics_init(struct import_statistics *s, const struct import_reader *r);
void import_statistics_free(struct import_statistics *s);
/** Local. Add n samples. */
void import_statistics_add(struct import_statistics *s, const void *x, int64_t n);
/** Local. @param mean,std  [n_channel] of the values as networks see them before normalisation */
void import_statistics_get(const struct import_statistics *s, float *mean, float *std);

/** What a part is called in messages. */
extern const char *const import_part_name[N_PART];

/** Local. Rows of a chunk of samples of `row_bytes` each. */
int64_t import_chunk_rows(size_t row_bytes);
/** Local. Write, read back, and put in place.
 *  @param name  of the data set; @param source  a text that says where it comes from */
int import_write(const struct import_request *request, struct import_plan *p, const char *name,
                 const char *source);

#endif
