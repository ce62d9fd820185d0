/* The shadow-model attack of the IAU paper's reference code (Lolo1222/IAU). Shadows of the victim's
 * architecture are trained on a half each of a pool of training rows; a network learns from what
 * they say of both halves who was in, and is then asked about other models. Its features are
 * [softmax - onehot(y), onehot(y)]; it is dense 256, 128, 32 with ReLU and dropout .5 behind each.
 * Ours differs in three points: shadows have the victim's own architecture (there: ResNet18 against
 * LeNet5), they answer in evaluation mode, and two classes with a softmax stand for the sigmoid,
 * which is the same family of functions with one more row of weights. */
#ifndef IAU_AUDIT_ATTACK_H
#define IAU_AUDIT_ATTACK_H

#include "audit/audit.h"
#include "sweep/sweep.h"

/** Collective over the group. Make shadow k and its answers, if they are not there.
 *  @return IAU_OK, IAU_STOPPED, or an error that the group agrees on */
int attack_make_shadow(const struct audit *a, int64_t k, const struct comm *group);
/** Local. Whether its file is there. @return as output_find */
int attack_find_shadow(const struct audit *a, int64_t k, int *is_there);
/** Collective. Train the attack network on the answers of all shadows, which must be there, unless
 * it is there. @return IAU_OK, IAU_STOPPED, or an agreed error */
int attack_make_network(const struct audit *a);
/** Local. Whether the network is there. */
int attack_find_network(const struct audit *a, int *is_there);

/* The network at work. */
struct attack {
    struct model *model; /* owned; NULL: there is none */
    float *w;            /* owned */
};

/** Collective. Read the network. @param[out] t  empty where there is none, and on error
 *  @return IAU_OK or an agreed error */
int attack_open(struct attack *t, const struct audit *a);
void attack_close(struct attack *t);
/** Collective. The share of a set that the network calls members of the model at w; on rank 0.
 *  @return as collect_run */
int attack_share(const struct attack *t, struct engine *e, const float *w,
                 const struct index_set *set, const char *name, double *share);

#endif
