/* A farm: many pieces of work in one MPI job, side by side on groups of ranks. Items are numbers;
 * what they are is the caller's business. Each gives the same result on any group, so neither the
 * number of ranks nor that of groups changes one. */
#ifndef IAU_PAR_FARM_H
#define IAU_PAR_FARM_H

#include <stdint.h>

#include "par/comm.h"

struct farm {
    int64_t n;           /* items to be done; the same on every rank, as everything here */
    const int64_t *item; /* borrowed, [n]; their numbers */
    int ranks; /* of a group; the last group has the rest, and there is one group at least */
    /** Collective over the group. @return IAU_OK, IAU_STOPPED, or an error that the group agrees on
     */
    int (*run)(void *ctx, int64_t item, const struct comm *group);
    void *ctx;
};

struct farm_report {
    int64_t n_done; /* over all groups */
    int n_group;
    double seconds;    /* from the first item's beginning to the last one's end */
    double idle_share; /* of the ranks' time in it, in which a rank had no item */
};

/** Collective. Run all items: those at the places g, g + n_group, ... of the list are run by group
 * g, one after another. When a group fails, or one of its ranks is asked to stop, it ends after the
 * item at hand, which may obey by itself, and so do the others.
 *  @return IAU_OK; IAU_STOPPED if items are left that nobody failed at; or an agreed error */
int farm_run(const struct farm *f, struct farm_report *r, const struct comm *comm);

#endif
