/* Models as lists of layers, one a line of text:
 *
 *   input H [W]                      samples are padded with raw zeros to H x W (first line only)
 *   conv OUT K [stride=1] [pad=0] [bias=on|off] [init=default|kaiming|normal] [name=convN]
 *   batchnorm [name=bnN]
 *   relu | tanh
 *   dropout P                        zeros features in training, each with probability P
 *   maxpool K [stride=K]
 *   avgpool [K] [stride=K]           without K: over the whole channel
 *   dense OUT|classes [init=...] [name=fcN]
 *   residual begin                   what follows is the main branch of a residual connection
 *   residual skip                    what follows is the other branch; without this line it passes
 * its input on residual end                     both are added; a relu after it works on the sum
 *
 * N counts the layers of a kind from 1. init=default is torch's, kaiming is normal with variance 2
 * / fan_out and bias 0, normal is normal with deviation .01 and bias 0, as torchvision initialises
 * its models. */
#ifndef IAU_NN_SPEC_H
#define IAU_NN_SPEC_H

#include "core/lists.h"
#include "nn/layer.h"
#include "nn/opts.h"

enum spec_kind {
    SPEC_INPUT,
    SPEC_CONV,
    SPEC_BATCHNORM,
    SPEC_RELU,
    SPEC_TANH,
    SPEC_MAXPOOL,
    SPEC_AVGPOOL,
    SPEC_DENSE,
    SPEC_DROPOUT,
    SPEC_RESIDUAL_BEGIN,
    SPEC_RESIDUAL_SKIP,
    SPEC_RESIDUAL_END
};

enum spec_init { SPEC_INIT_DEFAULT, SPEC_INIT_KAIMING, SPEC_INIT_NORMAL };

enum { SPEC_SIZE_MAX = 65536, SPEC_CLASSES = -1 };

/* One layer as a list describes it. */
struct layer_spec {
    enum spec_kind kind;
    int size[2]; /* input: H, W; conv: OUT, K; pools: K, 0 for all; dense: OUT or SPEC_CLASSES */
    int stride, pad, bias;
    double rate; /* dropout */
    enum spec_init init;
    char name[TENSOR_NAME_CHARS - 24]; /* leaves room for `.num_batches_tracked` */
};

struct spec_list {
    int n;
    struct layer_spec *v; /* owned */
};

/** Local. Parse a list's lines. @param what  opens every message, which goes on with the layer's
 * number and text
 *  @return IAU_OK, IAU_ERR_CONFIG or IAU_ERR_MEM; `list` is empty on error */
int spec_list_parse(struct spec_list *list, const char *what, const struct text_list *text);
void spec_list_free(struct spec_list *list);
/** Local. Whether a list has a batchnorm line; lines need not be right. */
int spec_text_has_batchnorm(const struct text_list *text);
/** Local. The lines of a model by name. The caller frees with zoo_free. @return IAU_OK or
 * IAU_ERR_MEM */
int zoo_lines(struct text_list *text, const struct model_opts *opts);
void zoo_free(struct text_list *text);
/** Local. Whether the model of these settings has batch norm, and so trains on groups of samples.
 */
int model_opts_has_groups(const struct model_opts *opts);

#endif
