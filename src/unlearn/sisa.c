/* Training of ensembles, and of what a request affects of one. */
#include "unlearn/sisa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "par/farm.h"
#include "sisa_private.h"

/* A slice of a shard that this rank had a hand in. */
struct made {
    uint8_t is_made;        /* there is a file of it from before */
    int64_t owner;          /* 1 + the rank that has it, 0: not this one */
    struct cost cost;       /* of it; counters alone count */
    struct history history; /* owned */
};

/* At work, on this rank. */
struct work_on {
    const struct sisa *s;
    struct sisa_plan plan;
    float *w;           /* owned, as sisa.w */
    struct made *piece; /* owned, [shards][slices] */
    int64_t *item;      /* owned; the shards to train */
    double seconds[N_PHASE];
    int mixed;
};

static int64_t n_states(const struct train_opts *t)
{
    return t->shards * t->slices;
}

/* --- training */

static int train_piece(struct work_on *x, struct engine *e, const struct sisa_file *f,
                       int64_t shard, int64_t slice, struct outcome *o)
{
    const struct sisa *s = x->s;
    int rc = IAU_OK;
    uint8_t resumes = 0;
    char name[160];
    struct index_set set = {0};
    struct progress progress = {0};
    struct train_opts opts = sisa_train_opts(s->train, shard, slice);
    struct restart restart = *s->restart;
    int64_t at = shard * s->train->slices + slice, n = model_state_floats(e->model);
    snprintf(name, sizeof name, "%s.%s", s->name, f->name);
    restart.path = f->restart_path;
    restart.name = name;
    rc = sisa_plan_set(&x->plan, shard, slice, &set);
    if (rc == IAU_OK && e->comm->rank == 0)
        rc = sisa_file_find(s->restart, f->restart_path, &resumes);
    TRY(comm_agree(e->comm, rc));
    comm_bcast(e->comm, &resumes, 1, 0);
    restart.resume = resumes;
    struct trainer t = {.engine = e,
                        .opts = &opts,
                        .train = &set,
                        .valid = s->valid,
                        .start = slice ? x->w + (at - 1) * n : NULL,
                        .name = name,
                        .restart = &restart,
                        .progress = &progress};
    log_hush(1);
    rc = trainer_run(o, &t);
    log_hush(0);
    TRY(rc);
    memcpy(x->w + at * n, o->w, (size_t)n * sizeof *o->w);
    x->mixed |= restart.mixed;
    TRY(sisa_file_exchange(e, &restart, f, o->w, &o->history, 1));
    TRY(comm_agree(e->comm, e->comm->rank == 0 ? restart_remove(f->restart_path) : IAU_OK));
    log_line("%s  done: %lld samples, %lld epochs", name, (long long)set.n,
             (long long)o->history.n_row);
out:
    index_set_free(&set);
    return rc;
}

/* An engine like that of all ranks for a group of them. */
static int open_engine(struct engine *e, const struct engine *like, const struct comm *group)
{
    size_t bytes = (size_t)like->dataset->c * sizeof *like->scale;
    int rc = engine_init(e, like->model, like->dataset, like->unit, NULL, NULL, group);
    if (rc == IAU_OK) {
        memcpy(e->scale, like->scale, bytes);
        memcpy(e->shift, like->shift, bytes);
        e->memory_bytes = like->memory_bytes;
    }
    return comm_agree(group, rc);
}

/* A slice of a shard: trained, or, with what it has cost, from its file. */
static int make_piece(struct work_on *x, int64_t shard, int64_t slice, const struct comm *group)
{
    int rc = IAU_OK;
    struct engine e = {0};
    struct outcome o = {0};
    struct sisa_file f = {NULL, NULL, NULL};
    int64_t at = shard * x->s->train->slices + slice;
    struct made *piece = &x->piece[at];
    struct restart restart = *x->s->restart;
    TRY(comm_agree(group, sisa_file_init(&f, restart.path, x->s->train, shard, slice)));
    TRY(open_engine(&e, x->s->engine, group));
    history_init(&o.history, trainer_columns);
    if (piece->is_made)
        TRY(sisa_file_exchange(&e, &restart, &f, x->w + at * model_state_floats(e.model),
                               &o.history, 0));
    else
        TRY(train_piece(x, &e, &f, shard, slice, &o));
    x->mixed |= restart.mixed;
    for (int p = 0; p < N_PHASE; p++)
        x->seconds[p] += e.cost.seconds[p];
    piece->owner = group->rank == 0 ? x->s->engine->comm->rank + 1 : 0;
    piece->cost = e.cost;
    piece->history = o.history;
    o.history = (struct history){0};
out:
    outcome_free(&o);
    engine_free(&e);
    sisa_file_free(&f);
    return rc;
}

