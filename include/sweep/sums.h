/* Sums over samples in the making: per-thread fixed-point accumulators, one reduction over threads
 * and ranks, and the same bytes whatever their number. A sum may have several segments (gradients
 * over two sets), which then share that reduction. */
#ifndef IAU_SWEEP_SUMS_H
#define IAU_SWEEP_SUMS_H

#include <stdint.h>

enum { SUMS_MAX_SEGMENTS = 4, SUMS_MAX_VALUES = 16 };

struct segment {
    int64_t begin;      /* of its vector in an accumulator; its values follow */
    int64_t n_vector;   /* floats a unit adds, such as n_param; may be 0 */
    int n_value;        /* doubles a unit adds, such as loss and hits */
    int64_t n_samples;  /* global, over which the sum runs: fixes the scales */
    int bits;           /* one sample's addend is below 2^bits: EXACT_BITS_VALUE, unless set */
    double scale;       /* of the vector */
    double value_scale; /* of the values, which are below 2^EXACT_BITS_VALUE */
    int expects_one;    /* addend of the vector, which is then: */
    const float *lone;  /* borrowed */
};

struct sums {
    int n_segment;
    struct segment segment[SUMS_MAX_SEGMENTS];
    int n_thread;
    int64_t length; /* of one accumulator: segments, then room for the three below */
    int64_t *acc;   /* owned, [n_thread][length]; the first holds the result after the reduction */
    uint8_t *touched; /* owned, [n_thread][n_segment]: the segment's vector holds, or is getting, an
                         addend, not old numbers */
    int64_t *first_bad; /* owned, [n_thread]: position of the first bad addend in its segment, or
                           INT64_MAX */
    struct overlap *overlap; /* owned; NULL: reductions wait for the end of the work */
};

/* A unit's vector on its way into a thread's accumulator, where that happens in parts. */
struct addend {
    struct sums *sums;
    int thread, segment;
    const float *vector;
    int fresh; /* the thread's first: it replaces old numbers */
};

/** Local. Room for segments of the given lengths. @return IAU_OK or IAU_ERR_MEM */
int sums_init(struct sums *s, int n_segment, const int64_t *n_vector, int n_value, int n_thread);
void sums_free(struct sums *s);
/** Local. Start anew and fix the scales for sums over n_samples[segment] >= 1 samples. */
void sums_begin(struct sums *s, const int64_t *n_samples);
/** Local. Between sums_begin and the first addend: let a segment's vector have addends below
 * 2^bits, not 2^EXACT_BITS_VALUE. */
void sums_set_bits(struct sums *s, int segment, int bits);
/** Local. Promise that a segment's vector gets one addend over all threads and ranks, which stays
 * in place until its mean or total is taken: it is then not turned to integers and back, with the
 * same result. */
void sums_expect_one(struct sums *s, int segment);
/** Local. Add a unit's vector (NULL if n_vector is 0) and values to a thread's accumulator. */
void sums_add(struct sums *s, int thread, int segment, const float *vector, const double *value);
/** Local. The same in steps: an addend, each place of its vector once, in any order, the values. */
struct addend sums_addend(struct sums *s, int thread, int segment, const float *vector);
void sums_add_part(const struct addend *a, int64_t begin, int64_t n);
void sums_add_values(struct sums *s, int thread, int segment, const double *value);
/** Local. A part of a segment's vector, summed over the threads, into the first accumulator; when
 * every addend has been added there. */
void sums_merge_part(struct sums *s, int segment, int64_t begin, int64_t n);
/** Local. Zero the vectors that no unit has added to; before threads are merged. */
void sums_settle(struct sums *s);
/** Local, after the reduction: mean over the segment's samples of n places of the vector from
 * `begin` on, as float. */
void sums_mean(const struct sums *s, int segment, int64_t begin, int64_t n, float *out);
/** Local. The same times `weight`, added to out. */
void sums_add_mean(const struct sums *s, int segment, double weight, int64_t begin, int64_t n,
                   float *out);
/** Local. The vector's sum as double; a value's sum. */
void sums_total(const struct sums *s, int segment, double *out);
double sums_value(const struct sums *s, int segment, int i);
/** Local. Places in an accumulator of a failure to read, of the count of bad addends, and of the
 * stop flag. */
static inline int64_t *sums_failed(struct sums *s, int thread)
{
    return s->acc + thread * s->length + s->length - 3;
}
static inline int64_t *sums_bad(struct sums *s, int thread)
{
    return s->acc + thread * s->length + s->length - 2;
}
static inline int64_t *sums_stop(struct sums *s, int thread)
{
    return s->acc + thread * s->length + s->length - 1;
}

#endif
