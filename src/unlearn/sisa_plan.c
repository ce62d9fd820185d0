/* Shards and slices, and which of them a request affects. */
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "sisa_private.h"
#include "unlearn/sisa.h"

enum { STREAM_PLACE, STREAM_SEED };

static int32_t place_of(const struct train_opts *t, int64_t id)
{
    struct rng r = {(uint64_t)t->seed, RNG_SISA, STREAM_PLACE};
    uint32_t word[4];
    rng_words_id(&r, id, word);
    int64_t shard = (int64_t)((uint64_t)t->shards * word[0] >> 32),
            slice = (int64_t)((uint64_t)t->slices * word[1] >> 32);
    return (int32_t)(shard * t->slices + slice);
}

struct train_opts sisa_train_opts(const struct train_opts *t, int64_t shard, int64_t slice)
{
    struct train_opts own = *t;
    struct rng r = {(uint64_t)t->seed, RNG_SISA, STREAM_SEED};
    uint32_t word[4];
    rng_words(&r, (uint64_t)(shard * t->slices + slice), word);
    own.seed = word[0];
    own.epochs = (2 * t->epochs + t->slices) / (t->slices + 1);
    own.gradient_sum = 0;
    return own;
}

static void find_first(struct sisa_plan *p, const int64_t *id, const struct index_set *forget)
{
    const struct train_opts *t = p->train;
    for (int64_t k = 0; k < t->shards; k++)
        p->first[k] = forget ? t->slices : 0;
    for (int64_t i = 0; forget && i < forget->n; i++) {
        int32_t place = place_of(t, id[forget->row[i]]);
        int64_t *first = &p->first[place / t->slices], slice = place % t->slices;
        *first = slice < *first ? slice : *first;
    }
    for (int64_t k = 0; k < t->shards; k++) {
        p->n_shard += p->first[k] < t->slices;
        p->n_state += t->slices - p->first[k];
    }
}

int sisa_plan_init(struct sisa_plan *p, const struct dataset *d, const struct train_opts *train,
                   const struct index_set *set, const struct index_set *forget)
{
    int rc = IAU_OK;
    int64_t *id = NULL;
    *p = (struct sisa_plan){.train = train, .set = set};
    p->place = mem_alloc(set->n, sizeof *p->place);
    p->first = mem_alloc(train->shards, sizeof *p->first);
    if (!p->place || !p->first)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the shards of %lld samples", (long long)set->n));
    TRY(dataset_read_ids(d, set->part, &id));
    for (int64_t i = 0; i < set->n; i++)
        p->place[i] = place_of(train, id[set->row[i]]);
    find_first(p, id, forget);
out:
    free(id);
    return rc;
}

void sisa_plan_free(struct sisa_plan *p)
{
    free(p->place);
    free(p->first);
    *p = (struct sisa_plan){0};
}

static int is_in(const struct sisa_plan *p, int64_t i, int64_t shard, int64_t slice)
{
    int64_t slices = p->train->slices;
    return p->place[i] / slices == shard && p->place[i] % slices <= slice;
}

static int64_t count(const struct sisa_plan *p, int64_t shard, int64_t slice)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->set->n; i++)
        n += is_in(p, i, shard, slice);
    return n;
}

int sisa_plan_set(const struct sisa_plan *p, int64_t shard, int64_t slice, struct index_set *out)
{
    int64_t n = count(p, shard, slice);
    *out = (struct index_set){.part = p->set->part, .row = mem_alloc(n, sizeof *out->row)};
    if (!out->row)
        return FAIL(IAU_ERR_MEM, "no memory for a shard of %lld samples", (long long)n);
    for (int64_t i = 0; i < p->set->n; i++)
        if (is_in(p, i, shard, slice))
            out->row[out->n++] = p->set->row[i];
    return IAU_OK;
}

int sisa_plan_check(const struct sisa_plan *p, const struct model *m, const char *name)
{
    const struct train_opts *t = p->train;
    struct batch_opts batch = trainer_batch_opts(t);
    struct shard_plan plan;
    int64_t left_out;
    for (int64_t k = 0; k < t->shards; k++)
        if (p->first[k] < t->slices) { /* later slices have more */
            int64_t n = count(p, k, p->first[k]);
            if (n == 0)
                return FAIL(IAU_ERR_CONFIG,
                            "%s: train.shards = %lld, train.slices = %lld: of %lld samples, shard "
                            "%lld has none to begin with; use fewer",
                            name, (long long)t->shards, (long long)t->slices, (long long)p->set->n,
                            (long long)k);
            int rc = batches_plan(&plan, &left_out, name, model_has_groups(m), &batch, n);
            if (rc != IAU_OK)
                return rc;
        }
    return IAU_OK;
}

struct unlearn_load sisa_plan_load(const struct sisa_plan *p)
{
    const struct train_opts *t = p->train;
    struct unlearn_load load = {0, 0};
    for (int64_t k = 0; k < t->shards; k++)
        for (int64_t r = p->first[k]; r < t->slices; r++) {
            double n = (double)count(p, k, r);
            load.rows += r == t->slices - 1 ? n : 0;
            load.gradients += n * (double)sisa_train_opts(t, k, r).epochs;
        }
    load.gradients *= t->restriction.alpha != 0 ? 3 : 1;
    return load;
}

double sisa_plan_bytes(const struct sisa_plan *p, const struct model *m)
{
    const struct train_opts *t = p->train;
    enum { RESTART_STATES = 4 }; /* model, best one, an optimizer's two moments */
    return 4.0 * (double)model_state_floats(m) *
           (double)(t->shards * t->slices + p->n_state + RESTART_STATES * p->n_shard);
}
