/* Settings: defaults, overrides, every kind of bad input with its message, texts that read back,
 * digests' texts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"
#include "harness.h"
#include "io/file.h"

#define DATA "data: {file: d.h5}\n"

static int parse(struct config *cfg, const char *text, int n, const char *const *override)
{
    return config_parse(cfg, "demo.yaml", text, n, override);
}

/* `text` must be refused with a message that holds `message`, and leave an empty config. */
static void refuse(const char *text, const char *message)
{
    struct config cfg;
    int rc = parse(&cfg, text, 0, NULL);
    CU_ASSERT_PTR_NULL(cfg.data.file);
    harness_expect_error(rc, IAU_ERR_CONFIG, message);
    config_free(&cfg);
}

static void refuse_override(const char *override, const char *message)
{
    static const char text[] = DATA "origins: {origin: {}, origin_gr: {}}\n"
                                    "methods: [{name: iau, method: iau}]\n";
    struct config cfg;
    int rc = parse(&cfg, text, 1, &override);
    harness_expect_error(rc, IAU_ERR_CONFIG, message);
    config_free(&cfg);
}

static void accept(struct config *cfg, const char *text)
{
    int rc = parse(cfg, text, 0, NULL);
    CU_ASSERT_EQUAL(rc, IAU_OK);
    if (rc != IAU_OK)
        printf("refused: %s\n", error_message());
    error_clear();
}

static void defaults_are_the_documented_ones(void)
{
    struct config cfg;
    accept(&cfg, DATA);
    CU_ASSERT_STRING_EQUAL(cfg.data.file, "d.h5");
    CU_ASSERT_STRING_EQUAL(cfg.data.source.format, "");
    CU_ASSERT_EQUAL(cfg.data.seed, 1);
    CU_ASSERT_EQUAL(cfg.data.valid, 0.2);
    CU_ASSERT_EQUAL(cfg.data.mean.n, 0);
    CU_ASSERT_EQUAL(cfg.model.name, MODEL_LENET5);
    CU_ASSERT_EQUAL(cfg.model.hidden.n, 1);
    CU_ASSERT_EQUAL(cfg.model.hidden.v[0], 256);
    CU_ASSERT_EQUAL(cfg.train.seed, 42);
    CU_ASSERT_EQUAL(cfg.train.epochs, 200);
    CU_ASSERT_EQUAL(cfg.train.batch, 64);
    CU_ASSERT_EQUAL(cfg.train.unit, 16);
    CU_ASSERT_EQUAL(cfg.train.patience, 10);
    CU_ASSERT_EQUAL(cfg.train.gradient_sum, 1);
    CU_ASSERT_EQUAL(cfg.train.optimizer.name, OPTIMIZER_ADAM);
    CU_ASSERT_EQUAL(cfg.train.optimizer.lr, 1e-3);
    CU_ASSERT_EQUAL(cfg.train.optimizer.beta2, .999);
    CU_ASSERT_EQUAL(cfg.train.optimizer.epsilon, 1e-8);
    CU_ASSERT_EQUAL(cfg.train.schedule.name, SCHEDULE_CONSTANT);
    CU_ASSERT_EQUAL(cfg.train.restriction.alpha, 0);
    CU_ASSERT_EQUAL(cfg.forget.seed, 1);
    CU_ASSERT_EQUAL(cfg.n_origin, 1);
    CU_ASSERT_STRING_EQUAL(cfg.origin[0].name, "origin");
    CU_ASSERT_EQUAL(cfg.origin[0].train.epochs, 200);
    CU_ASSERT_EQUAL(cfg.n_method, 0);
    CU_ASSERT_EQUAL(cfg.evaluate.samples, 0);
    CU_ASSERT_STRING_EQUAL(cfg.output.dir, "out");
    CU_ASSERT_STRING_EQUAL(cfg.output.origins, "");
    CU_ASSERT_EQUAL(cfg.checkpoint.every_seconds, 600);
    CU_ASSERT_EQUAL(cfg.checkpoint.every_steps, 0);
    CU_ASSERT_EQUAL(cfg.checkpoint.keep, 1);
    config_free(&cfg);
    accept(&cfg, DATA "model: {name: mlp}\n");
    CU_ASSERT_EQUAL(cfg.train.unit, 64);
    CU_ASSERT_EQUAL(cfg.origin[0].train.unit, 64);
    config_free(&cfg);
    accept(&cfg, DATA "model: {name: mlp}\ntrain: {unit: 32}\n");
    CU_ASSERT_EQUAL(cfg.train.unit, 32);
    config_free(&cfg);
}

