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
    *p = (struct poison){.n = set->n};
    p->row = mem_alloc(set->n, sizeof *p->row);
    p->label = mem_alloc(set->n, sizeof *p->label);
    if (!p->row || !p->label)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld labels", (long long)set->n));
    TRY(rows_load_columns(&r, d, set->part, set->row, set->n, 1));
    for (int64_t i = 0; i < set->n; i++) {
        uint32_t word[4];
        rng_words_id(&rng, r.id[i], word);
        int32_t other = (int32_t)((uint64_t)word[0] * (uint64_t)(d->n_class - 1) >> 32);
        p->row[i] = set->row[i];
        p->label[i] = other + (other >= r.label[i]);
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
    *p = (struct poison){0};
}

void poison_apply(const struct poison *p, const int64_t *row, int64_t n, int32_t *label)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        while (k < p->n && p->row[k] < row[i])
            k++;
        if (k < p->n && p->row[k] == row[i])
            label[i] = p->label[k];
    }
}
