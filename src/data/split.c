/* Index sets, and the seeded splits of numpy's legacy generator: MT19937 seeded by init_genrand,
 * and its shuffle by masked rejection (numpy.random.seed and numpy.random.shuffle). */
#include "data/split.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

enum { MT_SIZE = 624, MT_SHIFT = 397 };

struct mt19937 {
    uint32_t state[MT_SIZE];
    int next; /* the first word not yet given out */
};

static void mt_seed(struct mt19937 *mt, uint32_t seed)
{
    mt->state[0] = seed;
    for (uint32_t i = 1; i < MT_SIZE; i++) {
        uint32_t last = mt->state[i - 1];
        mt->state[i] = 1812433253u * (last ^ (last >> 30)) + i;
    }
    mt->next = MT_SIZE;
}

static void mt_refill(struct mt19937 *mt)
{
    for (int i = 0; i < MT_SIZE; i++) {
        uint32_t y = (mt->state[i] & 0x80000000u) | (mt->state[(i + 1) % MT_SIZE] & 0x7fffffffu);
        uint32_t twist = (y & 1) ? 0x9908b0dfu : 0;
        mt->state[i] = mt->state[(i + MT_SHIFT) % MT_SIZE] ^ (y >> 1) ^ twist;
    }
    mt->next = 0;
}

