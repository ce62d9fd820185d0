/* The tables of campaign.h5 in the making: rows of models, of trials and of failures, and columns
 * of what was set and measured. All local, on rank 0. */
#ifndef IAU_APP_CAMPAIGN_TABLE_H
#define IAU_APP_CAMPAIGN_TABLE_H

#include "app/campaign.h"

/* A column of numbers that may be unknown. */
struct campaign_column {
    char *path;          /* owned; "/metrics/accuracy_test" */
    double *value;       /* owned, [n_row] */
    struct record about; /* its attributes, of the array "/": direction, ideal, unit */
    int ideals_differ;   /* between rows: it has none then */
};

struct campaign_row {
    int64_t task;
    char *model, *kind, *origin, *digest, *failed; /* owned */
};

struct campaign_table {
    const struct campaign *c;
    int64_t n_row, room;
    struct campaign_row *row; /* owned */
    int n_column;
    struct campaign_column *column; /* owned */
};

/* What campaign.h5 is made of; of methods that have failed there is only the reason. */
struct campaign_tables {
    struct campaign_table models, trials, failed;
};

/** Release; fine on an empty table. */
void campaign_table_free(struct campaign_table *t);
/** A row for a model of a task, from that task's results, with nothing known of it yet.
 *  @return IAU_OK or IAU_ERR_MEM, as the next two */
int campaign_table_add_row(struct campaign_table *t, int64_t task, const struct record *results,
                           const char *model);
/** The same, with the model's metrics, ranks and costs. */
int campaign_table_add_model(struct campaign_table *t, int64_t task, const struct record *results,
                             const char *model);
/** A row a strength that was tried for a method. */
int campaign_table_add_trials(struct campaign_table *t, int64_t task, const struct record *results,
                              const char *model);
/** What an object of one record says of itself, to an object of another; but not `without`. */
int campaign_copy_attributes(struct record *to, const char *to_path, const struct record *from,
                             const char *path, const char *without);
/** Write campaign.h5 with the rows of n_merged tasks. @return IAU_OK, IAU_ERR_MEM or IAU_ERR_IO */
int campaign_write(const struct campaign_tables *t, const struct campaign *c, const char *path,
                   int64_t n_merged);

#endif
