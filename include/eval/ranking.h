/* Unlearning methods ranked as the IAU paper does (arXiv 2507.23257): by how well they remove, by
 * time and by utility. Local. */
#ifndef IAU_EVAL_RANKING_H
#define IAU_EVAL_RANKING_H

enum ranking_key {
    RANK_REMOVAL,     /* the attack's AUC: lower is better */
    RANK_REMOVAL_GAP, /* its distance from the retrained model's: lower is better */
    RANK_EFFICIENCY,  /* seconds: lower is better */
    RANK_UTILITY,     /* accuracy on test samples: higher is better */
    RANK_AVERAGE,     /* mean of the ranks in removal, efficiency and utility */
    RANK_AVERAGE_GAP, /* the same with removal by gap */
    N_RANKING
};

/* What models are ranked by, then their ranks; NAN where something is not known. */
struct ranking {
    double value[RANK_AVERAGE]; /* of RANK_REMOVAL to RANK_UTILITY */
    double rank[N_RANKING];
};

/** Name of a key in files. */
const char *ranking_name(enum ranking_key k);
/** Rank n models against each other, 1 being the best; models with the same value share the mean of
 * their places. The paper does not say how it breaks ties, nor which way an attack's value counts,
 * hence two ranks of removal. A model without a value has no rank in it and takes no place. */
void ranking_fill(struct ranking *r, int n);

#endif
