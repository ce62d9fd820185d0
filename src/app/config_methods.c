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
    /* Methods that are passes of tuning. */
    TUNED = FOR(METHOD_FINETUNE)
};

#define X(enumerator, name) "|" name
static const char method_choices[] = IAU_METHOD_LIST(X);
#undef X

static const struct setting rows[] = {
    {"name", SETTING_TEXT, OF(name), .help = "Name of this entry and of its model file. Required."},
    {"method", SETTING_CHOICE, OF(method), "iau", method_choices + 1, .scopes = IN_METHOD,
     .help = "What makes it; see the list of methods. Required."},
    {"origin", SETTING_TEXT, OF(origin), .help = "Origin to start from. Default: the first one."},

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
             "loss."},
    {"steps", SETTING_INT, OF(iau.steps), "1", SPAN(1, 1e6), .methods = FOR(METHOD_IAU),
     .scopes = IN_METHOD, .unit = "steps", .help = "Number of steps; 1 when calibrated."},
    {"cache", SETTING_CHOICE, OF(iau.cache), "auto", "auto|off", .methods = FOR(METHOD_IAU),
     .help = "auto: use the origin's stored gradient sum where it is valid; the result is the same "
             "bytes."},

    {"form", SETTING_CHOICE, OF(influence.form), "reweight", "reweight|newton",
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD,
     .help =
         "reweight: the derivative by the samples' weights, which leaves a model that is not at "
         "a minimum as far from it; newton: to the minimum of the retained samples' loss."},
    {"strength", SETTING_REAL, OF(influence.strength), "1", ABOVE(0),
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD,
     .help = "What the step is multiplied by; 1 is the theory."},
    {"product", SETTING_CHOICE, OF(influence.product), "gauss_newton", "hessian|gauss_newton",
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD,
     .help = "The matrix: exact second derivatives, or the Gauss-Newton matrix, which has no "
             "negative curvature."},
    {"samples", SETTING_INT, OF(influence.samples), "4000", FROM(0),
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD, .unit = "samples",
     .help = "Retained samples, drawn by seed, that the matrix is the mean over; 0: all."},
    {"damping", SETTING_REAL, OF(influence.damping), "0.01", FROM(0),
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD,
     .help = "Added to the matrix's diagonal."},
    {"iterations", SETTING_INT, OF(influence.iterations), "10", SPAN(1, 1e6),
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD, .unit = "products",
     .help = "Most iterations of conjugate gradients."},
    {"tolerance", SETTING_REAL, OF(influence.tolerance), "1e-7", FROM(0),
     .methods = FOR(METHOD_INFLUENCE), .scopes = IN_METHOD,
     .help = "Residual, as a share of the right-hand side, at which they stop."},
    {"alpha", SETTING_REAL, OF(fisher.alpha), "3e-6", ABOVE(0), .methods = FOR(METHOD_FISHER),
     .scopes = IN_METHOD, .help = "What the variance of the noise is multiplied by."},
    {"samples", SETTING_INT, OF(fisher.samples), "0", FROM(0), .methods = FOR(METHOD_FISHER),
     .scopes = IN_METHOD, .unit = "samples",
     .help = "Retained samples, drawn by seed, that the information is taken over; 0: all."},
    {"alpha", SETTING_REAL, OF(ssd.alpha), "10", FROM(0), .methods = FOR(METHOD_SSD),
     .scopes = IN_METHOD,
     .help = "Parameters are dampened that are more than so many times as important to the "
             "forgotten samples as to all."},
    {"lambda", SETTING_REAL, OF(ssd.lambda), "1", ABOVE(0), .methods = FOR(METHOD_SSD),
     .scopes = IN_METHOD,
     .help = "They are multiplied by lambda times the ratio of the two importances, or by 1 where "
             "that is more."},

    {"seed", SETTING_INT, OF(seed), "1", FROM(0),
     .methods = TUNED | FOR(METHOD_INFLUENCE) | FOR(METHOD_FISHER), .scopes = IN_METHOD,
     .help = "Seed of what the method draws: the order of samples, labels, noise."},
    {"batch", SETTING_INT, OF(tuning.batch), "64", SPAN(1, 1048576), .methods = TUNED,
     .scopes = IN_METHOD, .unit = "samples",
     .help = "Samples of a step, out of each set that it takes some from."},
    {"epochs", SETTING_INT, OF(tuning.epochs), "10", SPAN(1, 1e6), .methods = FOR(METHOD_FINETUNE),
     .scopes = IN_METHOD, .unit = "epochs", .help = "Epochs over the retained samples."},
    {"optimizer", SETTING_CHOICE, OF(tuning.optimizer.name), "sgd", "adam|sgd",
     .methods = FOR(METHOD_FINETUNE), .scopes = IN_METHOD,
     .help = "Optimizer; it starts from zero state."},
    {"lr", SETTING_REAL, OF(tuning.optimizer.lr), "0.01", ABOVE(0), .methods = FOR(METHOD_FINETUNE),
     .scopes = IN_METHOD, .help = "Learning rate."},
    {"momentum", SETTING_REAL, OF(tuning.optimizer.momentum), "0.9", BELOW(0, 1),
     .methods = FOR(METHOD_FINETUNE), .scopes = IN_METHOD, .help = "Momentum of sgd."},
    {"weight_decay", SETTING_REAL, OF(tuning.optimizer.weight_decay), "5e-4", FROM(0),
     .methods = FOR(METHOD_FINETUNE), .scopes = IN_METHOD,
     .help = "L2 weight decay, added to the gradient as in torch."},
    {"beta1", SETTING_REAL, OF(tuning.optimizer.beta1), "0.9", BELOW(0, 1), .methods = TUNED,
     .scopes = IN_METHOD, .help = "Decay of adam's mean of gradients."},
    {"beta2", SETTING_REAL, OF(tuning.optimizer.beta2), "0.999", BELOW(0, 1), .methods = TUNED,
     .scopes = IN_METHOD, .help = "Decay of adam's mean of squares."},
    {"epsilon", SETTING_REAL, OF(tuning.optimizer.epsilon), "1e-8", ABOVE(0), .methods = TUNED,
     .scopes = IN_METHOD, .help = "Added to adam's root."},
    {"schedule.name", SETTING_CHOICE, OF(tuning.schedule.name), "constant", "constant|step|cosine",
     .methods = TUNED, .scopes = IN_METHOD, .help = "Course of the learning rate over the epochs."},
    {"schedule.every", SETTING_INT, OF(tuning.schedule.every), "1", SPAN(1, 1e6), .methods = TUNED,
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
