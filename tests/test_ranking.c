/* Ranks among methods: places, ties, and what is not known. Local to each rank. */
#include <math.h>

#include "eval/ranking.h"
#include "harness.h"

enum { N_MODEL = 5 };

/* Rank of a value by sorting in mind: 1 + those before it, and half of the others that are equal.
 */
static double naive_rank(const double *x, int n, int i, int higher_is_better)
{
    double place = 1;
    for (int k = 0; k < n; k++)
        if (k != i && !isnan(x[k]))
            place += x[k] == x[i] ? 0.5 : (higher_is_better ? x[k] > x[i] : x[k] < x[i]);
    return isnan(x[i]) ? NAN : place;
}

static void expect(double got, double want)
{
    CU_ASSERT(isnan(want) ? isnan(got) : fabs(got - want) < 1e-12);
}

static void places_ties_and_unknown_values(void)
{
    static const double value[RANK_AVERAGE][N_MODEL] = {
        [RANK_REMOVAL] = {0.52, 0.50, 0.52, 0.49, 0.52},
        [RANK_REMOVAL_GAP] = {0.02, 0, 0.02, 0.01, NAN},
        [RANK_EFFICIENCY] = {3, 1, 2, 5, 4},
        [RANK_UTILITY] = {0.6, 0.6, 0.7, 0.5, 0.6}};
    struct ranking r[N_MODEL] = {0};
    for (int i = 0; i < N_MODEL; i++)
        for (int k = 0; k < RANK_AVERAGE; k++)
            r[i].value[k] = value[k][i];
    ranking_fill(r, N_MODEL);
    for (int i = 0; i < N_MODEL; i++) {
        for (int k = 0; k < RANK_AVERAGE; k++)
            expect(r[i].rank[k], naive_rank(value[k], N_MODEL, i, k == RANK_UTILITY));
        expect(r[i].rank[RANK_AVERAGE],
               (r[i].rank[RANK_REMOVAL] + r[i].rank[RANK_EFFICIENCY] + r[i].rank[RANK_UTILITY]) /
                   3);
    }
    expect(r[0].rank[RANK_REMOVAL], 4);
    expect(r[1].rank[RANK_UTILITY], 3);
    expect(r[3].rank[RANK_REMOVAL_GAP], 2);
    expect(r[2].rank[RANK_AVERAGE_GAP], (3.5 + 2 + 1) / 3);
    CU_ASSERT(isnan(r[4].rank[RANK_AVERAGE_GAP]));
}

static void one_model_is_first(void)
{
    struct ranking r = {.value = {0.5, 0.1, 7, 0.9}};
    ranking_fill(&r, 1);
    for (int k = 0; k < N_RANKING; k++)
        CU_ASSERT_EQUAL(r.rank[k], 1);
    ranking_fill(&r, 0);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"places, ties and unknown values", places_ties_and_unknown_values},
                           {"one model is first", one_model_is_first},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "ranking", tests);
}
