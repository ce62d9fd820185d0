/* From YAML text and overrides to a checked struct config: defaults, then the file, then the
 * overrides. */
#include "app/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_check.h"
#include "app/grid.h"
#include "config_private.h"
#include "core/error.h"
#include "core/memory.h"
#include "nn/spec.h"

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

int config_item_row(struct setting_table t, const struct config_item *item, const char *prefix,
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

int config_item_assign(const struct setting *s, void *field, const struct config_item *item,
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
        int rc = config_item_row(config_table(), item, "", item->path, &s);
        if (rc == IAU_OK && s)
            rc = config_item_assign(s, (char *)cfg + s->offset, item, "");
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
    TRY(config_apply_origins(cfg, &items));
    TRY(config_apply_methods(cfg, &items));
    TRY(config_check(cfg, &items, path));
    TRY(grid_check(&items));
    TRY(config_select_methods(cfg, &items));
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
    config_free_entries(cfg);
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
