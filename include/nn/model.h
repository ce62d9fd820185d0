/* A classifier: a list of layers over one flat vector, parameters first, then buffers (batch norm's
 * running statistics), and the passes over one unit of samples. The loss is the softmax
 * cross-entropy. Everything here is local and knows nothing of ranks. */
#ifndef IAU_NN_MODEL_H
#define IAU_NN_MODEL_H

#include <stdint.h>

#include "core/lists.h"
#include "nn/layer.h"
#include "nn/opts.h"

enum {
    MODEL_MAX_LAYERS = 256,
    UNIT_MAX_LANES = 64,
    GROUP_SAMPLES = 64,    /* batch norm trains on groups of up to so many samples: one unit */
    GROUP_MIN_SAMPLES = 16 /* a smaller group is left out */
};

struct model {
    struct shape in; /* as the first layer sees it, padding included */
    int n_class;
    int n_layer;
    struct layer layer[MODEL_MAX_LAYERS];
    int64_t n_param;  /* floats in the flat vector that are parameters */
    int64_t n_buffer; /* floats behind them */
    int n_dropout;    /* dropout layers */
    int n_tensor;     /* over all layers */
    const struct tensor
        *tensor[MODEL_MAX_LAYERS * LAYER_MAX_TENSORS]; /* views into the layers, in vector order */
    int n_buffer_tensor;
    const struct tensor
        *buffer[MODEL_MAX_LAYERS * LAYER_MAX_BUFFERS]; /* the same for the buffers */
};

/* Floats of the flat vector that says all of a model. */
static inline int64_t model_state_floats(const struct model *m)
{
    return m->n_param + m->n_buffer;
}

/* Whether statistics of groups are used in training. */
static inline int model_has_groups(const struct model *m)
{
    return m->n_buffer > 0;
}

/* Whether training drops features. */
static inline int model_has_dropout(const struct model *m)
{
    return m->n_dropout > 0;
}

enum unit_passes { UNIT_FORWARD, UNIT_GRADIENT, UNIT_TANGENT }; /* each includes those before it */

/* One unit of samples on its way through the model: everything that the passes store. */
struct unit {
    int lanes; /* a multiple of 16 */
    int n;     /* samples; lanes beyond carry weight 0 and a copy of a sample */
    int32_t label[UNIT_MAX_LANES];
    float weight[UNIT_MAX_LANES]; /* 1 or 0 */
    enum norm_mode norm;        /* whose statistics batch norm uses; not to change between passes */
    int drops;                  /* dropout is active; not to change between passes */
    struct dropout dropout;     /* if so; its ids are `id` */
    int64_t id[UNIT_MAX_LANES]; /* stable ids of the samples, if so */
    float loss[UNIT_MAX_LANES]; /* by model_forward */
    struct node node[MODEL_MAX_LAYERS + 1];
    float *p; /* [n_class][lanes] probabilities, by model_forward */
    float *scratch;
    float *block; /* owned; all arrays above live in it */
    /* Called each time a backward pass leaves a layer, NULL: not at all. Places [begin, n_param) of
     * the vector that the pass writes are final by then; the last call comes with 0. */
    void (*left)(void *left_ctx, int64_t begin);
    void *left_ctx; /* borrowed */
};

/** Build the model named in `opts` for samples of shape `in` (as stored). The model must not move
 * in memory afterwards: `tensor` points into it. @return IAU_OK or IAU_ERR_CONFIG with the layer
 * that does not fit */
int model_build(struct model *m, const struct model_opts *opts, struct shape in, int n_class);
/** The same from a list of layers, one a line of `text`, see nn/spec.h. @param what  names the list
 * in messages */
int model_build_list(struct model *m, const char *what, const struct text_list *text,
                     struct shape in, int n_class);
/** Initial state: PyTorch's default, weights and biases uniform in +-1/sqrt(fan_in), unless a
 * tensor says otherwise; numbers keyed by (seed, tensor, index), normal ones by Box-Muller in
 * double. params [n_param + n_buffer]. */
void model_init_params(const struct model *m, uint64_t seed, float *params);
/** One training step's effect on the buffers of `state`: torch's momentum .1 towards the groups'
 * statistics.
 *  @param mean  [n_param + n_buffer] mean over the step's samples of what model_backward leaves */
void model_update_buffers(const struct model *m, const float *mean, float *state);
/** The tensor or buffer that position i of the flat vector belongs to. */
const struct tensor *model_tensor_at(const struct model *m, int64_t i);

/** Bytes of a unit's arrays. */
int64_t unit_bytes(const struct model *m, int lanes, enum unit_passes passes);
/** Allocate a unit. @return IAU_OK or IAU_ERR_MEM */
int unit_init(struct unit *u, const struct model *m, int lanes, enum unit_passes passes);
/** Release; fine on a zeroed unit. */
void unit_free(struct unit *u);

/** Probabilities and per-lane losses at w, from u->node[0].a and labels. */
void model_forward(const struct model *m, const float *w, struct unit *u);
/** dw [n_param] = gradient of SUM over samples of the loss; after model_forward at the same w. With
 * NORM_GROUP, behind it in dw [n_param .. n_param + n_buffer) the unit's statistics, weighted by n
 * / GROUP_SAMPLES. */
void model_backward(const struct model *m, const float *w, struct unit *u, float *dw);
/** The two halves of model_backward: the gradient of the losses by the logits, in the top node's
 * da; and from whatever stands there down to the parameters. */
void model_loss_gradient(const struct model *m, struct unit *u);
void model_backward_from_top(const struct model *m, const float *w, struct unit *u, float *dw);
/** squares [n_param] = SUM over samples of the square of each sample's own part of what
 * model_backward_from_top gives, from whatever stands in the top node's da; frozen statistics only,
 * since through those of a group samples have no parts of their own. */
void model_squares_from_top(const struct model *m, const float *w, struct unit *u, float *squares);
/** rdw [n_param] = (SUM over samples of the Hessian of the loss) v, exact (R-operator, Pearlmutter
 * 1994); after model_backward at the same w. */
void model_hessian_product(const struct model *m, const float *w, const float *v, struct unit *u,
                           float *rdw);
/** out [n_param] = (SUM over samples of J^T (diag p - p p^T) J) v, J the derivative of the logits:
 * the Gauss-Newton matrix (Schraudolph 2002), never negative along any v. After model_forward at
 * the same w; overwrites what a backward pass left in `u`. */
void model_gauss_newton_product(const struct model *m, const float *w, const float *v,
                                struct unit *u, float *out);

/** Sum of the losses of the unit's samples, in lane order, in double. */
double unit_loss(const struct unit *u);
/** Number of samples whose label has the largest probability; the first of equals counts as the
 * prediction. */
int64_t unit_correct(const struct model *m, const struct unit *u);

#endif
