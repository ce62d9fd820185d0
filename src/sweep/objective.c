/* Objectives of steps beside plain cross-entropy. */
#include "sweep/objective.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "kernel/softmax.h"

static int compare_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void relabel_only(struct relabel *r, int64_t *id, int64_t n)
{
    qsort(id, (size_t)n, sizeof *id, compare_id);
    r->only = id;
    r->n_only = n;
}

int32_t relabel_draw(const struct relabel *r, int64_t id, int32_t label, int n_class)
{
    if (r->n_only && !bsearch(&id, r->only, (size_t)r->n_only, sizeof id, compare_id))
        return label;
    struct rng rng = {r->seed, RNG_RELABEL, (uint64_t)r->epoch};
    uint32_t word[4];
    int n = n_class - (r->exclude_true != 0);
    rng_words_id(&rng, id, word);
    int32_t drawn = (int32_t)(((uint64_t)word[0] * (uint64_t)n) >> 32);
    return drawn + (r->exclude_true && drawn >= label);
}

/* The teacher is as in evaluation, whatever the student does. */
static void ask_teacher(const struct objective *o, const struct model *m, struct unit *u,
                        float *logits)
{
    const struct unit student = *u;
    u->norm = NORM_FROZEN;
    u->drops = 0;
    model_forward(m, o->teacher_w, u);
    memcpy(logits, u->node[m->n_layer].a, (size_t)m->n_class * (size_t)u->lanes * sizeof *logits);
    u->norm = student.norm;
    u->drops = student.drops;
}

double objective_forward(const struct objective *o, const struct model *m, const float *w,
                         struct unit *u, float *logits)
{
    int64_t n = (int64_t)m->n_class * u->lanes;
    const struct node *top = &u->node[m->n_layer];
    float weight[UNIT_MAX_LANES], kl[UNIT_MAX_LANES];
    if (o->teacher != 0)
        ask_teacher(o, m, u, logits);
    model_forward(m, w, u);
    model_loss_gradient(m, u);
    double sum = o->label * unit_loss(u);
    for (int64_t i = 0; i < n && o->label != 1; i++)
        top->da[i] *= (float)o->label;
    if (o->teacher == 0)
        return sum;
    for (int k = 0; k < u->lanes; k++)
        weight[k] = (float)o->teacher * u->weight[k];
    softmax_distill(m->n_class, u->lanes, (float)o->temperature, logits, top->a, weight, top->da,
                    kl, logits + n);
    for (int k = 0; k < u->n; k++)
        sum += o->teacher * o->temperature * o->temperature * kl[k];
    return sum;
}
