/* What layers share: naming a tensor and giving it its place in the flat parameter vector. */
#include "nn/layer.h"

#include <stdio.h>

#include "core/error.h"

void layer_add_tensor(struct layer *l, const char *name, const char *part, int ndim, const int64_t *dims, int fan_in,
                      int64_t *offset)
{
    REQUIRE(l->n_tensor < LAYER_MAX_TENSORS && ndim <= TENSOR_MAX_DIMS);
    struct tensor *t = &l->tensor[l->n_tensor++];
    snprintf(t->name, sizeof t->name, "%s.%s", name, part);
    t->ndim = ndim;
    t->count = 1;
    for (int i = 0; i < ndim; i++) {
        t->dims[i] = dims[i];
        t->count *= dims[i];
    }
    t->fan_in = fan_in;
    t->offset = *offset;
    *offset += t->count;
}
