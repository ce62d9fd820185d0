/* Ranks with ties. */
#include "eval/ranking.h"

#include <math.h>

const char *ranking_name(enum ranking_key k)
{
    static const char *const name[N_RANKING] = {"removal", "removal_gap", "efficiency",
                                                "utility", "average",     "average_gap"};
    return name[k];
}

/* Less is better. */
static double key_of(const struct ranking *r, enum ranking_key k)
{
    return k == RANK_UTILITY ? -r->value[k] : r->value[k];
}

static double rank_of(const struct ranking *r, int n, int which, enum ranking_key k)
{
    double own = key_of(&r[which], k);
    int n_better = 0, n_same = 0;
    for (int i = 0; i < n; i++) {
        n_better += key_of(&r[i], k) < own;
        n_same += key_of(&r[i], k) == own;
    }
    return isnan(own) ? NAN : n_better + (n_same + 1) / 2.0;
}

void ranking_fill(struct ranking *r, int n)
{
    for (int i = 0; i < n; i++) {
        double *rank = r[i].rank;
        for (int k = 0; k < RANK_AVERAGE; k++)
            rank[k] = rank_of(r, n, i, (enum ranking_key)k);
        rank[RANK_AVERAGE] = (rank[RANK_REMOVAL] + rank[RANK_EFFICIENCY] + rank[RANK_UTILITY]) / 3;
        rank[RANK_AVERAGE_GAP] =
            (rank[RANK_REMOVAL_GAP] + rank[RANK_EFFICIENCY] + rank[RANK_UTILITY]) / 3;
    }
}
