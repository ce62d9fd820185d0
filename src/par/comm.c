/* The one door to MPI: start, stop, agreement on errors, exact sums, copies between ranks. */
#include "par/comm.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stop.h"

/* MPI counts are int, so long vectors travel in pieces. Within a host, pieces of 2 MiB keep a
 * reduction within the caches: 11.2 M int64 on 2 ranks took 13 ms this way and 38 ms in one call.
 * Between hosts, where each piece waits for the handshake of the last, they took 1.4 s at 1 Gbit/s
 * and one call 0.77 s. */
enum {
    PIECE_ITEMS = 1 << 18,
    PIECE_ITEMS_FAR = 1 << 27,
    PIECE_BYTES = 1 << 28,
    TAG_GATHER = 1,
    TAG_BELL
};

enum { MAX_NAMED_RANKS = 8 };

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* IAU_FAIL_ALLOC=RANK:K, for tests of running out of memory on one rank. */
static void read_injected_failure(int rank)
{
    const char *text = getenv("IAU_FAIL_ALLOC");
    int which;
    long long k;
    char rest;
    if (!text || !*text)
        return;
    if (sscanf(text, "%d:%lld%c", &which, &k, &rest) != 2 || which < 0 || k < 1)
        log_warn("IAU_FAIL_ALLOC=%s is not RANK:K and has no effect", text);
    else if (which == rank)
        mem_fail_after(k);
}

static int is_one_host(const struct comm *c)
{
    MPI_Comm host;
    int size;
    MPI_Comm_split_type(c->mpi, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &host);
    MPI_Comm_size(host, &size);
    MPI_Comm_free(&host);
    return size == c->size; /* the same on every rank: else each host has fewer than all */
}

int comm_start(struct comm *c, int *argc, char ***argv)
{
    int provided;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_dup(MPI_COMM_WORLD, &c->mpi);
    MPI_Comm_rank(c->mpi, &c->rank);
    MPI_Comm_size(c->mpi, &c->size);
    c->one_host = is_one_host(c);
    log_init(c->rank, LOG_LEVEL_NORMAL);
    read_injected_failure(c->rank);
    if (provided < MPI_THREAD_FUNNELED)
        return comm_agree(c, FAIL(IAU_ERR_CONFIG, "this MPI library does not support threads"));
    return IAU_OK;
}

void comm_stop(struct comm *c)
{
    if (c->mpi == MPI_COMM_NULL)
        return;
    MPI_Comm_free(&c->mpi);
    MPI_Finalize();
}

void comm_split(struct comm *part, const struct comm *c, int color)
{
    *part = (struct comm){.is_part = 1};
    MPI_Comm_split(c->mpi, color, c->rank, &part->mpi);
    MPI_Comm_rank(part->mpi, &part->rank);
    MPI_Comm_size(part->mpi, &part->size);
    part->one_host = is_one_host(part);
}

void comm_free(struct comm *part)
{
    if (part->is_part)
        MPI_Comm_free(&part->mpi);
    *part = (struct comm){.mpi = MPI_COMM_NULL};
}

int comm_bell_init(struct comm_bell *b, const struct comm *whole)
{
    *b = (struct comm_bell){whole, mem_alloc(whole->size, sizeof(MPI_Request)), 0};
    return b->request ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for requests");
}

void comm_bell_ring(struct comm_bell *b)
{
    if (b->rung)
        return;
    b->rung = 1;
    for (int to = 0; to < b->comm->size; to++)
        MPI_Isend(NULL, 0, MPI_BYTE, to, TAG_BELL, b->comm->mpi, &b->request[to]);
}

int comm_bell_rung(const struct comm_bell *b)
{
    int arrived = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, TAG_BELL, b->comm->mpi, &arrived, MPI_STATUS_IGNORE);
    return arrived || b->rung;
}

void comm_bell_free(struct comm_bell *b)
{
    if (!b->comm)
        return;
    int64_t n_ring = b->rung; /* each has come to every rank, its own included */
    comm_sum_i64(b->comm, &n_ring, 1);
    for (int64_t i = 0; i < n_ring; i++)
        MPI_Recv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, TAG_BELL, b->comm->mpi, MPI_STATUS_IGNORE);
    if (b->rung)
        MPI_Waitall(b->comm->size, b->request, MPI_STATUSES_IGNORE);
    free(b->request);
    *b = (struct comm_bell){0};
}

int comm_agree(const struct comm *c, int rc)
{
    /* The highest code over ranks, with a message rather than without, and the lowest rank that
     * passed it. */
    struct {
        int code, rank;
    } worst = {2 * rc + (*error_message() != '\0'), c->rank};
    MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_2INT, MPI_MAXLOC, c->mpi);
    int code = worst.code / 2, is_mine = code != IAU_OK && worst.rank == c->rank;
    if (is_mine && c->is_part)
        return code;
    if (is_mine)
        error_show(c->rank > 0 ? c->rank : -1); /* files are rank 0's work: no need to say so */
    error_clear();
    return code;
}

void comm_error_shown(const struct comm *c, char reason[REASON_CHARS])
{
    int64_t who = *error_shown() ? c->rank : INT_MAX;
    snprintf(reason, REASON_CHARS, "%s", error_shown());
    error_forget_shown();
    comm_min_i64(c, &who, 1);
    if (who < c->size)
        comm_bcast(c, reason, REASON_CHARS, (int)who);
}

