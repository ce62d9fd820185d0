/* Writing and reading model files. */
#include "app/model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/formats.h"
#include "train/checkpoint.h"

/* What the ranks needed: seconds of a phase as minimum, mean and maximum over ranks, and the
 * largest peak of memory. Gathered collectively, so every rank takes part. */
struct needs {
    double phase[N_PHASE][3], total[3], search[3];
    int64_t peak_bytes;
};

/* The work itself: neither reading samples nor writing files. */
static double work_seconds(const struct cost *c)
{
    return c->seconds[PHASE_COMPUTE] + c->seconds[PHASE_REDUCE] + c->seconds[PHASE_UPDATE] +
           c->seconds[PHASE_EVALUATE];
}

static void gather_needs(const struct comm *comm, const struct cost *c, const struct cost *search,
                         struct needs *t)
{
    t->peak_bytes = mem_peak_bytes();
    comm_max_i64(comm, &t->peak_bytes, 1);
    for (int p = 0; p < N_PHASE; p++)
        comm_min_mean_max(comm, c->seconds[p], t->phase[p]);
    comm_min_mean_max(comm, work_seconds(c), t->total);
    comm_min_mean_max(comm, work_seconds(search), t->search);
}

static int add_cost(struct record *r, const struct cost *c, const struct needs *t)
{
    static const char *const kind[3] = {"min", "mean", "max"};
    int rc = IAU_OK;
    char path[96];
    TRY(record_add(r, "/cost/forwards", RECORD_I64, 0, NULL, &c->forwards));
    TRY(record_add(r, "/cost/gradients", RECORD_I64, 0, NULL, &c->gradients));
    TRY(record_add(r, "/cost/hvps", RECORD_I64, 0, NULL, &c->hvps));
    TRY(record_add(r, "/cost/payload_bytes", RECORD_I64, 0, NULL, &c->payload_bytes));
    TRY(record_add(r, "/cost/peak_memory_bytes", RECORD_I64, 0, NULL, &t->peak_bytes));
    TRY(record_add_scalar(r, "/cost/seconds_total", t->total[2]));
    for (int p = 0; p < N_PHASE; p++)
        for (int k = 0; k < 3; k++) {
            snprintf(path, sizeof path, "/cost/seconds_%s_%s", phase_name(p), kind[k]);
            TRY(record_add_scalar(r, path, t->phase[p][k]));
        }
out:
    return rc;
}

/* Trials of strengths, and what those cost that were not kept. */
static int add_trials(struct record *r, const struct outcome *o, const struct needs *t)
{
    int rc = IAU_OK;
    const struct cost *c = &o->search;
    if (!o->trials.n_row)
        return IAU_OK;
    TRY(history_to_record(&o->trials, r, "/trials"));
    TRY(record_add(r, "/cost/search_forwards", RECORD_I64, 0, NULL, &c->forwards));
    TRY(record_add(r, "/cost/search_gradients", RECORD_I64, 0, NULL, &c->gradients));
    TRY(record_add(r, "/cost/search_hvps", RECORD_I64, 0, NULL, &c->hvps));
    TRY(record_add_scalar(r, "/cost/search_seconds", t->search[2]));
out:
    return rc;
}

/* The root attributes that say what the file is. */
static int add_identity(struct record *r, const struct job *job, const struct stage *s,
                        const char *settings, char digest[DIGEST_CHARS])
{
    int rc = IAU_OK;
    char settings_digest[DIGEST_CHARS];
    TRY(format_digest(MODEL_FORMAT, r, digest));
    TRY(digest_of(settings, strlen(settings), settings_digest));
    TRY(record_set_text(r, "/", "format", MODEL_FORMAT));
    TRY(record_set_text(r, "/", "name", s->name));
    TRY(record_set_text(r, "/", "kind", stage_kind_name(s->kind)));
    TRY(record_set_text(r, "/", "digest", digest));
    TRY(record_set_text(r, "/", "settings", settings));
    TRY(record_set_text(r, "/", "settings_digest", settings_digest));
    TRY(record_set_text(r, "/", "samples_digest",
                        s->kind == STAGE_ORIGIN ? job->train_digest : job->retain_digest));
out:
    return rc;
}

static int add_gradient_sum(struct record *r, const struct job *job, const struct outcome *o,
                            const char *digest)
{
    int rc = IAU_OK;
    TRY(checkpoint_add_doubles(r, &job->model, "/gradient_sum", o->gradient_sum));
    TRY(record_set_i64(r, "/gradient_sum", "count", job->sets.train.n));
    TRY(record_set_f64(r, "/gradient_sum", "loss_sum", o->loss_sum));
    TRY(record_set_text(r, "/gradient_sum", "model_digest", digest));
    TRY(record_set_text(r, "/gradient_sum", "data_digest", job->dataset.digest));
    TRY(record_set_text(r, "/gradient_sum", "train_digest", job->train_digest));
out:
    return rc;
}

/* Where model k of those in a file is, below /params and /buffers. */
enum { PLACE_CHARS = 64 };
static const char *place_of(char place[PLACE_CHARS], const char *group, const struct train_opts *t,
                            int64_t k)
{
    if (!train_is_ensemble(t))
        return group;
    int n = snprintf(place, PLACE_CHARS, "%s/shard_%lld", group, (long long)(k / t->slices));
    if (t->slices > 1)
        snprintf(place + n, (size_t)(PLACE_CHARS - n), "/slice_%lld", (long long)(k % t->slices));
    return place;
}

