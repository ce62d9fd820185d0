/* Reductions that start while a step is still running. The vector is cut into buckets; as soon as
 * all of this rank's units have left a bucket on their way back through the model, its sum sets out
 * around the ring of ranks, and what is under way moves on whenever the main thread leaves a layer.
 * Same bytes as one reduction after the step, since the sums are integers. */
#ifndef IAU_SWEEP_OVERLAP_H
#define IAU_SWEEP_OVERLAP_H

#include "par/ring.h"
#include "sweep/sums.h"

struct overlap {
    struct ring ring;
    int64_t n, size; /* the first n places of the vector, in buckets of up to `size`, from the last
                        place down; what is behind them is reduced last */
    int n_bucket;
    int *n_left;    /* owned, [n_bucket]: units that have left each; one more when it is merged over
                       the threads */
    int n_unit;     /* of the step on this rank */
    int is_running; /* between overlap_begin and overlap_finish */
    int next;       /* bucket to be sent next */
    double seconds; /* that sending took from the step's work */
};

/* A unit on its way back. */
struct leaving {
    struct addend addend;
    int next; /* bucket to be left next */
};

/** Local. Make `s`, of one segment, ready for steps whose reductions overlap. @return IAU_OK or
 * IAU_ERR_MEM */
int overlap_init(struct sums *s, int64_t n, int64_t size, const struct comm *comm);
/** Local. Release, with what `o` points to; fine on NULL. */
void overlap_free(struct overlap *o);
/** Local. Begin a step of n_unit units on this rank; after sums_begin. */
void overlap_begin(struct sums *s, int64_t n_unit);
/** Local. Begin a unit, whose `vector` will be written from the last place down. */
struct leaving overlap_enter(struct sums *s, int thread, const float *vector);
/** Local. Places from `begin` on are final (ctx is the unit's struct leaving): add them to the sums
 * and, on the main thread, send what is ready. */
void overlap_left(void *ctx, int64_t begin);
/** Local. End a unit: what is behind the buckets, and its values. */
void overlap_leave(struct leaving *l, const double *value);
/** Local. On the main thread, when it finds no more units to run: send until the others are done.
 */
void overlap_wait(struct sums *s);
/** Collective. Send the rest and wait for all: the first accumulator holds the sums. */
void overlap_finish(struct sums *s);

static inline int overlap_is_running(const struct sums *s)
{
    return s->overlap && s->overlap->is_running;
}

#endif
