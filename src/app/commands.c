/* train, unlearn, evaluate and run: the stages of a config, in order. */
#include "app/commands.h"

#include "app/failure.h"
#include "core/error.h"

int command_import(const struct cli *cli, const struct comm *comm)
{
    struct import_request request = {.source = &cli->source, .out = cli->out, .force = cli->force};
    return job_import(&request, comm);
}

/* The stages of that kind, of which one index is wanted. */
struct selection {
    enum stage_kind kind;
    int index;
};

/* Leave one stage in the list. */
static void select_stage(struct stage_list *l, const struct selection *only)
{
    for (int i = 0; i < l->n; i++)
        if (l->stage[i].kind == only->kind && l->stage[i].index == only->index) {
            struct stage wanted = l->stage[i];
            l->stage[i] = l->stage[0];
            l->stage[0] = wanted;
        }
    stage_list_cut(l, 1);
}

/* What a command does, in this order. */
struct course {
    int may_import;
    unsigned kinds;               /* bit set: make the stages of these kinds, */
    const struct selection *only; /* or one of them */
    int audits;                   /* make the audit's models, where the settings ask for one */
    int evaluates;
};

/* Is there anything in the way of what is to be done? */
static int check_course(struct job *job, const struct stage_list *stages, const struct course *c,
                        const struct audit *audit)
{
    int rc = IAU_OK;
    struct audit_plan plan = {0};
    if (c->evaluates)
        TRY(evaluate_check_target(job));
    TRY(stage_check_all(job, stages, c->kinds));
    if (c->evaluates && !c->kinds)
        TRY(evaluate_check_models(job, stages));
    if (c->audits && audit)
        TRY(audit_plan(&plan, audit));
out:
    audit_plan_free(&plan);
    return rc;
}

static int count_methods(const struct stage_list *stages)
{
    int n = 0;
    for (int i = 0; i < stages->n; i++)
        n += stages->stage[i].kind == STAGE_METHOD;
    return n;
}

static int run_course(const struct cli *cli, const struct comm *comm, const struct course *c)
{
    int rc = IAU_OK;
    struct job job;
    struct stage_list stages = {0};
    struct job_audit shadows = {0};
    const struct audit *audit = NULL;
    TRY(job_open(&job, cli, c->may_import, comm));
    TRY(comm_agree(comm, stage_list_init(&stages, &job)));
    if (c->only)
        select_stage(&stages, c->only);
    if (c->evaluates && audit_is_on(&job.cfg.audit)) {
        TRY(job_audit_open(&shadows, &job));
        audit = &shadows.audit;
    }
    TRY(check_course(&job, &stages, c, audit));
    if (cli->dry_run) {
        TRY(plan_print(&job, &stages, c->kinds, c->audits ? audit : NULL));
        goto out;
    }
    for (int i = 0; i < stages.n; i++)
        if (c->kinds & 1u << stages.stage[i].kind) {
            TRY(job_check_stop(&job, "making", stages.stage[i].name));
            TRY(stage_run(&job, &stages.stage[i]));
        }
    if (c->audits && audit)
        TRY(audit_run(audit));
    if (c->evaluates)
        TRY(evaluate_stages(&job, &stages, audit));
    TRY(failure_report(&job, count_methods(&stages), !c->evaluates));
out:
    job_audit_close(&shadows);
    stage_list_free(&stages);
    job_close(&job);
    return rc;
}

int command_train(const struct cli *cli, const struct comm *comm)
{
    return run_course(cli, comm, &(struct course){.kinds = 1u << STAGE_ORIGIN});
}

int command_unlearn(const struct cli *cli, const struct comm *comm)
{
    return run_course(cli, comm, &(struct course){.kinds = 1u << STAGE_METHOD});
}

int command_evaluate(const struct cli *cli, const struct comm *comm)
{
    return run_course(cli, comm, &(struct course){.evaluates = 1});
}

int command_audit(const struct cli *cli, const struct comm *comm)
{
    return run_course(cli, comm, &(struct course){.audits = 1, .evaluates = 1});
}

int command_run(const struct cli *cli, const struct comm *comm)
{
    struct course all = {.may_import = 1,
                         .kinds = 1u << STAGE_ORIGIN | 1u << STAGE_RETRAIN | 1u << STAGE_METHOD,
                         .audits = 1,
                         .evaluates = 1};
    return run_course(cli, comm, &all);
}

int command_stage(const struct cli *cli, enum stage_kind kind, int index, const struct comm *comm)
{
    struct selection only = {kind, index};
    return run_course(cli, comm,
                      &(struct course){.may_import = 1, .kinds = 1u << kind, .only = &only});
}
