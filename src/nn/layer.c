/* What layers share: naming a tensor and giving it its place in the flat parameter vector. */
#include "nn/layer.h"

#include <stdio.h>

#include "core/error.h"

static void place(struct tensor *t, const char *name, const char *part, int ndim,
                  const int64_t *dims, int64_t *offset)
{
    REQUIRE(ndim <= TENSOR_MAX_DIMS);
    snprintf(t->name, sizeof t->name, "%s.%s", name, part);
    t->ndim = ndim;
    t->count = 1;
    for (int i = 0; i < ndim; i++) {
        t->dims[i] = dims[i];
        t->count *= dims[i];
    }
    t->offset = *offset;
    *offset += t->count;
}

void layer_add_tensor(struct layer *l, const char *name, const char *part, int ndim,
                      const int64_t *dims, int fan_in, int64_t *offset)
{
    REQUIRE(l->n_tensor < LAYER_MAX_TENSORS);
    struct tensor *t = &l->tensor[l->n_tensor++];
    place(t, name, part, ndim, dims, offset);
    t->fan_in = fan_in;
}

void layer_add_buffer(struct layer *l, const char *name, const char *part, int ndim,
                      const int64_t *dims, double value, int64_t *offset)
{
    REQUIRE(l->n_buffer < LAYER_MAX_BUFFERS);
    struct tensor *t = &l->buffer[l->n_buffer++];
    place(t, name, part, ndim, dims, offset);
    t->init = INIT_CONSTANT;
    t->init_value = value;
}
