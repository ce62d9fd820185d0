/* Checks that concern more than one setting. */
#ifndef IAU_APP_CONFIG_CHECK_H
#define IAU_APP_CONFIG_CHECK_H

struct config;
struct config_item;
struct config_items;

/** Local. The item that has the last word on a path, NULL if nobody gave it. */
const struct config_item *config_item_find(const struct config_items *items, const char *path);
/** Local. Check names, and settings that depend on each other. `items` say where a setting was
 * given; `path` names the file where none was. @return IAU_OK, IAU_ERR_CONFIG or IAU_ERR_MEM */
int config_check(const struct config *cfg, const struct config_items *items, const char *path);

#endif
