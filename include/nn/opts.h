/* Settings of the model: `model.*`. */
#ifndef IAU_NN_OPTS_H
#define IAU_NN_OPTS_H

#include "core/lists.h"

enum model_name { MODEL_LENET5, MODEL_MLP };
enum activation_name { ACTIVATION_TANH, ACTIVATION_RELU };

struct model_opts {
    enum model_name name;
    struct int_list hidden;          /* mlp: sizes of the hidden layers */
    enum activation_name activation; /* mlp */
};

#endif
