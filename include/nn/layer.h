/* The layer interface: shapes and parameter tensors, and four passes over one unit of samples.
 * Kernels do the arithmetic; a layer says which, on which arrays. Everything here is local. */
#ifndef IAU_NN_LAYER_H
#define IAU_NN_LAYER_H

#include <stdint.h>

enum { LAYER_MAX_TENSORS = 2, LAYER_MAX_BUFFERS = 3, TENSOR_MAX_DIMS = 4, TENSOR_NAME_CHARS = 48 };

/* Initial values of a tensor. */
enum tensor_init { INIT_UNIFORM, INIT_NORMAL, INIT_CONSTANT };

/* One sample's activation; a vector is c features with h = w = 1. */
struct shape {
    int c, h, w;
};

/* A named part of the flat parameter vector, with PyTorch's name and shape. */
struct tensor {
    char name[TENSOR_NAME_CHARS];
    int ndim;
    int64_t dims[TENSOR_MAX_DIMS];
    int64_t offset, count; /* in the flat vector, in floats */
    int fan_in;            /* INIT_UNIFORM: initial values are uniform in +-1/sqrt(fan_in) */
    enum tensor_init init;
    double init_value; /* INIT_NORMAL: standard deviation; INIT_CONSTANT: the value */
};

/* What a unit carries between two layers: [c][h][w][lanes] each. NULL where a pass does not need
 * it. */
struct node {
    float *a;        /* activation */
    float *da;       /* gradient of the loss sum */
    float *ra;       /* tangent of a along the parameter direction v; NULL means zero (the input) */
    float *rda;      /* tangent of da */
    float *kept;     /* what the layer that makes this node keeps from one pass for the next */
    float *dx, *rdx; /* where that layer's input has an earlier user too: its own part of that
                        input's da, rda */
};

/* Whose mean and variance batch norm uses: the running ones, or those of the unit (training). */
enum norm_mode { NORM_FROZEN, NORM_GROUP };

/* What dropout draws from: masks are addressed by seed, epoch, layer and the stable id of a sample,
 * so that they are the same wherever and with whomever a sample is computed. */
struct dropout {
    uint64_t seed;
    int64_t epoch;
    const int64_t *id; /* borrowed, [n] of the unit's samples */
};

/* What a pass hands to every layer: flat vectors, in which a layer finds its part by its tensors'
 * offsets, and what the unit is. */
struct weights {
    const float *w; /* parameters, then buffers */
    const float *v; /* direction of the tangents */
    float *dw; /* gradient of the loss sum over the unit, written; with NORM_GROUP, statistics after
                  it */
    float *rdw; /* its tangent: Hessian times v, written */
    int n;      /* samples of the unit; lanes beyond are empty */
    enum norm_mode norm;
    const struct dropout *dropout; /* NULL: nothing is dropped, as in evaluation */
    const struct node *skip;       /* of an add layer: the node that is added to its input */
};

struct layer {
    const struct layer_ops *ops; /* borrowed, static */
    struct shape in, out;
    int n_tensor;
    struct tensor tensor[LAYER_MAX_TENSORS]; /* weight, bias */
    int n_buffer;
    struct tensor buffer[LAYER_MAX_BUFFERS]; /* state that is no parameter; offsets follow those of
                                                all parameters */
    int k, stride, pad;                      /* convolution and pooling */
    int relu;                                /* batch norm and add: ReLU on the result */
    double rate;                             /* dropout: probability of a zero */
    int number;                              /* dropout: counted over the model */
    int back;  /* the input is the output of the layer this many before the previous one; 0 in a
                  plain chain */
    int skip;  /* add: node that is added to the input (node i + 1 is made by layer i, node 0 is the
                  sample) */
    int apart; /* an in-place kind that must not be: its input is needed as it is */
    int is_later_user; /* an earlier layer has the same input (add: uses the same skip node) */
    int next_user;     /* node made by the next layer that does, 0: none */
};

