/* Shadows of the reference code's attack, and the network's verdict on other models. */
#define _GNU_SOURCE /* asprintf */
#include "audit/attack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack_private.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/collect.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

/* --- shadows */

/* Adam from the reference code's settings, whatever the origins are trained with; of the run's own
 * settings the unit of work alone. */
static struct train_opts train_opts_of(const struct audit *a, int64_t k)
{
    const struct shadow_attack_opts *o = &a->opts->attack;
    return (struct train_opts){.seed = audit_seed((uint64_t)a->opts->seed, DRAW_SEEDS, k),
                               .epochs = o->epochs,
                               .batch = o->batch,
                               .unit = a->origin[0].train.unit,
                               .optimizer = attack_adam(o->lr),
                               .schedule = {.every = 1, .factor = 1}};
}

int attack_shadow_part(struct part *p, const struct audit *a, int64_t k)
{
    struct train_opts train = train_opts_of(a, k);
    char *base = a->hooks.train_settings(a->hooks.ctx, NULL, &train), *settings = NULL,
         *name = NULL;
    if (!base ||
        asprintf(&settings, "%saudit.seed = %lld\naudit.attack.pool = %.17g\naudit.shadow = %lld\n",
                 base, (long long)a->opts->seed, a->opts->attack.pool, (long long)k) < 0)
        settings = NULL;
    if (asprintf(&name, "attack_shadow_%03lld", (long long)k) < 0)
        name = NULL;
    free(base);
    return part_init(p, a, name, settings);
}

/* One shadow at work on a group. */
struct shadow {
    const struct audit *audit;
    const struct comm *group;
    struct train_opts train;
    struct index_set pool, in; /* rows */
    uint8_t *member;           /* owned, [pool.n] */
    struct engine engine;
    struct part part;
    float *answer; /* owned, [pool.n][n_class]; rank 0 */
};

/* Rows at the first n places of a random order of `from`, and, unless it is NULL, the flags of who
 * that is. */
static int draw(struct index_set *out, const struct index_set *from, int64_t n, const int64_t *id,
                uint64_t seed, enum audit_draw what, int64_t number, uint8_t *flag)
{
    int rc = IAU_OK;
    int64_t *place = NULL, *own = mem_alloc(from->n, sizeof *own);
    if (!own)
        TRY(FAIL(IAU_ERR_MEM, "no memory to draw from %lld samples", (long long)from->n));
    for (int64_t i = 0; i < from->n; i++)
        own[i] = id[from->row[i]];
    TRY(audit_shuffle(seed, what, number, own, from->n, &place));
    for (int64_t i = 0; i < n; i++) {
        own[i] = from->row[place[i]];
        if (flag)
            flag[place[i]] = 1;
    }
    TRY(index_set_from_rows(out, from->part, own, n));
out:
    free(place);
    free(own);
    return rc;
}

/* Of the samples for training and validation, which what is gone and what data.limit leaves out are
 * none of. */
static int draw_sets(struct shadow *s, int64_t k)
{
    const struct audit *a = s->audit;
    int64_t *id = NULL;
    struct index_set all = {0};
    uint64_t seed = (uint64_t)a->opts->seed;
    int rc = IAU_OK;
    TRY(dataset_read_ids(a->dataset, PART_TRAIN, &id));
    TRY(index_set_join(&all, &a->sets->train, &a->sets->valid));
    TRY(draw(&s->pool, &all, (int64_t)((double)all.n * a->opts->attack.pool), id, seed, DRAW_POOL,
             0, NULL));
    if (s->pool.n < 2)
        TRY(FAIL(IAU_ERR_DATA, "audit.attack.pool = %g leaves fewer than 2 of %lld samples",
                 a->opts->attack.pool, (long long)all.n));
    s->member = mem_alloc(s->pool.n, sizeof *s->member);
    if (!s->member)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld samples", (long long)s->pool.n));
    TRY(draw(&s->in, &s->pool, s->pool.n / 2, id, seed, DRAW_POOL_HALVES, k, s->member));
out:
    free(id);
    index_set_free(&all);
    return rc;
}

static int open_shadow(struct shadow *s, const struct audit *a, int64_t k, const struct comm *group)
{
    int rc = IAU_OK, n_class = a->model->n_class;
    *s = (struct shadow){.audit = a, .group = group, .train = train_opts_of(a, k)};
    rc = attack_shadow_part(&s->part, a, k);
    if (rc == IAU_OK)
        rc = draw_sets(s, k);
    if (rc == IAU_OK)
        rc = part_engine(&s->engine, a, &s->train, group);
    if (rc == IAU_OK && group->rank == 0 &&
        !(s->answer = mem_alloc(s->pool.n * n_class, sizeof *s->answer)))
        rc = FAIL(IAU_ERR_MEM, "no memory for the answers of a shadow");
    return comm_agree(group, rc);
}

static void close_shadow(struct shadow *s)
{
    index_set_free(&s->pool);
    index_set_free(&s->in);
    engine_free(&s->engine);
    part_free(&s->part);
    free(s->member);
    free(s->answer);
}

static void unit_answers(void *ctx, int thread, const struct model *m, const struct unit *u,
                         void *out)
{
    float *answer = out;
    (void)ctx, (void)thread;
    for (int k = 0; k < u->n; k++)
        for (int c = 0; c < m->n_class; c++)
            answer[k * m->n_class + c] = u->p[c * u->lanes + k];
}