static int add_models(struct record *r, const struct model *m, const struct train_opts *t,
                      const float *w)
{
    int rc = IAU_OK;
    char place[PLACE_CHARS];
    for (int64_t k = 0; k < t->shards * t->slices; k++, w += model_state_floats(m)) {
        TRY(checkpoint_add_floats(r, m, place_of(place, "/params", t, k), w));
        TRY(checkpoint_add_buffers(r, m, place_of(place, "/buffers", t, k), w));
    }
out:
    return rc;
}

static int get_models(const struct record *r, const char *path, const struct model *m,
                      const struct train_opts *t, float *w)
{
    int rc = IAU_OK;
    char place[PLACE_CHARS];
    for (int64_t k = 0; k < t->shards * t->slices; k++, w += model_state_floats(m)) {
        TRY(checkpoint_get_floats(r, path, m, place_of(place, "/params", t, k), w));
        TRY(checkpoint_get_buffers(r, path, m, place_of(place, "/buffers", t, k), w));
    }
out:
    return rc;
}

static int write_file(const struct job *job, const struct stage *s, const char *settings,
                      const struct outcome *o, const struct cost *cost, const struct needs *needs,
                      int same_bytes)
{
    int rc = IAU_OK;
    char digest[DIGEST_CHARS];
    struct record r = {0};
    TRY(add_models(&r, &job->model, &s->train, o->w));
    TRY(add_identity(&r, job, s, settings, digest));
    TRY(history_to_record(&o->history, &r, "/history"));
    TRY(add_cost(&r, cost, needs));
    TRY(add_trials(&r, o, needs));
    if (o->gradient_sum && s->kind == STAGE_ORIGIN)
        TRY(add_gradient_sum(&r, job, o, digest));
    TRY(provenance_add(&r, job, same_bytes));
    TRY(record_write(&r, s->path));
out:
    record_free(&r);
    return rc;
}

int model_file_write(const struct job *job, const struct stage *s, const char *settings,
                     const struct outcome *o, const struct cost *cost, int same_bytes)
{
    struct needs needs;
    gather_needs(job->comm, cost, &o->search, &needs);
    int rc =
        job->comm->rank == 0 ? write_file(job, s, settings, o, cost, &needs, same_bytes) : IAU_OK;
    rc = comm_agree(job->comm, rc);
    if (rc == IAU_OK)
        log_line("%s  written to %s; at most %.0f MiB of memory a rank", s->name, s->path,
                 (double)needs.peak_bytes / 1048576);
    return rc;
}

static int read_file(struct model_file *f, const struct job *job, const struct train_opts *train,
                     const char *path)
{
    int rc = IAU_OK;
    int64_t n = model_state_floats(&job->model);
    TRY(record_read(&f->record, path));
    if (strcmp(record_text(&f->record, "/", "format", ""), MODEL_FORMAT) != 0)
        TRY(FAIL(IAU_ERR_FORMAT, "%s is no model file of iau", path));
    TRY(format_digest(MODEL_FORMAT, &f->record, f->digest));
    if (strcmp(f->digest, record_text(&f->record, "/", "digest", "")) != 0)
        TRY(FAIL(IAU_ERR_FORMAT, "%s: the parameters do not match the digest stored with them",
                 path));
    if (strcmp(record_text(&f->record, "/provenance", "data_digest", ""), job->dataset.digest) != 0)
        TRY(FAIL(IAU_ERR_DATA, "%s was trained on other data than %s: the digests differ", path,
                 job->dataset.path));
    f->w = mem_alloc(train->shards * train->slices * n, sizeof *f->w);
    if (!f->w)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld parameters", (long long)job->model.n_param));
    TRY(get_models(&f->record, path, &job->model, train, f->w));
    f->model = (struct ensemble){.n = (int)train->shards,
                                 .w = f->w + (train->slices - 1) * n,
                                 .stride = train->slices * n,
                                 .rule = job->cfg.evaluate.aggregate};
    record_drop(&f->record, "/params"); /* they are in f->w now */
    record_drop(&f->record, "/buffers");
out:
    return rc;
}

int model_file_read(struct model_file *f, const struct job *job, const struct train_opts *train,
                    const char *path)
{
    *f = (struct model_file){0};
    int rc = comm_agree(job->comm, read_file(f, job, train, path));
    if (rc != IAU_OK)
        model_file_free(f);
    return rc;
}

void model_file_free(struct model_file *f)
{
    record_free(&f->record);
    free(f->w);
    *f = (struct model_file){0};
}

int model_file_gradient_sum(const struct model_file *f, const struct job *job, double **sum,
                            double *loss_sum, const char **why)
{
    const struct record *r = &f->record;
    const char *group = "/gradient_sum";
    const struct record_attribute *loss = record_attribute_find(r, group, "loss_sum");
    *sum = NULL;
    *why = NULL;
    if (!loss)
        *why = "the origin's file has none";
    else if (strcmp(record_text(r, group, "model_digest", ""), f->digest) != 0)
        *why = "it belongs to other parameters";
    else if (strcmp(record_text(r, group, "data_digest", ""), job->dataset.digest) != 0)
        *why = "it belongs to other data";
    else if (strcmp(record_text(r, group, "train_digest", ""), job->train_digest) != 0)
        *why = "it belongs to another training set";
    if (*why)
        return IAU_OK;
    double *out = mem_alloc(job->model.n_param, sizeof *out);
    if (!out)
        return FAIL(IAU_ERR_MEM, "no memory for the gradient sum");
    int rc = checkpoint_get_doubles(r, "the origin's file", &job->model, group, out);
    if (rc != IAU_OK) {
        free(out);
        return rc;
    }
    *sum = out;
    *loss_sum = loss->f64;
    return IAU_OK;
}
