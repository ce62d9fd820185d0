/* SalUn: random labels that move only the parameters which the forgotten samples pull at most. */
#include "unlearn/salun.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "unlearn/random_label.h"
#include "unlearn/set_gradients.h"

/* |x| as an integer: for numbers that are not negative the order of bits is that of values. */
static uint64_t magnitude(double x)
{
    uint64_t bits;
    x = fabs(x);
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The largest value that at least k of the magnitudes reach, found bit by bit. */
static uint64_t reached_by(int64_t n, const double *g, int64_t k)
{
    uint64_t value = 0;
    for (int bit = 62; bit >= 0; bit--) {
        uint64_t higher = value | UINT64_C(1) << bit;
        int64_t n_reach = 0;
        for (int64_t i = 0; i < n; i++)
            n_reach += magnitude(g[i]) >= higher;
        value = n_reach >= k ? higher : value;
    }
    return value;
}

int64_t salun_mask(int64_t n, const double *g, double fraction, uint8_t *mask)
{
    int64_t k = (int64_t)(fraction * (double)n);
    k = k < 1 ? 1 : k;
    uint64_t least = reached_by(n, g, k);
    int64_t n_equal = k; /* of those at `least`, so many are taken */
    for (int64_t i = 0; i < n; i++)
        n_equal -= magnitude(g[i]) > least;
    for (int64_t i = 0; i < n; i++) {
        uint64_t m = magnitude(g[i]);
        mask[i] = m > least || (m == least && n_equal-- > 0);
    }
    return k;
}

static int find_mask(const struct unlearn *u, uint8_t *mask)
{
    struct engine *e = u->engine;
    int rc = IAU_OK;
    int64_t n = e->model->n_param;
    char what[160];
    struct set_gradients g = {0};
    const struct cost before = e->cost;
    snprintf(what, sizeof what, "%s: the forgotten samples' gradient", u->name);
    TRY(set_gradients_init(&g, u, 0, 1));
    TRY(set_gradients_at(&g, u->w, 1, what, NULL));
    double start = timer_now_s();
    int64_t n_moved = salun_mask(n, g.forget, u->opts->salun_fraction, mask);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    if (u->restart && u->restart->resume)
        e->cost = before; /* a run that goes on has it in its restart file's cost */
    log_line("%s  moves %lld of %lld parameters", u->name, (long long)n_moved, (long long)n);
out:
    set_gradients_free(&g);
    return rc;
}

static int run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    uint8_t *mask = mem_alloc(u->engine->model->n_param, sizeof *mask);
    *o = (struct outcome){0};
    TRY(comm_agree(u->engine->comm,
                   mask ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a mask of parameters")));
    TRY(find_mask(u, mask));
    TRY(random_label_run(o, u, mask));
out:
    free(mask);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    struct unlearn_load l = random_label_load(o, n);
    l.gradients += (double)n->forget;
    return l;
}

const struct method method_salun = {
    .help =
        "SalUn (Fan and others, ICLR 2024): random_label, moving only the share `fraction` of the "
        "parameters, over all tensors jointly, where the forgotten samples' gradient at the origin "
        "is largest; of equal ones the first. The others keep their bits, whatever momentum and "
        "weight decay say. Defaults: the authors' example for ResNet18 on CIFAR-10 (fraction .5, "
        "10 epochs, "
        "SGD .013, momentum .9, weight decay 5e-4, batch 256). The gradient is a sum over samples "
        "(there: over means of batches, which weighs the last batch more); data augmentation is "
        "left out.",
    .run = run,
    .strength = offsetof(struct method_opts, tuning.optimizer.lr),
    .load = load,
    .counts_epochs = 1};
