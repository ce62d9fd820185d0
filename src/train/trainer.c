/* The epoch loop. A step is: gather, gradients, exact reduction, with restriction a Hessian product
 * and a second reduction, update. All ranks hold the same parameters and take the same decisions.
 */
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "train/restriction.h"
#include "train/schedule.h"
#include "train/state.h"

/* This rank's units of the next step; none where their samples cannot be read, which the step's
 * reduction tells everybody. */
static struct work step_work(struct training *s)
{
    struct engine *e = s->trainer->engine;
    int64_t n_unit;
    double start = timer_now_s();
    int rc = feed_step(&s->feed, s->state.epoch, s->state.step, &n_unit);
    engine_fail(e, rc);
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
    s->augment.epoch = s->state.epoch;
    return (struct work){.rows = &s->feed.rows,
                         .n_unit = rc == IAU_OK ? n_unit : 0,
                         .piece = s->feed.piece,
                         .augment = augment_is_on(&s->augment.opts) ? &s->augment : NULL};
}

/* The reduced sums of H v on the same batch, v being its normalised gradient; g keeps the gradient.
 */
static int restriction_product(struct training *s, const struct work *work, int64_t n,
                               const char *what)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    double start = timer_now_s();
    sums_mean(&s->sums, 0, 0, e->model->n_param, s->g);
    restriction_direction(e->model, t->opts->restriction.norm, s->g, s->v);
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    sums_begin(&s->sums, &n);
    sweep_add_step_product(e, s->state.w, s->v, work->n_unit, &s->sums);
    return sweep_reduce(e, &s->sums, what);
}

/* What an update needs beside the sums. */
struct update {
    struct training *s;
    double lr, alpha; /* of the restriction; 0: none */
};

/* Gradient and optimizer for a few parameters at a time, so that the gradient stays in the cache.
 */
static void update_piece(void *ctx, int64_t begin, int64_t n)
{
    const struct update *u = ctx;
    struct training *s = u->s;
    float few[SWEEP_PIECE], *g = u->alpha ? s->g + begin : few;
    if (u->alpha)
        sums_add_mean(&s->sums, 0, u->alpha, begin, n, g);
    else
        sums_mean(&s->sums, 0, begin, n, g);
    optimizer_piece(&s->state.optimizer, u->lr, begin, n, s->state.w + begin, g);
}

/* One step; *stop is the agreed stop word. */
static int train_step(struct training *s, int64_t *stop)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    const struct model *m = e->model;
    char what[96];
    struct update update = {.s = s, .alpha = t->opts->restriction.alpha};
    int64_t n = shard_step_samples(&s->plan, s->state.step);
    struct work work = step_work(s);
    snprintf(what, sizeof what, "%s: epoch %lld step %lld", t->name, (long long)s->state.epoch + 1,
             (long long)s->state.step + 1);
    sums_begin(&s->sums, &n);
    sweep_add_step_gradient(e, s->state.w, &work, &s->sums, update.alpha != 0);
    *sums_stop(&s->sums, 0) = restart_word(t->restart, e->comm, training_steps(s) + 1);
    int rc = sweep_reduce(e, &s->sums, what);
    if (rc != IAU_OK)
        return rc;
    *stop = *sums_stop(&s->sums, 0);
    s->state.loss_sum += sums_value(&s->sums, 0, VALUE_LOSS);
    s->state.correct += (int64_t)sums_value(&s->sums, 0, VALUE_CORRECT);
    s->state.n_seen += n;
    sums_mean(&s->sums, 0, m->n_param, m->n_buffer, s->g + m->n_param);
    if (update.alpha != 0 && (rc = restriction_product(s, &work, n, what)) != IAU_OK)
        return rc;
    update.lr =
        schedule_rate(&t->opts->schedule, t->opts->optimizer.lr, s->state.epoch, t->opts->epochs);
    optimizer_begin(&s->state.optimizer);
    sweep_pieces(e, m->n_param, update_piece, &update);
    model_update_buffers(m, s->g, s->state.w);
    s->state.step++;
    return IAU_OK;
}

static void show_live(const struct training *s)
{
    const struct trainer *t = s->trainer;
    double seconds = timer_now_s() - s->run_start_s;
    int64_t done = training_steps(s) - s->first_step;
    int64_t left = t->opts->epochs * s->plan.n_step - training_steps(s);
    double rate = (double)done / seconds;
    log_live("%s  epoch %lld/%lld  step %lld/%lld  loss %.4f  %.0f samples/s  at most %.0f s left",
             t->name, (long long)s->state.epoch + 1, (long long)t->opts->epochs,
             (long long)s->state.step, (long long)s->plan.n_step,
             s->state.loss_sum / (double)s->state.n_seen, rate * s->plan.batch,
             (double)left / rate);
}

