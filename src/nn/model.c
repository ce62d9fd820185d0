/* Initial state, and passes over a unit: forward, backward, and the tangents of both, layer by
 * layer. */
#include "nn/model.h"

#include <math.h>
#include <stddef.h>

#include "core/error.h"
#include "core/rng.h"
#include "kernel/act.h"
#include "kernel/softmax.h"

static void init_tensor(const struct tensor *t, const struct rng *r, float *v)
{
    float bound = (float)(1 / sqrt(t->fan_in));
    for (int64_t i = 0; i < t->count; i++)
        if (t->init == INIT_UNIFORM)
            v[i] = bound * (2 * rng_uniform(r, (uint64_t)i) - 1);
        else
            v[i] = (float)(t->init == INIT_NORMAL ? t->init_value * rng_normal(r, (uint64_t)i)
                                                  : t->init_value);
}

void model_init_params(const struct model *m, uint64_t seed, float *params)
{
    for (int t = 0; t < m->n_tensor; t++)
        init_tensor(m->tensor[t], &(struct rng){seed, RNG_INIT, (uint64_t)t},
                    params + m->tensor[t]->offset);
    for (int t = 0; t < m->n_buffer_tensor; t++)
        init_tensor(m->buffer[t], &(struct rng){seed, RNG_INIT, 0}, params + m->buffer[t]->offset);
}

void model_update_buffers(const struct model *m, const float *mean, float *state)
{
    static const float momentum = 0.1f; /* torch's default */
    for (int t = 0; t < m->n_buffer_tensor; t++) {
        const struct tensor *b = m->buffer[t];
        for (int64_t i = b->offset; i < b->offset + b->count; i++)
            if (b->ndim == 0)
                state[i] += 1; /* a count, exact up to 2^24 */
            else
                state[i] = (1 - momentum) * state[i] + momentum * (GROUP_SAMPLES * mean[i]);
    }
}

const struct tensor *model_tensor_at(const struct model *m, int64_t i)
{
    int t = 0;
    if (i >= m->n_param && m->n_buffer_tensor) {
        while (t + 1 < m->n_buffer_tensor && m->buffer[t + 1]->offset <= i)
            t++;
        return m->buffer[t];
    }
    while (t + 1 < m->n_tensor && m->tensor[t + 1]->offset <= i)
        t++;
    return m->tensor[t];
}

/* What layer i sees of a unit. */
static struct weights for_layer(const struct model *m, const struct weights *p,
                                const struct unit *u, int i)
{
    struct weights own = *p;
    own.n = u->n;
    own.norm = u->norm;
    own.dropout = u->drops ? &u->dropout : NULL;
    own.skip = m->layer[i].ops->joins ? &u->node[m->layer[i].skip] : NULL;
    return own;
}

/* The input node of layer i, whose gradient arrays are the layer's own where the input has earlier
 * users. */
static struct node input_of(const struct model *m, const struct unit *u, int i)
{
    const struct layer *l = &m->layer[i];
    struct node in = u->node[layer_source(l, i)];
    if (l->is_later_user && !l->ops->joins) {
        in.da = in.da ? u->node[i + 1].dx : NULL;
        in.rda = in.rda ? u->node[i + 1].rdx : NULL;
    }
    return in;
}

/* The first user of a node runs last in a backward pass: it has written the gradient, and adds what
 * the other users found. An add layer's part is its own output's gradient. */
static void add_other_users(const struct model *m, const struct unit *u, int i, int tangent)
{
    const struct layer *l = &m->layer[i];
    const struct node *in = &u->node[layer_source(l, i)];
    float *sum = tangent ? in->rda : in->da;
    if (l->is_later_user || !sum)
        return;
    for (int o = l->next_user; o; o = m->layer[o - 1].next_user) {
        const struct node *other = &u->node[o];
        const float *da = m->layer[o - 1].ops->joins ? other->da : other->dx;
        const float *rda = m->layer[o - 1].ops->joins ? other->rda : other->rdx;
        vector_add(shape_count(l->in) * u->lanes, sum, tangent ? rda : da, sum);
    }
}

