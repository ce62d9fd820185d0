/* First-order optimizers on flat vectors, with torch's formulas and defaults. Local; replicas that
 * see the same gradient stay the same. */
#ifndef IAU_TRAIN_OPTIMIZER_H
#define IAU_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "train/opts.h"

struct optimizer {
    struct optimizer_opts opts;
    int64_t n;
    int64_t t; /* steps taken */
    float *m;  /* owned, [n]: first moment (adam), or momentum buffer (sgd) */
    float *v;  /* owned, [n]: second moment (adam) */
};

/** Zero state for n parameters. @return IAU_OK or IAU_ERR_MEM */
int optimizer_init(struct optimizer *o, const struct optimizer_opts *opts, int64_t n);
void optimizer_free(struct optimizer *o);
/** One step w <- w - lr * update(g). Adam: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, update
 *  (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps). SGD: buf = mu buf + g (first step buf = g), update buf.
 * Weight decay adds wd * w to g in both. */
void optimizer_step(struct optimizer *o, double lr, float *w, const float *g);
/** The same step in pieces: once optimizer_begin, then every place once, in any order and by any
 * thread; w and g are those of the places [begin, begin + n). */
void optimizer_begin(struct optimizer *o);
void optimizer_piece(struct optimizer *o, double lr, int64_t begin, int64_t n, float *w,
                     const float *g);

#endif
