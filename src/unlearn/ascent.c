/* Gradient ascent: up the loss of the forgotten samples. */
#include <stddef.h>
#include <stdio.h>

#include "core/error.h"
#include "core/log.h"
#include "unlearn/method.h"
#include "unlearn/tuned.h"

/* Whose losses say when it is enough. */
struct guard {
    const struct unlearn *u;
    struct share forget, valid;
};

static int guard_init(struct guard *g)
{
    struct engine *e = g->u->engine;
    int rc = IAU_OK;
    double start = timer_now_s();
    TRY(share_load(&g->forget, e, &g->u->sets->forget));
    TRY(share_load(&g->valid, e, &g->u->sets->valid));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
out:
    return rc;
}

static void guard_free(struct guard *g)
{
    share_free(&g->forget);
    share_free(&g->valid);
}

/* Enough once the model does worse on what it is to forget than on what it has never seen. */
static int end_epoch(void *ctx, int64_t epoch, const float *w, int *enough)
{
    struct guard *g = ctx;
    struct engine *e = g->u->engine;
    int rc = IAU_OK;
    char what[160];
    double forget = 0, valid = 0, accuracy;
    snprintf(what, sizeof what, "%s: after epoch %lld", g->u->name, (long long)epoch + 1);
    e->phase = PHASE_EVALUATE;
    TRY(sweep_loss(e, w, &g->forget, what, &forget, &accuracy));
    TRY(sweep_loss(e, w, &g->valid, what, &valid, &accuracy));
    *enough = forget > valid;
    if (*enough)
        log_line("%s  stops: the loss on the forgotten samples, %.4f, has passed that on the "
                 "validation samples, %.4f",
                 g->u->name, forget, valid);
out:
    e->phase = PHASE_COMPUTE;
    return rc;
}

static int run(struct outcome *o, const struct unlearn *u)
{
    int rc = IAU_OK;
    struct guard guard = {.u = u};
    struct pass pass = {
        .main = {.set = &u->sets->forget, .batch = u->opts->tuning.batch, .weight = -1}};
    struct tuning t = tuned(u, 1, &pass);
    *o = (struct outcome){0};
    TRY(comm_agree(u->engine->comm, method_check_valid(u->opts, u->sets->valid.n, u->name)));
    if (u->opts->until == ASCENT_UNTIL_VALIDATION) {
        TRY(guard_init(&guard));
        t.end_epoch = end_epoch;
        t.ctx = &guard;
    }
    TRY(tuning_run(o, &t));
out:
    guard_free(&guard);
    return rc;
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    double forget = (double)n->forget, epochs = (double)o->tuning.epochs;
    double watched = o->until == ASCENT_UNTIL_VALIDATION ? (double)n->forget + (double)n->valid : 0;
    return (struct unlearn_load){forget + watched, epochs * (forget + LOAD_FORWARD * watched)};
}

const struct method method_ascent = {
    .help =
        "Gradient ascent: steps up the loss of the forgotten samples. That loss has no bound, and "
        "too long a way wrecks the model; so it stops by itself after the epoch in which the loss "
        "on the forgotten samples has passed that on the validation samples (until). Defaults: "
        "OPTML Unlearn-Sparse (5 epochs, SGD 1e-4, momentum .9, weight decay 5e-4, batch 256), "
        "which does not stop; its data augmentation is left out.",
    .run = run,
    .strength = offsetof(struct method_opts, tuning.optimizer.lr),
    .load = load,
    .counts_epochs = 1};
