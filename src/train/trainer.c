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
#include "train/schedule.h"
#include "train/state.h"

/* One step; *word is the agreed stop word. */
static int train_step(struct training *s, int64_t *word)
{
    const struct trainer *t = s->trainer;
    struct train_state *state = &s->state;
    char what[96];
    struct descent_term term = {.n_samples = shard_step_samples(&s->batches.plan, state->step),
                                .weight = 1};
    double lr =
        schedule_rate(&t->opts->schedule, t->opts->optimizer.lr, state->epoch, t->opts->epochs);
    snprintf(what, sizeof what, "%s: epoch %lld step %lld", t->name, (long long)state->epoch + 1,
             (long long)state->step + 1);
    term.work = batches_work(&s->batches, state->epoch, state->step, NULL);
    *word = restart_word(t->restart, t->engine->comm, training_steps(s) + 1);
    int rc = descent_step(&s->descent, 1, &term, lr, what, word);
    if (rc != IAU_OK)
        return rc;
    state->loss_sum += s->descent.value[0][VALUE_LOSS];
    state->correct += (int64_t)s->descent.value[0][VALUE_CORRECT];
    state->n_seen += term.n_samples;
    state->step++;
    return IAU_OK;
}

static void show_live(const struct training *s)
{
    const struct trainer *t = s->trainer;
    double seconds = timer_now_s() - s->run_start_s;
    int64_t done = training_steps(s) - s->first_step;
    int64_t left = t->opts->epochs * s->batches.plan.n_step - training_steps(s);
    double rate = (double)done / seconds;
    log_live("%s  epoch %lld/%lld  step %lld/%lld  loss %.4f  %.0f samples/s  at most %.0f s left",
             t->name, (long long)s->state.epoch + 1, (long long)t->opts->epochs,
             (long long)s->state.step, (long long)s->batches.plan.n_step,
             s->state.loss_sum / (double)s->state.n_seen, rate * s->batches.plan.batch,
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
    while (s->state.step < s->batches.plan.n_step) {
        int64_t word;
        int rc = train_step(s, &word);
        if (rc == IAU_OK)
            rc = training_obey(s, word);
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
    history_free(&o->trials);
    *o = (struct outcome){0};
}
