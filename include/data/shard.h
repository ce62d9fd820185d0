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
/** The order of a shard of `n` samples in an epoch: runs of 64 are shuffled, then samples inside
 * each pool of 64 runs; keyed by (seed, epoch, shard). order[0..n) gets places in [0, n). */
void shard_order(int64_t n, uint64_t seed, int64_t epoch, int shard, int32_t *order);

#endif
