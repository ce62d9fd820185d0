/* Conjugate gradients. The vectors are float, as the products are: what the recurrence loses is of
 * the size of what a product in float loses. */
#include "unlearn/cg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "kernel/vector.h"

static const char *const columns[] = {"iteration", "residual",  "curvature",
                                      "length",    "seconds_s", NULL};

struct cg {
    struct product *a;
    const struct cg_opts *opts;
    int64_t n;
    float *x;          /* borrowed */
    float *r, *p, *q;  /* owned: residual, direction, (A + lambda I) p */
    double b_norm, rr; /* ||b||, r.r */
    struct cg_report *report;
    int history_rc; /* of this rank, agreed on at the end: an iteration communicates its product
                       only */
};

const char *cg_stop_name(enum cg_stop stop)
{
    static const char *const name[] = {"residual", "negative curvature", "iteration limit"};
    return name[stop];
}

static int cg_init(struct cg *s, const float *b)
{
    size_t bytes = (size_t)s->n * sizeof *b;
    s->r = mem_alloc(s->n, sizeof *s->r);
    s->p = mem_alloc(s->n, sizeof *s->p);
    s->q = mem_alloc(s->n, sizeof *s->q);
    if (!s->r || !s->p || !s->q)
        return FAIL(IAU_ERR_MEM, "no memory for conjugate gradients on %lld parameters",
                    (long long)s->n);
    memset(s->x, 0, bytes);
    memcpy(s->r, b, bytes);
    memcpy(s->p, b, bytes);
    s->rr = vector_dot(b, b, s->n);
    s->b_norm = sqrt(s->rr);
    return isfinite(s->rr)
               ? IAU_OK
               : FAIL(IAU_ERR_NUMERIC, "%s: the right-hand side is not finite", s->a->what);
}

static void cg_free(struct cg *s)
{
    free(s->r);
    free(s->p);
    free(s->q);
}

/* What a restart file holds. */
enum { N_ITEM = 8 };

static void items_of(struct cg *s, struct restart_item item[N_ITEM])
{
    const struct restart_item all[N_ITEM] = {
        {RESTART_PARAMS, "/cg/x", s->x},
        {RESTART_PARAMS, "/cg/r", s->r},
        {RESTART_PARAMS, "/cg/p", s->p},
        {RESTART_I64, CG_PLACE, &s->report->iterations},
        {RESTART_F64, "/cg/square", &s->rr},
        {RESTART_F64, "/cg/curvature", &s->report->curvature},
        {RESTART_F64, "/cg/damping", &s->report->damping},
        {RESTART_HISTORY, "/history", &s->report->history},
    };
    memcpy(item, all, sizeof all);
}

/* Begin, or go on from the restart file. */
static int begin(struct cg *s)
{
    struct restart *r = s->opts->restart;
    struct engine *e = s->a->engine;
    struct restart_item item[N_ITEM];
    const struct cg_report *report = s->report;
    int rc = IAU_OK;
    if (r && r->resume) {
        items_of(s, item);
        TRY(restart_load(r, e, &(struct restart_state){NULL, N_ITEM, item}));
        int fits = report->iterations > 0 && report->iterations <= s->opts->max_iterations &&
                   report->history.n_row == report->iterations;
        TRY(comm_agree(
            e->comm,
            fits ? IAU_OK : FAIL(IAU_ERR_FORMAT, "%s: /cg does not belong to this run", r->path)));
        log_line("%s  goes on at product %lld", s->a->what, (long long)report->iterations + 1);
    }
    restart_begin(r, report->iterations);
out:
    return rc;
}

/* Write a restart file between two iterations, where a rank was asked to stop or one is due. */
static int obey(struct cg *s)
{
    struct restart *r = s->opts->restart;
    struct engine *e = s->a->engine;
    struct restart_item item[N_ITEM];
    char place[32];
    int64_t word = restart_word(r, e->comm, s->report->iterations);
    if (r)
        comm_sum_i64(e->comm, &word, 1);
    if (!word)
        return IAU_OK;
    int rc = comm_agree(e->comm, s->history_rc);
    if (rc != IAU_OK)
        return rc;
    items_of(s, item);
    snprintf(place, sizeof place, "product %lld", (long long)s->report->iterations);
    struct restart_state state = {place, N_ITEM, item};
    return restart_obey(r, e, word, s->report->iterations, &state);
}

