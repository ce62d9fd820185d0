/* iau campaign: list, run, and the way to status and merge. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/campaign.h"
#include "app/commands.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"

/* --- list */

/* A word of a command as a shell takes it. */
static void print_word(FILE *f, const char *word)
{
    int plain = *word != '\0';
    for (const char *p = word; *p; p++)
        plain = plain && (isalnum((unsigned char)*p) || strchr("-_./=,:+@", *p));
    if (plain) {
        fprintf(f, " %s", word);
        return;
    }
    fputs(" '", f);
    for (const char *p = word; *p; p++)
        fputs(*p == '\'' ? "'\\''" : (char[]){*p, '\0'}, f);
    fputc('\'', f);
}

/* A line with the command that does the same as a task. */
static int print_by_hand(const struct campaign *c, int64_t task)
{
    struct text_list overrides = {0};
    char *line = NULL;
    size_t n_bytes;
    int rc = campaign_overrides(c, task, NULL, &overrides);
    FILE *f = rc == IAU_OK ? open_memstream(&line, &n_bytes) : NULL;
    if (!f)
        return rc != IAU_OK ? rc : FAIL(IAU_ERR_MEM, "no memory for a line");
    print_word(f, c->cli->config);
    for (int64_t i = 0; i < overrides.n; i++)
        print_word(f, overrides.v[i]);
    rc = fclose(f) == 0 ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a line");
    if (rc == IAU_OK)
        log_line("task %lld is the same as: iau run%s", (long long)task, line);
    free(line);
    campaign_free_overrides(&overrides);
    return rc;
}

/* The tasks that need a stage, as a list of numbers. The caller frees. */
static char *tasks_of(const struct campaign *c, int64_t stage)
{
    char *flag = mem_alloc(c->grid.n_task, 1);
    for (int64_t k = 0; flag && k < c->grid.n_task; k++)
        for (int i = 0; i < c->task[k].n_stage; i++)
            flag[k] |= c->task[k].stage[i] == stage;
    char *text = flag ? campaign_numbers(flag, c->grid.n_task) : NULL;
    free(flag);
    return text;
}

static int list(const struct campaign *c)
{
    int rc = IAU_OK;
    char *text = NULL;
    log_line("campaign %s: %lld tasks, %lld shared stages, in %s", c->cli->config,
             (long long)c->grid.n_task, (long long)c->n_shared, c->dir);
    for (int64_t i = 0; i < c->n_shared; i++) {
        const struct shared *s = &c->shared[i];
        text = tasks_of(c, i);
        if (!text)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a line"));
        log_line("stage %4lld  %-10s %s/%s.h5, for tasks %s", (long long)i,
                 stage_kind_name(s->kind), s->folder, s->name, text);
        free(text);
        text = NULL;
    }
    for (int64_t k = 0; k < c->grid.n_task; k++) {
        text = grid_describe(&c->grid, k);
        if (!text)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a line"));
        log_line("task %5lld  %s  in %s", (long long)k, text, c->task[k].folder);
        free(text);
        text = NULL;
    }
    TRY(print_by_hand(c, 0));
out:
    free(text);
    return rc;
}

/* --- run */

/* The command line of a task, or of a shared stage in its own folder. */
static int run_as(const struct campaign *c, int64_t task, const char *dir,
                  const struct shared *only)
{
    struct text_list overrides = {0};
    struct run_state state;
    int rc = comm_agree(c->comm, campaign_overrides(c, task, dir, &overrides));
    if (rc != IAU_OK)
        return rc;
    struct cli cli = *c->cli;
    cli.command = COMMAND_RUN;
    cli.n_override = (int)overrides.n;
    cli.override = (const char **)overrides.v;
    if (!cli.dry_run)
        TRY(run_state_begin(&state, only ? only->folder : c->task[task].folder,
                            only ? only->name : NULL, c->silence_s, c->comm));
    rc = only ? command_stage(&cli, only->kind, only->index, c->comm) : command_run(&cli, c->comm);
    if (!cli.dry_run)
        run_state_end(&state, rc, c->comm);
out:
    campaign_free_overrides(&overrides);
    return rc;
}

