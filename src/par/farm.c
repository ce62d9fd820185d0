/* Groups of ranks and the items dealt to them. */
#include "par/farm.h"

#include "core/error.h"
#include "core/stop.h"
#include "core/timer.h"

/* Whether a rank of the group was asked to stop, or another group has ended early. */
static int is_over(const struct comm *group, const struct comm_bell *bell)
{
    int64_t over = stop_requested() || comm_bell_rung(bell);
    comm_max_i64(group, &over, 1);
    return over != 0;
}

/* One group's items. @return in *busy_s this rank's seconds with them */
static int run_items(const struct farm *f, const struct comm *group, int first, int n_group,
                     struct comm_bell *bell, int64_t *n_done, double *busy_s)
{
    int rc = IAU_OK;
    for (int64_t i = first; i < f->n && rc == IAU_OK; i += n_group) {
        double start = timer_now_s();
        rc = is_over(group, bell) ? IAU_STOPPED : f->run(f->ctx, f->item[i], group);
        *busy_s += timer_now_s() - start;
        *n_done += rc == IAU_OK && group->rank == 0;
    }
    if (rc != IAU_OK)
        comm_bell_ring(bell);
    return rc;
}

int farm_run(const struct farm *f, struct farm_report *r, const struct comm *comm)
{
    int ranks = f->ranks < comm->size ? f->ranks : comm->size;
    int n_group = (comm->size + ranks - 1) / ranks, rc = IAU_OK;
    struct comm group;
    struct comm_bell bell = {0};
    double busy_s = 0, busy[3], start = timer_now_s();
    *r = (struct farm_report){.n_group = n_group};
    comm_split(&group, comm, comm->rank / ranks);
    rc = comm_agree(comm, comm_bell_init(&bell, comm));
    if (rc == IAU_OK)
        rc = comm_agree(
            comm, run_items(f, &group, comm->rank / ranks, n_group, &bell, &r->n_done, &busy_s));
    comm_bell_free(&bell);
    comm_free(&group);
    comm_sum_i64(comm, &r->n_done, 1);
    comm_min_mean_max(comm, busy_s, busy);
    r->seconds = timer_now_s() - start;
    r->idle_share = r->seconds > 0 ? 1 - busy[1] / r->seconds : 0;
    return rc;
}
