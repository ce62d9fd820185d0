/* SISA: sharded, isolated, sliced and aggregated training (Bourtoule and others, "Machine
 * unlearning", IEEE S&P 2021). An ensemble whose models see a shard of the training set each, so
 * that forgetting retrains those alone whose shards hold a forgotten sample. */
#ifndef IAU_UNLEARN_SISA_H
#define IAU_UNLEARN_SISA_H

#include "unlearn/method.h"

/* Which sample is where, and what is to be trained. Seed and sample id alone say where a sample is,
 * so that it stays there whoever else is forgotten. */
struct sisa_plan {
    const struct train_opts *train; /* borrowed */
    const struct index_set *set;    /* borrowed */
    int32_t *place;  /* owned, [set->n]: shard * slices + slice of each of its samples */
    int64_t *first;  /* owned, [shards]: slice to train from on; `slices`: none */
    int64_t n_shard; /* with something to train */
    int64_t n_state; /* models to be trained: one a slice */
};

/** Local. @param set  what is trained on @param forget  what was in it besides when the ensemble
 * that is there was trained: only what it affects is to be trained; NULL: there is none, all is
 *  @return IAU_OK, IAU_ERR_MEM, or what reading ids gave; `p` is safe to free */
int sisa_plan_init(struct sisa_plan *p, const struct dataset *d, const struct train_opts *train,
                   const struct index_set *set, const struct index_set *forget);
void sisa_plan_free(struct sisa_plan *p);
/** Local. IAU_ERR_CONFIG, naming `name`, where a shard's samples do not suffice to train on. */
int sisa_plan_check(const struct sisa_plan *p, const struct model *m, const char *name);
/** Local. What it takes, without validation. */
struct unlearn_load sisa_plan_load(const struct sisa_plan *p);
/** Local. Bytes of disk it takes at most, with its file and the files on the way there. */
double sisa_plan_bytes(const struct sisa_plan *p, const struct model *m);
/** Local. The samples of a shard's slices up to `slice`. @return IAU_OK or IAU_ERR_MEM */
int sisa_plan_set(const struct sisa_plan *p, int64_t shard, int64_t slice, struct index_set *out);

/* Training of an ensemble, or of a part of it. */
struct sisa {
    struct engine *engine;               /* borrowed; its cost grows; of all ranks */
    const struct train_opts *train;      /* borrowed */
    const struct index_set *set, *valid; /* borrowed */
    const struct index_set *forget;      /* borrowed; as for the plan; goes with w */
    const float *w; /* the ensemble that is there, [shards][slices][n_param + n_buffer] */
    struct restart
        *restart;     /* borrowed; its path names the files of shards, its settings are theirs */
    const char *name; /* for messages */
};

/** Collective. Shards are trained side by side by groups of ranks; the result does not depend on
 * their number. Each model that is done has a file of its own beside the restart file, to go on
 * with, until sisa_remove. o->w is as w above, and o->history has a row an epoch of what was
 * trained. Seconds are those of a rank's own shards.
 *  @return as trainer_run */
int sisa_run(struct outcome *o, const struct sisa *s);
/** Local, rank 0. Remove the files of shards beside the restart file `path`. */
int sisa_remove(const char *path, const struct train_opts *train);

#endif
