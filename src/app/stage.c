/* The stages of a config, and what is already there of each. */
#define _GNU_SOURCE /* asprintf */
#include "app/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "unlearn/sisa.h"

const char *stage_kind_name(enum stage_kind k)
{
    static const char *const name[] = {"origin", "retrain", "method"};
    return name[k];
}

enum config_scope stage_scope(enum stage_kind k)
{
    static const enum config_scope scope[] = {SCOPE_ORIGIN, SCOPE_RETRAIN, SCOPE_METHOD};
    return scope[k];
}

int stage_count(const struct config *cfg, enum stage_kind k)
{
    return k == STAGE_ORIGIN    ? cfg->n_origin
           : k == STAGE_RETRAIN ? config_twins(cfg)
                                : cfg->n_method;
}

char *stage_name(const struct config *cfg, enum stage_kind kind, int index)
{
    return kind == STAGE_RETRAIN ? config_twin_name(cfg, index)
                                 : mem_strdup(kind == STAGE_ORIGIN ? cfg->origin[index].name
                                                                   : cfg->method[index].name);
}

static int fill(struct stage *s, const struct job *job, enum stage_kind kind, int index, int origin)
{
    const struct config *cfg = &job->cfg;
    *s = (struct stage){.kind = kind,
                        .index = index,
                        .origin = origin,
                        .train = config_train(cfg, stage_scope(kind), index)};
    s->folder = config_folder(cfg, stage_scope(kind), index);
    s->name = stage_name(cfg, kind, index);
    char *origins = config_folder(cfg, SCOPE_ORIGIN, origin);
    const char *given = cfg->origin[origin].file;
    s->is_given = kind == STAGE_ORIGIN && given;
    if (s->folder && s->name && origins) {
        s->path = s->is_given ? mem_strdup(given) : job_path(s->folder, s->name, ".h5");
        s->restart_path = job_path(s->folder, s->name, ".restart.h5");
        s->failure_path = job_path(s->folder, s->name, ".failed.h5");
        s->origin_path =
            given ? mem_strdup(given) : job_path(origins, cfg->origin[origin].name, ".h5");
    }
    free(origins);
    return s->path && s->restart_path && s->failure_path && s->origin_path
               ? IAU_OK
               : FAIL(IAU_ERR_MEM, "no memory for file names");
}

int stage_list_init(struct stage_list *l, const struct job *job)
{
    const struct config *cfg = &job->cfg;
    int rc = IAU_OK, twins = job->has_request ? config_twins(cfg) : 0;
    *l = (struct stage_list){
        .stage = mem_alloc(cfg->n_origin + twins + cfg->n_method, sizeof *l->stage)};
    if (!l->stage)
        return FAIL(IAU_ERR_MEM, "no memory for the list of stages");
    for (int i = 0; i < cfg->n_origin; i++)
        TRY(fill(&l->stage[l->n++], job, STAGE_ORIGIN, i, i));
    for (int i = 0; i < twins; i++)
        TRY(fill(&l->stage[l->n++], job, STAGE_RETRAIN, i, i % cfg->n_origin));
    for (int i = 0; i < cfg->n_method; i++)
        TRY(fill(&l->stage[l->n++], job, STAGE_METHOD, i, config_origin_of(cfg, &cfg->method[i])));
out:
    if (rc != IAU_OK)
        stage_list_free(l);
    return rc;
}

void stage_list_cut(struct stage_list *l, int n)
{
    while (l->n > n) {
        struct stage *s = &l->stage[--l->n];
        free(s->folder);
        free(s->name);
        free(s->path);
        free(s->restart_path);
        free(s->failure_path);
        free(s->origin_path);
    }
}

void stage_list_free(struct stage_list *l)
{
    stage_list_cut(l, 0);
    free(l->stage);
    *l = (struct stage_list){0};
}

int stage_trains(const struct job *job, const struct stage *s)
{
    return s->kind != STAGE_METHOD || job->cfg.method[s->index].method == METHOD_RETRAIN;
}

int stage_counts_epochs(const struct job *job, const struct stage *s)
{
    return stage_trains(job, s) || method_of(job->cfg.method[s->index].method)->counts_epochs;
}

const struct index_set *stage_training_set(const struct job *job, const struct stage *s)
{
    return s->kind == STAGE_ORIGIN ? &job->sets.train : &job->sets.retain;
}

static const char parent_key[] = "parent.digest";

/* The digest of the origin's parameters as its file says; verified when the file is used. An origin
 * may be deleted once the samples are forgotten: then the method's own file knows. */
