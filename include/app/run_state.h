/* What became of a task or a shared stage: a small file beside its outputs. It says who works on
 * it, shows a sign of life by its time of change, and at the end holds the outcome. A process that
 * is killed, or whose node is lost, says nothing more. */
#ifndef IAU_APP_RUN_STATE_H
#define IAU_APP_RUN_STATE_H

#include <pthread.h>

#include "core/error.h"
#include "io/scheduler.h"
#include "par/comm.h"

enum run_outcome { RUN_UNKNOWN, RUN_RUNNING, RUN_DONE, RUN_FAILED, RUN_STOPPED };

struct run_state {
    char *path;      /* owned; NULL on ranks other than 0 */
    double period_s; /* between two signs of life */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int ends; /* the thread is to end; under the lock */
};

/* The file as others see it. */
struct run_seen {
    enum run_outcome outcome; /* RUN_UNKNOWN: there is no such file */
    char host[128], job[SCHEDULER_JOB_CHARS], reason[REASON_CHARS];
    int64_t pid;
    int is_gone;  /* the process ran on this host and is no more */
    double age_s; /* of the last sign of life */
};

/** Collective. Rank 0 writes FOLDER/state.h5, or FOLDER/NAME.state.h5 of a stage, makes the folder
 * where it is missing, and shows signs of life from a thread of its own, so that long computations
 * do not look like death.
 *  @param[out] s    must not move in memory; released by run_state_end
 *  @param      name  of the stage, several of which may share a folder; NULL: a task
 *  @return IAU_OK or an agreed error, with nothing to release */
int run_state_begin(struct run_state *s, const char *folder, const char *name, double silence_s,
                    const struct comm *comm);
/** Collective. Rank 0 writes the outcome that belongs to the code `rc`, with the error line that a
 * rank has printed. IAU_INCOMPLETE counts as done: the results say which methods have failed. A
 * file that cannot be written is only warned about. */
void run_state_end(struct run_state *s, int rc, const struct comm *comm);
/** Local. Read the file that run_state_begin has made. @return IAU_OK, also where there is none, or
 * IAU_ERR_MEM; a damaged file counts as none */
int run_state_read(struct run_seen *seen, const char *folder, const char *name);

#endif
