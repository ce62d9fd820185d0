/* Exact sums over ranks that travel while other work goes on, several vectors at a time. Each
 * vector goes around the ring of ranks in chunks: once to be added up, once to be handed out. These
 * are messages of our own, since MPI_Iallreduce is a tree in Open MPI, which moves twice the bytes.
 */
#ifndef IAU_PAR_RING_H
#define IAU_PAR_RING_H

#include "par/comm.h"

/* One vector on its way. */
struct ring_sum {
    int64_t *x; /* borrowed, [n] */
    int64_t n;
    int64_t *arriving; /* room for a chunk that is to be added */
    int step, n_open;  /* of 2 (size - 1) steps; messages of this one that are not through */
};

struct ring {
    const struct comm *comm; /* borrowed */
    int max, n, n_done;      /* sums: at most, started, through */
    struct ring_sum *sum;    /* owned, [max] */
    MPI_Request *request;    /* owned, [max][2]: receiving and sending */
    int *through;            /* owned, [max][2] */
    int64_t *room;           /* owned; of which `used` items are given out */
    int64_t used;
};

/** Local. Room for up to `max` sums at a time over `total` items together. @return IAU_OK or
 * IAU_ERR_MEM */
int ring_init(struct ring *r, int max, int64_t total, const struct comm *comm);
void ring_free(struct ring *r);
/** Starts the sum of x[0..n), n <= 2^30, over ranks, in place; x must not be touched until
 * ring_finish. Every rank starts the same sums in the same order, at times of its own, from its
 * main thread. Does not wait. */
void ring_start(struct ring *r, int64_t *x, int64_t n);
/** Local. Move on what has arrived, from the main thread. Does not wait. */
void ring_progress(struct ring *r);
/** Collective. Wait for all sums; then others can be started. Same bits as comm_sum_i64. */
void ring_finish(struct ring *r);

#endif
