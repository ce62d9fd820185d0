/* From a config with a grid to tasks and shared stages. */
#define _GNU_SOURCE /* asprintf */
#include "app/campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

/* --- the settings of a task */

void campaign_free_overrides(struct text_list *list)
{
    for (int64_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct text_list){0};
}

/* Append --KEY=VALUE; a value of NULL appends nothing. */
static int add_override(struct text_list *list, const char *key, const char *value)
{
    if (!value)
        return IAU_OK;
    if (asprintf(&list->v[list->n], "--%s=%s", key, value) < 0)
        return FAIL(IAU_ERR_MEM, "no memory for a task's settings");
    list->n++;
    return IAU_OK;
}

int campaign_overrides(const struct campaign *c, int64_t task, const char *dir,
                       struct text_list *out)
{
    int rc = IAU_OK;
    const struct grid *g = &c->grid;
    *out = (struct text_list){0, mem_alloc(c->cli->n_override + g->n_axis + 3, sizeof(char *))};
    if (!out->v)
        return FAIL(IAU_ERR_MEM, "no memory for a task's settings");
    for (int i = 0; i < c->cli->n_override; i++) {
        if (strncmp(c->cli->override[i], "--output.", 9) == 0)
            continue; /* said below */
        out->v[out->n] = mem_strdup(c->cli->override[i]);
        if (!out->v[out->n])
            TRY(FAIL(IAU_ERR_MEM, "no memory for a task's settings"));
        out->n++;
    }
    for (int i = 0; i < g->n_axis; i++)
        TRY(add_override(out, g->axis[i].key, grid_value(g, task, i)));
    TRY(add_override(out, "output.origins", c->origins));
    TRY(add_override(out, "output.retrained", c->retrained));
    TRY(add_override(out, "output.dir", dir ? dir : c->task[task].folder));
out:
    if (rc != IAU_OK)
        campaign_free_overrides(out);
    return rc;
}

int campaign_config(const struct campaign *c, int64_t task, struct config *cfg)
{
    int rc = IAU_OK;
    struct text_list overrides = {0};
    *cfg = (struct config){0};
    TRY(campaign_overrides(c, task, NULL, &overrides));
    TRY(config_parse(cfg, c->cli->config, c->text, (int)overrides.n,
                     (const char *const *)overrides.v));
out:
    campaign_free_overrides(&overrides);
    return rc;
}

/* --- shared stages */

/* The stage with this file, NULL if there is none yet. The last ones are the likeliest. */
static struct shared *find_shared(const struct campaign *c, const char *folder, const char *name)
{
    for (int64_t i = c->n_shared - 1; i >= 0; i--)
        if (strcmp(c->shared[i].folder, folder) == 0 && strcmp(c->shared[i].name, name) == 0)
            return &c->shared[i];
    return NULL;
}

/* A task needs this origin or twin. */
static int need_stage(struct campaign *c, int64_t task, const struct config *cfg,
                      enum stage_kind kind, int index)
{
    int rc = IAU_OK;
    struct task *t = &c->task[task];
    char *folder = config_folder(cfg, stage_scope(kind), index),
         *name = stage_name(cfg, kind, index);
    struct shared *known = folder && name ? find_shared(c, folder, name) : NULL, *more;
    if (!folder || !name)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the stages of a campaign"));
    if (!known) {
        more = realloc(c->shared, (size_t)(c->n_shared + 1) * sizeof *more);
        if (!more)
            TRY(FAIL(IAU_ERR_MEM, "no memory for the stages of a campaign"));
        c->shared = more;
        known = &more[c->n_shared++];
        *known = (struct shared){kind, index, name, folder, task, 0};
        name = folder = NULL;
    }
    known->n_task++;
    t->stage[t->n_stage++] = known - c->shared;
out:
    free(folder);
    free(name);
    return rc;
}

/* What only one task needs is left to that task. */
static int keep_shared(struct campaign *c)
{
    int64_t n = 0, *to = mem_alloc(c->n_shared, sizeof *to);
    if (!to)
        return FAIL(IAU_ERR_MEM, "no memory for the stages of a campaign");
    for (int64_t i = 0; i < c->n_shared; i++) {
        struct shared *s = &c->shared[i];
        to[i] = s->n_task > 1 ? n : -1;
        if (to[i] >= 0) {
            c->shared[n++] = *s;
        } else {
            free(s->name);
            free(s->folder);
        }
    }
    c->n_shared = n;
    for (int64_t k = 0; k < c->grid.n_task; k++)
        for (int i = 0; i < c->task[k].n_stage; i++)
            c->task[k].stage[i] = to[c->task[k].stage[i]];
    free(to);
    return IAU_OK;
}

