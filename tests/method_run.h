/* Runs of methods of unlearning for tests: what a method is told and what it leaves, from a small
 * model that was trained on a small table. */
#ifndef IAU_TESTS_METHOD_RUN_H
#define IAU_TESTS_METHOD_RUN_H

#include "small_data.h"
#include "unlearn/method.h"

extern struct small_data method_table;
/* 82 samples for validation, 65 to forget, on which the origin does a little better, and 263
 * others.
 */
extern struct partition method_sets;
extern struct outcome method_origin;

struct method_run {
    struct method_opts opts;
    const struct small_data *data;
    const struct model *model;
    const struct partition *sets;
    const float *w;
    struct train_opts train;
    const double *gradient_sum; /* over D at the origin, or NULL: not known */
    struct comm comm;
    int n_thread;
    int64_t memory_bytes; /* 0: no limit */
    const char *restart;
    struct checkpoint_opts checkpoint;
    int resume;
    const char *progress; /* folder of progress.csv; NULL: none */
    int64_t fail_after;   /* the allocation that fails on the last rank; 0: none */
    int rc;
    struct outcome o;
    struct cost cost;
};

/** Collective. Tests of their own, the first and the last. */
void method_open_data(void);
void method_close_data(void);
/** Local. A method's settings as a config without any leaves them. */
struct method_opts method_defaults(enum method_name method);
/** A run on all ranks with the method's defaults, but for batches of 50 and 20 forgotten samples,
 * so that an epoch has several steps and an uneven last one, and two epochs. */
struct method_run method_run_of(enum method_name method);
/** Collective over r->comm. Run; fills rc, o and cost. */
void method_execute(struct method_run *r);
/** Local. Call check for each kind of run of the methods that train: their defaults and variants.
 */
void method_for_all(void (*check)(const struct method_run *r));
/** Collective. A run gives the same bytes alone and on all ranks, with threads, and, where
 * memory_bytes > 0, streamed. */
void method_check_bytes(struct method_run r, int64_t memory_bytes);
/** Collective. Whichever allocation fails on one rank, every `step`-th of them tried, all ranks get
 * the same code with one message, and nothing is left. */
void method_check_memory(struct method_run r, int64_t step);
/** The same bytes: parameters, history but for seconds, and work done. */
int method_same(const struct method_run *a, const struct method_run *b);

#endif
