/* Fisher forgetting: the information of the retained samples, and noise by it. */
#include "unlearn/fisher.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/rng.h"
#include "kernel/vector.h"
#include "unlearn/importance.h"

/* All are the authors'. What is added to the information, the largest fraction, that in the last
 * layer, what some variances are multiplied by, and the variance of a row whose class is gone. */
static const double ADDED = 1e-8, MOST = 1e3, MOST_LAST = 1e2, TIMES = 10, GONE = 1e-4;

static const char *const columns[] = {
    "step", "mean_information", "share_clipped", "variance", "distance", "seconds_s", NULL};

struct run {
    const struct unlearn *u;
    struct index_set sample;        /* of D_r */
    double *information, *variance; /* owned, [n_param] */
    uint8_t *gone; /* owned, [n_class]: the class has forgotten samples and no retained ones */
    float *w;      /* owned, [n_param + n_buffer] */
};

/* The last layer with parameters: its rows, and of batch norm its elements, are classes. */
static const struct layer *last_layer(const struct model *m)
{
    int i = m->n_layer - 1;
    while (m->layer[i].n_tensor == 0)
        i--;
    return &m->layer[i];
}

static int is_of(const struct layer *l, const struct tensor *t)
{
    return t->offset >= l->tensor[0].offset;
}

/* The mean over dimension 1 in place of a tensor's elements. */
static void average_inputs(const struct tensor *t, double *v)
{
    int64_t n_in = t->dims[1], n_rest = t->count / (t->dims[0] * n_in);
    for (int64_t i = 0; i < t->dims[0] * n_rest; i++) {
        double *first = v + i / n_rest * n_in * n_rest + i % n_rest, sum = 0;
        for (int64_t c = 0; c < n_in; c++)
            sum += first[c * n_rest];
        for (int64_t c = 0; c < n_in; c++)
            first[c * n_rest] = sum / (double)n_in;
    }
}

int64_t fisher_variance(const struct model *m, const double *information, double alpha,
                        double *variance)
{
    int64_t n_clipped = 0;
    for (int i = 0; i < m->n_tensor; i++) {
        const struct tensor *t = m->tensor[i];
        int is_last = is_of(last_layer(m), t);
        double most = is_last ? MOST_LAST : MOST,
               times = alpha * (is_last || t->ndim == 1 ? TIMES : 1);
        for (int64_t j = t->offset; j < t->offset + t->count; j++) {
            double fraction = 1 / (information[j] + ADDED);
            n_clipped += fraction > most;
            variance[j] = times * (fraction < most ? fraction : most);
        }
        if (t->ndim > 1)
            average_inputs(t, variance + t->offset);
    }
    return n_clipped;
}

/* Which classes leave the training set for good. */
static int find_gone(struct run *r)
{
    const struct unlearn *u = r->u;
    int32_t *label = NULL;
    int rc = dataset_read_labels(u->engine->dataset, PART_TRAIN, &label);
    if (rc != IAU_OK)
        return rc;
    for (int64_t i = 0; i < u->sets->forget.n; i++)
        r->gone[label[u->sets->forget.row[i]]] = 1;
    for (int64_t i = 0; i < u->sets->retain.n; i++)
        r->gone[label[u->sets->retain.row[i]]] = 0;
    free(label);
    return IAU_OK;
}

static int allocate(struct run *r)
{
    const struct unlearn *u = r->u;
    const struct model *m = u->engine->model;
    int64_t n = m->n_param, n_sample = u->opts->fisher.samples;
    r->information = mem_alloc(n, sizeof *r->information);
    r->variance = mem_alloc(n, sizeof *r->variance);
    r->gone = mem_alloc(m->n_class, sizeof *r->gone);
    r->w = mem_alloc(model_state_floats(m), sizeof *r->w);
    if (!r->information || !r->variance || !r->gone || !r->w)
        return FAIL(IAU_ERR_MEM, "no memory to unlearn %lld parameters", (long long)n);
    memcpy(r->w, u->w, (size_t)model_state_floats(m) * sizeof *r->w);
    int rc = index_set_sample(&r->sample, &u->sets->retain, n_sample ? n_sample : u->sets->retain.n,
                              (uint32_t)u->opts->seed);
    return rc == IAU_OK ? find_gone(r) : rc;
}

