/* Random labels: training goes on with labels for the forgotten samples that say nothing. */
#include "unlearn/random_label.h"

#include <stddef.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "unlearn/tuned.h"

/* The labels of the samples in the making. */
struct labels {
    struct relabel relabel;
    struct objective objective;
    int redraw;
    int64_t *forget_id; /* owned; where they have a pass in common with the retained */
};

static int read_ids(struct labels *l, const struct dataset *d, const struct index_set *set)
{
    int rc = IAU_OK;
    struct rows rows = {0};
    TRY(rows_load_columns(&rows, d, set->part, set->row, set->n, 1));
    l->forget_id = rows.id;
    rows.id = NULL;
    relabel_only(&l->relabel, l->forget_id, set->n);
out:
    rows_free(&rows);
    return rc;
}

/* The labels do not move with `l` any more. */
static int labels_init(struct labels *l, const struct unlearn *u)
{
    const struct relabel_opts *p = &u->opts->relabel;
    const struct dataset *d = u->engine->dataset;
    *l = (struct labels){
        .relabel = {.seed = (uint64_t)u->opts->seed, .exclude_true = p->exclude_true},
        .objective = {.label = 1},
        .redraw = p->redraw};
    l->objective.relabel = &l->relabel;
    if (p->exclude_true && d->n_class < 2)
        return FAIL(IAU_ERR_CONFIG, "%s: %s has no other class to draw a label from", u->name,
                    d->path);
    return p->order == RELABEL_MIXED ? read_ids(l, d, &u->sets->forget) : IAU_OK;
}

static void begin_epoch(void *ctx, int64_t epoch)
{
    struct labels *l = ctx;
    l->relabel.epoch = l->redraw ? epoch : 0;
}

int random_label_run(struct outcome *o, const struct unlearn *u, const uint8_t *mask)
{
    int rc = IAU_OK, is_mixed = u->opts->relabel.order == RELABEL_MIXED;
    int64_t batch = u->opts->tuning.batch;
    struct labels labels;
    struct pass_side drawn = {.set = is_mixed ? &u->sets->train : &u->sets->forget,
                              .batch = batch,
                              .weight = 1,
                              .objective = &labels.objective};
    struct pass pass[] = {{.main = drawn},
                          {.main = {.set = &u->sets->retain, .batch = batch, .weight = 1}}};
    struct tuning t = tuned(u, is_mixed ? 1 : 2, pass);
    *o = (struct outcome){0};
    t.mask = mask;
    t.begin_epoch = begin_epoch;
    t.ctx = &labels;
    TRY(comm_agree(u->engine->comm, labels_init(&labels, u)));
    TRY(tuning_run(o, &t));
out:
    free(labels.forget_id);
    return rc;
}

struct unlearn_load random_label_load(const struct method_opts *o, const struct unlearn_sizes *n)
{
    double rows = (double)n->retain + (double)n->forget;
    return (struct unlearn_load){rows, rows * (double)o->tuning.epochs};
}

static int run(struct outcome *o, const struct unlearn *u)
{
    return random_label_run(o, u, NULL);
}

const struct method method_random_label = {
    .help =
        "Random labels: each epoch goes over the forgotten samples with labels drawn uniformly, "
        "and then over the retained ones with their own; order: mixed takes all of them as one "
        "shuffled set. Labels are drawn over all classes and anew in each epoch, unless "
        "exclude_true and redraw say otherwise, and depend on seed, epoch and sample id alone. "
        "Defaults: OPTML Unlearn-Saliency (10 epochs, SGD .01, momentum .9, weight decay 5e-4, "
        "batch "
        "256); its data augmentation is left out.",
    .run = run,
    .strength = offsetof(struct method_opts, tuning.optimizer.lr),
    .load = random_label_load,
    .counts_epochs = 1};
