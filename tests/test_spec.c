/* Lists of layers: what the named models are made of, names of one's own, and lists that do not
 * fit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "nn/model.h"
#include "nn/spec.h"

static struct model m;

static int build(const char *const *line, struct shape in)
{
    struct text_list text = {0, (char **)line};
    while (line[text.n])
        text.n++;
    return model_build_list(&m, "model.layers", &text, in, 10);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
static const struct shape image = {3, 8, 8};

static const struct tensor *find(const char *name)
{
    for (int t = 0; t < m.n_tensor; t++)
        if (strcmp(m.tensor[t]->name, name) == 0)
            return m.tensor[t];
    for (int t = 0; t < m.n_buffer_tensor; t++)
        if (strcmp(m.buffer[t]->name, name) == 0)
            return m.buffer[t];
    printf("there is no tensor %s\n", name);
    CU_FAIL("a tensor is missing");
    return m.tensor[0];
}

static void expect_shape(const char *name, int ndim, const int64_t *dims)
{
    const struct tensor *t = find(name);
    CU_ASSERT_EQUAL(t->ndim, ndim);
    CU_ASSERT_EQUAL(memcmp(t->dims, dims, (size_t)ndim * sizeof *dims), 0);
}

static void resnet18_has_its_parameters(void)
{
    struct model_opts opts = {.name = MODEL_RESNET18, .width = 64};
    CU_ASSERT_EQUAL_FATAL(model_build(&m, &opts, (struct shape){3, 32, 32}, 10), IAU_OK);
    CU_ASSERT_EQUAL(m.n_param, 11173962);
    CU_ASSERT_EQUAL(m.n_tensor, 62);
    CU_ASSERT_EQUAL(m.n_buffer_tensor, 60);
    expect_shape("conv1.weight", 4, (int64_t[]){64, 3, 3, 3});
    expect_shape("layer2.0.downsample.0.weight", 4, (int64_t[]){128, 64, 1, 1});
    expect_shape("layer4.1.bn2.running_var", 1, (int64_t[]){512});
    expect_shape("bn1.num_batches_tracked", 0, (int64_t[]){0});
    expect_shape("fc.weight", 2, (int64_t[]){10, 512});
    CU_ASSERT_EQUAL(m.tensor[0]->offset, 0);
    CU_ASSERT_EQUAL(m.buffer[0]->offset, m.n_param);
    /* restriction at batch 64 has to fit 2 GiB: activations beside 36 bytes and more a parameter */
    CU_ASSERT(unit_bytes(&m, 64, UNIT_TANGENT) < (int64_t)1200 << 20);
    CU_ASSERT(unit_bytes(&m, 64, UNIT_GRADIENT) < (int64_t)450 << 20);
}

static void vgg19_has_its_parameters(void)
{
    struct model_opts opts = {.name = MODEL_VGG19, .width = 64};
    CU_ASSERT_EQUAL_FATAL(model_build(&m, &opts, (struct shape){3, 32, 32}, 10), IAU_OK);
    CU_ASSERT_EQUAL(m.n_param, 20040522);
    expect_shape("features.0.weight", 4, (int64_t[]){64, 3, 3, 3});
    expect_shape("features.49.weight", 4, (int64_t[]){512, 512, 3, 3});
    expect_shape("features.50.running_mean", 1, (int64_t[]){512});
    expect_shape("classifier.weight", 2, (int64_t[]){10, 512});
    harness_expect_error(model_build(&m, &opts, (struct shape){3, 33, 32}, 10), IAU_ERR_CONFIG,
                         "model vgg19 takes images up to 32x32, not 33x32");
}

static double deviation(const float *w, const struct tensor *t)
{
    double square = 0;
    for (int64_t i = 0; i < t->count; i++)
        square += (double)w[t->offset + i] * w[t->offset + i];
    return sqrt(square / (double)t->count);
}

/* torchvision's: normal with variance 2 / fan_out, batch norm 1 and 0, and what each model has at
 * its end. */
static void initial_values_are_torchvisions(void)
{
    struct model_opts opts = {.name = MODEL_VGG19, .width = 16};
    for (int name = MODEL_RESNET18; name <= MODEL_VGG19; name++) {
        opts.name = (enum model_name)name;
        int is_vgg = name == MODEL_VGG19;
        CU_ASSERT_EQUAL_FATAL(model_build(&m, &opts, (struct shape){3, 32, 32}, 10), IAU_OK);
        float *w = mem_alloc(model_state_floats(&m), sizeof *w),
              *again = mem_alloc(model_state_floats(&m), sizeof *w);
        model_init_params(&m, 5, w);
        model_init_params(&m, 5, again);
        CU_ASSERT_EQUAL(memcmp(w, again, (size_t)model_state_floats(&m) * sizeof *w), 0);
        const struct tensor *conv = find(is_vgg ? "features.43.weight" : "layer4.0.conv2.weight");
        CU_ASSERT_DOUBLE_EQUAL(deviation(w, conv), sqrt(2.0 / (128 * 9)),
                               0.001 * sqrt(2.0 / (128 * 9)) * 8);
        CU_ASSERT(deviation(w, find(is_vgg ? "features.44.weight" : "layer4.0.bn2.weight")) == 1);
        CU_ASSERT(deviation(w, find(is_vgg ? "features.44.bias" : "layer4.0.bn2.bias")) == 0);
        CU_ASSERT(deviation(w, find(is_vgg ? "features.44.running_var" : "bn1.running_var")) == 1);
        CU_ASSERT(deviation(w, find(is_vgg ? "features.44.running_mean" : "bn1.running_mean")) ==
                  0);
        double last = deviation(w, find(is_vgg ? "classifier.weight" : "fc.weight"));
        CU_ASSERT_DOUBLE_EQUAL(last, is_vgg ? 0.01 : 1 / sqrt(3.0 * 128), 0.08 * last);
        CU_ASSERT((deviation(w, find(is_vgg ? "classifier.bias" : "fc.bias")) == 0) == is_vgg);
        free(w);
        free(again);
    }
}

