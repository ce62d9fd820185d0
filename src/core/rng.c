/* Counter-based random numbers: Philox4x32-10 of Random123, with the seed as key and everything
 * else in the counter. */
#include "core/rng.h"

#include <Random123/philox.h>
#include <math.h>

#include "core/error.h"

void rng_words(const struct rng *r, uint64_t index, uint32_t out[4])
{
    /* The purpose takes the other 8 bits of the counter's first half. */
    REQUIRE(index >> RNG_INDEX_BITS == 0 && r->purpose < 256);
    uint64_t low = index | (uint64_t)r->purpose << RNG_INDEX_BITS;
    philox4x32_key_t key = {{(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}};
    philox4x32_ctr_t counter = {
        {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)r->stream, (uint32_t)(r->stream >> 32)}};
    counter = philox4x32(counter, key);
    for (int i = 0; i < 4; i++)
        out[i] = counter.v[i];
}

void rng_words_id(const struct rng *r, int64_t id, uint32_t out[4])
{
    /* What of an id an index has no room for goes where no stream comes. */
    uint64_t index = (uint64_t)id, high = index >> RNG_INDEX_BITS << RNG_INDEX_BITS;
    struct rng own = {r->seed, r->purpose, r->stream | high};
    REQUIRE(r->stream >> RNG_INDEX_BITS == 0);
    rng_words(&own, index & ~high, out);
}

float rng_uniform(const struct rng *r, uint64_t index)
{
    uint32_t words[4];
    rng_words(r, index, words);
    return (float)(words[0] >> 8) * 0x1p-24f;
}

double rng_normal(const struct rng *r, uint64_t index)
{
    uint32_t words[4];
    rng_words(r, index, words);
    double radius = sqrt(-2 * log((words[0] + 1.0) * 0x1p-32));
    return radius * cos(2 * M_PI * (words[1] * 0x1p-32));
}

void rng_permute_i32(const struct rng *r, int32_t *v, int64_t n)
{
    REQUIRE(n <= INT32_MAX);
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t words[4];
        rng_words(r, (uint64_t)i, words);
        uint64_t bits = words[0] | (uint64_t)words[1] << 32;
        /* The bias of a multiplication without rejection is below n / 2^64. */
        int64_t j = (int64_t)((unsigned __int128)bits * (uint64_t)(i + 1) >> 64);
        int32_t swap = v[i];
        v[i] = v[j];
        v[j] = swap;
    }
}