static void origins_and_methods_take_nested_and_dotted_keys(void)
{
    struct config cfg;
    accept(&cfg, DATA "train.epochs: 7\n"
                      "origins:\n"
                      "  first: {train.restriction.alpha: 0.005}\n"
                      "  second: {train: {restriction: {norm: global}, epochs: 3}}\n"
                      "  third:\n"
                      "methods:\n"
                      "  - {name: a, method: iau, correction: No}\n"
                      "  - {name: b, method: iau, origin: second, optimizer: sgd, cache: off}\n"
                      "  - {name: c, method: retrain, origin: third}\n");
    CU_ASSERT_EQUAL(cfg.n_origin, 3);
    CU_ASSERT_EQUAL(cfg.origin[0].train.restriction.alpha, .005);
    CU_ASSERT_EQUAL(cfg.origin[0].train.epochs, 7);
    CU_ASSERT_EQUAL(cfg.origin[1].train.restriction.norm, RESTRICTION_GLOBAL);
    CU_ASSERT_EQUAL(cfg.origin[1].train.epochs, 3);
    CU_ASSERT_EQUAL(cfg.origin[2].train.restriction.alpha, 0);
    CU_ASSERT_EQUAL(cfg.n_method, 3);
    CU_ASSERT_STRING_EQUAL(cfg.method[0].origin, "first");
    CU_ASSERT_EQUAL(cfg.method[0].iau.correction, 0);
    CU_ASSERT_EQUAL(cfg.method[1].iau.optimizer, OPTIMIZER_SGD);
    CU_ASSERT_EQUAL(cfg.method[1].iau.cache, IAU_CACHE_OFF);
    CU_ASSERT_EQUAL(config_origin_of(&cfg, &cfg.method[1]), 1);
    CU_ASSERT_EQUAL(cfg.method[2].method, METHOD_RETRAIN);
    config_free(&cfg);
}

static void one_seed_is_that_of_all_that_have_none(void)
{
    struct config cfg;
    static const char *const override[] = {"--seed=9", "--audit.seed=4"};
    accept(&cfg, DATA "train: {seed: 3}\nmethods: [{name: a, method: finetune}]\n");
    CU_ASSERT(cfg.data.seed == 1 && cfg.forget.seed == 1 && cfg.method[0].seed == 1);
    config_free(&cfg);
    int rc =
        parse(&cfg,
              DATA "seed: 7\ntrain: {seed: 3}\n"
                   "origins: {origin: {}, other: {train.seed: 5}}\n"
                   "methods: [{name: a, method: finetune}, {name: b, method: salun, seed: 2}]\n",
              2, override);
    CU_ASSERT_EQUAL(rc, IAU_OK);
    if (rc != IAU_OK)
        return;
    CU_ASSERT(cfg.data.seed == 9 && cfg.forget.seed == 9);
    CU_ASSERT(cfg.train.seed == 3 && cfg.origin[0].train.seed == 3 && cfg.audit.seed == 4);
    CU_ASSERT_EQUAL(cfg.origin[1].train.seed, 5);
    CU_ASSERT(cfg.method[0].seed == 9 && cfg.method[1].seed == 2);
    config_free(&cfg);
}

static void an_origin_may_be_a_file(void)
{
    struct config cfg, again;
    accept(&cfg, DATA "origins: {first: {}, second: {file: 'a: b.h5', train.epochs: 3}}\n");
    CU_ASSERT_PTR_NULL(cfg.origin[0].file);
    CU_ASSERT_STRING_EQUAL(cfg.origin[1].file, "a: b.h5");
    char *text = config_text(&cfg, SCOPE_ALL, 0);
    accept(&again, text);
    CU_ASSERT_STRING_EQUAL(again.origin[1].file, "a: b.h5");
    CU_ASSERT_EQUAL(again.origin[1].train.epochs, 3);
    free(text);
    config_free(&cfg);
    config_free(&again);
    refuse(DATA "origins: {first: {file: }}\n",
           "origins.first.file: takes the name of a model file");
    refuse(DATA "origins: {first: {file: out/iau.h5}}\nmethods: [{name: iau, method: iau}]\n",
           "origins.first.file = out/iau.h5: is the file of an entry of methods");
}

