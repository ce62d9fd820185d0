/* Writing, keeping and reading restart files. */
#include "train/restart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stop.h"
#include "io/file.h"
#include "io/formats.h"
#include "kernel/gemm.h"
#include "train/checkpoint.h"

/* Rank 0's mark in a stop word, above any number of ranks that ask to stop. */
static const int64_t DUE = (int64_t)1 << 32;

void restart_begin(struct restart *r, int64_t step)
{
    if (!r)
        return;
    r->saved_s = timer_now_s();
    r->saved_step = step;
}

int64_t restart_word(const struct restart *r, const struct comm *comm, int64_t step)
{
    if (!r)
        return 0;
    const struct checkpoint_opts *o = &r->opts;
    int due = (o->every_seconds > 0 && timer_now_s() - r->saved_s >= o->every_seconds) ||
              (o->every_steps > 0 && step - r->saved_step >= o->every_steps);
    return stop_requested() + (comm->rank == 0 && due ? DUE : 0);
}

/* The k-th older file beside `path`: NAME.restart.1.h5 and so on; `path` itself for k = 0. */
static char *older_name(const char *path, int64_t k)
{
    size_t length = strlen(path), size = length + 24;
    char *name = mem_alloc((int64_t)size, 1);
    REQUIRE(length > 3 && strcmp(path + length - 3, ".h5") == 0);
    if (name && k == 0)
        memcpy(name, path, length);
    else if (name)
        snprintf(name, size, "%.*s.%lld.h5", (int)length - 3, path, (long long)k);
    return name;
}

/* Before a new file replaces `path`: the older ones move on by one, and `path` gets a second name
 * as the first of them, so that at every moment the newest one is in its place. */
static int keep_older(const char *path, int64_t keep)
{
    int rc = IAU_OK;
    for (int64_t k = keep - 1; k > 0 && rc == IAU_OK; k--) {
        char *from = older_name(path, k - 1), *to = older_name(path, k);
        if (!from || !to)
            rc = FAIL(IAU_ERR_MEM, "no memory for file names");
        else
            rc = k > 1 ? file_move(from, to) : file_duplicate(from, to);
        free(from);
        free(to);
    }
    return rc;
}

int restart_remove(const char *path)
{
    int rc = file_remove_stale(path); /* of a process that was killed while it wrote the last one */
    for (int64_t k = 0; rc == IAU_OK; k++) {
        char *name = older_name(path, k);
        int there = name && file_exists(name) == 1;
        rc = name ? file_remove(name) : FAIL(IAU_ERR_MEM, "no memory for file names");
        free(name);
        if (k > 0 && !there)
            break;
    }
    return rc;
}

static int add_item(struct record *out, const struct model *m, const struct restart_item *i)
{
    switch (i->type) {
    case RESTART_PARAMS:
        return checkpoint_add_floats(out, m, i->path, i->at);
    case RESTART_DOUBLES:
        return checkpoint_add_doubles(out, m, i->path, i->at);
    case RESTART_BUFFERS:
        return checkpoint_add_buffers(out, m, i->path, i->at);
    case RESTART_HISTORY:
        return history_to_record(i->at, out, i->path);
    default:
        return record_add(out, i->path, i->type == RESTART_I64 ? RECORD_I64 : RECORD_F64, 0, NULL,
                          i->at);
    }
}

static int write_file(const struct restart *r, const struct engine *e,
                      const struct restart_state *s)
{
    int rc = IAU_OK;
    struct record out = {0};
    char digest[DIGEST_CHARS];
    TRY(record_set_text(&out, "/", "settings", r->settings));
    TRY(record_set_text(&out, "/", "format", RESTART_FORMAT));
    for (int i = 0; i < s->n; i++)
        if (s->item[i].at)
            TRY(add_item(&out, e->model, &s->item[i]));
    TRY(record_set_text(&out, "/", "cpu", cpu_name()));
    TRY(record_set_text(&out, "/", "blas_core", gemm_core_name()));
    TRY(record_set_i64(&out, "/", "mixed", r->mixed));
    TRY(checkpoint_add_cost(&out, "/cost", &e->cost));
    TRY(format_digest(RESTART_FORMAT, &out, digest));
    TRY(record_set_text(&out, "/", "digest", digest));
    TRY(keep_older(r->path, r->opts.keep));
    TRY(record_write(&out, r->path));
out:
    record_free(&out);
    return rc;
}

int restart_write(const struct restart *r, const struct engine *e, const struct restart_state *s)
{
    return comm_agree(e->comm, e->comm->rank == 0 ? write_file(r, e, s) : IAU_OK);
}

