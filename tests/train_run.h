/* Training runs for tests: what a trainer is told and what it leaves, over one small table and a
 * few small images. */
#ifndef IAU_TESTS_TRAIN_RUN_H
#define IAU_TESTS_TRAIN_RUN_H

#include "small_data.h"

extern struct small_data table, images;
/* Of the table with a validation set of a fifth, with none, and with 12 samples; of the images with
 * a fifth. */
extern struct partition sets, no_valid, tiny_valid, image_sets;

struct train_run {
    const struct small_data *data;
    const struct partition *sets;
    struct train_opts opts;
    struct comm comm;
    const char *restart;
    struct checkpoint_opts checkpoint;
    int resume;
    int rc;
    struct outcome o;
    struct cost cost;
};

/** Collective. Tests of their own, the first and the last. */
void run_open_data(void);
void run_close_data(void);
/** Runs with plausible settings on all ranks. */
struct train_run run_table(void);
struct train_run run_images(void);
/** A first epoch that learns, then rates that wreck the model more and more. */
struct train_run run_wrecked(int64_t epochs, int64_t patience);
/** Collective over r->comm. Train; fills rc, o and cost. */
void run_execute(struct train_run *r);
/** Collective. Run; all ranks must get `code`, one of them prints one line with `part`, and nothing
 * is left behind. */
void run_expect_failure(struct train_run *r, int code, const char *part);
/** The same bytes: parameters, gradient sum, history but for seconds, and work done; or parameters
 * alone. */
int run_same(const struct train_run *a, const struct train_run *b);
int run_same_parameters(const struct train_run *a, const struct train_run *b);
/** Collective. Assert that the run stopped when it should, and kept the parameters of the right
 * epoch: those that a shorter run without validation ends with. @return that epoch, from 0 */
int64_t run_check_kept(struct train_run *r);

#endif
