/* Settings that are right one by one and wrong together; names that would meet in one file. */
#include "app/config_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "app/config_yaml.h"
#include "core/error.h"
#include "core/memory.h"
#include "nn/model.h"
#include "nn/spec.h"
#include "unlearn/method.h"

enum { NAME_MAX_CHARS = 100 };

const struct config_item *config_item_find(const struct config_items *items, const char *path)
{
    for (int i = items->n - 1; i >= 0; i--)
        if (strcmp(items->v[i].path, path) == 0)
            return &items->v[i];
    return NULL;
}

/* What the checks look at; `path` is the file's name. */
struct check {
    const struct config *cfg;
    const struct config_items *items;
    const char *path;
};

/* Where a setting was given, else the file's name. */
static const char *where(const struct check *c, const char *key)
{
    const struct config_item *item = config_item_find(c->items, key);
    return item ? item->where : c->path;
}

/* The same for a setting of an origin, given there or in `train`. */
static const char *where_origin(const struct check *c, const struct origin_opts *o, const char *key)
{
    char path[256];
    snprintf(path, sizeof(path), "origins.%s.%s", o->name, key);
    const struct config_item *item = config_item_find(c->items, path);
    return item ? item->where : where(c, key);
}

/* The same for entry `index` of methods: by an override, or in the file. */
static const char *where_method(const struct check *c, int index, const char *key)
{
    char path[256];
    snprintf(path, sizeof(path), "methods.%s.%s", c->cfg->method[index].name, key);
    const struct config_item *item = config_item_find(c->items, path);
    snprintf(path, sizeof(path), "methods[%d].%s", index, key);
    if (!item)
        item = config_item_find(c->items, path);
    snprintf(path, sizeof(path), "methods[%d]", index);
    return item ? item->where : where(c, path);
}

static int check_data(const struct check *c)
{
    const struct data_opts *d = &c->cfg->data;
    if (!*d->file)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: data.file is missing: the dataset file that 'iau import' "
                    "writes",
                    where(c, "data.file"));
    if (*d->source.format && d->source.files.n == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: data.source.format needs data.source.files",
                    where(c, "data.source.format"));
    if (!*d->source.format && d->source.files.n > 0)
        return FAIL(IAU_ERR_CONFIG, "%s: data.source.files needs data.source.format",
                    where(c, "data.source.files"));
    if (d->mean.n != d->std.n)
        return FAIL(
            IAU_ERR_CONFIG,
            "%s: data.normalize.mean has %" PRId64 " values, data.normalize.std has %" PRId64,
            where(c, d->std.n ? "data.normalize.std" : "data.normalize.mean"), d->mean.n, d->std.n);
    if (c->cfg->model.name == MODEL_MLP && c->cfg->model.hidden.n == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: model.hidden: an mlp needs at least one hidden layer",
                    where(c, "model.hidden"));
    if (c->cfg->model.name == MODEL_LAYERS && c->cfg->model.layers.n == 0)
        return FAIL(IAU_ERR_CONFIG, "%s: model.name = layers: needs model.layers",
                    where(c, "model.name"));
    if (c->cfg->model.name != MODEL_LAYERS && c->cfg->model.layers.n > 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: model.layers: goes with model.name = layers only; leave one of them out",
                    where(c, "model.layers"));
    if (!*c->cfg->output.dir)
        return FAIL(IAU_ERR_CONFIG, "%s: output.dir is empty", where(c, "output.dir"));
    return IAU_OK;
}

static int check_origin(const struct check *c, const struct origin_opts *o)
{
    const struct train_opts *t = &o->train;
    if (t->schedule.name == SCHEDULE_STEP && t->schedule.every < 1)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: train.schedule.every = %" PRId64 ": must be at least 1 for "
                    "train.schedule.name = step",
                    where_origin(c, o, "train.schedule.every"), t->schedule.every);
    if (model_opts_has_groups(&c->cfg->model) && t->unit != GROUP_SAMPLES)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: train.unit = %" PRId64 ": must be %d with batch norm, the group whose "
                    "statistics are used",
                    where_origin(c, o, "train.unit"), t->unit, GROUP_SAMPLES);
    if (model_opts_has_groups(&c->cfg->model) && t->batch < GROUP_MIN_SAMPLES)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: train.batch = %" PRId64 ": leaves no group of %d samples, which batch "
                    "norm needs to train",
                    where_origin(c, o, "train.batch"), t->batch, GROUP_MIN_SAMPLES);
    if (t->slices > 1 && !train_is_ensemble(t))
        return FAIL(IAU_ERR_CONFIG,
                    "%s: train.slices = %" PRId64 ": are those of shards; set train.shards above 1",
                    where_origin(c, o, "train.slices"), t->slices);
    if (t->patience > 0 && c->cfg->data.valid == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: train.patience = %" PRId64 ": needs a validation set; set "
                    "data.valid above 0 or train.patience to 0",
                    where_origin(c, o, "train.patience"), t->patience);
    return IAU_OK;
}

