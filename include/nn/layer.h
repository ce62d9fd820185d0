/* The layer interface: shapes and parameter tensors, and four passes over one unit of samples. Kernels do the
 * arithmetic; a layer says which, on which arrays. Everything here is local. */
#ifndef IAU_NN_LAYER_H
#define IAU_NN_LAYER_H

#include <stdint.h>

enum { LAYER_MAX_TENSORS = 2, TENSOR_MAX_DIMS = 4, TENSOR_NAME_CHARS = 48 };

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
    int fan_in;            /* initial values are uniform in +-1/sqrt(fan_in) */
};

/* What a unit carries between two layers: [c][h][w][lanes] each. NULL where a pass does not need it. */
struct node {
    float *a;   /* activation */
    float *da;  /* gradient of the loss sum */
    float *ra;  /* tangent of a along the parameter direction v; NULL means zero (the input) */
    float *rda; /* tangent of da */
};

/* Flat parameter-sized vectors of a pass; a layer finds its part by its tensors' offsets. */
struct weights {
    const float *w; /* parameters */
    const float *v; /* direction of the tangents */
    float *dw;      /* gradient of the loss sum over the unit, written */
    float *rdw;     /* its tangent: Hessian times v, written */
};

struct layer {
    const struct layer_ops *ops; /* borrowed, static */
    struct shape in, out;
    int n_tensor;
    struct tensor tensor[LAYER_MAX_TENSORS]; /* weight, bias */
    int k, stride, pad;                      /* convolution and pooling */
};

struct layer_ops {
    const char *kind;
    int in_place; /* output node shares the input node's arrays */
    /** Floats of workspace the passes need. */
    int64_t (*scratch_floats)(const struct layer *l, int lanes);
    /** out->a from in->a. */
    void (*forward)(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                    const struct node *out, float *scratch);
    /** dw, and in->da unless NULL, from out->da. */
    void (*backward)(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                     const struct node *out, float *scratch);
    /** out->ra from in->ra and v, on the stored activations. */
    void (*forward_tangent)(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                            const struct node *out, float *scratch);
    /** rdw, and in->rda unless NULL, from out->rda on the stored activations, gradients and tangents. */
    void (*backward_tangent)(const struct layer *l, int lanes, const struct weights *p, const struct node *in,
                             const struct node *out, float *scratch);
};

/** Elements of one sample. */
static inline int64_t shape_count(struct shape s)
{
    return (int64_t)s.c * s.h * s.w;
}

/* Each fills `l` for an input shape; tensors get their names from `name` and their offsets from `*offset`, which
 * advances. @return IAU_OK, or IAU_ERR_CONFIG where the input does not fit (names layer and shapes) */
int layer_dense(struct layer *l, const char *name, struct shape in, int n_out, int64_t *offset);
int layer_conv2d(struct layer *l, const char *name, struct shape in, int c_out, int k, int stride, int pad,
                 int64_t *offset);
int layer_maxpool(struct layer *l, struct shape in, int k, int stride);
void layer_relu(struct layer *l, struct shape in);
void layer_tanh(struct layer *l, struct shape in);
/** For layer constructors: append a tensor `name`.`part` to `l`. */
void layer_add_tensor(struct layer *l, const char *name, const char *part, int ndim, const int64_t *dims, int fan_in,
                      int64_t *offset);

#endif
