/* Settings of one entry of `methods`. */
#ifndef IAU_UNLEARN_OPTS_H
#define IAU_UNLEARN_OPTS_H

#include <stdint.h>

#include "train/opts.h"

enum method_name { METHOD_IAU, METHOD_RETRAIN };
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

struct method_opts {
    char *name; /* owned; also the file's name */
    enum method_name method;
    char *origin; /* owned; the origin it starts from */
    struct iau_opts iau;
};

#endif
