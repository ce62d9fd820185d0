/* Batches: a plan, and the feed of this rank's shards. */
#include "train/batches.h"

#include "core/error.h"
#include "core/log.h"

int batches_plan(struct shard_plan *plan, int64_t *left_out, const char *name, int groups,
                 const struct batch_opts *opts, int64_t n)
{
    *plan = shard_plan(n, (int)opts->batch, (int)opts->unit);
    *left_out = groups ? shard_plan_groups(plan, GROUP_MIN_SAMPLES) : 0;
    if (plan->n_step == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: %lld samples in batches of %lld leave no group of %d samples, which batch "
                    "norm needs to train",
                    name, (long long)n, (long long)opts->batch, GROUP_MIN_SAMPLES);
    return IAU_OK;
}

int batches_have_groups(const struct batch_opts *opts, int64_t n)
{
    struct shard_plan plan = shard_plan(n, (int)opts->batch, (int)opts->unit);
    shard_plan_groups(&plan, GROUP_MIN_SAMPLES);
    return plan.n_step > 0;
}

static int open_feed(struct batches *b, const struct index_set *set, const struct batch_opts *opts,
                     const char *name)
{
    struct engine *e = b->engine;
    int on = augment_is_on(&opts->augment), rc;
    struct range shards = shard_range(b->plan.n_shard, e->comm->rank, e->comm->size);
    rc = feed_open(&b->feed, e->dataset, set, &b->plan, shards, (uint64_t)opts->seed,
                   on || b->drops || opts->with_ids, engine_memory_left(e), name);
    e->used_bytes += b->feed.n_bytes;
    b->augment.id = b->feed.rows.id;
    if (rc == IAU_OK && on)
        rc = engine_augment(e);
    return rc;
}

int batches_open(struct batches *b, struct engine *e, const struct index_set *set,
                 const struct batch_opts *opts, const char *name)
{
    int rc = IAU_OK, groups = model_has_groups(e->model) && opts->norm == NORM_GROUP;
    int64_t left_out;
    *b = (struct batches){.engine = e,
                          .augment = {.opts = opts->augment, .seed = (uint64_t)opts->seed},
                          .norm = opts->norm,
                          .drops = model_has_dropout(e->model) && opts->drops,
                          .dropout = {.seed = (uint64_t)opts->seed}};
    TRY(comm_agree(e->comm, batches_plan(&b->plan, &left_out, name, groups, opts, set->n)));
    if (left_out)
        log_line("%s  leaves %lld of %lld samples out of each epoch, others each time: batch norm "
                 "trains on groups of at least %d",
                 name, (long long)left_out, (long long)set->n, GROUP_MIN_SAMPLES);
    if (e->comm->size > b->plan.n_shard)
        log_line("%s  training uses %d of %d ranks: batch %lld, unit %lld", name, b->plan.n_shard,
                 e->comm->size, (long long)opts->batch, (long long)opts->unit);
    TRY(comm_agree(e->comm, augment_check(&opts->augment, e->dataset)));
    TRY(comm_agree(e->comm, open_feed(b, set, opts, name)));
out:
    return rc;
}

struct work batches_work(struct batches *b, int64_t epoch, int64_t step,
                         const struct objective *objective)
{
    struct engine *e = b->engine;
    int64_t n_unit;
    double start = timer_now_s();
    int rc = feed_step(&b->feed, epoch, step, &n_unit);
    engine_fail(e, rc);
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
    b->augment.epoch = b->dropout.epoch = epoch;
    return (struct work){.rows = &b->feed.rows,
                         .n_unit = rc == IAU_OK ? n_unit : 0,
                         .piece = b->feed.piece,
                         .augment = augment_is_on(&b->augment.opts) ? &b->augment : NULL,
                         .dropout = b->drops ? &b->dropout : NULL,
                         .norm = b->norm,
                         .objective = objective};
}

void batches_close(struct batches *b)
{
    if (b->engine)
        b->engine->used_bytes -= b->feed.n_bytes;
    feed_close(&b->feed);
    *b = (struct batches){0};
}
