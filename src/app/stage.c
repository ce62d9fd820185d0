/* The stages of a config, and what is already there of each. */
#include "app/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"

const char *stage_kind_name(enum stage_kind k)
{
    static const char *const name[] = {"origin", "retrain", "method"};
    return name[k];
}

static int fill(struct stage *s, const struct job *job, enum stage_kind kind, int index, int origin)
{
    const struct config *cfg = &job->cfg;
    *s = (struct stage){.kind = kind, .index = index, .origin = origin};
    s->name = kind == STAGE_RETRAIN ? config_retrain_name(cfg->origin[origin].name)
                                    : mem_strdup(kind == STAGE_ORIGIN ? cfg->origin[index].name : cfg->method[index].name);
    if (!s->name)
        return FAIL(IAU_ERR_MEM, "a name");
    s->path = job_path(job, s->name, ".h5");
    s->restart_path = job_path(job, s->name, ".restart.h5");
    s->origin_path = job_path(job, cfg->origin[origin].name, ".h5");
    return s->path && s->restart_path && s->origin_path ? IAU_OK : FAIL(IAU_ERR_MEM, "file names");
}

int stage_list_init(struct stage_list *l, const struct job *job)
{
    const struct config *cfg = &job->cfg;
    int rc = IAU_OK, twins = job->has_request ? cfg->n_origin : 0;
    *l = (struct stage_list){.stage = mem_alloc(cfg->n_origin + twins + cfg->n_method, sizeof *l->stage)};
    if (!l->stage)
        return FAIL(IAU_ERR_MEM, "the list of stages");
    for (int i = 0; i < cfg->n_origin; i++)
        TRY(fill(&l->stage[l->n++], job, STAGE_ORIGIN, i, i));
    for (int i = 0; i < twins; i++)
        TRY(fill(&l->stage[l->n++], job, STAGE_RETRAIN, i, i));
    for (int i = 0; i < cfg->n_method; i++)
        TRY(fill(&l->stage[l->n++], job, STAGE_METHOD, i, config_origin_of(cfg, &cfg->method[i])));
out:
    if (rc != IAU_OK)
        stage_list_free(l);
    return rc;
}

void stage_list_free(struct stage_list *l)
{
    for (int i = 0; i < l->n; i++) {
        free(l->stage[i].name);
        free(l->stage[i].path);
        free(l->stage[i].restart_path);
        free(l->stage[i].origin_path);
    }
    free(l->stage);
    *l = (struct stage_list){0};
}

const struct train_opts *stage_train_opts(const struct job *job, const struct stage *s)
{
    return &job->cfg.origin[s->origin].train;
}

int stage_trains(const struct job *job, const struct stage *s)
{
    return s->kind != STAGE_METHOD || job->cfg.method[s->index].method == METHOD_RETRAIN;
}

const struct index_set *stage_training_set(const struct job *job, const struct stage *s)
{
    return s->kind == STAGE_ORIGIN ? &job->sets.train : &job->sets.retain;
}

/* The digest of the origin's parameters as its file says; verified when the file is used. */
static int parent_digest(const struct job *job, const struct stage *s, char digest[DIGEST_CHARS])
{
    struct record r = {0};
    int rc = IAU_OK;
    int there = file_exists(s->origin_path);
    if (there == 0)
        return FAIL(IAU_ERR_IO, "%s is not there: it is the model that %s starts from; run `iau train` first",
                    s->origin_path, s->name);
    TRY(record_read(&r, s->origin_path));
    snprintf(digest, DIGEST_CHARS, "%s", record_text(&r, "/", "digest", ""));
out:
    record_free(&r);
    (void)job;
    return rc;
}