static void overrides_come_after_the_file(void)
{
    static const char text[] = DATA "train: {epochs: 9}\nforget: {classes: [1]}\n"
                                    "origins: {origin: {}, origin_gr: {train.epochs: 4}}\n"
                                    "methods: [{name: iau, method: iau}]\n";
    static const char *const override[] = {"--train.epochs=5",
                                           "--train.epochs=6",
                                           "--origins.origin_gr.train.restriction.alpha=0.01",
                                           "--methods.iau.lr=1e-2",
                                           "--forget.classes=3,5",
                                           "--model.hidden=[ 8, 4 ]",
                                           "--data.normalize.mean=[]",
                                           "--data.source.format=idx",
                                           "--data.source.files=['a b', c]",
                                           "--forget.ids=",
                                           "--data.file=x=y.h5"};
    struct config cfg;
    int rc = parse(&cfg, text, 11, override);
    CU_ASSERT_EQUAL_FATAL(rc, IAU_OK);
    CU_ASSERT_EQUAL(cfg.train.epochs, 6);
    CU_ASSERT_EQUAL(cfg.origin[0].train.epochs, 6);
    CU_ASSERT_EQUAL(cfg.origin[1].train.epochs, 4);
    CU_ASSERT_EQUAL(cfg.origin[1].train.restriction.alpha, .01);
    CU_ASSERT_EQUAL(cfg.method[0].iau.lr, .01);
    CU_ASSERT_EQUAL(cfg.forget.classes.n, 2);
    CU_ASSERT_EQUAL(cfg.forget.classes.v[1], 5);
    CU_ASSERT_EQUAL(cfg.model.hidden.v[0] * 10 + cfg.model.hidden.v[1], 84);
    CU_ASSERT_EQUAL(cfg.data.source.files.n, 2);
    CU_ASSERT_STRING_EQUAL(cfg.data.source.files.v[0], "a b");
    CU_ASSERT_STRING_EQUAL(cfg.data.file, "x=y.h5");
    config_free(&cfg);
}

static void wrong_keys_are_named_with_line_and_neighbour(void)
{
    refuse(DATA "train:\n  lr: 1\n",
           "demo.yaml:3: unknown setting 'train.lr'; did you mean 'train.optimizer.lr'?");
    refuse(DATA "train:\n  epoch: 5\n",
           "demo.yaml:3: unknown setting 'train.epoch'; did you mean 'train.epochs'?");
    refuse(DATA "trian: {epochs: 5}\n",
           "demo.yaml:2: unknown setting 'trian'; did you mean 'train'?");
    refuse(DATA "orgins: {a: {}}\n",
           "demo.yaml:2: unknown setting 'orgins'; did you mean 'origins'?");
    refuse(DATA "zebra: 1\n", "demo.yaml:2: unknown setting 'zebra'");
    refuse(DATA "origins: {a: {train.epoch: 5}}\n",
           "unknown setting 'origins.a.train.epoch'; did you mean 'origins.a.train.epochs'?");
    refuse(DATA "methods: [{name: a, method: iau, steps: 1, stpes: 2}]\n",
           "demo.yaml:2: unknown setting 'methods.a.stpes'; did you mean 'methods.a.steps'?");
    refuse(DATA "origins: {a: {data.seed: 5}}\n",
           "demo.yaml:2: origins.a.data.seed: only train.* and file can differ between origins");
    refuse(DATA "train: {epochs: 5}\ntrain.epochs: 6\n",
           "demo.yaml:3: 'train.epochs' is given twice, first on line 2");
    refuse(DATA "train: {epochs: 5}\ndata: {seed: 1}\n",
           "demo.yaml:3: 'data' is given twice, first on line 1");
}

static void wrong_values_are_named_with_line(void)
{
    refuse(DATA "train:\n  epochs: abc\n", "demo.yaml:3: train.epochs: 'abc' is no integer");
    refuse(DATA "train: {epochs: 1e3}\n", "'1e3' is no integer");
    refuse(DATA "train: {epochs: 99999999999999999999}\n", "does not fit 64 bits");
    refuse(DATA "train: {batch: 0}\n", "demo.yaml:2: train.batch = 0: must be at least 1");
    refuse(DATA "train: {batch: 2000000}\n", "train.batch = 2000000: must be at most 1048576");
    refuse(DATA "train: {unit: 24}\n", "train.unit = 24: must be a multiple of 16");
    refuse(DATA "train: {unit: 80}\n", "train.unit = 80: must be at most 64");
    refuse(DATA "train: {optimizer: {lr: 0}}\n", "train.optimizer.lr = 0: must be above 0");
    refuse(DATA "train: {optimizer: {lr: .nan}}\n", "'.nan' is no number");
    refuse(DATA "train: {optimizer: {lr: 0x1}}\n", "'0x1' is no number");
    refuse(DATA "train: {optimizer: {lr: 1e999}}\n", "is too large");
    refuse(DATA "forget: {ratio: 1}\n", "forget.ratio = 1: must be below 1");
    refuse(DATA "data.seed: 4294967296\n", "data.seed = 4294967296: must be at most 4294967295");
    refuse(DATA "train: {gradient_sum: maybe}\n", "'maybe' is neither on nor off");
    refuse(DATA "train: {optimizer: {name: adma}}\n", "'adma' is none of adam|sgd");
    refuse(DATA "data.source: {format: png, files: [a]}\n", "'png' is none of idx|cifar10");
    refuse(DATA "train: {epochs: [1, 2]}\n", "train.epochs: takes one value (integer), not a list");
    refuse(DATA "train: {epochs: {a: 1}}\n",
           "train.epochs: takes a value (integer), not a mapping");
    refuse(DATA "train: {epochs: }\n", "demo.yaml:2: train.epochs: has no value");
    refuse(DATA "train: 5\n", "demo.yaml:2: train: is a section, not a setting");
    refuse(DATA "model: {hidden: [8, x]}\n", "model.hidden: 'x' is no integer");
    refuse(DATA "model: {hidden: [8, 0]}\n", "model.hidden = 0: must be at least 1");
    refuse(DATA "origins: {a: {train.batch: 0}}\n", "origins.a.train.batch = 0: must be at least");
}

