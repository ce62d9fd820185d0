/* What runs where: the hosts, CPUs and libraries of the ranks, and whether they fit together. */
#ifndef IAU_APP_MACHINE_H
#define IAU_APP_MACHINE_H

#include "core/digest.h"
#include "par/comm.h"

enum { LAYOUT_CHARS = 1024 };

struct machine {
    int n_host;
    int same_bytes;            /* all ranks have the same CPU type, BLAS core type and libraries */
    char layout[LAYOUT_CHARS]; /* rank 0: "node1: ranks 0-1; node2: ranks 2-3"; cut where long */
    char binary[DIGEST_CHARS]; /* SHA-256 of the program's file, "" if it cannot be read */
};

/** Collective. Every rank must run the same program: builds that differ would wait for each other
 * forever, or give other bytes. The first call after comm_start that communicates.
 *  @return IAU_OK, or IAU_ERR_HOSTS naming hosts and versions */
int machine_check_program(const struct comm *comm);
/** Collective. Lines on what runs where: hosts, ranks, threads, binding, CPU, MPI, BLAS; warns of
 * what costs speed or the same bytes. @return IAU_OK; with `strict`, IAU_ERR_HOSTS where ranks may
 * give other bytes than equal nodes would */
int machine_describe(struct machine *m, int strict, const struct comm *comm);

#endif
