/* What the shadows' files tell about any model of the same origins. */
#ifndef IAU_AUDIT_EVIDENCE_H
#define IAU_AUDIT_EVIDENCE_H

#include "audit/attack.h"
#include "audit/audit.h"
#include "audit/shadow.h"
#include "eval/metrics.h"

/* The files in memory. */
struct evidence {
    const struct audit *audit;  /* borrowed */
    struct shadow_table *table; /* owned, [n_origin]; rank 0; empty where files are missing */
    struct lira_fit *fit;       /* owned, the same */
    int *has_shadows;           /* owned, [n_origin]; on every rank */
    struct attack attack;
};

/** Collective. Read what there is. `v` is empty on error. @return IAU_OK or an agreed error */
int evidence_open(struct evidence *v, const struct audit *a);
void evidence_close(struct evidence *v);

/* Whether U-LiRA has something to say of a model: it is an origin itself, with nothing unlearned,
 * or by an entry that the shadows have unlearned by, too. */
enum { FINDINGS_ORIGIN = -1, FINDINGS_NONE = -2 };

/* What is found of one model; rank 0. */
struct findings {
    struct mia_result lira[N_LIRA]; /* D_f against V'; empty without shadows */
    /* Models that have forgotten a target against models that never saw it: retrained shadows, if
     * retraining is one of the audit's methods; else shadows of the other half, which have seen
     * that instead, so that retraining itself is not quite at 1/2. */
    struct ulira_result ulira;
    struct ulira_result residual; /* against models that have forgotten others: what is left of the
                                     sample itself, apart from what unlearning does to all */
    double attack_forget, attack_test; /* share that the attack network calls members; NAN without
                                        */
};

/** Collective. Examine the model at w.
 *  @param origin  place in the audit's list of origins; -1: none of them
 *  @param method  place in its list of methods, FINDINGS_ORIGIN or FINDINGS_NONE
 *  @return IAU_OK or an agreed error, with `f` empty */
int evidence_examine(struct findings *f, const struct evidence *v, struct engine *e, const float *w,
                     int origin, int method, const char *name);
void findings_free(struct findings *f);
/** Local, rank 0. Append the figures. @return IAU_OK or IAU_ERR_MEM */
int findings_metrics(const struct findings *f, struct metrics *m);
/** Local, rank 0. Add the curves under /roc/NAME. */
int findings_to_record(const struct findings *f, const char *name, struct record *r);

#endif
