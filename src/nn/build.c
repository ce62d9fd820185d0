/* From a list of layers to a model: shapes, tensors, and who reads whose output. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "nn/model.h"
#include "nn/spec.h"

enum { RESIDUAL_DEPTH_MAX = 8, MLP_MAX_HIDDEN = 31 };

/* An open residual connection: nodes where it began and where its main branch ended (-1: it has
 * not). */
struct residual {
    int begin, main, number;
};

struct builder {
    struct model *m;
    const char *what; /* names the list in messages */
    const struct text_list *text;
    int line;                  /* from 0 */
    int node;                  /* whose output the next layer sees */
    int may_fuse;              /* a ReLU may become part of the layer before it */
    int n_conv, n_bn, n_dense; /* for default names */
    int depth;
    struct residual open[RESIDUAL_DEPTH_MAX];
};

#define BAD_LAYER(b, fmt, ...)                                                \
    FAIL(IAU_ERR_CONFIG, "%s: layer %d '%s': " fmt, (b)->what, (b)->line + 1, \
         (b)->text->v[(b)->line], __VA_ARGS__)

static struct shape shape_at(const struct model *m, int node)
{
    return node ? m->layer[node - 1].out : m->in;
}

/* Take the layer that was just filled in as the next one, on the output of node `source`. */
static void append(struct builder *b, int source)
{
    struct model *m = b->m;
    m->layer[m->n_layer].back = m->n_layer - source;
    b->node = ++m->n_layer;
    b->may_fuse = 0;
}

static const char *name_of(const struct layer_spec *s, const char *kind, int number,
                           char buf[TENSOR_NAME_CHARS])
{
    snprintf(buf, TENSOR_NAME_CHARS, "%s%d", kind, number);
    return s->name[0] ? s->name : buf;
}

static int check_name(const struct builder *b, const char *name)
{
    const struct model *m = b->m;
    size_t n = strlen(name);
    for (int i = 0; i < m->n_layer; i++)
        if (m->layer[i].n_tensor && strncmp(m->layer[i].tensor[0].name, name, n) == 0 &&
            strcmp(m->layer[i].tensor[0].name + n, ".weight") == 0)
            return BAD_LAYER(b, "the name '%s' is taken by an earlier layer", name);
    return IAU_OK;
}

/* A window of k with padding on the input. */
static int check_window(const struct builder *b, int k, int pad)
{
    struct shape in = shape_at(b->m, b->node);
    if (in.h + 2 * pad < k || in.w + 2 * pad < k)
        return BAD_LAYER(b, "a %dx%d window does not fit its input %dx%dx%d%s", k, k, in.c, in.h,
                         in.w, pad ? " with its padding" : "");
    return IAU_OK;
}

/* Other than torch's default initial values. */
static void set_init(struct layer *l, enum spec_init init)
{
    if (init == SPEC_INIT_DEFAULT)
        return;
    l->tensor[0].init = INIT_NORMAL;
    l->tensor[0].init_value = 0.01;
    if (init == SPEC_INIT_KAIMING)
        l->tensor[0].init_value = sqrt(2.0 / ((double)l->out.c * (l->k ? l->k * l->k : 1)));
    if (l->n_tensor > 1)
        l->tensor[1].init = INIT_CONSTANT;
}

static int add_input(struct builder *b, const struct layer_spec *s)
{
    struct model *m = b->m;
    if (b->line > 0)
        return BAD_LAYER(b, "must be the first line%s", "");
    int is_table = m->in.h == 1 && m->in.w == 1;
    if (m->in.h > s->size[0] || m->in.w > s->size[1] || is_table)
        return FAIL(IAU_ERR_CONFIG, "%s takes images up to %dx%d, not %dx%d", b->what, s->size[0],
                    s->size[1], m->in.h, m->in.w);
    m->in.h = s->size[0];
    m->in.w = s->size[1];
    return IAU_OK;
}

static int add_conv(struct builder *b, const struct layer_spec *s)
{
    struct model *m = b->m;
    struct layer *l = &m->layer[m->n_layer];
    struct shape in = shape_at(m, b->node);
    char buf[TENSOR_NAME_CHARS];
    const char *name = name_of(s, "conv", ++b->n_conv, buf);
    int rc = IAU_OK;
    TRY(check_name(b, name));
    TRY(check_window(b, s->size[1], s->pad));
    TRY((s->bias ? layer_conv2d : layer_conv2d_plain)(l, name, in, s->size[0], s->size[1],
                                                      s->stride, s->pad, &m->n_param));
    set_init(l, s->init);
    append(b, b->node);
out:
    return rc;
}