/* Whether there is nothing more to do, and why. */
static int finished(struct cg *s)
{
    struct cg_report *report = s->report;
    double norm = sqrt(s->rr);
    report->residual = s->b_norm > 0 ? norm / s->b_norm : 0;
    report->stop = norm <= s->opts->tolerance * s->b_norm ? CG_CONVERGED : CG_LIMIT;
    return report->stop == CG_CONVERGED || report->iterations >= s->opts->max_iterations;
}

/* x, r and p move on by `length` along p. */
static void advance(struct cg *s, double length)
{
    for (int64_t i = 0; i < s->n; i++) {
        s->x[i] = (float)(s->x[i] + length * s->p[i]);
        s->r[i] = (float)(s->r[i] - length * s->q[i]);
    }
    double rr = vector_dot(s->r, s->r, s->n), beta = rr / s->rr;
    for (int64_t i = 0; i < s->n; i++)
        s->p[i] = (float)(s->r[i] + beta * s->p[i]);
    s->rr = rr;
}

/* One product and what follows from it. *down: the curvature allows no step. */
static int iterate(struct cg *s, int *down)
{
    struct cg_report *report = s->report;
    struct engine *e = s->a->engine;
    double begin = timer_now_s();
    int rc = product_apply(s->a, s->p, s->q);
    if (rc != IAU_OK)
        return rc;
    double start = timer_now_s(), pp = vector_dot(s->p, s->p, s->n);
    if (report->iterations == 0 && s->opts->relative_damping != 0) /* p is b */
        report->damping = s->opts->relative_damping * vector_dot(s->p, s->q, s->n) / pp;
    for (int64_t i = 0; i < s->n; i++)
        s->q[i] = (float)(s->q[i] + report->damping * s->p[i]);
    double pq = vector_dot(s->p, s->q, s->n), length = s->rr / pq;
    report->curvature = pq / pp;
    *down = pq <= 0;
    if (*down)
        length = 0;
    else
        advance(s, length);
    if (!isfinite(s->rr) || !isfinite(report->curvature))
        return comm_agree(e->comm,
                          FAIL(IAU_ERR_NUMERIC,
                               "%s: conjugate gradients lead out of range; more damping may help",
                               s->a->what));
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
    report->iterations++;
    double row[] = {(double)report->iterations, sqrt(s->rr) / s->b_norm, report->curvature, length,
                    timer_now_s() - begin};
    if (s->history_rc == IAU_OK)
        s->history_rc = history_add(&report->history, row);
    return IAU_OK;
}

int cg_solve(struct product *a, const float *b, const struct cg_opts *opts, float *x,
             struct cg_report *r)
{
    const struct engine *e = a->engine;
    int rc = IAU_OK, down = 0;
    struct cg s = {.a = a, .opts = opts, .n = e->model->n_param, .x = x, .report = r};
    *r = (struct cg_report){.curvature = NAN, .damping = opts->damping};
    history_init(&r->history, columns);
    TRY(comm_agree(e->comm, cg_init(&s, b)));
    TRY(begin(&s));
    while (!finished(&s) && !down) {
        TRY(iterate(&s, &down));
        if (!down)
            TRY(obey(&s));
    }
    if (down)
        r->stop = CG_CURVATURE;
    TRY(comm_agree(e->comm, s.history_rc));
    TRY(comm_agree(e->comm, comm_check_equal(e->comm, sweep_checksum(x, s.n), a->what)));
out:
    cg_free(&s);
    if (rc != IAU_OK)
        cg_report_free(r);
    return rc;
}

void cg_report_free(struct cg_report *r)
{
    history_free(&r->history);
    *r = (struct cg_report){0};
}
