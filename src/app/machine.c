/* Every rank says where it runs; rank 0 gathers that, prints it, and finds what does not fit. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "app/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/version.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/h5.h"
#include "kernel/gemm.h"
#include "kernel/lanes.h"
#include "sweep/sweep.h"

enum { PLACE_CHARS = 128, MAX_HOST_LINES = 32, MAX_NAMED = 8, PROGRAM_LIMIT = 1 << 30 };

/* One rank, as it is sent to rank 0. */
struct place {
    char host[PLACE_CHARS];
    char program[PLACE_CHARS]; /* version, and the beginning of its digest */
    char cpu[PLACE_CHARS], blas[PLACE_CHARS], libraries[PLACE_CHARS];
    char cpus[PLACE_CHARS]; /* this rank may run on, "0-3,8" */
    int n_cpus, n_online, n_thread;
};

/* --- one rank */

/* SHA-256 of this program's file, "" where it cannot be read. */
static void digest_program(char hex[DIGEST_CHARS])
{
    char *p = NULL;
    size_t n_bytes;
    hex[0] = '\0';
    if (file_read_all("/proc/self/exe", &p, &n_bytes, PROGRAM_LIMIT) != IAU_OK ||
        digest_of(p, n_bytes, hex) != IAU_OK)
        error_clear();
    free(p);
}

static void list_cpus(struct place *p)
{
    cpu_set_t set;
    size_t at = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return;
    p->n_cpus = CPU_COUNT(&set);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        int first = i;
        if (!CPU_ISSET(i, &set))
            continue;
        while (i + 1 < CPU_SETSIZE && CPU_ISSET(i + 1, &set))
            i++;
        if (at + 16 < sizeof p->cpus)
            at += (size_t)snprintf(p->cpus + at, sizeof p->cpus - at,
                                   i > first ? "%s%d-%d" : "%s%d", at ? "," : "", first, i);
    }
}

static void describe_rank(struct place *p, const char *binary)
{
    *p = (struct place){.n_thread = engine_threads(),
                        .n_online = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    comm_host(p->host, sizeof p->host);
    snprintf(p->program, sizeof p->program, "%.64s (%.12s)", version_text(), binary);
    snprintf(p->cpu, sizeof p->cpu, "%s", cpu_name());
    snprintf(p->blas, sizeof p->blas, "%s", gemm_core_name());
    snprintf(p->libraries, sizeof p->libraries, "%s, %s, %s", comm_library(), h5_version(),
             gemm_version());
    list_cpus(p);
}

/* All ranks' places on rank 0, NULL elsewhere; *rc is agreed. The caller frees. */
static struct place *gather_places(const char *binary, const struct comm *comm, int *rc)
{
    struct place own, *all = comm->rank == 0 ? mem_alloc(comm->size, sizeof *all) : NULL;
    describe_rank(&own, binary);
    *rc =
        comm_agree(comm, comm->rank == 0 && !all
                             ? FAIL(IAU_ERR_MEM, "no memory for the places of %d ranks", comm->size)
                             : IAU_OK);
    if (*rc == IAU_OK)
        comm_gather(comm, &own, 1, sizeof own, all);
    return all;
}

/* --- what differs between ranks; rank 0 */

/* Where a text of struct place stands in it. */
static const char *text_at(const struct place *p, size_t offset)
{
    return (const char *)p + offset;
}

/* "node1: X, node2: Y": the first rank of each value. @return the number of values */
static int list_values(const struct place *all, int n, size_t offset, char *out, size_t size)
{
    int seen[MAX_NAMED], n_value = 0;
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < n && n_value < MAX_NAMED; i++) {
        int k = 0;
        while (k < n_value && strcmp(text_at(&all[i], offset), text_at(&all[seen[k]], offset)) != 0)
            k++;
        if (k < n_value)
            continue;
        seen[n_value++] = i;
        if (at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%s (rank %d): %s", at ? ", " : "",
                                   all[i].host, i, text_at(&all[i], offset));
    }
    return n_value;
}

