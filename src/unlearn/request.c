/* Forget requests: a seeded share, ids from a text or HDF5 file, or whole classes. */
#include "unlearn/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/record.h"

enum { IDS_FILE_LIMIT = 1 << 30 };

struct id_list {
    int64_t n, capacity;
    int64_t *id; /* owned */
};

static int id_list_add(struct id_list *l, int64_t id)
{
    if (l->n == l->capacity) {
        int64_t capacity = l->capacity ? 2 * l->capacity : 1024;
        int64_t *grown = realloc(l->id, (size_t)capacity * sizeof *grown);
        if (!grown)
            return FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)capacity);
        l->id = grown;
        l->capacity = capacity;
    }
    l->id[l->n++] = id;
    return IAU_OK;
}

/* One id a line or several separated by blanks or commas; # starts a comment. */
static int ids_from_text(struct id_list *l, const char *path)
{
    int rc = IAU_OK;
    char *text = NULL;
    size_t size;
    int64_t line = 1;
    TRY(file_read_all(path, &text, &size, IDS_FILE_LIMIT));
    for (char *p = text; p < text + size;) {
        if (*p == '#') {
            p += strcspn(p, "\n");
        } else if (*p == '\n' || *p == ',' || isspace((unsigned char)*p)) {
            line += *p++ == '\n';
        } else {
            char *end;
            errno = 0;
            long long id = strtoll(p, &end, 10);
            if (end == p || errno ||
                (*end && !isspace((unsigned char)*end) && *end != ',' && *end != '#'))
                TRY(FAIL(IAU_ERR_FORMAT, "%s:%lld: '%.*s' is no sample id", path, (long long)line,
                         (int)strcspn(p, " \t\r\n,"), p));
            TRY(id_list_add(l, id));
            p = end;
        }
    }
out:
    free(text);
    return rc;
}

/* The data set `id`, or the only array there is. */
static int ids_from_hdf5(struct id_list *l, const char *path)
{
    int rc = IAU_OK;
    struct record r = {0};
    TRY(record_read(&r, path));
    const struct record_array *a = record_find(&r, "/id");
    if (!a && r.n_array == 1)
        a = &r.array[0];
    if (!a || (a->type != RECORD_I64 && a->type != RECORD_I32) || a->ndim != 1)
        TRY(FAIL(IAU_ERR_FORMAT, "%s has no one-dimensional integer data set 'id'", path));
    for (int64_t i = 0; i < record_count(a); i++)
        TRY(id_list_add(l, a->type == RECORD_I64 ? ((const int64_t *)a->data)[i]
                                                 : ((const int32_t *)a->data)[i]));
out:
    record_free(&r);
    return rc;
}

static int is_hdf5(const char *path)
{
    static const unsigned char magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char head[8] = {0};
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    return n == sizeof head && memcmp(head, magic, sizeof head) == 0;
}

struct id_row {
    int64_t id, row;
};

static int compare_id(const void *a, const void *b)
{
    int64_t x = ((const struct id_row *)a)->id, y = ((const struct id_row *)b)->id;
    return (x > y) - (x < y);
}

/* All ids of a part with their rows, sorted by id. The caller frees *table. */
static int id_table(struct id_row **table, const struct dataset *d, enum dataset_part part)
{
    int64_t *id = NULL;
    int rc = dataset_read_ids(d, part, &id);
    if (rc != IAU_OK)
        return rc;
    *table = mem_alloc(d->n[part], sizeof **table);
    for (int64_t i = 0; *table && i < d->n[part]; i++)
        (*table)[i] = (struct id_row){id[i], i};
    if (*table)
        qsort(*table, (size_t)d->n[part], sizeof **table, compare_id);
    free(id);
    return *table ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)d->n[part]);
}