static int expand_task(struct campaign *c, int64_t task)
{
    int rc = IAU_OK;
    struct config cfg = {0};
    struct task *t = &c->task[task];
    char *name = grid_folder(&c->grid, task);
    if (!name || asprintf(&t->folder, "%s/tasks/%s", c->dir, name) < 0) {
        t->folder = NULL;
        TRY(FAIL(IAU_ERR_MEM, "no memory for a task's folder"));
    }
    TRY(campaign_config(c, task, &cfg));
    TRY(config_check_forget(&cfg));
    t->stage = mem_alloc(cfg.n_origin + config_twins(&cfg), sizeof *t->stage);
    if (!t->stage)
        TRY(FAIL(IAU_ERR_MEM, "no memory for a task's stages"));
    for (int i = 0; i < config_twins(&cfg); i++) {
        if (i < cfg.n_origin && !cfg.origin[i].file)
            TRY(need_stage(c, task, &cfg, STAGE_ORIGIN, i));
        TRY(need_stage(c, task, &cfg, STAGE_RETRAIN, i));
    }
out:
    config_free(&cfg);
    free(name);
    return rc;
}

/* The folders of a campaign; a setting of the config's own goes first. */
static int set_folders(struct campaign *c, const struct config *base)
{
    static const char shared[] = "shared/{digest}";
    int n = asprintf(&c->dir, "%s", base->output.dir);
    if (n >= 0)
        n = *base->output.origins ? asprintf(&c->origins, "%s", base->output.origins)
                                  : asprintf(&c->origins, "%s/%s", c->dir, shared);
    if (n >= 0)
        n = *base->output.retrained ? asprintf(&c->retrained, "%s", base->output.retrained)
                                    : asprintf(&c->retrained, "%s/%s", c->dir, shared);
    return n < 0 ? FAIL(IAU_ERR_MEM, "no memory for the folders of a campaign") : IAU_OK;
}

static int expand(struct campaign *c)
{
    int rc = IAU_OK;
    const struct cli *cli = c->cli;
    struct config base = {0};
    TRY(config_parse(&base, cli->config, c->text, cli->n_override, cli->override));
    c->silence_s = base.campaign.silence_s;
    TRY(set_folders(c, &base));
    TRY(grid_read(&c->grid, cli->config, c->text, cli->n_override, cli->override));
    c->task = mem_alloc(c->grid.n_task, sizeof *c->task);
    if (!c->task)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld tasks", (long long)c->grid.n_task));
    for (int64_t k = 0; k < c->grid.n_task; k++)
        TRY(expand_task(c, k));
    TRY(keep_shared(c));
out:
    config_free(&base);
    return rc;
}

int campaign_open(struct campaign *c, const struct cli *cli, const struct comm *comm)
{
    int rc = IAU_OK;
    *c = (struct campaign){.cli = cli, .comm = comm};
    TRY(job_read_text(cli->config, &c->text, comm));
    TRY(comm_agree(comm, expand(c)));
out:
    if (rc != IAU_OK)
        campaign_close(c);
    return rc;
}

void campaign_close(struct campaign *c)
{
    for (int64_t k = 0; c->task && k < c->grid.n_task; k++) {
        free(c->task[k].folder);
        free(c->task[k].stage);
    }
    for (int64_t i = 0; i < c->n_shared; i++) {
        free(c->shared[i].name);
        free(c->shared[i].folder);
    }
    free(c->task);
    free(c->shared);
    grid_free(&c->grid);
    free(c->text);
    free(c->dir);
    free(c->origins);
    free(c->retrained);
    *c = (struct campaign){0};
}

/* --- lists of numbers */

int campaign_choose(const char *option, const char *list, int64_t n, char **chosen)
{
    char *flag = mem_alloc(n, 1), *end = NULL;
    *chosen = NULL;
    if (!flag)
        return FAIL(IAU_ERR_MEM, "no memory for a list of numbers");
    if (!list)
        memset(flag, 1, (size_t)n);
    for (const char *p = list; p; p = *end ? end + 1 : NULL) {
        long long first = strtoll(p, &end, 10), last = first;
        int is_number = end > p && *p >= '0' && *p <= '9';
        if (is_number && *end == '-' && end[1] >= '0' && end[1] <= '9')
            last = strtoll(end + 1, &end, 10);
        if (!is_number || (*end && *end != ',') || first > last || last >= n) {
            free(flag);
            return n ? FAIL(IAU_ERR_USAGE, "%s=%s: takes numbers from 0 to %lld, such as 0,2-4",
                            option, list, (long long)n - 1)
                     : FAIL(IAU_ERR_USAGE, "%s=%s: this campaign has none", option, list);
        }
        memset(flag + first, 1, (size_t)(last - first + 1));
    }
    *chosen = flag;
    return IAU_OK;
}

char *campaign_numbers(const char *flag, int64_t n)
{
    char *text = NULL;
    size_t n_bytes;
    FILE *f = open_memstream(&text, &n_bytes);
    for (int64_t k = 0; f && k < n; k++) {
        int64_t first = k;
        if (!flag[k])
            continue;
        while (k + 1 < n && flag[k + 1])
            k++;
        fprintf(f, k > first ? "%s%lld-%lld" : "%s%lld", ftell(f) ? "," : "", (long long)first,
                (long long)k);
    }
    if (f)
        fclose(f);
    return text;
}
