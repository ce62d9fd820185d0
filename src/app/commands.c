/* train, unlearn, evaluate and run: the stages of a config, in order. */
#include "app/commands.h"

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

/* Run the stages whose kind is in the bit set `kinds`, or `only` one; then, with `evaluate`,
 * evaluate all. */
static int run_stages(const struct cli *cli, const struct comm *comm, unsigned kinds,
                      const struct selection *only, int may_import, int evaluate)
{
    int rc = IAU_OK;
    struct job job;
    struct stage_list stages = {0};
    TRY(job_open(&job, cli, may_import, comm));
    TRY(comm_agree(comm, stage_list_init(&stages, &job)));
    if (only)
        select_stage(&stages, only);
    if (evaluate)
        TRY(evaluate_check_target(&job));
    TRY(stage_check_all(&job, &stages, kinds));
    if (cli->dry_run) {
        TRY(plan_print(&job, &stages, kinds));
        goto out;
    }
    for (int i = 0; i < stages.n; i++)
        if (kinds & 1u << stages.stage[i].kind) {
            TRY(job_check_stop(&job, "making", stages.stage[i].name));
            TRY(stage_run(&job, &stages.stage[i]));
        }
    if (evaluate)
        TRY(evaluate_stages(&job, &stages));
out:
    stage_list_free(&stages);
    job_close(&job);
    return rc;
}

int command_train(const struct cli *cli, const struct comm *comm)
{
    return run_stages(cli, comm, 1u << STAGE_ORIGIN, NULL, 0, 0);
}

int command_unlearn(const struct cli *cli, const struct comm *comm)
{
    return run_stages(cli, comm, 1u << STAGE_METHOD, NULL, 0, 0);
}

int command_evaluate(const struct cli *cli, const struct comm *comm)
{
    return run_stages(cli, comm, 0, NULL, 0, 1);
}

int command_run(const struct cli *cli, const struct comm *comm)
{
    return run_stages(cli, comm, 1u << STAGE_ORIGIN | 1u << STAGE_RETRAIN | 1u << STAGE_METHOD,
                      NULL, 1, 1);
}

int command_stage(const struct cli *cli, enum stage_kind kind, int index, const struct comm *comm)
{
    return run_stages(cli, comm, 1u << kind, &(struct selection){kind, index}, 1, 0);
}
