/* The entries of a config: origins, which inherit `train`, and methods, whose settings depend on
 * the method. */
#include <stdio.h>
#include <stdlib.h>

#include "app/config_check.h"
#include "config_private.h"
#include "core/error.h"
#include "core/memory.h"

static void *train_field(struct origin_opts *origin, const struct setting *s)
{
    return (char *)&origin->train + (s->offset - offsetof(struct config, train));
}

static struct origin_opts *find_origin(const struct config *cfg, const char *name, size_t len)
{
    for (int i = 0; i < cfg->n_origin; i++)
        if (strlen(cfg->origin[i].name) == len && strncmp(cfg->origin[i].name, name, len) == 0)
            return &cfg->origin[i];
    return NULL;
}

static int add_origin(struct config *cfg, const char *name, size_t len)
{
    char *copy = strndup(name, len);
    struct origin_opts *v = realloc(cfg->origin, (size_t)(cfg->n_origin + 1) * sizeof(*v));
    if (v)
        cfg->origin = v;
    if (!copy || !v) {
        free(copy);
        return FAIL(IAU_ERR_MEM, "no memory for the origins");
    }
    v[cfg->n_origin++] = (struct origin_opts){.name = copy, .train = cfg->train};
    return IAU_OK;
}

static int set_origin_file(struct origin_opts *origin, const struct config_item *item,
                           const char *prefix)
{
    if (item->kind != ITEM_SCALAR || !*item->text.v[0])
        return FAIL(IAU_ERR_CONFIG, "%s: %sfile: takes the name of a model file", item->where,
                    prefix);
    free(origin->file);
    origin->file = mem_strdup(item->text.v[0]);
    return origin->file ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a file name");
}

/* One item at or below `origins.NAME`. */
static int apply_origin(struct config *cfg, const struct config_item *item)
{
    const char *name = item->path + strlen("origins.");
    size_t len = strcspn(name, ".");
    struct origin_opts *origin = find_origin(cfg, name, len);
    if (!origin && item->line == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: there is no origin '%.*s' to alter", item->where, (int)len,
                    name);
    int rc = origin ? IAU_OK : add_origin(cfg, name, len);
    if (rc != IAU_OK)
        return rc;
    if (!name[len]) {
        if (item->kind == ITEM_SECTION || item->kind == ITEM_NOTHING)
            return IAU_OK;
        return FAIL(IAU_ERR_CONFIG,
                    "%s: %s: takes overrides of train.*, such as "
                    "{train.restriction.alpha: 0.005}, or {}",
                    item->where, item->path);
    }
    const char *key = name + len + 1;
    char prefix[128];
    snprintf(prefix, sizeof(prefix), "origins.%.*s.", (int)len, name);
    const struct setting *s = NULL;
    if (strcmp(key, "file") == 0)
        return set_origin_file(find_origin(cfg, name, len), item, prefix);
    if (!is_in(key, "train") &&
        (setting_find(config_table(), key) || setting_is_section(config_table(), key)))
        return FAIL(IAU_ERR_CONFIG, "%s: %s%s: only train.* and file can differ between origins",
                    item->where, prefix, key);
    rc = config_item_row(config_table(), item, prefix, key, &s);
    if (rc == IAU_OK && s)
        rc = config_item_assign(s, train_field(find_origin(cfg, name, len), s), item, prefix);
    return rc;
}

int config_apply_origins(struct config *cfg, const struct config_items *items)
{
    const struct config_item *top = config_item_find(items, "origins");
    int rc = IAU_OK, n_file = 0;
    if (top && ((top->kind != ITEM_SECTION && top->kind != ITEM_NOTHING) ||
                config_item_find(items, "origins[0]")))
        return FAIL(IAU_ERR_CONFIG, "%s: origins: takes names with overrides, such as {origin: {}}",
                    top->where);
    for (int i = 0; i < items->n; i++)
        n_file += items->v[i].line > 0 && starts_with(items->v[i].path, "origins.");
    if (top && n_file == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: origins: names none; leave it out to get {origin: {}}",
                    top->where);
    if (n_file == 0)
        TRY(add_origin(cfg, "origin", strlen("origin")));
    for (int i = 0; i < items->n; i++)
        if (starts_with(items->v[i].path, "origins."))
            TRY(apply_origin(cfg, &items->v[i]));
        else if (starts_with(items->v[i].path, "origins["))
            TRY(FAIL(IAU_ERR_CONFIG, "%s: an override reads --origins.NAME.train.key=value",
                     items->v[i].where));
out:
    return rc;
}

