/* Counter-based random numbers (Philox4x32-10 of Random123): any number is addressed by
 * (seed, purpose, stream, index), so it is the same whoever draws it, in whatever order. */
#ifndef IAU_CORE_RNG_H
#define IAU_CORE_RNG_H

#include <stdint.h>

enum rng_purpose {
    RNG_INIT = 1,
    RNG_ORDER,
    RNG_SHUFFLE,
    RNG_AUGMENT,
    RNG_POWER,
    RNG_RELABEL,
    RNG_POISON,
    RNG_DROPOUT,
    RNG_AUDIT,
    RNG_NOISE,
    RNG_SISA
};

struct rng {
    uint64_t seed;
    uint32_t purpose;
    uint64_t stream; /* for instance tensor, or epoch and shard */
};

enum { RNG_INDEX_BITS = 56 };

/** Local. 128 random bits at `index` < 2^RNG_INDEX_BITS as four words. */
void rng_words(const struct rng *r, uint64_t index, uint32_t out[4]);
/** Local. The same at any stable id of a sample; streams then stay below 2^RNG_INDEX_BITS. */
void rng_words_id(const struct rng *r, int64_t id, uint32_t out[4]);
/** Local. Uniform in [0, 1) with 24 bits, exactly representable as float. */
float rng_uniform(const struct rng *r, uint64_t index);
/** Local. Standard normal, by Box and Muller. */
double rng_normal(const struct rng *r, uint64_t index);
/** Local. Fisher-Yates permutation of v[0..n) with 64-bit draws reduced by multiplication; n <
 * 2^31. */
void rng_permute_i32(const struct rng *r, int32_t *v, int64_t n);

#endif