/* Why an id cannot be forgotten. */
static int refuse_id(const struct dataset *d, const char *path, int64_t id)
{
    struct id_row *test = NULL, key = {id, 0};
    int rc = id_table(&test, d, PART_TEST);
    if (rc != IAU_OK)
        return rc;
    int in_test = bsearch(&key, test, (size_t)d->n[PART_TEST], sizeof *test, compare_id) != NULL;
    free(test);
    return in_test ? FAIL(IAU_ERR_DATA,
                          "%s: id %lld is a test sample; only training samples can be forgotten",
                          path, (long long)id)
                   : FAIL(IAU_ERR_DATA, "%s: id %lld is not in %s", path, (long long)id, d->path);
}

static int rows_of_ids(const struct partition *p, const struct dataset *d, const char *path,
                       const struct id_list *l, int64_t *row)
{
    int rc = IAU_OK;
    struct id_row *table = NULL;
    char *seen = mem_alloc(d->n[PART_TRAIN], 1);
    if (!seen)
        TRY(FAIL(IAU_ERR_MEM, "no memory for marks of %lld rows", (long long)d->n[PART_TRAIN]));
    TRY(id_table(&table, d, PART_TRAIN));
    for (int64_t i = 0; i < l->n; i++) {
        struct id_row key = {l->id[i], 0};
        const struct id_row *hit =
            bsearch(&key, table, (size_t)d->n[PART_TRAIN], sizeof key, compare_id);
        if (!hit)
            TRY(refuse_id(d, path, key.id));
        if (seen[hit->row]++)
            TRY(FAIL(IAU_ERR_DATA, "%s: id %lld is named twice", path, (long long)key.id));
        if (index_set_has(&p->valid, hit->row))
            TRY(FAIL(IAU_ERR_DATA,
                     "%s: id %lld was held out for validation, so no model has learned it", path,
                     (long long)key.id));
        row[i] = hit->row;
    }
out:
    free(seen);
    free(table);
    return rc;
}

/* The training rows of the ids in a file. */
static int read_ids(struct index_set *set, const struct partition *p, const struct dataset *d,
                    const char *path)
{
    int rc = IAU_OK;
    struct id_list l = {0};
    int64_t *row = NULL;
    TRY(is_hdf5(path) ? ids_from_hdf5(&l, path) : ids_from_text(&l, path));
    row = mem_alloc(l.n, sizeof *row);
    if (!row)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld ids", (long long)l.n));
    TRY(rows_of_ids(p, d, path, &l, row));
    TRY(index_set_from_rows(set, PART_TRAIN, row, l.n));
out:
    free(row);
    free(l.id);
    return rc;
}

/* The id of a training row, for messages. */
static int id_of_row(const struct dataset *d, int64_t row, int64_t *id)
{
    int64_t *all = NULL;
    int rc = dataset_read_ids(d, PART_TRAIN, &all);
    if (rc == IAU_OK)
        *id = all[row];
    free(all);
    return rc;
}

static int forget_ids(struct partition *p, const struct dataset *d, const char *path,
                      const struct index_set *gone, const char *gone_path)
{
    int rc = IAU_OK;
    int64_t id;
    TRY(read_ids(&p->forget, p, d, path));
    for (int64_t i = 0; i < p->forget.n; i++) {
        int64_t row = p->forget.row[i];
        if (index_set_has(&p->train, row))
            continue;
        TRY(id_of_row(d, row, &id));
        TRY(index_set_has(gone, row)
                ? FAIL(IAU_ERR_DATA, "%s: names a sample, id %lld, that %s says is gone already",
                       path, (long long)id, gone_path)
                : FAIL(IAU_ERR_DATA, "%s: names a sample, id %lld, that data.limit leaves out",
                       path, (long long)id));
    }
out:
    return rc;
}

/* Strike what is gone out of the shuffled training rows. */
static void drop_rows(int64_t *order, int64_t *n, const struct index_set *gone)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < *n; i++)
        if (!index_set_has(gone, order[i]))
            order[kept++] = order[i];
    *n = kept;
}

