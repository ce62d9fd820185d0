/* Settings of evaluation. */
#ifndef IAU_EVAL_OPTS_H
#define IAU_EVAL_OPTS_H

/* How several models answer as one. */
enum aggregate {
    AGGREGATE_MEAN, /* with the mean of their probabilities */
    AGGREGATE_VOTE  /* with the shares of classes in their votes */
};

#endif
