/* Training of ensembles, and of what a request affects of one. */
#define _GNU_SOURCE /* asprintf */
#include "unlearn/sisa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/output.h"
#include "par/farm.h"
#include "sisa_private.h"

/* At work, on this rank. */
struct work_on {
    const struct sisa *s;
    struct sisa_plan plan;
    float *w;         /* owned, as sisa.w */
    uint8_t *is_made; /* owned, [shards][slices]; there is a file of it from before */
    int64_t *item;    /* owned; the shards to train */
    double seconds[N_PHASE];
};

static int64_t n_states(const struct train_opts *t)
{
    return t->shards * t->slices;
}

/* --- the file of a slice of a shard */

struct piece_file {
    char *name, *path, *restart_path; /* owned */
};

static void piece_file_free(struct piece_file *f)
{
    free(f->name);
    free(f->path);
    free(f->restart_path);
}

/* FOLDER/NAME.shard_K.h5 beside FOLDER/NAME.restart.h5; NAME.shard_K.slice_R.h5 where there are
 * several slices. */
static int piece_file_init(struct piece_file *f, const char *restart_path,
                           const struct train_opts *t, int64_t shard, int64_t slice)
{
    static const char tail[] = ".restart.h5";
    size_t n = strlen(restart_path), n_tail = sizeof tail - 1;
    REQUIRE(n > n_tail && strcmp(restart_path + n - n_tail, tail) == 0);
    *f = (struct piece_file){NULL, NULL, NULL};
    int made = t->slices > 1
                   ? asprintf(&f->name, "shard_%lld.slice_%lld", (long long)shard, (long long)slice)
                   : asprintf(&f->name, "shard_%lld", (long long)shard);
    if (made < 0)
        f->name = NULL;
    if (!f->name || asprintf(&f->path, "%.*s.%s.h5", (int)(n - n_tail), restart_path, f->name) < 0)
        f->path = NULL;
    if (!f->path ||
        asprintf(&f->restart_path, "%.*s.%s%s", (int)(n - n_tail), restart_path, f->name, tail) < 0)
        f->restart_path = NULL;
    if (f->restart_path)
        return IAU_OK;
    piece_file_free(f);
    *f = (struct piece_file){NULL, NULL, NULL};
    return FAIL(IAU_ERR_MEM, "no memory for the names of shards");
}

/* Read the file of a piece that is done into w, or write it: a restart file with nothing left to
 * do, so that it is checked like one. */
static int exchange(struct engine *e, const struct restart *like, const struct piece_file *f,
                    float *w, struct history *history, int writes, int *mixed)
{
    struct restart_item item[] = {{RESTART_PARAMS, "/params", w},
                                  {RESTART_BUFFERS, "/buffers", w},
                                  {RESTART_HISTORY, "/history", history}};
    struct restart_state state = {"its end", sizeof item / sizeof *item, item};
    struct restart done = *like;
    done.path = f->path;
    done.name = f->name;
    done.opts.keep = 1;
    int rc = writes ? restart_write(&done, e, &state) : restart_load(&done, e, &state);
    *mixed = done.mixed;
    return rc;
}

/* Rank 0: whether a file is there with these settings; others are an error, or, with --force, not
 * there. */
static int find_file(const struct restart *r, const char *path, uint8_t *is_there)
{
    enum output_state state;
    struct output o = {.path = path, .restart_path = path, .settings = r->settings};
    int rc = output_find(&o, r->force, &state);
    *is_there = rc == IAU_OK && state != OUTPUT_MISSING;
    return rc;
}

/* --- training */

