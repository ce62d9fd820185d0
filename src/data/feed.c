/* Training samples: pools of each shard, prepared when their turn comes, and where they are
 * streamed read while the pool before is in use. */
#include "data/feed.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

/* --- opening */

/* Memory for n samples: as stored, and labels, and ids. */
static int64_t bytes_of(const struct dataset *d, int64_t n, int with_ids)
{
    return n *
           (int64_t)(dataset_sample_bytes(d) + sizeof(int32_t) + (with_ids ? sizeof(int64_t) : 0));
}

static int allocate_shard(struct feed *f, struct feed_shard *s)
{
    s->run = mem_alloc(2 * shard_runs(s->n), sizeof *s->run);
    if (!s->run)
        return FAIL(IAU_ERR_MEM, "no memory for the order of %lld samples", (long long)s->n);
    for (int half = 0; half < 2; half++) {
        struct feed_pool *p = &s->pool[half];
        p->number = s->epoch[half] = -1;
        p->slot = mem_alloc(s->pool_rows, sizeof *p->slot);
        p->row = f->is_streamed ? mem_alloc(s->pool_rows, sizeof *p->row) : NULL;
        if (!p->slot || (f->is_streamed && !p->row))
            return FAIL(IAU_ERR_MEM, "no memory for the order of %lld samples", (long long)s->n);
    }
    return IAU_OK;
}