struct layer_ops {
    const char *kind;
    int in_place;     /* output node shares the input node's arrays */
    int joins;        /* add: has the skip node as a second input */
    int needs_output; /* the backward passes read out->a, so nobody may change it but monotonically
                       */
    /** Floats that the output node keeps between passes; NULL: none. */
    int64_t (*kept_floats)(const struct layer *l, int lanes);
    /** Floats of workspace the passes need. */
    int64_t (*scratch_floats)(const struct layer *l, int lanes);
    /** out->a from in->a. */
    void (*forward)(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch);
    /** dw, and in->da unless NULL, from out->da. */
    void (*backward)(const struct layer *l, int lanes, const struct weights *p,
                     const struct node *in, const struct node *out, float *scratch);
    /** As backward, with dw = the sum over samples of the squares of each sample's own part; with
     * frozen statistics only. NULL: a layer without parameters, backward does. */
    void (*squares)(const struct layer *l, int lanes, const struct weights *p,
                    const struct node *in, const struct node *out, float *scratch);
    /** out->ra from in->ra and v, on the stored activations. */
    void (*forward_tangent)(const struct layer *l, int lanes, const struct weights *p,
                            const struct node *in, const struct node *out, float *scratch);
    /** rdw, and in->rda unless NULL, from out->rda on the stored activations, gradients and
     * tangents. */
    void (*backward_tangent)(const struct layer *l, int lanes, const struct weights *p,
                             const struct node *in, const struct node *out, float *scratch);
};

/** Elements of one sample. */
static inline int64_t shape_count(struct shape s)
{
    return (int64_t)s.c * s.h * s.w;
}

/* Each fills `l` for an input shape; tensors get their names from `name` and their offsets from
 * `*offset`, which advances. @return IAU_OK, or IAU_ERR_CONFIG where the input does not fit (names
 * layer and shapes) */
int layer_dense(struct layer *l, const char *name, struct shape in, int n_out, int64_t *offset);
int layer_conv2d(struct layer *l, const char *name, struct shape in, int c_out, int k, int stride,
                 int pad, int64_t *offset);
/** The same without bias. */
int layer_conv2d_plain(struct layer *l, const char *name, struct shape in, int c_out, int k,
                       int stride, int pad, int64_t *offset);
/** Batch norm of each channel with torch's eps and momentum. Buffers running_mean, running_var,
 * num_batches_tracked get their offsets from `*buffer_offset`, counted from the first buffer. */
void layer_batchnorm(struct layer *l, const char *name, struct shape in, int64_t *offset,
                     int64_t *buffer_offset);
int layer_maxpool(struct layer *l, struct shape in, int k, int stride);
/** Mean over windows. */
int layer_avgpool(struct layer *l, struct shape in, int k, int stride);
/** Mean over each channel. */
void layer_global_pool(struct layer *l, struct shape in);
void layer_relu(struct layer *l, struct shape in);
void layer_tanh(struct layer *l, struct shape in);
/** Zero features at random in training, each with probability `rate` < 1, and scale the others by 1
 * / (1 - rate), as torch does. @param number  tells the masks of a model's dropout layers apart */
void layer_dropout(struct layer *l, struct shape in, double rate, int number);
/** Input plus the node `skip` of the same shape, the end of a residual connection. */
void layer_add(struct layer *l, struct shape in, int skip);
/** Node index of the input of layer i. */
static inline int layer_source(const struct layer *l, int i)
{
    return i - l->back;
}
/** For layer constructors: append a tensor `name`.`part` to `l`. */
void layer_add_tensor(struct layer *l, const char *name, const char *part, int ndim,
                      const int64_t *dims, int fan_in, int64_t *offset);
/** The same for a buffer with the constant initial value `value`; ndim 0: a number, kept as a
 * float, stored as int64. */
void layer_add_buffer(struct layer *l, const char *name, const char *part, int ndim,
                      const int64_t *dims, double value, int64_t *offset);

#endif