int machine_check_program(const struct comm *comm)
{
    char binary[DIGEST_CHARS], list[700];
    int rc = IAU_OK;
    if (comm->size == 1)
        return IAU_OK;
    digest_program(binary);
    struct place *all = gather_places(binary, comm, &rc);
    if (rc == IAU_OK && comm->rank == 0 &&
        list_values(all, comm->size, offsetof(struct place, program), list, sizeof list) > 1)
        rc = FAIL(IAU_ERR_HOSTS, "ranks run different programs: %s; install one build everywhere",
                  list);
    free(all);
    return comm_agree(comm, rc);
}

static const struct {
    const char *name;
    size_t offset;
} traits[] = {{"CPU type", offsetof(struct place, cpu)},
              {"BLAS core type", offsetof(struct place, blas)},
              {"libraries", offsetof(struct place, libraries)}};

/* Warn of the first trait that differs, or fail. */
static int compare_places(struct machine *m, const struct place *all, int n, int strict)
{
    char list[700];
    m->same_bytes = 1;
    for (size_t i = 0; i < sizeof traits / sizeof *traits && m->same_bytes; i++) {
        if (list_values(all, n, traits[i].offset, list, sizeof list) == 1)
            continue;
        m->same_bytes = 0;
        if (strict)
            return FAIL(IAU_ERR_HOSTS, "ranks differ in %s: %s; --strict asks for equal nodes",
                        traits[i].name, list);
        log_warn("ranks differ in %s: %s; results may differ in their last bits from runs on equal "
                 "nodes, and say same_bytes = no",
                 traits[i].name, list);
    }
    return IAU_OK;
}

/* --- lines; rank 0 */

/* "0-2,5": the ranks of `all` on the host of rank `first`. */
static void list_ranks(const struct place *all, int n, int first, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = first; i < n; i++) {
        int begin = i;
        if (strcmp(all[i].host, all[first].host) != 0)
            continue;
        while (i + 1 < n && strcmp(all[i + 1].host, all[first].host) == 0)
            i++;
        if (at + 24 < size)
            at += (size_t)snprintf(out + at, size - at, i > begin ? "%s%d-%d" : "%s%d",
                                   at ? "," : "", begin, i);
    }
}

/* "not bound", "on CPUs 0-3" for all of a host's ranks, or "bound to CPUs 0 / 1". */
static void describe_binding(const struct place *all, int n, int first, char *out, size_t size)
{
    int equal = 1;
    size_t at = 0;
    for (int i = first; i < n; i++)
        equal = equal && (strcmp(all[i].host, all[first].host) != 0 ||
                          strcmp(all[i].cpus, all[first].cpus) == 0);
    if (equal) {
        snprintf(out, size,
                 all[first].n_cpus == all[first].n_online ? "not bound" : "not bound, on CPUs %s",
                 all[first].cpus);
        return;
    }
    for (int i = first; i < n && at + PLACE_CHARS < size; i++)
        if (strcmp(all[i].host, all[first].host) == 0)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " / " : "bound to CPUs ",
                                   all[i].cpus);
}

/* Threads that share cores wait for each other: those of one rank, or of all ranks of a host. */
static void warn_of_waiting(const struct place *all, int n, int first)
{
    int n_thread = 0, most = 1, n_core = all[first].n_online;
    if (getenv("OMP_PROC_BIND") || getenv("OMP_PLACES") || getenv("GOMP_CPU_AFFINITY"))
        return; /* a rank's first thread is on a core of its own already */
    for (int i = first; i < n; i++) {
        if (strcmp(all[i].host, all[first].host) != 0)
            continue;
        n_thread += all[i].n_thread;
        most = all[i].n_thread > most ? all[i].n_thread : most;
        if (all[i].n_thread > all[i].n_cpus) {
            log_warn("%d threads on %d core%s wait for each other, on %s, rank %d: set "
                     "OMP_NUM_THREADS to the cores of a rank, and let the launcher give it these",
                     all[i].n_thread, all[i].n_cpus, all[i].n_cpus == 1 ? "" : "s", all[i].host, i);
            return;
        }
    }
    if (most > 1 && n_thread > n_core)
        log_warn("%d threads on %d cores wait for each other, on %s: set OMP_NUM_THREADS to the "
                 "cores of a rank",
                 n_thread, n_core, all[first].host);
}

