/* The truth that tests of the engine compare with: a model's loss and its gradient in double,
 * sample by sample, by plain loops over the model's list of layers. Nothing here comes from the
 * kernels under test. */
#ifndef IAU_TESTS_REFERENCE_H
#define IAU_TESTS_REFERENCE_H

#include <stdint.h>

#include "nn/model.h"

struct reference_set {
    int n;
    double *x;                /* [n][c][h][w], as the first layer sees it */
    int32_t *label;           /* [n] */
    const struct unit *masks; /* has been through a forward pass; where there is dropout */
};

struct reference {
    double loss;      /* SUM over the samples */
    int64_t correct;  /* samples whose label has the largest logit */
    double margin;    /* least distance from a kink: of a ReLU's input from 0, of a pooling window's
                         two largest */
    uint64_t pattern; /* which side of every kink: where two points agree, differences between them
                         are smooth */
};

/** Loss at w [n_param], and its gradient in dw [n_param] unless that is NULL, by reverse mode. */
struct reference reference_run(const struct model *m, const double *w,
                               const struct reference_set *s, double *dw);
/** The restricted loss: mean loss + alpha x the norm of the mean gradient, or x the sum of its
 * tensors' norms.
 *  @param dw  [n_param], room for the gradient of the loss sum */
double reference_restricted(const struct model *m, const double *w, const struct reference_set *s,
                            double alpha, int per_tensor, double *dw);
/** Euclidean norm. */
double reference_norm(const double *x, int64_t n);

#endif
