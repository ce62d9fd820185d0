/* How far to go: a retrained model treats forgotten samples like unseen ones, so the length of a
 * move is found without retraining where the mean loss on D_f equals that on held-out samples. That
 * holds for samples that are like the others; on a class it never saw, or on wrong labels, its loss
 * is higher. */
#ifndef IAU_UNLEARN_CALIBRATE_H
#define IAU_UNLEARN_CALIBRATE_H

#include "sweep/sweep.h"

/* The line start + length (end - start). */
struct calibration {
    struct engine *engine;              /* borrowed */
    const struct share *forget, *valid; /* borrowed; the samples looked at */
    const float *start, *end;           /* borrowed, [n_param] */
    float *w;         /* borrowed, [n_param + n_buffer], buffers set; left at the length found */
    const char *name; /* for messages */
};

/** Collective. Find *length >= 0 where the losses meet, to 1e-4 of the validation loss: doubled
 * until they are bracketed, then regula falsi with the Illinois rule (Dowell and Jarratt 1971). A
 * forget set whose loss is that of validation already gives 0, with a warning.
 *  @param[out] loss  on D_f and on the validation samples there
 *  @return IAU_OK, or IAU_ERR_NUMERIC where no length will do or a loss overflows, agreed */
int calibrate_length(const struct calibration *c, double *length, double loss[2]);

#endif
