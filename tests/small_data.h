/* A small data set that a model can learn, written to a dataset file and opened, and the same sums
 * by naive loops: one sample at a time, added in double. For tests of training, unlearning and
 * evaluation. */
#ifndef IAU_TESTS_SMALL_DATA_H
#define IAU_TESTS_SMALL_DATA_H

#include "data/rows.h"
#include "data/split.h"
#include "nn/model.h"
#include "sweep/sweep.h"
#include "train/history.h"
#include "train/trainer.h"
#include "unlearn/request.h"

struct small_shape {
    int c, h, w; /* h = w = 0: a table with c features, for an mlp; else uint8 images, for lenet5 */
    int n_class;
    int64_t n_train, n_test;
    float noise; /* against class centres in (-1, 1) */
    double
        flipped; /* share of labels that are wrong, so that training samples get learned by heart */
};

extern const struct small_shape small_table, small_images;

struct small_data {
    char *path; /* owned */
    struct dataset dataset;
    struct model model;
    struct rows rows[N_PART]; /* all samples, on every rank */
};

/** Collective. Rank 0 writes the file, all open it. Aborts where that fails: nothing here is under
 * test. The struct must not move: engines point into it. */
void small_data_open(struct small_data *s, const char *name, const struct small_shape *shape);
void small_data_close(struct small_data *s);
/** The id of a sample: descending over the training part, so that ids and rows differ. */
int64_t small_data_id(enum dataset_part part, int64_t row);

/** A communicator of this process alone: the program as it is on one rank. */
struct comm small_self(void);
/** Collective. An engine over the data, or abort. */
void small_engine(struct engine *e, const struct small_data *s, int unit, const struct comm *comm);
/** Plausible settings: batch 50 in units of 16, Adam. */
struct train_opts small_train_opts(void);
/** Collective. Train with these settings and no restart file, or abort. */
void small_train(struct outcome *o, const struct small_data *s, const struct partition *sets,
                 const struct train_opts *opts, const struct comm *comm);

/* Sums over a set by naive loops. */
struct naive {
    double *gradient; /* owned, [n_param] */
    double loss;
    int64_t correct;
};
/** Local. One sample into lane 0 of a unit of 16 lanes, forward. */
void naive_forward(const struct small_data *s, const float *w, enum dataset_part part, int64_t row,
                   struct unit *u);
/** Local. `with_gradient` 0 leaves `gradient` NULL. */
void naive_sum(struct naive *a, const struct small_data *s, const float *w,
               const struct index_set *set, int with_gradient);
void naive_free(struct naive *a);

/** ||a - b|| / ||b||. */
double relative_error(const double *a, const double *b, int64_t n);
/** Whether two histories agree bit by bit, but for columns of seconds. */
int same_history(const struct history *a, const struct history *b);
/** A value of a history by column name. */
double history_at(const struct history *h, int64_t row, const char *column);

#endif
