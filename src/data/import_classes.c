/* The labels of a source as classes: collected by a hash table, then sorted. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"

enum { FIRST_ROOM = 256, MOST_CLASSES = 1 << 16 };

static uint32_t hash(const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* The slot of a name, or the free one where it belongs. */
static int *find_slot(const struct import_classes *c, const char *name)
{
    uint32_t mask = (uint32_t)c->room - 1, at = hash(name) & mask;
    while (c->slot[at] >= 0 && strcmp(c->name[c->slot[at]], name) != 0)
        at = (at + 1) & mask;
    return &c->slot[at];
}

static void fill_slots(struct import_classes *c)
{
    memset(c->slot, 0xff, (size_t)c->room * sizeof *c->slot);
    for (int i = 0; i < c->n; i++)
        *find_slot(c, c->name[i]) = i;
}

/* Twice as many slots as names at least, so that searches end soon. */
static int grow(struct import_classes *c)
{
    int room = c->room ? 2 * c->room : FIRST_ROOM;
    char **name = realloc(c->name, (size_t)room / 2 * sizeof *name);
    c->name = name ? name : c->name;
    int *slot = mem_alloc(room, sizeof *slot);
    if (!name || !slot) {
        free(slot);
        return FAIL(IAU_ERR_MEM, "no memory for class names");
    }
    free(c->slot);
    c->slot = slot;
    c->room = room;
    fill_slots(c);
    return IAU_OK;
}

int import_classes_add(struct import_classes *c, const char *name, const char *path)
{
    if (c->room && *find_slot(c, name) >= 0)
        return IAU_OK;
    if (c->n == MOST_CLASSES)
        return FAIL(IAU_ERR_DATA, "%s has more than %d different labels; are these classes?", path,
                    MOST_CLASSES);
    int rc = 2 * c->n >= c->room ? grow(c) : IAU_OK;
    if (rc != IAU_OK)
        return rc;
    c->name[c->n] = mem_strdup(name);
    if (!c->name[c->n])
        return FAIL(IAU_ERR_MEM, "no memory for class names");
    *find_slot(c, name) = c->n++;
    return IAU_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_value(const void *a, const void *b)
{
    double x = 0, y = 0;
    import_number(*(char *const *)a, &x);
    import_number(*(char *const *)b, &y);
    return x == y ? by_bytes(a, b) : x < y ? -1 : 1;
}

int import_classes_sort(struct import_classes *c, const char *path)
{
    int all_numbers = 1;
    double x;
    if (c->n < 2)
        return FAIL(IAU_ERR_DATA, "%s: all rows have the label '%s'; at least 2 are needed", path,
                    c->n ? c->name[0] : "");
    for (int i = 0; i < c->n; i++)
        all_numbers &= import_number(c->name[i], &x);
    qsort(c->name, (size_t)c->n, sizeof *c->name, all_numbers ? by_value : by_bytes);
    fill_slots(c);
    return IAU_OK;
}

int import_classes_find(const struct import_classes *c, const char *name)
{
    return c->room ? *find_slot(c, name) : -1;
}

void import_classes_free(struct import_classes *c)
{
    for (int i = 0; i < c->n; i++)
        free(c->name[i]);
    free(c->name);
    free(c->slot);
    *c = (struct import_classes){0};
}
