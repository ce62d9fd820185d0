/* The audit: shadow models of the origins, made by a farm, and what attacks learn from them about
 * any model of the same origin. Its files lie in a folder of their own, one a shadow and one a
 * shadow and method, each with the settings it was made with; what is there already is not made
 * again. */
#ifndef IAU_AUDIT_AUDIT_H
#define IAU_AUDIT_AUDIT_H

#include "audit/opts.h"
#include "audit/targets.h"
#include "io/output.h"
#include "io/record.h"
#include "nn/model.h"
#include "par/farm.h"
#include "train/opts.h"
#include "unlearn/opts.h"

/* An origin that has shadows. */
struct audit_origin {
    const char *name; /* borrowed */
    int index;        /* the caller's number of it */
    struct train_opts train;
};

/* What shadows unlearn by. */
struct audit_method {
    const char *name;               /* borrowed; of an entry of `methods`, or of a retrained twin */
    const struct method_opts *opts; /* borrowed; NULL: by retraining */
    int origin;                     /* place in the audit's list of origins */
    int index;                      /* the caller's number of the entry */
};

static inline int audit_retrains(const struct audit_method *m)
{
    return !m->opts || m->opts->method == METHOD_RETRAIN;
}

/* What the program around the audit knows. Texts are the caller's to free; NULL when memory is
 * short. */
struct audit_hooks {
    void *ctx;
    /** Local. Settings text of a model that is trained like this on part of the data: what it has
     * of an origin (NULL: of none), and so of the request, or of the data set alone. */
    char *(*train_settings)(const void *ctx, const struct audit_origin *origin,
                            const struct train_opts *train);
    /** Local. The lines that say how entry `index` of `methods` unlearns. */
    char *(*method_settings)(const void *ctx, int index);
    /** Local. Add what every output says of its making. */
    int (*describe)(const void *ctx, struct record *r, int same_bytes);
};

struct audit {
    const struct audit_opts *opts; /* borrowed, as the next ones */
    const struct model *model;
    const struct dataset *dataset;
    const struct partition *sets;
    const struct real_list *mean, *std; /* normalisation, as engine_init takes it */
    int64_t memory_bytes;               /* of a rank for samples */
    const struct comm *comm;
    const char *folder; /* of its files; need not be there yet */
    struct checkpoint_opts checkpoint;
    int force, strict, same_bytes;
    struct audit_hooks hooks;
    int n_origin, n_method;
    struct audit_origin *origin; /* owned */
    struct audit_method *method; /* owned */
    struct targets targets;
};

/** Collective. Draw the targets. The other members are set. @return IAU_OK or an agreed error, such
 * as IAU_ERR_DATA where the targets leave no validation sample for a method that needs one */
int audit_open(struct audit *a);
/** Local. Release the targets and lists; fine on an empty audit. */
void audit_close(struct audit *a);

/* What is there, and what is to do. */
struct audit_plan {
    int64_t n_item;  /* models to be made, or finished, by the farm */
    int64_t *item;   /* owned, [n_item]; their numbers */
    int64_t n_total; /* that there are to be */
};

/** Collective. Look at the files: which models are there? Other settings are IAU_ERR_EXISTS naming
 * them, unless forced. `p` is empty on error. */
int audit_plan(struct audit_plan *p, const struct audit *a);
void audit_plan_free(struct audit_plan *p);
/** Local. Gradients of samples that a model's making takes in all, its unlearning included. */
double audit_item_gradients(const struct audit *a, int64_t item);
/** Collective. Make the models that are not there, and then the attack networks.
 *  @return IAU_OK, IAU_STOPPED with restart files written, or an agreed error */
int audit_run(const struct audit *a);

#endif
