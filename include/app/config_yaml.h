/* A YAML text as a flat list of settings: dotted path, value and line. The one door to libyaml. */
#ifndef IAU_APP_CONFIG_YAML_H
#define IAU_APP_CONFIG_YAML_H

#include <stddef.h>

#include "core/lists.h"

enum item_kind {
    ITEM_SCALAR,
    ITEM_LIST,    /* a sequence of scalars */
    ITEM_SECTION, /* a mapping; what is in it follows as items of its own */
    ITEM_NOTHING  /* a key without a value */
};

struct config_item {
    enum item_kind kind;
    char *path;  /* owned; "train.epochs"; the k-th mapping of a sequence is "methods[k]" */
    char *where; /* owned; "demo.yaml:12", or the override as given */
    int line;    /* from 1; 0 for an override */
    struct text_list text; /* the value's scalars */
};

struct config_items {
    int n, room;
    struct config_item *v; /* owned */
};

/** Local. Append the settings of a YAML text in order. Aliases are resolved; more than one
 * document, keys that are no scalars, tags of one's own, and a setting given twice are errors.
 *  @param name  the file's name for messages
 *  @return IAU_OK, IAU_ERR_CONFIG or IAU_ERR_MEM */
int config_yaml_read(struct config_items *items, const char *name, const char *text);
/** Local. Append an empty item. Takes over `path` and `where`, also when it fails.
 *  @return the item, valid until the next is appended, or NULL when memory is short */
struct config_item *config_items_add(struct config_items *items, char *path, char *where);
/** Local. Append a copy of `n` bytes of text to a value. @return IAU_OK or IAU_ERR_MEM */
int config_item_add_text(struct config_item *item, const char *text, size_t n);
/** Local. Release; fine on an empty list. */
void config_items_free(struct config_items *items);

#endif
