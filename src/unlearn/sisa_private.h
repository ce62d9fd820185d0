/* What SISA's plan, its files and its training share. */
#ifndef IAU_UNLEARN_SISA_PRIVATE_H
#define IAU_UNLEARN_SISA_PRIVATE_H

#include "train/restart.h"

/** Local. What a slice of a shard is trained with. */
struct train_opts sisa_train_opts(const struct train_opts *t, int64_t shard, int64_t slice);

/* The files of a slice of a shard: FOLDER/NAME.shard_K.h5 beside FOLDER/NAME.restart.h5, or
 * NAME.shard_K.slice_R.h5 where there are several slices. */
struct sisa_file {
    char *name, *path, *restart_path; /* owned */
};

/** Local. @param restart_path  of the ensemble @return IAU_OK or IAU_ERR_MEM */
int sisa_file_init(struct sisa_file *f, const char *restart_path, const struct train_opts *t,
                   int64_t shard, int64_t slice);
void sisa_file_free(struct sisa_file *f);
/** Local. Whether a file is there with the settings of `r`; others are IAU_ERR_EXISTS, or, with
 * r->force, not there. */
int sisa_file_find(const struct restart *r, const char *path, uint8_t *is_there);
/** Collective over the engine's ranks. Read the file of a slice that is done into w and `history`,
 * with what it has cost, or write it: a restart file with nothing left to do, so that it is checked
 * like one. @param like  the ensemble's; `mixed` may be set */
int sisa_file_exchange(struct engine *e, struct restart *like, const struct sisa_file *f, float *w,
                       struct history *history, int writes);

#endif