/* A method's row, or an error that says why there is none. */
static int find_method_row(enum method_name method, const struct config_item *item,
                           const char *prefix, const char *key, const struct setting **s)
{
    struct setting_table t = config_method_table(method);
    if (!setting_find(t, key) && setting_find(config_methods_table(), key))
        return FAIL(IAU_ERR_CONFIG, "%s: %s%s: does not apply to method %s", item->where, prefix,
                    key, config_method_name(method));
    return config_item_row(t, item, prefix, key, s);
}

/* Which method an entry is of, as the last override of it says, or the file: its defaults depend on
 * it. */
static int find_method(struct method_opts *m, const struct config_items *items, int index,
                       const struct config_item *name)
{
    char path[256], prefix[128];
    const struct setting *s = setting_find(config_methods_table(), "method");
    snprintf(path, sizeof(path), "methods[%d].method", index);
    const struct config_item *item = config_item_find(items, path);
    if (!item)
        return FAIL(IAU_ERR_CONFIG, "%s: methods.%s: has no 'method' (%s)", name->where,
                    name->text.v[0], s->choices);
    snprintf(path, sizeof(path), "methods.%.100s.method", name->text.v[0]);
    item = config_item_find(items, path) ? config_item_find(items, path) : item;
    snprintf(prefix, sizeof(prefix), "methods.%.100s.", name->text.v[0]);
    int rc = config_item_row(config_methods_table(), item, prefix, "method", &s);
    return rc != IAU_OK ? rc : config_item_assign(s, &m->method, item, prefix);
}

/* The entry `methods[index]` as it stands in the file: its name first, for messages and overrides
 * go by it. */
static int apply_method_file(struct config *cfg, const struct config_items *items, int index)
{
    struct method_opts *m = &cfg->method[index];
    char lead[32], prefix[128], path[48];
    int n_lead = snprintf(lead, sizeof(lead), "methods[%d].", index);
    int rc = IAU_OK;
    snprintf(path, sizeof(path), "%sname", lead);
    const struct config_item *name = config_item_find(items, path);
    snprintf(path, sizeof(path), "methods[%d]", index);
    if (!name || name->kind != ITEM_SCALAR)
        return FAIL(IAU_ERR_CONFIG, "%s: an entry of methods has no 'name'",
                    config_item_find(items, path)->where);
    TRY(find_method(m, items, index, name));
    struct setting_table t = config_method_table(m->method);
    enum method_name method = m->method;
    for (int i = 0; i < t.n; i++)
        TRY(setting_default(&t.row[i], (char *)m + t.row[i].offset));
    m->method = method;
    m->seed = cfg->seed >= 0 && setting_find(t, "seed") ? cfg->seed : m->seed;
    snprintf(prefix, sizeof(prefix), "methods.%.*s.", 100, name->text.v[0]);
    for (int i = 0; i < items->n; i++) {
        const struct config_item *item = &items->v[i];
        const struct setting *s = NULL;
        if (!starts_with(item->path, lead))
            continue;
        TRY(find_method_row(m->method, item, prefix, item->path + n_lead, &s));
        if (s && strcmp(s->key, "method") != 0)
            TRY(config_item_assign(s, (char *)m + s->offset, item, prefix));
    }
out:
    return rc;
}

