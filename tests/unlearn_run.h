/* Runs of the unlearning step for tests: what it is told and what it leaves, over the table and the
 * images of train_run.h and several requests; and what both sets come to by naive loops. */
#ifndef IAU_TESTS_UNLEARN_RUN_H
#define IAU_TESTS_UNLEARN_RUN_H

#include "train_run.h"
#include "unlearn/iau.h"

extern struct outcome origin, image_origin;
/* Requests: 4.9 % over the whole set; one sample; all but one; neighbours, which are one rank's
 * share of D and one unit of D_f; samples that the origin has learned well. */
extern struct partition few, one, most, neighbours, learned, image_few;

struct unlearn_run {
    const struct small_data *data;
    const struct partition *sets;
    struct iau_opts opts;
    struct comm comm;
    const float *w;
    const double *cache; /* or NULL */
    double cache_loss;
    int rc;
    struct outcome o;
    struct cost cost;
};

/** Collective. Tests of their own, the first and the last: data, origins and requests. */
void unlearn_open_data(void);
void unlearn_close_data(void);
/** The reference step on the table's origin, without a cache, on all ranks. */
struct unlearn_run unlearn_table(const struct partition *request);
/** Collective over r->comm. Take the steps; fills rc, o and cost. */
void unlearn_execute(struct unlearn_run *r);
/** The same bytes: parameters alone, or with them the history but for seconds. */
int unlearn_same_parameters(const struct unlearn_run *a, const struct unlearn_run *b);
int unlearn_same(const struct unlearn_run *a, const struct unlearn_run *b);

/* Mean gradients over D_r and D_f, and summed losses, by naive loops. */
struct means {
    struct naive retain, forget;
};
void means_take(struct means *a, const struct small_data *s, const float *w,
                const struct partition *p);
void means_free(struct means *a);

#endif
