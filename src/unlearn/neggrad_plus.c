/* NegGrad+: down the loss of the retained samples and up that of the forgotten ones, in one step.
 */
#include <math.h>
#include <stddef.h>

#include "unlearn/method.h"
#include "unlearn/tuned.h"

static int run(struct outcome *o, const struct unlearn *u)
{
    double alpha = u->opts->neggrad_alpha;
    struct pass pass = {
        .main = {.set = &u->sets->retain, .batch = u->opts->tuning.batch, .weight = alpha},
        .beside = {
            .set = &u->sets->forget, .batch = u->opts->forget_batch, .weight = -(1 - alpha)}};
    struct tuning t = tuned(u, 1, &pass);
    return tuning_run(o, &t);
}

/* Each step over D_r takes as many forgotten samples as a step over D_f has on average. */
static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    double retain = (double)n->retain, forget = (double)n->forget;
    double steps = ceil(retain / (double)o->tuning.batch);
    double beside = forget / ceil(forget / (double)o->forget_batch);
    return (struct unlearn_load){retain + forget,
                                 (double)o->tuning.epochs * (retain + steps * beside)};
}

const struct method method_neggrad_plus = {
    .help =
        "NegGrad+: a step takes a batch of the retained samples and one of the forgotten ones, "
        "which go round as often as it takes, and descends alpha CE(retained) - (1 - alpha) "
        "CE(forgotten), both means. Defaults: the small-scale experiments of SCRUB (Kurmanji and "
        "others, NeurIPS 2023): alpha .95, 10 epochs, SGD .01, no momentum, batches of 128 and "
        "64. Its code also pulls the model towards the origin, by alpha .05 ||theta - theta_0||^2; "
        "here nothing does.",
    .run = run,
    .strength = offsetof(struct method_opts, tuning.optimizer.lr),
    .load = load,
    .counts_epochs = 1};