/* Rows of the last layer whose class is gone start from 0. */
static void clear_gone(struct run *r)
{
    const struct model *m = r->u->engine->model;
    const struct layer *last = last_layer(m);
    for (int i = 0; i < last->n_tensor; i++)
        for (int64_t j = 0, n = last->tensor[i].count; j < n; j++)
            if (r->gone[j / (n / m->n_class)]) {
                r->w[last->tensor[i].offset + j] = 0;
                r->variance[last->tensor[i].offset + j] = TIMES * GONE;
            }
}

static void add_noise(struct run *r)
{
    const struct unlearn *u = r->u;
    const struct model *m = u->engine->model;
    for (int i = 0; i < m->n_tensor; i++) {
        struct rng rng = {(uint64_t)u->opts->seed, RNG_NOISE, (uint64_t)i};
        for (int64_t k = 0; k < m->tensor[i]->count; k++) {
            int64_t j = m->tensor[i]->offset + k;
            r->w[j] = (float)(r->w[j] + sqrt(r->variance[j]) * rng_normal(&rng, (uint64_t)k));
        }
    }
}

/* From the sums to the parameters; a row of history. */
static int finish(struct run *r, struct history *history, double start)
{
    const struct unlearn *u = r->u;
    struct engine *e = u->engine;
    int64_t n = e->model->n_param, n_sample = r->sample.n;
    double begin_update = timer_now_s(), information = 0, variance = 0;
    for (int64_t j = 0; j < n; j++)
        information += r->information[j] /= (double)n_sample;
    int64_t n_clipped =
        fisher_variance(e->model, r->information, u->opts->fisher.alpha, r->variance);
    clear_gone(r);
    add_noise(r);
    for (int64_t j = 0; j < n; j++)
        variance += r->variance[j];
    double distance = vector_distance(r->w, u->w, n), now = timer_now_s(), seconds = now - start;
    e->cost.seconds[PHASE_UPDATE] += now - begin_update;
    double row[] = {1,
                    information / (double)n,
                    (double)n_clipped / (double)n,
                    variance / (double)n,
                    distance,
                    seconds};
    log_line("%s  mean information %.4g, %.1f %% below what is told apart  moved %.4g  %.3f s",
             u->name, row[1], 100 * row[2], distance, seconds);
    progress_row(u->progress, u->name, "step", 1, NAN, NAN, NAN, NAN, seconds);
    return history_add(history, row);
}

static int run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    struct run r = {.u = u};
    struct engine *e = u->engine;
    double start = timer_now_s();
    *o = (struct outcome){0};
    history_init(&o->history, columns);
    TRY(comm_agree(e->comm, allocate(&r)));
    const struct index_set *set = &r.sample;
    TRY(importance_sums(u, SQUARES_EXPECTED, 1, &set, &r.information));
    TRY(comm_agree(e->comm, finish(&r, &o->history, start)));
    TRY(comm_agree(
        e->comm,
        comm_check_equal(e->comm, sweep_checksum(r.w, model_state_floats(e->model)), u->name)));
    o->w = r.w;
    r.w = NULL;
out:
    index_set_free(&r.sample);
    free(r.information);
    free(r.variance);
    free(r.gone);
    free(r.w);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    int64_t samples = o->fisher.samples;
    double rows = (double)(samples && samples < n->retain ? samples : n->retain);
    return (struct unlearn_load){rows, rows * n->n_class};
}

const struct method method_fisher = {
    .help =
        "Noise of variance alpha / F on every parameter, F being the diagonal of Fisher's "
        "information about it in the retained samples, with the labels integrated out over the "
        "model's own predictions (Golatkar, Achille and Soatto, CVPR 2020). The forgotten samples "
        "are not looked at. Clipping, averages over a tensor's inputs, factors and alpha are those "
        "of the authors' code, and so is a fresh row in the last layer for a class that has no "
        "retained samples. Theirs takes every tensor with as many rows as there are classes for "
        "the last layer; ours goes by the layer. Each seed is one draw of the noise.",
    .run = run,
    .strength = offsetof(struct method_opts, fisher.alpha),
    .load = load};
