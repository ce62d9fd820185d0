/* The rows of the table of settings, and finding one by its key or by something near it. */
#include "app/config_table.h"

#include <math.h>
#include <string.h>

#include "app/config.h"

#define AT(field)   offsetof(struct config, field)
#define FROM(x)     .lo = (x), .hi = INFINITY
#define ABOVE(x)    .lo = (x), .hi = INFINITY, .open = OPEN_LO
#define SPAN(a, b)  .lo = (a), .hi = (b)
#define BELOW(a, b) .lo = (a), .hi = (b), .open = OPEN_HI
#define ANY         .lo = -INFINITY, .hi = INFINITY
#define NUMPY_SEED  SPAN(0, 4294967295.0)

enum {
    IN_ALL = IN_ORIGIN | IN_RETRAIN | IN_METHOD, /* every output depends on it */
    IN_TRAINED = IN_ORIGIN | IN_RETRAIN,
    IN_UNLEARNED = IN_RETRAIN | IN_METHOD
};

static const struct setting general[] = {
    {"seed", SETTING_INT, AT(seed), "-1", SPAN(-1, 4294967295.0),
     .help = "All seeds at once: what data.seed, forget.seed, train.seed, audit.seed and the seeds "
             "of methods are where they are not set. -1: each has a default of its own."},
    {"data.file", SETTING_TEXT, AT(data.file),
     .help = "Dataset file, as `iau import` writes it. Required."},
    {"data.source.format", SETTING_TEXT, AT(data.source.format),
     .choices = "idx|cifar10|cifar100|svhn|purchase|csv|numpy|hdf5",
     .help = "Format to import from when data.file is missing (`iau run`); these settings are the "
             "options of `iau import`, too."},
    {"data.source.files", SETTING_TEXTS, AT(data.source.files),
     .help =
         "What to import: the folder of a published data set, or files of the training part, in "
         "order; `iau import --help` says which."},
    {"data.source.name", SETTING_TEXT, AT(data.source.name),
     .help = "Name of the data set. Empty: that of the format or the source."},
    {"data.source.test_files", SETTING_TEXTS, AT(data.source.test_files),
     .help = "Files of the test part."},
    {"data.source.test_fraction", SETTING_REAL, AT(data.source.test_fraction), "0", BELOW(0, 1),
     .help = "Share of the rows to take as test part, where the source has none."},
    {"data.source.test_seed", SETTING_INT, AT(data.source.test_seed), "1", NUMPY_SEED,
     .help = "Seed of that share (numpy's legacy shuffle)."},
    {"data.source.x", SETTING_TEXT, AT(data.source.x),
     .help = "Samples. hdf5: path of the array; numpy: name in the archive."},
    {"data.source.y", SETTING_TEXT, AT(data.source.y),
     .help = "Labels. csv: name of the column; hdf5: path of the array; numpy: name in the "
             "archive."},
    {"data.source.id", SETTING_TEXT, AT(data.source.id),
     .help =
         "Sample ids, unique 64-bit integers. csv: name of the column; hdf5: path of the array; "
         "numpy: name in the archive, or a .npy file. Empty: ids are row numbers."},
    {"data.source.test_x", SETTING_TEXT, AT(data.source.test_x),
     .help = "hdf5, numpy: samples of a test part in the same file."},
    {"data.source.test_y", SETTING_TEXT, AT(data.source.test_y), .help = "Labels of it."},
    {"data.source.test_id", SETTING_TEXT, AT(data.source.test_id), .help = "Ids of it."},
    {"data.source.labels", SETTING_CHOICE, AT(data.source.labels), "fine", "fine|coarse",
     .help = "cifar100: the 100 fine labels, or the 20 coarse ones."},
    {"data.source.layout", SETTING_CHOICE, AT(data.source.layout), "chw", "chw|hwc",
     .help = "hdf5, numpy: whether an image is stored as channels of rows, or with its channels "
             "last."},
    {"data.source.extra", SETTING_SWITCH, AT(data.source.extra), "off",
     .help = "svhn: add the extra part to the training part."},
    {"data.source.shuffle", SETTING_INT, AT(data.source.shuffle), "-1", SPAN(-1, 4294967295.0),
     .help = "Seed to permute the training rows with; ids stay with their samples. -1: keep their "
             "order."},
    {"data.source.compress", SETTING_SWITCH, AT(data.source.compress), "off",
     .help = "Compress the samples in the dataset file: smaller, but slower to write and to "
             "read."},
    {"data.memory_mib", SETTING_INT, AT(data.memory_mib), "0", SPAN(0, 1073741824), .unit = "MiB",
     .help =
         "Memory of a rank for samples. What takes more is streamed from the dataset file while "
         "it is worked on, which does not change a byte of the result; 0: no limit."},
    {"data.seed", SETTING_INT, AT(data.seed), "1", NUMPY_SEED, .scopes = IN_ALL,
     .help = "Seed of the training/validation split (numpy's legacy shuffle)."},
    {"data.valid", SETTING_REAL, AT(data.valid), "0.2", BELOW(0, 1), .scopes = IN_ALL,
     .help = "Share of the training part held out for validation."},
    {"data.limit", SETTING_INT, AT(data.limit), "0", FROM(0), .scopes = IN_ALL, .unit = "samples",
     .help = "Use only so many samples of the training part, drawn by data.seed, validation "
             "included; 0: all."},
    {"data.without", SETTING_TEXT, AT(data.without),
     .help = "Leave out the training samples whose ids are in this file, as if they were not in "
             "data.file: those that earlier requests had removed. Text, one a line, or HDF5."},
    {"data.normalize.mean", SETTING_REALS, AT(data.mean), ANY, .scopes = IN_ALL,
     .help = "Mean to subtract, one value a channel. Empty: measured at import (tables: no "
             "normalisation)."},
    {"data.normalize.std", SETTING_REALS, AT(data.std), ABOVE(0), .scopes = IN_ALL,
     .help =
         "Standard deviation to divide by, one value a channel; goes with data.normalize.mean."},

    {"model.name", SETTING_CHOICE, AT(model.name), "lenet5", "lenet5|mlp|resnet18|vgg19|layers",
     .scopes = IN_ALL,
     .help = "lenet5, vgg19: images up to 32x32; resnet18: images; mlp: fully connected layers on "
             "any input; layers: as model.layers says, which is the default where it is given."},
    {"model.hidden", SETTING_INTS, AT(model.hidden), "256", SPAN(1, 65536), .scopes = IN_ALL,
     .help = "Sizes of the hidden layers of an mlp."},
    {"model.activation", SETTING_CHOICE, AT(model.activation), "tanh", "tanh|relu",
     .scopes = IN_ALL, .help = "Activation of an mlp."},
    {"model.width", SETTING_INT, AT(model.width), "64", SPAN(1, 1024), .scopes = IN_ALL,
     .unit = "channels", .help = "resnet18, vgg19: channels of the first stage."},
    {"model.layers", SETTING_TEXTS, AT(model.layers), .scopes = IN_ALL,
     .help = "A model of one's own, a layer a line: input H [W]; conv OUT K [stride=1] [pad=0] "
             "[bias=on|off]; batchnorm; relu; tanh; dropout P; maxpool K; avgpool [K]; dense "
             "OUT|classes; "
             "residual begin, residual skip and residual end around the branches of a residual "
             "connection. name=NAME names a layer's tensors; init=default|kaiming|normal."},

    {"train.seed", SETTING_INT, AT(train.seed), "42", FROM(0), .scopes = IN_ALL,
     .help = "Seed of the initial weights and of the order of samples."},
    {"train.epochs", SETTING_INT, AT(train.epochs), "200", SPAN(1, 1e6), .scopes = IN_ALL,
     .unit = "epochs", .help = "Most epochs to train."},
    {"train.batch", SETTING_INT, AT(train.batch), "64", SPAN(1, 1048576), .scopes = IN_ALL,
     .unit = "samples", .help = "Global batch size; the same at any number of ranks."},
    {"train.unit", SETTING_INT, AT(train.unit), "16", SPAN(16, 64), .multiple = 16,
     .scopes = IN_ALL, .unit = "samples",
     .help = "Samples of one piece of work and of summation; a batch keeps batch/unit ranks busy. "
             "Default for an mlp:"
             " 64. With batch norm it is 64, the group whose statistics are used."},
    {"train.patience", SETTING_INT, AT(train.patience), "10", SPAN(0, 1e6), .scopes = IN_ALL,
     .unit = "epochs",
     .help = "Stop after this many epochs in a row below the best validation accuracy; 0: never."},
    {"train.shards", SETTING_INT, AT(train.shards), "1", SPAN(1, 1024), .scopes = IN_ALL,
     .unit = "shards",
     .help =
         "SISA: cut the training set into so many shards by train.seed and sample id, and train "
         "a model on each; the method `sisa` then retrains shards with forgotten samples only. "
         "1: one model; usual: 5. The models answer as evaluate.aggregate says."},
    {"train.slices", SETTING_INT, AT(train.slices), "1", SPAN(1, 1024), .scopes = IN_ALL,
     .unit = "slices",
     .help = "SISA: train a shard's model on its first slice, then on the first two, and so on, "
             "ceil(2 train.epochs / (slices + 1)) epochs each, and keep the model after each; "
             "retraining goes on from the one before the first slice with a forgotten sample."},
    {"train.gradient_sum", SETTING_SWITCH, AT(train.gradient_sum), "on", .scopes = IN_TRAINED,
     .help = "Store the gradient sum of the training set with the model, so that unlearning reads "
             "only the forgotten"
             " samples."},
    {"train.optimizer.name", SETTING_CHOICE, AT(train.optimizer.name), "adam", "adam|sgd",
     .scopes = IN_ALL, .help = "Optimizer."},
    {"train.optimizer.lr", SETTING_REAL, AT(train.optimizer.lr), "1e-3", ABOVE(0), .scopes = IN_ALL,
     .help = "Learning rate."},
    {"train.optimizer.momentum", SETTING_REAL, AT(train.optimizer.momentum), "0", BELOW(0, 1),
     .scopes = IN_ALL, .help = "Momentum of sgd."},
    {"train.optimizer.weight_decay", SETTING_REAL, AT(train.optimizer.weight_decay), "0", FROM(0),
     .scopes = IN_ALL, .help = "L2 weight decay, added to the gradient as in torch."},
    {"train.optimizer.beta1", SETTING_REAL, AT(train.optimizer.beta1), "0.9", BELOW(0, 1),
     .scopes = IN_ALL, .help = "Decay of adam's mean of gradients."},
    {"train.optimizer.beta2", SETTING_REAL, AT(train.optimizer.beta2), "0.999", BELOW(0, 1),
     .scopes = IN_ALL, .help = "Decay of adam's mean of squares."},
    {"train.optimizer.epsilon", SETTING_REAL, AT(train.optimizer.epsilon), "1e-8", ABOVE(0),
     .scopes = IN_ALL, .help = "Added to adam's root."},
    {"train.schedule.name", SETTING_CHOICE, AT(train.schedule.name), "constant",
     "constant|step|cosine", .scopes = IN_ALL,
     .help = "Course of the learning rate over the epochs."},
    {"train.schedule.every", SETTING_INT, AT(train.schedule.every), "0", SPAN(0, 1e6),
     .scopes = IN_ALL, .unit = "epochs",
     .help = "step: epochs between two drops; at least 1 then."},
    {"train.schedule.factor", SETTING_REAL, AT(train.schedule.factor), "0.1", .lo = 0, .hi = 1,
     .open = OPEN_LO, .scopes = IN_ALL, .help = "step: what a drop multiplies the rate by."},
    {"train.schedule.floor", SETTING_REAL, AT(train.schedule.floor), "0", SPAN(0, 1),
     .scopes = IN_ALL, .help = "cosine: the last rate as a share of the first."},
    {"train.augment.crop", SETTING_INT, AT(train.augment.crop), "0", SPAN(0, 1024),
     .scopes = IN_ALL, .unit = "pixels",
     .help = "Training on images: shift each sample at random by up to this many pixels either "
             "way; what enters is black. 0: off; usual for CIFAR: 4."},
    {"train.augment.flip", SETTING_SWITCH, AT(train.augment.flip), "off", .scopes = IN_ALL,
     .help = "Training on images: mirror each sample left to right with probability 1/2."},
    {"train.restriction.alpha", SETTING_REAL, AT(train.restriction.alpha), "0", FROM(0),
     .scopes = IN_ALL,
     .help = "Gradient restriction: weight of the gradient's norm in the loss; 0: off."},
    {"train.restriction.norm", SETTING_CHOICE, AT(train.restriction.norm), "per_tensor",
     "per_tensor|global", .scopes = IN_ALL,
     .help = "One norm a parameter tensor, added up, or one norm of the whole gradient."},

    {"forget.ratio", SETTING_REAL, AT(forget.ratio), "0", BELOW(0, 1), .scopes = IN_UNLEARNED,
     .help = "Forget this share of the training set, drawn by forget.seed; 0: by ids or classes."},
    {"forget.seed", SETTING_INT, AT(forget.seed), "1", NUMPY_SEED, .scopes = IN_UNLEARNED,
     .help = "Seed of that share (numpy's legacy shuffle)."},
    {"forget.ids", SETTING_TEXT, AT(forget.ids),
     .help = "Forget the sample ids in this file: text, one a line, or HDF5."},
    {"forget.classes", SETTING_INTS, AT(forget.classes), FROM(0), .scopes = IN_UNLEARNED,
     .help = "Forget all training samples with these labels."},
    {"forget.poison", SETTING_SWITCH, AT(forget.poison), "off", .scopes = IN_UNLEARNED,
     .help = "The samples to forget have wrong labels in training, retraining excepted, which is "
             "without them; each is drawn uniformly from the other classes by forget.seed and the "
             "sample's id. An experiment: what a method mends of a poisoned batch."},

    {"unlearn.methods", SETTING_TEXTS, AT(selection),
     .help = "Names of the entries of `methods` to run. Empty: all."},
    {"evaluate.floor", SETTING_INT, AT(evaluate.floor), "0", SPAN(0, 100), .unit = "models",
     .help = "Noise floor: retrain each origin so many times more, with train.seed + 1 and so on; "
             "how far retrained models lie apart then stands beside every gap to the first."},
    {"evaluate.aggregate", SETTING_CHOICE, AT(evaluate.aggregate), "mean", "mean|vote",
     .help = "How the models of an ensemble (train.shards) answer as one. mean: with the mean of "
             "their probabilities; vote: a class has the probability that is its share of their "
             "votes, and of equal ones the first class is predicted."},
    {"evaluate.samples", SETTING_SWITCH, AT(evaluate.samples), "off",
     .help = "Write the scores of every sample to results.h5 as well."},
    {"evaluate.rank_retrain", SETTING_SWITCH, AT(evaluate.rank_retrain), "off",
     .help = "Let the retrained models take part in the ranking of methods, too."},
    {"audit.shadows", SETTING_INT, AT(audit.shadows), "0", SPAN(0, 65536), .multiple = 2,
     .unit = "models",
     .help =
         "Shadow models of each origin, for likelihood-ratio attacks (LiRA, U-LiRA): trained on "
         "the retained samples and a random half of the targets, which are the forgotten "
         "samples and as many of the validation set. 0: none; 64 are a good number, 6 the "
         "fewest."},
    {"audit.epochs", SETTING_INT, AT(audit.epochs), "10", SPAN(1, 1e6), .unit = "epochs",
     .help = "Most epochs to train a shadow; the other settings are its origin's train.*."},
    {"audit.ranks", SETTING_INT, AT(audit.ranks), "1", SPAN(1, 1e6), .unit = "ranks",
     .help = "Ranks that make a model together; the others of the job make others meanwhile. "
             "Changes no byte."},
    {"audit.seed", SETTING_INT, AT(audit.seed), "1", FROM(0),
     .help = "Seed of all that the audit draws: targets, halves, seeds of shadows."},
    {"audit.methods", SETTING_TEXTS, AT(audit.methods),
     .help = "For U-LiRA: names of the entries of `methods`, without tune, and of retrained twins, "
             "by which each shadow unlearns its half of the targets. With retraining among them, "
             "methods are compared with retrained shadows; else with shadows of the other half, "
             "which is cheaper, but not quite what retraining gives."},
    {"audit.origins", SETTING_TEXTS, AT(audit.origins),
     .help = "Names of the origins that have shadows. Empty: all but ensembles."},
    {"audit.variance", SETTING_CHOICE, AT(audit.variance), "auto", "auto|sample|pooled",
     .help = "Variances of LiRA's Gaussians: of each target by itself, or the mean over all "
             "targets of their variances; auto: pooled below 64 shadows. The centre is the mean."},
    {"audit.attack.shadows", SETTING_INT, AT(audit.attack.shadows), "0", SPAN(0, 1000),
     .unit = "models",
     .help = "Shadow models for the attack network of the paper's reference code, which has 3. 0: "
             "no such attack."},
    {"audit.attack.pool", SETTING_REAL, AT(audit.attack.pool), "0.9", .lo = 0, .hi = 1,
     .open = OPEN_LO,
     .help = "Share of the samples for training and validation that these shadows are drawn from; "
             "each is trained on half of it."},
    {"audit.attack.epochs", SETTING_INT, AT(audit.attack.epochs), "25", SPAN(1, 1e6),
     .unit = "epochs", .help = "Epochs of these shadows."},
    {"audit.attack.batch", SETTING_INT, AT(audit.attack.batch), "1024", SPAN(1, 1048576),
     .unit = "samples", .help = "Their batch."},
    {"audit.attack.lr", SETTING_REAL, AT(audit.attack.lr), "1e-3", ABOVE(0),
     .help = "Their learning rate, of adam."},
    {"audit.attack.net_epochs", SETTING_INT, AT(audit.attack.net_epochs), "50", SPAN(1, 1e6),
     .unit = "epochs", .help = "Epochs of the attack network."},
    {"audit.attack.net_batch", SETTING_INT, AT(audit.attack.net_batch), "8192", SPAN(1, 1048576),
     .unit = "samples", .help = "Its batch."},
    {"audit.attack.net_lr", SETTING_REAL, AT(audit.attack.net_lr), "0.01", ABOVE(0),
     .help = "Its learning rate, of adam."},
    {"output.dir", SETTING_TEXT, AT(output.dir), "out",
     .help = "Folder of all outputs; made where missing."},
    {"output.origins", SETTING_TEXT, AT(output.origins),
     .help = "Folder of the origins' files, for requests with an output.dir of their own. Empty: "
             "output.dir. {digest} in it stands for a digest of the settings that an origin "
             "depends on, so that many configs can share one folder, as a campaign's tasks do."},
    {"output.retrained", SETTING_TEXT, AT(output.retrained),
     .help = "The same for their retrained twins."},
    {"checkpoint.every_seconds", SETTING_REAL, AT(checkpoint.every_seconds), "600", FROM(0),
     .unit = "seconds",
     .help = "Time between two restart files of a model in the making; 0: not by the clock. One is "
             "also written when a signal stops the run."},
    {"checkpoint.every_steps", SETTING_INT, AT(checkpoint.every_steps), "0", FROM(0),
     .unit = "steps", .help = "Steps between two restart files; 0: not by steps."},
    {"checkpoint.keep", SETTING_INT, AT(checkpoint.keep), "1", SPAN(1, 100), .unit = "files",
     .help = "Restart files of a model to keep until it is complete: the newest, "
             "NAME.restart.h5, and the ones before it, NAME.restart.1.h5 and so on."},
    {"campaign.silence_s", SETTING_REAL, AT(campaign.silence_s), "300", FROM(1), .unit = "seconds",
     .help = "iau campaign status: a task that has begun and shows no sign of life for so long "
             "counts as failed."},
};

