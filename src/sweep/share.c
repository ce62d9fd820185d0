/* Shares of index sets: in memory as a whole, or streamed window by window. */
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/shard.h"
#include "share_stream.h"

/* Two windows of so many bytes keep a reader and the workers busy. */
enum { WINDOW_BYTES = 8 << 20 };

/* --- windows */

static int64_t window_length(const struct share_stream *s, int64_t window)
{
    int64_t left = s->n - window * s->window_rows;
    return left < 0 ? 0 : left < s->window_rows ? left : s->window_rows;
}

/* Ask for the next window that nobody has asked for yet. */
static void ask_window(struct share_stream *s)
{
    int64_t length = window_length(s, s->asked), half = s->asked % 2;
    if (length == 0)
        return;
    s->request[half] = (struct stream_request){
        .row = s->row + s->asked * s->window_rows,
        .n = length,
        .x = s->x + (size_t)(half * s->window_rows) * s->sample_bytes,
        .is_known = s->asked < s->n_known,
    };
    stream_ask(&s->stream, &s->request[half]);
    s->asked++;
}

void share_stream_start(struct share_stream *s)
{
    for (int half = 0; half < 2; half++)
        if (s->request[half].is_open) /* of a sweep that failed */
            stream_drop(&s->stream, &s->request[half]);
    s->now = -1;
    s->asked = 0;
    ask_window(s);
}

int share_stream_next(struct share_stream *s, struct range *window)
{
    s->now++;
    *window = (struct range){s->now * s->window_rows, s->now * s->window_rows};
    int64_t length = window_length(s, s->now);
    if (length == 0)
        return IAU_OK;
    int rc = stream_wait(&s->stream, &s->request[s->now % 2]);
    if (rc != IAU_OK)
        return rc;
    s->n_known = s->now >= s->n_known ? s->now + 1 : s->n_known;
    ask_window(s); /* into the half that was in use until now */
    window->end += length;
    return IAU_OK;
}

/* --- shares */

int64_t engine_memory_left(const struct engine *e)
{
    int64_t left = e->memory_bytes - e->used_bytes;
    return e->memory_bytes == 0 ? INT64_MAX : left > 0 ? left : 0;
}

static int open_stream(struct share *s, struct engine *e, const int64_t *row, int64_t n)
{
    int64_t left = engine_memory_left(e), bytes = (int64_t)s->rows.sample_bytes;
    int64_t window = left / 2 < WINDOW_BYTES ? left / 2 : WINDOW_BYTES;
    struct share_stream *stream = s->stream = mem_alloc(1, sizeof *stream);
    if (!stream)
        return FAIL(IAU_ERR_MEM, "no memory to stream samples");
    stream->row = row;
    stream->n = n;
    stream->sample_bytes = s->rows.sample_bytes;
    stream->window_rows = window / (bytes * e->unit) * e->unit; /* at least a unit, come what may */
    stream->window_rows = stream->window_rows < e->unit ? e->unit : stream->window_rows;
    stream->x = mem_alloc(2 * stream->window_rows, s->rows.sample_bytes);
    if (!stream->x)
        return FAIL(IAU_ERR_MEM, "no memory for %lld samples",
                    (long long)(2 * stream->window_rows));
    s->n_bytes = 2 * stream->window_rows * bytes + n * (int64_t)sizeof(int32_t);
    return stream_open(&stream->stream, e->dataset, s->rows.part);
}

static int load(struct share *s, struct engine *e, enum dataset_part part, const int64_t *row,
                int64_t n)
{
    s->n_bytes = n * (int64_t)(dataset_sample_bytes(e->dataset) + sizeof(int32_t));
    if (s->n_bytes <= engine_memory_left(e))
        return rows_load(&s->rows, e->dataset, part, row, n);
    int rc = rows_load_columns(&s->rows, e->dataset, part, row, n, 0);
    return rc == IAU_OK ? open_stream(s, e, row, n) : rc;
}

int share_load(struct share *s, struct engine *e, const struct index_set *set)
{
    int64_t n_unit = (set->n + e->unit - 1) / e->unit;
    struct range units = shard_range(n_unit, e->comm->rank, e->comm->size);
    int64_t begin = units.begin * e->unit, end = units.end * e->unit;
    begin = begin < set->n ? begin : set->n;
    end = end < set->n ? end : set->n;
    *s = (struct share){.n_global = set->n, .first = begin};
    int rc = load(s, e, set->part, set->row + begin, end - begin);
    s->engine = e;
    e->used_bytes += s->n_bytes;
    return comm_agree(e->comm, rc);
}

void share_free(struct share *s)
{
    if (s->stream) {
        stream_close(&s->stream->stream);
        free(s->stream->x);
    }
    if (s->engine)
        s->engine->used_bytes -= s->n_bytes;
    free(s->stream);
    rows_free(&s->rows);
    *s = (struct share){0};
}

struct work share_work(const struct engine *e, const struct share *s)
{
    return (struct work){.rows = &s->rows,
                         .n_unit = (s->rows.n + e->unit - 1) / e->unit,
                         .n = s->rows.n,
                         .stream = s->stream};
}