static int parent_digest(const struct stage *s, char digest[DIGEST_CHARS])
{
    struct record r = {0};
    int rc = IAU_OK, length, has_origin = file_exists(s->origin_path) == 1;
    if (!has_origin && file_exists(s->path) != 1)
        TRY(FAIL(IAU_ERR_IO,
                 "%s is not there, the origin of method %s; make it with `iau train` or `iau run`",
                 s->origin_path, s->name));
    TRY(record_read_attributes(&r, has_origin ? s->origin_path : s->path));
    const char *line = output_setting(record_text(&r, "/", "settings", ""), parent_key, &length);
    if (has_origin)
        snprintf(digest, DIGEST_CHARS, "%s", record_text(&r, "/", "digest", ""));
    else if (line)
        snprintf(digest, DIGEST_CHARS, "%s", line + sizeof parent_key - 1 + 3);
out:
    record_free(&r);
    return rc;
}

int stage_has_origin(const struct job *job, const struct stage *s)
{
    int64_t there = job->comm->rank == 0 ? file_exists(s->origin_path) == 1 : 0;
    comm_bcast(job->comm, &there, sizeof there, 0);
    return there != 0;
}

/* The settings text of a stage, with the digest of its parent unless that is NULL. The caller
 * frees; NULL when memory is short. */
static char *settings_text(const struct job *job, const struct stage *s, const char *parent)
{
    char *text = config_text(&job->cfg, stage_scope(s->kind), s->index),
         *settings = job_settings(job, text, s->kind != STAGE_ORIGIN), *all = settings;
    if (settings && parent) {
        if (asprintf(&all, "%s%s = %s\n", settings, parent_key, parent) < 0)
            all = NULL;
        free(settings);
    }
    free(text);
    return all;
}

