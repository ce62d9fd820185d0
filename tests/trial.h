/* Models on one unit of random samples, in float by the program and in double by the reference:
 * what the tests of first and of second derivatives start from. */
#ifndef IAU_TESTS_TRIAL_H
#define IAU_TESTS_TRIAL_H

#include "nn/model.h"
#include "reference.h"

/* `heavy` ones take the reference long, and stay out of tests that run it often. */
struct example {
    const char *name;
    int (*build)(struct model *m);
    int lanes, n, heavy;
};

struct trial {
    const struct example *example;
    struct model m;
    struct unit u; /* after model_backward */
    struct reference_set set;
    struct reference truth; /* at w */
    float *w, *g;           /* parameters; gradient of the unit's loss sum */
    double *wd, *gd;        /* the same by the reference */
};

extern const struct example trial_examples[];

/** Build a model, take samples and parameters that are clear of every kink, and run both sides
 * there. The struct must not move. Aborts where that fails. */
void trial_init(struct trial *t, const struct example *e);
void trial_free(struct trial *t);
/** Call `check` on every example. */
void trial_run(void (*check)(struct trial *t), int with_heavy);

/** Assert error <= bound; prints where and by how much it is not. */
void trial_expect(const struct trial *t, const char *what, const char *part, double error,
                  double bound);
/** Assert that a is b, tensor by tensor, in norm. */
void trial_expect_equal(const struct trial *t, const char *what, const float *a, const double *b,
                        double bound);
/** out = w + h v. */
void trial_move(const struct trial *t, double h, const double *v, double *out);
/** A direction of length 1 on one tensor, 0 elsewhere: that of x [n_param], or a random one where x
 * is NULL. */
void trial_direct(const struct tensor *p, const double *x, uint64_t seed, double *v, int64_t n);
/** SUM a[i] b[i] in double. */
double trial_dot(const float *a, const double *b, int64_t n);

#endif
