/* Settings of the audit: `audit.*`. */
#ifndef IAU_AUDIT_OPTS_H
#define IAU_AUDIT_OPTS_H

#include <stdint.h>

#include "audit/lira.h"
#include "core/lists.h"

/* The shadow-model attack of the paper's reference code. */
struct shadow_attack_opts {
    int64_t shadows;       /* models; 0: no such attack */
    double pool;           /* share of D and V that they are drawn from */
    int64_t epochs, batch; /* of a shadow; Adam */
    double lr;
    int64_t net_epochs, net_batch; /* of the attack network; Adam */
    double net_lr;
};

struct audit_opts {
    int64_t shadows; /* for LiRA and U-LiRA, an origin; even; 0: none */
    int64_t epochs;  /* of a shadow */
    int64_t ranks;   /* that a model is made by */
    int64_t seed;
    struct text_list methods; /* names of entries of `methods` and of retrained twins, which the
                                 shadows unlearn by */
    struct text_list origins; /* names; empty: all */
    enum lira_variance variance;
    struct shadow_attack_opts attack;
};

/** Whether there is anything to do. */
static inline int audit_is_on(const struct audit_opts *o)
{
    return o->shadows > 0 || o->attack.shadows > 0;
}

#endif
