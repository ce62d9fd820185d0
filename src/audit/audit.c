/* The list of models, what is there of it, and the farm that makes the rest. */
#include "audit/audit.h"

#include <stdlib.h>

#include "audit/attack.h"
#include "audit/shadow.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "unlearn/method.h"

/* Items are numbered by origins and their shadows, and then come the attack's shadows. */
static int64_t n_shadows(const struct audit *a)
{
    return a->n_origin * a->opts->shadows;
}

static int64_t n_items(const struct audit *a)
{
    return n_shadows(a) + a->opts->attack.shadows;
}

/* Is a validation sample left for each entry that needs one? */
static int check_methods(const struct audit *a)
{
    for (int i = 0; i < a->n_method && a->targets.rest.n == 0; i++) {
        const struct audit_method *m = &a->method[i];
        const char *use = m->opts ? method_valid_use(m->opts) : NULL;
        if (use)
            return FAIL(IAU_ERR_DATA,
                        "audit.methods: %s: all %lld validation samples are targets of the audit, "
                        "and no sample is left to %s; set data.valid higher",
                        m->name, (long long)a->sets->valid.n, use);
    }
    return IAU_OK;
}

int audit_open(struct audit *a)
{
    a->targets = (struct targets){0};
    int rc = targets_init(&a->targets, a->dataset, a->sets, (uint64_t)a->opts->seed);
    if (rc == IAU_OK && a->opts->shadows)
        rc = check_methods(a);
    return comm_agree(a->comm, rc);
}

void audit_close(struct audit *a)
{
    targets_free(&a->targets);
    free(a->origin);
    free(a->method);
    *a = (struct audit){0};
}

static int find_item(const struct audit *a, int64_t item, int *is_there)
{
    int64_t rest = item - n_shadows(a);
    if (rest >= 0)
        return attack_find_shadow(a, rest, is_there);
    return shadow_find(a, (int)(item / a->opts->shadows), item % a->opts->shadows, is_there);
}

/* Rank 0: list what is to do. A folder that is not there holds nothing. */
static int look(struct audit_plan *p, const struct audit *a, int has_folder)
{
    int rc = IAU_OK, is_there;
    for (int64_t i = 0; i < p->n_total; i++) {
        is_there = 0;
        if (has_folder)
            TRY(find_item(a, i, &is_there));
        if (!is_there)
            p->item[p->n_item++] = i;
    }
    if (a->opts->attack.shadows && has_folder)
        TRY(attack_find_network(a, &is_there)); /* for settings that differ */
out:
    return rc;
}

int audit_plan(struct audit_plan *p, const struct audit *a)
{
    int rc = IAU_OK;
    *p = (struct audit_plan){.n_total = n_items(a)};
    p->item = mem_alloc(p->n_total, sizeof *p->item);
    rc = p->item ? IAU_OK
                 : FAIL(IAU_ERR_MEM, "no memory for a list of %lld models", (long long)p->n_total);
    if (rc == IAU_OK && a->comm->rank == 0)
        rc = look(p, a, file_is_directory(a->folder));
    TRY(comm_agree(a->comm, rc));
    comm_bcast(a->comm, &p->n_item, sizeof p->n_item, 0);
    comm_bcast(a->comm, p->item, p->n_item * (int64_t)sizeof *p->item, 0);
out:
    if (rc != IAU_OK)
        audit_plan_free(p);
    return rc;
}

void audit_plan_free(struct audit_plan *p)
{
    free(p->item);
    *p = (struct audit_plan){0};
}

static double epochs_gradients(const struct train_opts *t, int64_t epochs, double n)
{
    return n * (double)epochs * (t->restriction.alpha != 0 ? 3 : 1);
}

/* A shadow, and what becomes of it by each method. */
static double shadow_gradients(const struct audit *a, int origin)
{
    const struct train_opts *t = &a->origin[origin].train;
    int64_t half = a->targets.all.n / 2, epochs = a->opts->epochs;
    struct unlearn_sizes sizes = {.train = a->sets->retain.n + half,
                                  .retain = a->sets->retain.n,
                                  .forget = half,
                                  .valid = a->targets.rest.n};
    double sum = epochs_gradients(t, epochs, (double)sizes.train);
    for (int i = 0; i < a->n_method; i++) {
        const struct audit_method *m = &a->method[i];
        if (m->origin != origin)
            continue;
        sum += audit_retrains(m) ? epochs_gradients(t, epochs, (double)sizes.retain)
                                 : method_of(m->opts->method)->load(m->opts, &sizes).gradients;
    }
    return sum;
}

double audit_item_gradients(const struct audit *a, int64_t item)
{
    const struct shadow_attack_opts *o = &a->opts->attack;
    if (item < n_shadows(a))
        return shadow_gradients(a, (int)(item / a->opts->shadows));
    return (double)(a->sets->train.n + a->sets->valid.n) * o->pool / 2 * (double)o->epochs;
}

static int make_item(void *ctx, int64_t item, const struct comm *group)
{
    const struct audit *a = ctx;
    int64_t rest = item - n_shadows(a);
    if (rest >= 0)
        return attack_make_shadow(a, rest, group);
    return shadow_make(a, (int)(item / a->opts->shadows), item % a->opts->shadows, group);
}

static int run_farm(const struct audit *a, const struct audit_plan *p)
{
    struct farm farm = {.n = p->n_item,
                        .item = p->item,
                        .ranks = (int)a->opts->ranks,
                        .run = make_item,
                        .ctx = (void *)a};
    struct farm_report r;
    if (p->n_item < p->n_total)
        log_line("audit: %lld of %lld models are there already",
                 (long long)(p->n_total - p->n_item), (long long)p->n_total);
    int rc = farm_run(&farm, &r, a->comm);
    log_line("audit: %lld models in %.1f s by %d group%s of up to %lld rank%s: %.0f an hour; ranks "
             "were idle for %.1f %% of it",
             (long long)r.n_done, r.seconds, r.n_group, r.n_group == 1 ? "" : "s",
             (long long)a->opts->ranks, a->opts->ranks == 1 ? "" : "s",
             (double)r.n_done / r.seconds * 3600, 100 * r.idle_share);
    if (rc == IAU_STOPPED)
        log_line("stopped; the same command makes the other %lld",
                 (long long)(p->n_item - r.n_done));
    return rc;
}

int audit_run(const struct audit *a)
{
    int rc = IAU_OK;
    struct audit_plan plan = {0};
    TRY(audit_plan(&plan, a));
    TRY(comm_agree(a->comm, a->comm->rank == 0 ? file_make_directory(a->folder) : IAU_OK));
    if (plan.n_item)
        TRY(run_farm(a, &plan));
    else
        log_line("audit: all %lld models are there already", (long long)plan.n_total);
    if (a->opts->attack.shadows)
        TRY(attack_make_network(a));
out:
    audit_plan_free(&plan);
    return rc;
}
