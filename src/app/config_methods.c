/* The table of settings of an entry of `methods`. A key that several methods have may stand more
 * than once, with the defaults of each. Where a default comes from stands in the method's help. */
#include <math.h>

#include "app/config.h"
#include "app/config_table.h"

#define OF(field)   offsetof(struct method_opts, field)
#define FOR(method) (1u << (method))
#define FROM(x)     .lo = (x), .hi = INFINITY
#define ABOVE(x)    .lo = (x), .hi = INFINITY, .open = OPEN_LO
#define SPAN(a, b)  .lo = (a), .hi = (b)
#define BELOW(a, b) .lo = (a), .hi = (b), .open = OPEN_HI

enum {
    FINETUNE = FOR(METHOD_FINETUNE),
    ASCENT = FOR(METHOD_ASCENT),
    NEGGRAD_PLUS = FOR(METHOD_NEGGRAD_PLUS),
    RANDOM_LABEL = FOR(METHOD_RANDOM_LABEL),
    SCRUB = FOR(METHOD_SCRUB),
    SALUN = FOR(METHOD_SALUN),
    CURVED = FOR(METHOD_IAU_CURVATURE),
    INFLUENCE = FOR(METHOD_INFLUENCE),
    FISHER = FOR(METHOD_FISHER),
    SSD = FOR(METHOD_SSD),
    /* Methods that are passes of tuning, those that have some, and those with defaults in common.
     */
    PASSES = FINETUNE | ASCENT | NEGGRAD_PLUS | RANDOM_LABEL | SCRUB | SALUN,
    TUNED = PASSES | CURVED,
    OPTML = FINETUNE | ASCENT | RANDOM_LABEL | SALUN,
    WITH_STRENGTH = FOR(METHOD_IAU) | TUNED | INFLUENCE | FISHER | SSD
};

#define X(enumerator, name) "|" name
static const char method_choices[] = IAU_METHOD_LIST(X);
#undef X

/* Rows that differ between methods in their defaults alone. */
#define ROW_LR(value, whose)                                                  \
    {                                                                         \
        "lr", SETTING_REAL, OF(tuning.optimizer.lr), value, ABOVE(0),         \
            .methods = (whose), .scopes = IN_METHOD, .help = "Learning rate." \
    }
#define ROW_WEIGHT_DECAY(value, whose)                                                   \
    {                                                                                    \
        "weight_decay", SETTING_REAL, OF(tuning.optimizer.weight_decay), value, FROM(0), \
            .methods = (whose), .scopes = IN_METHOD,                                     \
            .help = "L2 weight decay, added to the gradient as in torch."                \
    }

