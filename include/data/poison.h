/* Poisoned labels: some training samples come with a wrong label, as after an attack or a slip in
 * labelling; what is to be forgotten then is the harm they do. Local. */
#ifndef IAU_DATA_POISON_H
#define IAU_DATA_POISON_H

#include "data/split.h"

struct poison {
    int64_t n;
    int64_t *row;   /* owned, [n]; of the training part, ascending */
    int32_t *label; /* owned, [n]; what they are given as */
    int32_t *truth; /* owned, [n]; those of the file */
};

/** Draw a wrong label for each row of `set`, uniform over the other classes, keyed by (seed, stable
 * id). `d` has no poison yet.
 *  @return IAU_OK, or what reading labels and ids gave; `p` is empty on error */
int poison_draw(struct poison *p, const struct dataset *d, const struct index_set *set,
                uint64_t seed);
void poison_free(struct poison *p);
/** Put the wrong labels in place of the true ones of n ascending rows. */
void poison_apply(const struct poison *p, const int64_t *row, int64_t n, int32_t *label);
/** The same where label[] are those of all rows of the training part. */
void poison_apply_all(const struct poison *p, int32_t *label);
/** True labels of the n rows that begin with the one at place `first` of the set that was drawn
 * for. */
const int32_t *poison_truth(const struct poison *p, int64_t first, int64_t n);

#endif
