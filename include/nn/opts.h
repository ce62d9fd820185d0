/* Settings of the model: `model.*`. */
#ifndef IAU_NN_OPTS_H
#define IAU_NN_OPTS_H

#include <stdint.h>

#include "core/lists.h"

enum model_name { MODEL_LENET5, MODEL_MLP, MODEL_RESNET18, MODEL_VGG19, MODEL_LAYERS };
enum activation_name { ACTIVATION_TANH, ACTIVATION_RELU };

struct model_opts {
    enum model_name name;
    struct int_list hidden;          /* mlp: sizes of the hidden layers */
    enum activation_name activation; /* mlp */
    int64_t width;                   /* resnet18, vgg19: channels of the first stage */
    struct text_list layers;         /* layers: a layer each, see nn/spec.h */
};

#endif
