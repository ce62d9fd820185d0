/* Parameters and costs in records. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"

enum { PATH_CHARS = 128 };

static int add_vector(struct record *r, const struct model *m, const char *prefix,
                      enum record_type type, const void *data, size_t size)
{
    char path[PATH_CHARS];
    for (int t = 0; t < m->n_tensor; t++) {
        const struct tensor *tensor = m->tensor[t];
        snprintf(path, sizeof path, "%s/%s", prefix, tensor->name);
        const char *at = (const char *)data + (size_t)tensor->offset * size;
        int rc = record_add(r, path, type, tensor->ndim, tensor->dims, at);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

static int get_vector(const struct record *r, const char *file, const struct model *m,
                      const char *prefix, enum record_type type, void *data, size_t size)
{
    char path[PATH_CHARS];
    for (int t = 0; t < m->n_tensor; t++) {
        const struct tensor *tensor = m->tensor[t];
        snprintf(path, sizeof path, "%s/%s", prefix, tensor->name);
        const struct record_array *a = record_find(r, path);
        if (!a)
            return FAIL(IAU_ERR_DATA, "%s has no %s: it holds another model", file, path);
        if (a->type != type || a->ndim != tensor->ndim ||
            memcmp(a->dims, tensor->dims, (size_t)a->ndim * sizeof *a->dims) != 0)
            return FAIL(IAU_ERR_DATA, "%s: %s has another shape or type than the model's", file,
                        path);
        memcpy((char *)data + (size_t)tensor->offset * size, a->data, (size_t)tensor->count * size);
    }
    return IAU_OK;
}

int checkpoint_add_floats(struct record *r, const struct model *m, const char *prefix,
                          const float *w)
{
    return add_vector(r, m, prefix, RECORD_F32, w, sizeof *w);
}

int checkpoint_add_doubles(struct record *r, const struct model *m, const char *prefix,
                           const double *w)
{
    return add_vector(r, m, prefix, RECORD_F64, w, sizeof *w);
}

int checkpoint_get_floats(const struct record *r, const char *path, const struct model *m,
                          const char *prefix, float *w)
{
    return get_vector(r, path, m, prefix, RECORD_F32, w, sizeof *w);
}

int checkpoint_get_doubles(const struct record *r, const char *path, const struct model *m,
                           const char *prefix, double *w)
{
    return get_vector(r, path, m, prefix, RECORD_F64, w, sizeof *w);
}

int checkpoint_add_buffers(struct record *r, const struct model *m, const char *prefix,
                           const float *w)
{
    char path[PATH_CHARS];
    for (int t = 0; t < m->n_buffer_tensor; t++) {
        const struct tensor *b = m->buffer[t];
        int64_t count = (int64_t)w[b->offset]; /* of a number */
        snprintf(path, sizeof path, "%s/%s", prefix, b->name);
        int rc = b->ndim ? record_add(r, path, RECORD_F32, b->ndim, b->dims, w + b->offset)
                         : record_add(r, path, RECORD_I64, 0, NULL, &count);
        if (rc != IAU_OK)
            return rc;
    }
    return IAU_OK;
}

int checkpoint_get_buffers(const struct record *r, const char *file, const struct model *m,
                           const char *prefix, float *w)
{
    char path[PATH_CHARS];
    for (int t = 0; t < m->n_buffer_tensor; t++) {
        const struct tensor *b = m->buffer[t];
        snprintf(path, sizeof path, "%s/%s", prefix, b->name);
        const struct record_array *a = record_find(r, path);
        if (!a)
            return FAIL(IAU_ERR_DATA, "%s has no %s: it holds another model", file, path);
        if (a->type != (b->ndim ? RECORD_F32 : RECORD_I64) || a->ndim != b->ndim ||
            record_count(a) != b->count)
            return FAIL(IAU_ERR_DATA, "%s: %s has another shape or type than the model's", file,
                        path);
        for (int64_t i = 0; i < b->count; i++)
            w[b->offset + i] = (float)record_value(a, i);
    }
    return IAU_OK;
}

/* A cost as a list of named numbers, so that writing and reading share one order. */
enum { COST_COUNTERS = 4 };
static const char *const counter_name[COST_COUNTERS] = {"forwards", "gradients", "hvps",
                                                        "payload_bytes"};

static void counters_of(struct cost *c, int64_t *counter[COST_COUNTERS])
{
    counter[0] = &c->forwards;
    counter[1] = &c->gradients;
    counter[2] = &c->hvps;
    counter[3] = &c->payload_bytes;
}

int checkpoint_add_cost(struct record *r, const char *prefix, const struct cost *c)
{
    int rc = IAU_OK;
    struct cost copy = *c;
    int64_t *counter[COST_COUNTERS];
    char path[PATH_CHARS];
    counters_of(&copy, counter);
    for (int i = 0; i < COST_COUNTERS; i++) {
        snprintf(path, sizeof path, "%s/%s", prefix, counter_name[i]);
        TRY(record_add(r, path, RECORD_I64, 0, NULL, counter[i]));
    }
    for (int p = 0; p < N_PHASE; p++) {
        snprintf(path, sizeof path, "%s/%s_s", prefix, phase_name(p));
        TRY(record_add_scalar(r, path, c->seconds[p]));
    }
out:
    return rc;
}

int checkpoint_get_cost(const struct record *r, const char *file, const char *prefix,
                        struct cost *c)
{
    int64_t *counter[COST_COUNTERS];
    char path[PATH_CHARS];
    counters_of(c, counter);
    for (int i = 0; i < COST_COUNTERS; i++) {
        snprintf(path, sizeof path, "%s/%s", prefix, counter_name[i]);
        const struct record_array *a = record_find(r, path);
        if (!a)
            return FAIL(IAU_ERR_FORMAT, "%s has no %s", file, path);
        *counter[i] += (int64_t)record_value(a, 0);
    }
    for (int p = 0; p < N_PHASE; p++) {
        snprintf(path, sizeof path, "%s/%s_s", prefix, phase_name(p));
        const struct record_array *a = record_find(r, path);
        c->seconds[p] += a ? record_value(a, 0) : 0;
    }
    return IAU_OK;
}
