/* A unit's arrays: which nodes share one, and which gradients can take turns in the same place. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "nn/model.h"

enum { NODES_MAX = MODEL_MAX_LAYERS + 1 };

/* Hands out 64-byte aligned pieces of `block`, or only counts them where block is NULL. */
struct carver {
    float *block;
    int64_t used;
};

static int64_t align(int64_t n)
{
    return (n + 15) / 16 * 16;
}

static float *carve(struct carver *c, int64_t n)
{
    float *piece = c->block ? c->block + c->used : NULL;
    c->used += align(n);
    return piece;
}

/* An array of a backward pass, which runs from the last layer to the first: written first by layer
 * `from`, read last by layer `to` <= from. */
struct turn {
    int64_t size, offset;
    int from, to;
};

struct turns {
    int n;
    struct turn v[2 * NODES_MAX];
    int64_t length; /* of the place that all share */
};

static int collides(const struct turn *a, const struct turn *b, int64_t offset)
{
    return a->from >= b->to && b->from >= a->to && offset < b->offset + b->size &&
           b->offset < offset + a->size;
}

/* The lowest free place for one more array. */
static int64_t turns_add(struct turns *t, int64_t size, int from, int to)
{
    struct turn next = {align(size), 0, from, to};
    for (int i = 0; i < t->n; i++)
        if (collides(&next, &t->v[i], next.offset)) {
            next.offset = t->v[i].offset + t->v[i].size;
            i = -1; /* moving up may have met another */
        }
    t->v[t->n++] = next;
    t->length = next.offset + next.size > t->length ? next.offset + next.size : t->length;
    return next.offset;
}

static int is_in_place(const struct layer *l)
{
    return l->ops->in_place && !l->apart;
}

/* Whose gradient array each node uses: that of the layer's output where the layer works in place,
 * or where it is an add, which hands the same gradient to both of its branches. */
static void find_owners(const struct model *m, int *owner)
{
    for (int i = 0; i <= m->n_layer; i++)
        owner[i] = i;
    for (int i = m->n_layer; i-- > 0;) {
        const struct layer *l = &m->layer[i];
        if (is_in_place(l))
            owner[layer_source(l, i)] = owner[i + 1];
        int own_array = l->ops->joins && !l->is_later_user && l->skip > 0;
        if (own_array && !m->layer[l->skip - 1].ops->in_place)
            owner[l->skip] = owner[i + 1];
    }
}

/* When each gradient array is in use. */
static void find_turns(const struct model *m, const int *owner, struct turn *when)
{
    for (int i = 0; i <= m->n_layer; i++)
        when[i] = (struct turn){.from = -1, .to = m->n_layer};
    when[owner[m->n_layer]].from = m->n_layer;
    for (int i = 0; i < m->n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct turn *in = &when[owner[layer_source(l, i)]], *out = &when[owner[i + 1]];
        in->from = i > in->from ? i : in->from;
        out->from = i > out->from ? i : out->from;
        out->to = i < out->to ? i : out->to;
        if (l->ops->joins && !l->is_later_user) {
            struct turn *skip = &when[owner[l->skip]];
            skip->from = i > skip->from ? i : skip->from;
        }
        for (int o = l->is_later_user ? 0 : l->next_user; o; o = m->layer[o - 1].next_user) {
            struct turn *other =
                &when[owner[o]]; /* of an add: its output's gradient is read at the first user */
            if (m->layer[o - 1].ops->joins)
                other->to = i < other->to ? i : other->to;
        }
    }
}

/* Gradients that only their own backward pass needs, taking turns: da where there are no tangents,
 * rda, and the parts of later users. */
static void place_turns(struct unit *u, const struct model *m, int lanes, enum unit_passes passes,
                        struct carver *c)
{
    struct turns turns;
    int owner[NODES_MAX], first[NODES_MAX] = {0};
    struct turn when[NODES_MAX];
    int64_t at[NODES_MAX], part[NODES_MAX];
    turns.n = 0;
    turns.length = 0;
    find_owners(m, owner);
    find_turns(m, owner, when);
    for (int i = 0; i < m->n_layer; i++) {
        if (!m->layer[i].is_later_user)
            first[i] = i;
        if (m->layer[i].next_user)
            first[m->layer[i].next_user - 1] = first[i];
    }
    for (int i = m->n_layer; i > 0; i--) {
        const struct layer *l = &m->layer[i - 1];
        at[i] = owner[i] == i
                    ? turns_add(&turns, shape_count(l->out) * lanes, when[i].from, when[i].to)
                    : at[owner[i]];
        int has_part = l->is_later_user && !l->ops->joins && layer_source(l, i - 1) > 0;
        part[i] =
            has_part ? turns_add(&turns, shape_count(l->in) * lanes, i - 1, first[i - 1]) : -1;
    }
    float *place = carve(c, turns.length);
    for (int i = 1; i <= m->n_layer && place; i++) {
        struct node *n = &u->node[i];
        if (passes == UNIT_GRADIENT)
            n->da = place + at[i];
        else
            n->rda = place + at[i];
        n->dx = n->rdx = part[i] >= 0 ? place + part[i] : NULL;
    }
}

static int64_t unit_carve(struct unit *u, const struct model *m, int lanes, enum unit_passes passes,
                          float *block)
{
    struct carver c = {block, 0};
    int64_t scratch = 0;
    int owner[NODES_MAX];
    find_owners(m, owner);
    u->node[0] = (struct node){.a = carve(&c, shape_count(m->in) * lanes)};
    for (int i = 0; i < m->n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct node *out = &u->node[i + 1], *in = &u->node[layer_source(l, i)];
        int64_t n = shape_count(l->out) * lanes, s = l->ops->scratch_floats(l, lanes);
        scratch = s > scratch ? s : scratch;
        *out = (struct node){.a = is_in_place(l) ? in->a : carve(&c, n)};
        if (passes == UNIT_TANGENT)
            out->ra = is_in_place(l) ? in->ra : carve(&c, n);
        if (l->ops->kept_floats)
            out->kept = carve(&c, l->ops->kept_floats(l, lanes));
    }
    for (int i = m->n_layer; passes == UNIT_TANGENT && i > 0; i--)
        u->node[i].da = owner[i] == i ? carve(&c, shape_count(m->layer[i - 1].out) * lanes)
                                      : u->node[owner[i]].da;
    if (passes >= UNIT_GRADIENT)
        place_turns(u, m, lanes, passes, &c);
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
