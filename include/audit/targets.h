/* Whom an audit asks about: the forgotten samples, and as many of the validation set, who were
 * never trained on. All draws are keyed by the audit's seed and stable ids. Local. */
#ifndef IAU_AUDIT_TARGETS_H
#define IAU_AUDIT_TARGETS_H

#include "unlearn/request.h"

struct targets {
    struct index_set all;  /* D_f and the outsiders V', sorted by row */
    struct index_set rest; /* V without V': what shadow models are validated on */
    uint8_t *is_forgotten; /* owned, [all.n] */
    int64_t *id;           /* owned, [all.n]; stable ids */
    int64_t n_forgotten;
};

/** Draw the outsiders: of each class as many as D_f has, as far as V has them; so that nobody can
 * tell D_f from V' by classes, also where whole classes are forgotten. `t` is empty on error.
 *  @return IAU_OK, IAU_ERR_DATA (V has no sample of these classes), IAU_ERR_MEM, or what reading
 * labels and ids gave */
int targets_init(struct targets *t, const struct dataset *d, const struct partition *sets,
                 uint64_t seed);
void targets_free(struct targets *t);
/** The half of the targets that shadow model k is trained with, as flags [all.n]: a random one for
 * even k, and the other one for k + 1. @return IAU_OK or IAU_ERR_MEM */
int targets_half(const struct targets *t, uint64_t seed, int64_t k, uint8_t *member);

/* Random numbers of an audit: what for, and a number. */
enum audit_draw { DRAW_OUTSIDERS, DRAW_HALVES, DRAW_SEEDS, DRAW_POOL, DRAW_POOL_HALVES };
/** A seed for something that has seeds of its own. */
int64_t audit_seed(uint64_t seed, enum audit_draw what, int64_t number);
/** Shuffle [0, n): the places of ids in the order of random keys. @param stable id of each place
 *  @return IAU_OK or IAU_ERR_MEM; the caller frees *place */
int audit_shuffle(uint64_t seed, enum audit_draw what, int64_t number, const int64_t *id, int64_t n,
                  int64_t **place);

#endif
