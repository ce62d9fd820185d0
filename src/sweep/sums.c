/* Accumulators of exact sums, a set per thread. */
#include "sweep/sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"
#include "sweep/overlap.h"

int sums_init(struct sums *s, int n_segment, const int64_t *n_vector, int n_value, int n_thread)
{
    REQUIRE(n_segment <= SUMS_MAX_SEGMENTS && n_value <= SUMS_MAX_VALUES);
    *s = (struct sums){.n_segment = n_segment, .n_thread = n_thread};
    for (int i = 0; i < n_segment; i++) {
        s->segment[i] =
            (struct segment){.begin = s->length, .n_vector = n_vector[i], .n_value = n_value};
        s->length += (n_vector[i] + n_value + 7) / 8 * 8;
    }
    s->length += 8;
    s->acc = mem_alloc(s->length * n_thread, sizeof *s->acc);
    s->first_bad = mem_alloc(n_thread, sizeof *s->first_bad);
    s->touched = mem_alloc((int64_t)n_thread * n_segment, sizeof *s->touched);
    if (!s->acc || !s->first_bad || !s->touched) {
        double mib = (double)s->length * n_thread * sizeof *s->acc / 1048576;
        sums_free(s);
        return FAIL(IAU_ERR_MEM, "no memory: %.0f MiB for sums", mib);
    }
    return IAU_OK;
}

void sums_free(struct sums *s)
{
    free(s->acc);
    free(s->first_bad);
    free(s->touched);
    overlap_free(s->overlap);
    *s = (struct sums){0};
}

void sums_begin(struct sums *s, const int64_t *n_samples)
{
    for (int i = 0; i < s->n_segment; i++) {
        s->segment[i].n_samples = n_samples[i];
        s->segment[i].value_scale = exact_scale(n_samples[i], EXACT_BITS_VALUE);
        sums_set_bits(s, i, EXACT_BITS_VALUE);
        s->segment[i].expects_one = 0;
        s->segment[i].lone = NULL;
    }
    memset(s->touched, 0, (size_t)(s->n_thread * s->n_segment));
    for (int t = 0; t < s->n_thread; t++) {
        for (int i = 0; i < s->n_segment; i++) {
            const struct segment *g = &s->segment[i];
            memset(s->acc + t * s->length + g->begin + g->n_vector, 0,
                   (size_t)g->n_value * sizeof *s->acc);
        }
        s->first_bad[t] = INT64_MAX;
        *sums_failed(s, t) = *sums_bad(s, t) = *sums_stop(s, t) = 0;
    }
}

void sums_set_bits(struct sums *s, int segment, int bits)
{
    struct segment *g = &s->segment[segment];
    g->bits = bits;
    g->scale = exact_scale(g->n_samples, bits);
}

void sums_expect_one(struct sums *s, int segment)
{
    s->segment[segment].expects_one = 1;
}

void sums_settle(struct sums *s)
{
    for (int t = 0; t < s->n_thread; t++)
        for (int i = 0; i < s->n_segment; i++) {
            const struct segment *g = &s->segment[i];
            if (!s->touched[t * s->n_segment + i] && !g->expects_one)
                memset(s->acc + t * s->length + g->begin, 0, (size_t)g->n_vector * sizeof *s->acc);
        }
}

/* The rare case: which addend was it? */
static int64_t find_bad(const float *x, int64_t n, int bits)
{
    float limit = ldexpf(1, bits);
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) < limit))
            return i;
    return n;
}

struct addend sums_addend(struct sums *s, int thread, int segment, const float *vector)
{
    uint8_t *touched = &s->touched[thread * s->n_segment + segment];
    struct segment *g = &s->segment[segment];
    struct addend a = {s, thread, segment, vector, !*touched};
    *touched = 1;
    if (g->expects_one) {
        REQUIRE(!g->lone);
        g->lone = vector;
    }
    return a;
}

void sums_add_part(const struct addend *a, int64_t begin, int64_t n)
{
    struct sums *s = a->sums;
    const struct segment *g = &s->segment[a->segment];
    const float *x = a->vector + begin;
    int64_t *acc = s->acc + a->thread * s->length + g->begin + begin;
    int64_t bad = g->expects_one ? exact_count_bad(x, n, g->bits)
                                 : (a->fresh ? exact_set : exact_add)(acc, x, n, g->scale, g->bits);
    if (bad) {
        int64_t at = begin + find_bad(x, n, g->bits), *first = &s->first_bad[a->thread];
        *first = at < *first ? at : *first;
    }
    *sums_bad(s, a->thread) += bad;
}

void sums_add_values(struct sums *s, int thread, int segment, const double *value)
{
    const struct segment *g = &s->segment[segment];
    int64_t *acc = s->acc + thread * s->length + g->begin + g->n_vector, bad = 0;
    for (int i = 0; i < g->n_value; i++)
        bad += exact_add_one(acc + i, value[i], g->value_scale, EXACT_BITS_VALUE);
    if (bad && g->n_vector < s->first_bad[thread])
        s->first_bad[thread] = g->n_vector;
    *sums_bad(s, thread) += bad;
}

void sums_add(struct sums *s, int thread, int segment, const float *vector, const double *value)
{
    struct addend a = sums_addend(s, thread, segment, vector);
    if (vector)
        sums_add_part(&a, 0, s->segment[segment].n_vector);
    sums_add_values(s, thread, segment, value);
}

void sums_merge_part(struct sums *s, int segment, int64_t begin, int64_t n)
{
    int64_t *acc = s->acc + s->segment[segment].begin + begin;
    if (!s->touched[segment])
        memset(acc, 0, (size_t)n * sizeof *acc);
    for (int t = 1; t < s->n_thread; t++)
        if (s->touched[t * s->n_segment + segment])
            exact_merge(acc, acc + t * s->length, n);
}

void sums_mean(const struct sums *s, int segment, int64_t begin, int64_t n, float *out)
{
    const struct segment *g = &s->segment[segment];
    double factor = 1.0 / (double)g->n_samples;
    if (g->lone)
        exact_round(out, g->lone + begin, n, g->scale, factor);
    else
        exact_to_float(out, s->acc + g->begin + begin, n, g->scale, factor);
}

void sums_add_mean(const struct sums *s, int segment, double weight, int64_t begin, int64_t n,
                   float *out)
{
    const struct segment *g = &s->segment[segment];
    double factor = weight / (double)g->n_samples;
    if (g->lone)
        exact_add_round(out, g->lone + begin, n, g->scale, factor);
    else
        exact_add_to_float(out, s->acc + g->begin + begin, n, g->scale, factor);
}

void sums_total(const struct sums *s, int segment, double *out)
{
    const struct segment *g = &s->segment[segment];
    if (g->lone)
        exact_round_double(out, g->lone, g->n_vector, g->scale, 1);
    else
        exact_to_double(out, s->acc + g->begin, g->n_vector, g->scale, 1);
}

double sums_value(const struct sums *s, int segment, int i)
{
    const struct segment *g = &s->segment[segment];
    return (double)s->acc[g->begin + g->n_vector + i] / g->value_scale;
}
