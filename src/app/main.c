/* iau: start, run one command, stop, with one exit status on all ranks. */
#include <signal.h>
#include <stdio.h>

#include "app/campaign.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/machine.h"
#include "app/version.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/log.h"
#include "core/stop.h"
#include "io/h5.h"
#include "kernel/gemm.h"

static void print_version(const struct comm *comm)
{
    if (comm->rank != 0)
        return;
    printf("iau %s\nbuilt by %s for %s (%s)\n%s, %s, %s\n", version_text(), version_compiler(),
           version_arch(), CPU_BUILD_ISA, comm_library(), gemm_version(), h5_version());
}

static int run(const struct cli *cli, const struct comm *comm)
{
    switch (cli->command) {
    case COMMAND_IMPORT:
        return command_import(cli, comm);
    case COMMAND_TRAIN:
        return command_train(cli, comm);
    case COMMAND_UNLEARN:
        return command_unlearn(cli, comm);
    case COMMAND_EVALUATE:
        return command_evaluate(cli, comm);
    case COMMAND_AUDIT:
        return command_audit(cli, comm);
    case COMMAND_RUN:
        return command_run_config(cli, comm);
    case COMMAND_INSPECT:
        return command_inspect(cli, comm);
    case COMMAND_CAMPAIGN:
        return command_campaign(cli, comm);
    default:
        return IAU_ERR_USAGE;
    }
}

/* Every rank's CPU must have the build's instructions; the first that has not speaks for all. */
static int check_cpu(const struct comm *comm)
{
    char host[128];
    int rc = IAU_OK;
    if (!cpu_has(CPU_BUILD_ISA))
        rc = FAIL(IAU_ERR_CPU, "built for %s, but %s has none: make ARCH=%s", CPU_BUILD_ISA,
                  comm_host(host, sizeof host), cpu_isa() == CPU_AVX2 ? "x86-64-v3" : "x86-64");
    return comm_agree(comm, rc);
}

/* Whether the command makes models. */
static int is_long(const struct cli *cli)
{
    return cli->config && !cli->help && !cli->version && !cli->dry_run &&
           (cli->command != COMMAND_CAMPAIGN || cli->verb == CAMPAIGN_RUN);
}

int main(int argc, char **argv)
{
    int rc = IAU_OK;
    struct comm comm = {0};
    struct cli cli = {0};
    TRY(comm_start(&comm, &argc, &argv));
    TRY(check_cpu(&comm));
    TRY(machine_check_program(&comm));
    gemm_start();
    signal(SIGXFSZ, SIG_IGN); /* a file that grows beyond its limit is an error with a message */
    TRY(comm_agree(&comm, cli_parse(&cli, argc, argv)));
    log_init(comm.rank, cli.quiet     ? LOG_LEVEL_QUIET
                        : cli.verbose ? LOG_LEVEL_VERBOSE
                                      : LOG_LEVEL_NORMAL);
    if (cli.help && comm.rank == 0)
        cli_print_help(cli.command);
    else if (cli.version)
        print_version(&comm);
    if (is_long(&cli))
        stop_install(); /* what else there is may simply be killed */
    if (!cli.help && !cli.version)
        rc = run(&cli, &comm);
out:
    cli_free(&cli);
    comm_stop(&comm);
    return error_exit_status(rc);
}
