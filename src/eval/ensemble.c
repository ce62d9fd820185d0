/* Aggregates of the models of an ensemble. */
#include "eval/ensemble.h"

#include <math.h>
#include <string.h>

#include "eval/mia.h"
#include "kernel/vector.h"

/* Votes of a unit's samples. */
static void add_votes(const struct model *m, const struct unit *u, float *total)
{
    for (int i = 0; i < u->n; i++) {
        int best = 0;
        for (int c = 1; c < m->n_class; c++)
            best = u->p[c * u->lanes + i] > u->p[best * u->lanes + i] ? c : best;
        total[best * u->lanes + i] += 1;
    }
}

void ensemble_forward(const struct ensemble *e, const struct model *m, struct unit *u, float *total)
{
    int64_t n = (int64_t)m->n_class * u->lanes;
    uint8_t is_broken[UNIT_MAX_LANES] = {0};
    float feature[N_MIA_FEATURE];
    if (e->n == 1) {
        model_forward(m, e->w, u);
        return;
    }
    memset(total, 0, (size_t)n * sizeof *total);
    for (int k = 0; k < e->n; k++) {
        model_forward(m, e->w + k * e->stride, u);
        for (int i = 0; i < u->n; i++)
            is_broken[i] |= !isfinite(u->loss[i]);
        if (e->rule == AGGREGATE_VOTE)
            add_votes(m, u, total);
        else
            for (int64_t i = 0; i < n; i++)
                total[i] += u->p[i];
    }
    for (int64_t i = 0; i < n; i++)
        u->p[i] = total[i] / (float)e->n;
    for (int i = 0; i < u->n; i++) {
        mia_features(u->p + i, m->n_class, u->lanes, u->label[i], feature);
        u->loss[i] = is_broken[i] ? NAN : feature[MIA_LOSS];
    }
}

void ensemble_distance(const struct ensemble *e, const struct ensemble *reference, int64_t n_param,
                       double *distance, double *norm)
{
    double d2 = 0, r2 = 0;
    for (int k = 0; k < reference->n && e->n == reference->n; k++) {
        const float *w = e->w + k * e->stride, *r = reference->w + k * reference->stride;
        double d = vector_distance(w, r, n_param), length = vector_norm(r, n_param);
        d2 += d * d;
        r2 += length * length;
    }
    *distance = e->n == reference->n ? sqrt(d2) : NAN;
    *norm = e->n == reference->n ? sqrt(r2) : NAN;
}
