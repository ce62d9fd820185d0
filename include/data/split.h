/* Train, validation, retain and forget sets by numpy's legacy random generator, as in the paper's
 * reference code (Lolo1222/IAU), so that anyone can recompute them in Python: numpy.random.seed(s);
 * shuffle(arange(n)). Pure arithmetic; local. */
#ifndef IAU_DATA_SPLIT_H
#define IAU_DATA_SPLIT_H

#include <stdint.h>

#include "data/dataset.h"

/* Rows of one part, ascending. */
struct index_set {
    enum dataset_part part;
    int64_t n;
    int64_t *row; /* owned */
};

/** perm[0..n) = numpy.random.seed(seed); numpy.random.shuffle(arange(n)). n <= 2^32. */
void split_numpy_permutation(uint32_t seed, int64_t n, int64_t *perm);
/** Mark the last k of that permutation: bit i % 8 of mark[i / 8] for thing i, in (n + 7) / 8 zeroed
 * bytes; takes 4 bytes a thing while it works. @return IAU_OK or IAU_ERR_MEM */
int split_numpy_last(uint32_t seed, int64_t n, int64_t k, uint8_t *mark);
/** order[0..n_train) = the shuffled training rows (not sorted), *valid = the last int(n *
 * valid_frac) of the same permutation, sorted. The caller frees *order and *valid. */
int split_train_valid(int64_t n, double valid_frac, uint32_t seed, int64_t **order,
                      int64_t *n_train, struct index_set *valid);
/** The forget set of a seeded ratio: positions 0 .. int(n_train * ratio) - 1 of a second
 * permutation address `order` (already shuffled), as in the reference code. Sorted by row. */
int split_forget_ratio(const int64_t *order, int64_t n_train, double ratio, uint32_t seed,
                       struct index_set *forget);
/** A sorted set from any rows; IAU_ERR_DATA where a row is repeated. Copies. */
int index_set_from_rows(struct index_set *s, enum dataset_part part, const int64_t *row, int64_t n);
/** All rows [0, n) of a part. */
int index_set_all(struct index_set *s, enum dataset_part part, int64_t n);
/** Up to n rows of a set, drawn at random: those at the first n places of numpy's permutation.
 * Sorted. */
int index_set_sample(struct index_set *out, const struct index_set *set, int64_t n, uint32_t seed);
/** *out = the rows of a and of b, both of one part; a row that is in both is IAU_ERR_DATA. */
int index_set_join(struct index_set *out, const struct index_set *a, const struct index_set *b);
/** *out = a without b, both of one part. b must be inside a, else IAU_ERR_DATA. */
int index_set_minus(struct index_set *out, const struct index_set *a, const struct index_set *b);
/** Whether a row is in the set. */
int index_set_has(const struct index_set *s, int64_t row);
void index_set_free(struct index_set *s);

#endif
