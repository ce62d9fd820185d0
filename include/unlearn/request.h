/* What is to be forgotten: a share, sample ids or classes, turned into rows of the training set. */
#ifndef IAU_UNLEARN_REQUEST_H
#define IAU_UNLEARN_REQUEST_H

#include "data/opts.h"
#include "data/split.h"
#include "par/comm.h"

/* How the training part is divided. All sets are sorted by row. */
struct partition {
    struct index_set train;  /* D */
    struct index_set valid;  /* V */
    struct index_set forget; /* D_f; empty without a request */
    struct index_set retain; /* D_r = D without D_f */
    struct index_set test;   /* T: the whole test part */
};

/** Collective. Split the training part by `data`, leave out what is gone already, and, with
 * `forget` (NULL: not), take the forget set out. Ids that are unknown, repeated, of the test part,
 * or held out for validation, and requests for nothing or for everything are IAU_ERR_DATA naming
 * the id. `p` is empty on error. */
int partition_init(struct partition *p, const struct dataset *d, const struct data_opts *data,
                   const struct forget_opts *forget, const struct comm *comm);
void partition_free(struct partition *p);

#endif
