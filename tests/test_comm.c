/* Agreement, sums and copies over ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/stop.h"
#include "harness.h"

/* What this process writes to stderr between start and stop. The caller frees the text. */
static int saved_stderr = -1;
static FILE *captured;

static void capture_start(void)
{
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    captured = tmpfile();
    REQUIRE(saved_stderr >= 0 && captured);
    dup2(fileno(captured), STDERR_FILENO);
}

static char *capture_stop(void)
{
    char *text = mem_alloc(4096, 1);
    REQUIRE(text);
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    rewind(captured);
    text[fread(text, 1, 4095, captured)] = '\0';
    fclose(captured);
    return text;
}

static void all_ok_is_ok_and_silent(void)
{
    capture_start();
    int rc = comm_agree(&test_comm, IAU_OK);
    char *text = capture_stop();
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT_STRING_EQUAL(text, "");
    free(text);
}

/* Whichever rank fails: one code everywhere, and one line, from that rank. */
static void one_failing_rank_gives_one_code_and_one_line(void)
{
    for (int failing = 0; failing < test_comm.size; failing++) {
        int rc = IAU_OK;
        char expected[128];
        if (test_comm.rank == failing)
            rc = FAIL(IAU_ERR_IO, "cannot read row %d", 17);
        capture_start();
        rc = comm_agree(&test_comm, rc);
        char *text = capture_stop();
        if (failing == 0) /* reading and writing files is rank 0's work: no need to say so */
            snprintf(expected, sizeof expected, "iau: error: cannot read row 17\n");
        else
            snprintf(expected, sizeof expected, "iau: error: rank %d: cannot read row 17\n",
                     failing);
        CU_ASSERT_EQUAL(rc, IAU_ERR_IO);
        CU_ASSERT_STRING_EQUAL(text, test_comm.rank == failing ? expected : "");
        CU_ASSERT_STRING_EQUAL(error_message(), "");
        free(text);
    }
}

static void the_same_failure_everywhere_is_told_once(void)
{
    int rc = FAIL(IAU_ERR_FORMAT, "no data set");
    capture_start();
    rc = comm_agree(&test_comm, rc);
    rc = comm_agree(&test_comm, rc); /* a caller further out agrees again */
    char *text = capture_stop();
    CU_ASSERT_EQUAL(rc, IAU_ERR_FORMAT);
    CU_ASSERT_STRING_EQUAL(text, test_comm.rank == 0 ? "iau: error: no data set\n" : "");
    free(text);
}

/* Whichever rank has told it, and whoever told the one before. */
static void what_one_rank_has_told_all_know_once(void)
{
    char reason[REASON_CHARS];
    for (int failing = 0; failing < 2 * test_comm.size; failing++) {
        char expected[64];
        int rc = IAU_OK;
        snprintf(expected, sizeof expected, "no number in step %d", failing);
        if (test_comm.rank == failing % test_comm.size)
            rc = FAIL(IAU_ERR_NUMERIC, "%s", expected);
        capture_start();
        comm_agree(&test_comm, rc);
        free(capture_stop());
        comm_error_shown(&test_comm, reason);
        CU_ASSERT_STRING_EQUAL(reason, expected);
        comm_error_shown(&test_comm, reason);
        CU_ASSERT_STRING_EQUAL(reason, "");
    }
}

static void the_worst_code_wins(void)
{
    int last = test_comm.size - 1;
    int rc = test_comm.rank == last ? FAIL(IAU_ERR_MEM, "no memory") : FAIL(IAU_ERR_IO, "no file");
    capture_start();
    rc = comm_agree(&test_comm, rc);
    char *text = capture_stop();
    CU_ASSERT_EQUAL(rc, IAU_ERR_MEM);
    CU_ASSERT_EQUAL(strstr(text, "no memory") != NULL, test_comm.rank == last);
    CU_ASSERT_PTR_NULL(strstr(text, "no file"));
    free(text);
}

static void one_stop_request_stops_all(void)
{
    CU_ASSERT_FALSE(comm_stop_requested(&test_comm));
    stop_set(test_comm.rank == test_comm.size - 1);
    CU_ASSERT_TRUE(comm_stop_requested(&test_comm));
    stop_set(0);
    CU_ASSERT_FALSE(comm_stop_requested(&test_comm));
}

static void memory_failure_on_one_rank_reaches_all(void)
{
    int last = test_comm.size - 1;
    if (test_comm.rank == last)
        mem_fail_after(2);
    void *a = mem_alloc(10, 4), *b = mem_alloc(10, 4), *c = mem_alloc(10, 4);
    CU_ASSERT_PTR_NOT_NULL(a);
    CU_ASSERT_EQUAL(b == NULL, test_comm.rank == last);
    CU_ASSERT_PTR_NOT_NULL(c);
    int rc = b ? IAU_OK : FAIL(IAU_ERR_MEM, "40 bytes of samples");
    capture_start();
    rc = comm_agree(&test_comm, rc);
    char *text = capture_stop();
    CU_ASSERT_EQUAL(rc, IAU_ERR_MEM);
    CU_ASSERT_EQUAL(strstr(text, "40 bytes of samples") != NULL, test_comm.rank == last);
    free(text);
    free(a);
    free(b);
    free(c);
}

