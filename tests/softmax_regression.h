/* Softmax regression on the table of method_run.h, in double: derivatives, dense solves and minima
 * for tests of what steps with curvature come to. Parameters are weights, then biases. */
#ifndef IAU_TESTS_SOFTMAX_REGRESSION_H
#define IAU_TESTS_SOFTMAX_REGRESSION_H

#include "method_run.h"

enum { N_FEATURE = 7, N_CLASS = 3, N = N_CLASS * (N_FEATURE + 1) };

/** Local. The model of the program that has these parameters. */
void regression_build(struct model *linear);
/** Local. Gradient and Hessian of the mean loss over the rows of a set. */
void derivatives(const struct index_set *set, const double *w, double *g, double *h);
/** Local. x of (H + damping I) x = b, by elimination: the matrix is positive definite. */
void solve(const double *h, double damping, const double *b, double *x);
double norm(const double *x);
/** Local. The minimum of mean loss + decay / 2 ||w||^2, from w on. */
void minimise(const struct index_set *set, double decay, double *w);
void to_float(const double *w, float *out);
/** Local. ||got - want|| / ||want - w||. */
double error_of_step(const float *got, const double *want, const double *w);

#endif
