/* A step: gradients of the batches, their exact reduction, the restriction's product, the update.
 */
#include "train/descent.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "train/restriction.h"

static int is_restricted(const struct descent *d)
{
    return d->restriction && d->restriction->alpha != 0;
}

int descent_init(struct descent *d, int n_term, int n_unit)
{
    struct engine *e = d->engine;
    int rc = IAU_OK;
    int64_t n = model_state_floats(e->model), n_vector[DESCENT_MAX_TERMS] = {n, n};
    REQUIRE(n_term <= DESCENT_MAX_TERMS && (n_term == 1 || !is_restricted(d)));
    d->g = mem_alloc(n, sizeof *d->g);
    d->v = mem_alloc(n, sizeof *d->v);
    if (!d->g || !d->v)
        TRY(FAIL(IAU_ERR_MEM, "no memory to train %lld parameters", (long long)e->model->n_param));
    TRY(sums_init(&d->sums, n_term, n_vector, N_VALUE, e->n_thread));
    if (n_term == 1)
        TRY(engine_overlap(e, &d->sums));
    if (is_restricted(d))
        TRY(engine_keep(e, n_unit));
out:
    return rc;
}

void descent_free(struct descent *d)
{
    sums_free(&d->sums);
    free(d->g);
    free(d->v);
    *d = (struct descent){0};
}

/* The reduced sums of H v on the same batch, v being its normalised gradient; g keeps the gradient.
 */
static int restriction_product(struct descent *d, const struct descent_term *term, const char *what)
{
    struct engine *e = d->engine;
    double start = timer_now_s();
    sums_mean(&d->sums, 0, 0, e->model->n_param, d->g);
    restriction_direction(e->model, d->restriction->norm, d->g, d->v);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    sums_begin(&d->sums, &term->n_samples);
    sweep_add_step_product(e, d->w, d->v, term->work.n_unit, &d->sums);
    return sweep_reduce(e, &d->sums, what);
}

struct update {
    struct descent *d;
    int n_term;
    double weight[DESCENT_MAX_TERMS];
    double lr;
};

/* The gradient of a few parameters, so that it stays in the cache. */
static const float *gradient_piece(const struct update *u, int64_t begin, int64_t n, float *few)
{
    struct descent *d = u->d;
    if (is_restricted(d)) {
        sums_add_mean(&d->sums, 0, d->restriction->alpha, begin, n, d->g + begin);
        return d->g + begin;
    }
    if (u->n_term == 1 && u->weight[0] == 1) {
        sums_mean(&d->sums, 0, begin, n, few);
        return few;
    }
    memset(few, 0, (size_t)n * sizeof *few);
    for (int i = 0; i < u->n_term; i++)
        sums_add_mean(&d->sums, i, u->weight[i], begin, n, few);
    return few;
}

static void update_piece(void *ctx, int64_t begin, int64_t n)
{
    const struct update *u = ctx;
    struct descent *d = u->d;
    float few[SWEEP_PIECE], before[SWEEP_PIECE], *w = d->w + begin;
    const float *g = gradient_piece(u, begin, n, few);
    if (d->mask)
        memcpy(before, w, (size_t)n * sizeof *w);
    optimizer_piece(d->optimizer, u->lr, begin, n, w, g);
    for (int64_t i = 0; d->mask && i < n; i++) /* neither momentum nor decay moves these */
        w[i] = d->mask[begin + i] ? w[i] : before[i];
}

/* After the reduction, so that all ranks decide alike. */
static double weight_of(const struct descent_term *t, double objective_sum)
{
    int enough = t->until > 0 && objective_sum > t->until * (double)t->n_samples;
    return enough ? 0 : t->weight;
}

int descent_step(struct descent *d, int n_term, const struct descent_term *term, double lr,
                 const char *what, int64_t *word)
{
    struct engine *e = d->engine;
    const struct model *m = e->model;
    struct update update = {.d = d, .n_term = n_term, .lr = lr};
    int64_t n_samples[DESCENT_MAX_TERMS] = {0};
    REQUIRE(n_term == d->sums.n_segment);
    for (int i = 0; i < n_term; i++)
        n_samples[i] = term[i].n_samples;
    sums_begin(&d->sums, n_samples);
    for (int i = 0; i < n_term; i++)
        sweep_add_step_gradient(e, d->w, &term[i].work, &d->sums, i, is_restricted(d));
    *sums_stop(&d->sums, 0) = *word;
    int rc = sweep_reduce(e, &d->sums, what);
    if (rc != IAU_OK)
        return rc;
    *word = *sums_stop(&d->sums, 0);
    for (int i = 0; i < n_term; i++) {
        for (int k = 0; k < N_VALUE; k++)
            d->value[i][k] = sums_value(&d->sums, i, k);
        update.weight[i] = weight_of(&term[i], d->value[i][VALUE_LOSS]);
    }
    sums_mean(&d->sums, 0, m->n_param, m->n_buffer, d->g + m->n_param);
    if (is_restricted(d) && (rc = restriction_product(d, term, what)) != IAU_OK)
        return rc;
    optimizer_begin(d->optimizer);
    sweep_pieces(e, m->n_param, update_piece, &update);
    if (term[0].work.norm == NORM_GROUP)
        model_update_buffers(m, d->g, d->w);
    return IAU_OK;
}
