/* Sums around the ring of ranks. In step k, counted from 0, rank r sends chunk r - k to its right
 * neighbour and receives chunk r - k - 1 from its left one, chunks modulo the number of ranks P. In
 * the first P - 1 steps what arrives is added, so that each chunk ends up whole on one rank; in the
 * others it is copied. A vector of n items costs each rank 2 (P - 1) / P n items sent, the least
 * that is possible (Patarasuk and Yuan 2009). */
#include "par/ring.h"

#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"

enum { TAG_RING = 16, MAX_ITEMS = 1 << 30, MAX_SUMS = 16384 };

int ring_init(struct ring *r, int max, int64_t total, const struct comm *comm)
{
    REQUIRE(max <= MAX_SUMS); /* each has a tag, and MPI promises 32767 */
    *r = (struct ring){.comm = comm, .max = max};
    int64_t n_room = total / comm->size + max;
    r->sum = mem_alloc(max, sizeof *r->sum);
    r->request = mem_alloc(2 * max, sizeof(MPI_Request));
    r->through = mem_alloc(2 * max, sizeof *r->through);
    r->room = mem_alloc(n_room, sizeof *r->room);
    if (!r->sum || !r->request || !r->through || !r->room) {
        ring_free(r);
        return FAIL(IAU_ERR_MEM, "no memory: %.0f MiB for sums on their way between ranks",
                    (double)n_room * sizeof *r->room / 1048576);
    }
    return IAU_OK;
}

void ring_free(struct ring *r)
{
    free(r->sum);
    free(r->request);
    free(r->through);
    free(r->room);
    *r = (struct ring){0};
}

/* Items [begin, begin + n) of a sum. */
struct chunk {
    int64_t begin;
    int n;
};

static struct chunk chunk_at(const struct ring *r, const struct ring_sum *s, int place)
{
    int size = r->comm->size, i = (place % size + size) % size;
    int64_t begin = s->n * i / size, end = s->n * (i + 1) / size;
    return (struct chunk){begin, (int)(end - begin)};
}

static struct chunk chunk_arriving(const struct ring *r, const struct ring_sum *s)
{
    return chunk_at(r, s, r->comm->rank - s->step - 1);
}

static int is_adding(const struct ring *r, const struct ring_sum *s)
{
    return s->step < r->comm->size - 1;
}

static void post(struct ring *r, int which)
{
    struct ring_sum *s = &r->sum[which];
    MPI_Request *request = &r->request[2 * which];
    int rank = r->comm->rank, size = r->comm->size, tag = TAG_RING + which;
    struct chunk in = chunk_arriving(r, s), out = chunk_at(r, s, rank - s->step);
    MPI_Irecv(is_adding(r, s) ? s->arriving : s->x + in.begin, in.n, MPI_INT64_T,
              (rank + size - 1) % size, tag, r->comm->mpi, &request[0]);
    MPI_Isend(s->x + out.begin, out.n, MPI_INT64_T, (rank + 1) % size, tag, r->comm->mpi,
              &request[1]);
    s->n_open = 2;
}

void ring_start(struct ring *r, int64_t *x, int64_t n)
{
    REQUIRE(r->n < r->max && n <= MAX_ITEMS);
    r->sum[r->n] = (struct ring_sum){.x = x, .n = n, .arriving = r->room + r->used};
    r->used += n / r->comm->size + 1;
    r->n++;
    if (r->comm->size > 1)
        post(r, r->n - 1);
    else
        r->n_done++;
}

/* A message is through; with the last of a step the sum takes its next one. */
static void advance(struct ring *r, int which)
{
    struct ring_sum *s = &r->sum[which];
    if (--s->n_open > 0)
        return;
    if (is_adding(r, s)) {
        struct chunk in = chunk_arriving(r, s);
        for (int64_t i = 0; i < in.n; i++)
            s->x[in.begin + i] += s->arriving[i];
    }
    if (++s->step < 2 * (r->comm->size - 1))
        post(r, which);
    else
        r->n_done++;
}

void ring_progress(struct ring *r)
{
    int n = 1;
    while (r->n_done < r->n && n > 0) {
        MPI_Testsome(2 * r->n, r->request, &n, r->through, MPI_STATUSES_IGNORE);
        for (int i = 0; i < n; i++)
            advance(r, r->through[i] / 2);
    }
}

void ring_finish(struct ring *r)
{
    int n;
    while (r->n_done < r->n) {
        MPI_Waitsome(2 * r->n, r->request, &n, r->through, MPI_STATUSES_IGNORE);
        for (int i = 0; i < n; i++)
            advance(r, r->through[i] / 2);
    }
    r->n = r->n_done = 0;
    r->used = 0;
}
