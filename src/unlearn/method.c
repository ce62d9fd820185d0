/* The methods by name. */
#include "unlearn/method.h"

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
