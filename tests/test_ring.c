/* Sums around the ring of ranks: the same as in one call, however many are under way and whenever
 * each rank starts them and moves them on. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "par/ring.h"

/* No items, fewer than ranks, as many, and odd numbers of them. */
static const int64_t lengths[] = {0, 1, 2, 3, 5, 1000, 7, 99991, 262144, 0, 17};
enum { N_SUM = sizeof lengths / sizeof *lengths };

static int64_t total_length(void)
{
    int64_t total = 0;
    for (int i = 0; i < N_SUM; i++)
        total += lengths[i];
    return total;
}

/* A term that no sum of others gives by chance, near the ends of the range. */
static int64_t term(int64_t i, int rank)
{
    return (i % 3 - 1) * (((int64_t)1 << 58) / test_comm.size) + i * (rank + 1);
}

static void fill(int64_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = term(i, test_comm.rank);
}

static int64_t count_wrong(const int64_t *x, int64_t n)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t sum = 0;
        for (int rank = 0; rank < test_comm.size; rank++)
            sum += term(i, rank);
        wrong += x[i] != sum;
    }
    return wrong;
}

/* Ranks start and move on at rhythms of their own: after every (pace + rank)-th start only. */
static void sum_all(struct ring *r, int64_t *x, int pace)
{
    int64_t *at = x;
    for (int i = 0; i < N_SUM; i++) {
        ring_start(r, at, lengths[i]);
        at += lengths[i];
        for (int k = 0; (i + 1) % (pace + test_comm.rank) == 0 && k < 3; k++)
            ring_progress(r);
    }
    ring_finish(r);
}

static void sums_are_whole_whatever_the_pace(void)
{
    struct ring r;
    int64_t n = total_length();
    int64_t *x = mem_alloc(n, sizeof *x);
    CU_ASSERT_EQUAL(ring_init(&r, N_SUM, n, &test_comm), IAU_OK);
    for (int pace = 1; pace <= 2 * N_SUM; pace += 3) {
        fill(x, n);
        sum_all(&r, x, pace);
        CU_ASSERT_EQUAL(count_wrong(x, n), 0);
    }
    ring_free(&r);
    ring_free(&r);
    free(x);
}

/* No rank waits; what has arrived moves on, and that is enough to get through. */
static void progress_alone_gets_through(void)
{
    struct ring r;
    int64_t n = 5000, *x = mem_alloc(n, sizeof *x);
    CU_ASSERT_EQUAL(ring_init(&r, 2, n, &test_comm), IAU_OK);
    fill(x, n);
    ring_start(&r, x + 1000, n - 1000);
    ring_start(&r, x, 1000);
    while (r.n_done < 2)
        ring_progress(&r);
    CU_ASSERT_EQUAL(count_wrong(x, n), 0);
    ring_finish(&r);
    CU_ASSERT_EQUAL(r.n, 0);
    ring_free(&r);
    free(x);
}

static void memory_that_is_short_is_said(void)
{
    struct ring r;
    for (int k = 1; k <= 4; k++) {
        mem_fail_after(k);
        harness_expect_error(ring_init(&r, 3, 1 << 20, &test_comm), IAU_ERR_MEM,
                             "MiB for sums on their way");
        CU_ASSERT(!r.sum && !r.request && !r.through && !r.room);
    }
    mem_fail_after(0);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"sums are whole whatever the pace", sums_are_whole_whatever_the_pace},
                           {"progress alone gets through", progress_alone_gets_through},
                           {"memory that is short is said", memory_that_is_short_is_said},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "ring", tests);
}