static int allocate(struct feed *f, struct range shards)
{
    f->n_shard = (int)(shards.end - shards.begin);
    f->shard = mem_alloc(f->n_shard, sizeof *f->shard);
    f->piece = mem_alloc(f->n_shard, sizeof *f->piece);
    f->index = mem_alloc((int64_t)f->n_shard * f->plan->unit, sizeof *f->index);
    if (!f->shard || !f->piece || !f->index)
        return FAIL(IAU_ERR_MEM, "no memory for %d shards", f->n_shard);
    int64_t first = shard_positions(f->plan, (int)shards.begin).begin, base = 0;
    for (int j = 0; j < f->n_shard; j++) {
        struct feed_shard *s = &f->shard[j];
        struct range r = shard_positions(f->plan, (int)shards.begin + j);
        s->shard = (int)shards.begin + j;
        s->n = r.end - r.begin;
        s->first = r.begin - first;
        s->n_pool = shard_pools(s->n);
        s->pool_rows = s->n < SHARD_POOL ? s->n : SHARD_POOL;
        s->base = base;
        base += 2 * s->pool_rows;
        s->first_pool = -1;
        int rc = allocate_shard(f, s);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static long long mib(int64_t bytes)
{
    return (long long)((bytes + 1048575) >> 20);
}

/* Room for two pools a shard, labels and ids of all samples, and the thread that reads. */
static int open_stream(struct feed *f, const struct dataset *d, enum dataset_part part, int64_t n,
                       int with_ids, int64_t most_bytes, const char *name)
{
    int rc = IAU_OK;
    const struct feed_shard *last = &f->shard[f->n_shard - 1];
    int64_t room = last->base + 2 * last->pool_rows, in_memory = f->n_bytes;
    f->n_bytes = bytes_of(d, room, with_ids) + n * (with_ids ? 12 : 4);
    if (f->n_bytes > most_bytes)
        TRY(FAIL(
            IAU_ERR_CONFIG,
            "%s: data.memory_mib leaves a rank %lld MiB for %d shards of the training set, but "
            "they take %lld in memory, and %lld streamed: two pools of up to %d samples each; "
            "allow more, or use more ranks",
            name, (long long)most_bytes >> 20, f->n_shard, mib(in_memory), mib(f->n_bytes),
            SHARD_POOL));
    TRY(rows_load_columns(&f->column, d, part, f->row, n, with_ids));
    f->rows = (struct rows){.part = part, .n = room, .sample_bytes = f->column.sample_bytes};
    f->rows.x = mem_alloc(room, f->rows.sample_bytes);
    f->rows.label = mem_alloc(room, sizeof *f->rows.label);
    f->rows.id = with_ids ? mem_alloc(room, sizeof *f->rows.id) : NULL;
    if (!f->rows.x || !f->rows.label || (with_ids && !f->rows.id))
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld samples", (long long)room));
    TRY(stream_open(&f->stream, d, part));
out:
    return rc;
}

int feed_open(struct feed *f, const struct dataset *d, const struct index_set *train,
              const struct shard_plan *plan, struct range shards, uint64_t seed, int with_ids,
              int64_t most_bytes, const char *name)
{
    int rc = IAU_OK;
    *f = (struct feed){.plan = plan, .seed = seed};
    if (shards.begin == shards.end)
        return IAU_OK;
    int64_t begin = shard_positions(plan, (int)shards.begin).begin;
    int64_t n = shard_positions(plan, (int)shards.end - 1).end - begin;
    if (n > INT32_MAX) /* places are int32 */
        return FAIL(IAU_ERR_CONFIG,
                    "%s: %lld training samples on one rank, which is for up to %d: use more ranks, "
                    "or a smaller train.unit so that more ranks find work",
                    name, (long long)n, INT32_MAX);
    f->row = train->row + begin;
    f->n_bytes = bytes_of(d, n, with_ids);
    f->is_streamed = f->n_bytes > most_bytes;
    TRY(allocate(f, shards));
    if (f->is_streamed)
        TRY(open_stream(f, d, train->part, n, with_ids, most_bytes, name));
    else if (with_ids)
        TRY(rows_load_with_ids(&f->rows, d, train->part, f->row, n));
    else
        TRY(rows_load(&f->rows, d, train->part, f->row, n));
out:
    if (rc != IAU_OK)
        feed_close(f);
    return rc;
}

void feed_close(struct feed *f)
{
    stream_close(&f->stream); /* before what it writes to */
    for (int j = 0; f->shard && j < f->n_shard; j++) {
        struct feed_shard *s = &f->shard[j];
        free(s->run);
        for (int half = 0; half < 2; half++) {
            free(s->pool[half].slot);
            free(s->pool[half].row);
        }
    }
    free(f->shard);
    free(f->piece);
    free(f->index);
    rows_free(&f->rows);
    rows_free(&f->column);
    *f = (struct feed){0};
}

/* --- pools */

static const struct shard_order *order_of(struct feed *f, struct feed_shard *s, int64_t epoch)
{
    int half = (int)(epoch % 2);
    if (s->epoch[half] != epoch) {
        shard_order_init(&s->order[half], s->n, f->seed, epoch, s->shard,
                         s->run + half * shard_runs(s->n));
        s->epoch[half] = epoch;
    }
    return &s->order[half];
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Ask for the samples at places slot[0..n) of a shard, and let slot say where they will be. The
 * file is read in ascending order. */
static void ask(struct feed *f, struct feed_shard *s, struct feed_pool *p, int64_t n)
{
    int64_t sorted[SHARD_POOL]; /* places, and below them what they are in the pool's order */
    int64_t base = s->base + (p - s->pool) * s->pool_rows;
    for (int64_t i = 0; i < n; i++)
        sorted[i] = p->slot[i] * (int64_t)SHARD_POOL + i;
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    for (int64_t i = 0; i < n; i++) {
        int64_t place = s->first + sorted[i] / SHARD_POOL;
        p->slot[sorted[i] % SHARD_POOL] = (int32_t)(base + i);
        p->row[i] = f->row[place];
        f->rows.label[base + i] = f->column.label[place];
        if (f->rows.id)
            f->rows.id[base + i] = f->column.id[place];
    }
    p->request.row = p->row;
    p->request.n = n;
    p->request.x = (char *)f->rows.x + (size_t)base * f->rows.sample_bytes;
    /* Among two epochs' worth of pools every sample comes up. */
    p->request.is_known = p->number >= s->first_pool + 2 * s->n_pool;
    stream_ask(&f->stream, &p->request);
}

/* Have a pool, counted over epochs, in its half: the samples in memory, or on their way. */
static void prepare(struct feed *f, struct feed_shard *s, int64_t number)
{
    struct feed_pool *p = &s->pool[number % 2];
    if (p->number == number)
        return;
    if (p->request.is_open) /* left over from other steps */
        stream_drop(&f->stream, &p->request);
    if (s->first_pool < 0)
        s->first_pool = number;
    int64_t n = shard_order_pool(order_of(f, s, number / s->n_pool), number % s->n_pool, p->slot);
    p->number = number;
    if (f->is_streamed)
        ask(f, s, p, n);
    for (int64_t i = 0; i < n && !f->is_streamed; i++)
        p->slot[i] += (int32_t)s->first;
}

/* The samples of a pool, to be used now. */
static int bring(struct feed *f, struct feed_shard *s, int64_t number)
{
    struct feed_pool *p = &s->pool[number % 2];
    prepare(f, s, number);
    int rc = p->request.is_open ? stream_wait(&f->stream, &p->request) : IAU_OK;
    if (rc != IAU_OK)
        p->number = -1;
    return rc;
}

/* --- steps */

/* The unit [begin, end) of a shard's order in an epoch. The pool before its first sample has
 * served. */
static int fill_piece(struct feed *f, struct feed_shard *s, int64_t epoch, struct range unit,
                      int32_t *index)
{
    int64_t first = epoch * s->n_pool, last = first + (unit.end - 1) / SHARD_POOL;
    int rc = IAU_OK;
    for (int64_t k = first + unit.begin / SHARD_POOL; k <= last; k++)
        TRY(bring(f, s, k));
    for (int64_t i = unit.begin; i < unit.end; i++)
        index[i - unit.begin] = s->pool[(first + i / SHARD_POOL) % 2].slot[i % SHARD_POOL];
    if (f->is_streamed && unit.begin / SHARD_POOL == (unit.end - 1) / SHARD_POOL)
        prepare(f, s, last + 1);
out:
    return rc;
}

int feed_step(struct feed *f, int64_t epoch, int64_t step, int64_t *n_unit)
{
    *n_unit = 0;
    for (int j = 0; j < f->n_shard; j++) {
        struct range unit = shard_unit(f->plan, f->shard[j].shard, step);
        int32_t *index = f->index + (int64_t)j * f->plan->unit;
        if (unit.end == unit.begin)
            continue;
        int rc = fill_piece(f, &f->shard[j], epoch, unit, index);
        if (rc != IAU_OK)
            return rc;
        f->piece[(*n_unit)++] = (struct piece){index, (int)(unit.end - unit.begin)};
    }
    return IAU_OK;
}
