/* Methods that make no model because their numbers run off, which is a result, too: the reason is
 * kept in NAME.failed.h5 beside the model files, until a model takes its place. */
#ifndef IAU_APP_FAILURE_H
#define IAU_APP_FAILURE_H

#include "app/stage.h"
#include "core/error.h"
#include "io/record.h"

/** Collective. Count a method among those that have failed in this job, after the error that says
 * why. @param[out] reason  that error without the method's name, on every rank */
void failure_count(struct job *job, const struct stage *s, char reason[REASON_CHARS]);
/** Collective. IAU_INCOMPLETE if methods have failed in this job, of `n_method` in all. One line
 * names them, unless the only one has just said so itself (`is_last_word`). */
int failure_report(const struct job *job, int n_method, int is_last_word);

/** Collective. Keep the reason why a stage has made no model.
 *  @param settings  from stage_settings @return an agreed code */
int failure_write(const struct job *job, const struct stage *s, const char *settings,
                  const char *reason);
/** Collective. The reason, "" without one; a reason that belongs to other settings than those of
 * now, or to another origin, does not count, nor does a damaged file.
 *  @param[out] r  on rank 0 the file, if it counts; the caller frees */
int failure_read(const struct job *job, const struct stage *s, struct record *r,
                 char reason[REASON_CHARS]);
/** Local, rank 0. The model is there. */
int failure_remove(const struct stage *s);

#endif