static int apply_method_override(struct config *cfg, const struct config_item *item)
{
    const char *name = item->path + strlen("methods.");
    size_t len = strcspn(name, ".");
    struct method_opts *m = NULL;
    for (int i = 0; i < cfg->n_method; i++)
        if (strlen(cfg->method[i].name) == len && strncmp(cfg->method[i].name, name, len) == 0)
            m = &cfg->method[i];
    if (!m)
        return FAIL(IAU_ERR_CONFIG, "%s: there is no method '%.*s' to alter", item->where, (int)len,
                    name);
    char prefix[128];
    snprintf(prefix, sizeof(prefix), "methods.%.*s.", (int)len, name);
    const char *key = name[len] ? name + len + 1 : "";
    if (strcmp(key, "name") == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: a method's name can only be changed in the file",
                    item->where);
    const struct setting *s = NULL;
    int rc = find_method_row(m->method, item, prefix, key, &s);
    if (rc == IAU_OK && s)
        rc = config_item_assign(s, (char *)m + s->offset, item, prefix);
    return rc;
}

int config_apply_methods(struct config *cfg, const struct config_items *items)
{
    int rc = IAU_OK, n = 0;
    const struct config_item *top = config_item_find(items, "methods");
    char path[32];
    while (snprintf(path, sizeof(path), "methods[%d]", n), config_item_find(items, path))
        n++;
    if (top && n == 0 && !(top->kind == ITEM_LIST && top->text.n == 0))
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods: takes a list of entries '- {name: iau, method: "
                    "iau}'",
                    top->where);
    cfg->method = mem_alloc(n, sizeof(*cfg->method));
    if (!cfg->method)
        return FAIL(IAU_ERR_MEM, "no memory for the methods");
    cfg->n_method = n;
    for (int i = 0; i < n; i++)
        TRY(apply_method_file(cfg, items, i));
    for (int i = 0; i < items->n; i++)
        if (items->v[i].line == 0 && is_in(items->v[i].path, "methods"))
            TRY(starts_with(items->v[i].path, "methods.")
                    ? apply_method_override(cfg, &items->v[i])
                    : FAIL(IAU_ERR_CONFIG, "%s: an override reads --methods.NAME.key=value",
                           items->v[i].where));
        else if (starts_with(items->v[i].path, "methods."))
            TRY(FAIL(IAU_ERR_CONFIG,
                     "%s: methods: takes a list of entries '- {name: iau, method: "
                     "iau}'",
                     items->v[i].where));
    for (int i = 0; i < n; i++)
        if (!*cfg->method[i].origin) {
            free(cfg->method[i].origin);
            cfg->method[i].origin = mem_strdup(cfg->origin[0].name);
            if (!cfg->method[i].origin)
                TRY(FAIL(IAU_ERR_MEM, "no memory for the methods"));
        }
out:
    return rc;
}

static void free_method(struct method_opts *m)
{
    struct setting_table t = config_methods_table();
    for (int i = 0; i < t.n; i++)
        setting_free(&t.row[i], (char *)m + t.row[i].offset);
}

int config_select_methods(struct config *cfg, const struct config_items *items)
{
    int n = 0;
    const struct text_list *names = &cfg->selection;
    for (int64_t k = 0; k < names->n; k++) {
        int there = 0;
        for (int i = 0; i < cfg->n_method; i++)
            there |= strcmp(cfg->method[i].name, names->v[k]) == 0;
        if (!there)
            return FAIL(IAU_ERR_CONFIG, "%s: unlearn.methods: there is no method '%s'",
                        config_item_find(items, "unlearn.methods")->where, names->v[k]);
    }
    for (int i = 0; i < cfg->n_method && names->n; i++) {
        int wanted = 0;
        for (int64_t k = 0; k < names->n; k++)
            wanted |= strcmp(cfg->method[i].name, names->v[k]) == 0;
        if (wanted)
            cfg->method[n++] = cfg->method[i];
        else
            free_method(&cfg->method[i]);
    }
    cfg->n_method = names->n ? n : cfg->n_method;
    return IAU_OK;
}

void config_free_entries(struct config *cfg)
{
    for (int k = 0; k < cfg->n_method; k++)
        free_method(&cfg->method[k]);
    for (int i = 0; i < cfg->n_origin; i++) {
        free(cfg->origin[i].name);
        free(cfg->origin[i].file);
    }
    free(cfg->method);
    free(cfg->origin);
}