/* Does the method go with the kind of its origin? */
static int check_kind(const struct check *c, int index)
{
    const struct method_opts *m = &c->cfg->method[index];
    int64_t shards = c->cfg->origin[config_origin_of(c->cfg, m)].train.shards;
    if (m->method == METHOD_SISA && shards == 1)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.origin: '%s' is one model, and sisa starts from an ensemble; "
                    "set origins.%s.train.shards above 1",
                    where_method(c, index, "origin"), m->name, m->origin, m->origin);
    if (m->method != METHOD_SISA && m->method != METHOD_RETRAIN && shards > 1)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.origin: '%s' is an ensemble of %" PRId64 " models, which "
                    "only sisa and retrain start from",
                    where_method(c, index, "origin"), m->name, m->origin, shards);
    return IAU_OK;
}

/* A search multiplies and divides the strength. */
static int check_strength(const struct check *c, int index)
{
    const struct method_opts *m = &c->cfg->method[index];
    size_t offset = method_of(m->method)->strength;
    struct setting_table t = config_method_table(m->method);
    for (int i = 0; m->tune && i < t.n; i++)
        if (t.row[i].offset == offset && *(const double *)((const char *)m + offset) == 0)
            return FAIL(IAU_ERR_CONFIG,
                        "%s: methods.%s.%s = 0: is what tune = %" PRId64 " multiplies; set it "
                        "above 0",
                        where_method(c, index, t.row[i].key), m->name, t.row[i].key, m->tune);
    return IAU_OK;
}

static int check_method(const struct check *c, int index)
{
    const struct config *cfg = c->cfg;
    const struct method_opts *m = &cfg->method[index];
    int is_known = 0;
    for (int i = 0; i < cfg->n_origin; i++)
        is_known |= strcmp(cfg->origin[i].name, m->origin) == 0;
    if (!is_known)
        return FAIL(IAU_ERR_CONFIG, "%s: methods.%s.origin: there is no origin '%s'",
                    where_method(c, index, "origin"), m->name, m->origin);
    int rc = check_kind(c, index);
    if (rc == IAU_OK)
        rc = check_strength(c, index);
    if (rc != IAU_OK)
        return rc;
    int is_iau = m->method == METHOD_IAU,
        is_calibrated =
            (is_iau && m->iau.step == IAU_STEP_CALIBRATED) ||
            (m->method == METHOD_IAU_CURVATURE && m->curvature.step == IAU_STEP_CALIBRATED);
    if (m->tune && cfg->data.valid == 0) /* its losses are what strengths go by */
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.tune = %" PRId64 ": needs a validation set; set data.valid "
                    "above 0",
                    where_method(c, index, "tune"), m->name, m->tune);
    if (m->tune && is_iau && is_calibrated)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.tune = %" PRId64 ": has nothing to find for step: calibrated",
                    where_method(c, index, "tune"), m->name, m->tune);
    if (m->method == METHOD_ASCENT && m->until == ASCENT_UNTIL_VALIDATION && cfg->data.valid == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.until: validation needs a validation set; set data.valid above "
                    "0 or until: off",
                    where_method(c, index, "until"), m->name);
    if (m->method == METHOD_SCRUB && m->scrub.alpha == 0 && m->scrub.gamma == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.alpha and gamma are both 0: nothing would hold the model on "
                    "the retained samples",
                    where_method(c, index, "alpha"), m->name);
    if (is_iau && is_calibrated && m->iau.steps != 1)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.steps = %" PRId64 ": must be 1 for step: "
                    "calibrated",
                    where_method(c, index, "steps"), m->name, m->iau.steps);
    if (is_calibrated && cfg->data.valid == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: methods.%s.step: calibrated needs a validation set; set "
                    "data.valid above 0",
                    where_method(c, index, "step"), m->name);
    return IAU_OK;
}

/* The lines of model.layers; shapes are looked at when the data set is known. */
static int check_layers(const struct check *c)
{
    char what[300];
    struct spec_list list = {0};
    if (c->cfg->model.name != MODEL_LAYERS)
        return IAU_OK;
    snprintf(what, sizeof(what), "%s: model.layers", where(c, "model.layers"));
    int rc = spec_list_parse(&list, what, &c->cfg->model.layers);
    spec_list_free(&list);
    return rc;
}

/* Names become files of output.dir: who has taken which. */
struct taken {
    char *name;       /* owned */
    const char *what; /* "the origin", ... */
};