/* Longer than one MPI call carries. */
static void long_sums_are_whole(void)
{
    int64_t n = (1 << 20) + 5;
    int64_t *x = mem_alloc(n, sizeof *x);
    CU_ASSERT_PTR_NOT_NULL(x);
    if (comm_agree(&test_comm, x ? IAU_OK : FAIL(IAU_ERR_MEM, "%lld", (long long)n)) != IAU_OK)
        return;
    for (int64_t i = 0; i < n; i++)
        x[i] = i * (test_comm.rank + 1);
    comm_sum_i64(&test_comm, x, n);
    int64_t factor = (int64_t)test_comm.size * (test_comm.size + 1) / 2, n_wrong = 0;
    for (int64_t i = 0; i < n; i++)
        n_wrong += x[i] != i * factor;
    CU_ASSERT_EQUAL(n_wrong, 0);
    free(x);
}

static void min_max_and_mean(void)
{
    int64_t low[2] = {-test_comm.rank, 5}, high[2] = {-test_comm.rank, 5};
    double x[3];
    comm_min_i64(&test_comm, low, 2);
    comm_max_i64(&test_comm, high, 2);
    CU_ASSERT_EQUAL(low[0], 1 - test_comm.size);
    CU_ASSERT_EQUAL(high[0], 0);
    CU_ASSERT_EQUAL(low[1] + high[1], 10);
    comm_min_mean_max(&test_comm, 2.0 * test_comm.rank - 1.0, x);
    CU_ASSERT_EQUAL(x[0], -1.0);
    CU_ASSERT_DOUBLE_EQUAL(x[1], test_comm.size - 2.0, 1e-12);
    CU_ASSERT_EQUAL(x[2], 2.0 * test_comm.size - 3.0);
}

static void broadcast_from_any_rank(void)
{
    for (int root = 0; root < test_comm.size; root++) {
        char text[32] = "";
        if (test_comm.rank == root)
            snprintf(text, sizeof text, "from rank %d", root);
        comm_bcast(&test_comm, text, sizeof text, root);
        CU_ASSERT_EQUAL(strncmp(text, "from rank ", 10), 0);
        CU_ASSERT_EQUAL(atoi(text + 10), root);
    }
    comm_bcast(&test_comm, NULL, 0, 0);
}

/* Rank r holds `share(r)` items; some shares are empty. */
static int64_t share(int rank, int empty)
{
    return rank % 3 == empty ? 0 : 3 + 5 * rank;
}

static void gather_in_rank_order_with_empty_shares(void)
{
    for (int empty = 0; empty < 4; empty++) {
        int64_t local[64], out[64] = {0}, n = share(test_comm.rank, empty), k = 0;
        for (int64_t i = 0; i < n; i++)
            local[i] = 100 * test_comm.rank + i;
        comm_gather(&test_comm, n ? local : NULL, n, sizeof *local,
                    test_comm.rank == 0 ? out : NULL);
        for (int r = 0; test_comm.rank == 0 && r < test_comm.size; r++)
            for (int64_t i = 0; i < share(r, empty); i++)
                CU_ASSERT_EQUAL(out[k++], 100 * r + i);
    }
}

static void different_values_are_named(void)
{
    CU_ASSERT_EQUAL(comm_check_equal(&test_comm, 0xfedcba9876543210u, "x"), IAU_OK);
    if (test_comm.size == 1)
        return;
    int last = test_comm.size - 1;
    char expected[128];
    snprintf(expected, sizeof expected,
             "parameters after step 3 differs from rank 0 on 1 of %d ranks: %d", test_comm.size,
             last);
    int rc = comm_check_equal(&test_comm, test_comm.rank == last, "parameters after step 3");
    harness_expect_error(rc, IAU_ERR_REPLICA, expected);
    snprintf(expected, sizeof expected, "on %d of %d ranks: 1%s", last, test_comm.size,
             test_comm.size == 3 ? ", 2" : "");
    rc = comm_check_equal(&test_comm, test_comm.rank == 0 ? UINT64_MAX : 7, "x");
    harness_expect_error(rc, IAU_ERR_REPLICA, expected);
}

