/* A growing table of named columns: an epoch or a step a row. */
#ifndef IAU_TRAIN_HISTORY_H
#define IAU_TRAIN_HISTORY_H

#include <stdint.h>

#include "io/record.h"

enum { HISTORY_MAX_COLUMNS = 16 };

struct history {
    int n_column;
    const char *const *name; /* borrowed, static */
    int64_t n_row, capacity;
    double *value; /* owned, [n_row][n_column] */
};

/** Local. An empty table with these columns (a NULL-terminated static list). */
void history_init(struct history *h, const char *const *name);
void history_free(struct history *h);
/** Local. Append a row of n_column values. @return IAU_OK or IAU_ERR_MEM */
int history_add(struct history *h, const double *row);
/** Local. Write the columns as PREFIX/<name>, or fill the table from those of the file `path`. */
int history_to_record(const struct history *h, struct record *r, const char *prefix);
int history_from_record(struct history *h, const struct record *r, const char *path,
                        const char *prefix);

#endif
