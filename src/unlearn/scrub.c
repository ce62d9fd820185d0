/* SCRUB: away from the origin on the forgotten samples, close to it on the retained ones. */
#include <math.h>
#include <stddef.h>

#include "unlearn/method.h"
#include "unlearn/tuned.h"

static int run(struct outcome *o, const struct unlearn *u)
{
    const struct scrub_opts *p = &u->opts->scrub;
    const struct objective away = {.teacher = 1, .temperature = p->temperature, .teacher_w = u->w};
    const struct objective close = {
        .label = p->gamma, .teacher = p->alpha, .temperature = p->temperature, .teacher_w = u->w};
    const struct pass pass[] = {{.main = {.set = &u->sets->forget,
                                          .batch = u->opts->forget_batch,
                                          .weight = -1,
                                          .objective = &away},
                                 .epochs = p->msteps},
                                {.main = {.set = &u->sets->retain,
                                          .batch = u->opts->tuning.batch,
                                          .weight = 1,
                                          .objective = &close}}};
    int skip = p->msteps == 0;
    struct tuning t = tuned(u, 2 - skip, pass + skip);
    return tuning_run(o, &t);
}

/* The teacher is asked anew for each batch; that is left out where it has no say. */
static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    double retain = (double)n->retain, epochs = (double)o->tuning.epochs;
    double forget = o->scrub.msteps ? (double)n->forget : 0;
    double up = fmin((double)o->scrub.msteps, epochs) * forget, down = epochs * retain;
    double asked = up + (o->scrub.alpha != 0 ? down : 0);
    return (struct unlearn_load){retain + forget, up + down + LOAD_FORWARD * asked};
}

const struct method method_scrub = {
    .help =
        "SCRUB (Kurmanji, Triantafillou, Hayes and Triantafillou, NeurIPS 2023): the origin is a "
        "teacher at the temperature T. In the first msteps epochs a pass over the forgotten "
        "samples ascends T^2 KL(teacher || model); each epoch, a pass over the retained ones "
        "descends gamma CE + alpha T^2 KL(teacher || model). One optimizer serves both. At the "
        "origin that divergence and its gradient are zero, so the first ascent moves only by "
        "weight decay, and without it not at all. Defaults: the paper's small-scale code (Adam "
        "5e-4, weight decay .1, gamma 1, alpha .5, T 2, msteps 3, 10 epochs, batches of 32 "
        "retained and 64 forgotten samples); there the rate falls to a tenth after epochs 5, 8 "
        "and 9, here after epoch 5 only.",
    .run = run,
    .strength = offsetof(struct method_opts, tuning.optimizer.lr),
    .load = load,
    .counts_epochs = 1};
