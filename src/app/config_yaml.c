/* libyaml's document tree flattened to dotted paths with lines. */
#define _GNU_SOURCE /* vasprintf */
#include "app/config_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "core/error.h"
#include "core/memory.h"

enum { DEPTH_MAX = 8, ITEMS_MAX = 4096 }; /* aliases can nest and multiply without end */

static char *text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* NULL when memory is short. */
static char *text_format(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : s;
}

struct config_item *config_items_add(struct config_items *items, char *path, char *where)
{
    if (path && where && items->n == items->room) {
        int room = items->room ? 2 * items->room : 64;
        struct config_item *v = realloc(items->v, (size_t)room * sizeof(*v));
        if (v) {
            items->v = v;
            items->room = room;
        }
    }
    if (!path || !where || items->n == items->room) {
        free(path);
        free(where);
        return NULL;
    }
    struct config_item *item = &items->v[items->n++];
    *item = (struct config_item){.path = path, .where = where};
    return item;
}

int config_item_add_text(struct config_item *item, const char *text, size_t n)
{
    char **v = realloc(item->text.v, (size_t)(item->text.n + 1) * sizeof(*v));
    if (!v)
        return FAIL(IAU_ERR_MEM, "no memory for a setting");
    item->text.v = v;
    v[item->text.n] = mem_alloc((int64_t)n + 1, 1);
    if (!v[item->text.n])
        return FAIL(IAU_ERR_MEM, "no memory for a setting");
    memcpy(v[item->text.n++], text, n);
    return IAU_OK;
}

void config_items_free(struct config_items *items)
{
    for (int i = 0; i < items->n; i++) {
        struct config_item *item = &items->v[i];
        for (int64_t k = 0; k < item->text.n; k++)
            free(item->text.v[k]);
        free(item->text.v);
        free(item->path);
        free(item->where);
    }
    free(items->v);
    *items = (struct config_items){0};
}

/* What the walk over a document carries along. */
struct walk {
    struct config_items *items;
    const char *name;
    yaml_document_t *doc;
};

