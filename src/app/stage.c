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
        return FAIL(IAU_ERR_MEM, "no memory for a name");
    s->path = job_path(job, s->name, ".h5");
    s->restart_path = job_path(job, s->name, ".restart.h5");
    s->origin_path = job_path(job, cfg->origin[origin].name, ".h5");
    return s->path && s->restart_path && s->origin_path ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for file names");
}

int stage_list_init(struct stage_list *l, const struct job *job)
{
    const struct config *cfg = &job->cfg;
    int rc = IAU_OK, twins = job->has_request ? cfg->n_origin : 0;
    *l = (struct stage_list){.stage = mem_alloc(cfg->n_origin + twins + cfg->n_method, sizeof *l->stage)};
    if (!l->stage)
        return FAIL(IAU_ERR_MEM, "no memory for the list of stages");
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

/* The digest of the origin's parameters as its file says; verified when the file is used. An origin may be deleted once
 * the samples are forgotten: then the method's own file knows. */
static int parent_digest(const struct stage *s, char digest[DIGEST_CHARS])
{
    static const char key[] = "parent.digest";
    struct record r = {0};
    int rc = IAU_OK, length, has_origin = file_exists(s->origin_path) == 1;
    if (!has_origin && file_exists(s->path) != 1)
        TRY(FAIL(IAU_ERR_IO, "%s is not there, the origin of method %s; make it with `iau train` or `iau run`",
                 s->origin_path, s->name));
    TRY(record_read(&r, has_origin ? s->origin_path : s->path));
    const char *settings = record_text(&r, "/", "settings", "");
    const char *line = find_key(settings, key, sizeof key - 1, &length);
    if (has_origin)
        snprintf(digest, DIGEST_CHARS, "%s", record_text(&r, "/", "digest", ""));
    else if (line)
        snprintf(digest, DIGEST_CHARS, "%s", line + sizeof key - 1 + 3);
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

int stage_settings(const struct job *job, const struct stage *s, char **settings)
{
    static const enum config_scope scope[] = {SCOPE_ORIGIN, SCOPE_RETRAIN, SCOPE_METHOD};
    char parent[DIGEST_CHARS] = "";
    int needs_parent = !stage_trains(job, s), rc = IAU_OK;
    *settings = NULL;
    if (needs_parent)
        TRY(comm_agree(job->comm, job->comm->rank == 0 ? parent_digest(s, parent) : IAU_OK));
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
    TRY(comm_agree(job->comm, *settings ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for the settings as text")));
out:
    return rc;
}

/* What differs between two settings texts, up to `size` characters. A digest counts where nothing explains it, and its
 * beginning is enough. */
static void describe_difference(const char *there, const char *here, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (const char *line = here; *line && at + 1 < size; line += strcspn(line, "\n") + 1) {
        int n_here = (int)strcspn(line, "\n"), n_there = 0;
        size_t key = (size_t)(strstr(line, " = ") ? strstr(line, " = ") - line : n_here);
        const char *other = find_key(there, line, key, &n_there);
        int is_digest = key > 7 && strncmp(line + key - 7, ".digest", 7) == 0;
        if ((other && n_there == n_here && strncmp(other, line, (size_t)n_here) == 0) || (is_digest && at))
            continue;
        int skip = (int)key + 3, most = is_digest ? 12 : 100;
        int there_chars = other ? n_there - skip : 7, here_chars = n_here - skip;
        at += (size_t)snprintf(out + at, size - at, "%s%.*s (%.*s there, %.*s here)", at ? ", " : "", (int)key, line,
                               there_chars < most ? there_chars : most, other ? other + skip : "not set",
                               here_chars < most ? here_chars : most, line + skip);
    }
    if (!out[0])
        snprintf(out, size, "more settings there than here");
}

int stage_compare(const char *path, const char *there, const char *here, int code, const char *advice)
{
    char difference[600];
    if (there && strcmp(there, here) == 0)
        return IAU_OK;
    if (!there)
        return FAIL(code, "%s is no model file of iau; %s", path, advice);
    describe_difference(there, here, difference, sizeof difference);
    return FAIL(code, "%s was made with other settings: %s; %s", path, difference, advice);
}

/* Rank 0: is the file at `path` made with these settings? */
static int compare_settings(const char *path, const char *settings)
{
    static const char advice[] = "use --force to replace it, or another output.dir";
    struct record r = {0};
    int rc = record_read(&r, path);
    if (rc == IAU_ERR_FORMAT) {
        char why[600];
        snprintf(why, sizeof why, "%s", error_message());
        error_clear();
        rc = FAIL(IAU_ERR_EXISTS, "%s, and in the way of an output; %s", why, advice);
    } else if (rc == IAU_OK) {
        rc = stage_compare(path, record_text(&r, "/", "settings", NULL), settings, IAU_ERR_EXISTS, advice);
    }
    record_free(&r);
    return rc;
}

static int find_on_root(const struct job *job, const struct stage *s, const char *settings, enum stage_state *state)
{
    int rc = IAU_OK;
    *state = STAGE_MISSING;
    if (!job_has_output(job))
        return IAU_OK;
    TRY(file_check_target(s->path));
    if (job->cli->force) { /* a forced run that was stopped goes on, too */
        if (file_exists(s->restart_path) && compare_settings(s->restart_path, settings) == IAU_OK)
            *state = STAGE_RESUMABLE;
        error_clear();
        return IAU_OK;
    }
    if (file_exists(s->path)) {
        TRY(compare_settings(s->path, settings));
        *state = STAGE_DONE;
    } else if (file_exists(s->restart_path)) {
        TRY(compare_settings(s->restart_path, settings));
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
