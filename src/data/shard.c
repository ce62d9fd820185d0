/* Contiguous shares, and the virtual shards of training: sizes, places of units, and the order of
 * an epoch. */
#include "data/shard.h"

#include "core/error.h"
#include "core/rng.h"

enum { RUN_SAMPLES = 64, POOL_RUNS = 64, POOL_SAMPLES = RUN_SAMPLES * POOL_RUNS };

struct range shard_range(int64_t n, int64_t i, int64_t k)
{
    REQUIRE(n >= 0 && k >= 1 && i >= 0 && i < k);
    int64_t base = n / k, extra = n % k;
    int64_t begin = i * base + (i < extra ? i : extra);
    return (struct range){begin, begin + base + (i < extra)};
}

struct shard_plan shard_plan(int64_t n, int batch, int unit)
{
    REQUIRE(n >= 1 && batch >= 1 && unit >= 1);
    struct shard_plan p = {.n = n, .batch = batch, .unit = unit};
    p.n_shard = batch / unit + (batch % unit > 0);
    p.n_step = n / batch + (n % batch > 0);
    return p;
}

/* The n / B full steps take the same from shard j each, and the rest of n is dealt over the shards
 * like a smaller batch; shard j holds just what its units take. Giving the first shares the extra
 * samples, as shard_range does, keeps each unit of the rest within the size of a full one. */
struct range shard_positions(const struct shard_plan *p, int j)
{
    int64_t full = p->n / p->batch;
    struct range unit = shard_range(p->batch, j, p->n_shard);
    struct range rest = shard_range(p->n % p->batch, j, p->n_shard);
    return (struct range){full * unit.begin + rest.begin, full * unit.end + rest.end};
}

/* Samples that step t has to deal out. */
static int64_t step_length(const struct shard_plan *p, int64_t t)
{
    int64_t left = p->n - t * p->batch;
    return left < p->batch ? left : p->batch;
}

struct range shard_unit(const struct shard_plan *p, int j, int64_t t)
{
    REQUIRE(t >= 0 && t < p->n_step);
    struct range unit = shard_range(p->batch, j, p->n_shard);
    struct range taken = shard_range(step_length(p, t), j, p->n_shard);
    int64_t begin = t * (unit.end - unit.begin), n = taken.end - taken.begin;
    return (struct range){begin, begin + (n < p->least ? 0 : n)};
}

int64_t shard_step_samples(const struct shard_plan *p, int64_t t)
{
    int64_t n = step_length(p, t), sum = 0;
    if (p->least <= 1 || n / p->n_shard >= p->least)
        return n;
    for (int j = 0; j < p->n_shard; j++) {
        struct range unit = shard_unit(p, j, t);
        sum += unit.end - unit.begin;
    }
    return sum;
}

int64_t shard_plan_groups(struct shard_plan *p, int least)
{
    int64_t all = 0;
    p->least = least;
    while (p->n_step > 0 && shard_step_samples(p, p->n_step - 1) == 0)
        p->n_step--;
    for (int64_t t = 0; t < p->n_step; t++)
        all += shard_step_samples(p, t);
    return p->n - all;
}

/* order[0..n) = the places run by run, the runs in the order of the identifiers that stand in
 * order[0..n_run). Filled from the back: every run has a sample, so no identifier is overwritten
 * before it is read. */
static void expand_runs(int64_t n, int64_t n_run, int32_t *order)
{
    int64_t end = n;
    for (int64_t k = n_run - 1; k >= 0; k--) {
        int64_t first = (int64_t)order[k] * RUN_SAMPLES;
        int64_t count = n - first < RUN_SAMPLES ? n - first : RUN_SAMPLES;
        end -= count;
        for (int64_t i = 0; i < count; i++)
            order[end + i] = (int32_t)(first + i);
    }
}

void shard_order(int64_t n, uint64_t seed, int64_t epoch, int shard, int32_t *order)
{
    /* The ranges in which the three numbers below fit into one stream. */
    REQUIRE(n >= 0 && n <= INT32_MAX && epoch >= 0 && epoch < 1 << 24 && shard >= 0 &&
            shard < 1 << 20);
    uint64_t stream = (uint64_t)epoch << 40 | (uint64_t)shard << 20;
    int64_t n_run = (n + RUN_SAMPLES - 1) / RUN_SAMPLES;
    struct rng runs = {.seed = seed, .purpose = RNG_ORDER, .stream = stream};
    for (int64_t k = 0; k < n_run; k++)
        order[k] = (int32_t)k;
    rng_permute_i32(&runs, order, n_run);
    expand_runs(n, n_run, order);
    for (int64_t done = 0; done < n; done += POOL_SAMPLES) {
        int64_t count = n - done < POOL_SAMPLES ? n - done : POOL_SAMPLES;
        struct rng pool = {.seed = seed,
                           .purpose = RNG_SHUFFLE,
                           .stream = stream | (uint64_t)(done / POOL_SAMPLES)};
        rng_permute_i32(&pool, order + done, count);
    }
}
