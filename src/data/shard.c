/* Contiguous shares, and the virtual shards of training: sizes, places of units, and the order of
 * an epoch. */
#include "data/shard.h"

#include "core/error.h"
#include "core/rng.h"

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

void shard_order_init(struct shard_order *o, int64_t n, uint64_t seed, int64_t epoch, int shard,
                      int32_t *run)
{
    /* The ranges in which the three numbers below fit into one stream. */
    REQUIRE(n >= 0 && n <= INT32_MAX && epoch >= 0 && epoch < 1 << 24 && shard >= 0 &&
            shard < 1 << 20);
    int64_t n_run = shard_runs(n);
    *o = (struct shard_order){.n = n,
                              .seed = seed,
                              .stream = (uint64_t)epoch << 40 | (uint64_t)shard << 20,
                              .n_run = n_run,
                              .short_run = n_run,
                              .run = run};
    struct rng runs = {.seed = seed, .purpose = RNG_ORDER, .stream = o->stream};
    for (int64_t k = 0; k < n_run; k++)
        run[k] = (int32_t)k;
    rng_permute_i32(&runs, run, n_run);
    for (int64_t k = 0; k < n_run && n % SHARD_RUN; k++)
        if (run[k] == n_run - 1)
            o->short_run = k;
}

/* Where sample `at` of the runs one after another lies: behind the short run all is shifted by what
 * it lacks. */
static int64_t place_at(const struct shard_order *o, int64_t at)
{
    int64_t length = o->n % SHARD_RUN, short_end = o->short_run * SHARD_RUN + length;
    if (o->short_run < o->n_run && at >= short_end)
        at += SHARD_RUN - length;
    return (int64_t)o->run[at / SHARD_RUN] * SHARD_RUN + at % SHARD_RUN;
}

int64_t shard_order_pool(const struct shard_order *o, int64_t pool, int32_t *place)
{
    int64_t first = pool * SHARD_POOL, count = o->n - first;
    REQUIRE(pool >= 0 && count > 0);
    count = count < SHARD_POOL ? count : SHARD_POOL;
    for (int64_t i = 0; i < count; i++)
        place[i] = (int32_t)place_at(o, first + i);
    struct rng mix = {
        .seed = o->seed, .purpose = RNG_SHUFFLE, .stream = o->stream | (uint64_t)pool};
    rng_permute_i32(&mix, place, count);
    return count;
}
