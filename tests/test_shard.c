/* Shares and virtual shards: nothing is lost or taken twice, units are even, and the order is
 * random but local. */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "data/shard.h"
#include "harness.h"

static const struct {
    int64_t n;
    int batch, unit;
} plans[] = {{1, 64, 16},     {5, 64, 16},    {63, 64, 16},    {64, 64, 16},
             {65, 64, 16},    {997, 64, 16},  {40000, 64, 16}, {997, 100, 16},
             {1003, 100, 16}, {997, 64, 64},  {997, 7, 16},    {50, 1, 1},
             {1000, 256, 64}, {12345, 37, 5}, {10, 17, 16},    {4097, 1000, 48}};

enum { N_PLAN = sizeof plans / sizeof plans[0] };

static int64_t size_of(struct range r)
{
    return r.end - r.begin;
}

static void shares_are_contiguous_and_even(void)
{
    for (int64_t n = 0; n < 40; n++)
        for (int64_t k = 1; k < 12; k++) {
            int64_t end = 0, most = 0, least = n;
            for (int64_t i = 0; i < k; i++) {
                struct range r = shard_range(n, i, k);
                CU_ASSERT_EQUAL(r.begin, end);
                end = r.end;
                most = size_of(r) > most ? size_of(r) : most;
                least = size_of(r) < least ? size_of(r) : least;
            }
            CU_ASSERT_EQUAL(end, n);
            CU_ASSERT_TRUE(most - least <= 1);
        }
}

static void sum_over_shares_misses_no_sample(void)
{
    struct range r = shard_range(1000, test_comm.rank, test_comm.size);
    int64_t sum = 0;
    for (int64_t i = r.begin; i < r.end; i++)
        sum += i;
    comm_sum_i64(&test_comm, &sum, 1); /* every rank must reach this line */
    CU_ASSERT_EQUAL(sum, 499500);
}

static void plans_have_the_right_counts(void)
{
    struct shard_plan p = shard_plan(40000, 64, 16);
    CU_ASSERT_TRUE(p.n_shard == 4 && p.n_step == 625);
    p = shard_plan(1003, 100, 16);
    CU_ASSERT_TRUE(p.n_shard == 7 && p.n_step == 11);
    CU_ASSERT_EQUAL(shard_step_samples(&p, 9), 100);
    CU_ASSERT_EQUAL(shard_step_samples(&p, 10), 3);
    p = shard_plan(1, 64, 16);
    CU_ASSERT_TRUE(p.n_shard == 4 && p.n_step == 1);
    CU_ASSERT_EQUAL(shard_step_samples(&p, 0), 1);
}

static void shards_partition_the_positions(void)
{
    for (int i = 0; i < N_PLAN; i++) {
        struct shard_plan p = shard_plan(plans[i].n, plans[i].batch, plans[i].unit);
        int64_t end = 0;
        for (int j = 0; j < p.n_shard; j++) {
            struct range r = shard_positions(&p, j);
            CU_ASSERT_EQUAL(r.begin, end);
            CU_ASSERT_TRUE(r.end >= r.begin);
            end = r.end;
        }
        CU_ASSERT_EQUAL(end, p.n);
    }
}

static void units_are_even_and_add_up_to_the_step(void)
{
    for (int i = 0; i < N_PLAN; i++) {
        struct shard_plan p = shard_plan(plans[i].n, plans[i].batch, plans[i].unit);
        int64_t total = 0;
        for (int64_t t = 0; t < p.n_step; t++) {
            int64_t sum = 0, most = 0, least = p.unit;
            for (int j = 0; j < p.n_shard; j++) {
                int64_t size = size_of(shard_unit(&p, j, t));
                sum += size;
                most = size > most ? size : most;
                least = size < least ? size : least;
            }
            CU_ASSERT_EQUAL(sum, shard_step_samples(&p, t));
            CU_ASSERT_TRUE(least >= 0 && most <= p.unit && most - least <= 1);
            total += sum;
        }
        CU_ASSERT_EQUAL(total, p.n);
    }
}

/* All pools of an order one after another. */
static void whole_order(int64_t n, uint64_t seed, int64_t epoch, int shard, int32_t *order)
{
    struct shard_order o;
    int32_t *run = mem_alloc(shard_runs(n), sizeof *run);
    int64_t done = 0;
    shard_order_init(&o, n, seed, epoch, shard, run);
    for (int64_t k = 0; k < shard_pools(n); k++)
        done += shard_order_pool(&o, k, order + done);
    CU_ASSERT_EQUAL(done, n);
    free(run);
}

/* Walk an epoch as training does and count how often each position comes up. */
static void walk_epoch(const struct shard_plan *p, int64_t epoch, int *seen)
{
    for (int j = 0; j < p->n_shard; j++) {
        struct range at = shard_positions(p, j);
        int32_t *order = mem_alloc(size_of(at), sizeof *order);
        whole_order(size_of(at), 42, epoch, j, order);
        for (int64_t t = 0; t < p->n_step; t++) {
            struct range unit = shard_unit(p, j, t);
            CU_ASSERT_TRUE(unit.begin >= 0 && unit.end <= size_of(at));
            for (int64_t k = unit.begin; k < unit.end; k++)
                seen[at.begin + order[k]]++;
        }
        free(order);
    }
}

