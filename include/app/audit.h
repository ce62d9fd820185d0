/* The audit of a job: what its config says of shadows, in the terms of the audit. */
#ifndef IAU_APP_AUDIT_H
#define IAU_APP_AUDIT_H

#include "app/job.h"
#include "app/stage.h"
#include "audit/evidence.h"

struct job_audit {
    struct job *job; /* borrowed */
    struct audit audit;
    char *folder; /* owned; output.dir/audit */
};

/** Collective. Draw the targets and list origins and methods; the settings must ask for an audit.
 * `a` must not move; it is safe to close on error. @return an agreed code */
int job_audit_open(struct job_audit *a, struct job *job);
void job_audit_close(struct job_audit *a);
/** Local. What evidence_examine wants to know of a stage: the place of its origin, -1 where that
 * has no shadows, and the method. */
int job_audit_origin(const struct audit *a, const struct stage *s);
int job_audit_method(const struct audit *a, const struct stage *s);
/** Local. Say in a results file what the audit was made with. */
int job_audit_describe(const struct audit *a, struct record *r);

#endif