void model_forward(const struct model *m, const float *w, struct unit *u)
{
    struct weights p = {.w = w};
    for (int i = 0; i < m->n_layer; i++) {
        struct weights own = for_layer(m, &p, u, i);
        struct node in = input_of(m, u, i);
        m->layer[i].ops->forward(&m->layer[i], u->lanes, &own, &in, &u->node[i + 1], u->scratch);
    }
    softmax_forward(m->n_class, u->lanes, u->node[m->n_layer].a, u->label, u->p, u->loss);
}

enum pass { PASS_BACKWARD, PASS_TANGENT, PASS_SQUARES };

/* From the top node's da, or rda, down. */
static void run_backward(const struct model *m, const struct weights *p, struct unit *u,
                         enum pass pass)
{
    int64_t begin = m->n_param;
    for (int i = m->n_layer; i-- > 0;) {
        const struct layer *l = &m->layer[i];
        struct weights own = for_layer(m, p, u, i);
        struct node in = input_of(m, u, i);
        const struct layer_ops *ops = l->ops;
        (pass == PASS_TANGENT ? ops->backward_tangent
         : pass == PASS_SQUARES && ops->squares
             ? ops->squares
             : ops->backward)(l, u->lanes, &own, &in, &u->node[i + 1], u->scratch);
        add_other_users(m, u, i, pass == PASS_TANGENT);
        begin = l->n_tensor ? l->tensor[0].offset : begin; /* offsets ascend with the layers */
        if (u->left)
            u->left(u->left_ctx, begin);
    }
}

static void run_forward_tangent(const struct model *m, const struct weights *p, struct unit *u)
{
    for (int i = 0; i < m->n_layer; i++) {
        struct weights own = for_layer(m, p, u, i);
        struct node in = input_of(m, u, i);
        m->layer[i].ops->forward_tangent(&m->layer[i], u->lanes, &own, &in, &u->node[i + 1],
                                         u->scratch);
    }
}

void model_loss_gradient(const struct model *m, struct unit *u)
{
    softmax_backward(m->n_class, u->lanes, u->p, u->label, u->weight, u->node[m->n_layer].da);
}

void model_backward_from_top(const struct model *m, const float *w, struct unit *u, float *dw)
{
    struct weights p = {.w = w, .dw = dw};
    run_backward(m, &p, u, PASS_BACKWARD);
}

void model_squares_from_top(const struct model *m, const float *w, struct unit *u, float *squares)
{
    struct weights p = {.w = w, .dw = squares};
    REQUIRE(u->norm == NORM_FROZEN);
    run_backward(m, &p, u, PASS_SQUARES);
}

void model_backward(const struct model *m, const float *w, struct unit *u, float *dw)
{
    model_loss_gradient(m, u);
    model_backward_from_top(m, w, u, dw);
}

void model_hessian_product(const struct model *m, const float *w, const float *v, struct unit *u,
                           float *rdw)
{
    struct weights p = {.w = w, .v = v, .rdw = rdw};
    const struct node *top = &u->node[m->n_layer];
    run_forward_tangent(m, &p, u);
    softmax_backward_tangent(m->n_class, u->lanes, u->p, top->ra, u->weight, top->rda);
    run_backward(m, &p, u, PASS_TANGENT);
}

void model_gauss_newton_product(const struct model *m, const float *w, const float *v,
                                struct unit *u, float *out)
{
    struct weights p = {.w = w, .v = v, .dw = out};
    const struct node *top = &u->node[m->n_layer];
    run_forward_tangent(m, &p, u);
    softmax_backward_tangent(m->n_class, u->lanes, u->p, top->ra, u->weight, top->da);
    run_backward(m, &p, u, PASS_BACKWARD);
}

double unit_loss(const struct unit *u)
{
    double sum = 0;
    for (int i = 0; i < u->n; i++)
        sum += u->loss[i];
    return sum;
}

int64_t unit_correct(const struct model *m, const struct unit *u)
{
    int64_t correct = 0;
    for (int i = 0; i < u->n; i++) {
        int best = 0;
        for (int c = 1; c < m->n_class; c++)
            if (u->p[(int64_t)c * u->lanes + i] > u->p[(int64_t)best * u->lanes + i])
                best = c;
        correct += best == u->label[i];
    }
    return correct;
}
