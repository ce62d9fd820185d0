/* The files of shadows: names and settings, what is there, and what they say. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/shadow.h"
#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"
#include "shadow_private.h"

static const char parent_key[] = "parent.digest";

/* --- names and settings */

struct train_opts shadow_train_opts(const struct audit *a, int origin, int64_t k)
{
    struct train_opts t = a->origin[origin].train;
    t.epochs = a->opts->epochs;
    t.seed = audit_seed((uint64_t)a->opts->seed, DRAW_SEEDS, k);
    t.gradient_sum = 0;
    return t;
}

int shadow_trained_part(struct part *p, const struct audit *a, int origin, int64_t k)
{
    struct train_opts train = shadow_train_opts(a, origin, k);
    char *base = a->hooks.train_settings(a->hooks.ctx, &a->origin[origin], &train),
         *settings = NULL, *name = NULL;
    if (!base || asprintf(&settings, "%saudit.seed = %lld\naudit.shadow = %lld\n", base,
                          (long long)a->opts->seed, (long long)k) < 0)
        settings = NULL;
    if (asprintf(&name, "shadow_%s_%03lld", a->origin[origin].name, (long long)k) < 0)
        name = NULL;
    free(base);
    return part_init(p, a, name, settings);
}

int shadow_unlearned_part(struct part *p, const struct audit *a, const struct part *trained,
                          const struct audit_method *m, const char *parent)
{
    char *lines = m->opts ? a->hooks.method_settings(a->hooks.ctx, m->index)
                          : mem_strdup("method.method = retrain\n");
    char *settings = NULL, *name = NULL;
    if (!lines ||
        asprintf(&settings, "%s%s%s%s%s%s", trained->settings, lines, parent ? parent_key : "",
                 parent ? " = " : "", parent ? parent : "", parent ? "\n" : "") < 0)
        settings = NULL;
    if (asprintf(&name, "%s_%s", trained->name, m->name) < 0)
        name = NULL;
    free(lines);
    return part_init(p, a, name, settings);
}

/* --- what is there */

/* The digest of a trained shadow's file. */
static int read_digest(const struct part *trained, char digest[DIGEST_CHARS])
{
    struct record r = {0};
    int rc = record_read_attributes(&r, trained->path);
    if (rc == IAU_OK)
        snprintf(digest, DIGEST_CHARS, "%s", record_text(&r, "/", "digest", ""));
    record_free(&r);
    return rc;
}

int shadow_find(const struct audit *a, int origin, int64_t k, int *is_there)
{
    int rc = IAU_OK;
    char digest[DIGEST_CHARS];
    enum output_state state;
    struct part trained = {0}, part = {0};
    *is_there = 0;
    TRY(shadow_trained_part(&trained, a, origin, k));
    TRY(part_find(&trained, a, NULL, &state));
    int is_trained = *is_there = state == OUTPUT_DONE;
    if (is_trained)
        TRY(read_digest(&trained, digest));
    for (int i = 0; i < a->n_method; i++) {
        if (a->method[i].origin != origin)
            continue;
        TRY(shadow_unlearned_part(&part, a, &trained, &a->method[i], is_trained ? digest : NULL));
        TRY(part_find(&part, a, is_trained ? NULL : parent_key, &state));
        part_free(&part);
        *is_there = *is_there && state == OUTPUT_DONE;
    }
out:
    part_free(&trained);
    part_free(&part);
    return rc;
}

/* --- reading */

static int allocate_table(struct shadow_table *t, const struct audit *a, int origin)
{
    int64_t n = t->n_shadow * t->n_target;
    int *method = mem_alloc(a->n_method, sizeof *method);
    t->method = method;
    t->margin = mem_alloc(n, sizeof *t->margin);
    t->member = mem_alloc(n, sizeof *t->member);
    t->unlearned = mem_alloc(a->n_method, sizeof *t->unlearned);
    int is_whole = method && t->margin && t->member && t->unlearned;
    for (int i = 0; is_whole && i < a->n_method; i++)
        if (a->method[i].origin == origin) {
            method[t->n_method] = i;
            is_whole = (t->unlearned[t->n_method++] = mem_alloc(n, sizeof(double))) != NULL;
        }
    return is_whole ? IAU_OK
                    : FAIL(IAU_ERR_MEM, "no memory for %lld margins of shadows", (long long)n);
}