static int train_piece(struct work_on *x, struct engine *e, const struct piece_file *f,
                       int64_t shard, int64_t slice, struct outcome *o)
{
    const struct sisa *s = x->s;
    int rc = IAU_OK, mixed;
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
        rc = find_file(s->restart, f->restart_path, &resumes);
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
    TRY(exchange(e, &restart, f, o->w, &o->history, 1, &mixed));
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
    int rc = IAU_OK, mixed;
    struct engine e = {0};
    struct outcome o = {0};
    struct piece_file f = {NULL, NULL, NULL};
    int64_t at = shard * x->s->train->slices + slice;
    TRY(comm_agree(group, piece_file_init(&f, x->s->restart->path, x->s->train, shard, slice)));
    TRY(open_engine(&e, x->s->engine, group));
    history_init(&o.history, trainer_columns);
    if (x->is_made[at])
        TRY(exchange(&e, x->s->restart, &f, x->w + at * model_state_floats(e.model), &o.history, 0,
                     &mixed));
    else
        TRY(train_piece(x, &e, &f, shard, slice, &o));
    for (int p = 0; p < N_PHASE; p++)
        x->seconds[p] += e.cost.seconds[p];
out:
    outcome_free(&o);
    engine_free(&e);
    piece_file_free(&f);
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
    x->is_made = mem_alloc(n, 1);
    x->item = mem_alloc(t->shards, sizeof *x->item);
    if (!x->w || !x->is_made || !x->item)
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
        struct piece_file f;
        rc = piece_file_init(&f, x->s->restart->path, t, i / t->slices, i % t->slices);
        if (rc == IAU_OK)
            rc = find_file(x->s->restart, f.path, &x->is_made[i]);
        piece_file_free(&f);
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

/* Every rank takes all that was made from the files. */
static int collect_piece(struct work_on *x, struct outcome *o, int64_t shard, int64_t slice)
{
    struct engine *e = x->s->engine;
    const struct train_opts *t = x->s->train;
    int rc = IAU_OK;
    struct piece_file f = {NULL, NULL, NULL};
    struct history h;
    history_init(&h, trainer_columns);
    TRY(comm_agree(e->comm, piece_file_init(&f, x->s->restart->path, t, shard, slice)));
    TRY(exchange(e, x->s->restart, &f,
                 x->w + (shard * t->slices + slice) * model_state_floats(e->model), &h, 0,
                 &x->s->restart->mixed));
    TRY(comm_agree(e->comm, add_history(&o->history, &h, shard, slice)));
out:
    history_free(&h);
    piece_file_free(&f);
    return rc;
}

static int collect(struct work_on *x, struct outcome *o)
{
    const struct train_opts *t = x->s->train;
    struct cost *cost = &x->s->engine->cost;
    int rc = IAU_OK;
    double before[N_PHASE];
    memcpy(before, cost->seconds, sizeof before);
    history_init(&o->history, ensemble_columns());
    for (int64_t k = 0; k < t->shards; k++)
        for (int64_t r = x->plan.first[k]; r < t->slices; r++)
            TRY(collect_piece(x, o, k, r));
    for (int p = 0; p < N_PHASE; p++) /* the files' seconds are those of all groups together */
        cost->seconds[p] = before[p] + x->seconds[p];
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
    struct work_on x = {.s = s};
    const struct comm *comm = s->engine->comm;
    *o = (struct outcome){0};
    TRY(comm_agree(comm, start(&x)));
    TRY(comm_agree(comm, comm->rank == 0 ? find_made(&x) : IAU_OK));
    comm_bcast(comm, x.is_made, n_states(s->train), 0);
    say_what(&x);
    TRY(run_farm(&x));
    TRY(collect(&x, o));
out:
    sisa_plan_free(&x.plan);
    free(x.w);
    free(x.is_made);
    free(x.item);
    if (rc != IAU_OK)
        outcome_free(o);
    return rc;
}

int sisa_remove(const char *path, const struct train_opts *train)
{
    int rc = IAU_OK;
    for (int64_t i = 0; i < n_states(train) && rc == IAU_OK; i++) {
        struct piece_file f;
        rc = piece_file_init(&f, path, train, i / train->slices, i % train->slices);
        if (rc == IAU_OK)
            rc = restart_remove(f.path);
        piece_file_free(&f);
    }
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