int stage_settings(const struct job *job, const struct stage *s, char **settings)
{
    static const enum config_scope scope[] = {SCOPE_ORIGIN, SCOPE_RETRAIN, SCOPE_METHOD};
    char parent[DIGEST_CHARS] = "";
    int needs_parent = !stage_trains(job, s), rc = IAU_OK;
    *settings = NULL;
    if (needs_parent)
        TRY(comm_agree(job->comm, job->comm->rank == 0 ? parent_digest(job, s, parent) : IAU_OK));
    comm_bcast(job->comm, parent, sizeof parent, 0);
    char *text = config_text(&job->cfg, scope[s->kind], s->index);
    size_t size = (text ? strlen(text) : 0) + 512;
    *settings = text ? malloc(size) : NULL;
    if (*settings) {
        int at = snprintf(*settings, size, "%sdata.digest = %s\n", text, job->dataset.digest);
        if (s->kind != STAGE_ORIGIN)
            at += snprintf(*settings + at, size - (size_t)at, "forget.digest = %s\n", job->forget_digest);
        if (needs_parent)
            snprintf(*settings + at, size - (size_t)at, "parent.digest = %s\n", parent);
    }
    free(text);
    TRY(comm_agree(job->comm, *settings ? IAU_OK : FAIL(IAU_ERR_MEM, "the settings as text")));
out:
    return rc;
}

/* The line of `text` that sets `key` (of the given length), or NULL; without its newline in *length. */
static const char *find_key(const char *text, const char *key, size_t key_length, int *length)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
        *length = (int)strcspn(line, "\n");
        if (strncmp(line, key, key_length) == 0 && strncmp(line + key_length, " = ", 3) == 0)
            return line;
    }
    return NULL;
}

/* What differs between two settings texts, up to `size` characters: "key = there, not here". */
static void describe_difference(const char *there, const char *here, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (const char *line = here; *line && at + 1 < size; line += strcspn(line, "\n") + 1) {
        int n_here = (int)strcspn(line, "\n"), n_there = 0;
        size_t key = (size_t)(strstr(line, " = ") ? strstr(line, " = ") - line : n_here);
        const char *other = find_key(there, line, key, &n_there);
        if (other && n_there == n_here && strncmp(other, line, (size_t)n_here) == 0)
            continue;
        int skip = (int)key + 3;
        at += (size_t)snprintf(out + at, size - at, "%s%.*s (%.*s there, %.*s here)", at ? ", " : "", (int)key, line,
                               other ? n_there - skip : 7, other ? other + skip : "not set", n_here - skip, line + skip);
    }
    if (!out[0])
        snprintf(out, size, "settings that are not set here");
}

/* Rank 0: is the file at `path` made with these settings? */
static int compare_settings(const char *path, const char *settings, int *same)
{
    int rc = IAU_OK;
    struct record r = {0};
    char difference[600];
    TRY(record_read(&r, path));
    const char *there = record_text(&r, "/", "settings", NULL);
    if (!there)
        TRY(FAIL(IAU_ERR_EXISTS, "%s is in the way and no file of iau; move it, or use --force to replace it", path));
    *same = strcmp(there, settings) == 0;
    if (*same)
        goto out;
    describe_difference(there, settings, difference, sizeof difference);
    rc = FAIL(IAU_ERR_EXISTS, "%s was made with other settings: %s; use --force to replace it, or another output.dir",
              path, difference);
out:
    record_free(&r);
    return rc;
}

static int find_on_root(const struct job *job, const struct stage *s, const char *settings, enum stage_state *state)
{
    int rc = IAU_OK, same = 0;
    *state = STAGE_MISSING;
    TRY(file_check_target(s->path));
    if (job->cli->force)
        return IAU_OK;
    if (file_exists(s->path)) {
        TRY(compare_settings(s->path, settings, &same));
        *state = STAGE_DONE;
    } else if (file_exists(s->restart_path)) {
        TRY(compare_settings(s->restart_path, settings, &same));
        *state = STAGE_RESUMABLE;
    }
out:
    return rc;
}

int stage_find(const struct job *job, const struct stage *s, const char *settings, enum stage_state *state)
{
    *state = STAGE_MISSING;
    int rc = comm_agree(job->comm, job->comm->rank == 0 ? find_on_root(job, s, settings, state) : IAU_OK);
    comm_bcast(job->comm, state, sizeof *state, 0);
    return rc;
}
