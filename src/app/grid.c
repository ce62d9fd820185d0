/* From the items of a config to a grid, and from a task's number to its values. */
#include "app/grid.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "app/config_yaml.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/memory.h"

static const char start[] = "campaign.grid.";
enum { START_CHARS = sizeof start - 1, NAME_CHARS = 80 };

/* The setting that an item of the grid varies, NULL for the grid itself and what is outside. */
static const char *axis_key(const struct config_item *item)
{
    return strncmp(item->path, start, START_CHARS) == 0 ? item->path + START_CHARS : NULL;
}

static int is_below(const char *key, const char *section)
{
    return strncmp(key, section, strlen(section)) == 0;
}

static int check_key(const struct config_item *item, const char *key)
{
    const char *near = setting_nearest(config_table(), key);
    if (item->line == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: the grid of a campaign is set in the file only",
                    item->where);
    if (is_below(key, "output.") || is_below(key, "campaign."))
        return FAIL(IAU_ERR_CONFIG,
                    "%s: campaign.grid: %s cannot vary: tasks get folders of their "
                    "own",
                    item->where, key);
    if (config_find_row(key))
        return IAU_OK;
    if (near)
        return FAIL(IAU_ERR_CONFIG, "%s: campaign.grid: unknown setting '%s'; did you mean '%s'?",
                    item->where, key, near);
    return FAIL(IAU_ERR_CONFIG, "%s: campaign.grid: unknown setting '%s'", item->where, key);
}

static int check_values(const struct config_item *item, const char *key)
{
    const struct text_list *v = &item->text;
    if (item->kind == ITEM_NOTHING || v->n == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: campaign.grid: %s has no values: give a list", item->where,
                    key);
    for (int64_t i = 0; i < v->n; i++)
        for (int64_t k = 0; k < i; k++)
            if (strcmp(v->v[i], v->v[k]) == 0)
                return FAIL(IAU_ERR_CONFIG, "%s: campaign.grid: %s has the value %s twice",
                            item->where, key, v->v[i]);
    return IAU_OK;
}

