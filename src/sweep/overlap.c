/* Reductions that start while a step is still running. */
#include "sweep/overlap.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"
#include "core/timer.h"

int overlap_init(struct sums *s, int64_t n, int64_t size, const struct comm *comm)
{
    int rc = IAU_OK;
    REQUIRE(s->n_segment == 1 && n <= s->segment[0].n_vector);
    struct overlap *o = s->overlap = mem_alloc(1, sizeof *o);
    if (!o)
        return FAIL(IAU_ERR_MEM, "no memory for a reduction");
    o->n = n;
    o->size = size;
    o->n_bucket = (int)((n + size - 1) / size);
    o->n_left = mem_alloc(o->n_bucket, sizeof *o->n_left);
    if (!o->n_left)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a reduction of %d buckets", o->n_bucket));
    TRY(ring_init(&o->ring, o->n_bucket + 1, s->length, comm));
out:
    if (rc != IAU_OK) {
        overlap_free(o);
        s->overlap = NULL;
    }
    return rc;
}

void overlap_free(struct overlap *o)
{
    if (!o)
        return;
    ring_free(&o->ring);
    free(o->n_left);
    free(o);
}

void overlap_begin(struct sums *s, int64_t n_unit)
{
    struct overlap *o = s->overlap;
    memset(o->n_left, 0, (size_t)o->n_bucket * sizeof *o->n_left);
    o->n_unit = (int)n_unit;
    o->is_running = 1;
    o->next = 0;
    o->seconds = 0;
}

static int64_t bucket_begin(const struct overlap *o, int bucket)
{
    int64_t begin = o->n - (bucket + 1) * o->size;
    return begin > 0 ? begin : 0;
}

static int64_t bucket_length(const struct overlap *o, int bucket)
{
    return o->n - bucket * o->size - bucket_begin(o, bucket);
}

struct leaving overlap_enter(struct sums *s, int thread, const float *vector)
{
    return (struct leaving){.addend = sums_addend(s, thread, 0, vector)};
}

/* The last of the units to leave a bucket merges it. */
static void leave_bucket(const struct leaving *l)
{
    struct overlap *o = l->addend.sums->overlap;
    int64_t begin = bucket_begin(o, l->next), n = bucket_length(o, l->next);
    int n_left;
    sums_add_part(&l->addend, begin, n);
#pragma omp atomic capture acq_rel
    n_left = ++o->n_left[l->next];
    if (n_left < o->n_unit)
        return;
    sums_merge_part(l->addend.sums, 0, begin, n);
#pragma omp atomic update release
    o->n_left[l->next]++;
}

static void send_next(struct sums *s)
{
    struct overlap *o = s->overlap;
    ring_start(&o->ring, s->acc + bucket_begin(o, o->next), bucket_length(o, o->next));
    o->next++;
}

static int is_merged(const struct overlap *o, int bucket)
{
    int n_left;
#pragma omp atomic read acquire
    n_left = o->n_left[bucket];
    return n_left > o->n_unit;
}

static void send_ready(struct sums *s)
{
    struct overlap *o = s->overlap;
    while (o->next < o->n_bucket && is_merged(o, o->next))
        send_next(s);
    ring_progress(&o->ring);
}

void overlap_left(void *ctx, int64_t begin)
{
    struct leaving *l = ctx;
    struct overlap *o = l->addend.sums->overlap;
    for (; l->next < o->n_bucket && bucket_begin(o, l->next) >= begin; l->next++)
        leave_bucket(l);
    if (l->addend.thread != 0)
        return;
    double start = timer_now_s();
    send_ready(l->addend.sums);
    o->seconds += timer_now_s() - start;
}

void overlap_leave(struct leaving *l, const double *value)
{
    struct sums *s = l->addend.sums;
    REQUIRE(l->next == s->overlap->n_bucket);
    sums_add_part(&l->addend, s->overlap->n, s->segment[0].n_vector - s->overlap->n);
    sums_add_values(s, l->addend.thread, 0, value);
}

void overlap_wait(struct sums *s)
{
    struct overlap *o = s->overlap;
    while (o->n_unit && o->next < o->n_bucket) {
        send_ready(s);
        sched_yield();
    }
}

void overlap_finish(struct sums *s)
{
    struct overlap *o = s->overlap;
    int64_t n_vector = s->segment[0].n_vector;
    while (o->next < o->n_bucket) { /* no unit has been here */
        sums_merge_part(s, 0, bucket_begin(o, o->next), bucket_length(o, o->next));
        send_next(s);
    }
    sums_merge_part(s, 0, o->n, n_vector - o->n);
    for (int t = 1; t < s->n_thread; t++)
        exact_merge(s->acc + n_vector, s->acc + t * s->length + n_vector, s->length - n_vector);
    ring_start(&o->ring, s->acc + o->n, s->length - o->n);
    ring_finish(&o->ring);
    o->is_running = 0;
}
