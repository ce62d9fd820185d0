/* Fine-tuning: training goes on, on the retained samples alone. */
#include <stddef.h>

#include "unlearn/method.h"
#include "unlearn/tuned.h"

static int run(struct outcome *o, const struct unlearn *u)
{
    struct pass pass = {
        .main = {.set = &u->sets->retain, .batch = u->opts->tuning.batch, .weight = 1}};
    struct tuning t = tuned(u, 1, &pass);
    return tuning_run(o, &t);
}

static struct unlearn_load load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    double rows = (double)n->retain;
    return (struct unlearn_load){rows, rows * (double)o->tuning.epochs};
}

const struct method method_finetune = {
    .help =
        "Training goes on from the origin on the retained samples alone, and what is not rehearsed "
        "fades. Defaults: OPTML Unlearn-Sparse (10 epochs, SGD .01, momentum .9, weight decay "
        "5e-4, batch 256); its data augmentation is left out.",
    .run = run,
    .strength = offsetof(struct method_opts, tuning.optimizer.lr),
    .load = load,
    .counts_epochs = 1};
