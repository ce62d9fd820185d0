/* Something of every sample of a set, brought to rank 0 in row order. */
#ifndef IAU_EVAL_COLLECT_H
#define IAU_EVAL_COLLECT_H

#include "sweep/sweep.h"

struct collect {
    size_t size; /* bytes of a sample */
    /** Local. Write them for a unit's samples, after the forward pass: out [u->n][size]. Threads
     * call at the same time. */
    void (*unit)(void *ctx, int thread, const struct model *m, const struct unit *u, void *out);
    void *ctx;
    const char *name; /* for messages */
};

/** Collective. Run the model at w over the set; booked as evaluation.
 *  @param[out] all  on rank 0 room for set->n samples; ignored elsewhere
 *  @return IAU_OK, IAU_ERR_NUMERIC, naming the model, where a loss is not finite, IAU_ERR_MEM, or
 * what reading samples gave; agreed */
int collect_run(struct engine *e, const float *w, const struct index_set *set,
                const struct collect *c, void *all);

#endif
