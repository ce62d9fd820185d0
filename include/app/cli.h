/* The command line: which command, its arguments and flags, and the overrides of settings. */
#ifndef IAU_APP_CLI_H
#define IAU_APP_CLI_H

#include "data/opts.h"

enum command {
    COMMAND_NONE, /* `iau --help`, `iau --version` */
    COMMAND_IMPORT,
    COMMAND_TRAIN,
    COMMAND_UNLEARN,
    COMMAND_EVALUATE,
    COMMAND_AUDIT,
    COMMAND_RUN,
    COMMAND_INSPECT,
    COMMAND_CAMPAIGN,
    N_COMMAND
};

enum campaign_verb {
    CAMPAIGN_LIST,
    CAMPAIGN_RUN,
    CAMPAIGN_STATUS,
    CAMPAIGN_MERGE,
    N_CAMPAIGN_VERB
};

/* Texts are borrowed from argv, but for those of `source`. */
struct cli {
    enum command command;
    int help, version;  /* print that and stop; nothing else is checked then */
    int quiet, verbose; /* not both; verbose: errors say where in the source they arose */
    int force;   /* import, train, unlearn, evaluate, audit, run, campaign: replace outputs that are
                    in the way */
    int strict;  /* the same: ranks that may give other bytes than equal nodes are an error */
    int dry_run; /* the same, but for import: check and print the plan */
    const char *config; /* train, unlearn, evaluate, audit, run, campaign: the YAML file */
    int n_override;
    const char **override;     /* owned array; "--section.key=value", as config_parse takes them */
    struct source_opts source; /* owned; import: the settings data.source.*, as options */
    const char *out;           /* import; the dataset file */
    int has_verb;              /* campaign */
    enum campaign_verb verb;
    const char *task, *stage; /* campaign run, status: lists of numbers, or NULL */
    int left;                 /* campaign status: print only what is left */
    int partial;              /* campaign merge: tasks may be missing */
    const char *file;         /* inspect */
    int digest;               /* inspect: print the digest alone */
};

/** Local. Read the command line; `cli` is empty on error.
 *  @return IAU_OK, IAU_ERR_USAGE (one line that says where to find help) or IAU_ERR_MEM */
int cli_parse(struct cli *cli, int argc, char *const *argv);
/** Local. Release; fine on an empty `cli`. */
void cli_free(struct cli *cli);
/** Local. What `iau COMMAND --help` prints; COMMAND_NONE: `iau --help`. The caller frees; NULL when
 * memory is short. */
char *cli_help(enum command command);
/** Local. Print that on stdout. */
void cli_print_help(enum command command);
/** Local. A command's name, "" for COMMAND_NONE. */
const char *cli_command_name(enum command command);

#endif