static void settings_that_do_not_go_together_are_refused(void)
{
    refuse("train: {epochs: 1}\n", "demo.yaml: data.file is missing");
    refuse(DATA "train: {schedule: {name: step}}\n",
           "train.schedule.every = 0: must be at least 1");
    refuse(DATA "origins:\n  a:\n    train.schedule.name: step\n    train.schedule.every: 0\n",
           "demo.yaml:5: train.schedule.every = 0: must be at least 1");
    refuse(DATA "methods:\n- {name: a, method: iau, step: calibrated,\n   steps: 2}\n",
           "demo.yaml:4: methods.a.steps = 2: must be 1 for step: calibrated");
    refuse(DATA "methods:\n- {name: a, method: retrain,\n   lr: 2}\n",
           "demo.yaml:4: methods.a.lr: does not apply to method retrain");
    refuse(DATA "model: {name: mlp, hidden: []}\n", "demo.yaml:2: model.hidden: an mlp needs");
    refuse(DATA "data.valid: 0\n", "train.patience = 10: needs a validation set");
    refuse(DATA "data.valid: 0\ntrain: {patience: 0}\n"
                "methods: [{name: a, method: iau, step: calibrated}]\n",
           "methods.a.step: calibrated needs a validation set");
    refuse(DATA "data.normalize: {mean: [1, 2], std: [1]}\n",
           "data.normalize.mean has 2 values, data.normalize.std has 1");
    refuse(DATA "data.source.format: idx\n", "data.source.format needs data.source.files");
    refuse(DATA "data.source.files: [a]\n", "data.source.files needs data.source.format");
    refuse("data: {file: out/origin.h5}\n", "data.file = out/origin.h5: is the file of an origin");
}

static void names_are_checked(void)
{
    refuse(DATA "origins: {a b: {}}\n", "name 'a b': use letters, digits, _ and - only");
    refuse(DATA "origins: {results: {}}\n", "name 'results': is kept for");
    refuse(DATA "methods: [{name: progress, method: iau}]\n", "name 'progress': is kept for");
    refuse(DATA "methods:\n- {name: a, method: iau}\n- {name: a, method: iau}\n",
           "demo.yaml:4: name 'a' of an entry of methods is that of an entry of methods");
    refuse(DATA "origins: {a: {}}\nmethods: [{name: a, method: iau}]\n", "is that of an origin");
    refuse(DATA "methods: [{name: retrain, method: retrain}]\n",
           "name 'retrain' of an entry of methods is that of an origin's retrained twin");
    refuse(DATA "origins: {origin_gr: {}, gr: {}}\n", "'retrain_gr' of an origin's retrained twin");
    refuse(DATA "methods: [{name: a, method: iau, origin: b}]\n", "there is no origin 'b'");
    refuse(DATA "methods:\n- {method: iau}\n", "demo.yaml:3: an entry of methods has no 'name'");
    refuse(DATA "methods:\n- {name: a}\n",
           "demo.yaml:3: methods.a: has no 'method' (iau|iau_curvature|retrain|");
    refuse(DATA "methods: {a: {method: iau}}\n", "methods: takes a list of entries");
    refuse(DATA "methods: [iau]\n", "methods: takes a list of entries");
    refuse(DATA "origins: [origin]\n", "origins: takes names with overrides");
    refuse(DATA "origins: [{a: 1}]\n", "origins: takes names with overrides");
    refuse(DATA "origins: {}\n", "origins: names none");
    refuse(DATA "origins: {a: 5}\n", "origins.a: takes overrides of train.*");
    char *name = config_retrain_name("origin");
    CU_ASSERT_STRING_EQUAL(name, "retrain");
    free(name);
    name = config_retrain_name("origin_gr");
    CU_ASSERT_STRING_EQUAL(name, "retrain_gr");
    free(name);
    name = config_retrain_name("plain");
    CU_ASSERT_STRING_EQUAL(name, "retrain_plain");
    free(name);
}

