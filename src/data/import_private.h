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
    int64_t *order[N_PART];         /* owned; ascending, but for shuffled training rows; NULL: as in
                                       the source */
    int is_shuffled;
    struct import_place *window; /* owned, [window_rows] */
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
/** Rows of the source that a row of the dataset file was. */
int64_t import_plan_row(const struct import_plan *p, enum dataset_part part, int64_t i);
/** Local. Fetch rows [first, first + n) of a part, n <= window_rows. In ascending order of `first`
 * that is one pass over the source, or a pass a window where rows are shuffled. */
int import_plan_take(struct import_plan *p, enum dataset_part part, int64_t first, int64_t n,
                     const struct import_rows *to);

/** Local. Rows of a chunk of samples of `row_bytes` each. */
int64_t import_chunk_rows(size_t row_bytes);
/** Local. Write, read back, and put in place.
 *  @param name  of the data set; @param source  a text that says where it comes from */
int import_write(const struct import_request *request, struct import_plan *p, const char *name,
                 const char *source);

#endif
