/* Settings of the entries of `methods`, method by method: their defaults, which are those of the
 * sources that the help names, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "core/error.h"
#include "harness.h"
#include "unlearn/method.h"

/* Parse a config whose only entry `m` of methods has these settings, with this before it. */
static int parse(struct config *cfg, const char *before, const char *settings)
{
    char text[1000];
    snprintf(text, sizeof text, "data: {file: d.h5}\n%s\nmethods:\n- {name: m,\n   %s}\n", before,
             settings);
    return config_parse(cfg, "demo.yaml", text, 0, NULL);
}

/* All settings but the seed and those of Adam, as `key = value` lines of an output's text. */
struct defaults {
    const char *method, *lines;
};

static const struct defaults defaults[] = {
    {"finetune", "batch = 256\nepochs = 10\noptimizer = sgd\nlr = 0.01\nmomentum = 0.9\n"
                 "weight_decay = 0.0005\nschedule.name = constant\n"},
    {"ascent", "batch = 256\nepochs = 5\nuntil = validation\noptimizer = sgd\nlr = 0.0001\n"
               "momentum = 0.9\nweight_decay = 0.0005\nschedule.name = constant\n"},
    {"neggrad_plus", "batch = 128\nforget_batch = 64\nepochs = 10\nalpha = 0.95\n"
                     "optimizer = sgd\nlr = 0.01\nmomentum = 0\nweight_decay = 0\n"
                     "schedule.name = constant\n"},
    {"random_label", "batch = 256\nepochs = 10\nexclude_true = off\nredraw = on\n"
                     "order = sequential\noptimizer = sgd\nlr = 0.01\nmomentum = 0.9\n"
                     "weight_decay = 0.0005\nschedule.name = constant\n"},
    {"scrub", "batch = 32\nforget_batch = 64\nepochs = 10\nalpha = 0.5\ngamma = 1\n"
              "temperature = 2\nmsteps = 3\noptimizer = adam\nlr = 0.0005\nmomentum = 0.9\n"
              "weight_decay = 0.1\nschedule.name = step\nschedule.every = 5\n"
              "schedule.factor = 0.1\n"},
    {"salun", "batch = 256\nepochs = 10\nexclude_true = off\nredraw = on\norder = sequential\n"
              "fraction = 0.5\noptimizer = sgd\nlr = 0.013\nmomentum = 0.9\n"
              "weight_decay = 0.0005\nschedule.name = constant\n"}};
enum { N_DEFAULTS = sizeof defaults / sizeof *defaults };

/* Whether each line of `lines` stands in the text, after "method.". */
static int holds_all(const char *text, const char *lines)
{
    char line[100];
    for (const char *at = lines; *at; at += strcspn(at, "\n") + 1) {
        snprintf(line, sizeof line, "method.%.*s\n", (int)strcspn(at, "\n"), at);
        if (!strstr(text, line)) {
            printf("not there: %s", line);
            return 0;
        }
    }
    return 1;
}

static void defaults_are_those_of_the_sources(void)
{
    for (int i = 0; i < N_DEFAULTS; i++) {
        struct config cfg;
        char setting[64];
        snprintf(setting, sizeof setting, "method: %s", defaults[i].method);
        CU_ASSERT_EQUAL_FATAL(parse(&cfg, "", setting), IAU_OK);
        char *text = config_text(&cfg, SCOPE_METHOD, 0);
        CU_ASSERT(holds_all(text, defaults[i].lines));
        CU_ASSERT(holds_all(text, "seed = 1\nbeta1 = 0.9\nbeta2 = 0.999\nepsilon = 1e-08\n"));
        free(text);
        config_free(&cfg);
    }
}

/* The help says where they come from; the reference has it, and the name. */
static void every_method_says_what_it_is(void)
{
    char *text = config_reference(1);
    for (int m = 0; m < N_METHOD; m++) {
        char row[64];
        const struct method *method = method_of(m);
        snprintf(row, sizeof row, "\n| `%s` | ", config_method_name(m));
        CU_ASSERT(strlen(method->help) > 40 && strstr(text, row));
        CU_ASSERT(m == METHOD_RETRAIN || (method->run && (method->load || m == METHOD_SISA)));
    }
    for (int i = 0; i < N_DEFAULTS; i++) {
        int m = 0;
        while (strcmp(config_method_name(m), defaults[i].method) != 0)
            m++;
        CU_ASSERT_PTR_NOT_NULL(strstr(method_of(m)->help, "Defaults: "));
    }
    free(text);
}

static void settings_are_taken(void)
{
    struct config cfg;
    CU_ASSERT_EQUAL_FATAL(
        parse(&cfg, "", "method: scrub, schedule: {name: cosine, floor: 0.1}, msteps: 0, lr: 1"),
        IAU_OK);
    CU_ASSERT_EQUAL(cfg.method[0].tuning.schedule.name, SCHEDULE_COSINE);
    CU_ASSERT_EQUAL(cfg.method[0].tuning.schedule.floor, 0.1);
    CU_ASSERT_EQUAL(cfg.method[0].scrub.msteps, 0);
    CU_ASSERT_EQUAL(cfg.method[0].tuning.optimizer.lr, 1);
    config_free(&cfg);
    CU_ASSERT_EQUAL_FATAL(parse(&cfg, "", "method: neggrad_plus, alpha: 0, forget_batch: 7"),
                          IAU_OK);
    CU_ASSERT_EQUAL(cfg.method[0].neggrad_alpha, 0);
    CU_ASSERT_EQUAL(cfg.method[0].forget_batch, 7);
    config_free(&cfg);
    CU_ASSERT_EQUAL_FATAL(
        parse(&cfg, "", "method: salun, order: mixed, exclude_true: on, redraw: off, fraction: 1"),
        IAU_OK);
    CU_ASSERT_EQUAL(cfg.method[0].relabel.order, RELABEL_MIXED);
    CU_ASSERT(cfg.method[0].relabel.exclude_true && !cfg.method[0].relabel.redraw);
    config_free(&cfg);
    CU_ASSERT_EQUAL_FATAL(
        parse(&cfg, "data.valid: 0\ntrain: {patience: 0}", "method: ascent, until: off"), IAU_OK);
    config_free(&cfg);
}

