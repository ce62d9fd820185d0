/* The one door to MPI: start and stop, agreement on errors, exact sums, and copies between ranks.
 */
#ifndef IAU_PAR_COMM_H
#define IAU_PAR_COMM_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct comm {
    MPI_Comm mpi; /* owned; a duplicate of the world or a part of it, or MPI_COMM_NULL when empty */
    int rank, size;
    int one_host; /* all ranks share memory */
    int is_part;  /* of another communicator, by comm_split */
};

/** Collective over the world. MPI_Init (funneled threads) and a communicator of our own. */
int comm_start(struct comm *c, int *argc, char ***argv);
/** Collective. Release the communicator and MPI_Finalize. */
void comm_stop(struct comm *c);
/** Collective over `c`. Ranks that pass the same color >= 0 become one part, in the order of their
 * ranks in `c`; every rank is in one. Everything in this header then works within the part alone,
 * and parts go their own ways, until all ranks of `c` meet in a call on `c` again: whoever leaves
 * work in a part, with an error or without, goes there first. Lines for people still come from rank
 * 0 of the job only. comm_free releases the part. */
void comm_split(struct comm *part, const struct comm *c, int color);
/** Collective over the part. Fine on an empty one. */
void comm_free(struct comm *part);
/** Collective. Turn per-rank codes into one code known to every rank: IAU_OK only if all pass
 * IAU_OK, else the highest code passed; the lowest rank that raised it prints its message, and its
 * number unless it is 0; the others forget theirs. In a part nothing is printed yet: that rank
 * keeps its message, so that the agreement over the whole that follows prints one line, whatever
 * the number of parts that failed. Who goes on in a part after an error calls error_clear. */
int comm_agree(const struct comm *c, int rc);
/** Collective. The error line that ranks have printed since they last forgot it, of the lowest one
 * that has, on every rank; "" without one. All forget it. */
void comm_error_shown(const struct comm *c, char reason[REASON_CHARS]);
/** Collective. Whether any rank was asked to stop. */
int comm_stop_requested(const struct comm *c);
/** Collective. x[0..n) becomes its sum over ranks, in place, on every rank. Same bits in any order.
 */
void comm_sum_i64(const struct comm *c, int64_t *x, int64_t n);
/** Collective. Element-wise minimum or maximum over ranks, in place. */
void comm_min_i64(const struct comm *c, int64_t *x, int64_t n);
void comm_max_i64(const struct comm *c, int64_t *x, int64_t n);
/** Collective. Copy n bytes from rank `root` to all; any n. */
void comm_bcast(const struct comm *c, void *p, int64_t n_bytes, int root);
/** Collective. Rank 0 receives every rank's `n_local` items of `size` bytes in rank order.
 *  @param out  on rank 0 room for the sum of n_local items; ignored elsewhere */
void comm_gather(const struct comm *c, const void *in, int64_t n_local, size_t size, void *out);
/** Collective. Minimum, mean and maximum of a value over ranks, on every rank. */
void comm_min_mean_max(const struct comm *c, double x, double out[3]);
/** Collective. Wait for all. */
void comm_barrier(const struct comm *c);
/** Collective. Check that `value` is the same on every rank, else IAU_ERR_REPLICA naming the ranks
 * that differ from rank 0. @param what  what the value stands for, with the step, for the message
 */
int comm_check_equal(const struct comm *c, uint64_t value, const char *what);
/* Word between parts that go their own ways: any rank may ring, once, and the others hear it when
 * they listen. */
struct comm_bell {
    const struct comm *comm; /* borrowed; the whole */
    MPI_Request *request;    /* owned, [size] */
    int rung;                /* by this rank */
};

/** Local. @return IAU_OK or IAU_ERR_MEM */
int comm_bell_init(struct comm_bell *b, const struct comm *whole);
/** Local. Ring, unless this rank has. */
void comm_bell_ring(struct comm_bell *b);
/** Local. Whether a ring has arrived, or this rank has rung. */
int comm_bell_rung(const struct comm_bell *b);
/** Collective over the whole. End and release; fine on a bell that is not in use, on all ranks. */
void comm_bell_free(struct comm_bell *b);
/** Local. This host's name, in buf. @return buf */
const char *comm_host(char *buf, size_t size);
/** Local. The MPI library's name and version on one line. */
const char *comm_library(void);

#endif
