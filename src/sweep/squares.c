/* Squares of single samples' gradients: a lane of a unit is a sample, so a unit's squares take
 * little longer than its gradient. */
#include "sweep/squares.h"

#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"
#include "kernel/softmax.h"

enum { HIGH, LOW, N_HALF };

int squares_init(struct squares *s, struct engine *e, const char *what)
{
    int64_t n = e->model->n_param, lengths[N_HALF] = {n, n};
    *s = (struct squares){.engine = e, .what = what};
    s->own = mem_alloc(n * e->n_thread, sizeof *s->own);
    return s->own ? sums_init(&s->sums, N_HALF, lengths, 0, e->n_thread)
                  : FAIL(IAU_ERR_MEM, "no memory for squares of %lld parameters", (long long)n);
}

void squares_free(struct squares *s)
{
    sums_free(&s->sums);
    free(s->own);
    *s = (struct squares){0};
}

/* The top node's da for the label y of all lanes, times the root of its probability. */
static void label_gradient(const struct model *m, struct unit *u, int y)
{
    int32_t label[UNIT_MAX_LANES];
    float weight[UNIT_MAX_LANES];
    for (int k = 0; k < u->lanes; k++) {
        label[k] = y;
        weight[k] = u->weight[k] * sqrtf(u->p[(int64_t)y * u->lanes + k]);
    }
    softmax_backward(m->n_class, u->lanes, u->p, label, weight, u->node[m->n_layer].da);
}

static void unit_squares(struct worker *wk, void *ctx, int64_t i)
{
    struct squares *s = ctx;
    const struct model *m = s->engine->model;
    struct unit *u = &wk->unit;
    float *own = s->own + wk->thread * m->n_param, *part = wk->vector;
    sweep_gather(s->engine, s->work, i, u);
    model_forward(m, s->w, u);
    if (s->labels == SQUARES_TRUE) {
        model_loss_gradient(m, u);
        model_squares_from_top(m, s->w, u, own);
    }
    for (int y = 0; s->labels == SQUARES_EXPECTED && y < m->n_class; y++) {
        label_gradient(m, u, y);
        model_squares_from_top(m, s->w, u, y ? part : own);
        for (int64_t j = 0; y && j < m->n_param; j++)
            own[j] += part[j];
    }
    exact_split(own, m->n_param, s->sums.segment[HIGH].scale, part);
    sums_add(&s->sums, wk->thread, HIGH, part, NULL);
    sums_add(&s->sums, wk->thread, LOW, own, NULL);
}

static void add_halves(struct squares *s, double *sum)
{
    const struct segment *high = &s->sums.segment[HIGH], *low = &s->sums.segment[LOW];
    const int64_t *acc = s->sums.acc;
    double start = timer_now_s();
    for (int64_t j = 0; j < high->n_vector; j++)
        sum[j] =
            (double)acc[high->begin + j] / high->scale + (double)acc[low->begin + j] / low->scale;
    s->engine->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
}

int squares_sum(struct squares *s, const float *w, const struct share *share,
                enum square_labels labels, int64_t *word, double *sum)
{
    struct engine *e = s->engine;
    struct work work = share_work(e, share);
    s->w = w;
    s->work = &work;
    s->labels = labels;
    sums_begin(&s->sums, (int64_t[N_HALF]){share->n_global, share->n_global});
    sums_set_bits(&s->sums, HIGH, EXACT_BITS_SQUARE);
    sums_set_bits(&s->sums, LOW, exact_rest_bits(s->sums.segment[HIGH].scale));
    sweep_work(e, &work, unit_squares, s);
    e->cost.gradients += share->n_global * (labels == SQUARES_EXPECTED ? e->model->n_class : 1);
    *sums_stop(&s->sums, 0) = word ? *word : 0;
    int rc = sweep_reduce(e, &s->sums, s->what);
    if (rc != IAU_OK)
        return rc;
    if (word)
        *word = *sums_stop(&s->sums, 0);
    add_halves(s, sum);
    return IAU_OK;
}
