/* Margins over a set. */
#include "eval/margin.h"

#include <math.h>

#include "core/error.h"
#include "eval/collect.h"

double margin_of(const float *z, int n_class, int stride, int label)
{
    double largest = -INFINITY, sum = 0;
    for (int i = 0; i < n_class; i++)
        if (i != label && z[(int64_t)i * stride] > largest)
            largest = z[(int64_t)i * stride];
    for (int i = 0; i < n_class; i++)
        if (i != label)
            sum += exp(z[(int64_t)i * stride] - largest);
    return z[(int64_t)label * stride] - largest - log(sum);
}

static void unit_margins(void *ctx, int thread, const struct model *m, const struct unit *u,
                         void *out)
{
    double *margin = out;
    (void)ctx, (void)thread;
    for (int k = 0; k < u->n; k++)
        margin[k] = margin_of(u->node[m->n_layer].a + k, m->n_class, u->lanes, u->label[k]);
}

int margin_collect(struct engine *e, const float *w, const struct index_set *set, const char *name,
                   double *margin)
{
    struct collect c = {.size = sizeof *margin, .unit = unit_margins, .name = name};
    return collect_run(e, w, set, &c, margin);
}
