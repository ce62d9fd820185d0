/* The samples of training steps: those of this rank's shards, in the order of each epoch, out of
 * memory or streamed from the dataset file, which gives the same samples in the same order.
 * Streamed, a shard has two pools of SHARD_POOL samples in memory: the one in use, and the one that
 * comes next, which is read in the background. Everything here is local. */
#ifndef IAU_DATA_FEED_H
#define IAU_DATA_FEED_H

#include "data/shard.h"
#include "data/split.h"
#include "data/stream.h"

/* One unit's samples: index[0..n) into the rows. */
struct piece {
    const int32_t *index;
    int n;
};

/* A pool of a shard's order: the samples in their order, as places in `rows`. */
struct feed_pool {
    int64_t number; /* counted over epochs; -1: none is here */
    int32_t *slot;  /* owned, [pool_rows] */
    int64_t *row;   /* owned, [pool_rows] where streamed: rows of the file, ascending */
    struct stream_request request;
};

struct feed_shard {
    int64_t n, first;   /* samples, and the place of the first one among the rank's */
    int64_t n_pool;     /* of an epoch */
    int64_t pool_rows;  /* most samples of a pool */
    int64_t base;       /* streamed: place of the first pool in the feed's rows */
    int64_t first_pool; /* that was asked for; -1: none was */
    int shard;          /* its number in the plan */
    int32_t *run;       /* owned, [2][runs]: of an even and of an odd epoch */
    struct shard_order order[2];
    int64_t epoch[2]; /* that `order` is of; -1: none */
    struct feed_pool pool[2];
};

struct feed {
    struct rows rows;    /* of piece.index: all samples, or two pools a shard */
    int64_t n_bytes;     /* of memory for samples */
    int n_shard;         /* own ones */
    struct piece *piece; /* owned, [n_shard] */
    /* The feed's own: */
    const struct shard_plan *plan; /* borrowed */
    const int64_t *row;            /* borrowed; rows of the file of the rank's samples */
    uint64_t seed;
    int is_streamed;
    struct feed_shard *shard; /* owned, [n_shard] */
    int32_t *index;           /* owned, [n_shard][unit] */
    struct rows column;       /* streamed: labels and ids of all samples */
    struct stream stream;
};

/** Open the samples of the plan's shards [shards.begin, shards.end), which may be none, out of the
 * training set `train`. All are loaded where they take `most_bytes` at most.
 *  @param name  for messages
 *  @return IAU_OK, IAU_ERR_CONFIG (no room for pools, or more than 2^31 samples), or as rows_load.
 *  The struct must not move. */
int feed_open(struct feed *f, const struct dataset *d, const struct index_set *train,
              const struct shard_plan *plan, struct range shards, uint64_t seed, int with_ids,
              int64_t most_bytes, const char *name);
/** The units of a step, feed->piece[0..*n_unit); they stay until the next call. Steps come one
 * after another, from any one on. @return IAU_OK, or what reading gave */
int feed_step(struct feed *f, int64_t epoch, int64_t step, int64_t *n_unit);
/** Release; fine on a zeroed or closed feed. */
void feed_close(struct feed *f);

#endif
