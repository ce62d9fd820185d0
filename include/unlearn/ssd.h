/* Selective synaptic dampening (Foster, Schoepf and Brintrup, AAAI 2024). */
#ifndef IAU_UNLEARN_SSD_H
#define IAU_UNLEARN_SSD_H

#include "unlearn/opts.h"

/* What was done to the parameters. */
struct ssd_count {
    int64_t n; /* dampened */
    double factor_sum;
};

/** Local. Dampen n parameters w where the importance to the forgotten samples is more than alpha
 * times that to all. */
struct ssd_count ssd_dampen(const struct ssd_opts *opts, int64_t n, const double *all,
                            const double *forget, float *w);

#endif
