/* A file of the audit: its name, what it is made with, and whether it is there. Private to the
 * audit. */
#ifndef IAU_AUDIT_PART_H
#define IAU_AUDIT_PART_H

#include "audit/audit.h"
#include "train/restart.h"

struct part {
    char *name, *path, *restart_path; /* owned */
    char *settings;                   /* owned */
};

/** Local. An engine of a group that trains or asks a model of the audit. @return IAU_OK or
 * IAU_ERR_MEM */
int part_engine(struct engine *e, const struct audit *a, const struct train_opts *train,
                const struct comm *group);
/** Local. Takes over `name` and `settings`, which may be NULL for want of memory. @return IAU_OK or
 * IAU_ERR_MEM; `p` is safe to free */
int part_init(struct part *p, const struct audit *a, char *name, char *settings);
void part_free(struct part *p);
/** Local. What is there; `unknown` as in struct output. */
int part_find(const struct part *p, const struct audit *a, const char *unknown,
              enum output_state *state);
/** Collective over the group. The same, by its rank 0. */
int part_look(const struct part *p, const struct audit *a, const struct comm *group,
              enum output_state *state);
/** Local. Where its making leaves restart files. */
struct restart part_restart(const struct part *p, const struct audit *a, enum output_state state);
/** Local. Add what every file says of itself, write it, and remove restart files.
 *  @param same_bytes  whether one kind of machine did all of it */
int part_write(const struct part *p, const struct audit *a, struct record *r, int same_bytes);
/** Local. Read a part of a file made with these settings. @return IAU_OK, IAU_ERR_DATA where they
 * differ, or what reading gave; `r` is empty on error */
int part_read(const struct part *p, const char *prefix, struct record *r);

#endif