/* Further twins are those of the origins in turn, with a seed more each turn. */
static void retrained_twins_of_other_seeds(void)
{
    static const char text[] = DATA "train: {seed: 5}\n"
                                    "evaluate: {floor: 2}\n"
                                    "origins: {origin: {}, origin_gr: {train.seed: 90}}\n";
    static const char *const names[] = {"retrain",           "retrain_gr",    "retrain_seed6",
                                        "retrain_gr_seed91", "retrain_seed7", "retrain_gr_seed92"};
    struct config cfg;
    CU_ASSERT_EQUAL_FATAL(config_parse(&cfg, "demo.yaml", text, 0, NULL), IAU_OK);
    CU_ASSERT_EQUAL(config_twins(&cfg), 6);
    for (int t = 0; t < 6; t++) {
        char *name = config_twin_name(&cfg, t), *settings = config_text(&cfg, SCOPE_RETRAIN, t);
        char seed[32];
        snprintf(seed, sizeof seed, "train.seed = %d\n", (t % 2 ? 90 : 5) + t / 2);
        CU_ASSERT_STRING_EQUAL(name, names[t]);
        CU_ASSERT_PTR_NOT_NULL(strstr(settings, seed));
        free(name);
        free(settings);
    }
    config_free(&cfg);
    refuse(DATA "evaluate: {floor: 1}\nmethods: [{name: retrain_seed43, method: iau}]\n",
           "name 'retrain_seed43' of an entry of methods is that of an origin's retrained twin");
    refuse(DATA "evaluate: {floor: -1}\n", "evaluate.floor");
}

static void wrong_overrides_are_named_as_given(void)
{
    refuse_override("--train.epoch=5",
                    "--train.epoch=5: unknown setting 'train.epoch'; did you mean 'train.epochs'?");
    refuse_override("--train.batch=0", "--train.batch=0: train.batch = 0: must be at least 1");
    refuse_override("--train.epochs=", "train.epochs: '' is no integer");
    refuse_override("--train.epochs= 5", "train.epochs: ' 5' is no integer");
    refuse_override("--forget.classes=3,", "forget.classes: '' is no integer");
    refuse_override("--train=5", "train: is a section");
    refuse_override("--origins.x.train.epochs=5", "there is no origin 'x' to alter");
    refuse_override("--origins.origin.data.seed=5",
                    "only train.* and file can differ between origins");
    refuse_override("--methods.x.lr=5", "there is no method 'x' to alter");
    refuse_override("--methods.iau.name=x", "a method's name can only be changed in the file");
    refuse_override("--methods.iau.rate=x", "unknown setting 'methods.iau.rate'");
    refuse_override("--methods.iau=x", "unknown setting 'methods.iau.'");
    refuse_override("--methods=x", "reads --methods.NAME.key=value");
    refuse_override("--methods[0].lr=1", "reads --methods.NAME.key=value");
    refuse_override("--origins[0].a=1", "reads --origins.NAME.train.key=value");
    refuse_override("--origins=x", "--origins=x: origins: takes names");
    refuse_override("train.epochs=5", "an override reads --section.key=value");
}

static void wrong_yaml_is_refused_with_its_place(void)
{
    refuse("data: {file: d.h5\ntrain: [\n", "demo.yaml:");
    refuse("data:\n\t file: x\n", "demo.yaml:2:1: ");
    refuse(DATA "train: {batch: *size}\n", "demo.yaml:2:");
    refuse(DATA "train: {? [a] : 1}\n", "demo.yaml:2: a key must be a name");
    refuse(DATA "---\n" DATA, "demo.yaml:2: a second document begins");
    refuse("", "demo.yaml: holds no settings");
    refuse("# nothing\n", "demo.yaml: holds no settings");
    refuse("- a\n- b\n", "demo.yaml:1: must be a mapping of sections");
    refuse(DATA "train: {epochs: !mine 3}\n", "demo.yaml:2: tag '!mine' means nothing here");
    refuse(DATA "methods:\n- {name: a, method: iau}\n- b\n", "a list holds either values or");
    refuse(DATA "x: &x {a: *x}\n", "nested more than");
    refuse(DATA "train: {<<: {a: 1}}\n", "merge keys (<<) are not supported");
    refuse(DATA "data.file2: \"a\\0b\"\n", "holds a NUL character");
    refuse("\xff\xfe\x41", "demo.yaml");
    struct config cfg;
    accept(&cfg, "data: &d {file: d.h5}\ntrain: &t {epochs: 3}\norigins: {a: {train: *t}}\n");
    CU_ASSERT_EQUAL(cfg.origin[0].train.epochs, 3);
    config_free(&cfg);
}

static void one_thing_is_to_be_forgotten(void)
{
    struct config cfg;
    accept(&cfg, DATA);
    harness_expect_error(config_check_forget(&cfg), IAU_ERR_CONFIG, "nothing is to be forgotten");
    config_free(&cfg);
    accept(&cfg, DATA "forget: {ratio: 0.1}\n");
    CU_ASSERT_EQUAL(config_check_forget(&cfg), IAU_OK);
    config_free(&cfg);
    accept(&cfg, DATA "forget: {ratio: 0.1, classes: 3}\n");
    harness_expect_error(config_check_forget(&cfg), IAU_ERR_CONFIG,
                         "forget.ratio and forget.classes are set together");
    config_free(&cfg);
    accept(&cfg, DATA "forget: {ratio: 0, ids: '', classes: [3]}\n");
    CU_ASSERT_EQUAL(config_check_forget(&cfg), IAU_OK);
    config_free(&cfg);
}

