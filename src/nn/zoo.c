/* The models by name, as lists of layers with PyTorch's names for the tensors. */
#define _GNU_SOURCE /* vasprintf */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "nn/model.h"
#include "nn/spec.h"

/* A list in the making; `failed` is looked at once, at the end. */
struct lines {
    struct text_list text;
    int failed;
};

static void add(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct lines *l, const char *fmt, ...)
{
    char *line = NULL, **v = realloc(l->text.v, (size_t)(l->text.n + 1) * sizeof *v);
    va_list ap;
    if (v)
        l->text.v = v;
    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (!v || n < 0) {
        free(n < 0 ? NULL : line);
        l->failed = 1;
        return;
    }
    l->text.v[l->text.n++] = line;
}

/* LeNet-5 in the form of the paper's reference code (Lolo1222/IAU). Pooling stands before ReLU: the
 * two commute (both are monotone, and so do their derivatives), and ReLU then has a quarter of the
 * values to look at. */
static void add_lenet5(struct lines *l)
{
    static const char *const line[] = {"input 32",  "conv 6 5",  "maxpool 2", "relu",
                                       "conv 16 5", "maxpool 2", "relu",      "dense 120",
                                       "relu",      "dense 84",  "relu",      "dense classes"};
    for (size_t i = 0; i < sizeof line / sizeof *line; i++)
        add(l, "%s", line[i]);
}

static void add_mlp(struct lines *l, const struct model_opts *opts)
{
    for (int64_t i = 0; i < opts->hidden.n; i++) {
        add(l, "dense %lld", (long long)opts->hidden.v[i]);
        add(l, opts->activation == ACTIVATION_RELU ? "relu" : "tanh");
    }
    add(l, "dense classes");
}

/* torchvision's BasicBlock. */
static void add_block(struct lines *l, const char *name, int width, int stride, int changes_shape)
{
    add(l, "residual begin");
    add(l, "conv %d 3 stride=%d pad=1 bias=off init=kaiming name=%s.conv1", width, stride, name);
    add(l, "batchnorm name=%s.bn1", name);
    add(l, "relu");
    add(l, "conv %d 3 pad=1 bias=off init=kaiming name=%s.conv2", width, name);
    add(l, "batchnorm name=%s.bn2", name);
    if (changes_shape) {
        add(l, "residual skip");
        add(l, "conv %d 1 stride=%d bias=off init=kaiming name=%s.downsample.0", width, stride,
            name);
        add(l, "batchnorm name=%s.downsample.1", name);
    }
    add(l, "residual end");
    add(l, "relu");
}

/* ResNet-18 (He et al. 2015) in its form for small images: a 3x3 stem and no max-pooling. */
static void add_resnet18(struct lines *l, int width)
{
    char name[32];
    add(l, "conv %d 3 pad=1 bias=off init=kaiming name=conv1", width);
    add(l, "batchnorm name=bn1");
    add(l, "relu");
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; block < 2; block++) {
            int first = stage > 0 && block == 0;
            snprintf(name, sizeof name, "layer%d.%d", stage + 1, block);
            add_block(l, name, width << stage, first ? 2 : 1, first);
        }
    add(l, "avgpool");
    add(l, "dense classes name=fc");
}

/* VGG-19 with batch norm (Simonyan and Zisserman 2014) in its form for small images: one dense
 * layer; the numbers are those of torchvision's `features`. */
static void add_vgg19(struct lines *l, int width)
{
    static const int convs[5] = {2, 2, 4, 4, 4};
    int number = 0;
    add(l, "input 32");
    for (int stage = 0; stage < 5; stage++) {
        for (int i = 0; i < convs[stage]; i++, number += 3) {
            add(l, "conv %d 3 pad=1 init=kaiming name=features.%d",
                width << (stage < 3 ? stage : 3), number);
            add(l, "batchnorm name=features.%d", number + 1);
            add(l, "relu");
        }
        add(l, "maxpool 2");
        number++;
    }
    add(l, "dense classes init=normal name=classifier");
}

int zoo_lines(struct text_list *text, const struct model_opts *opts)
{
    struct lines l = {0};
    if (opts->name == MODEL_LENET5)
        add_lenet5(&l);
    else if (opts->name == MODEL_MLP)
        add_mlp(&l, opts);
    else if (opts->name == MODEL_RESNET18)
        add_resnet18(&l, (int)opts->width);
    else if (opts->name == MODEL_VGG19)
        add_vgg19(&l, (int)opts->width);
    for (int64_t i = 0; opts->name == MODEL_LAYERS && i < opts->layers.n; i++)
        add(&l, "%s", opts->layers.v[i]);
    *text = l.text;
    if (!l.failed)
        return IAU_OK;
    zoo_free(text);
    return FAIL(IAU_ERR_MEM, "no memory for a list of layers");
}

void zoo_free(struct text_list *text)
{
    for (int64_t i = 0; i < text->n; i++)
        free(text->v[i]);
    free(text->v);
    *text = (struct text_list){0};
}

int model_opts_has_groups(const struct model_opts *opts)
{
    if (opts->name == MODEL_LAYERS)
        return spec_text_has_batchnorm(&opts->layers);
    return opts->name == MODEL_RESNET18 || opts->name == MODEL_VGG19;
}
