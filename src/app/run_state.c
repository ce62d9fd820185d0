/* Writing and reading a task's state. */
#include "app/run_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/job.h"
#include "core/error.h"
#include "core/log.h"
#include "io/file.h"
#include "io/formats.h"
#include "io/scheduler.h"

static const char *const outcome_name[] = {"unknown", "running", "done", "failed", "stopped"};

/* Process numbers mean something within this only. */
static int64_t process_namespace(void)
{
    struct stat st = {0};
    stat("/proc/self/ns/pid", &st);
    return (int64_t)st.st_ino;
}

static int write_state(const struct run_state *s, enum run_outcome outcome, const char *reason,
                       int n_rank)
{
    int rc = IAU_OK;
    struct record r = {0};
    char host[128], job[SCHEDULER_JOB_CHARS], date[32];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    TRY(record_set_text(&r, "/", "format", STATE_FORMAT));
    TRY(record_set_text(&r, "/", "state", outcome_name[outcome]));
    TRY(record_set_text(&r, "/", "since", date));
    TRY(record_set_text(&r, "/", "reason", reason));
    TRY(record_set_text(&r, "/", "host", comm_host(host, sizeof host)));
    TRY(record_set_i64(&r, "/", "process", getpid()));
    TRY(record_set_i64(&r, "/", "process_namespace", process_namespace()));
    TRY(record_set_text(&r, "/", "job", scheduler_job(job)));
    TRY(record_set_i64(&r, "/", "ranks", n_rank));
    TRY(record_write(&r, s->path));
out:
    record_free(&r);
    return rc;
}

/* The thread: touch the file every now and then, until it is told to end. */
static void *show_life(void *argument)
{
    struct run_state *s = argument;
    struct timespec until;
    pthread_mutex_lock(&s->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    while (!s->ends) {
        until.tv_sec += (time_t)(s->period_s < 1 ? 1 : s->period_s);
        if (pthread_cond_timedwait(&s->wake, &s->lock, &until) == ETIMEDOUT)
            utimensat(AT_FDCWD, s->path, NULL, 0);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Signals are for the thread that computes. */
static int start_thread(struct run_state *s)
{
    sigset_t all, before;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, show_life, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? FAIL(IAU_ERR_MEM, "no thread for signs of life: %s", strerror(failed)) : IAU_OK;
}

static char *state_path(const char *folder, const char *name)
{
    return name ? job_path(folder, name, ".state.h5") : job_path(folder, "state", ".h5");
}

static int begin_on_root(struct run_state *s, const char *folder, const char *name, int n_rank)
{
    int rc = IAU_OK;
    TRY(file_make_directory(folder));
    s->path = state_path(folder, name);
    if (!s->path)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a file name"));
    TRY(write_state(s, RUN_RUNNING, "", n_rank));
    TRY(start_thread(s));
out:
    if (rc != IAU_OK) {
        free(s->path);
        s->path = NULL;
    }
    return rc;
}

int run_state_begin(struct run_state *s, const char *folder, const char *name, double silence_s,
                    const struct comm *comm)
{
    *s = (struct run_state){.period_s = silence_s / 10};
    error_forget_shown();
    return comm_agree(comm, comm->rank == 0 ? begin_on_root(s, folder, name, comm->size) : IAU_OK);
}

void run_state_end(struct run_state *s, int rc, const struct comm *comm)
{
    char reason[REASON_CHARS];
    enum run_outcome outcome = rc == IAU_OK || rc == IAU_INCOMPLETE ? RUN_DONE
                               : rc == IAU_STOPPED                  ? RUN_STOPPED
                                                                    : RUN_FAILED;
    comm_error_shown(comm, reason);
    if (!s->path)
        return;
    pthread_mutex_lock(&s->lock);
    s->ends = 1;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    if (write_state(s, outcome, outcome == RUN_FAILED ? reason : "", comm->size) != IAU_OK) {
        log_warn("the outcome is not recorded: %s", error_message());
        error_clear();
    }
    free(s->path);
    s->path = NULL;
}

static void see(struct run_seen *seen, const struct record *r, const char *path)
{
    struct stat st;
    struct timespec now;
    char host[128];
    const char *state = record_text(r, "/", "state", "");
    const struct record_attribute *pid = record_attribute_find(r, "/", "process"),
                                  *ns = record_attribute_find(r, "/", "process_namespace");
    for (int i = RUN_RUNNING; i <= RUN_STOPPED; i++)
        if (strcmp(state, outcome_name[i]) == 0)
            seen->outcome = (enum run_outcome)i;
    snprintf(seen->host, sizeof seen->host, "%s", record_text(r, "/", "host", ""));
    snprintf(seen->job, sizeof seen->job, "%s", record_text(r, "/", "job", ""));
    snprintf(seen->reason, sizeof seen->reason, "%s", record_text(r, "/", "reason", ""));
    seen->pid = pid ? pid->i64 : 0;
    seen->is_gone = pid && ns && ns->i64 == process_namespace() &&
                    strcmp(seen->host, comm_host(host, sizeof host)) == 0 &&
                    kill((pid_t)pid->i64, 0) != 0 && errno == ESRCH;
    clock_gettime(CLOCK_REALTIME, &now);
    if (stat(path, &st) == 0)
        seen->age_s = (double)(now.tv_sec - st.st_mtim.tv_sec) +
                      1e-9 * (double)(now.tv_nsec - st.st_mtim.tv_nsec);
    if (seen->age_s < 0) /* clocks differ */
        seen->age_s = 0;
}

int run_state_read(struct run_seen *seen, const char *folder, const char *name)
{
    int rc = IAU_OK;
    struct record r = {0};
    char *path = state_path(folder, name);
    *seen = (struct run_seen){0};
    if (!path)
        return FAIL(IAU_ERR_MEM, "no memory for a file name");
    if (file_exists(path) == 1 && (rc = record_read_attributes(&r, path)) == IAU_OK)
        see(seen, &r, path);
    else if (rc != IAU_ERR_MEM)
        rc = IAU_OK;
    error_clear();
    record_free(&r);
    free(path);
    return rc;
}