static const char rich[] =
    "data: {file: 'my \"data\".h5', source: {format: idx, files: [a b, \"c\\\\d\", 'e: #f']},\n"
    "       seed: 7, valid: 0.3, normalize: {mean: [0.1, 1e-30], std: [.3333333333333333, 2]}}\n"
    "model: {name: mlp, hidden: [4, 5], activation: relu}\n"
    "train: {seed: 9223372036854775807, optimizer: {name: sgd, momentum: 0.9}}\n"
    "forget: {classes: [3, 5], ids: 'null'}\n"
    "origins: {origin: {}, b: {train.epochs: 3, train.schedule: {name: cosine, floor: 0.1}}}\n"
    "methods:\n"
    "  - {name: a, method: iau, origin: b, correction: off, step: calibrated, lr: 0.1}\n"
    "  - {name: c, method: retrain}\n"
    "evaluate.samples: yes\n"
    "output: {dir: -x}\n"
    "checkpoint: {every_seconds: 0.5, keep: 3}\n";

static void effective_config_reads_back_the_same(void)
{
    struct config cfg, again;
    accept(&cfg, rich);
    char *text = config_text(&cfg, SCOPE_ALL, 0);
    accept(&again, text);
    char *second = config_text(&again, SCOPE_ALL, 0);
    CU_ASSERT_STRING_EQUAL(text, second);
    CU_ASSERT_STRING_EQUAL(again.data.file, "my \"data\".h5");
    CU_ASSERT_STRING_EQUAL(again.data.source.files.v[1], "c\\d");
    CU_ASSERT_STRING_EQUAL(again.data.source.files.v[2], "e: #f");
    CU_ASSERT_STRING_EQUAL(again.forget.ids, "null");
    CU_ASSERT_STRING_EQUAL(again.output.dir, "-x");
    CU_ASSERT_EQUAL(again.train.seed, INT64_MAX);
    CU_ASSERT_EQUAL(again.train.unit, 64);
    CU_ASSERT_EQUAL(again.data.std.v[0], .3333333333333333);
    CU_ASSERT_EQUAL(again.data.mean.v[1], 1e-30);
    CU_ASSERT_EQUAL(again.n_origin, 2);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(
            memcmp(&again.origin[i].train, &cfg.origin[i].train, sizeof(struct train_opts)), 0);
    CU_ASSERT_EQUAL(again.method[0].iau.step, IAU_STEP_CALIBRATED);
    CU_ASSERT_EQUAL(again.method[1].method, METHOD_RETRAIN);
    free(text);
    free(second);
    config_free(&cfg);
    config_free(&again);
}

/* The text of a scope after an override, which the caller frees. */
static char *scope_text(enum config_scope scope, int index, const char *override)
{
    static const char text[] = DATA "forget: {ratio: 0.05}\n"
                                    "origins: {origin: {}, origin_gr: {train.epochs: 3}}\n"
                                    "methods: [{name: iau, method: iau, origin: origin_gr}]\n";
    struct config cfg;
    int rc = parse(&cfg, text, override != NULL, &override);
    CU_ASSERT_EQUAL(rc, IAU_OK);
    char *out = rc == IAU_OK ? config_text(&cfg, scope, index) : mem_strdup(error_message());
    error_clear();
    config_free(&cfg);
    return out;
}

static void expect_changes(enum config_scope scope, int index, const char *override, int changes)
{
    char *before = scope_text(scope, index, NULL), *after = scope_text(scope, index, override);
    if ((strcmp(before, after) != 0) != changes)
        printf("scope %d, %s: %s\n", scope, override, changes ? "ignored" : "counted");
    CU_ASSERT_EQUAL(strcmp(before, after) != 0, changes);
    free(before);
    free(after);
}

