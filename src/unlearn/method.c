/* The methods by name. */
#include "unlearn/method.h"

#include <stddef.h>

#include "core/error.h"

static const struct method method_retrain = {.help =
                                                 "Training afresh on the retained samples with the "
                                                 "settings and the seed of the origin: what "
                                                 "every other method is measured against."};

const struct method *method_of(enum method_name name)
{
    static const struct method *const method[N_METHOD] = {
        [METHOD_IAU] = &method_iau,
        [METHOD_IAU_CURVATURE] = &method_curvature,
        [METHOD_RETRAIN] = &method_retrain,
        [METHOD_FINETUNE] = &method_finetune,
        [METHOD_ASCENT] = &method_ascent,
        [METHOD_NEGGRAD_PLUS] = &method_neggrad_plus,
        [METHOD_RANDOM_LABEL] = &method_random_label,
        [METHOD_SCRUB] = &method_scrub,
        [METHOD_SALUN] = &method_salun,
        [METHOD_INFLUENCE] = &method_influence,
        [METHOD_FISHER] = &method_fisher,
        [METHOD_SSD] = &method_ssd,
        [METHOD_SISA] = &method_sisa,
    };
    return method[name];
}

const char *method_valid_use(const struct method_opts *o)
{
    if (o->tune)
        return "find its strength by (tune)";
    if ((o->method == METHOD_IAU && o->iau.step == IAU_STEP_CALIBRATED) ||
        (o->method == METHOD_IAU_CURVATURE && o->curvature.step == IAU_STEP_CALIBRATED))
        return "calibrate its step by (step: calibrated)";
    if (o->method == METHOD_ASCENT && o->until == ASCENT_UNTIL_VALIDATION)
        return "stop by (until: validation)";
    return NULL;
}

int method_check_valid(const struct method_opts *o, int64_t n_valid, const char *name)
{
    const char *use = method_valid_use(o);
    if (!use || n_valid)
        return IAU_OK;
    return FAIL(IAU_ERR_DATA,
                "%s: no validation sample is left to %s; set data.valid or data.limit higher", name,
                use);
}
