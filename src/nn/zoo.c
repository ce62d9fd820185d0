/* The models by name: each is a list of layers, with PyTorch's names for the tensors. */
#include <stdio.h>

#include "core/error.h"
#include "nn/model.h"

/* The next free layer, and the shape it will see. */
static struct layer *next(struct model *m)
{
    REQUIRE(m->n_layer < MODEL_MAX_LAYERS);
    return &m->layer[m->n_layer++];
}

static struct shape top(const struct model *m)
{
    return m->n_layer ? m->layer[m->n_layer - 1].out : m->in;
}

static int add_conv(struct model *m, const char *name, int c_out, int k)
{
    struct shape in = top(m);
    return layer_conv2d(next(m), name, in, c_out, k, 1, 0, &m->n_param);
}

/* Pooling before ReLU: the two commute (both are monotone, and so do their derivatives), and ReLU then has a
 * quarter of the values to look at. */
static int add_pool_relu(struct model *m)
{
    struct shape in = top(m);
    int rc = layer_maxpool(next(m), in, 2, 2);
    if (rc != IAU_OK)
        return rc;
    in = top(m);
    layer_relu(next(m), in);
    return IAU_OK;
}

static int add_dense(struct model *m, int number, int n_out)
{
    char name[16];
    snprintf(name, sizeof name, "fc%d", number);
    struct shape in = top(m);
    return layer_dense(next(m), name, in, n_out, &m->n_param);
}

static void add_activation(struct model *m, enum activation_name activation)
{
    struct shape in = top(m);
    if (activation == ACTIVATION_RELU)
        layer_relu(next(m), in);
    else
        layer_tanh(next(m), in);
}

/* LeNet-5 in the form of the paper's reference code (methods.md 2.2); 28x28 samples are padded to 32x32. */
static int build_lenet5(struct model *m, struct shape in)
{
    int rc = IAU_OK;
    if (in.h > 32 || in.w > 32 || (in.h == 1 && in.w == 1))
        return FAIL(IAU_ERR_CONFIG, "model lenet5 takes images up to 32x32, not %dx%d", in.h, in.w);
    m->in = (struct shape){in.c, 32, 32};
    TRY(add_conv(m, "conv1", 6, 5));
    TRY(add_pool_relu(m));
    TRY(add_conv(m, "conv2", 16, 5));
    TRY(add_pool_relu(m));
    TRY(add_dense(m, 1, 120));
    add_activation(m, ACTIVATION_RELU);
    TRY(add_dense(m, 2, 84));
    add_activation(m, ACTIVATION_RELU);
    TRY(add_dense(m, 3, m->n_class));
out:
    return rc;
}

static int build_mlp(struct model *m, const struct model_opts *opts, struct shape in)
{
    int rc = IAU_OK;
    m->in = in;
    if (2 * opts->hidden.n + 1 > MODEL_MAX_LAYERS)
        return FAIL(IAU_ERR_CONFIG, "model.hidden has %lld layers; at most %d fit", (long long)opts->hidden.n,
                    (MODEL_MAX_LAYERS - 1) / 2);
    for (int i = 0; i < opts->hidden.n; i++) {
        TRY(add_dense(m, i + 1, (int)opts->hidden.v[i]));
        add_activation(m, opts->activation);
    }
    TRY(add_dense(m, (int)opts->hidden.n + 1, m->n_class));
out:
    return rc;
}

int model_build(struct model *m, const struct model_opts *opts, struct shape in, int n_class)
{
    *m = (struct model){.n_class = n_class};
    int rc = opts->name == MODEL_LENET5 ? build_lenet5(m, in) : build_mlp(m, opts, in);
    if (rc != IAU_OK)
        return rc;
    for (int i = 0; i < m->n_layer; i++)
        for (int t = 0; t < m->layer[i].n_tensor; t++)
            m->tensor[m->n_tensor++] = &m->layer[i].tensor[t];
    return IAU_OK;
}
