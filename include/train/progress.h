/* The live record of a run: progress.csv in the output directory, one flushed line an epoch or
 * step, and the lines and the live line on the terminal. */
#ifndef IAU_TRAIN_PROGRESS_H
#define IAU_TRAIN_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *csv;  /* owned; rank 0 only, NULL elsewhere and where not asked for */
    char *path; /* owned */
};

/** Local, rank 0. Open DIR/progress.csv for appending, with a header if new; rows of an earlier run
 * stay. */
int progress_open(struct progress *p, const char *dir);
void progress_close(struct progress *p);
/** Local. A model begins, or goes on after `done` epochs or steps: rows beyond, of a run that was
 * killed or replaced, leave the file, so that it has one row for each. @return IAU_OK, IAU_ERR_IO
 * or IAU_ERR_MEM */
int progress_begin(struct progress *p, const char *model, const char *event, int64_t done);
/** Local. One line: model, event (epoch or step), number, loss on training (or retained),
 * validation loss and accuracy, samples/s, seconds. A NaN becomes an empty field. */
void progress_row(struct progress *p, const char *model, const char *event, int64_t number,
                  double loss, double loss_valid, double accuracy_valid, double samples_per_s,
                  double seconds);

#endif