/* Neighbours two by two; an odd last one is alone. */
static void parts_work_on_their_own(void)
{
    struct comm part, empty = {0};
    comm_split(&part, &test_comm, test_comm.rank / 2);
    int first = test_comm.rank / 2 * 2, size = test_comm.size - first < 2 ? 1 : 2;
    CU_ASSERT_EQUAL(part.rank, test_comm.rank - first);
    CU_ASSERT_EQUAL(part.size, size);
    CU_ASSERT_TRUE(part.one_host);
    for (int i = 0; i <= first; i++) { /* more calls in later parts */
        int64_t sum = test_comm.rank;
        comm_sum_i64(&part, &sum, 1);
        CU_ASSERT_EQUAL(sum, size == 2 ? 2 * first + 1 : first);
        CU_ASSERT_EQUAL(comm_check_equal(&part, (uint64_t)first, "x"), IAU_OK);
    }
    comm_free(&part);
    comm_free(&part);
    comm_free(&empty);
    CU_ASSERT_EQUAL(part.mpi, MPI_COMM_NULL);
}

/* The last rank of each part fails, those of all parts in turn, and then all of them. */
static void errors_of_parts_are_told_once_by_the_whole(void)
{
    struct comm part;
    int n_part = (test_comm.size + 1) / 2, own = test_comm.rank / 2;
    comm_split(&part, &test_comm, own);
    for (int failing = 0; failing <= n_part; failing++) {
        int rc = IAU_OK, fails = failing == n_part || failing == own;
        char expected[128];
        int teller = failing == n_part ? 1 : 2 * failing + 1;
        teller = teller < test_comm.size ? teller : test_comm.size - 1;
        char from[32] = "";
        if (teller > 0)
            snprintf(from, sizeof from, "rank %d: ", teller);
        snprintf(expected, sizeof expected, "iau: error: %sno model %d\n", from, teller / 2);
        if (fails && part.rank == part.size - 1)
            rc = FAIL(IAU_ERR_DATA, "no model %d", own);
        capture_start();
        rc = comm_agree(&part, rc);
        rc = comm_agree(&part, rc);
        char *text = capture_stop();
        CU_ASSERT_EQUAL(rc, fails ? IAU_ERR_DATA : IAU_OK);
        CU_ASSERT_STRING_EQUAL(text, "");
        free(text);
        capture_start();
        rc = comm_agree(&test_comm, rc);
        text = capture_stop();
        CU_ASSERT_EQUAL(rc, IAU_ERR_DATA);
        CU_ASSERT_STRING_EQUAL(text, test_comm.rank == teller ? expected : "");
        CU_ASSERT_STRING_EQUAL(error_message(), "");
        free(text);
    }
    comm_free(&part);
}

/* Rank 0 rings while the others are at work of their own. */
static void a_bell_is_heard_in_every_part(void)
{
    struct comm part;
    struct comm_bell bell, unused = {0};
    for (int n_ringing = 0; n_ringing <= test_comm.size; n_ringing += test_comm.size) {
        comm_split(&part, &test_comm, test_comm.rank);
        CU_ASSERT_EQUAL(comm_bell_init(&bell, &test_comm), IAU_OK);
        CU_ASSERT_FALSE(comm_bell_rung(&bell));
        comm_barrier(&test_comm);
        if (test_comm.rank < (n_ringing ? 1 : 0)) {
            comm_bell_ring(&bell);
            comm_bell_ring(&bell);
        }
        while (n_ringing && !comm_bell_rung(&bell))
            comm_barrier(&part);
        if (test_comm.rank < n_ringing)
            comm_bell_ring(&bell); /* those who have heard may ring, too */
        comm_bell_free(&bell);
        comm_bell_free(&bell);
        comm_free(&part);
    }
    comm_bell_free(&unused);
}

static void library_is_one_line(void)
{
    CU_ASSERT_TRUE(strlen(comm_library()) > 3);
    CU_ASSERT_PTR_NULL(strchr(comm_library(), '\n'));
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"all ok is ok and silent", all_ok_is_ok_and_silent},
        {"one failing rank gives one code and one line",
         one_failing_rank_gives_one_code_and_one_line},
        {"the same failure everywhere is told once", the_same_failure_everywhere_is_told_once},
        {"what one rank has told all know, once", what_one_rank_has_told_all_know_once},
        {"the worst code wins", the_worst_code_wins},
        {"one stop request stops all", one_stop_request_stops_all},
        {"memory failure on one rank reaches all", memory_failure_on_one_rank_reaches_all},
        {"long sums are whole", long_sums_are_whole},
        {"min, max and mean", min_max_and_mean},
        {"broadcast from any rank", broadcast_from_any_rank},
        {"gather in rank order with empty shares", gather_in_rank_order_with_empty_shares},
        {"different values are named", different_values_are_named},
        {"parts work on their own", parts_work_on_their_own},
        {"errors of parts are told once by the whole", errors_of_parts_are_told_once_by_the_whole},
        {"a bell is heard in every part", a_bell_is_heard_in_every_part},
        {"library is one line", library_is_one_line},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "comm", tests);
}