int comm_stop_requested(const struct comm *c)
{
    int64_t stop = stop_requested();
    comm_max_i64(c, &stop, 1);
    return stop != 0;
}

static void reduce_i64(const struct comm *c, int64_t *x, int64_t n, MPI_Op op)
{
    int64_t piece = c->one_host ? PIECE_ITEMS : PIECE_ITEMS_FAR;
    for (int64_t done = 0; done < n; done += piece) {
        int count = (int)min_i64(n - done, piece);
        MPI_Allreduce(MPI_IN_PLACE, x + done, count, MPI_INT64_T, op, c->mpi);
    }
}

void comm_sum_i64(const struct comm *c, int64_t *x, int64_t n)
{
    reduce_i64(c, x, n, MPI_SUM);
}

void comm_min_i64(const struct comm *c, int64_t *x, int64_t n)
{
    reduce_i64(c, x, n, MPI_MIN);
}

void comm_max_i64(const struct comm *c, int64_t *x, int64_t n)
{
    reduce_i64(c, x, n, MPI_MAX);
}

void comm_bcast(const struct comm *c, void *p, int64_t n_bytes, int root)
{
    for (int64_t done = 0; done < n_bytes; done += PIECE_BYTES) {
        int count = (int)min_i64(n_bytes - done, PIECE_BYTES);
        MPI_Bcast((char *)p + done, count, MPI_BYTE, root, c->mpi);
    }
}

/* Rank 0 takes the shares one after another: one is in flight, and none needs an int offset. */
static void receive_shares(const struct comm *c, size_t size, char *out)
{
    for (int from = 1; from < c->size; from++) {
        int64_t n;
        MPI_Recv(&n, 1, MPI_INT64_T, from, TAG_GATHER, c->mpi, MPI_STATUS_IGNORE);
        int64_t n_bytes = n * (int64_t)size;
        for (int64_t done = 0; done < n_bytes; done += PIECE_BYTES) {
            int count = (int)min_i64(n_bytes - done, PIECE_BYTES);
            MPI_Recv(out + done, count, MPI_BYTE, from, TAG_GATHER, c->mpi, MPI_STATUS_IGNORE);
        }
        out += n_bytes;
    }
}

static void send_share(const struct comm *c, const char *in, int64_t n, size_t size)
{
    int64_t n_bytes = n * (int64_t)size;
    MPI_Send(&n, 1, MPI_INT64_T, 0, TAG_GATHER, c->mpi);
    for (int64_t done = 0; done < n_bytes; done += PIECE_BYTES) {
        int count = (int)min_i64(n_bytes - done, PIECE_BYTES);
        MPI_Send(in + done, count, MPI_BYTE, 0, TAG_GATHER, c->mpi);
    }
}

void comm_gather(const struct comm *c, const void *in, int64_t n_local, size_t size, void *out)
{
    if (c->rank != 0) {
        send_share(c, in, n_local, size);
        return;
    }
    if (n_local > 0)
        memmove(out, in, (size_t)n_local * size);
    receive_shares(c, size, c->size > 1 ? (char *)out + (size_t)n_local * size : NULL);
}

void comm_min_mean_max(const struct comm *c, double x, double out[3])
{
    double extreme[2] = {-x, x}, sum = x;
    MPI_Allreduce(MPI_IN_PLACE, extreme, 2, MPI_DOUBLE, MPI_MAX, c->mpi);
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, c->mpi);
    out[0] = -extreme[0];
    out[1] = sum / c->size;
    out[2] = extreme[1];
}

void comm_barrier(const struct comm *c)
{
    MPI_Barrier(c->mpi);
}

/* Append ", RANK" for the first ranks whose value differs; every rank walks the same list. */
static void name_differing(const struct comm *c, int differs, char *text, size_t n_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (int last = -1, named = 0; named < MAX_NAMED_RANKS; named++) {
        int64_t next = differs && c->rank > last ? c->rank : INT_MAX;
        comm_min_i64(c, &next, 1);
        if (next == INT_MAX)
            return;
        last = (int)next;
        used += (size_t)snprintf(text + used, n_bytes - used, "%s%d", named ? ", " : "", last);
    }
}

int comm_check_equal(const struct comm *c, uint64_t value, const char *what)
{
    uint64_t extreme[2] = {value, ~value}, first = value;
    MPI_Allreduce(MPI_IN_PLACE, extreme, 2, MPI_UINT64_T, MPI_MAX, c->mpi);
    if (extreme[0] == ~extreme[1])
        return IAU_OK;
    char ranks[MAX_NAMED_RANKS * 12 + 1];
    comm_bcast(c, &first, sizeof first, 0);
    int64_t n_differing = value != first;
    comm_sum_i64(c, &n_differing, 1);
    name_differing(c, value != first, ranks, sizeof ranks);
    return FAIL(IAU_ERR_REPLICA, "%s differs from rank 0 on %lld of %d ranks: %s%s", what,
                (long long)n_differing, c->size, ranks,
                n_differing > MAX_NAMED_RANKS ? ", ..." : "");
}

const char *comm_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n")] = '\0'; /* Open MPI adds its package and build host */
    return text;
}

const char *comm_host(char *buf, size_t size)
{
    if (gethostname(buf, size) != 0)
        snprintf(buf, size, "unknown");
    buf[size - 1] = '\0';
    return buf;
}