/* After an epoch: validation, the best model, a row of history. *enough: patience has run out. */
static int end_epoch(struct training *s, int *enough)
{
    const struct trainer *t = s->trainer;
    struct engine *e = t->engine;
    char what[96];
    double loss_valid = NAN, accuracy_valid = NAN,
           seconds = s->state.epoch_s + timer_now_s() - s->epoch_start_s;
    snprintf(what, sizeof what, "%s: validation after epoch %lld", t->name,
             (long long)s->state.epoch + 1);
    int rc =
        comm_check_equal(e->comm, sweep_checksum(s->state.w, model_state_floats(e->model)), what);
    if (rc != IAU_OK)
        return rc;
    if (t->valid->n) {
        e->phase = PHASE_EVALUATE;
        rc = sweep_loss(e, s->state.w, &s->valid, what, &loss_valid, &accuracy_valid);
        e->phase = PHASE_COMPUTE;
        if (rc != IAU_OK)
            return rc;
    }
    int better = s->state.epoch == 0 || !t->valid->n || accuracy_valid >= s->state.best_accuracy;
    s->state.worse = better ? 0 : s->state.worse + 1;
    if (better) {
        s->state.best_accuracy = accuracy_valid;
        s->state.best_epoch = s->state.epoch;
        memcpy(s->state.best, s->state.w,
               (size_t)model_state_floats(e->model) * sizeof *s->state.w);
    }
    double n = (double)s->state.n_seen, loss = s->state.loss_sum / n,
           accuracy = (double)s->state.correct / n;
    double lr =
        schedule_rate(&t->opts->schedule, t->opts->optimizer.lr, s->state.epoch, t->opts->epochs);
    double row[] = {(double)s->state.epoch + 1,
                    loss,
                    accuracy,
                    loss_valid,
                    accuracy_valid,
                    lr,
                    seconds,
                    n / seconds};
    char validation[48] = ""; /* a star marks the best so far */
    if (t->valid->n)
        snprintf(validation, sizeof validation, "validation %.2f %%%s  ", 100 * accuracy_valid,
                 better ? " *" : "  ");
    log_line("%s  epoch %3lld  loss %.4f  accuracy %.2f %%  %s%.0f samples/s", t->name,
             (long long)s->state.epoch + 1, loss, 100 * accuracy, validation, n / seconds);
    progress_row(t->progress, t->name, "epoch", s->state.epoch + 1, loss, loss_valid,
                 accuracy_valid, n / seconds, seconds);
    *enough = t->valid->n && t->opts->patience && s->state.worse >= t->opts->patience;
    return history_add(&s->state.history, row);
}

static int run_epoch(struct training *s, int *enough)
{
    s->epoch_start_s = timer_now_s();
    while (s->state.step < s->plan.n_step) {
        int64_t stop = 0;
        int rc = train_step(s, &stop);
        if (rc == IAU_OK)
            rc = training_obey(s, stop);
        if (rc != IAU_OK)
            return rc;
        show_live(s);
    }
    int rc = comm_agree(s->trainer->engine->comm, end_epoch(s, enough));
    state_next_epoch(&s->state);
    return rc;
}

int trainer_gradient_sum(struct engine *e, const float *w, const struct index_set *set, double *sum,
                         double *loss_sum)
{
    int rc = IAU_OK;
    struct share share = {0};
    struct sums sums = {0};
    TRY(share_load(&share, e, set));
    TRY(comm_agree(e->comm, sums_init(&sums, 1, &e->model->n_param, N_VALUE, e->n_thread)));
    struct work work = share_work(e, &share);
    sums_begin(&sums, &set->n);
    sweep_add_gradient(e, w, &work, &sums, 0);
    TRY(sweep_reduce(e, &sums, "the gradient sum of the training set"));
    sums_total(&sums, 0, sum);
    *loss_sum = sums_value(&sums, 0, VALUE_LOSS);
out:
    sums_free(&sums);
    share_free(&share);
    return rc;
}

/* Hand the best model over, with the gradient sum at its parameters where that is wanted. */
static int finish(struct training *s, struct outcome *o)
{
    const struct trainer *t = s->trainer;
    int rc = IAU_OK;
    training_release_samples(s);
    o->w = s->state.best;
    s->state.best = NULL;
    o->history = s->state.history;
    s->state.history = (struct history){0};
    if (t->opts->gradient_sum) {
        o->gradient_sum = mem_alloc(t->engine->model->n_param, sizeof *o->gradient_sum);
        TRY(comm_agree(t->engine->comm, o->gradient_sum
                                            ? IAU_OK
                                            : FAIL(IAU_ERR_MEM, "no memory for the gradient sum")));
        TRY(trainer_gradient_sum(t->engine, o->w, t->train, o->gradient_sum, &o->loss_sum));
    }
out:
    return rc;
}

int trainer_run(struct outcome *o, const struct trainer *t)
{
    int rc = IAU_OK, enough = 0;
    struct training s = {.trainer = t};
    *o = (struct outcome){0};
    TRY(training_init(&s));
    s.run_start_s = timer_now_s();
    s.first_step = training_steps(&s);
    while (s.state.epoch < t->opts->epochs && !enough)
        TRY(run_epoch(&s, &enough));
    if (enough)
        log_line("%s  no better validation accuracy for %lld epochs; keeping epoch %lld", t->name,
                 (long long)t->opts->patience, (long long)s.state.best_epoch + 1);
    TRY(finish(&s, o));
out:
    training_free(&s);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

void outcome_free(struct outcome *o)
{
    free(o->w);
    free(o->gradient_sum);
    history_free(&o->history);
    *o = (struct outcome){0};
}
