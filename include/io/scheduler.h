/* What a job may know of itself from the scheduler that has started it. Local. */
#ifndef IAU_IO_SCHEDULER_H
#define IAU_IO_SCHEDULER_H

enum { SCHEDULER_JOB_CHARS = 64 };

/** The number of this job, "12" or of an array "12_3"; "" without a scheduler. @return buf */
const char *scheduler_job(char buf[SCHEDULER_JOB_CHARS]);
/** Whether this job has been requeued, and began before. */
int scheduler_has_requeued(void);

#endif
