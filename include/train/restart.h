/* Restart files: when one is due, what goes into it, and the way back. Whoever works in steps lists
 * what it must remember as items, adds a word to the reduction of each step, and obeys the sum:
 *
 *     *sums_stop(&sums, 0) = restart_word(r, comm, step);           before the reduction
 *     rc = restart_obey(r, e, *sums_stop(&sums, 0), step, &state);  after the step
 *
 * A restart of NULL writes no files and is never stopped. */
#ifndef IAU_TRAIN_RESTART_H
#define IAU_TRAIN_RESTART_H

#include "sweep/sweep.h"
#include "train/history.h"
#include "train/opts.h"

/* Where restart files go, and how often. */
struct restart {
    const char *path;     /* borrowed; of the newest file, which ends in ".h5" */
    const char *settings; /* borrowed; stored as the attribute `settings` */
    const char *name;     /* borrowed; the model's, for messages */
    struct checkpoint_opts opts;
    int resume;         /* go on from the file */
    int strict;         /* refuse a file from another kind of machine */
    int force;          /* replace files of other settings; for who finds several by itself */
    int mixed;          /* several kinds of machines have a hand in this: set by the caller for the
                           ranks of now, and by restart_load for those before */
    double saved_s;     /* when the last one was written, or the work began */
    int64_t saved_step; /* after which step that was */
};

enum restart_type {
    RESTART_PARAMS,  /* float [n_param], a data set a tensor below `path` */
    RESTART_DOUBLES, /* the same of double */
    RESTART_BUFFERS, /* the buffers behind the parameters of float [n_param + n_buffer] */
    RESTART_I64,
    RESTART_F64,
    RESTART_HISTORY /* struct history, with its columns set */
};

/* One thing to remember. */
struct restart_item {
    enum restart_type type;
    const char *path; /* in the file: a group of tensors or columns, or one number */
    void *at;         /* borrowed; what is written, and what is filled. NULL: nothing */
};

struct restart_state {
    const char *place; /* where the work stands, for messages: "epoch 3 step 17" */
    int n;
    const struct restart_item *item;
};

/** Local. Begin to count seconds and steps from here. */
void restart_begin(struct restart *r, int64_t step);
/** Local. What this rank adds to the stop word of the reduction of a step: 1 if it was asked to
 * stop, and on rank 0 a mark if a restart file is due after `step` steps. */
int64_t restart_word(const struct restart *r, const struct comm *comm, int64_t step);
/** Collective. Do what the sum of the words says: rank 0 writes the state after `step` steps, with
 * the engine's cost. @return IAU_OK; IAU_STOPPED if the job is to end, after a line that says
 * where; or an agreed error */
int restart_obey(struct restart *r, struct engine *e, int64_t word, int64_t step,
                 const struct restart_state *s);
/** Collective. Rank 0 writes the state, with the engine's cost. */
int restart_write(const struct restart *r, const struct engine *e, const struct restart_state *s);
/** Collective. Every rank fills the state, and the engine's cost, from the file. @return IAU_OK,
 * IAU_ERR_IO, IAU_ERR_FORMAT, IAU_ERR_DATA, IAU_ERR_HOSTS or IAU_ERR_MEM, agreed */
int restart_load(struct restart *r, struct engine *e, const struct restart_state *s);
/** Collective. Whether the file to go on from, if there is one, holds that array.
 *  @return IAU_OK, or what reading gave, agreed */
int restart_find(const struct restart *r, const struct comm *comm, const char *path, int *found);
/** Local, rank 0. Remove the file `path` and the older ones beside it. */
int restart_remove(const char *path);

#endif