static const struct setting rows[] = {
    {"name", SETTING_TEXT, OF(name), .help = "Name of this entry and of its model file. Required."},
    {"method", SETTING_CHOICE, OF(method), "iau", method_choices + 1, .scopes = IN_METHOD,
     .help = "What makes it; see the list of methods. Required."},
    {"origin", SETTING_TEXT, OF(origin), .help = "Origin to start from. Default: the first one."},

    {"tune", SETTING_INT, OF(tune), "0", SPAN(0, 1000), .methods = WITH_STRENGTH,
     .scopes = IN_METHOD, .unit = "trials",
     .help =
         "Strengths to try: the one is kept that brings the loss on forgotten samples nearest to "
         "that on validation samples, which must not rise; five spread over the range, then "
         "golden-section search. That is no goal for forget.classes and forget.poison. Test "
         "samples "
         "have no say in it: accuracy_test of /trials is for reports alone. The strength is lr, or "
         "what is called so. 0: as it is set."},
    {"tune_range", SETTING_REAL, OF(tune_range), "10", ABOVE(1), .methods = WITH_STRENGTH,
     .scopes = IN_METHOD,
     .help = "Strengths are tried from the set one divided by this to it times this."},

    {"correction", SETTING_SWITCH, OF(iau.correction), "on", .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD,
     .help = "Gradient correction: descend on the retained samples while ascending on the "
             "forgotten ones."},
    {"weight", SETTING_REAL, OF(iau.weight), "1", FROM(0), .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD, .help = "Weight of the retained samples' gradient."},
    {"optimizer", SETTING_CHOICE, OF(iau.optimizer), "adam", "adam|sgd", .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD, .help = "Optimizer of the step; it starts from zero state."},
    {"lr", SETTING_REAL, OF(iau.lr), "1e-3", ABOVE(0), .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD, .help = "Learning rate of the step."},
    {"scale", SETTING_CHOICE, OF(iau.scale), "mean", "mean|sum", .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD, .help = "Both gradients as means or as sums over their sets."},
    {"step", SETTING_CHOICE, OF(iau.step), "fixed", "fixed|calibrated", .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD,
     .help = "calibrated: length chosen so that the forgotten samples' loss equals the validation "
             "loss; not for forget.classes and forget.poison."},
    {"steps", SETTING_INT, OF(iau.steps), "1", SPAN(1, 1e6), .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD, .unit = "steps", .help = "Number of steps; 1 when calibrated."},
    {"cache", SETTING_CHOICE, OF(iau.cache), "auto", "auto|off", .methods = FOR(METHOD_IAU),
     .help = "auto: use the origin's stored gradient sum where it is valid; the result is the same "
             "bytes."},

    {"samples", SETTING_INT, OF(curvature.samples), "500", FROM(0), .methods = CURVED,
     .scopes = IN_METHOD, .unit = "samples",
     .help =
         "Retained samples, drawn by seed, that the Gauss-Newton matrix is taken over; 0: all."},
    {"relative_damping", SETTING_REAL, OF(curvature.relative_damping), "0.01", ABOVE(0),
     .methods = CURVED, .scopes = IN_METHOD,
     .help = "So many times the curvature of that matrix along the right-hand side are added to "
             "its diagonal."},
    {"iterations", SETTING_INT, OF(curvature.iterations), "10", SPAN(1, 1e6), .methods = CURVED,
     .scopes = IN_METHOD, .unit = "products", .help = "Iterations of conjugate gradients."},
    {"step", SETTING_CHOICE, OF(curvature.step), "calibrated", "fixed|calibrated",
     .methods = CURVED, .scopes = IN_METHOD,
     .help =
         "calibrated: the step's length is the strength times the length at which the forgotten "
         "samples' loss equals that of held-out ones, which is 0 or too little for forget.classes "
         "and forget.poison; fixed: it is the strength."},
    {"strength", SETTING_REAL, OF(curvature.strength), "1.6", ABOVE(0), .methods = CURVED,
     .scopes = IN_METHOD,
     .help = "See step. More than 1 where a repair follows, which takes some of it back."},
    {"held_out", SETTING_INT, OF(curvature.held_out), "2000", FROM(0), .methods = CURVED,
     .scopes = IN_METHOD, .unit = "samples",
     .help = "Validation samples, drawn by seed, that calibration looks at; 0: all."},
    {"repair", SETTING_REAL, OF(curvature.repair), "0.6", SPAN(0, 1), .methods = CURVED,
     .scopes = IN_METHOD,
     .help = "Share of the retained samples, drawn by seed, that the repair goes "
             "over in each of its epochs; 0: no repair."},
    {"hold", SETTING_REAL, OF(curvature.hold), "3.8", SPAN(0, 1000), .methods = CURVED,
     .scopes = IN_METHOD,
     .help = "Weight of ascent on a forgotten sample in the repair, beside 1 for a retained one; "
             "means over the two sets weigh hold |D_f| / |D_r| and 1."},
    {"average", SETTING_REAL, OF(curvature.average), "0.5", SPAN(0, 1), .methods = CURVED,
     .scopes = IN_METHOD,
     .help =
         "The result is the mean of the parameters after this last share of the repair's steps; "
         "0: those after the last."},
    {"epochs", SETTING_INT, OF(tuning.epochs), "1", SPAN(1, 1e6), .methods = CURVED,
     .scopes = IN_METHOD, .unit = "epochs", .help = "Epochs of the repair."},
    {"optimizer", SETTING_CHOICE, OF(tuning.optimizer.name), "sgd", "adam|sgd", .methods = CURVED,
     .scopes = IN_METHOD, .help = "Optimizer of the repair; it starts from zero state."},
    {"lr", SETTING_REAL, OF(tuning.optimizer.lr), "0.02", ABOVE(0), .methods = CURVED,
     .scopes = IN_METHOD, .help = "Learning rate of the repair."},
    {"momentum", SETTING_REAL, OF(tuning.optimizer.momentum), "0", BELOW(0, 1), .methods = CURVED,
     .scopes = IN_METHOD, .help = "Momentum of sgd in the repair."},
    {"weight_decay", SETTING_REAL, OF(tuning.optimizer.weight_decay), "0", FROM(0),
     .methods = CURVED, .scopes = IN_METHOD, .help = "L2 weight decay in the repair."},

    {"form", SETTING_CHOICE, OF(influence.form), "reweight", "reweight|newton",
     .methods = INFLUENCE, .scopes = IN_METHOD,
     .help =
         "reweight: the derivative by the samples' weights, which leaves a model that is not at "
         "a minimum as far from it; newton: to the minimum of the retained samples' loss."},
    {"strength", SETTING_REAL, OF(influence.strength), "1", ABOVE(0), .methods = INFLUENCE,
     .scopes = IN_METHOD, .help = "What the step is multiplied by; 1 is the theory."},
    {"product", SETTING_CHOICE, OF(influence.product), "gauss_newton", "hessian|gauss_newton",
     .methods = INFLUENCE, .scopes = IN_METHOD,
     .help = "The matrix: exact second derivatives, or the Gauss-Newton matrix, which has no "
             "negative curvature."},
    {"samples", SETTING_INT, OF(influence.samples), "4000", FROM(0), .methods = INFLUENCE,
     .scopes = IN_METHOD, .unit = "samples",
     .help = "Retained samples, drawn by seed, that the matrix is the mean over; 0: all."},
    {"damping", SETTING_REAL, OF(influence.damping), "0.01", FROM(0), .methods = INFLUENCE,
     .scopes = IN_METHOD, .help = "Added to the matrix's diagonal."},
    {"iterations", SETTING_INT, OF(influence.iterations), "10", SPAN(1, 1e6), .methods = INFLUENCE,
     .scopes = IN_METHOD, .unit = "products", .help = "Most iterations of conjugate gradients."},
    {"tolerance", SETTING_REAL, OF(influence.tolerance), "1e-7", FROM(0), .methods = INFLUENCE,
     .scopes = IN_METHOD,
     .help = "Residual, as a share of the right-hand side, at which they stop."},
    {"alpha", SETTING_REAL, OF(fisher.alpha), "3e-6", ABOVE(0), .methods = FISHER,
     .scopes = IN_METHOD, .help = "What the variance of the noise is multiplied by."},
    {"samples", SETTING_INT, OF(fisher.samples), "0", FROM(0), .methods = FISHER,
     .scopes = IN_METHOD, .unit = "samples",
     .help = "Retained samples, drawn by seed, that the information is taken over; 0: all."},
    {"alpha", SETTING_REAL, OF(ssd.alpha), "10", FROM(0), .methods = SSD, .scopes = IN_METHOD,
     .help = "Parameters are dampened that are more than so many times as important to the "
             "forgotten samples as to all."},
    {"lambda", SETTING_REAL, OF(ssd.lambda), "1", ABOVE(0), .methods = SSD, .scopes = IN_METHOD,
     .help = "They are multiplied by lambda times the ratio of the two importances, or by 1 where "
             "that is more."},

    {"mode", SETTING_CHOICE, OF(tuning.mode), "train", "eval|train", .methods = TUNED,
     .scopes = IN_METHOD,
     .help = "train: steps use batch norm's statistics of their groups of samples, which move the "
             "running ones, and dropout is active; eval: neither. Steps of fewer than 16 samples "
             "keep the statistics in any mode."},
    {"seed", SETTING_INT, OF(seed), "1", FROM(0), .methods = TUNED | INFLUENCE | FISHER,
     .scopes = IN_METHOD,
     .help = "Seed of what the method draws: the order of samples, labels, noise."},
    {"batch", SETTING_INT, OF(tuning.batch), "256", SPAN(1, 1048576), .methods = OPTML,
     .scopes = IN_METHOD, .unit = "samples", .help = "Samples of a step."},
    {"batch", SETTING_INT, OF(tuning.batch), "128", SPAN(1, 1048576), .methods = CURVED,
     .scopes = IN_METHOD, .unit = "samples", .help = "Samples of a step of the repair."},
    {"batch", SETTING_INT, OF(tuning.batch), "128", SPAN(1, 1048576), .methods = NEGGRAD_PLUS,
     .scopes = IN_METHOD, .unit = "samples", .help = "Retained samples of a step."},
    {"batch", SETTING_INT, OF(tuning.batch), "32", SPAN(1, 1048576), .methods = SCRUB,
     .scopes = IN_METHOD, .unit = "samples", .help = "Retained samples of a step."},
    {"forget_batch", SETTING_INT, OF(forget_batch), "32", SPAN(1, 1048576), .methods = CURVED,
     .scopes = IN_METHOD, .unit = "samples",
     .help = "Forgotten samples of a step of the repair, where hold is above 0."},
    {"forget_batch", SETTING_INT, OF(forget_batch), "64", SPAN(1, 1048576),
     .methods = NEGGRAD_PLUS | SCRUB, .scopes = IN_METHOD, .unit = "samples",
     .help = "Forgotten samples of a step."},
    {"epochs", SETTING_INT, OF(tuning.epochs), "10", SPAN(1, 1e6), .methods = PASSES & ~ASCENT,
     .scopes = IN_METHOD, .unit = "epochs", .help = "Epochs; each goes over the retained samples."},
    {"epochs", SETTING_INT, OF(tuning.epochs), "5", SPAN(1, 1e6), .methods = ASCENT,
     .scopes = IN_METHOD, .unit = "epochs", .help = "Most epochs over the forgotten samples."},
    {"until", SETTING_CHOICE, OF(until), "validation", "validation|off", .methods = ASCENT,
     .scopes = IN_METHOD,
     .help = "validation: stop after the epoch in which the loss on the forgotten samples has "
             "passed that on the validation samples, which is too early for forget.classes and "
             "forget.poison."},
    {"alpha", SETTING_REAL, OF(neggrad_alpha), "0.95", SPAN(0, 1), .methods = NEGGRAD_PLUS,
     .scopes = IN_METHOD,
     .help = "Weight of the retained samples' loss; the forgotten ones' is 1 - alpha."},
    {"alpha", SETTING_REAL, OF(scrub.alpha), "0.5", FROM(0), .methods = SCRUB, .scopes = IN_METHOD,
     .help = "Weight of the divergence from the origin on the retained samples."},
    {"gamma", SETTING_REAL, OF(scrub.gamma), "1", FROM(0), .methods = SCRUB, .scopes = IN_METHOD,
     .help = "Weight of the cross-entropy on the retained samples."},
    {"temperature", SETTING_REAL, OF(scrub.temperature), "2", ABOVE(0), .methods = SCRUB,
     .scopes = IN_METHOD, .help = "Temperature of the divergence."},
    {"msteps", SETTING_INT, OF(scrub.msteps), "3", SPAN(0, 1e6), .methods = SCRUB,
     .scopes = IN_METHOD, .unit = "epochs",
     .help = "Epochs that go over the forgotten samples first."},
    {"exclude_true", SETTING_SWITCH, OF(relabel.exclude_true), "off",
     .methods = RANDOM_LABEL | SALUN, .scopes = IN_METHOD,
     .help = "Never draw a sample's true label."},
    {"redraw", SETTING_SWITCH, OF(relabel.redraw), "on", .methods = RANDOM_LABEL | SALUN,
     .scopes = IN_METHOD, .help = "Draw labels anew in each epoch."},
    {"order", SETTING_CHOICE, OF(relabel.order), "sequential", "sequential|mixed",
     .methods = RANDOM_LABEL | SALUN, .scopes = IN_METHOD,
     .help = "sequential: each epoch over the forgotten samples first, then over the retained "
             "ones; mixed: over all of them as one shuffled set."},
    {"fraction", SETTING_REAL, OF(salun_fraction), "0.5", .lo = 0, .hi = 1, .open = OPEN_LO,
     .methods = SALUN, .scopes = IN_METHOD, .help = "Share of the parameters that move."},
    {"optimizer", SETTING_CHOICE, OF(tuning.optimizer.name), "sgd", "adam|sgd",
     .methods = PASSES & ~SCRUB, .scopes = IN_METHOD,
     .help = "Optimizer; it starts from zero state."},
    {"optimizer", SETTING_CHOICE, OF(tuning.optimizer.name), "adam", "adam|sgd", .methods = SCRUB,
     .scopes = IN_METHOD, .help = "Optimizer; it starts from zero state."},
    ROW_LR("0.01", FINETUNE | NEGGRAD_PLUS | RANDOM_LABEL),
    ROW_LR("1e-4", ASCENT),
    ROW_LR("5e-4", SCRUB),
    ROW_LR("0.013", SALUN),
    {"momentum", SETTING_REAL, OF(tuning.optimizer.momentum), "0.9", BELOW(0, 1),
     .methods = PASSES & ~NEGGRAD_PLUS, .scopes = IN_METHOD, .help = "Momentum of sgd."},
    {"momentum", SETTING_REAL, OF(tuning.optimizer.momentum), "0", BELOW(0, 1),
     .methods = NEGGRAD_PLUS, .scopes = IN_METHOD, .help = "Momentum of sgd."},
    ROW_WEIGHT_DECAY("5e-4", OPTML),
    ROW_WEIGHT_DECAY("0", NEGGRAD_PLUS),
    ROW_WEIGHT_DECAY("0.1", SCRUB),
    {"beta1", SETTING_REAL, OF(tuning.optimizer.beta1), "0.9", BELOW(0, 1), .methods = TUNED,
     .scopes = IN_METHOD, .help = "Decay of adam's mean of gradients."},
    {"beta2", SETTING_REAL, OF(tuning.optimizer.beta2), "0.999", BELOW(0, 1), .methods = TUNED,
     .scopes = IN_METHOD, .help = "Decay of adam's mean of squares."},
    {"epsilon", SETTING_REAL, OF(tuning.optimizer.epsilon), "1e-8", ABOVE(0), .methods = TUNED,
     .scopes = IN_METHOD, .help = "Added to adam's root."},
    {"schedule.name", SETTING_CHOICE, OF(tuning.schedule.name), "constant", "constant|step|cosine",
     .methods = TUNED & ~SCRUB, .scopes = IN_METHOD,
     .help = "Course of the learning rate over the epochs."},
    {"schedule.name", SETTING_CHOICE, OF(tuning.schedule.name), "step", "constant|step|cosine",
     .methods = SCRUB, .scopes = IN_METHOD, .help = "Course of the learning rate over the epochs."},
    {"schedule.every", SETTING_INT, OF(tuning.schedule.every), "1", SPAN(1, 1e6),
     .methods = TUNED & ~SCRUB, .scopes = IN_METHOD, .unit = "epochs",
     .help = "step: epochs between two drops."},
    {"schedule.every", SETTING_INT, OF(tuning.schedule.every), "5", SPAN(1, 1e6), .methods = SCRUB,
     .scopes = IN_METHOD, .unit = "epochs", .help = "step: epochs between two drops."},
    {"schedule.factor", SETTING_REAL, OF(tuning.schedule.factor), "0.1", .lo = 0, .hi = 1,
     .open = OPEN_LO, .methods = TUNED, .scopes = IN_METHOD,
     .help = "step: what a drop multiplies the rate by."},
    {"schedule.floor", SETTING_REAL, OF(tuning.schedule.floor), "0", SPAN(0, 1), .methods = TUNED,
     .scopes = IN_METHOD, .help = "cosine: the last rate as a share of the first."},
};

enum { N_ROW = sizeof rows / sizeof rows[0] };

const char *config_method_name(enum method_name method)
{
    static const char *const name[] = {
#define X(enumerator, text) text,
        IAU_METHOD_LIST(X)
#undef X
    };
    return name[method];
}

struct setting_table config_methods_table(void)
{
    return (struct setting_table){N_ROW, rows};
}

struct setting_table config_method_table(enum method_name method)
{
    static struct setting own[N_METHOD][N_ROW];
    static int n[N_METHOD]; /* 0: not made yet */
    for (int i = 0, is_new = n[method] == 0; is_new && i < N_ROW; i++)
        if (!rows[i].methods || rows[i].methods & FOR(method))
            own[method][n[method]++] = rows[i];
    return (struct setting_table){n[method], own[method]};
}
