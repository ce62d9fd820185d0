/* Two gradient sums by one sweep and one reduction. */
#include "unlearn/set_gradients.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

int set_gradients_init(struct set_gradients *g, const struct unlearn *u, int want_retain, int once)
{
    struct engine *e = u->engine;
    int64_t n = e->model->n_param, lengths[2] = {n, n};
    int rc = IAU_OK;
    double start = timer_now_s();
    *g = (struct set_gradients){
        .u = u, .want_retain = want_retain, .main_is_all = u->sets->forget.n <= u->sets->retain.n};
    g->retain = mem_alloc(n, sizeof *g->retain);
    g->forget = mem_alloc(n, sizeof *g->forget);
    if (!g->retain || !g->forget)
        rc = FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)n);
    if (rc == IAU_OK)
        rc = sums_init(&g->sums, 2, lengths, N_VALUE, e->n_thread);
    TRY(comm_agree(e->comm, rc));
    if (want_retain && !(once && u->gradient_sum && g->main_is_all))
        TRY(share_load(&g->main, e, g->main_is_all ? &u->sets->train : &u->sets->retain));
    TRY(share_load(&g->forget_share, e, &u->sets->forget));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
out:
    return rc;
}

/* From the reduced sums to those of the two sets. */
static void divide(struct set_gradients *g, int is_swept, int is_cached)
{
    const struct unlearn *u = g->u;
    int64_t n = u->engine->model->n_param;
    double loss_forget = sums_value(&g->sums, 1, VALUE_LOSS);
    double loss_main = is_swept    ? sums_value(&g->sums, 0, VALUE_LOSS)
                       : is_cached ? u->loss_sum
                                   : NAN;
    sums_total(&g->sums, 1, g->forget);
    g->have_retain = is_swept || is_cached;
    if (is_swept)
        sums_total(&g->sums, 0, g->retain);
    else if (is_cached)
        memcpy(g->retain, u->gradient_sum, (size_t)n * sizeof *g->retain);
    if (g->have_retain && g->main_is_all)
        for (int64_t i = 0; i < n; i++)
            g->retain[i] -= g->forget[i];
    g->loss_retain = (loss_main - (g->main_is_all ? loss_forget : 0)) / (double)u->sets->retain.n;
    g->loss_forget = loss_forget / (double)u->sets->forget.n;
}

int set_gradients_at(struct set_gradients *g, const float *w, int at_origin, const char *what,
                     int64_t *word)
{
    const struct unlearn *u = g->u;
    struct engine *e = u->engine;
    int is_cached = g->want_retain && u->gradient_sum && g->main_is_all && at_origin;
    int is_swept = g->want_retain && !is_cached;
    int64_t n[2] = {g->main_is_all ? u->sets->train.n : u->sets->retain.n, u->sets->forget.n};
    struct work main = share_work(e, &g->main), forget = share_work(e, &g->forget_share);
    sums_begin(&g->sums, n);
    if (is_swept)
        sweep_add_gradient(e, w, &main, &g->sums, 0);
    sweep_add_gradient(e, w, &forget, &g->sums, 1);
    *sums_stop(&g->sums, 0) = word ? *word : 0;
    int rc = sweep_reduce(e, &g->sums, what);
    if (rc != IAU_OK)
        return rc;
    double start = timer_now_s();
    if (word)
        *word = *sums_stop(&g->sums, 0);
    divide(g, is_swept, is_cached);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    return IAU_OK;
}

void set_gradients_free(struct set_gradients *g)
{
    share_free(&g->main);
    share_free(&g->forget_share);
    sums_free(&g->sums);
    free(g->retain);
    free(g->forget);
    *g = (struct set_gradients){0};
}
