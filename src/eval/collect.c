/* One sweep, and a gather. */
#include "eval/collect.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"

struct scan {
    struct engine *e;
    const float *w;
    const struct collect *what;
    struct work work;
    struct sums sums; /* of losses: where one is not finite, nothing else can be trusted */
    char *out;        /* [n_local][size] */
};

static void unit_collect(struct worker *wk, void *ctx, int64_t i)
{
    struct scan *s = ctx;
    const struct model *m = s->e->model;
    sweep_gather(s->e, &s->work, i, &wk->unit);
    model_forward(m, s->w, &wk->unit);
    sums_add(&s->sums, wk->thread, 0, NULL, (double[]){unit_loss(&wk->unit)});
    s->what->unit(s->what->ctx, wk->thread, m, &wk->unit,
                  s->out + (size_t)(i * s->e->unit) * s->what->size);
}

int collect_run(struct engine *e, const float *w, const struct index_set *set,
                const struct collect *c, void *all)
{
    int rc = IAU_OK;
    char what[128];
    struct share share = {0};
    struct scan s = {.e = e, .w = w, .what = c};
    TRY(share_load(&share, e, set));
    s.work = share_work(e, &share);
    s.out = mem_alloc(share.rows.n, c->size);
    rc = s.out ? sums_init(&s.sums, 1, (int64_t[]){0}, 1, e->n_thread)
               : FAIL(IAU_ERR_MEM, "no memory to evaluate %lld samples", (long long)set->n);
    TRY(comm_agree(e->comm, rc));
    e->phase = PHASE_EVALUATE;
    sums_begin(&s.sums, &set->n);
    sweep_work(e, &s.work, unit_collect, &s);
    e->cost.forwards += set->n;
    snprintf(what, sizeof what, "%s: evaluation", c->name);
    TRY(sweep_reduce(e, &s.sums, what));
    comm_gather(e->comm, s.out, share.rows.n, c->size, all);
out:
    e->phase = PHASE_COMPUTE;
    free(s.out);
    sums_free(&s.sums);
    share_free(&share);
    return rc;
}
