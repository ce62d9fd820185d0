/* The outputs that a config has: their names and folders, and what they are trained with. */
#define _GNU_SOURCE /* asprintf */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/memory.h"

char *config_retrain_name(const char *origin)
{
    char *name = NULL;
    const char *rest = strncmp(origin, "origin_", 7) == 0 ? origin + 7 : origin;
    if (strcmp(origin, "origin") == 0)
        return mem_strdup("retrain");
    return asprintf(&name, "retrain_%s", rest) < 0 ? NULL : name;
}

int config_twins(const struct config *cfg)
{
    return cfg->n_origin * (1 + (int)cfg->evaluate.floor);
}

struct train_opts config_train(const struct config *cfg, enum config_scope scope, int index)
{
    int origin =
        scope == SCOPE_METHOD ? config_origin_of(cfg, &cfg->method[index]) : index % cfg->n_origin;
    struct train_opts train = cfg->origin[origin].train;
    if (scope == SCOPE_RETRAIN)
        train.seed += index / cfg->n_origin;
    return train;
}

char *config_twin_name(const struct config *cfg, int t)
{
    char *first = config_retrain_name(cfg->origin[t % cfg->n_origin].name), *name = NULL;
    if (!first || t < cfg->n_origin)
        return first;
    int n = asprintf(&name, "%s_seed%" PRId64, first, config_train(cfg, SCOPE_RETRAIN, t).seed);
    free(first);
    return n < 0 ? NULL : name;
}

const char *config_folder_key(const struct config *cfg, enum config_scope scope)
{
    if (scope == SCOPE_ORIGIN && *cfg->output.origins)
        return "output.origins";
    return scope == SCOPE_RETRAIN && *cfg->output.retrained ? "output.retrained" : "output.dir";
}

/* A digest of what an origin or a twin depends on, as far as the config tells. */
static int digest_scope(const struct config *cfg, enum config_scope scope, int index,
                        char hex[DIGEST_CHARS])
{
    char *text = config_text(cfg, scope, index), *all = NULL;
    int by_ids = scope == SCOPE_RETRAIN || cfg->forget.poison;
    int n = text ? asprintf(&all, "%sdata.file = %s\ndata.without = %s\nforget.ids = %s\n", text,
                            cfg->data.file, cfg->data.without, by_ids ? cfg->forget.ids : "")
                 : -1;
    int rc = n < 0 ? IAU_ERR_MEM : digest_of(all, (size_t)n, hex);
    free(text);
    free(n < 0 ? NULL : all);
    return rc;
}

char *config_folder(const struct config *cfg, enum config_scope scope, int index)
{
    static const char mark[] = "{digest}";
    const char *key = config_folder_key(cfg, scope);
    const char *folder = strcmp(key, "output.origins") == 0     ? cfg->output.origins
                         : strcmp(key, "output.retrained") == 0 ? cfg->output.retrained
                                                                : cfg->output.dir;
    const char *at = folder == cfg->output.dir ? NULL : strstr(folder, mark);
    char hex[DIGEST_CHARS], *out = NULL;
    if (!at)
        return mem_strdup(folder);
    if (digest_scope(cfg, scope, index, hex) != IAU_OK ||
        asprintf(&out, "%.*s%.16s%s", (int)(at - folder), folder, hex, at + sizeof mark - 1) < 0)
        return NULL;
    return out;
}

int config_is_audited(const struct config *cfg, int index)
{
    const struct text_list *l = &cfg->audit.origins;
    int is_named = l->n == 0 && !train_is_ensemble(&cfg->origin[index].train);
    for (int64_t i = 0; i < l->n; i++)
        is_named |= strcmp(l->v[i], cfg->origin[index].name) == 0;
    return is_named;
}

int config_audit_method(const struct config *cfg, const char *name, int *method, int *origin)
{
    for (*method = 0; *method < cfg->n_method; ++*method)
        if (strcmp(cfg->method[*method].name, name) == 0) {
            *origin = config_origin_of(cfg, &cfg->method[*method]);
            return 1;
        }
    *method = -1;
    for (*origin = 0; *origin < cfg->n_origin; ++*origin) {
        char *twin = config_twin_name(cfg, *origin);
        int is_it = twin && strcmp(twin, name) == 0;
        free(twin);
        if (is_it)
            return 1;
    }
    return 0;
}
