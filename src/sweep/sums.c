/* Accumulators of exact sums, a set per thread. */
#include "sweep/sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"

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

/* @return how many addends were bad */
static int64_t add_vector(struct sums *s, int thread, int segment, const float *vector)
{
    struct segment *g = &s->segment[segment];
    uint8_t *touched = &s->touched[thread * s->n_segment + segment];
    int64_t *acc = s->acc + thread * s->length + g->begin, bad;
    if (g->expects_one) {
        REQUIRE(!g->lone);
        g->lone = vector;
        bad = exact_count_bad(vector, g->n_vector, g->bits);
    } else {
        bad = (*touched ? exact_add : exact_set)(acc, vector, g->n_vector, g->scale, g->bits);
        *touched = 1;
    }
    if (bad) {
        int64_t at = find_bad(vector, g->n_vector, g->bits);
        s->first_bad[thread] = at < s->first_bad[thread] ? at : s->first_bad[thread];
    }
    return bad;
}

void sums_add(struct sums *s, int thread, int segment, const float *vector, const double *value)
{
    const struct segment *g = &s->segment[segment];
    int64_t *acc = s->acc + thread * s->length + g->begin;
    int64_t bad = g->n_vector ? add_vector(s, thread, segment, vector) : 0;
    for (int i = 0; i < g->n_value; i++) {
        int64_t bad_value =
            exact_add_one(acc + g->n_vector + i, value[i], g->value_scale, EXACT_BITS_VALUE);
        if (bad_value && g->n_vector < s->first_bad[thread])
            s->first_bad[thread] = g->n_vector;
        bad += bad_value;
    }
    *sums_bad(s, thread) += bad;
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
