/* From the settings of a job to an audit. */
#include "app/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/model_file.h"
#include "core/error.h"
#include "core/memory.h"

/* --- hooks */

static char *train_settings(const void *ctx, const struct audit_origin *origin,
                            const struct train_opts *train)
{
    const struct job *job = ((const struct job_audit *)ctx)->job;
    char *text = config_train_text(&job->cfg, train),
         *all = job_settings(job, text, origin != NULL);
    free(text);
    return all;
}

/* Of a method's settings those of the method itself, which come last. */
static char *method_settings(const void *ctx, int index)
{
    const struct job *job = ((const struct job_audit *)ctx)->job;
    char *text = config_text(&job->cfg, SCOPE_METHOD, index);
    const char *own = text ? strstr(text, "\nmethod.") : NULL;
    char *lines = own ? mem_strdup(own + 1) : NULL;
    free(text);
    return lines;
}

static int describe(const void *ctx, struct record *r, int same_bytes)
{
    return provenance_add(r, ((const struct job_audit *)ctx)->job, same_bytes);
}

/* --- lists */

static int list_origins(struct audit *a, const struct config *cfg)
{
    a->origin = mem_alloc(cfg->n_origin, sizeof *a->origin);
    if (!a->origin)
        return FAIL(IAU_ERR_MEM, "no memory for an audit");
    for (int i = 0; i < cfg->n_origin; i++)
        if (config_is_audited(cfg, i))
            a->origin[a->n_origin++] =
                (struct audit_origin){cfg->origin[i].name, i, config_train(cfg, SCOPE_ORIGIN, i)};
    return IAU_OK;
}

static int place_of(const struct audit *a, int origin)
{
    for (int i = 0; i < a->n_origin; i++)
        if (a->origin[i].index == origin)
            return i;
    return -1;
}

/* Entries that unlearn.methods has left out are none here either. */
static int list_methods(struct audit *a, const struct config *cfg)
{
    const struct text_list *names = &cfg->audit.methods;
    int method, origin;
    a->method = mem_alloc(names->n, sizeof *a->method);
    if (!a->method)
        return FAIL(IAU_ERR_MEM, "no memory for an audit");
    for (int64_t i = 0; i < names->n; i++)
        if (config_audit_method(cfg, names->v[i], &method, &origin))
            a->method[a->n_method++] = (struct audit_method){
                names->v[i], method < 0 ? NULL : &cfg->method[method], place_of(a, origin), method};
    return IAU_OK;
}

int job_audit_open(struct job_audit *a, struct job *job)
{
    const struct config *cfg = &job->cfg;
    *a = (struct job_audit){.job = job, .folder = job_path(cfg->output.dir, "audit", "")};
    a->audit = (struct audit){.opts = &cfg->audit,
                              .model = &job->model,
                              .dataset = &job->dataset,
                              .sets = &job->sets,
                              .mean = &cfg->data.mean,
                              .std = &cfg->data.std,
                              .memory_bytes = cfg->data.memory_mib << 20,
                              .comm = job->comm,
                              .folder = a->folder,
                              .checkpoint = cfg->checkpoint,
                              .force = job->cli->force,
                              .strict = job->cli->strict,
                              .same_bytes = job->machine.same_bytes,
                              .hooks = {a, train_settings, method_settings, describe}};
    int rc = a->folder ? list_origins(&a->audit, cfg) : FAIL(IAU_ERR_MEM, "no memory for an audit");
    if (rc == IAU_OK)
        rc = list_methods(&a->audit, cfg);
    rc = comm_agree(job->comm, rc);
    return rc != IAU_OK ? rc : audit_open(&a->audit);
}

void job_audit_close(struct job_audit *a)
{
    audit_close(&a->audit);
    free(a->folder);
    *a = (struct job_audit){0};
}

/* --- stages */

int job_audit_origin(const struct audit *a, const struct stage *s)
{
    return place_of(a, s->origin);
}

int job_audit_method(const struct audit *a, const struct stage *s)
{
    for (int i = 0; i < a->n_method; i++)
        if (strcmp(a->method[i].name, s->name) == 0)
            return i;
    return s->kind == STAGE_ORIGIN ? FINDINGS_ORIGIN : FINDINGS_NONE;
}

int job_audit_describe(const struct audit *a, struct record *r)
{
    static const char *const variance[] = {"auto", "sample", "pooled"};
    static const char group[] = "/audit";
    const struct audit_opts *o = a->opts;
    int rc = IAU_OK;
    TRY(record_set_i64(r, group, "shadows", o->shadows));
    TRY(record_set_i64(r, group, "shadow_epochs", o->epochs));
    TRY(record_set_i64(r, group, "seed", o->seed));
    TRY(record_set_i64(r, group, "targets_forgotten", a->targets.n_forgotten));
    TRY(record_set_i64(r, group, "targets_validation", a->targets.all.n - a->targets.n_forgotten));
    TRY(record_set_text(r, group, "centre", "mean"));
    TRY(record_set_text(r, group, "variance", variance[lira_choose(o->variance, o->shadows)]));
    TRY(record_set_i64(r, group, "attack_shadows", o->attack.shadows));
out:
    return rc;
}
