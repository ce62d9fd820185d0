/* Trials of a method at several strengths. */
#include "unlearn/tune.h"

#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/log.h"

static const char *const columns[] = {
    "trial",          "strength",      "loss_forget", "loss_valid", "accuracy_forget",
    "accuracy_valid", "accuracy_test", "objective",   "seconds_s",  NULL};

enum { N_SPREAD = 5 };
static const double GOLDEN = 0.6180339887498949;

/* A point of the search, at a strength of exp(x). */
struct trial {
    double x, objective;
};

struct search {
    const struct unlearn *u;
    const struct method *method;
    struct share forget, valid;
    struct share test; /* for the record alone */
    double loss_valid; /* at the origin */
    int n;             /* trials so far */
    struct trial best;
    struct outcome kept; /* of the best trial */
    struct cost kept_cost, all_cost;
    struct history history;
};

static double *strength_of(struct method_opts *o, const struct method *m)
{
    return (double *)((char *)o + m->strength);
}

/* sum += sign x what; of all counters and seconds. */
static void add_cost(struct cost *sum, const struct cost *what, int sign)
{
    sum->forwards += sign * what->forwards;
    sum->gradients += sign * what->gradients;
    sum->hvps += sign * what->hvps;
    sum->payload_bytes += sign * what->payload_bytes;
    for (int p = 0; p < N_PHASE; p++)
        sum->seconds[p] += sign * what->seconds[p];
}

/* The objective of the parameters of a trial, INFINITY where a loss overflows. */
static int look(struct search *s, const float *w, double loss[2], double accuracy[2],
                double *objective)
{
    struct engine *e = s->u->engine;
    int rc = sweep_loss(e, w, &s->forget, NULL, &loss[0], &accuracy[0]);
    if (rc == IAU_OK)
        rc = sweep_loss(e, w, &s->valid, NULL, &loss[1], &accuracy[1]);
    *objective = fabs(loss[0] - loss[1]) + fmax(0, loss[1] - s->loss_valid);
    if (!isfinite(*objective))
        *objective = INFINITY;
    return rc;
}

/* Accuracy on test samples, NAN without any. It decides nothing and is booked nowhere: whoever
 * finds a strength does without it. */
static int look_at_test(struct search *s, const float *w, double *accuracy)
{
    struct engine *e = s->u->engine;
    struct cost before = e->cost;
    double loss;
    *accuracy = NAN;
    if (s->test.n_global == 0)
        return IAU_OK;
    int rc = sweep_loss(e, w, &s->test, NULL, &loss, accuracy);
    e->cost = before;
    return rc;
}

/* Run at exp(x), silently; an outcome that is the best so far is kept. */
static int try_strength(struct search *s, double x, double *objective)
{
    const struct unlearn *u = s->u;
    struct engine *e = u->engine;
    struct method_opts opts = *u->opts;
    struct progress nowhere = {0};
    struct unlearn trial = *u;
    struct outcome o = {0};
    struct cost before = e->cost, own;
    double loss[2] = {NAN, NAN}, accuracy[2] = {NAN, NAN}, test = NAN, start = timer_now_s();
    int rc = IAU_OK;
    if (comm_stop_requested(e->comm)) {
        log_line("%s  stopped while its strength was looked for; the same command begins anew",
                 u->name);
        return IAU_STOPPED;
    }
    *strength_of(&opts, s->method) = exp(x);
    trial.opts = &opts;
    trial.restart = NULL;
    trial.progress = &nowhere;
    log_hush(1);
    error_hush(1);
    rc = s->method->run(&o, &trial);
    error_hush(0);
    log_hush(0);
    own = e->cost;
    add_cost(&own, &before, -1);
    *objective = INFINITY;
    if (rc == IAU_OK)
        TRY(look(s, o.w, loss, accuracy, objective));
    else if (rc != IAU_ERR_NUMERIC)
        goto out;
    double seconds = timer_now_s() - start;
    if (o.w)
        TRY(look_at_test(s, o.w, &test));
    double row[] = {++s->n,      exp(x), loss[0],    loss[1], accuracy[0],
                    accuracy[1], test,   *objective, seconds};
    TRY(comm_agree(e->comm, history_add(&s->history, row)));
    log_line(
        "%s  trial %d  strength %.4g  loss on forgotten %.4f, on validation %.4f  objective %.4f",
        u->name, s->n, exp(x), loss[0], loss[1], *objective);
    if (*objective < s->best.objective) {
        outcome_free(&s->kept);
        s->kept = o;
        o = (struct outcome){0};
        s->kept_cost = own;
        s->best = (struct trial){x, *objective};
    }
out:
    outcome_free(&o);
    return rc;
}

