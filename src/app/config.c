/* From YAML text and overrides to a checked struct config: defaults, then the file, then the
 * overrides. */
#include "app/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_check.h"
#include "app/config_table.h"
#include "app/config_yaml.h"
#include "app/grid.h"
#include "core/error.h"
#include "core/memory.h"
#include "nn/spec.h"

static int starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Whether `path` is `section` or something in it. */
static int is_in(const char *path, const char *section)
{
    size_t len = strlen(section);
    return strncmp(path, section, len) == 0 && (!path[len] || strchr(".[", path[len]));
}

static void *train_field(struct origin_opts *origin, const struct setting *s)
{
    return (char *)&origin->train + (s->offset - offsetof(struct config, train));
}

/* An override's value for a list: 3,5 or [3, 5]; each element without the blanks and quotes around
 * it. */
static int split_list(struct config_item *item, const char *text)
{
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    const char *end = text + len;
    item->kind = ITEM_LIST;
    if (strspn(text, " ") >= len)
        return IAU_OK;
    for (const char *p = text; p <= end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *next = comma ? comma : end, *last = next;
        while (p < last && *p == ' ')
            p++;
        while (p < last && last[-1] == ' ')
            last--;
        if (last - p >= 2 && (*p == '"' || *p == '\'') && last[-1] == *p) {
            p++;
            last--;
        }
        int rc = config_item_add_text(item, p, (size_t)(last - p));
        if (rc != IAU_OK)
            return rc;
        p = next + 1;
    }
    return IAU_OK;
}

const struct setting *config_find_row(const char *path)
{
    if (starts_with(path, "methods.") && strchr(path + 8, '.'))
        return setting_find(config_methods_table(), strchr(path + 8, '.') + 1);
    if (starts_with(path, "origins.") && strchr(path + 8, '.'))
        path = strchr(path + 8, '.') + 1;
    return setting_find(config_table(), path);
}

static int add_override(struct config_items *items, const char *override)
{
    const char *equals = strchr(override, '=');
    if (!starts_with(override, "--") || !equals || equals == override + 2)
        return FAIL(IAU_ERR_CONFIG, "%s: an override reads --section.key=value", override);
    char *path = strndup(override + 2, (size_t)(equals - override - 2));
    struct config_item *item = config_items_add(items, path, mem_strdup(override));
    if (!item)
        return FAIL(IAU_ERR_MEM, "no memory for the overrides");
    const struct setting *s = config_find_row(item->path);
    if (s && s->type >= SETTING_INTS)
        return split_list(item, equals + 1);
    return config_item_add_text(item, equals + 1, strlen(equals + 1));
}

/* The row that `item` sets, *s = NULL for a section, which sets nothing itself.
 * @param key     the item's path without what leads to the table, such as `methods.iau.`
 * @param prefix  that lead, for messages */
static int find_row(struct setting_table t, const struct config_item *item, const char *prefix,
                    const char *key, const struct setting **s)
{
    int is_section = setting_is_section(t, key);
    *s = setting_find(t, key);
    if (*s && item->kind == ITEM_SECTION)
        return FAIL(IAU_ERR_CONFIG, "%s: %s%s: takes a value (%s), not a mapping", item->where,
                    prefix, key, setting_type_text(*s));
    if (*s && item->kind == ITEM_NOTHING)
        return FAIL(IAU_ERR_CONFIG, "%s: %s%s: has no value", item->where, prefix, key);
    if (*s)
        return IAU_OK;
    if (is_section && (item->kind == ITEM_SECTION || item->kind == ITEM_NOTHING))
        return IAU_OK;
    if (is_section)
        return FAIL(IAU_ERR_CONFIG, "%s: %s%s: is a section, not a setting", item->where, prefix,
                    key);
    const char *near = setting_nearest(t, key);
    if (near)
        return FAIL(IAU_ERR_CONFIG, "%s: unknown setting '%s%s'; did you mean '%s%s'?", item->where,
                    prefix, key, prefix, near);
    return FAIL(IAU_ERR_CONFIG, "%s: unknown setting '%s%s'", item->where, prefix, key);
}

static int assign(const struct setting *s, void *field, const struct config_item *item,
                  const char *prefix)
{
    char key[160];
    snprintf(key, sizeof(key), "%s%s", prefix, s->key);
    struct setting_value value = {item->where, key, &item->text, item->kind == ITEM_LIST};
    return setting_assign(s, field, &value);
}

