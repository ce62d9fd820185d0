/* What is known of methods that have failed. */
#include "app/failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model_file.h"
#include "io/file.h"
#include "io/formats.h"

void failure_count(struct job *job, const struct stage *s, char reason[REASON_CHARS])
{
    size_t n = strlen(s->name), at = strlen(job->failed);
    comm_error_shown(job->comm, reason);
    if (strncmp(reason, s->name, n) == 0 && strncmp(reason + n, ": ", 2) == 0)
        memmove(reason, reason + n + 2, strlen(reason + n + 2) + 1);
    snprintf(job->failed + at, sizeof job->failed - at, "%s%s", at ? ", " : "", s->name);
    job->n_failed++;
}

int failure_report(const struct job *job, int n_method, int is_last_word)
{
    if (!job->n_failed)
        return IAU_OK;
    if (is_last_word && n_method == 1)
        return IAU_INCOMPLETE;
    return comm_agree(job->comm, FAIL(IAU_INCOMPLETE, "%d of %d methods failed: %s", job->n_failed,
                                      n_method, job->failed));
}

static int write_on_root(const struct job *job, const struct stage *s, const char *settings,
                         const char *reason)
{
    int rc = IAU_OK;
    struct record r = {0};
    TRY(record_set_text(&r, "/", "format", FAILURE_FORMAT));
    TRY(record_set_text(&r, "/", "settings", settings));
    TRY(record_set_text(&r, "/", "failed", reason));
    TRY(provenance_add(&r, job, job->machine.same_bytes));
    TRY(record_write(&r, s->failure_path));
out:
    record_free(&r);
    return rc;
}

int failure_write(const struct job *job, const struct stage *s, const char *settings,
                  const char *reason)
{
    return comm_agree(job->comm,
                      job->comm->rank == 0 ? write_on_root(job, s, settings, reason) : IAU_OK);
}

static int read_on_root(const struct stage *s, const char *settings, struct record *r,
                        char reason[REASON_CHARS])
{
    int rc = record_read_attributes(r, s->failure_path);
    if (rc == IAU_ERR_MEM)
        return rc;
    error_clear();
    if (rc == IAU_OK && strcmp(record_text(r, "/", "format", ""), FAILURE_FORMAT) == 0 &&
        strcmp(record_text(r, "/", "settings", ""), settings) == 0)
        snprintf(reason, REASON_CHARS, "%s", record_text(r, "/", "failed", ""));
    if (!*reason)
        record_free(r);
    return IAU_OK;
}

int failure_read(const struct job *job, const struct stage *s, struct record *r,
                 char reason[REASON_CHARS])
{
    int rc = IAU_OK;
    char *settings = NULL;
    int64_t there = job->comm->rank == 0 ? file_exists(s->failure_path) == 1 : 0;
    memset(reason, 0, REASON_CHARS);
    comm_bcast(job->comm, &there, sizeof there, 0);
    if (!there || (!stage_trains(job, s) && !stage_has_origin(job, s)))
        return IAU_OK;
    TRY(stage_settings(job, s, &settings));
    TRY(comm_agree(job->comm,
                   job->comm->rank == 0 ? read_on_root(s, settings, r, reason) : IAU_OK));
    comm_bcast(job->comm, reason, REASON_CHARS, 0);
out:
    free(settings);
    return rc;
}

int failure_remove(const struct stage *s)
{
    return file_exists(s->failure_path) == 1 ? file_remove(s->failure_path) : IAU_OK;
}