static uint32_t mt_next(struct mt19937 *mt)
{
    if (mt->next == MT_SIZE)
        mt_refill(mt);
    uint32_t y = mt->state[mt->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* Uniform in [0, i], i > 0. */
static int64_t mt_below(struct mt19937 *mt, int64_t i)
{
    uint32_t mask = UINT32_MAX >> __builtin_clz((uint32_t)i);
    int64_t j;
    do
        j = mt_next(mt) & mask;
    while (j > i);
    return j;
}

void split_numpy_permutation(uint32_t seed, int64_t n, int64_t *perm)
{
    REQUIRE(n >= 0 && n <= INT64_C(1) << 32);
    struct mt19937 mt;
    mt_seed(&mt, seed);
    for (int64_t i = 0; i < n; i++)
        perm[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = mt_below(&mt, i), swap = perm[i];
        perm[i] = perm[j];
        perm[j] = swap;
    }
}

int split_numpy_last(uint32_t seed, int64_t n, int64_t k, uint8_t *mark)
{
    REQUIRE(k >= 0 && k <= n && n <= INT64_C(1) << 32);
    struct mt19937 mt;
    uint32_t *perm = mem_alloc(n, sizeof *perm);
    if (!perm)
        return FAIL(IAU_ERR_MEM, "no memory to draw from %" PRId64 " rows", n);
    mt_seed(&mt, seed);
    for (int64_t i = 0; i < n; i++)
        perm[i] = (uint32_t)i;
    for (int64_t i = n - 1; i >= n - k; i--) { /* what comes later moves the places before alone */
        int64_t j = i > 0 ? mt_below(&mt, i) : 0;
        mark[perm[j] / 8] |= (uint8_t)(1 << perm[j] % 8);
        perm[j] = perm[i];
    }
    free(perm);
    return IAU_OK;
}

static const char *part_name(enum dataset_part part)
{
    return part == PART_TRAIN ? "train" : "test";
}

static int compare_rows(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int index_set_alloc(struct index_set *s, enum dataset_part part, int64_t n)
{
    *s = (struct index_set){.part = part};
    s->row = mem_alloc(n, sizeof *s->row);
    if (!s->row)
        return FAIL(IAU_ERR_MEM, "no memory for %" PRId64 " row numbers", n);
    s->n = n;
    return IAU_OK;
}

int index_set_from_rows(struct index_set *s, enum dataset_part part, const int64_t *row, int64_t n)
{
    int rc = IAU_OK;
    TRY(index_set_alloc(s, part, n));
    if (n > 0) {
        memcpy(s->row, row, (size_t)n * sizeof *row);
        qsort(s->row, (size_t)n, sizeof *s->row, compare_rows);
    }
    for (int64_t i = 1; i < n; i++)
        if (s->row[i] == s->row[i - 1])
            TRY(FAIL(IAU_ERR_DATA, "row %" PRId64 " of the %s part is given more than once",
                     s->row[i], part_name(part)));
out:
    if (rc != IAU_OK)
        index_set_free(s);
    return rc;
}

int index_set_all(struct index_set *s, enum dataset_part part, int64_t n)
{
    int rc = index_set_alloc(s, part, n);
    for (int64_t i = 0; rc == IAU_OK && i < n; i++)
        s->row[i] = i;
    return rc;
}

int index_set_sample(struct index_set *out, const struct index_set *set, int64_t n, uint32_t seed)
{
    int rc = IAU_OK;
    int64_t *order = mem_alloc(set->n, sizeof *order);
    *out = (struct index_set){.part = set->part};
    if (!order)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a sample of %lld rows", (long long)set->n));
    n = n < set->n ? n : set->n;
    split_numpy_permutation(seed, set->n, order);
    for (int64_t i = 0; i < n; i++)
        order[i] = set->row[order[i]];
    TRY(index_set_from_rows(out, set->part, order, n));
out:
    free(order);
    return rc;
}

int index_set_join(struct index_set *out, const struct index_set *a, const struct index_set *b)
{
    int rc = IAU_OK;
    int64_t *row = mem_alloc(a->n + b->n, sizeof *row);
    REQUIRE(a->part == b->part);
    *out = (struct index_set){.part = a->part};
    if (!row)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a set of %" PRId64 " rows", a->n + b->n));
    for (int64_t i = 0; i < a->n + b->n; i++)
        row[i] = i < a->n ? a->row[i] : b->row[i - a->n];
    TRY(index_set_from_rows(out, a->part, row, a->n + b->n));
out:
    free(row);
    return rc;
}

int index_set_minus(struct index_set *result, const struct index_set *a, const struct index_set *b)
{
    int rc = IAU_OK;
    int64_t kept = 0, j = 0;
    REQUIRE(a->part == b->part);
    /* Room for all of a, so that b may turn out not to be inside a. */
    TRY(index_set_alloc(result, a->part, a->n));
    for (int64_t i = 0; i < a->n; i++) {
        if (j < b->n && b->row[j] == a->row[i])
            j++;
        else
            result->row[kept++] = a->row[i];
    }
    if (j < b->n)
        TRY(FAIL(IAU_ERR_DATA,
                 "row %" PRId64 " of the %s part is not in the set it is to be taken from",
                 b->row[j], part_name(b->part)));
    result->n = kept;
out:
    if (rc != IAU_OK)
        index_set_free(result);
    return rc;
}

int index_set_has(const struct index_set *s, int64_t row)
{
    return s->n > 0 && bsearch(&row, s->row, (size_t)s->n, sizeof row, compare_rows) != NULL;
}

void index_set_free(struct index_set *s)
{
    free(s->row);
    *s = (struct index_set){0};
}

int split_train_valid(int64_t n, double valid_frac, uint32_t seed, int64_t **order,
                      int64_t *n_train, struct index_set *valid)
{
    int rc = IAU_OK;
    int64_t n_valid = (int64_t)((double)n * valid_frac);
    int64_t *perm = NULL;
    *order = NULL;
    *n_train = 0;
    *valid = (struct index_set){0};
    if (!(valid_frac >= 0) || n_valid >= n)
        TRY(FAIL(IAU_ERR_DATA, "a validation share of %g leaves no training sample of %" PRId64,
                 valid_frac, n));
    perm = mem_alloc(n, sizeof *perm);
    if (!perm)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a permutation of %" PRId64 " rows", n));
    split_numpy_permutation(seed, n, perm);
    TRY(index_set_from_rows(valid, PART_TRAIN, perm + n - n_valid, n_valid));
    *n_train = n - n_valid;
    *order = perm;
    perm = NULL;
out:
    free(perm);
    return rc;
}

int split_forget_ratio(const int64_t *order, int64_t n_train, double ratio, uint32_t seed,
                       struct index_set *forget)
{
    int rc = IAU_OK;
    int64_t n_forget = (int64_t)((double)n_train * ratio);
    int64_t *perm = NULL;
    *forget = (struct index_set){0};
    if (n_forget < 1)
        TRY(FAIL(IAU_ERR_DATA, "a forget ratio of %g takes none of %" PRId64 " training samples",
                 ratio, n_train));
    if (n_forget >= n_train)
        TRY(FAIL(IAU_ERR_DATA, "a forget ratio of %g leaves none of %" PRId64 " training samples",
                 ratio, n_train));
    perm = mem_alloc(n_train, sizeof *perm);
    if (!perm)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a permutation of %" PRId64 " rows", n_train));
    split_numpy_permutation(seed, n_train, perm);
    for (int64_t i = 0; i < n_forget; i++)
        perm[i] = order[perm[i]];
    TRY(index_set_from_rows(forget, PART_TRAIN, perm, n_forget));
out:
    free(perm);
    return rc;
}
