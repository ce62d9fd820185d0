/* The settings of a run: one table of keys drives the YAML reader, range checks, overrides, --help,
 * the README's reference, and the text stored in every output. libyaml is used only here. */
#ifndef IAU_APP_CONFIG_H
#define IAU_APP_CONFIG_H

#include "audit/opts.h"
#include "data/opts.h"
#include "eval/opts.h"
#include "nn/opts.h"
#include "train/opts.h"
#include "unlearn/opts.h"

struct setting;

struct origin_opts {
    char *name;              /* owned; also the file's name */
    char *file;              /* owned; the model file that it is, NULL: it is trained */
    struct train_opts train; /* `train` with this origin's overrides applied */
};

struct output_opts {
    char *dir;       /* owned */
    char *origins;   /* owned; the folder of the origins' files, "": dir */
    char *retrained; /* owned; the folder of their retrained twins, "": dir */
};

struct campaign_opts {
    double silence_s; /* a task without a sign of life for so long counts as failed */
};

struct evaluate_opts {
    enum aggregate aggregate; /* of ensembles */
    int64_t floor;            /* further retrained twins of each origin, for the noise floor */
    int samples;              /* also write per-sample scores */
    int rank_retrain;         /* retrained models take part in the ranking */
};

struct config {
    int64_t seed; /* of all that have none of their own; -1: they have defaults */
    struct data_opts data;
    struct model_opts model;
    struct train_opts train;
    struct forget_opts forget;
    int n_origin;
    struct origin_opts *origin; /* owned; at least one */
    int n_method;
    struct method_opts *method; /* owned */
    struct text_list selection; /* owned; names of the entries of `methods` to run; empty: all */
    struct evaluate_opts evaluate;
    struct audit_opts audit;
    struct output_opts output;
    struct checkpoint_opts checkpoint;
    struct campaign_opts campaign;
};

/* What a file's settings text covers. */
enum config_scope { SCOPE_ORIGIN, SCOPE_RETRAIN, SCOPE_METHOD, SCOPE_ALL };

/** Local. Parse `text` (the YAML of file `path`, which is named in messages) and then the
 * overrides, in order, each
 *  "--section.key=value". Every setting is checked for type and range; unknown, duplicate, mistyped
 * and out-of-range ones are IAU_ERR_CONFIG with file and line (or the override) and the nearest
 * known key. `cfg` is empty on error. */
int config_parse(struct config *cfg, const char *path, const char *text, int n_override,
                 const char *const *override);
/** Local. Release; fine on an empty config. */
void config_free(struct config *cfg);
/** Local. Canonical text, one `key = value` a line in table order, of the settings that define the
 * bytes of an output: data split and normalisation, model, train (of origin `index` for
 * SCOPE_ORIGIN, of twin `index` for SCOPE_RETRAIN; of the method's origin for SCOPE_METHOD, where
 * `index` counts methods), forget for RETRAIN and METHOD, the method for METHOD. Paths,
 * directories, and evaluation, checkpoint and logging settings stay out. SCOPE_ALL: the whole
 * effective config with every key, as YAML that parses again. The caller frees; NULL when memory is
 * short. */
char *config_text(const struct config *cfg, enum config_scope scope, int index);
/** Local. Whether origin `index` has shadows by audit.origins; ensembles have none. */
int config_is_audited(const struct config *cfg, int index);
/** Local. What a name in audit.methods is: an entry of `methods`, by *method, or a retrained twin,
 * *method = -1; and its origin. @return whether it is one of these */
int config_audit_method(const struct config *cfg, const char *name, int *method, int *origin);
/** Local. As config_text for SCOPE_ORIGIN, of a model that is trained like this. */
char *config_train_text(const struct config *cfg, const struct train_opts *train);
/** Local. The origin a method starts from: index into cfg->origin. */
int config_origin_of(const struct config *cfg, const struct method_opts *m);
/** Local. Check that exactly one of forget.ratio, forget.ids and forget.classes is set, for
 * commands that forget.
 *  @return IAU_OK or IAU_ERR_CONFIG */
int config_check_forget(const struct config *cfg);
/** Local. Check that there is something to audit with. @return IAU_OK or IAU_ERR_CONFIG */
int config_check_audit(const struct config *cfg);
/** Local. The name of an origin's retrained twin: `origin` has `retrain`, `origin_gr` has
 * `retrain_gr`, any other X has `retrain_X`. The caller frees; NULL when memory is short. */
char *config_retrain_name(const char *origin);
/** Local. How many retrained twins there are. Twin t is of origin t % n_origin; the first n_origin
 * are those that other models are compared with, and the t / n_origin-th further one of an origin
 * (evaluate.floor) is trained with a seed that is so much higher. */
int config_twins(const struct config *cfg);
/** Local. A twin's name: config_retrain_name of its origin, and `_seedN` behind for further ones.
 * The caller frees; NULL when memory is short. */
char *config_twin_name(const struct config *cfg, int t);
/** Local. What an origin, a twin, or a method's origin is trained with; scope and index as for
 * config_text. */
struct train_opts config_train(const struct config *cfg, enum config_scope scope, int index);
/** Local. The folder of an output's file; scope and index as for config_text, without SCOPE_ALL.
 * `{digest}` in output.origins and output.retrained becomes a digest of the settings that the file
 * depends on, so that configs which agree in these share it. The caller frees; NULL when memory is
 * short. */
char *config_folder(const struct config *cfg, enum config_scope scope, int index);
/** Local. The name of the setting that says so. */
const char *config_folder_key(const struct config *cfg, enum config_scope scope);
/** Local. The table's row of a setting as an override names it, such as
 * `methods.iau.lr` or `origins.origin.train.epochs`; NULL if there is none. */
const struct setting *config_find_row(const char *path);
/** Local. The reference of all settings as text: plain for --help, or a Markdown table for the
 * README. The caller frees; NULL when memory is short. */
char *config_reference(int markdown);

#endif