/* The ranks whose host has no rank before them; NULL when memory is short. */
static int *first_ranks(const struct place *all, int n, int *n_host)
{
    int *first = mem_alloc(n, sizeof *first);
    *n_host = 0;
    for (int i = 0; first && i < n; i++) {
        int k = 0;
        while (k < *n_host && strcmp(all[first[k]].host, all[i].host) != 0)
            k++;
        if (k == *n_host)
            first[(*n_host)++] = i;
    }
    return first;
}

static void print_head(const struct machine *m, const struct place *all, int n, const char *binding)
{
    char where[PLACE_CHARS];
    snprintf(where, sizeof where, "%d hosts", m->n_host);
    log_line("iau on %s: %d rank%s x %d thread%s, %s, %s, BLAS core %s, vectors of %d floats%s%s",
             m->n_host == 1 ? all[0].host : where, n, n == 1 ? "" : "s", all[0].n_thread,
             all[0].n_thread == 1 ? "" : "s", all[0].cpu, comm_library(), all[0].blas,
             IAU_VECTOR_WIDTH, m->n_host == 1 ? ", " : "", m->n_host == 1 ? binding : "");
}

static int print_places(struct machine *m, const struct place *all, int n)
{
    char ranks[256], binding[512];
    size_t at = 0;
    int *first = first_ranks(all, n, &m->n_host);
    if (!first)
        return FAIL(IAU_ERR_MEM, "no memory for a list of hosts");
    describe_binding(all, n, 0, binding, sizeof binding);
    print_head(m, all, n, binding);
    for (int k = 0; k < m->n_host; k++) {
        const struct place *host = &all[first[k]];
        list_ranks(all, n, first[k], ranks, sizeof ranks);
        describe_binding(all, n, first[k], binding, sizeof binding);
        if (m->n_host > 1 && k < MAX_HOST_LINES)
            log_line("  %s: ranks %s, %d thread%s each, %s", host->host, ranks, host->n_thread,
                     host->n_thread == 1 ? "" : "s", binding);
        if (at < LAYOUT_CHARS)
            at += (size_t)snprintf(m->layout + at, LAYOUT_CHARS - at, "%s%s: ranks %s",
                                   at ? "; " : "", host->host, ranks);
        warn_of_waiting(all, n, first[k]);
    }
    if (m->n_host > MAX_HOST_LINES)
        log_line("  and %d more hosts", m->n_host - MAX_HOST_LINES);
    free(first);
    return IAU_OK;
}

static void warn_of_narrow_blas(void)
{
    if (cpu_isa() == CPU_AVX512 && !gemm_core_is_512())
        log_warn("the CPU has AVX-512, but the BLAS uses %s kernels, at about half the speed: %s",
                 gemm_core_name(),
                 getenv("OPENBLAS_CORETYPE") ? "unset OPENBLAS_CORETYPE"
                                             : "another build of OpenBLAS may do better");
}

int machine_describe(struct machine *m, int strict, const struct comm *comm)
{
    int rc = IAU_OK;
    *m = (struct machine){0};
    digest_program(m->binary);
    struct place *all = gather_places(m->binary, comm, &rc);
    if (rc == IAU_OK && comm->rank == 0) {
        rc = print_places(m, all, comm->size);
        if (rc == IAU_OK)
            rc = compare_places(m, all, comm->size, strict);
        if (rc == IAU_OK)
            warn_of_narrow_blas();
    }
    free(all);
    rc = comm_agree(comm, rc);
    comm_bcast(comm, &m->n_host, sizeof m->n_host, 0);
    comm_bcast(comm, &m->same_bytes, sizeof m->same_bytes, 0);
    return rc;
}