static int line_of(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* A text of its own must not hold NUL bytes, and a tag of the user's own has no meaning here. */
static int check_node(const struct walk *w, const yaml_node_t *node)
{
    static const char standard[] = "tag:yaml.org,2002:";
    const char *tag = (const char *)node->tag;
    if (tag && strncmp(tag, standard, sizeof(standard) - 1) != 0)
        return FAIL(IAU_ERR_CONFIG, "%s:%d: tag '%s' means nothing here", w->name, line_of(node),
                    tag);
    if (node->type == YAML_SCALAR_NODE && strlen(scalar_text(node)) != node->data.scalar.length)
        return FAIL(IAU_ERR_CONFIG, "%s:%d: a value holds a NUL character", w->name, line_of(node));
    return IAU_OK;
}

static int is_nothing(const yaml_node_t *node)
{
    const char *text = scalar_text(node);
    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* Append an item at `path` (taken over); a path that is there already is an error naming both
 * lines. */
static int add_item(const struct walk *w, char *path, int line, struct config_item **out)
{
    for (int i = 0; path && i < w->items->n; i++)
        if (w->items->v[i].line > 0 && strcmp(w->items->v[i].path, path) == 0) {
            int rc = FAIL(IAU_ERR_CONFIG, "%s:%d: '%s' is given twice, first on line %d", w->name,
                          line, path, w->items->v[i].line);
            free(path);
            return rc;
        }
    if (w->items->n >= ITEMS_MAX) {
        free(path);
        return FAIL(IAU_ERR_CONFIG, "%s:%d: more than %d settings", w->name, line, ITEMS_MAX);
    }
    *out = config_items_add(w->items, path, text_format("%s:%d", w->name, line));
    if (!*out)
        return FAIL(IAU_ERR_MEM, "no memory for the settings of %s", w->name);
    (*out)->line = line;
    return IAU_OK;
}

static int add_mapping(const struct walk *w, const yaml_node_t *node, const char *path, int depth);

/* A sequence holds scalars, which are one item, or mappings, which are one section each. */
static int add_sequence(const struct walk *w, const yaml_node_t *node, char *path, int line,
                        int depth)
{
    int rc = IAU_OK, n_scalar = 0, n_mapping = 0;
    struct config_item *item = NULL;
    const yaml_node_item_t *begin = node->data.sequence.items.start;
    int n = (int)(node->data.sequence.items.top - begin);
    TRY(add_item(w, path, line, &item)); /* path now belongs to the item */
    int at = w->items->n - 1;
    item->kind = ITEM_LIST;
    for (int i = 0; i < n; i++) {
        const yaml_node_t *child = yaml_document_get_node(w->doc, begin[i]);
        TRY(check_node(w, child));
        n_scalar += child->type == YAML_SCALAR_NODE;
        n_mapping += child->type == YAML_MAPPING_NODE;
        if (child->type == YAML_SCALAR_NODE)
            TRY(config_item_add_text(item, scalar_text(child), child->data.scalar.length));
    }
    if (n_scalar < n && n_mapping < n)
        return FAIL(IAU_ERR_CONFIG, "%s:%d: %s: a list holds either values or mappings", w->name,
                    line, w->items->v[at].path);
    if (n > 0 && n_mapping == n)
        item->kind = ITEM_SECTION;
    for (int i = 0; i < n_mapping; i++) {
        const yaml_node_t *child = yaml_document_get_node(w->doc, begin[i]);
        char *child_path = text_format("%s[%d]", w->items->v[at].path, i);
        TRY(add_item(w, child_path, line_of(child), &item));
        item->kind = ITEM_SECTION;
        TRY(add_mapping(w, child, item->path, depth + 1));
    }
out:
    return rc;
}

/* The value of the key at `path` (taken over). */
static int add_value(const struct walk *w, const yaml_node_t *node, char *path, int line, int depth)
{
    int rc = check_node(w, node);
    struct config_item *item = NULL;
    if (rc != IAU_OK) {
        free(path);
        return rc;
    }
    if (node->type == YAML_SEQUENCE_NODE)
        return add_sequence(w, node, path, line, depth);
    TRY(add_item(w, path, line, &item));
    if (node->type == YAML_MAPPING_NODE) {
        item->kind = ITEM_SECTION;
        return add_mapping(w, node, item->path, depth + 1);
    }
    item->kind = is_nothing(node) ? ITEM_NOTHING : ITEM_SCALAR;
    TRY(config_item_add_text(item, scalar_text(node), node->data.scalar.length));
out:
    return rc;
}

static int add_mapping(const struct walk *w, const yaml_node_t *node, const char *path, int depth)
{
    int rc = IAU_OK;
    if (depth > DEPTH_MAX)
        return FAIL(IAU_ERR_CONFIG, "%s:%d: nested more than %d deep", w->name, line_of(node),
                    DEPTH_MAX);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(w->doc, pair->key);
        const yaml_node_t *value = yaml_document_get_node(w->doc, pair->value);
        int line = line_of(key);
        if (key->type != YAML_SCALAR_NODE)
            return FAIL(IAU_ERR_CONFIG, "%s:%d: a key must be a name, not a list or a mapping",
                        w->name, line);
        TRY(check_node(w, key));
        if (strpbrk(scalar_text(key), "[]"))
            return FAIL(IAU_ERR_CONFIG, "%s:%d: unknown setting '%s'", w->name, line,
                        scalar_text(key));
        if (strcmp(scalar_text(key), "<<") == 0)
            return FAIL(IAU_ERR_CONFIG, "%s:%d: merge keys (<<) are not supported", w->name, line);
        char *child = *path ? text_format("%s.%s", path, scalar_text(key))
                            : text_format("%s", scalar_text(key));
        if (!child)
            return FAIL(IAU_ERR_MEM, "no memory for the settings of %s", w->name);
        TRY(add_value(w, value, child, line, depth));
    }
out:
    return rc;
}

static int parser_error(const yaml_parser_t *parser, const char *name)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return FAIL(IAU_ERR_MEM, "no memory for the settings of %s", name);
    if (parser->error == YAML_READER_ERROR)
        return FAIL(IAU_ERR_CONFIG, "%s: byte %zu: %s", name, parser->problem_offset,
                    parser->problem);
    return FAIL(IAU_ERR_CONFIG, "%s:%zu:%zu: %s%s%s", name, parser->problem_mark.line + 1,
                parser->problem_mark.column + 1, parser->problem ? parser->problem : "wrong YAML",
                parser->context ? " " : "", parser->context ? parser->context : "");
}

static int read_document(struct config_items *items, const char *name, yaml_document_t *doc)
{
    struct walk w = {items, name, doc};
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    if (!root || (root->type == YAML_SCALAR_NODE && is_nothing(root)))
        return FAIL(IAU_ERR_CONFIG, "%s: holds no settings", name);
    if (root->type != YAML_MAPPING_NODE)
        return FAIL(IAU_ERR_CONFIG, "%s:%d: must be a mapping of sections: 'data:', 'train:', ...",
                    name, line_of(root));
    int rc = check_node(&w, root);
    return rc == IAU_OK ? add_mapping(&w, root, "", 0) : rc;
}

int config_yaml_read(struct config_items *items, const char *name, const char *text)
{
    int rc = IAU_OK, is_loaded = 0;
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        return FAIL(IAU_ERR_MEM, "no memory for the settings of %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    is_loaded = yaml_parser_load(&parser, &doc);
    if (!is_loaded)
        TRY(parser_error(&parser, name));
    TRY(read_document(items, name, &doc));
    yaml_document_delete(&doc);
    is_loaded = yaml_parser_load(&parser, &doc);
    if (!is_loaded)
        TRY(parser_error(&parser, name));
    if (yaml_document_get_root_node(&doc))
        TRY(FAIL(IAU_ERR_CONFIG, "%s:%zu: a second document begins; one file holds one config",
                 name, doc.start_mark.line + 1));
out:
    if (is_loaded)
        yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return rc;
}
