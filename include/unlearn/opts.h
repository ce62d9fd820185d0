/* Settings of one entry of `methods`. */
#ifndef IAU_UNLEARN_OPTS_H
#define IAU_UNLEARN_OPTS_H

#include <stdint.h>

#include "sweep/product.h"
#include "train/opts.h"

/* X(enumerator, name in settings) */
#define IAU_METHOD_LIST(X)                   \
    X(METHOD_IAU, "iau")                     \
    X(METHOD_IAU_CURVATURE, "iau_curvature") \
    X(METHOD_RETRAIN, "retrain")             \
    X(METHOD_FINETUNE, "finetune")           \
    X(METHOD_ASCENT, "ascent")               \
    X(METHOD_NEGGRAD_PLUS, "neggrad_plus")   \
    X(METHOD_RANDOM_LABEL, "random_label")   \
    X(METHOD_SCRUB, "scrub")                 \
    X(METHOD_SALUN, "salun")                 \
    X(METHOD_INFLUENCE, "influence")         \
    X(METHOD_FISHER, "fisher")               \
    X(METHOD_SSD, "ssd")                     \
    X(METHOD_SISA, "sisa")

enum method_name {
#define X(enumerator, name) enumerator,
    IAU_METHOD_LIST(X)
#undef X
        N_METHOD
};

enum iau_scale { IAU_SCALE_MEAN, IAU_SCALE_SUM };
enum iau_step { IAU_STEP_FIXED, IAU_STEP_CALIBRATED };
enum iau_cache { IAU_CACHE_AUTO, IAU_CACHE_OFF };

struct iau_opts {
    int correction;                /* gradient correction: use the retained samples' gradient */
    double weight;                 /* of that gradient */
    enum optimizer_name optimizer; /* of the step; its state starts at zero */
    double lr;
    enum iau_scale scale; /* both gradients as means or as sums over their sets */
    enum iau_step
        step; /* calibrated: length by bisection, until loss on D_f equals loss on validation */
    int64_t steps;
    enum iau_cache cache; /* auto: the origin's stored gradient sum where it is valid */
};

struct curvature_opts {
    int64_t samples; /* retained samples that products are taken over; 0: all */
    double relative_damping;
    int64_t iterations; /* of conjugate gradients */
    enum iau_step step;
    double strength;  /* length of the step, or times the length found */
    int64_t held_out; /* validation samples that calibration looks at; 0: all */
    double repair;    /* share of D_r in an epoch of the repair; 0: none */
    double hold;      /* weight of ascent on D_f meanwhile */
    double average;   /* last share of the repair's steps whose parameters are averaged */
};

enum ascent_until { ASCENT_UNTIL_VALIDATION, ASCENT_UNTIL_OFF };

/* Of random_label and salun. */
enum relabel_order { RELABEL_SEQUENTIAL, RELABEL_MIXED };
struct relabel_opts {
    int exclude_true; /* never the true label */
    int redraw;       /* anew in each epoch */
    enum relabel_order order;
};

struct scrub_opts {
    double alpha, gamma; /* of the divergence and of the labels, on the retained samples */
    double temperature;
    int64_t msteps; /* epochs with a pass over the forgotten samples */
};

enum influence_form { INFLUENCE_REWEIGHT, INFLUENCE_NEWTON };

struct influence_opts {
    enum influence_form form;
    double strength; /* what the step is multiplied by */
    int64_t samples; /* retained samples that products are taken over; 0: all */
    enum product_kind product;
    double damping, tolerance;
    int64_t iterations;
};

struct fisher_opts {
    double alpha;    /* what the noise's variance is multiplied by */
    int64_t samples; /* retained samples that the information is taken over; 0: all */
};

struct ssd_opts {
    double alpha;  /* parameters are dampened where they are so many times more important to D_f */
    double lambda; /* of the factor */
};

/* A method has a use for some of these. */
struct method_opts {
    char *name; /* owned; also the file's name */
    enum method_name method;
    char *origin; /* owned; the origin it starts from */
    int64_t seed; /* of what it draws: the order of samples, labels, noise */
    int64_t tune; /* strengths to try; 0: the one that is set */
    double tune_range;
    struct iau_opts iau;
    struct curvature_opts curvature;
    struct tuning_opts tuning;
    int64_t forget_batch; /* forgotten samples of a step, where tuning.batch is of retained ones */
    enum ascent_until until;
    double neggrad_alpha; /* weight of the retained samples' loss; the other's is the rest of 1 */
    struct relabel_opts relabel;
    struct scrub_opts scrub;
    double salun_fraction; /* of the parameters, to be moved */
    struct influence_opts influence;
    struct fisher_opts fisher;
    struct ssd_opts ssd;
};

#endif