/* Rank 0: the labels of the pool, in its order. The caller frees *out. */
static int read_labels(const struct shadow *s, int32_t **out)
{
    int rc = dataset_read_labels(s->audit->dataset, PART_TRAIN, out);
    for (int64_t i = 0; rc == IAU_OK && i < s->pool.n; i++)
        (*out)[i] = (*out)[s->pool.row[i]]; /* rows ascend, so nothing is lost */
    return rc;
}

static int write_shadow(const struct shadow *s, const struct outcome *o, int same_bytes)
{
    int rc = IAU_OK;
    struct record r = {0};
    int32_t *label = NULL;
    int64_t n = s->pool.n, dims[2] = {n, s->audit->model->n_class};
    TRY(read_labels(s, &label));
    TRY(record_add(&r, "/samples/softmax", RECORD_F32, 2, dims, s->answer));
    TRY(record_add_column(&r, "/samples/label", RECORD_I32, n, label));
    TRY(record_add_column(&r, "/samples/member", RECORD_U8, n, s->member));
    TRY(record_add_column(&r, "/samples/row", RECORD_I64, n, s->pool.row));
    TRY(history_to_record(&o->history, &r, "/history"));
    TRY(checkpoint_add_cost(&r, "/cost", &s->engine.cost));
    TRY(part_write(&s->part, s->audit, &r, same_bytes));
out:
    free(label);
    record_free(&r);
    return rc;
}

int attack_make_shadow(const struct audit *a, int64_t k, const struct comm *group)
{
    int rc = IAU_OK;
    struct shadow s;
    struct outcome o = {0};
    struct index_set none = {.part = PART_TRAIN};
    struct progress progress = {0};
    enum output_state state;
    double start = timer_now_s();
    struct collect c = {.size = (size_t)a->model->n_class * sizeof(float), .unit = unit_answers};
    TRY(open_shadow(&s, a, k, group));
    TRY(part_look(&s.part, a, group, &state));
    if (state == OUTPUT_DONE)
        goto out;
    struct restart restart = part_restart(&s.part, a, state);
    struct trainer t = {.engine = &s.engine,
                        .opts = &s.train,
                        .train = &s.in,
                        .valid = &none,
                        .name = s.part.name,
                        .restart = &restart,
                        .progress = &progress};
    log_hush(1);
    rc = trainer_run(&o, &t);
    log_hush(0);
    TRY(rc);
    c.name = s.part.name;
    TRY(collect_run(&s.engine, o.w, &s.pool, &c, s.answer));
    TRY(comm_agree(group, group->rank == 0 ? write_shadow(&s, &o, !restart.mixed) : IAU_OK));
    log_line("%s  done in %.1f s", s.part.name, timer_now_s() - start);
out:
    outcome_free(&o);
    close_shadow(&s);
    return rc;
}

int attack_find_shadow(const struct audit *a, int64_t k, int *is_there)
{
    struct part p;
    enum output_state state = OUTPUT_MISSING;
    int rc = attack_shadow_part(&p, a, k);
    if (rc == IAU_OK)
        rc = part_find(&p, a, NULL, &state);
    *is_there = state == OUTPUT_DONE;
    part_free(&p);
    return rc;
}

/* --- the verdict */

/* A unit of the network's own a thread. */
struct jury {
    const struct attack *attack;
    struct unit *unit; /* owned, [n_thread] */
};

/* The victim's probabilities and labels as the network's input, [2 n_class][lanes]. */
static void set_features(const struct model *m, const struct unit *u, struct unit *net)
{
    float *x = net->node[0].a;
    int64_t n = (int64_t)m->n_class * u->lanes;
    memcpy(x, u->p, (size_t)n * sizeof *x);
    memset(x + n, 0, (size_t)n * sizeof *x);
    for (int k = 0; k < u->lanes; k++) {
        int64_t at = (int64_t)u->label[k] * u->lanes + k;
        x[at] -= 1;
        x[n + at] = 1;
    }
    net->n = u->n;
    memset(net->label, 0, sizeof net->label);
}

static void unit_verdict(void *ctx, int thread, const struct model *m, const struct unit *u,
                         void *out)
{
    const struct jury *j = ctx;
    struct unit *net = &j->unit[thread];
    uint8_t *verdict = out;
    set_features(m, u, net);
    model_forward(j->attack->model, j->attack->w, net);
    for (int k = 0; k < u->n; k++)
        verdict[k] = net->p[u->lanes + k] > net->p[k];
}

int attack_share(const struct attack *t, struct engine *e, const float *w,
                 const struct index_set *set, const char *name, double *share)
{
    int rc = IAU_OK;
    int64_t n = 0;
    struct jury j = {t, mem_alloc(e->n_thread, sizeof *j.unit)};
    uint8_t *verdict = e->comm->rank == 0 ? mem_alloc(set->n, sizeof *verdict) : NULL;
    struct collect c = {.size = sizeof *verdict, .unit = unit_verdict, .ctx = &j, .name = name};
    if (!j.unit || (e->comm->rank == 0 && !verdict))
        rc = FAIL(IAU_ERR_MEM, "no memory for the verdicts on %lld samples", (long long)set->n);
    for (int i = 0; rc == IAU_OK && i < e->n_thread; i++)
        rc = unit_init(&j.unit[i], t->model, e->lanes, UNIT_FORWARD);
    TRY(comm_agree(e->comm, rc));
    TRY(collect_run(e, w, set, &c, verdict));
    for (int64_t i = 0; verdict && i < set->n; i++)
        n += verdict[i];
    *share = (double)n / (double)set->n;
out:
    for (int i = 0; j.unit && i < e->n_thread; i++)
        unit_free(&j.unit[i]);
    free(j.unit);
    free(verdict);
    return rc;
}