/* Rank 0 looks; all know. With --force only what this job itself has done counts. */
static int is_done(const struct campaign *c, int64_t number, int is_stage, struct standing *s,
                   int *done)
{
    int rc = IAU_OK;
    *s = (struct standing){.outcome = RUN_UNKNOWN};
    if (c->comm->rank == 0)
        rc = is_stage ? campaign_look_at_stage(c, number, s) : campaign_look_at_task(c, number, s);
    rc = comm_agree(c->comm, rc);
    comm_bcast(c->comm, s, sizeof *s, 0);
    *done = s->outcome == RUN_DONE && (!c->cli->force || s->is_of_requeued);
    return rc;
}

static int run_stage(const struct campaign *c, int64_t i)
{
    const struct shared *s = &c->shared[i];
    struct standing standing;
    int done, rc = is_done(c, i, 1, &standing, &done);
    if (rc != IAU_OK)
        return rc;
    log_line("stage %lld of %lld: %s %s in %s%s", (long long)i, (long long)c->n_shared,
             stage_kind_name(s->kind), s->name, s->folder, done ? ", already done" : "");
    return done ? IAU_OK : run_as(c, s->first, s->folder, s);
}

static int run_task(const struct campaign *c, int64_t k)
{
    char *text = grid_describe(&c->grid, k);
    int done = 0, rc = IAU_OK;
    struct standing standing;
    TRY(comm_agree(c->comm, text ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a line")));
    TRY(is_done(c, k, 0, &standing, &done));
    log_line("task %lld of %lld: %s%s", (long long)k, (long long)c->grid.n_task, text,
             done ? ", already done" : "");
    if (done && standing.n_failed) /* what running it has ended with, too */
        TRY(comm_agree(c->comm,
                       FAIL(IAU_INCOMPLETE, "task %lld: %s", (long long)k, standing.note)));
    if (done)
        goto out;
    TRY(comm_agree(c->comm, c->comm->rank == 0 ? print_by_hand(c, k) : IAU_OK));
    TRY(run_as(c, k, NULL, NULL));
out:
    free(text);
    return rc;
}

/* Run what is chosen, one after another. A failure does not keep the others from their turn; a
 * request to stop does. */
static int run_chosen(const struct campaign *c, const char *option, const char *numbers, int64_t n,
                      int (*run_one)(const struct campaign *, int64_t))
{
    char *chosen = NULL;
    int worst = comm_agree(c->comm, campaign_choose(option, numbers, n, &chosen));
    for (int64_t k = 0; chosen && k < n && worst != IAU_STOPPED; k++) {
        int rc = chosen[k] ? run_one(c, k) : IAU_OK;
        worst = rc == IAU_STOPPED || rc > worst ? rc : worst;
    }
    free(chosen);
    return worst;
}

static int run(const struct campaign *c)
{
    const struct cli *cli = c->cli;
    int rc = IAU_OK;
    if (cli->stage)
        rc = run_chosen(c, "--stage", cli->stage, c->n_shared, run_stage);
    if (rc == IAU_OK && (cli->task || !cli->stage))
        rc = run_chosen(c, "--task", cli->task, c->grid.n_task, run_task);
    return rc;
}

int command_run_config(const struct cli *cli, const struct comm *comm)
{
    int rc = IAU_OK, wanted = 0;
    char *text = NULL;
    struct campaign c = {0};
    TRY(job_read_text(cli->config, &text, comm));
    TRY(comm_agree(comm,
                   grid_is_wanted(cli->config, text, cli->n_override, cli->override, &wanted)));
    if (!wanted) {
        rc = command_run(cli, comm);
        goto out;
    }
    TRY(campaign_open(&c, cli, comm));
    rc = run(&c);
    if ((rc == IAU_OK || rc == IAU_INCOMPLETE) && !cli->dry_run) {
        int merged = comm_agree(comm, comm->rank == 0 ? campaign_merge(&c) : IAU_OK);
        rc = merged != IAU_OK ? merged : rc;
    }
out:
    campaign_close(&c);
    free(text);
    return rc;
}

int command_campaign(const struct cli *cli, const struct comm *comm)
{
    static int (*const local[N_CAMPAIGN_VERB])(const struct campaign *) = {
        [CAMPAIGN_LIST] = list,
        [CAMPAIGN_STATUS] = campaign_status,
        [CAMPAIGN_MERGE] = campaign_merge};
    int rc = IAU_OK;
    struct campaign c;
    TRY(campaign_open(&c, cli, comm));
    if (cli->verb == CAMPAIGN_RUN)
        rc = run(&c);
    else
        rc = comm_agree(comm, comm->rank == 0 ? local[cli->verb](&c) : IAU_OK);
    campaign_close(&c);
out:
    return rc;
}
