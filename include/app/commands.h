/* The commands, each a short list of phases. All are collective and return agreed codes. */
#ifndef IAU_APP_COMMANDS_H
#define IAU_APP_COMMANDS_H

#include "app/job.h"
#include "app/stage.h"

int command_import(const struct cli *cli, const struct comm *comm);
int command_train(const struct cli *cli, const struct comm *comm);
int command_unlearn(const struct cli *cli, const struct comm *comm);
int command_evaluate(const struct cli *cli, const struct comm *comm);
int command_run(const struct cli *cli, const struct comm *comm);
/** One stage of `iau run`, without evaluation. */
int command_stage(const struct cli *cli, enum stage_kind kind, int index, const struct comm *comm);
/** Local work of rank 0. */
int command_inspect(const struct cli *cli, const struct comm *comm);

/** Collective. IAU_ERR_EXISTS or IAU_ERR_IO if results.h5 cannot be put in place; for commands that
 * take long before. */
int evaluate_check_target(const struct job *job);
/** Collective. Evaluate every model file that is there, write results.h5, print the table. */
int evaluate_stages(struct job *job, const struct stage_list *stages);
/** Collective. What the command would do: rows, memory and work a rank, files, estimated time. Runs
 * no stage. */
int plan_print(struct job *job, const struct stage_list *stages, unsigned kinds);

#endif
