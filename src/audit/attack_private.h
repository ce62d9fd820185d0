/* What the shadows of the attack and its network share. */
#ifndef IAU_AUDIT_ATTACK_PRIVATE_H
#define IAU_AUDIT_ATTACK_PRIVATE_H

#include "part.h"
#include "train/opts.h"

/** Local. Name and settings of shadow k. */
int attack_shadow_part(struct part *p, const struct audit *a, int64_t k);

/* Adam with torch's other defaults. */
static inline struct optimizer_opts attack_adam(double lr)
{
    return (struct optimizer_opts){
        .name = OPTIMIZER_ADAM, .lr = lr, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

#endif
