/* Model files: parameters, history, costs, gradient sum and provenance, written by rank 0 and read
 * by all. */
#ifndef IAU_APP_MODEL_FILE_H
#define IAU_APP_MODEL_FILE_H

#include "app/job.h"
#include "app/stage.h"
#include "eval/ensemble.h"
#include "sweep/sweep.h"

/* A model file in memory. */
struct model_file {
    struct record record; /* without /params and /buffers */
    float *w;             /* owned, [n_param + n_buffer]; of an ensemble [shards][slices] of them */
    struct ensemble model; /* what answers: it, or the models of the last slices */
    char digest[DIGEST_CHARS];
};

/** Collective. Write a stage's outcome, with the peak of memory since mem_peak_reset.
 *  @param settings from stage_settings; @param cost of the stage on this rank; @param same_bytes
 * whether one kind of machine did all of it */
int model_file_write(const struct job *job, const struct stage *s, const char *settings,
                     const struct outcome *o, const struct cost *cost, int same_bytes);
/** Collective. Read a model file that fits the job's model and data, and that `train` may have
 * made; verifies its digest. */
int model_file_read(struct model_file *f, const struct job *job, const struct train_opts *train,
                    const char *path);
void model_file_free(struct model_file *f);
/** Local. The gradient sum, where the file has one that is valid for its parameters, the job's data
 * and training set; else *sum is NULL and `why` says why. The caller frees *sum. */
int model_file_gradient_sum(const struct model_file *f, const struct job *job, double **sum,
                            double *loss_sum, const char **why);
/** Local. Add the provenance that every output carries. */
int provenance_add(struct record *r, const struct job *job, int same_bytes);

#endif