/* A column of a file, [n_target]. */
static int take_column(const struct part *p, const struct record *r, const char *path, int64_t n,
                       enum record_type type, void *out)
{
    const struct record_array *a = record_find(r, path);
    if (!a || a->type != type || record_count(a) != n)
        return FAIL(IAU_ERR_FORMAT, "%s: %s is missing, or not of %lld samples", p->path, path,
                    (long long)n);
    memcpy(out, a->data, (size_t)n * (type == RECORD_F64 ? sizeof(double) : 1));
    return IAU_OK;
}

static int read_margins(const struct part *p, int64_t n, double *margin)
{
    struct record r = {0};
    int rc = part_read(p, "/targets", &r);
    if (rc == IAU_OK)
        rc = take_column(p, &r, "/targets/margin", n, RECORD_F64, margin);
    record_free(&r);
    return rc;
}

/* Row k of the table. */
static int read_shadow(struct shadow_table *t, const struct audit *a, int origin, int64_t k)
{
    int rc = IAU_OK;
    int64_t n = t->n_target;
    char digest[DIGEST_CHARS];
    struct part trained = {0}, part = {0};
    TRY(shadow_trained_part(&trained, a, origin, k));
    TRY(read_margins(&trained, n, t->margin + k * n));
    TRY(read_digest(&trained, digest));
    TRY(targets_half(&a->targets, (uint64_t)a->opts->seed, k, t->member + k * n));
    for (int i = 0; i < t->n_method; i++) {
        TRY(shadow_unlearned_part(&part, a, &trained, &a->method[t->method[i]], digest));
        TRY(read_margins(&part, n, t->unlearned[i] + k * n));
        part_free(&part);
    }
out:
    part_free(&trained);
    part_free(&part);
    return rc;
}

/* Whether all files of an origin's shadows are there, whatever they hold. */
static int files_are_there(const struct audit *a, int origin, int *all)
{
    int rc = IAU_OK;
    struct part trained = {0}, part = {0};
    *all = a->opts->shadows > 0;
    for (int64_t k = 0; *all && k < a->opts->shadows; k++) {
        TRY(shadow_trained_part(&trained, a, origin, k));
        *all = file_exists(trained.path) == 1;
        for (int i = 0; *all && i < a->n_method; i++) {
            if (a->method[i].origin != origin)
                continue;
            TRY(shadow_unlearned_part(&part, a, &trained, &a->method[i], NULL));
            *all = file_exists(part.path) == 1;
            part_free(&part);
        }
        part_free(&trained);
    }
out:
    part_free(&trained);
    part_free(&part);
    return rc;
}

int shadow_read(struct shadow_table *t, const struct audit *a, int origin, int *is_there)
{
    int rc = IAU_OK;
    *t = (struct shadow_table){.n_shadow = a->opts->shadows, .n_target = a->targets.all.n};
    TRY(files_are_there(a, origin, is_there));
    if (!*is_there)
        goto out;
    TRY(allocate_table(t, a, origin));
    for (int64_t k = 0; k < t->n_shadow; k++)
        TRY(read_shadow(t, a, origin, k));
out:
    if (rc != IAU_OK || !*is_there)
        shadow_table_free(t);
    return rc;
}

void shadow_table_free(struct shadow_table *t)
{
    for (int i = 0; t->unlearned && i < t->n_method; i++)
        free(t->unlearned[i]);
    free(t->unlearned);
    free((int *)t->method);
    free(t->margin);
    free(t->member);
    *t = (struct shadow_table){0};
}