static int make_shard(void *ctx, int64_t shard, const struct comm *group)
{
    struct work_on *x = ctx;
    for (int64_t r = x->plan.first[shard]; r < x->s->train->slices; r++) {
        int rc = make_piece(x, shard, r, group);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

/* --- all shards */

static int start(struct work_on *x)
{
    const struct sisa *s = x->s;
    const struct train_opts *t = s->train;
    int rc = IAU_OK;
    int64_t n = n_states(t), floats = n * model_state_floats(s->engine->model), n_item = 0;
    TRY(sisa_plan_init(&x->plan, s->engine->dataset, t, s->set, s->forget));
    TRY(sisa_plan_check(&x->plan, s->engine->model, s->name));
    x->w = mem_alloc(floats, sizeof *x->w);
    x->piece = mem_alloc(n, sizeof *x->piece);
    x->item = mem_alloc(t->shards, sizeof *x->item);
    if (!x->w || !x->piece || !x->item)
        TRY(FAIL(IAU_ERR_MEM, "no memory for an ensemble of %lld models", (long long)n));
    if (s->w)
        memcpy(x->w, s->w, (size_t)floats * sizeof *x->w);
    for (int64_t k = 0; k < t->shards; k++)
        if (x->plan.first[k] < t->slices)
            x->item[n_item++] = k;
out:
    return rc;
}

/* Rank 0. */
static int find_made(struct work_on *x)
{
    const struct train_opts *t = x->s->train;
    int rc = IAU_OK;
    for (int64_t i = 0; i < n_states(t) && rc == IAU_OK; i++) {
        struct sisa_file f;
        rc = sisa_file_init(&f, x->s->restart->path, t, i / t->slices, i % t->slices);
        if (rc == IAU_OK)
            rc = sisa_file_find(x->s->restart, f.path, &x->piece[i].is_made);
        sisa_file_free(&f);
    }
    return rc;
}

static int run_farm(struct work_on *x)
{
    const struct sisa *s = x->s;
    const struct comm *comm = s->engine->comm;
    int64_t n = x->plan.n_shard;
    struct farm_report r;
    struct farm farm = {.n = n,
                        .item = x->item,
                        .ranks = comm->size > n ? comm->size / (int)n : 1,
                        .run = make_shard,
                        .ctx = x};
    int rc = farm_run(&farm, &r, comm);
    log_line("%s  %lld of %lld shards in %.1f s by %d group%s of ranks", s->name,
             (long long)r.n_done, (long long)n, r.seconds, r.n_group, r.n_group == 1 ? "" : "s");
    if (rc == IAU_STOPPED)
        log_line("%s  stopped; the same command goes on", s->name);
    return rc;
}

/* The rows of a slice's history with the shard and the slice before them. */
static int add_history(struct history *all, const struct history *h, int64_t shard, int64_t slice)
{
    double row[HISTORY_MAX_COLUMNS] = {(double)shard, (double)slice};
    for (int64_t i = 0; i < h->n_row; i++) {
        memcpy(row + 2, h->value + i * h->n_column, (size_t)h->n_column * sizeof *row);
        int rc = history_add(all, row);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static const char *const *ensemble_columns(void)
{
    static const char *column[HISTORY_MAX_COLUMNS + 1] = {"shard", "slice"};
    for (int i = 0; trainer_columns[i]; i++)
        column[i + 2] = trainer_columns[i];
    return column;
}

/* The owner's piece, on every rank. */
static int share_piece(struct work_on *x, struct outcome *o, int64_t shard, int64_t slice)
{
    struct engine *e = x->s->engine;
    int rc = IAU_OK;
    int64_t at = shard * x->s->train->slices + slice, n = model_state_floats(e->model);
    struct made *piece = &x->piece[at];
    struct history h = {.n_column = o->history.n_column - 2, .n_row = piece->history.n_row};
    comm_max_i64(e->comm, &piece->owner, 1);
    int owner = (int)piece->owner - 1, is_mine = owner == e->comm->rank;
    comm_bcast(e->comm, &h.n_row, sizeof h.n_row, owner);
    int64_t n_value = h.n_row * h.n_column;
    h.value = mem_alloc(n_value, sizeof *h.value);
    TRY(comm_agree(e->comm, h.value ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a history")));
    if (is_mine)
        memcpy(h.value, piece->history.value, (size_t)n_value * sizeof *h.value);
    comm_bcast(e->comm, h.value, n_value * (int64_t)sizeof *h.value, owner);
    comm_bcast(e->comm, x->w + at * n, n * (int64_t)sizeof *x->w, owner);
    comm_bcast(e->comm, &piece->cost, sizeof piece->cost, owner);
    e->cost.forwards += piece->cost.forwards;
    e->cost.gradients += piece->cost.gradients;
    e->cost.hvps += piece->cost.hvps;
    e->cost.payload_bytes += piece->cost.payload_bytes;
    TRY(comm_agree(e->comm, add_history(&o->history, &h, shard, slice)));
out:
    history_free(&h);
    return rc;
}

static int share(struct work_on *x, struct outcome *o)
{
    const struct train_opts *t = x->s->train;
    int rc = IAU_OK;
    int64_t mixed = x->mixed;
    history_init(&o->history, ensemble_columns());
    for (int64_t k = 0; k < t->shards; k++)
        for (int64_t r = x->plan.first[k]; r < t->slices; r++)
            TRY(share_piece(x, o, k, r));
    for (int p = 0; p < N_PHASE; p++)
        x->s->engine->cost.seconds[p] += x->seconds[p];
    comm_max_i64(x->s->engine->comm, &mixed, 1);
    x->s->restart->mixed |= (int)mixed;
    o->w = x->w;
    x->w = NULL;
out:
    return rc;
}

static void say_what(const struct work_on *x)
{
    const struct train_opts *t = x->s->train;
    if (!x->s->forget)
        log_line("%s  trains %lld shards", x->s->name, (long long)t->shards);
    else if (t->slices == 1)
        log_line("%s  %lld of %lld shards hold forgotten samples", x->s->name,
                 (long long)x->plan.n_shard, (long long)t->shards);
    else
        log_line("%s  %lld of %lld shards hold forgotten samples; trains %lld of %lld slices",
                 x->s->name, (long long)x->plan.n_shard, (long long)t->shards,
                 (long long)x->plan.n_state, (long long)n_states(t));
}

int sisa_run(struct outcome *o, const struct sisa *s)
{
    int rc = IAU_OK;
    int64_t n = n_states(s->train);
    struct work_on x = {.s = s};
    const struct comm *comm = s->engine->comm;
    *o = (struct outcome){0};
    TRY(comm_agree(comm, start(&x)));
    TRY(comm_agree(comm, comm->rank == 0 ? find_made(&x) : IAU_OK));
    comm_bcast(comm, x.piece, n * (int64_t)sizeof *x.piece, 0); /* nothing but is_made is set */
    say_what(&x);
    TRY(run_farm(&x));
    TRY(share(&x, o));
out:
    for (int64_t i = 0; x.piece && i < n; i++)
        history_free(&x.piece[i].history);
    sisa_plan_free(&x.plan);
    free(x.w);
    free(x.piece);
    free(x.item);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

/* --- the method */

static int run(struct outcome *o, const struct unlearn *u)
{
    return sisa_run(o, &(struct sisa){.engine = u->engine,
                                      .train = u->train,
                                      .set = &u->sets->retain,
                                      .valid = &u->sets->valid,
                                      .forget = &u->sets->forget,
                                      .w = u->w,
                                      .restart = u->restart,
                                      .name = u->name});
}

const struct method method_sisa = {
    .help =
        "SISA (Bourtoule and others, \"Machine unlearning\", IEEE S&P 2021): the origin is an "
        "ensemble with a model for each shard of the training set (train.shards), and those are "
        "trained anew, without the forgotten samples, whose shards hold one. That is exact: the "
        "result has the bytes of an ensemble trained without the samples, the retrained twin. A "
        "few "
        "samples cost a few shards; of n samples drawn at random, a share of 1 - (1 - 1/shards)^n "
        "of the shards is hit, which is soon all of them, and then only their training side by "
        "side saves time. It has no settings of its own: shards and slices are those of the "
        "origin (train.*), and evaluate.aggregate says how the models answer as one. The authors' "
        "code trains for 20 epochs (batch 16, SGD .001) and decides by vote; it splits the "
        "training set evenly, here seed and sample id draw a sample's place; and here a slice "
        "trains for at least an epoch, its optimizer starts from zero state, and the epoch with "
        "the best validation accuracy is kept, as in all training.",
    .run = run,
    .counts_epochs = 1};
