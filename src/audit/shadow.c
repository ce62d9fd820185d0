/* Training a shadow, and letting it forget. */
#include "audit/shadow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/margin.h"
#include "shadow_private.h"
#include "train/checkpoint.h"
#include "unlearn/method.h"

/* One shadow at work on a group. */
struct shadow {
    const struct audit *audit;
    const struct comm *group;
    int origin;
    struct train_opts train;
    struct partition sets; /* of this shadow: train and forget are its own, the rest borrowed */
    uint8_t *member;       /* owned, [n_target] */
    struct engine engine;
    struct part part;
    float *w; /* owned, [n_param + n_buffer]; of the trained shadow */
    char digest[DIGEST_CHARS];
    double *margin; /* owned, [n_target]; rank 0 */
};

/* D_r with the half, and the half. */
static int draw_sets(struct shadow *s, int64_t k)
{
    const struct audit *a = s->audit;
    const struct targets *t = &a->targets;
    int64_t n = 0, *row = mem_alloc(t->all.n, sizeof *row);
    int rc = IAU_OK;
    s->member = mem_alloc(t->all.n, sizeof *s->member);
    if (!row || !s->member)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld targets", (long long)t->all.n));
    TRY(targets_half(t, (uint64_t)a->opts->seed, k, s->member));
    for (int64_t i = 0; i < t->all.n; i++)
        if (s->member[i])
            row[n++] = t->all.row[i];
    s->sets =
        (struct partition){.valid = t->rest, .retain = a->sets->retain, .test = a->sets->test};
    TRY(index_set_from_rows(&s->sets.forget, PART_TRAIN, row, n));
    TRY(index_set_join(&s->sets.train, &a->sets->retain, &s->sets.forget));
out:
    free(row);
    return rc;
}

static int open_shadow(struct shadow *s, const struct audit *a, int origin, int64_t k,
                       const struct comm *group)
{
    int rc = IAU_OK;
    *s = (struct shadow){
        .audit = a, .group = group, .origin = origin, .train = shadow_train_opts(a, origin, k)};
    rc = shadow_trained_part(&s->part, a, origin, k);
    if (rc == IAU_OK)
        rc = draw_sets(s, k);
    if (rc == IAU_OK)
        rc = part_engine(&s->engine, a, &s->train, group);
    if (rc == IAU_OK && group->rank == 0 &&
        !(s->margin = mem_alloc(a->targets.all.n, sizeof *s->margin)))
        rc = FAIL(IAU_ERR_MEM, "no memory for %lld targets", (long long)a->targets.all.n);
    return comm_agree(group, rc);
}

static void close_shadow(struct shadow *s)
{
    index_set_free(&s->sets.train);
    index_set_free(&s->sets.forget);
    engine_free(&s->engine);
    part_free(&s->part);
    free(s->member);
    free(s->w);
    free(s->margin);
}

static int run_training(struct shadow *s, const struct index_set *train, const char *name,
                        struct restart *restart, struct outcome *o)
{
    struct progress progress = {0};
    struct trainer t = {.engine = &s->engine,
                        .opts = &s->train,
                        .train = train,
                        .valid = &s->sets.valid,
                        .name = name,
                        .restart = restart,
                        .progress = &progress};
    log_hush(1);
    int rc = trainer_run(o, &t);
    log_hush(0);
    return rc;
}

static int run_method(struct shadow *s, const struct audit_method *m, const char *name,
                      struct restart *restart, struct outcome *o)
{
    struct progress progress = {0};
    struct unlearn u = {.engine = &s->engine,
                        .opts = m->opts,
                        .train = &s->train,
                        .sets = &s->sets,
                        .w = s->w,
                        .loss_sum = NAN,
                        .name = name,
                        .restart = restart,
                        .progress = &progress};
    log_hush(1);
    int rc = method_of(m->opts->method)->run(o, &u);
    log_hush(0);
    return rc;
}

/* Rank 0: what both kinds of files hold. */
static int add_outcome(const struct shadow *s, const struct outcome *o, struct record *r)
{
    int rc = IAU_OK;
    int64_t n = s->audit->targets.all.n;
    TRY(record_add_column(r, "/targets/margin", RECORD_F64, n, s->margin));
    TRY(record_add_column(r, "/targets/member", RECORD_U8, n, s->member));
    TRY(history_to_record(&o->history, r, "/history"));
    TRY(checkpoint_add_cost(r, "/cost", &s->engine.cost));
    TRY(record_set_i64(r, "/", "group_ranks", s->group->size));
out:
    return rc;
}