static int check_name(const char *name, const char *at)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(name);
    if (len == 0 || strspn(name, letters) != len)
        return FAIL(IAU_ERR_CONFIG, "%s: name '%s': use letters, digits, _ and - only", at, name);
    if (len > NAME_MAX_CHARS)
        return FAIL(IAU_ERR_CONFIG, "%s: name '%s': is longer than %d characters", at, name,
                    NAME_MAX_CHARS);
    if (strcmp(name, "results") == 0 || strcmp(name, "progress") == 0 || strcmp(name, "state") == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: name '%s': is kept for results.h5, progress.csv and state.h5", at, name);
    return IAU_OK;
}

/* Enter a name (taken over), unless somebody has it. `at` says where it was given. */
static int take_name(struct taken *list, int *n, char *name, const char *what, const char *at)
{
    if (!name)
        return FAIL(IAU_ERR_MEM, "no memory for names");
    for (int i = 0; i < *n; i++)
        if (strcmp(list[i].name, name) == 0) {
            int rc = FAIL(IAU_ERR_CONFIG, "%s: name '%s' of %s is that of %s", at, name, what,
                          list[i].what);
            free(name);
            return rc;
        }
    list[(*n)++] = (struct taken){name, what};
    return IAU_OK;
}

/* Whether `file` is FOLDER/NAME.h5, as written. */
static int is_in(const char *file, const char *folder, const char *name)
{
    size_t n_folder = strlen(folder), n_name = strlen(name);
    return strncmp(file, folder, n_folder) == 0 && file[n_folder] == '/' &&
           strncmp(file + n_folder + 1, name, n_name) == 0 &&
           strcmp(file + n_folder + 1 + n_name, ".h5") == 0;
}

/* The k-th name is that of an origin, of a twin or of a method, in this order. */
static int check_inputs(const struct check *c, int k, const struct taken *name)
{
    const struct config *cfg = c->cfg;
    int n_trained = cfg->n_origin + config_twins(cfg);
    char *folder = k < cfg->n_origin ? config_folder(cfg, SCOPE_ORIGIN, k)
                   : k < n_trained   ? config_folder(cfg, SCOPE_RETRAIN, k - cfg->n_origin)
                                     : config_folder(cfg, SCOPE_METHOD, k - n_trained);
    int rc = IAU_OK;
    if (!folder)
        rc = FAIL(IAU_ERR_MEM, "no memory for a folder's name");
    else if (is_in(cfg->data.file, folder, name->name))
        rc = FAIL(IAU_ERR_CONFIG, "%s: data.file = %s: is the file of %s", where(c, "data.file"),
                  cfg->data.file, name->what);
    for (int i = 0; i < cfg->n_origin && rc == IAU_OK; i++) {
        const struct origin_opts *o = &cfg->origin[i];
        if (k != i && o->file && is_in(o->file, folder, name->name))
            rc = FAIL(IAU_ERR_CONFIG, "%s: origins.%s.file = %s: is the file of %s",
                      where_origin(c, o, "file"), o->name, o->file, name->what);
    }
    free(folder);
    return rc;
}

static int check_names(const struct check *c)
{
    const struct config *cfg = c->cfg;
    int rc = IAU_OK, n = 0;
    char path[256];
    struct taken *list =
        mem_alloc(cfg->n_origin + config_twins(cfg) + cfg->n_method, sizeof(*list));
    if (!list)
        return FAIL(IAU_ERR_MEM, "no memory for names");
    for (int i = 0; i < cfg->n_origin; i++) {
        const char *name = cfg->origin[i].name;
        snprintf(path, sizeof(path), "origins.%s", name);
        const char *at = where(c, path);
        TRY(check_name(name, at));
        TRY(take_name(list, &n, mem_strdup(name), "an origin", at));
    }
    for (int i = 0; i < config_twins(cfg); i++) {
        snprintf(path, sizeof(path), "origins.%s", cfg->origin[i % cfg->n_origin].name);
        TRY(take_name(list, &n, config_twin_name(cfg, i), "an origin's retrained twin",
                      where(c, path)));
    }
    for (int i = 0; i < cfg->n_method; i++) {
        const char *at = where_method(c, i, "name");
        TRY(check_name(cfg->method[i].name, at));
        TRY(take_name(list, &n, mem_strdup(cfg->method[i].name), "an entry of methods", at));
    }
    for (int i = 0; i < n; i++)
        TRY(check_inputs(c, i, &list[i]));
out:
    for (int i = 0; i < n; i++)
        free(list[i].name);
    free(list);
    return rc;
}