static void names_are_given_or_counted(void)
{
    CU_ASSERT_EQUAL(build(LIST("input 10 12", "conv 4 3", "batchnorm", "relu", "conv 5 3 name=head",
                               "batchnorm", "avgpool", "dense 7", "dense classes"),
                          image),
                    IAU_OK);
    CU_ASSERT(m.in.h == 10 && m.in.w == 12);
    expect_shape("conv1.weight", 4, (int64_t[]){4, 3, 3, 3});
    expect_shape("conv1.bias", 1, (int64_t[]){4});
    expect_shape("head.weight", 4, (int64_t[]){5, 4, 3, 3});
    expect_shape("bn2.weight", 1, (int64_t[]){5});
    expect_shape("fc2.weight", 2, (int64_t[]){10, 7});
}

static void expect_error(const char *const *line, const char *text)
{
    harness_expect_error(build(line, image), IAU_ERR_CONFIG, text);
}

static void lines_that_mean_nothing_are_refused(void)
{
    expect_error(LIST("convolution 3 3"),
                 "model.layers: layer 1 'convolution 3 3': 'convolution' is none of input, conv");
    expect_error(LIST("relu", "conv 3"), "layer 2 'conv 3': usage: conv OUT K");
    expect_error(LIST("conv 3 3 3"), "layer 1 'conv 3 3 3': '3' is too much");
    expect_error(LIST("conv 0 3"), "'0' is not in 1 to 65536");
    expect_error(LIST("conv 3x 3"), "'3x' is no number");
    expect_error(LIST("conv 3 3 padding=1"),
                 "there is no option 'padding'; usage: conv OUT K [stride=1] [pad=0]");
    expect_error(LIST("conv 3 3 bias=maybe"), "'maybe' is none of off, on");
    expect_error(LIST("conv 3 3 init=xavier"), "'xavier' is none of default, kaiming, normal");
    expect_error(LIST("conv 3 3 name=a/b"), "name 'a/b': use");
    expect_error(LIST("relu", "dropout"), "layer 2 'dropout': usage: dropout P");
    expect_error(LIST("dropout half"), "'half' is no number");
    expect_error(LIST("dropout 1"), "'1' is not in 0 to below 1");
    expect_error(LIST("dropout nan"), "'nan' is not in 0 to below 1");
    expect_error(LIST("relu pad=1"), "there is no option 'pad'; usage: relu");
    expect_error(LIST("residual"), "usage: residual begin|skip|end");
    expect_error(LIST("residual start"), "'start' is none of begin, skip, end");
    expect_error(LIST("conv 3 3", " "), "layer 2 ' ': is empty");
    expect_error((const char *const[]){NULL}, "model.layers is empty");
}

static void lists_that_do_not_fit_are_refused(void)
{
    expect_error(LIST("conv 4 3", "maxpool 2", "conv 4 5", "dense classes"),
                 "layer 3 'conv 4 5': a 5x5 window does not fit its input 4x3x3");
    expect_error(LIST("maxpool 9", "dense classes"),
                 "layer 1 'maxpool 9': a 9x9 window does not fit its input 3x8x8");
    expect_error(LIST("maxpool 3 stride=2"), "windows of 3 overlap at stride 2");
    expect_error(LIST("conv 4 3", "input 9"), "layer 2 'input 9': must be the first line");
    expect_error(LIST("input 7"), "model.layers takes images up to 7x7, not 8x8");
    expect_error(LIST("conv 10 3"),
                 "layer 1 'conv 10 3': the last layer gives 10x6x6, but there are 10 classes");
    expect_error(LIST("dense 9"), "the last layer gives 9x1x1, but there are 10 classes");
    expect_error(LIST("conv 4 3 name=a", "conv 4 3 name=a"),
                 "layer 2 'conv 4 3 name=a': the name 'a' is taken");
    expect_error(LIST("conv 4 3", "batchnorm name=conv1"), "the name 'conv1' is taken");
    expect_error(LIST("residual end"),
                 "layer 1 'residual end': there is no 'residual begin' before it");
    expect_error(LIST("residual begin", "residual end"),
                 "there is no layer since 'residual begin' on line 1");
    expect_error(LIST("residual begin", "conv 4 3 pad=1", "residual end"),
                 "layer 3 'residual end': the branches from line 1 end as 4x8x8 and 3x8x8");
    expect_error(LIST("residual begin", "conv 3 1", "residual skip", "residual skip"),
                 "the connection from line 1 has its other branch already");
    expect_error(LIST("relu", "residual begin", "dense classes"),
                 "'residual begin' on line 2 has no 'residual end'");
    expect_error(LIST("avgpool"), "gives 3x1x1");
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"resnet18 has its parameters", resnet18_has_its_parameters},
        {"vgg19 has its parameters", vgg19_has_its_parameters},
        {"initial values are torchvision's", initial_values_are_torchvisions},
        {"names are given or counted", names_are_given_or_counted},
        {"lines that mean nothing are refused", lines_that_mean_nothing_are_refused},
        {"lists that do not fit are refused", lists_that_do_not_fit_are_refused},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "spec", tests);
}