static int add_dense(struct builder *b, const struct layer_spec *s)
{
    struct model *m = b->m;
    struct layer *l = &m->layer[m->n_layer];
    char buf[TENSOR_NAME_CHARS];
    const char *name = name_of(s, "fc", ++b->n_dense, buf);
    int rc = IAU_OK;
    TRY(check_name(b, name));
    TRY(layer_dense(l, name, shape_at(m, b->node),
                    s->size[0] == SPEC_CLASSES ? m->n_class : s->size[0], &m->n_param));
    set_init(l, s->init);
    append(b, b->node);
out:
    return rc;
}

static int add_batchnorm(struct builder *b, const struct layer_spec *s)
{
    struct model *m = b->m;
    char buf[TENSOR_NAME_CHARS];
    const char *name = name_of(s, "bn", ++b->n_bn, buf);
    int rc = check_name(b, name);
    if (rc != IAU_OK)
        return rc;
    layer_batchnorm(&m->layer[m->n_layer], name, shape_at(m, b->node), &m->n_param, &m->n_buffer);
    append(b, b->node);
    b->may_fuse = 1;
    return IAU_OK;
}

static int add_pool(struct builder *b, const struct layer_spec *s)
{
    struct layer *l = &b->m->layer[b->m->n_layer];
    struct shape in = shape_at(b->m, b->node);
    int rc = IAU_OK, k = s->size[0];
    TRY(check_window(b, k, 0));
    if (s->stride < k)
        TRY(BAD_LAYER(b, "windows of %d overlap at stride %d; pooling needs stride >= window", k,
                      s->stride));
    if (k == 0)
        layer_global_pool(l, in);
    else
        TRY((s->kind == SPEC_MAXPOOL ? layer_maxpool : layer_avgpool)(l, in, k, s->stride));
    append(b, b->node);
out:
    return rc;
}

static int add_activation(struct builder *b, const struct layer_spec *s)
{
    struct model *m = b->m;
    struct shape in = shape_at(m, b->node);
    if (s->kind == SPEC_RELU && b->may_fuse) {
        m->layer[m->n_layer - 1].relu = 1;
        b->may_fuse = 0;
        return IAU_OK;
    }
    (s->kind == SPEC_RELU ? layer_relu : layer_tanh)(&m->layer[m->n_layer], in);
    append(b, b->node);
    return IAU_OK;
}

static int add_dropout(struct builder *b, const struct layer_spec *s)
{
    struct model *m = b->m;
    layer_dropout(&m->layer[m->n_layer], shape_at(m, b->node), s->rate, m->n_dropout++);
    append(b, b->node);
    return IAU_OK;
}

static int residual_begin(struct builder *b, const struct layer_spec *s)
{
    (void)s;
    if (b->depth == RESIDUAL_DEPTH_MAX)
        return BAD_LAYER(b, "more than %d residual connections within each other",
                         RESIDUAL_DEPTH_MAX);
    b->open[b->depth++] = (struct residual){b->node, -1, b->line + 1};
    b->may_fuse = 0;
    return IAU_OK;
}

/* The innermost open connection, whose main branch must hold something. */
static int find_open(const struct builder *b, struct residual **r)
{
    if (b->depth == 0)
        return BAD_LAYER(b, "there is no 'residual begin'%s before it", "");
    *r = (struct residual *)&b->open[b->depth - 1];
    if ((*r)->main < 0 && (*r)->begin == b->node)
        return BAD_LAYER(b, "there is no layer since 'residual begin' on line %d", (*r)->number);
    return IAU_OK;
}

static int residual_skip(struct builder *b, const struct layer_spec *s)
{
    (void)s;
    struct residual *r = NULL;
    int rc = find_open(b, &r);
    if (rc == IAU_OK && r->main >= 0)
        rc = BAD_LAYER(b, "the connection from line %d has its other branch already", r->number);
    if (rc != IAU_OK)
        return rc;
    r->main = b->node;
    b->node = r->begin;
    b->may_fuse = 0;
    return IAU_OK;
}

static int residual_end(struct builder *b, const struct layer_spec *s)
{
    (void)s;
    struct model *m = b->m;
    struct residual *r = NULL;
    int rc = find_open(b, &r);
    if (rc != IAU_OK)
        return rc;
    int main = r->main < 0 ? b->node : r->main, skip = r->main < 0 ? r->begin : b->node;
    struct shape x = shape_at(m, main), y = shape_at(m, skip);
    if (memcmp(&x, &y, sizeof x) != 0)
        return BAD_LAYER(b, "the branches from line %d end as %dx%dx%d and %dx%dx%d", r->number,
                         x.c, x.h, x.w, y.c, y.h, y.w);
    layer_add(&m->layer[m->n_layer], x, skip);
    append(b, main);
    b->may_fuse = 1;
    b->depth--;
    return IAU_OK;
}

