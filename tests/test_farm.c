/* The farm: who does which item, ends that come early, and what is reported. */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/stop.h"
#include "harness.h"
#include "par/farm.h"

enum { MOST_ITEMS = 40, MOST_ORDER = 40 };

/* What items do: they note who they are, and fail or stop where they are told to. */
struct work {
    int64_t times[MOST_ITEMS]; /* run on this rank */
    int64_t group[MOST_ITEMS]; /* size of the group, 0: not run here */
    int64_t order[MOST_ORDER]; /* this rank's items */
    int64_t n_order;
    int64_t fails, stops;   /* an item each, or -1 */
    int stops_from_outside; /* a rank of the first group is asked to stop during its first item */
};

static struct work work;

static int run_item(void *ctx, int64_t item, const struct comm *group)
{
    struct work *w = ctx;
    int rc = IAU_OK;
    w->times[item]++;
    w->group[item] = group->size;
    w->order[w->n_order++] = item;
    if (item == w->fails && group->rank == group->size - 1)
        rc = FAIL(IAU_ERR_DATA, "item %lld is bad", (long long)item);
    if (item == w->stops)
        rc = IAU_STOPPED;
    if (w->stops_from_outside && test_comm.rank == 0)
        stop_set(1);
    return comm_agree(group, rc);
}

/* Items are numbered backwards, so that places and numbers differ. */
static int run_farm(int64_t n, int ranks, struct farm_report *r)
{
    int64_t item[MOST_ITEMS];
    struct farm f = {.n = n, .item = item, .ranks = ranks, .run = run_item, .ctx = &work};
    for (int64_t i = 0; i < n; i++)
        item[i] = n - 1 - i;
    return farm_run(&f, r, &test_comm);
}

static void start_work(void)
{
    work = (struct work){.fails = -1, .stops = -1};
}

/* How many groups have run each item. */
static void count_runs(int64_t n, int ranks, int64_t *runs)
{
    int leads = test_comm.rank % (ranks < test_comm.size ? ranks : test_comm.size) == 0;
    for (int64_t i = 0; i < n; i++)
        runs[i] = leads ? work.times[i] : 0;
    comm_sum_i64(&test_comm, runs, n);
}

static void every_item_is_run_once_by_one_group(void)
{
    static const int sizes[] = {1, 2, 3, 100};
    for (int64_t n = 0; n <= 7; n += 7)
        for (int s = 0; s < 4; s++) {
            struct farm_report r;
            int64_t runs[MOST_ITEMS], ranks = sizes[s] < test_comm.size ? sizes[s] : test_comm.size;
            int n_group = (int)((test_comm.size + ranks - 1) / ranks);
            start_work();
            CU_ASSERT_EQUAL(run_farm(n, sizes[s], &r), IAU_OK);
            CU_ASSERT_EQUAL(r.n_group, n_group);
            CU_ASSERT_EQUAL(r.n_done, n);
            CU_ASSERT_TRUE(r.seconds > 0 && r.idle_share >= 0 && r.idle_share <= 1);
            count_runs(n, sizes[s], runs);
            for (int64_t i = 0; i < n; i++)
                CU_ASSERT_EQUAL(runs[i], 1);
        }
}

static void items_are_dealt_in_turn(void)
{
    struct farm_report r;
    enum { N = 11 };
    start_work();
    CU_ASSERT_EQUAL(run_farm(N, 2, &r), IAU_OK);
    int group = test_comm.rank / 2, k = 0;
    for (int64_t place = group; place < N; place += r.n_group)
        CU_ASSERT_EQUAL(work.order[k++], N - 1 - place);
    CU_ASSERT_EQUAL(work.n_order, k);
    int own = test_comm.size - 2 * group < 2 ? 1 : 2;
    CU_ASSERT_EQUAL(work.group[work.order[0]], own);
}

/* One line, whatever the number of groups; nobody starts another item for long. */
static void a_failure_ends_the_farm(void)
{
    struct farm_report r;
    struct capture c;
    char printed[2000];
    enum { N = 9 };
    start_work();
    work.fails = N - 2; /* the second place */
    capture_begin(&c);
    int rc = run_farm(N, 1, &r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_DATA, printed, "item 7 is bad");
    CU_ASSERT_TRUE(r.n_done < N);
    int64_t runs[MOST_ITEMS], done = 0;
    count_runs(N, 1, runs);
    for (int64_t i = 0; i < N; i++) {
        CU_ASSERT_TRUE(runs[i] <= 1);
        done += runs[i];
    }
    CU_ASSERT_EQUAL(done, r.n_done + 1);
}

static void an_item_that_stops_ends_the_farm(void)
{
    struct farm_report r;
    start_work();
    work.stops = 8;
    CU_ASSERT_EQUAL(run_farm(9, 2, &r), IAU_STOPPED);
    CU_ASSERT_TRUE(r.n_done < 9);
}

static void a_request_to_stop_is_obeyed_between_items(void)
{
    struct farm_report r;
    start_work();
    work.stops_from_outside = 1;
    CU_ASSERT_EQUAL(run_farm(9, 1, &r), test_comm.size < 9 ? IAU_STOPPED : IAU_OK);
    CU_ASSERT_TRUE(test_comm.rank > 0 || work.n_order == 1);
    stop_set(0);
    start_work();
    stop_set(test_comm.rank == test_comm.size - 1);
    CU_ASSERT_EQUAL(run_farm(9, 1, &r), IAU_STOPPED);
    CU_ASSERT_TRUE(test_comm.rank < test_comm.size - 1 || work.n_order == 0);
    stop_set(0);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"every item is run once by one group", every_item_is_run_once_by_one_group},
        {"items are dealt in turn", items_are_dealt_in_turn},
        {"a failure ends the farm", a_failure_ends_the_farm},
        {"an item that stops ends the farm", an_item_that_stops_ends_the_farm},
        {"a request to stop is obeyed between items", a_request_to_stop_is_obeyed_between_items},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "farm", tests);
}
