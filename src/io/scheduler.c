/* Slurm's variables. */
#include "io/scheduler.h"

#include <stdio.h>
#include <stdlib.h>

const char *scheduler_job(char buf[SCHEDULER_JOB_CHARS])
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID"),
               *job = getenv("SLURM_JOB_ID");
    if (array && task)
        snprintf(buf, SCHEDULER_JOB_CHARS, "%s_%s", array, task);
    else
        snprintf(buf, SCHEDULER_JOB_CHARS, "%s", job ? job : "");
    return buf;
}

int scheduler_has_requeued(void)
{
    const char *restarts = getenv("SLURM_RESTART_COUNT");
    return restarts && strtol(restarts, NULL, 10) > 0;
}
