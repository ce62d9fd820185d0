/* Augmentation of images in training, as is usual for CIFAR: a random crop of the padded sample,
 * and a mirror image half of the time. What a sample becomes depends on seed, epoch and its stable
 * id in the file alone. Local; no allocation. */
#ifndef IAU_DATA_AUGMENT_H
#define IAU_DATA_AUGMENT_H

#include <stdint.h>

#include "data/dataset.h"

/* Settings: `train.augment.*`. */
struct augment_opts {
    int64_t
        crop; /* pixels of raw 0 around the sample, out of which its own size is cut at random */
    int flip; /* mirror left to right with probability 1/2 */
};

/* Augmentation of one epoch. */
struct augment {
    struct augment_opts opts;
    uint64_t seed;
    int64_t epoch;
    const int64_t *id; /* borrowed: stable id of each sample in memory */
};

struct augment_move {
    int dy, dx, flip; /* output (y, x), before mirroring, is input (y + dy, x + dx) */
};

static inline int augment_is_on(const struct augment_opts *o)
{
    return o->crop > 0 || o->flip;
}

/** Whether the samples of `d` can be augmented so. @return IAU_OK, or IAU_ERR_CONFIG for tables,
 * and where the crop could miss the sample altogether */
int augment_check(const struct augment_opts *o, const struct dataset *d);
/** What becomes of the sample with the stable id `id`: dy and dx uniform in [-crop, crop],
 * independent. */
struct augment_move augment_draw(const struct augment *a, int64_t id);
/** out = the moved sample; both [c][h][w], uint8 or float, and not the same array. */
void augment_copy(const struct augment_move *m, int c, int h, int w, int is_u8, const void *in,
                  void *out);

#endif