struct refusal {
    const char *before, *settings, *message;
};

static void wrong_settings_are_refused_with_their_line(void)
{
    static const struct refusal refusals[] = {
        {"", "method: finetune,\n   epochs: 0", "demo.yaml:6: methods.m.epochs = 0: must be at"},
        {"", "method: iau_curvature, relative_damping: 0",
         "methods.m.relative_damping = 0: must be above 0"},
        {"", "method: iau_curvature, hold: 1500", "methods.m.hold = 1500: must be at most 1000"},
        {"", "method: iau_curvature, correction: off", "does not apply to method iau_curvature"},
        {"", "method: iau, tune_range: 1", "methods.m.tune_range = 1: must be above 1"},
        {"", "method: iau, step: calibrated, tune: 5",
         "methods.m.tune = 5: has nothing to find for step: calibrated"},
        {"data.valid: 0\ntrain: {patience: 0}", "method: scrub, tune: 5",
         "methods.m.tune = 5: needs a validation set; set data.valid above 0"},
        {"", "method: finetune, until: off", "methods.m.until: does not apply to method finetune"},
        {"", "method: finetune, forget_batch: 2", "does not apply to method finetune"},
        {"", "method: ascent,\n   until: test",
         "methods.m.until: 'test' is none of validation|off"},
        {"", "method: ascent, lr: -1", "methods.m.lr = -1: must be above 0"},
        {"data.valid: 0\ntrain: {patience: 0}", "method: ascent",
         "methods.m.until: validation needs a validation set; set data.valid above 0 or until: "
         "off"},
        {"", "method: neggrad_plus, alpha: 1.5", "methods.m.alpha = 1.5: must be at most 1"},
        {"", "method: neggrad_plus, forget_batch: 0", "forget_batch = 0: must be at least 1"},
        {"", "method: neggrad_plus, gamma: 1", "gamma: does not apply to method neggrad_plus"},
        {"", "method: random_label,\n   order: random",
         "demo.yaml:6: methods.m.order: 'random' is none of sequential|mixed"},
        {"", "method: random_label, redraw: often", "'often' is neither on nor off"},
        {"", "method: random_label, fraction: 0.5", "does not apply to method random_label"},
        {"", "method: scrub, temperature: 0", "methods.m.temperature = 0: must be above 0"},
        {"", "method: scrub, msteps: -1", "methods.m.msteps = -1: must be at least 0"},
        {"", "method: scrub, alpha: -0.5", "methods.m.alpha = -0.5: must be at least 0"},
        {"", "method: scrub,\n   alpha: 0, gamma: 0",
         "demo.yaml:6: methods.m.alpha and gamma are both 0"},
        {"", "method: scrub, schedule.every: 0", "schedule.every = 0: must be at least 1"},
        {"", "method: salun,\n   fraction: 0",
         "demo.yaml:6: methods.m.fraction = 0: must be above"},
        {"", "method: salun, fraction: 1.01", "methods.m.fraction = 1.01: must be at most 1"},
        {"", "method: salun, fration: 0.1", "unknown setting 'methods.m.fration'; did you mean"},
        {"", "method: sisa",
         "methods.m.origin: 'origin' is one model, and sisa starts from an ensemble; set "
         "origins.origin.train.shards above 1"},
        {"train.shards: 5", "method: iau",
         "methods.m.origin: 'origin' is an ensemble of 5 models, which only sisa and retrain"},
        {"train.shards: 5", "method: sisa, epochs: 3", "does not apply to method sisa"},
        {"train.shards: 0", "method: retrain", "train.shards = 0: must be at least 1"},
        {"train.slices: 2", "method: retrain",
         "train.slices = 2: are those of shards; set train.shards above 1"},
        {"evaluate.aggregate: median", "method: retrain", "'median' is none of mean|vote"},
        {"train.shards: 5\naudit.shadows: 6", "method: sisa",
         "audit.shadows: all origins are ensembles"},
        {"train.shards: 5\naudit: {shadows: 6, origins: [origin]}", "method: sisa",
         "audit.origins: 'origin' is an ensemble, and shadows are single models"},
        {"audit: {shadows: 6, methods: [retrain, m]}", "method: scrub, tune: 5",
         "demo.yaml:2: audit.methods: 'm' has tune = 5, but shadows unlearn at the strength that "
         "is "
         "set; set the one that was found, and tune to 0"},
        {"", "method: ssd, tune: 5,\n   alpha: 0",
         "demo.yaml:6: methods.m.alpha = 0: is what tune = 5 multiplies; set it above 0"},
        {"", "method: scrap", "methods.m.method: 'scrap' is none of iau|iau_curvature|retrain|"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct config cfg;
        int rc = parse(&cfg, refusals[i].before, refusals[i].settings);
        harness_expect_error(rc, IAU_ERR_CONFIG, refusals[i].message);
        config_free(&cfg);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"defaults are those of the sources", defaults_are_those_of_the_sources},
        {"every method says what it is", every_method_says_what_it_is},
        {"settings are taken", settings_are_taken},
        {"wrong settings are refused with their line", wrong_settings_are_refused_with_their_line},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "config_methods", tests);
}
