/* Passes over a unit: forward, backward, and the tangents of both, layer by layer. */
#include "nn/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "kernel/softmax.h"

void model_init_params(const struct model *m, uint64_t seed, float *params)
{
    for (int t = 0; t < m->n_tensor; t++) {
        const struct tensor *tensor = m->tensor[t];
        struct rng r = {seed, RNG_INIT, (uint64_t)t};
        float bound = (float)(1 / sqrt(tensor->fan_in));
        for (int64_t i = 0; i < tensor->count; i++)
            params[tensor->offset + i] = bound * (2 * rng_uniform(&r, (uint64_t)i) - 1);
    }
}

const struct tensor *model_tensor_at(const struct model *m, int64_t i)
{
    int t = 0;
    while (t + 1 < m->n_tensor && m->tensor[t + 1]->offset <= i)
        t++;
    return m->tensor[t];
}

/* Hands out 64-byte aligned pieces of `block`, or only counts them where block is NULL. */
struct carver {
    float *block;
    int64_t used;
};

static float *carve(struct carver *c, int64_t n)
{
    float *piece = c->block ? c->block + c->used : NULL;
    c->used += (n + 15) / 16 * 16;
    return piece;
}

static int64_t unit_carve(struct unit *u, const struct model *m, int lanes, enum unit_passes passes, float *block)
{
    struct carver c = {block, 0};
    int64_t scratch = 0;
    u->node[0] = (struct node){.a = carve(&c, shape_count(m->in) * lanes)};
    for (int i = 0; i < m->n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct node *out = &u->node[i + 1];
        int64_t n = shape_count(l->out) * lanes, s = l->ops->scratch_floats(l, lanes);
        scratch = s > scratch ? s : scratch;
        *out = u->node[i];
        if (l->ops->in_place)
            continue;
        out->a = carve(&c, n);
        out->da = passes >= UNIT_GRADIENT ? carve(&c, n) : NULL;
        out->ra = passes >= UNIT_TANGENT ? carve(&c, n) : NULL;
        out->rda = passes >= UNIT_TANGENT ? carve(&c, n) : NULL;
    }
    u->p = carve(&c, (int64_t)m->n_class * lanes);
    u->scratch = carve(&c, scratch);
    return c.used;
}

int64_t unit_bytes(const struct model *m, int lanes, enum unit_passes passes)
{
    struct unit u;
    return unit_carve(&u, m, lanes, passes, NULL) * (int64_t)sizeof(float);
}

int unit_init(struct unit *u, const struct model *m, int lanes, enum unit_passes passes)
{
    REQUIRE(lanes > 0 && lanes % 16 == 0 && lanes <= UNIT_MAX_LANES);
    *u = (struct unit){.lanes = lanes};
    int64_t n = unit_carve(u, m, lanes, passes, NULL);
    float *block = mem_alloc(n, sizeof *block);
    if (!block)
        return FAIL(IAU_ERR_MEM, "no memory: %.0f MiB for the activations of a unit",
                    (double)n * sizeof *block / 1048576);
    unit_carve(u, m, lanes, passes, block);
    u->block = block;
    return IAU_OK;
}

void unit_free(struct unit *u)
{
    free(u->block);
    *u = (struct unit){0};
}

void model_forward(const struct model *m, const float *w, struct unit *u)
{
    struct weights p = {.w = w};
    for (int i = 0; i < m->n_layer; i++)
        m->layer[i].ops->forward(&m->layer[i], u->lanes, &p, &u->node[i], &u->node[i + 1], u->scratch);
    softmax_forward(m->n_class, u->lanes, u->node[m->n_layer].a, u->label, u->p, u->loss);
}

void model_backward(const struct model *m, const float *w, struct unit *u, float *dw)
{
    struct weights p = {.w = w, .dw = dw};
    softmax_backward(m->n_class, u->lanes, u->p, u->label, u->weight, u->node[m->n_layer].da);
    for (int i = m->n_layer; i-- > 0;)
        m->layer[i].ops->backward(&m->layer[i], u->lanes, &p, &u->node[i], &u->node[i + 1], u->scratch);
}

void model_hessian_product(const struct model *m, const float *w, const float *v, struct unit *u, float *rdw)
{
    struct weights p = {.w = w, .v = v, .rdw = rdw};
    const struct node *top = &u->node[m->n_layer];
    for (int i = 0; i < m->n_layer; i++)
        m->layer[i].ops->forward_tangent(&m->layer[i], u->lanes, &p, &u->node[i], &u->node[i + 1], u->scratch);
    softmax_backward_tangent(m->n_class, u->lanes, u->p, top->ra, u->weight, top->rda);
    for (int i = m->n_layer; i-- > 0;)
        m->layer[i].ops->backward_tangent(&m->layer[i], u->lanes, &p, &u->node[i], &u->node[i + 1], u->scratch);
}

void model_gauss_newton_product(const struct model *m, const float *w, const float *v, struct unit *u, float *out)
{
    struct weights p = {.w = w, .v = v, .dw = out};
    const struct node *top = &u->node[m->n_layer];
    for (int i = 0; i < m->n_layer; i++)
        m->layer[i].ops->forward_tangent(&m->layer[i], u->lanes, &p, &u->node[i], &u->node[i + 1], u->scratch);
    softmax_backward_tangent(m->n_class, u->lanes, u->p, top->ra, u->weight, top->da);
    for (int i = m->n_layer; i-- > 0;)
        m->layer[i].ops->backward(&m->layer[i], u->lanes, &p, &u->node[i], &u->node[i + 1], u->scratch);
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