static void texts_hold_what_defines_bytes_and_no_more(void)
{
    char *text = scope_text(SCOPE_METHOD, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "data.valid = 0.2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "train.epochs = 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "method.method = iau\nmethod.tune = 0\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "d.h5"));
    free(text);
    static const char *const ignored[] = {"--data.file=x.h5",
                                          "--output.dir=x",
                                          "--output.origins=x",
                                          "--checkpoint.every_seconds=5",
                                          "--checkpoint.every_steps=7",
                                          "--checkpoint.keep=2",
                                          "--forget.ids=x",
                                          "--evaluate.samples=on",
                                          "--methods.iau.cache=off"};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        for (int scope = SCOPE_ORIGIN; scope <= SCOPE_METHOD; scope++)
            expect_changes(scope, 0, ignored[i], 0);
    static const char *const counted[] = {
        "--data.seed=2",     "--data.valid=0.25", "--model.name=mlp",
        "--train.batch=128", "--train.seed=7",    "--train.optimizer.lr=1.0000000001e-3"};
    for (int i = 0; i < 6; i++)
        for (int scope = SCOPE_ORIGIN; scope <= SCOPE_METHOD; scope++)
            expect_changes(scope, 0, counted[i], 1);
    expect_changes(SCOPE_ORIGIN, 0, "--forget.ratio=0.1", 0);
    expect_changes(SCOPE_RETRAIN, 0, "--forget.ratio=0.1", 1);
    expect_changes(SCOPE_METHOD, 0, "--forget.ratio=0.1", 1);
    expect_changes(SCOPE_RETRAIN, 0, "--methods.iau.lr=0.1", 0);
    expect_changes(SCOPE_METHOD, 0, "--methods.iau.lr=0.1", 1);
    expect_changes(SCOPE_ORIGIN, 0, "--origins.origin_gr.train.epochs=4", 0);
    expect_changes(SCOPE_ORIGIN, 1, "--origins.origin_gr.train.epochs=4", 1);
    expect_changes(SCOPE_METHOD, 0, "--origins.origin_gr.train.epochs=4", 1);
    expect_changes(SCOPE_METHOD, 0, "--methods.iau.origin=origin", 1);
    expect_changes(SCOPE_ORIGIN, 0, "--train.gradient_sum=off", 1);
    expect_changes(SCOPE_METHOD, 0, "--train.gradient_sum=off", 0);
}

/* Mark the bytes that the rows of a table set; none twice. */
static void cover(unsigned char *bytes, struct setting_table t)
{
    for (int i = 0; i < t.n; i++)
        for (size_t k = 0; k < setting_size(t.row[i].type); k++)
            CU_ASSERT_EQUAL(bytes[t.row[i].offset + k]++, 0);
}

/* Bytes of [begin, end) that no row sets must be padding: the second half of an 8-byte word. */
static void expect_covered(const unsigned char *bytes, size_t begin, size_t end)
{
    for (size_t k = begin; k < end; k++)
        if (!bytes[k] && k % 8 < 4) {
            printf("no setting for the field at byte %zu\n", k);
            CU_FAIL("a field has no setting");
        }
}

static void every_field_has_a_setting_with_help(void)
{
    unsigned char bytes[sizeof(struct config)] = {0}, of_method[sizeof(struct method_opts)] = {0};
    cover(bytes, config_table());
    expect_covered(bytes, 0, offsetof(struct config, n_origin));
    expect_covered(bytes, offsetof(struct config, evaluate), sizeof(struct config));
    for (int m = 0; m < N_METHOD; m++) {
        unsigned char own[sizeof(struct method_opts)] = {0};
        cover(own, config_method_table(m));
        for (size_t k = 0; k < sizeof own; k++)
            of_method[k] |= own[k];
    }
    expect_covered(of_method, 0, sizeof(struct method_opts));
    char *plain = config_reference(0), *markdown = config_reference(1);
    struct setting_table tables[] = {config_table(), config_methods_table()};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < tables[k].n; i++) {
            char key[100];
            snprintf(key, sizeof(key), "%s%s", k ? "methods.NAME." : "", tables[k].row[i].key);
            CU_ASSERT(strlen(tables[k].row[i].help) > 8);
            CU_ASSERT_PTR_NOT_NULL(strstr(plain, key));
            CU_ASSERT_PTR_NOT_NULL(strstr(markdown, key));
        }
    CU_ASSERT_PTR_NOT_NULL(
        strstr(markdown, "| `train.unit` | integer | `16` | 16 to 64, multiple"));
    CU_ASSERT_PTR_NOT_NULL(strstr(markdown, "adam\\|sgd"));
    for (const char *line = plain; *line; line += strcspn(line, "\n") + 1)
        CU_ASSERT(strcspn(line, "\n") <= 80);
    free(plain);
    free(markdown);
}

static void committed_configs_parse(void)
{
    static const char *const name[] = {"demo",
                                       "cifar10_lenet5",
                                       "svhn_resnet18",
                                       "cifar100_vgg19",
                                       "purchase100_mlp",
                                       "fashion_mlp",
                                       "fashion_resnet",
                                       "smoke",
                                       "paper/cifar10_lenet5",
                                       "paper/fashion_lenet5",
                                       "paper/cifar10_resnet18"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char relative[64];
        struct config cfg;
        char *text = NULL;
        size_t n_bytes = 0;
        snprintf(relative, sizeof(relative), "../configs/%s.yaml", name[i]);
        char *path = harness_fixture(relative);
        CU_ASSERT_EQUAL(file_read_all(path, &text, &n_bytes, 1 << 20), IAU_OK);
        accept(&cfg, text ? text : "");
        if (cfg.data.file) {
            CU_ASSERT_EQUAL(config_check_forget(&cfg), IAU_OK);
            CU_ASSERT(cfg.n_method >= 1);
        }
        config_free(&cfg);
        free(text);
        free(path);
    }
}