int stage_settings(const struct job *job, const struct stage *s, char **settings)
{
    char parent[DIGEST_CHARS] = "";
    int needs_parent = !stage_trains(job, s), rc = IAU_OK;
    *settings = NULL;
    if (needs_parent)
        TRY(comm_agree(job->comm, job->comm->rank == 0 ? parent_digest(s, parent) : IAU_OK));
    comm_bcast(job->comm, parent, sizeof parent, 0);
    *settings = settings_text(job, s, needs_parent ? parent : NULL);
    TRY(comm_agree(job->comm,
                   *settings ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for the settings as text")));
out:
    return rc;
}

/* In which settings a given origin must agree. */
static const char *const *given_sections(const struct train_opts *train)
{
    static const char *const one[] = {"data.", "model.", NULL};
    /* What says where samples are, and what shards are trained anew with. */
    static const char *const ensemble[] = {"data.",
                                           "model.",
                                           "train.seed",
                                           "train.epochs",
                                           "train.batch",
                                           "train.unit",
                                           "train.patience",
                                           "train.shards",
                                           "train.slices",
                                           "train.optimizer",
                                           "train.schedule.",
                                           "train.augment.",
                                           "train.restriction.",
                                           NULL};
    return train_is_ensemble(train) ? ensemble : one;
}

int stage_check_file(const struct job *job, const struct stage *s, const struct record *r,
                     const char *settings, const char *advice)
{
    const char *there = record_text(r, "/", "settings", NULL);
    int rc = s->is_given ? output_compare_sections(s->path, there, settings,
                                                   given_sections(&s->train), IAU_ERR_DATA, advice)
                         : output_compare(s->path, there, settings, IAU_ERR_DATA, advice);
    if (rc == IAU_OK && s->is_given &&
        strcmp(record_text(r, "/", "samples_digest", ""), job->train_digest) != 0)
        rc =
            FAIL(IAU_ERR_DATA,
                 "%s has learned other samples than are left here: name in data.without those that "
                 "it was made to forget, and no others",
                 s->path);
    return rc;
}

int stage_fits(const struct config *cfg, enum stage_kind kind, int index, const char *settings,
               int *fits)
{
    char *text = config_text(cfg, stage_scope(kind), index);
    *fits = 0;
    if (!text)
        return FAIL(IAU_ERR_MEM, "no memory for settings");
    if (settings && kind == STAGE_ORIGIN && cfg->origin[index].file)
        *fits = output_agrees(settings, text, given_sections(&cfg->origin[index].train));
    else if (settings)
        *fits = strncmp(settings, text, strlen(text)) == 0;
    free(text);
    return IAU_OK;
}

/* Rank 0: `any_parent`: the origin's digest is not known yet. */
static int find_on_root(const struct job *job, const struct stage *s, const char *settings,
                        int any_parent, enum output_state *state)
{
    struct output o = {.path = s->path,
                       .restart_path = s->restart_path,
                       .settings = settings,
                       .unknown = any_parent ? parent_key : NULL};
    *state = OUTPUT_MISSING;
    if (s->is_given) {
        *state = OUTPUT_DONE;
        return file_exists(s->path) == 1
                   ? IAU_OK
                   : FAIL(IAU_ERR_IO, "%s is not there, the file of origin %s", s->path, s->name);
    }
    return file_is_directory(s->folder) ? output_find(&o, job->cli->force, state) : IAU_OK;
}

static int find(const struct job *job, const struct stage *s, const char *settings, int any_parent,
                enum output_state *state)
{
    *state = OUTPUT_MISSING;
    int rc = comm_agree(job->comm, job->comm->rank == 0
                                       ? find_on_root(job, s, settings, any_parent, state)
                                       : IAU_OK);
    comm_bcast(job->comm, state, sizeof *state, 0);
    return rc;
}

int stage_find(const struct job *job, const struct stage *s, const char *settings,
               enum output_state *state)
{
    return find(job, s, settings, 0, state);
}

int stage_preview(const struct job *job, const struct stage *s, unsigned kinds,
                  enum output_state *state)
{
    int rc = IAU_OK;
    char *settings = NULL;
    int any_parent = !stage_trains(job, s) && kinds & 1u << STAGE_ORIGIN &&
                     (job->cli->force || !stage_has_origin(job, s));
    *state = OUTPUT_MISSING;
    if (any_parent) {
        settings = settings_text(job, s, NULL);
        TRY(comm_agree(job->comm, settings
                                      ? IAU_OK
                                      : FAIL(IAU_ERR_MEM, "no memory for the settings as text")));
    } else {
        TRY(stage_settings(job, s, &settings));
    }
    TRY(find(job, s, settings, any_parent, state));
out:
    free(settings);
    return rc;
}

const struct index_set *stage_forgotten_set(const struct job *job, const struct stage *s)
{
    return stage_trains(job, s) ? NULL : &job->sets.forget;
}

/* Have the shards of an ensemble samples enough, and the files room? @param n_bytes  of the folder
 * that earlier stages need; grows */
static int check_ensemble(const struct job *job, const struct stage *s, double *n_bytes)
{
    int rc = IAU_OK;
    struct sisa_plan plan;
    TRY(sisa_plan_init(&plan, &job->dataset, &s->train, stage_training_set(job, s),
                       stage_forgotten_set(job, s)));
    TRY(sisa_plan_check(&plan, &job->model, s->name));
    *n_bytes += sisa_plan_bytes(&plan, &job->model);
    if (job->comm->rank == 0)
        TRY(job_check_disk(s->folder, *n_bytes));
out:
    sisa_plan_free(&plan);
    return rc;
}

/* Can a stage that is yet to run write its file and train on its samples? */
static int check_stage(const struct job *job, const struct stage *s, double *n_bytes)
{
    struct batch_opts batch = trainer_batch_opts(&s->train);
    struct shard_plan plan;
    int64_t left_out;
    int rc = IAU_OK;
    if (job->comm->rank == 0)
        TRY(job_check_folder(config_folder_key(&job->cfg, stage_scope(s->kind)), s->folder));
    if (train_is_ensemble(&s->train))
        TRY(check_ensemble(job, s, n_bytes));
    else if (!stage_trains(job, s))
        TRY(method_check_valid(&job->cfg.method[s->index], job->sets.valid.n, s->name));
    else
        TRY(batches_plan(&plan, &left_out, s->name, model_has_groups(&job->model), &batch,
                         stage_training_set(job, s)->n));
out:
    return rc;
}

/* Add a stage's name to a list of those whose goal is a loss on D_f like that on V. */
static void add_goal(const struct job *job, const struct stage *s, char *names, size_t size)
{
    size_t at = strlen(names);
    if (s->kind == STAGE_METHOD && method_valid_use(&job->cfg.method[s->index]))
        snprintf(names + at, size - at, "%s%s", at ? ", " : "", s->name);
}

/* It is not where retraining ends if samples are forgotten for their class or their labels. */
static void warn_of_goals(const struct job *job, const char *names)
{
    const struct forget_opts *f = &job->cfg.forget;
    if (*names && (f->classes.n || f->poison))
        log_warn(
            "%s: the goal, a loss on forgotten samples like that on validation samples, is not "
            "where retraining ends with %s: its loss on %s is higher",
            names, f->classes.n ? "forget.classes" : "forget.poison",
            f->classes.n ? "classes that it never saw" : "wrong labels");
}

int stage_check_all(const struct job *job, const struct stage_list *l, unsigned kinds)
{
    int rc = IAU_OK;
    double n_bytes = 0;
    const char *folder = "";
    char goals[256] = "";
    for (int i = 0; i < l->n; i++) {
        enum output_state state;
        if (!(kinds & 1u << l->stage[i].kind))
            continue;
        TRY(stage_preview(job, &l->stage[i], kinds, &state));
        n_bytes = strcmp(folder, l->stage[i].folder) == 0 ? n_bytes : 0;
        folder = l->stage[i].folder;
        if (state == OUTPUT_DONE)
            continue;
        TRY(comm_agree(job->comm, check_stage(job, &l->stage[i], &n_bytes)));
        add_goal(job, &l->stage[i], goals, sizeof goals);
    }
    warn_of_goals(job, goals);
out:
    return rc;
}
