/* Targets, and the halves that shadow models are trained with. */
#include "audit/targets.h"

#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"

/* --- draws */

static struct rng stream_of(uint64_t seed, enum audit_draw what, int64_t number)
{
    return (struct rng){seed, RNG_AUDIT, (uint64_t)what << 40 | (uint64_t)number};
}

int64_t audit_seed(uint64_t seed, enum audit_draw what, int64_t number)
{
    struct rng r = stream_of(seed, what, number);
    uint32_t word[4];
    rng_words(&r, 0, word);
    return word[0];
}

struct draw {
    uint64_t key;
    int64_t place;
};

static int compare_draws(const void *a, const void *b)
{
    const struct draw *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

int audit_shuffle(uint64_t seed, enum audit_draw what, int64_t number, const int64_t *id, int64_t n,
                  int64_t **place)
{
    struct rng r = stream_of(seed, what, number);
    struct draw *draw = mem_alloc(n, sizeof *draw);
    *place = mem_alloc(n, sizeof **place);
    if (!draw || !*place) {
        free(draw);
        free(*place);
        *place = NULL;
        return FAIL(IAU_ERR_MEM, "no memory to draw from %lld samples", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t word[4];
        rng_words_id(&r, id[i], word);
        draw[i] = (struct draw){(uint64_t)word[0] << 32 | word[1], i};
    }
    qsort(draw, (size_t)n, sizeof *draw, compare_draws);
    for (int64_t i = 0; i < n; i++)
        (*place)[i] = draw[i].place;
    free(draw);
    return IAU_OK;
}

/* --- targets */

/* Rows of V in random order, as long as their class is wanted. @param wanted  [n_class], counted
 * down
 *  @param[out] row  room for V; @return how many */
static int64_t pick_outsiders(const struct index_set *valid, const int64_t *order,
                              const int32_t *label, int64_t *wanted, int64_t *row)
{
    int64_t n = 0;
    for (int64_t i = 0; i < valid->n; i++) {
        int64_t r = valid->row[order[i]];
        if (wanted[label[r]] > 0) {
            wanted[label[r]]--;
            row[n++] = r;
        }
    }
    return n;
}

/* The ids of a set's rows. The caller frees; NULL when memory is short. */
static int64_t *ids_of(const struct index_set *s, const int64_t *id)
{
    int64_t *out = mem_alloc(s->n, sizeof *out);
    for (int64_t i = 0; out && i < s->n; i++)
        out[i] = id[s->row[i]];
    return out;
}

static int draw_outsiders(struct index_set *out, const struct dataset *d,
                          const struct partition *sets, uint64_t seed, const int64_t *id)
{
    int rc = IAU_OK;
    int32_t *label = NULL;
    int64_t *order = NULL, *valid_id = ids_of(&sets->valid, id),
            *row = mem_alloc(sets->valid.n, sizeof *row),
            *wanted = mem_alloc(d->n_class, sizeof *wanted), n;
    *out = (struct index_set){.part = PART_TRAIN};
    if (!valid_id || !row || !wanted)
        TRY(FAIL(IAU_ERR_MEM, "no memory to draw from %lld samples", (long long)sets->valid.n));
    TRY(dataset_read_labels(d, PART_TRAIN, &label));
    for (int64_t i = 0; i < sets->forget.n; i++)
        wanted[label[sets->forget.row[i]]]++;
    TRY(audit_shuffle(seed, DRAW_OUTSIDERS, 0, valid_id, sets->valid.n, &order));
    n = pick_outsiders(&sets->valid, order, label, wanted, row);
    if (n == 0)
        TRY(FAIL(IAU_ERR_DATA,
                 "the audit has nobody to compare the forgotten samples with: none of the %lld "
                 "validation samples is of their classes; set data.valid higher",
                 (long long)sets->valid.n));
    TRY(index_set_from_rows(out, PART_TRAIN, row, n));
out:
    free(label);
    free(order);
    free(valid_id);
    free(row);
    free(wanted);
    return rc;
}

int targets_init(struct targets *t, const struct dataset *d, const struct partition *sets,
                 uint64_t seed)
{
    int rc = IAU_OK;
    int64_t *id = NULL;
    struct index_set outsiders = {0};
    *t = (struct targets){.n_forgotten = sets->forget.n};
    TRY(dataset_read_ids(d, PART_TRAIN, &id));
    TRY(draw_outsiders(&outsiders, d, sets, seed, id));
    TRY(index_set_join(&t->all, &sets->forget, &outsiders));
    TRY(index_set_minus(&t->rest, &sets->valid, &outsiders));
    t->id = ids_of(&t->all, id);
    t->is_forgotten = mem_alloc(t->all.n, sizeof *t->is_forgotten);
    if (!t->id || !t->is_forgotten)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld targets", (long long)t->all.n));
    for (int64_t i = 0; i < t->all.n; i++)
        t->is_forgotten[i] = index_set_has(&sets->forget, t->all.row[i]) != 0;
out:
    free(id);
    index_set_free(&outsiders);
    if (rc != IAU_OK)
        targets_free(t);
    return rc;
}

void targets_free(struct targets *t)
{
    index_set_free(&t->all);
    index_set_free(&t->rest);
    free(t->is_forgotten);
    free(t->id);
    *t = (struct targets){0};
}

int targets_half(const struct targets *t, uint64_t seed, int64_t k, uint8_t *member)
{
    int64_t *place = NULL, n = t->all.n;
    int rc = audit_shuffle(seed, DRAW_HALVES, k / 2, t->id, n, &place);
    for (int64_t i = 0; rc == IAU_OK && i < n; i++)
        member[place[i]] = (uint8_t)((i < n / 2) == (k % 2 == 0));
    free(place);
    return rc;
}
