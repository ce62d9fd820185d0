/* Wrong labels, and where they go. */
#include "data/poison.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "data/rows.h"

int poison_draw(struct poison *p, const struct dataset *d, const struct index_set *set,
                uint64_t seed)
{
    struct rng rng = {seed, RNG_POISON, 0};
    struct rows r = {0};
    int rc = IAU_OK;
    REQUIRE(!d->poison && set->part == PART_TRAIN);
    *p = (struct poison){.n = set->n};
    p->row = mem_alloc(set->n, sizeof *p->row);
    p->label = mem_alloc(set->n, sizeof *p->label);
    p->truth = mem_alloc(set->n, sizeof *p->truth);
    if (!p->row || !p->label || !p->truth)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld labels", (long long)set->n));
    TRY(rows_load_columns(&r, d, set->part, set->row, set->n, 1));
    for (int64_t i = 0; i < set->n; i++) {
        uint32_t word[4];
        rng_words_id(&rng, r.id[i], word);
        int32_t other = (int32_t)((uint64_t)word[0] * (uint64_t)(d->n_class - 1) >> 32);
        p->row[i] = set->row[i];
        p->label[i] = other + (other >= r.label[i]);
        p->truth[i] = r.label[i];
    }
out:
    rows_free(&r);
    if (rc != IAU_OK)
        poison_free(p);
    return rc;
}

void poison_free(struct poison *p)
{
    free(p->row);
    free(p->label);
    free(p->truth);
    *p = (struct poison){0};
}

/* The first place whose row is not below `row`. */
static int64_t find(const struct poison *p, int64_t row)
{
    int64_t low = 0, high = p->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (p->row[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void poison_apply(const struct poison *p, const int64_t *row, int64_t n, int32_t *label)
{
    int64_t k = n ? find(p, row[0]) : 0; /* rows may be a small part, asked for many times */
    for (int64_t i = 0; i < n; i++) {
        while (k < p->n && p->row[k] < row[i])
            k++;
        if (k < p->n && p->row[k] == row[i])
            label[i] = p->label[k];
    }
}

void poison_apply_all(const struct poison *p, int32_t *label)
{
    for (int64_t k = 0; k < p->n; k++)
        label[p->row[k]] = p->label[k];
}

const int32_t *poison_truth(const struct poison *p, int64_t first, int64_t n)
{
    REQUIRE(first >= 0 && n >= 0 && first + n <= p->n);
    return p->truth + first;
}