int restart_obey(struct restart *r, struct engine *e, int64_t word, int64_t step,
                 const struct restart_state *s)
{
    if (!r || !word)
        return IAU_OK;
    double start = timer_now_s();
    int rc = restart_write(r, e, s);
    restart_begin(r, step);
    e->cost.seconds[PHASE_WRITE] += r->saved_s - start;
    if (rc != IAU_OK || (word & (DUE - 1)) == 0)
        return rc;
    log_line("%s  stopped at %s; the same command goes on from %s", r->name, s->place, r->path);
    return IAU_STOPPED;
}

static int get_number(const struct record *in, const char *file, const struct restart_item *i)
{
    const struct record_array *a = record_find(in, i->path);
    enum record_type type = i->type == RESTART_I64 ? RECORD_I64 : RECORD_F64;
    if (!a || record_count(a) != 1 || a->type != type)
        return FAIL(IAU_ERR_FORMAT, "%s has no %s: it is no restart file", file, i->path);
    memcpy(i->at, a->data, sizeof(int64_t)); /* a double has the same size */
    return IAU_OK;
}

static int get_item(const struct record *in, const char *file, const struct model *m,
                    const struct restart_item *i)
{
    switch (i->type) {
    case RESTART_PARAMS:
        return checkpoint_get_floats(in, file, m, i->path, i->at);
    case RESTART_DOUBLES:
        return checkpoint_get_doubles(in, file, m, i->path, i->at);
    case RESTART_BUFFERS:
        return checkpoint_get_buffers(in, file, m, i->path, i->at);
    case RESTART_HISTORY:
        return history_from_record(i->at, in, file, i->path);
    default:
        return get_number(in, file, i);
    }
}

/* A run that goes on elsewhere may end with other bits than one that stayed; it says so. */
static int compare_machine(struct restart *r, const struct record *in)
{
    const char *cpu = record_text(in, "/", "cpu", cpu_name()),
               *core = record_text(in, "/", "blas_core", gemm_core_name());
    const struct record_attribute *mixed = record_attribute_find(in, "/", "mixed");
    int differs = strcmp(cpu, cpu_name()) != 0 || strcmp(core, gemm_core_name()) != 0;
    if ((differs || (mixed && mixed->i64)) && r->strict)
        return FAIL(
            IAU_ERR_HOSTS,
            "%s was written on another kind of machine (%s, BLAS core %s) than this one (%s, "
            "%s), or on several; --strict does not go on from it",
            r->path, cpu, core, cpu_name(), gemm_core_name());
    if (differs)
        log_warn("%s was written on another kind of machine (%s, BLAS core %s) than this one (%s, "
                 "%s); the end may differ in its last bits, and says same_bytes = no",
                 r->path, cpu, core, cpu_name(), gemm_core_name());
    r->mixed = r->mixed || differs || (mixed && mixed->i64);
    return IAU_OK;
}

static int read_file(struct restart *r, struct engine *e, const struct restart_state *s)
{
    int rc = IAU_OK;
    struct record in = {0};
    char digest[DIGEST_CHARS];
    TRY(record_read(&in, r->path));
    TRY(format_digest(RESTART_FORMAT, &in, digest));
    if (strcmp(digest, record_text(&in, "/", "digest", "")) != 0)
        TRY(FAIL(
            IAU_ERR_FORMAT,
            "%s: its contents do not match the digest stored with them; remove it to start anew",
            r->path));
    for (int i = 0; i < s->n; i++)
        if (s->item[i].at)
            TRY(get_item(&in, r->path, e->model, &s->item[i]));
    TRY(checkpoint_get_cost(&in, r->path, "/cost", &e->cost));
    TRY(compare_machine(r, &in));
out:
    record_free(&in);
    return rc;
}

int restart_load(struct restart *r, struct engine *e, const struct restart_state *s)
{
    int rc = comm_agree(e->comm, read_file(r, e, s));
    int64_t mixed = r->mixed;
    comm_max_i64(e->comm, &mixed, 1);
    r->mixed = (int)mixed;
    return rc;
}

int restart_find(const struct restart *r, const struct comm *comm, const char *path, int *found)
{
    struct record in = {0};
    *found = 0;
    if (!r || !r->resume)
        return IAU_OK;
    int rc = comm_agree(comm, record_read_part(&in, r->path, path));
    *found = rc == IAU_OK && record_find(&in, path) != NULL;
    record_free(&in);
    return rc;
}