struct setting_table config_table(void)
{
    return (struct setting_table){(int)(sizeof(general) / sizeof(general[0])), general};
}

const struct setting *setting_find(struct setting_table t, const char *key)
{
    for (int i = 0; i < t.n; i++)
        if (strcmp(t.row[i].key, key) == 0)
            return &t.row[i];
    return NULL;
}

void setting_source_option(const struct setting *s, char name[SOURCE_OPTION_CHARS])
{
    static const char section[] = "data.source.";
    const char *key = s->key + sizeof section - 1;
    name[0] = '\0';
    if (strncmp(s->key, section, sizeof section - 1) != 0 || strcmp(key, "format") == 0 ||
        strcmp(key, "files") == 0)
        return;
    snprintf(name, SOURCE_OPTION_CHARS, "--%s", key);
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '-' : *p;
}

int setting_is_section(struct setting_table t, const char *key)
{
    size_t len = strlen(key);
    for (int i = 0; i < t.n; i++)
        if (strncmp(t.row[i].key, key, len) == 0 && t.row[i].key[len] == '.')
            return 1;
    return 0;
}

enum { WORD_MAX = 63 };

/* Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`; WORD_MAX
 * characters of each count. */
static int edit_distance(const char *a, const char *b)
{
    int na = (int)strnlen(a, WORD_MAX), nb = (int)strnlen(b, WORD_MAX);
    unsigned char d[WORD_MAX + 1][WORD_MAX + 1];
    for (int i = 0; i <= na; i++)
        for (int j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned char)(i + j);
                continue;
            }
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = (unsigned char)best;
        }
    return d[na][nb];
}