static void an_epoch_takes_every_sample_once(void)
{
    for (int i = 0; i < N_PLAN; i++) {
        struct shard_plan p = shard_plan(plans[i].n, plans[i].batch, plans[i].unit);
        int *seen = mem_alloc(p.n, sizeof *seen);
        int64_t wrong = 0;
        walk_epoch(&p, i, seen);
        for (int64_t k = 0; k < p.n; k++)
            wrong += seen[k] != 1;
        CU_ASSERT_EQUAL(wrong, 0);
        free(seen);
    }
}

enum { N_ORDER = 20011 };

static int32_t order_a[N_ORDER], order_b[N_ORDER];

static int64_t same_places(const int32_t *a, const int32_t *b, int64_t n)
{
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++)
        same += a[i] == b[i];
    return same;
}

static void orders_are_permutations(void)
{
    static const int64_t sizes[] = {0, 1, 2, 63, 64, 65, 128, 4095, 4096, 4097, N_ORDER};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        static int seen[N_ORDER];
        memset(seen, 0, sizeof seen);
        whole_order(sizes[i], 1, 0, 0, order_a);
        for (int64_t k = 0; k < sizes[i]; k++)
            if (order_a[k] >= 0 && order_a[k] < sizes[i])
                seen[order_a[k]]++;
        int64_t once = 0;
        for (int64_t k = 0; k < sizes[i]; k++)
            once += seen[k] == 1;
        CU_ASSERT_EQUAL(once, sizes[i]);
    }
}

static void orders_depend_on_seed_epoch_and_shard_alone(void)
{
    whole_order(N_ORDER, 7, 3, 2, order_a);
    whole_order(N_ORDER, 7, 3, 2, order_b);
    CU_ASSERT_EQUAL(same_places(order_a, order_b, N_ORDER), N_ORDER);
    /* Two random orders of n things agree in about one place. */
    whole_order(N_ORDER, 8, 3, 2, order_b);
    CU_ASSERT_TRUE(same_places(order_a, order_b, N_ORDER) < 20);
    whole_order(N_ORDER, 7, 4, 2, order_b);
    CU_ASSERT_TRUE(same_places(order_a, order_b, N_ORDER) < 20);
    whole_order(N_ORDER, 7, 3, 3, order_b);
    CU_ASSERT_TRUE(same_places(order_a, order_b, N_ORDER) < 20);
}

static void orders_are_the_same_on_every_rank(void)
{
    whole_order(N_ORDER, 7, 3, 2, order_a);
    uint64_t hash = 0;
    for (int64_t i = 0; i < N_ORDER; i++)
        hash = hash * 0x9e3779b97f4a7c15u + (uint64_t)order_a[i];
    CU_ASSERT_EQUAL(comm_check_equal(&test_comm, hash, "order"), 0);
}

/* Each group of 64 runs in the order touches 64 whole runs (or 65 pieces where the short run comes
 * early), so a reader needs that many pieces at a time; and inside a group the samples are mixed.
 */
static void orders_are_local_and_mixed(void)
{
    enum { N = 10 * 4096 + 100, N_RUN = (N + 63) / 64 };
    int32_t *order = mem_alloc(N, sizeof *order);
    whole_order(N, 5, 0, 0, order);
    for (int64_t done = 0; done < N; done += 4096) {
        char touched[N_RUN] = {0};
        int64_t count = N - done < 4096 ? N - done : 4096, runs = 0, neighbours = 0;
        for (int64_t i = done; i < done + count; i++) {
            runs += !touched[order[i] / 64];
            touched[order[i] / 64] = 1;
            neighbours += i > done && order[i] == order[i - 1] + 1;
        }
        CU_ASSERT_TRUE(runs <= 66);
        CU_ASSERT_TRUE(neighbours < 30);
    }
    int64_t low = 0; /* the runs are shuffled: the first group is no longer the first tenth */
    for (int64_t i = 0; i < 4096; i++)
        low += order[i] < 4096;
    CU_ASSERT_TRUE(low < 2048);
    free(order);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"shares are contiguous and even", shares_are_contiguous_and_even},
        {"sum over shares misses no sample", sum_over_shares_misses_no_sample},
        {"plans have the right counts", plans_have_the_right_counts},
        {"shards partition the positions", shards_partition_the_positions},
        {"units are even and add up to the step", units_are_even_and_add_up_to_the_step},
        {"an epoch takes every sample once", an_epoch_takes_every_sample_once},
        {"orders are permutations", orders_are_permutations},
        {"orders depend on seed, epoch and shard alone",
         orders_depend_on_seed_epoch_and_shard_alone},
        {"orders are the same on every rank", orders_are_the_same_on_every_rank},
        {"orders are local and mixed", orders_are_local_and_mixed},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "shard", tests);
}