/* Evenly spread strengths; the bracket [*low, *high], within them, holds the best one. */
static int spread(struct search *s, double *low, double *high)
{
    const struct method_opts *o = s->u->opts;
    struct method_opts copy = *o;
    double middle = log(*strength_of(&copy, s->method)), step = log(o->tune_range) / (N_SPREAD / 2);
    int n = o->tune < N_SPREAD ? (int)o->tune : N_SPREAD;
    double first = middle - 0.5 * (n - 1) * step, last = middle + 0.5 * (n - 1) * step;
    for (int i = 0; i < n; i++) {
        double objective;
        int rc = try_strength(s, middle + (i - 0.5 * (n - 1)) * step, &objective);
        if (rc != IAU_OK)
            return rc;
    }
    if (!s->kept.w)
        return comm_agree(s->u->engine->comm,
                          FAIL(IAU_ERR_NUMERIC,
                               "%s: every strength that was tried runs off; try another range",
                               s->u->name));
    *low = s->best.x - (s->best.x > first ? step : 0);
    *high = s->best.x + (s->best.x < last ? step : 0);
    return IAU_OK;
}

/* Golden-section search for the trials that are left. */
static int narrow(struct search *s, double low, double high)
{
    struct trial a = {high - GOLDEN * (high - low), INFINITY},
                 b = {low + GOLDEN * (high - low), INFINITY};
    int have_a = 0, have_b = 0;
    while (s->n < s->u->opts->tune) {
        struct trial *next = !have_a ? &a : &b;
        int rc = try_strength(s, next->x, &next->objective);
        if (rc != IAU_OK)
            return rc;
        have_a |= next == &a;
        have_b |= next == &b;
        if (!have_a || !have_b)
            continue;
        if (a.objective < b.objective) {
            high = b.x;
            b = a;
            a = (struct trial){high - GOLDEN * (high - low), INFINITY};
            have_a = 0;
        } else {
            low = a.x;
            a = b;
            b = (struct trial){low + GOLDEN * (high - low), INFINITY};
            have_b = 0;
        }
    }
    return IAU_OK;
}

static int open_search(struct search *s)
{
    const struct unlearn *u = s->u;
    double accuracy;
    int rc = IAU_OK;
    history_init(&s->history, columns);
    TRY(share_load(&s->forget, u->engine, &u->sets->forget));
    TRY(share_load(&s->valid, u->engine, &u->sets->valid));
    if (u->sets->test.n)
        TRY(share_load(&s->test, u->engine, &u->sets->test));
    TRY(sweep_loss(u->engine, u->w, &s->valid, u->name, &s->loss_valid, &accuracy));
out:
    return rc;
}

int tune_run(struct outcome *o, const struct unlearn *u, const struct method *m)
{
    int rc = IAU_OK;
    double low = NAN, high = NAN;
    struct engine *e = u->engine;
    struct search s = {.u = u, .method = m, .best = {NAN, INFINITY}};
    struct cost before = e->cost;
    *o = (struct outcome){0};
    TRY(comm_agree(e->comm, method_check_valid(u->opts, u->sets->valid.n, u->name)));
    TRY(open_search(&s));
    TRY(spread(&s, &low, &high));
    TRY(narrow(&s, low, high));
    *o = s.kept;
    s.kept = (struct outcome){0};
    o->trials = s.history;
    s.history = (struct history){0};
    o->search = e->cost;
    add_cost(&o->search, &before, -1);
    add_cost(&o->search, &s.kept_cost, -1);
    e->cost = before;
    add_cost(&e->cost, &s.kept_cost, 1);
    log_line("%s  keeps strength %.4g of %d trials", u->name, exp(s.best.x), s.n);
out:
    outcome_free(&s.kept);
    history_free(&s.history);
    share_free(&s.forget);
    share_free(&s.valid);
    share_free(&s.test);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}