/* The seeds that a config leaves to `seed`. */
static void spread_seed(struct config *cfg, const struct config_items *items)
{
    static const char *const key[] = {"data.seed", "forget.seed", "train.seed", "audit.seed"};
    for (size_t i = 0; cfg->seed >= 0 && i < sizeof key / sizeof key[0]; i++)
        if (!config_item_find(items, key[i]))
            *(int64_t *)((char *)cfg + setting_find(config_table(), key[i])->offset) = cfg->seed;
}

static int apply_sections(struct config *cfg, const struct config_items *items)
{
    static const char *const lists[] = {"origins", "methods"};
    for (int i = 0; i < items->n; i++) {
        const struct config_item *item = &items->v[i];
        const struct setting *s = NULL;
        if (is_in(item->path, "origins") || is_in(item->path, "methods") ||
            is_in(item->path, "campaign.grid"))
            continue;
        const char *near = word_nearest(item->path, lists, 2);
        if (near && !setting_nearest(config_table(), item->path))
            return FAIL(IAU_ERR_CONFIG, "%s: unknown setting '%s'; did you mean '%s'?", item->where,
                        item->path, near);
        int rc = find_row(config_table(), item, "", item->path, &s);
        if (rc == IAU_OK && s)
            rc = assign(s, (char *)cfg + s->offset, item, "");
        if (rc != IAU_OK)
            return rc;
    }
    spread_seed(cfg, items);
    if (cfg->model.layers.n && !config_item_find(items, "model.name"))
        cfg->model.name = MODEL_LAYERS;
    const struct config_item *unit = config_item_find(items, "train.unit");
    if ((cfg->model.name == MODEL_MLP || model_opts_has_groups(&cfg->model)) && !unit)
        cfg->train.unit = 64;
    return IAU_OK;
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
    rc = find_row(config_table(), item, prefix, key, &s);
    if (rc == IAU_OK && s)
        rc = assign(s, train_field(find_origin(cfg, name, len), s), item, prefix);
    return rc;
}

static int apply_origins(struct config *cfg, const struct config_items *items)
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
    return find_row(t, item, prefix, key, s);
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
    int rc = find_row(config_methods_table(), item, prefix, "method", &s);
    return rc != IAU_OK ? rc : assign(s, &m->method, item, prefix);
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
            TRY(assign(s, (char *)m + s->offset, item, prefix));
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
        rc = assign(s, (char *)m + s->offset, item, prefix);
    return rc;
}

static int apply_methods(struct config *cfg, const struct config_items *items)
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

/* Keep the entries of `methods` that unlearn.methods names. */
static int select_methods(struct config *cfg, const struct config_items *items)
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

int config_parse(struct config *cfg, const char *path, const char *text, int n_override,
                 const char *const *override)
{
    int rc = IAU_OK;
    struct config_items items = {0};
    struct setting_table t = config_table();
    memset(cfg, 0, sizeof(*cfg));
    TRY(config_yaml_read(&items, path, text));
    for (int i = 0; i < n_override; i++)
        TRY(add_override(&items, override[i]));
    for (int i = 0; i < t.n; i++)
        TRY(setting_default(&t.row[i], (char *)cfg + t.row[i].offset));
    TRY(apply_sections(cfg, &items));
    TRY(apply_origins(cfg, &items));
    TRY(apply_methods(cfg, &items));
    TRY(config_check(cfg, &items, path));
    TRY(grid_check(&items));
    TRY(select_methods(cfg, &items));
out:
    config_items_free(&items);
    if (rc != IAU_OK)
        config_free(cfg);
    return rc;
}

void config_free(struct config *cfg)
{
    struct setting_table t = config_table();
    for (int i = 0; i < t.n; i++)
        setting_free(&t.row[i], (char *)cfg + t.row[i].offset);
    for (int k = 0; k < cfg->n_method; k++)
        free_method(&cfg->method[k]);
    for (int i = 0; i < cfg->n_origin; i++) {
        free(cfg->origin[i].name);
        free(cfg->origin[i].file);
    }
    free(cfg->method);
    free(cfg->origin);
    memset(cfg, 0, sizeof(*cfg));
}

int config_origin_of(const struct config *cfg, const struct method_opts *m)
{
    int i = 0;
    while (i < cfg->n_origin && strcmp(cfg->origin[i].name, m->origin) != 0)
        i++;
    REQUIRE(i < cfg->n_origin); /* config_check has seen to it */
    return i;
}