int grid_check(const struct config_items *items)
{
    for (int i = 0; i < items->n; i++) {
        const struct config_item *item = &items->v[i];
        const char *key = axis_key(item);
        if (strcmp(item->path, "campaign.grid") == 0 && item->kind != ITEM_SECTION)
            return FAIL(IAU_ERR_CONFIG,
                        "%s: campaign.grid: takes settings with lists of values, such as "
                        "{forget.seed: [1, 2]}",
                        item->where);
        if (!key || item->kind == ITEM_SECTION) /* a section's settings follow as items */
            continue;
        int rc = check_key(item, key);
        if (rc == IAU_OK)
            rc = check_values(item, key);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static int add_axis(struct grid *g, const char *path, const char *key,
                    const struct text_list *value)
{
    struct grid_axis *more = realloc(g->axis, (size_t)(g->n_axis + 1) * sizeof *more);
    if (!more)
        return FAIL(IAU_ERR_MEM, "no memory for the grid");
    g->axis = more;
    struct grid_axis *axis = &more[g->n_axis++];
    *axis = (struct grid_axis){mem_strdup(key), {0, mem_alloc(value->n, sizeof(char *))}};
    int short_of_memory = !axis->key || !axis->value.v;
    for (; axis->value.v && axis->value.n < value->n && !short_of_memory; axis->value.n++) {
        char *copy = mem_strdup(value->v[axis->value.n]);
        short_of_memory = !copy;
        axis->value.v[axis->value.n] = copy;
    }
    if (short_of_memory)
        return FAIL(IAU_ERR_MEM, "no memory for the grid");
    g->n_task *= value->n;
    if (g->n_task > GRID_MAX_TASKS)
        return FAIL(IAU_ERR_CONFIG, "%s: campaign.grid: more than %d tasks", path, GRID_MAX_TASKS);
    return IAU_OK;
}

/* The last override that sets what an axis varies, or NULL. */
static const char *find_override(const struct grid_axis *axis, int n_override,
                                 const char *const *override)
{
    size_t n = strlen(axis->key);
    for (int i = n_override; i-- > 0;)
        if (strncmp(override[i] + 2, axis->key, n) == 0 && override[i][2 + n] == '=')
            return override[i];
    return NULL;
}

/* All axes of a text, which may have none. */
static int read_axes(struct grid *g, const char *path, const char *text)
{
    int rc = IAU_OK;
    struct config_items items = {0};
    *g = (struct grid){.n_task = 1};
    TRY(config_yaml_read(&items, path, text));
    for (int i = 0; i < items.n; i++)
        if (axis_key(&items.v[i]) && items.v[i].kind != ITEM_SECTION)
            TRY(add_axis(g, path, axis_key(&items.v[i]), &items.v[i].text));
out:
    config_items_free(&items);
    return rc;
}

int grid_read(struct grid *g, const char *path, const char *text, int n_override,
              const char *const *override)
{
    int rc = IAU_OK;
    TRY(read_axes(g, path, text));
    if (g->n_axis == 0)
        TRY(FAIL(IAU_ERR_CONFIG,
                 "%s: has no campaign.grid: settings with lists of values, such as campaign: "
                 "{grid: {forget.seed: [1, 2]}}",
                 path));
    for (int i = 0; i < g->n_axis; i++) {
        const char *loser = find_override(&g->axis[i], n_override, override);
        if (loser)
            TRY(FAIL(IAU_ERR_CONFIG, "%s: campaign.grid varies this setting", loser));
    }
out:
    if (rc != IAU_OK)
        grid_free(g);
    return rc;
}

int grid_is_wanted(const char *path, const char *text, int n_override, const char *const *override,
                   int *wanted)
{
    struct grid g;
    int n_set = 0, rc = read_axes(&g, path, text);
    const char *left = NULL, *set = NULL;
    for (int i = 0; i < g.n_axis; i++) {
        const char *found = find_override(&g.axis[i], n_override, override);
        n_set += found != NULL;
        set = found ? found : set;
        left = found ? left : g.axis[i].key;
    }
    *wanted = g.n_axis > 0 && n_set == 0;
    if (rc == IAU_OK && set && left)
        rc = FAIL(IAU_ERR_CONFIG,
                  "%s: campaign.grid varies this setting: set %s and all others that it varies, to "
                  "run one task of it, or none, to run all",
                  set, left);
    grid_free(&g);
    return rc;
}

void grid_free(struct grid *g)
{
    for (int i = 0; i < g->n_axis; i++) {
        free(g->axis[i].key);
        for (int64_t k = 0; k < g->axis[i].value.n; k++)
            free(g->axis[i].value.v[k]);
        free(g->axis[i].value.v);
    }
    free(g->axis);
    *g = (struct grid){0};
}

const char *grid_value(const struct grid *g, int64_t task, int axis)
{
    REQUIRE(task >= 0 && task < g->n_task && axis < g->n_axis);
    for (int i = g->n_axis - 1; i > axis; i--)
        task /= g->axis[i].value.n;
    return g->axis[axis].value.v[task % g->axis[axis].value.n];
}

char *grid_describe(const struct grid *g, int64_t task)
{
    char *text = NULL;
    size_t n_bytes;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f)
        return NULL;
    for (int i = 0; i < g->n_axis; i++)
        fprintf(f, "%s%s = %s", i ? ", " : "", g->axis[i].key, grid_value(g, task, i));
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Append the last part of a key and a value to a name, in letters that every file system takes. */
static void append_value(char name[NAME_CHARS], const char *key, const char *value)
{
    const char *dot = strrchr(key, '.');
    size_t at = strlen(name);
    at += (size_t)snprintf(name + at, NAME_CHARS - at, "%s%s-%s", at ? "_" : "",
                           dot ? dot + 1 : key, value);
    for (char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._+-", *p))
            *p = '-';
}

char *grid_folder(const struct grid *g, int64_t task)
{
    char name[NAME_CHARS] = "", hex[DIGEST_CHARS], *text = grid_describe(g, task);
    for (int i = 0; i < g->n_axis && strlen(name) + 1 < NAME_CHARS; i++)
        append_value(name, g->axis[i].key, grid_value(g, task, i));
    char *folder =
        text && digest_of(text, strlen(text), hex) == IAU_OK ? mem_alloc(NAME_CHARS + 16, 1) : NULL;
    if (folder)
        snprintf(folder, NAME_CHARS + 16, "%s_%.8s", name, hex);
    free(text);
    return folder;
}