static int add_layer(struct builder *b, const struct layer_spec *s)
{
    static int (*const by_kind[])(struct builder *, const struct layer_spec *) = {
        [SPEC_INPUT] = add_input,
        [SPEC_CONV] = add_conv,
        [SPEC_BATCHNORM] = add_batchnorm,
        [SPEC_RELU] = add_activation,
        [SPEC_TANH] = add_activation,
        [SPEC_MAXPOOL] = add_pool,
        [SPEC_AVGPOOL] = add_pool,
        [SPEC_DENSE] = add_dense,
        [SPEC_DROPOUT] = add_dropout,
        [SPEC_RESIDUAL_BEGIN] = residual_begin,
        [SPEC_RESIDUAL_SKIP] = residual_skip,
        [SPEC_RESIDUAL_END] = residual_end,
    };
    if (b->m->n_layer == MODEL_MAX_LAYERS)
        return BAD_LAYER(b, "more than %d layers", MODEL_MAX_LAYERS);
    return by_kind[s->kind](b, s);
}

/* Chain the layers that use the same node, and keep layers out of place where somebody else needs
 * their input. */
static void find_users(struct model *m)
{
    int last[MODEL_MAX_LAYERS + 1] = {0}; /* node made by the node's last user so far */
    int users[MODEL_MAX_LAYERS + 1] = {0};
    for (int i = 0; i < m->n_layer; i++) {
        struct layer *l = &m->layer[i];
        int shared = l->ops->joins ? l->skip : layer_source(l, i);
        if (last[shared]) {
            m->layer[last[shared] - 1].next_user = i + 1;
            l->is_later_user = 1;
        }
        last[shared] = i + 1;
        users[shared]++;
    }
    for (int i = 0; i < m->n_layer; i++) {
        struct layer *l = &m->layer[i];
        int source = layer_source(l, i);
        const struct layer *before = source ? &m->layer[source - 1] : NULL;
        int needed = before && (before->ops->needs_output || before->relu);
        l->apart = !before || (l->ops->joins ? needed : users[source] > 1);
    }
}

/* Whatever is left to be known when all layers are there. */
static int finish(struct builder *b)
{
    struct model *m = b->m;
    b->line = (int)b->text->n - 1;
    if (b->text->n == 0)
        return FAIL(IAU_ERR_CONFIG, "%s is empty: a model needs at least a dense layer", b->what);
    if (b->depth)
        return BAD_LAYER(b, "'residual begin' on line %d has no 'residual end'",
                         b->open[b->depth - 1].number);
    struct shape out = shape_at(m, b->node);
    if (out.c != m->n_class || out.h != 1 || out.w != 1)
        return BAD_LAYER(b, "the last layer gives %dx%dx%d, but there are %d classes", out.c, out.h,
                         out.w, m->n_class);
    if (m->n_tensor == 0 && m->n_param == 0)
        return BAD_LAYER(b, "the model has no parameters%s", "");
    find_users(m);
    for (int i = 0; i < m->n_layer; i++) {
        struct layer *l = &m->layer[i];
        for (int t = 0; t < l->n_tensor; t++)
            m->tensor[m->n_tensor++] = &l->tensor[t];
        for (int t = 0; t < l->n_buffer; t++) {
            l->buffer[t].offset += m->n_param;
            m->buffer[m->n_buffer_tensor++] = &l->buffer[t];
        }
    }
    return IAU_OK;
}

int model_build_list(struct model *m, const char *what, const struct text_list *text,
                     struct shape in, int n_class)
{
    int rc = IAU_OK;
    struct spec_list list = {0};
    struct builder b = {.m = m, .what = what, .text = text};
    *m = (struct model){.in = in, .n_class = n_class};
    TRY(spec_list_parse(&list, what, text));
    for (; b.line < list.n; b.line++)
        TRY(add_layer(&b, &list.v[b.line]));
    rc = finish(&b);
out:
    spec_list_free(&list);
    return rc;
}

int model_build(struct model *m, const struct model_opts *opts, struct shape in, int n_class)
{
    static const char *const what[] = {"model lenet5", "model mlp", "model resnet18", "model vgg19",
                                       "model.layers"};
    struct text_list text = {0};
    if (opts->name == MODEL_MLP && opts->hidden.n > MLP_MAX_HIDDEN)
        return FAIL(IAU_ERR_CONFIG, "model.hidden has %lld layers; at most %d fit",
                    (long long)opts->hidden.n, MLP_MAX_HIDDEN);
    int rc = zoo_lines(&text, opts);
    if (rc == IAU_OK)
        rc = model_build_list(m, what[opts->name], &text, in, n_class);
    zoo_free(&text);
    return rc;
}
