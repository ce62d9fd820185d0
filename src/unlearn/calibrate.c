/* A root of loss(D_f) - loss(V) along a line. */
#include "unlearn/calibrate.h"

#include <math.h>

#include "core/error.h"
#include "core/log.h"

/* How often the move may double before it brackets the goal, and the bracket shrink. */
enum { MAX_DOUBLINGS = 24, MAX_STEPS = 40 };
static const double TOLERANCE = 1e-4; /* of the validation loss */

/* Losses at a length, which stays in c->w. *excess = loss(D_f) - loss(V), INFINITY where one
 * overflows: too far. */
static int look(const struct calibration *c, double length, double loss[2], double *excess)
{
    struct engine *e = c->engine;
    double accuracy;
    float f = (float)length;
    for (int64_t i = 0; i < e->model->n_param; i++)
        c->w[i] = c->start[i] + f * (c->end[i] - c->start[i]);
    int rc = sweep_loss(e, c->w, c->forget, NULL, &loss[0], &accuracy);
    if (rc == IAU_OK)
        rc = sweep_loss(e, c->w, c->valid, NULL, &loss[1], &accuracy);
    *excess = isfinite(loss[0]) && isfinite(loss[1]) ? loss[0] - loss[1] : INFINITY;
    return rc;
}

/* A bracket: the excess is negative at `low` and not at `high`. */
struct bracket {
    double low, high, at_low, at_high;
};

/* Double from 1, or where that is far out, and losses say little, from a tiny length on. */
static int find_bracket(const struct calibration *c, struct bracket *b, double loss[2])
{
    int rc = IAU_OK;
    b->high = 1;
    TRY(look(c, b->high, loss, &b->at_high));
    if (isinf(b->at_high)) {
        b->high = ldexp(1, -MAX_DOUBLINGS);
        TRY(look(c, b->high, loss, &b->at_high));
    }
    for (int i = 0; b->at_high < 0; i++) {
        if (i == MAX_DOUBLINGS)
            TRY(FAIL(IAU_ERR_NUMERIC,
                     "%s: no step length raises the forget set's loss to that of validation",
                     c->name));
        b->low = b->high;
        b->at_low = b->at_high;
        b->high *= 2;
        TRY(look(c, b->high, loss, &b->at_high));
    }
out:
    return rc;
}

/* Where to look next: on the chord, or in the middle where an end is too far out to have one. */
static double choose(const struct bracket *b)
{
    if (isinf(b->at_high))
        return 0.5 * (b->low + b->high);
    return b->low - b->at_low * (b->high - b->low) / (b->at_high - b->at_low);
}

static int close_bracket(const struct calibration *c, struct bracket *b, double *length,
                         double loss[2])
{
    double excess = b->at_high;
    int rc = IAU_OK, side = 0;
    *length = b->high;
    for (int i = 0; i < MAX_STEPS && !(fabs(excess) <= TOLERANCE * loss[1]); i++) {
        *length = choose(b);
        TRY(look(c, *length, loss, &excess));
        if (excess < 0) {
            b->low = *length;
            b->at_low = excess;
            b->at_high /= side < 0 ? 2 : 1; /* an end that stays twice counts half */
            side = -1;
        } else {
            b->high = *length;
            b->at_high = excess;
            b->at_low /= side > 0 ? 2 : 1;
            side = 1;
        }
    }
    if (isinf(excess))
        TRY(FAIL(IAU_ERR_NUMERIC,
                 "%s: the losses overflow before the forget set's reaches that of validation; a "
                 "smaller rate, or more damping, may help",
                 c->name));
out:
    return rc;
}

int calibrate_length(const struct calibration *c, double *length, double loss[2])
{
    int rc = IAU_OK;
    struct bracket b = {0};
    *length = 0;
    TRY(look(c, 0, loss, &b.at_low));
    if (isinf(b.at_low))
        TRY(FAIL(IAU_ERR_NUMERIC, "%s: the loss on the validation set is not finite or too large",
                 c->name));
    if (b.at_low >= 0) {
        log_warn("%s: the forget set's loss is already that of validation; nothing is moved",
                 c->name);
        goto out;
    }
    TRY(find_bracket(c, &b, loss));
    TRY(close_bracket(c, &b, length, loss));
out:
    return comm_agree(c->engine->comm, rc);
}
