/* The commands, each a short list of phases. All are collective and return agreed codes:
 * IAU_INCOMPLETE where methods have failed and all else is done (failure.h). */
#ifndef IAU_APP_COMMANDS_H
#define IAU_APP_COMMANDS_H

#include "app/audit.h"
#include "app/job.h"
#include "app/stage.h"

int command_import(const struct cli *cli, const struct comm *comm);
int command_train(const struct cli *cli, const struct comm *comm);
int command_unlearn(const struct cli *cli, const struct comm *comm);
int command_evaluate(const struct cli *cli, const struct comm *comm);
int command_audit(const struct cli *cli, const struct comm *comm);
int command_run(const struct cli *cli, const struct comm *comm);
/** One stage of `iau run`, without evaluation. */
int command_stage(const struct cli *cli, enum stage_kind kind, int index, const struct comm *comm);
/** Local work of rank 0. */
int command_inspect(const struct cli *cli, const struct comm *comm);

/** Collective. IAU_ERR_EXISTS or IAU_ERR_IO if results.h5 cannot be put in place; for commands that
 * take long before. */
int evaluate_check_target(const struct job *job);
/** Collective. IAU_ERR_IO if no model file of the stages is there to be evaluated. */
int evaluate_check_models(const struct job *job, const struct stage_list *stages);
/** Collective. Evaluate every model file that is there, write results.h5, print the table. Methods
 * that have failed are named in both; one whose outputs run off is counted as such (failure.h).
 *  @param audit  whose shadows help with it, as far as they are there, or NULL */
int evaluate_stages(struct job *job, const struct stage_list *stages, const struct audit *audit);
/** Collective. What the command would do: rows, memory and work a rank, files, estimated time. Runs
 * no stage. @param audit  that would be made, or NULL */
int plan_print(struct job *job, const struct stage_list *stages, unsigned kinds,
               const struct audit *audit);

#endif