static int forget_classes(struct partition *p, const struct dataset *d,
                          const struct int_list *classes)
{
    int rc = IAU_OK;
    int32_t *label = NULL;
    int64_t n = 0, *row = mem_alloc(p->train.n, sizeof *row);
    if (!row)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld rows", (long long)p->train.n));
    for (int64_t c = 0; c < classes->n; c++)
        if (classes->v[c] < 0 || classes->v[c] >= d->n_class)
            TRY(FAIL(IAU_ERR_DATA, "forget.classes: %s has classes 0 to %d, not %lld", d->path,
                     d->n_class - 1, (long long)classes->v[c]));
    TRY(dataset_read_labels(d, PART_TRAIN, &label));
    for (int64_t i = 0; i < p->train.n; i++)
        for (int64_t c = 0; c < classes->n; c++)
            if (label[p->train.row[i]] == classes->v[c]) {
                row[n++] = p->train.row[i];
                break;
            }
    TRY(index_set_from_rows(&p->forget, PART_TRAIN, row, n));
out:
    free(row);
    free(label);
    return rc;
}

/* Use the first of the shuffled training rows, and as large a share of the validation samples. */
static int limit_rows(struct partition *p, const struct data_opts *data, int64_t n,
                      int64_t *n_train)
{
    struct index_set few = {0};
    if (data->limit == 0 || data->limit >= n)
        return IAU_OK;
    int64_t n_valid = (int64_t)((double)data->limit * data->valid);
    int rc = index_set_sample(&few, &p->valid, n_valid, (uint32_t)data->seed);
    if (rc != IAU_OK)
        return rc;
    index_set_free(&p->valid);
    p->valid = few;
    *n_train = data->limit - n_valid;
    return IAU_OK;
}

static int build(struct partition *p, const struct dataset *d, const struct data_opts *data,
                 const struct forget_opts *forget)
{
    int rc = IAU_OK;
    int64_t *order = NULL, n_train = 0;
    struct index_set gone = {0};
    int by_ids = forget && forget->ids && forget->ids[0];
    const char *source = by_ids ? forget->ids : "the request";
    TRY(split_train_valid(d->n[PART_TRAIN], data->valid, (uint32_t)data->seed, &order, &n_train,
                          &p->valid));
    TRY(limit_rows(p, data, d->n[PART_TRAIN], &n_train));
    if (n_train == 0)
        TRY(FAIL(IAU_ERR_DATA, "data.valid = %g leaves none of %lld samples for training",
                 data->valid, (long long)d->n[PART_TRAIN]));
    if (data->without && *data->without) {
        TRY(read_ids(&gone, p, d, data->without));
        drop_rows(order, &n_train, &gone);
        if (n_train == 0)
            TRY(FAIL(IAU_ERR_DATA, "%s names all training samples; nothing would be left",
                     data->without));
    }
    TRY(index_set_from_rows(&p->train, PART_TRAIN, order, n_train));
    TRY(index_set_all(&p->test, PART_TEST, d->n[PART_TEST]));
    if (by_ids)
        TRY(forget_ids(p, d, forget->ids, &gone, data->without));
    else if (forget && forget->classes.n)
        TRY(forget_classes(p, d, &forget->classes));
    else if (forget)
        TRY(split_forget_ratio(order, n_train, forget->ratio, (uint32_t)forget->seed, &p->forget));
    if (forget && p->forget.n == 0)
        TRY(FAIL(IAU_ERR_DATA, "%s names no training sample", source));
    if (p->forget.n == n_train)
        TRY(FAIL(IAU_ERR_DATA, "%s names all %lld training samples; nothing would be left", source,
                 (long long)n_train));
    TRY(index_set_minus(&p->retain, &p->train, &p->forget));
out:
    index_set_free(&gone);
    free(order);
    return rc;
}

int partition_init(struct partition *p, const struct dataset *d, const struct data_opts *data,
                   const struct forget_opts *forget, const struct comm *comm)
{
    *p = (struct partition){0};
    int rc = comm_agree(comm, build(p, d, data, forget));
    if (rc != IAU_OK)
        partition_free(p);
    return rc;
}

void partition_free(struct partition *p)
{
    index_set_free(&p->train);
    index_set_free(&p->valid);
    index_set_free(&p->forget);
    index_set_free(&p->retain);
    index_set_free(&p->test);
    *p = (struct partition){0};
}
