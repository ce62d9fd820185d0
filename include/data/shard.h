/* Who works on what: contiguous shares of units over ranks, and the virtual shards that training
 * batches are drawn from. Pure arithmetic, no memory, no communication; nothing here depends on the
 * rank count except `shard_range`. */
#ifndef IAU_DATA_SHARD_H
#define IAU_DATA_SHARD_H

#include <stdint.h>

struct range {
    int64_t begin, end; /* [begin, end) */
};

/** The contiguous share of part `i` of `k` in n things; sizes differ by at most one. */
struct range shard_range(int64_t n, int64_t i, int64_t k);

/* How a training set of n samples is cut for batches of B: S = ceil(B / unit) shards, unit j of
 * every step drawn from shard j. */
struct shard_plan {
    int64_t n;       /* samples of the training set */
    int batch, unit; /* B, and the most samples of a unit */
    int n_shard;     /* S */
    int64_t n_step;  /* steps of an epoch, ceil(n / B) */
    int least;       /* smaller units are left out of their step; 0 or 1: none is */
};

/** n >= 1, batch >= 1, unit >= 1. */
struct shard_plan shard_plan(int64_t n, int batch, int unit);
/** Leave units of fewer than `least` samples out, for which only the last step can have any; it
 * goes where nothing is left of it. n_step may become 0. @return samples an epoch leaves out */
int64_t shard_plan_groups(struct shard_plan *p, int least);
/** Positions in the (sorted) training set that shard j holds: in proportion to the unit sizes. */
struct range shard_positions(const struct shard_plan *p, int j);
/** Places in the shard's own order [0, shard size) that its unit takes in step t; may be empty in
 * the last step. */
struct range shard_unit(const struct shard_plan *p, int j, int64_t t);
/** Samples of step t over all shards: B, or the rest in the last one, without units that are left
 * out. */
int64_t shard_step_samples(const struct shard_plan *p, int64_t t);

/* The order of a shard's samples in an epoch: runs of SHARD_RUN neighbours are shuffled, then the
 * samples inside each pool of 64 runs; keyed by (seed, epoch, shard). Random enough to train, and
 * sequential enough to stream: a pool is what must be in memory at a time. */
enum { SHARD_RUN = 64, SHARD_POOL = 64 * SHARD_RUN };

struct shard_order {
    int64_t n;
    uint64_t seed, stream;
    int64_t n_run, short_run; /* where the run that is shorter than the others comes, or n_run */
    const int32_t *run;       /* borrowed, [n_run] */
};

/** Runs of a shard of n samples. */
static inline int64_t shard_runs(int64_t n)
{
    return (n + SHARD_RUN - 1) / SHARD_RUN;
}
/** Pools of them. */
static inline int64_t shard_pools(int64_t n)
{
    return (n + SHARD_POOL - 1) / SHARD_POOL;
}
/** Shuffle the runs of a shard of n < 2^31 samples. @param run  [shard_runs(n)]; it stays in use */
void shard_order_init(struct shard_order *o, int64_t n, uint64_t seed, int64_t epoch, int shard,
                      int32_t *run);
/** The samples of a pool in their order, as places in [0, n). @return how many: SHARD_POOL, or what
 * is left in the last pool */
int64_t shard_order_pool(const struct shard_order *o, int64_t pool, int32_t *place);

#endif
