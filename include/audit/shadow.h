/* A shadow model for LiRA: trained on D_r and a half of the targets; and what becomes of it when it
 * unlearns that half. */
#ifndef IAU_AUDIT_SHADOW_H
#define IAU_AUDIT_SHADOW_H

#include "audit/audit.h"

/** Collective over the group. Make shadow k of an origin of the audit's list, and its unlearned
 * versions, as far as they are not there.
 *  @return IAU_OK, IAU_STOPPED, or an error that the group agrees on */
int shadow_make(const struct audit *a, int origin, int64_t k, const struct comm *group);
/** Local. Whether all its files are there. @return IAU_OK, or IAU_ERR_EXISTS and others as
 * output_find */
int shadow_find(const struct audit *a, int origin, int64_t k, int *is_there);

/* What the files of an origin's shadows say; see struct lira_table. */
struct shadow_table {
    int64_t n_shadow, n_target;
    double *margin;     /* owned, [n_shadow][n_target] */
    uint8_t *member;    /* owned, the same */
    int n_method;       /* of this origin */
    double **unlearned; /* owned, [n_method], each owned, as `margin` */
    const int *method;  /* owned, [n_method]; places in the audit's list */
};

/** Local. Read the files. `t` is empty on error.
 *  @param[out] is_there  0: files are missing, and `t` is empty
 *  @return IAU_OK, IAU_ERR_DATA (made with other settings), or what reading gave */
int shadow_read(struct shadow_table *t, const struct audit *a, int origin, int *is_there);
void shadow_table_free(struct shadow_table *t);

#endif