/* The farthest distance at which a word still counts as a slip of the pen. */
static int near_enough(const char *word)
{
    int third = (int)strnlen(word, WORD_MAX) / 3;
    return third < 1 ? 1 : third > 3 ? 3 : third;
}

const char *word_nearest(const char *word, const char *const *words, int n)
{
    const char *best = NULL;
    int best_distance = near_enough(word) + 1;
    for (int i = 0; i < n; i++) {
        int distance = edit_distance(word, words[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = words[i];
        }
    }
    return best;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

const char *setting_nearest(struct setting_table t, const char *key)
{
    static char section[WORD_MAX + 1];
    const char *best = NULL;
    int best_distance = near_enough(key) + 1;
    for (int i = 0; i < t.n; i++) {
        char word[WORD_MAX + 1];
        snprintf(word, sizeof(word), "%s", t.row[i].key);
        do { /* the key itself, then the sections that it is in */
            int distance = edit_distance(key, word);
            if (distance < best_distance) {
                best_distance = distance;
                memcpy(section, word, sizeof(word));
                best = section;
            }
            char *dot = strrchr(word, '.');
            *(dot ? dot : word) = '\0';
        } while (*word);
    }
    /* A right name in the wrong section: train.lr for train.optimizer.lr. */
    for (int i = 0; !best && i < t.n; i++)
        if (strcmp(last_part(key), last_part(t.row[i].key)) == 0)
            best = t.row[i].key;
    return best;
}