static void short_memory_is_an_error_everywhere(void)
{
    int rc = IAU_ERR_MEM, k = 0;
    while (rc != IAU_OK && ++k < 1000) {
        struct config cfg;
        mem_fail_after(k);
        rc = parse(&cfg, rich, 0, NULL);
        mem_fail_after(0);
        CU_ASSERT(rc == IAU_OK || rc == IAU_ERR_MEM);
        error_clear();
        config_free(&cfg);
    }
    CU_ASSERT(k > 20 && k < 1000);
}

static void models_of_ones_own_are_lists(void)
{
    struct config cfg;
    accept(&cfg,
           DATA "model:\n  layers:\n    - conv 4 3 pad=1\n    - batchnorm\n    - dense classes\n");
    CU_ASSERT_EQUAL(cfg.model.name, MODEL_LAYERS);
    CU_ASSERT_EQUAL(cfg.model.layers.n, 3);
    CU_ASSERT_EQUAL(cfg.train.unit, 64);
    char *text = config_text(&cfg, SCOPE_ORIGIN, 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "model.layers = [\"conv 4 3 pad=1\", batchnorm, \"dense classes\"]"));
    free(text);
    config_free(&cfg);
    accept(&cfg, DATA "model: {layers: [relu, dense classes]}\n");
    CU_ASSERT_EQUAL(cfg.train.unit, 16); /* no batch norm, no groups */
    config_free(&cfg);
    refuse(DATA "model: {name: lenet5, layers: [relu]}\n", "goes with model.name = layers only");
    refuse(DATA "model: {name: layers}\n", "needs model.layers");
    refuse(DATA "model:\n  layers:\n    - relu\n    - cnv 3 3\n",
           "demo.yaml:3: model.layers: layer 2 'cnv 3 3': 'cnv' is none of");
}

static void batch_norm_wants_groups(void)
{
    struct config cfg;
    accept(&cfg, DATA "model: {name: resnet18}\n");
    CU_ASSERT_EQUAL(cfg.train.unit, 64);
    CU_ASSERT_EQUAL(cfg.model.width, 64);
    config_free(&cfg);
    refuse(DATA "model: {name: vgg19}\ntrain: {unit: 32}\n",
           "train.unit = 32: must be 64 with batch norm");
    refuse(DATA "model: {name: resnet18}\ntrain: {batch: 15}\n",
           "train.batch = 15: leaves no group of 16 samples");
    refuse(DATA "model: {name: resnet18}\norigins: {a: {train.batch: 8}}\n",
           "leaves no group of 16 samples");
}

/* The setting names the formats that the importer knows, in its order. */
static void formats_are_those_of_the_importer(void)
{
    const char *choices = setting_find(config_table(), "data.source.format")->choices;
    char known[256] = "";
    for (int i = 0; import_formats[i]; i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof(known) - at, "%s%s", i ? "|" : "", import_formats[i]->name);
    }
    CU_ASSERT_STRING_EQUAL(choices, known);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"defaults are the documented ones", defaults_are_the_documented_ones},
        {"origins and methods take nested and dotted keys",
         origins_and_methods_take_nested_and_dotted_keys},
        {"one seed is that of all that have none", one_seed_is_that_of_all_that_have_none},
        {"an origin may be a file", an_origin_may_be_a_file},
        {"overrides come after the file", overrides_come_after_the_file},
        {"wrong keys are named with line and neighbour",
         wrong_keys_are_named_with_line_and_neighbour},
        {"wrong values are named with line", wrong_values_are_named_with_line},
        {"settings that do not go together are refused",
         settings_that_do_not_go_together_are_refused},
        {"names are checked", names_are_checked},
        {"retrained twins of other seeds", retrained_twins_of_other_seeds},
        {"wrong overrides are named as given", wrong_overrides_are_named_as_given},
        {"wrong YAML is refused with its place", wrong_yaml_is_refused_with_its_place},
        {"one thing is to be forgotten", one_thing_is_to_be_forgotten},
        {"effective config reads back the same", effective_config_reads_back_the_same},
        {"texts hold what defines bytes and no more", texts_hold_what_defines_bytes_and_no_more},
        {"every field has a setting with help", every_field_has_a_setting_with_help},
        {"committed configs parse", committed_configs_parse},
        {"short memory is an error everywhere", short_memory_is_an_error_everywhere},
        {"models of one's own are lists", models_of_ones_own_are_lists},
        {"batch norm wants groups", batch_norm_wants_groups},
        {"formats are those of the importer", formats_are_those_of_the_importer},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "config", tests);
}
