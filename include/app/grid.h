/* The grid of a campaign, `campaign.grid`: settings that vary, each over a list of values. A task
 * takes one value of each. They are numbered from 0 as nested loops would run, the first setting
 * slowest. */
#ifndef IAU_APP_GRID_H
#define IAU_APP_GRID_H

#include <stdint.h>

#include "core/lists.h"

struct config_items;

struct grid_axis {
    char *key;              /* owned; a setting, as an override names it */
    struct text_list value; /* owned; as an override writes them */
};

struct grid {
    int n_axis;
    struct grid_axis *axis; /* owned */
    int64_t n_task;         /* the product of the numbers of values */
};

enum { GRID_MAX_TASKS = 10000 };

/** Local. Check what the items of a config say of the grid: each key is a setting that tasks may
 * differ in, with values, none of them twice. @return IAU_OK or IAU_ERR_CONFIG */
int grid_check(const struct config_items *items);
/** Local. The grid in a YAML text that config_parse has accepted; `path` names it in messages. An
 * override must not set what the grid varies. `g` is empty on error.
 *  @return IAU_OK, IAU_ERR_CONFIG (also without a grid) or IAU_ERR_MEM */
int grid_read(struct grid *g, const char *path, const char *text, int n_override,
              const char *const *override);
/** Local. Whether a config asks for all tasks of a grid: it has one, and no override sets what it
 * varies. Overrides that set all of it ask for one task; some of it, for nothing one could run.
 * @return IAU_OK, IAU_ERR_CONFIG or IAU_ERR_MEM */
int grid_is_wanted(const char *path, const char *text, int n_override, const char *const *override,
                   int *wanted);
/** Local. Release; fine on an empty grid. */
void grid_free(struct grid *g);
/** Local. The value that a task takes on an axis; borrowed. */
const char *grid_value(const struct grid *g, int64_t task, int axis);
/** Local. A task's values in words, "forget.seed = 1, model.name = mlp". The caller frees; NULL
 * when memory is short. */
char *grid_describe(const struct grid *g, int64_t task);
/** Local. A folder's name for a task: its values, readable, and a digest of them, so that it does
 * not depend on the other tasks of the grid. The caller frees; NULL when memory is short. */
char *grid_folder(const struct grid *g, int64_t task);

#endif
