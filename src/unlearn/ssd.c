/* Selective synaptic dampening: parameters that matter much more to the forgotten samples than to
 * all are made smaller. */
#include "unlearn/ssd.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"
#include "unlearn/importance.h"

static const char *const columns[] = {"step",     "share_dampened", "mean_factor",
                                      "distance", "seconds_s",      NULL};

enum { SET_RETAINED, SET_FORGOTTEN, N_SET };

struct ssd_count ssd_dampen(const struct ssd_opts *opts, int64_t n, const double *all,
                            const double *forget, float *w)
{
    struct ssd_count c = {0, 0};
    for (int64_t j = 0; j < n; j++) {
        if (!(forget[j] > opts->alpha * all[j]))
            continue;
        double factor = fmin(opts->lambda * all[j] / forget[j], 1);
        w[j] = (float)(factor * w[j]);
        c.n++;
        c.factor_sum += factor;
    }
    return c;
}

/* Sums become means: over D, which is both sets, and over D_f. */
static int finish(const struct unlearn *u, double *const sum[N_SET], float *w,
                  struct history *history, double start)
{
    struct engine *e = u->engine;
    int64_t n = e->model->n_param;
    double begin_update = timer_now_s(), *all = sum[SET_RETAINED], *forget = sum[SET_FORGOTTEN];
    for (int64_t j = 0; j < n; j++) {
        all[j] = (all[j] + forget[j]) / (double)u->sets->train.n;
        forget[j] /= (double)u->sets->forget.n;
    }
    struct ssd_count c = ssd_dampen(&u->opts->ssd, n, all, forget, w);
    double distance = vector_distance(w, u->w, n), now = timer_now_s(), seconds = now - start;
    e->cost.seconds[PHASE_UPDATE] += now - begin_update;
    double row[] = {1, (double)c.n / (double)n, c.n ? c.factor_sum / (double)c.n : NAN, distance,
                    seconds};
    if (c.n > 0)
        log_line("%s  dampened %.2f %% of the parameters, on average by %.3f  moved %.4g  %.3f s",
                 u->name, 100 * row[1], row[2], distance, seconds);
    else
        log_warn("%s: no parameter matters more than %g times as much to the forgotten samples as "
                 "to all; nothing is moved",
                 u->name, u->opts->ssd.alpha);
    progress_row(u->progress, u->name, "step", 1, NAN, NAN, NAN, NAN, seconds);
    return history_add(history, row);
}

static int run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    struct engine *e = u->engine;
    int64_t n = e->model->n_param, n_state = model_state_floats(e->model);
    const struct index_set *const set[N_SET] = {&u->sets->retain, &u->sets->forget};
    double *const sum[N_SET] = {mem_alloc(n, sizeof(double)), mem_alloc(n, sizeof(double))};
    float *w = mem_alloc(n_state, sizeof *w);
    double start = timer_now_s();
    *o = (struct outcome){0};
    history_init(&o->history, columns);
    TRY(comm_agree(e->comm,
                   w && sum[0] && sum[1]
                       ? IAU_OK
                       : FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)n)));
    memcpy(w, u->w, (size_t)n_state * sizeof *w);
    TRY(importance_sums(u, SQUARES_TRUE, N_SET, set, sum));
    TRY(comm_agree(e->comm, finish(u, sum, w, &o->history, start)));
    TRY(comm_agree(e->comm, comm_check_equal(e->comm, sweep_checksum(w, n_state), u->name)));
    o->w = w;
    w = NULL;
out:
    free(w);
    free(sum[SET_RETAINED]);
    free(sum[SET_FORGOTTEN]);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    (void)o;
    return (struct unlearn_load){(double)n->train, (double)n->train};
}

const struct method method_ssd = {
    .help =
        "Selective synaptic dampening (Foster, Schoepf and Brintrup, AAAI 2024): where a "
        "parameter's importance to the forgotten samples is more than alpha times that to all "
        "training samples, it is multiplied by lambda times the ratio of the two, at most by 1. "
        "Importance is the mean over samples of the square of a sample's own gradient, the "
        "diagonal of the empirical Fisher information that the paper defines. The authors' code "
        "takes squares of gradients of whole batches, which depend on the size of the batches. "
        "Defaults are theirs for random samples (alpha 10, lambda 1).",
    .run = run,
    .strength = offsetof(struct method_opts, ssd.alpha),
    .load = load};
