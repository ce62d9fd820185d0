/* What the parts of the config parser share. */
#ifndef IAU_APP_CONFIG_PRIVATE_H
#define IAU_APP_CONFIG_PRIVATE_H

#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "app/config_yaml.h"

static inline int starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Whether `path` is `section` or something in it. */
static inline int is_in(const char *path, const char *section)
{
    size_t len = strlen(section);
    return strncmp(path, section, len) == 0 && (!path[len] || strchr(".[", path[len]));
}

/** The row that `item` sets, *s = NULL for a section, which sets nothing itself.
 * @param key     the item's path without what leads to the table, such as `methods.iau.`
 * @param prefix  that lead, for messages */
int config_item_row(struct setting_table t, const struct config_item *item, const char *prefix,
                    const char *key, const struct setting **s);
/** Store an item's value at `field`. */
int config_item_assign(const struct setting *s, void *field, const struct config_item *item,
                       const char *prefix);
/** The items at and below `origins` and `methods`, in this order; what origins inherit must stand
 * in cfg->train already. */
int config_apply_origins(struct config *cfg, const struct config_items *items);
int config_apply_methods(struct config *cfg, const struct config_items *items);
/** Keep the entries of `methods` that unlearn.methods names. */
int config_select_methods(struct config *cfg, const struct config_items *items);
/** Release what both own. */
void config_free_entries(struct config *cfg);

#endif