/* The names in audit.methods and audit.origins. */
static int check_audit_names(const struct check *c)
{
    const struct config *cfg = c->cfg;
    const struct audit_opts *a = &cfg->audit;
    int method, origin;
    for (int64_t i = 0; i < a->origins.n; i++) {
        const struct origin_opts *known = NULL;
        for (int k = 0; k < cfg->n_origin; k++)
            if (strcmp(cfg->origin[k].name, a->origins.v[i]) == 0)
                known = &cfg->origin[k];
        if (!known)
            return FAIL(IAU_ERR_CONFIG, "%s: audit.origins: there is no origin '%s'",
                        where(c, "audit.origins"), a->origins.v[i]);
        if (train_is_ensemble(&known->train))
            return FAIL(IAU_ERR_CONFIG,
                        "%s: audit.origins: '%s' is an ensemble, and shadows are single models",
                        where(c, "audit.origins"), known->name);
    }
    for (int64_t i = 0; i < a->methods.n; i++) {
        const char *name = a->methods.v[i], *at = where(c, "audit.methods");
        if (!config_audit_method(cfg, name, &method, &origin))
            return FAIL(
                IAU_ERR_CONFIG,
                "%s: audit.methods: there is no entry of methods and no retrained twin '%s'", at,
                name);
        if (method >= 0 && cfg->method[method].tune)
            return FAIL(IAU_ERR_CONFIG,
                        "%s: audit.methods: '%s' has tune = %" PRId64 ", but shadows unlearn at "
                        "the strength that is set; set the one that was found, and tune to 0",
                        at, name, cfg->method[method].tune);
        if (!config_is_audited(cfg, origin))
            return FAIL(IAU_ERR_CONFIG,
                        "%s: audit.methods: '%s' starts from %s, which audit.origins leaves out",
                        at, name, cfg->origin[origin].name);
        for (int64_t k = 0; k < i; k++)
            if (strcmp(a->methods.v[k], name) == 0)
                return FAIL(IAU_ERR_CONFIG, "%s: audit.methods: '%s' stands there twice", at, name);
    }
    return IAU_OK;
}

static int check_audit(const struct check *c)
{
    const struct audit_opts *a = &c->cfg->audit;
    if (a->shadows > 0 && a->shadows < LIRA_MIN_SHADOWS)
        return FAIL(IAU_ERR_CONFIG, "%s: audit.shadows = %" PRId64 ": must be 0, or at least %d",
                    where(c, "audit.shadows"), a->shadows, LIRA_MIN_SHADOWS);
    if (a->shadows > 0 && c->cfg->data.valid == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: audit.shadows = %" PRId64 ": needs validation samples to compare the "
                    "forgotten ones with; set data.valid above 0",
                    where(c, "audit.shadows"), a->shadows);
    const char *key = a->shadows ? "audit.shadows" : "audit.attack.shadows";
    int n_audited = 0;
    for (int i = 0; i < c->cfg->n_origin; i++)
        n_audited += config_is_audited(c->cfg, i);
    if (audit_is_on(a) && n_audited == 0 && a->origins.n == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%s: %s: all origins are ensembles, and an audit needs one that is a single "
                    "model",
                    where(c, key), key);
    return check_audit_names(c);
}

int config_check(const struct config *cfg, const struct config_items *items, const char *path)
{
    struct check c = {cfg, items, path};
    int rc = IAU_OK;
    TRY(check_names(&c));
    TRY(check_data(&c));
    TRY(check_layers(&c));
    for (int i = 0; i < cfg->n_origin; i++)
        TRY(check_origin(&c, &cfg->origin[i]));
    for (int i = 0; i < cfg->n_method; i++)
        TRY(check_method(&c, i));
    TRY(check_audit(&c));
out:
    return rc;
}

int config_check_audit(const struct config *cfg)
{
    if (audit_is_on(&cfg->audit))
        return IAU_OK;
    return FAIL(IAU_ERR_CONFIG, "there is nothing to audit with: set audit.shadows or "
                                "audit.attack.shadows above 0");
}

int config_check_forget(const struct config *cfg)
{
    const struct forget_opts *f = &cfg->forget;
    int n = (f->ratio > 0) + (*f->ids != '\0') + (f->classes.n > 0);
    if (n == 0)
        return FAIL(IAU_ERR_CONFIG,
                    "%snothing is to be forgotten: set forget.ratio, forget.ids or forget.classes",
                    f->poison ? "forget.poison: " : "");
    if (n > 1)
        return FAIL(IAU_ERR_CONFIG,
                    "%s%s%s are set together; keep one and switch the others off "
                    "(--forget.ratio=0, --forget.ids=, --forget.classes=[])",
                    f->ratio > 0 ? "forget.ratio and " : "",
                    *f->ids ? f->classes.n > 0 ? "forget.ids and " : "forget.ids" : "",
                    f->classes.n > 0 ? "forget.classes" : "");
    return IAU_OK;
}