static int write_trained(struct shadow *s, const struct outcome *o, int same_bytes)
{
    int rc = IAU_OK;
    struct record r = {0};
    TRY(checkpoint_add_floats(&r, s->audit->model, "/params", o->w));
    TRY(checkpoint_add_buffers(&r, s->audit->model, "/buffers", o->w));
    TRY(add_outcome(s, o, &r));
    TRY(part_write(&s->part, s->audit, &r, same_bytes));
    snprintf(s->digest, sizeof s->digest, "%s", record_text(&r, "/", "digest", ""));
out:
    record_free(&r);
    return rc;
}

/* The trained shadow from its file, where it is there already. */
static int read_trained(struct shadow *s)
{
    int rc = IAU_OK;
    const struct model *m = s->audit->model;
    struct record r = {0};
    s->w = mem_alloc(model_state_floats(m), sizeof *s->w);
    if (!s->w)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld parameters", (long long)m->n_param));
    TRY(part_read(&s->part, "/", &r));
    TRY(checkpoint_get_floats(&r, s->part.path, m, "/params", s->w));
    TRY(checkpoint_get_buffers(&r, s->part.path, m, "/buffers", s->w));
    snprintf(s->digest, sizeof s->digest, "%s", record_text(&r, "/", "digest", ""));
out:
    record_free(&r);
    return rc;
}

/* Make the trained shadow, or take it from its file. */
static int train_shadow(struct shadow *s)
{
    int rc = IAU_OK;
    enum output_state state;
    struct outcome o = {0};
    TRY(part_look(&s->part, s->audit, s->group, &state));
    if (state == OUTPUT_DONE)
        return comm_agree(s->group, read_trained(s));
    struct restart restart = part_restart(&s->part, s->audit, state);
    TRY(run_training(s, &s->sets.train, s->part.name, &restart, &o));
    TRY(margin_collect(&s->engine, o.w, &s->audit->targets.all, s->part.name, s->margin));
    TRY(comm_agree(s->group, s->group->rank == 0 ? write_trained(s, &o, !restart.mixed) : IAU_OK));
    comm_bcast(s->group, s->digest, sizeof s->digest, 0);
    s->w = o.w;
    o.w = NULL;
out:
    outcome_free(&o);
    return rc;
}

static int write_unlearned(struct shadow *s, const struct part *p, const struct outcome *o,
                           int same_bytes)
{
    int rc = IAU_OK;
    struct record r = {0};
    TRY(add_outcome(s, o, &r));
    TRY(part_write(p, s->audit, &r, same_bytes));
out:
    record_free(&r);
    return rc;
}

static int unlearn_shadow(struct shadow *s, const struct audit_method *m)
{
    int rc = IAU_OK;
    enum output_state state;
    struct outcome o = {0};
    struct part part = {0};
    TRY(comm_agree(s->group, shadow_unlearned_part(&part, s->audit, &s->part, m, s->digest)));
    TRY(part_look(&part, s->audit, s->group, &state));
    if (state == OUTPUT_DONE)
        goto out;
    struct restart restart = part_restart(&part, s->audit, state);
    s->engine.cost = (struct cost){0};
    TRY(audit_retrains(m) ? run_training(s, &s->sets.retain, part.name, &restart, &o)
                          : run_method(s, m, part.name, &restart, &o));
    TRY(margin_collect(&s->engine, o.w, &s->audit->targets.all, part.name, s->margin));
    TRY(comm_agree(s->group,
                   s->group->rank == 0 ? write_unlearned(s, &part, &o, !restart.mixed) : IAU_OK));
out:
    outcome_free(&o);
    part_free(&part);
    return rc;
}

int shadow_make(const struct audit *a, int origin, int64_t k, const struct comm *group)
{
    int rc = IAU_OK;
    struct shadow s;
    double start = timer_now_s();
    TRY(open_shadow(&s, a, origin, k, group));
    TRY(train_shadow(&s));
    for (int i = 0; i < a->n_method; i++)
        if (a->method[i].origin == origin)
            TRY(unlearn_shadow(&s, &a->method[i]));
    log_line("%s  done in %.1f s", s.part.name, timer_now_s() - start);
out:
    close_shadow(&s);
    return rc;
}
