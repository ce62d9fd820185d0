/* The command line read into struct cli. */
#include "app/cli.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_table.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    FOR_ANY = 1 << COMMAND_NONE | 1 << COMMAND_IMPORT | 1 << COMMAND_TRAIN | 1 << COMMAND_UNLEARN |
              1 << COMMAND_EVALUATE | 1 << COMMAND_RUN | 1 << COMMAND_INSPECT |
              1 << COMMAND_CAMPAIGN,
    FOR_CONFIG = 1 << COMMAND_TRAIN | 1 << COMMAND_UNLEARN | 1 << COMMAND_EVALUATE |
                 1 << COMMAND_RUN | 1 << COMMAND_CAMPAIGN,
    FOR_CAMPAIGN = 1 << COMMAND_CAMPAIGN,
    FOR_IMPORT = 1 << COMMAND_IMPORT,
    FOR_INSPECT = 1 << COMMAND_INSPECT
};

enum option_type { OPTION_FLAG, OPTION_TEXT, OPTION_SEED };

struct option {
    const char *name;
    char letter; /* of the short form, or 0 */
    enum option_type type;
    size_t offset; /* in struct cli */
    int commands;
};

static const struct option options[] = {
    {"--help", 'h', OPTION_FLAG, offsetof(struct cli, help), FOR_ANY},
    {"--version", 0, OPTION_FLAG, offsetof(struct cli, version), FOR_ANY},
    {"--quiet", 'q', OPTION_FLAG, offsetof(struct cli, quiet), FOR_ANY},
    {"--verbose", 'v', OPTION_FLAG, offsetof(struct cli, verbose), FOR_ANY},
    {"--force", 0, OPTION_FLAG, offsetof(struct cli, force), FOR_CONFIG | FOR_IMPORT},
    {"--strict", 0, OPTION_FLAG, offsetof(struct cli, strict), FOR_CONFIG},
    {"--dry-run", 0, OPTION_FLAG, offsetof(struct cli, dry_run), FOR_CONFIG},
    {"--out", 0, OPTION_TEXT, offsetof(struct cli, out), FOR_IMPORT},
    {"--name", 0, OPTION_TEXT, offsetof(struct cli, name), FOR_IMPORT},
    {"--shuffle", 0, OPTION_SEED, offsetof(struct cli, shuffle), FOR_IMPORT},
    {"--task", 0, OPTION_TEXT, offsetof(struct cli, task), FOR_CAMPAIGN},
    {"--stage", 0, OPTION_TEXT, offsetof(struct cli, stage), FOR_CAMPAIGN},
    {"--left", 0, OPTION_FLAG, offsetof(struct cli, left), FOR_CAMPAIGN},
    {"--partial", 0, OPTION_FLAG, offsetof(struct cli, partial), FOR_CAMPAIGN},
    {"--digest", 0, OPTION_FLAG, offsetof(struct cli, digest), FOR_INSPECT},
};

enum { N_OPTION = sizeof(options) / sizeof(options[0]) };

static const char *const command_names[N_COMMAND] = {"",         "import", "train",   "unlearn",
                                                     "evaluate", "run",    "inspect", "campaign"};

static const char *const verb_names[N_CAMPAIGN_VERB] = {"list", "run", "status", "merge"};

const char *cli_command_name(enum command command)
{
    return command_names[command];
}

static int usage_error(const struct cli *cli, const char *what, const char *subject,
                       const char *near)
{
    const char *name = cli_command_name(cli->command);
    return FAIL(IAU_ERR_USAGE, "%s%s%s%s%s; try 'iau %s%s--help'", what, subject,
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", name,
                *name ? " " : "");
}

static int find_command(const char *word)
{
    for (int i = 1; i < N_COMMAND; i++)
        if (strcmp(word, command_names[i]) == 0)
            return i;
    return 0;
}

/* The option that `arg` names, up to an '=' if it has one; NULL if none. */
static const struct option *find_option(const char *arg)
{
    size_t len = strcspn(arg, "=");
    for (int i = 0; i < N_OPTION; i++)
        if ((strlen(options[i].name) == len && strncmp(arg, options[i].name, len) == 0) ||
            (options[i].letter && arg[1] == options[i].letter && !arg[2]))
            return &options[i];
    return NULL;
}

static int unknown_option(const struct cli *cli, const char *arg)
{
    const char *names[N_OPTION];
    char word[64];
    int n = 0;
    for (int i = 0; i < N_OPTION; i++)
        if (options[i].commands & 1 << cli->command)
            names[n++] = options[i].name;
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg, "="), arg);
    return usage_error(cli, "unknown option ", arg, word_nearest(word, names, n));
}

static int set_seed(struct cli *cli, const struct option *o, const char *value)
{
    static const struct setting seed = {.type = SETTING_INT, .lo = 0, .hi = 4294967295.0};
    char *text[1] = {(char *)value};
    struct text_list list = {1, text};
    struct setting_value v = {"command line", o->name, &list, 0};
    cli->has_shuffle = 1;
    if (setting_assign(&seed, (char *)cli + o->offset, &v) == IAU_OK)
        return IAU_OK;
    error_clear();
    return usage_error(cli, "--shuffle takes a seed from 0 to 4294967295, not ", value, NULL);
}

/* argv[*i] is an option other than an override of a setting. */
static int read_option(struct cli *cli, int argc, char *const *argv, int *i)
{
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    const struct option *o = find_option(arg);
    if (!o)
        return unknown_option(cli, arg);
    if (!(o->commands & 1 << cli->command))
        return usage_error(cli, o->name, " does not apply to this command", NULL);
    if (o->type == OPTION_FLAG) {
        if (equals)
            return usage_error(cli, o->name, " takes no value", NULL);
        *(int *)((char *)cli + o->offset) = 1;
        return IAU_OK;
    }
    const char *value = equals ? equals + 1 : ++*i < argc ? argv[*i] : "";
    if (!*value)
        return usage_error(cli, o->name, " needs a value", NULL);
    if (o->type == OPTION_SEED)
        return set_seed(cli, o, value);
    *(const char **)((char *)cli + o->offset) = value;
    return IAU_OK;
}

/* --section.key=value has a dot before the '='. */
static int is_override(const char *arg)
{
    size_t dot = strcspn(arg, ".");
    return strncmp(arg, "--", 2) == 0 && arg[dot] == '.' && dot < strcspn(arg, "=");
}

static int read_override(struct cli *cli, const char *arg)
{
    if (!(FOR_CONFIG & 1 << cli->command))
        return usage_error(cli, arg, ": this command takes no settings", NULL);
    if (!strchr(arg, '='))
        return usage_error(cli, arg, " needs a value: --section.key=value", NULL);
    cli->override[cli->n_override++] = arg;
    return IAU_OK;
}

static int read_verb(struct cli *cli, const char *arg)
{
    for (int i = 0; i < N_CAMPAIGN_VERB; i++)
        if (strcmp(arg, verb_names[i]) == 0) {
            cli->verb = (enum campaign_verb)i;
            cli->has_verb = 1;
            return IAU_OK;
        }
    return usage_error(cli, "campaign list, run, status or merge, not ", arg,
                       word_nearest(arg, verb_names, N_CAMPAIGN_VERB));
}

static int read_word(struct cli *cli, const char *arg)
{
    if (cli->command == COMMAND_NONE) {
        cli->command = find_command(arg);
        if (cli->command == COMMAND_NONE)
            return usage_error(cli, "unknown command ", arg,
                               word_nearest(arg, command_names + 1, N_COMMAND - 1));
        return IAU_OK;
    }
    if (cli->command == COMMAND_CAMPAIGN && !cli->has_verb)
        return read_verb(cli, arg);
    if (cli->command == COMMAND_IMPORT && cli->format) {
        cli->source[cli->n_source++] = arg;
        return IAU_OK;
    }
    const char **place = cli->command == COMMAND_IMPORT    ? &cli->format
                         : cli->command == COMMAND_INSPECT ? &cli->file
                                                           : &cli->config;
    if (*place)
        return usage_error(cli, "one argument too many: ", arg, NULL);
    *place = arg;
    return IAU_OK;
}

static int check_import(const struct cli *cli)
{
    const struct setting *format = setting_find(config_table(), "data.source.format");
    char *copy = NULL;
    char *text[1] = {(char *)cli->format};
    struct text_list list = {1, text};
    struct setting_value v = {"", "", &list, 0};
    if (!cli->format)
        return usage_error(cli, "no format given", "", NULL);
    int rc = setting_assign(format, &copy, &v);
    free(copy);
    if (rc == IAU_ERR_MEM)
        return rc;
    error_clear();
    if (rc != IAU_OK)
        return FAIL(IAU_ERR_USAGE, "unknown format %s: must be one of %s; try 'iau import --help'",
                    cli->format, format->choices);
    if (cli->n_source == 0)
        return usage_error(cli, "no source files given", "", NULL);
    if (!cli->out)
        return usage_error(cli, "no --out FILE given", "", NULL);
    return IAU_OK;
}

/* Options that go with some verbs only. */
static int check_campaign(const struct cli *cli)
{
    const struct {
        const char *name;
        int given, verbs;
    } option[] = {
        {"--task", cli->task != NULL, 1 << CAMPAIGN_RUN | 1 << CAMPAIGN_STATUS},
        {"--stage", cli->stage != NULL, 1 << CAMPAIGN_RUN},
        {"--left", cli->left, 1 << CAMPAIGN_STATUS},
        {"--partial", cli->partial, 1 << CAMPAIGN_MERGE},
        {"--dry-run", cli->dry_run, 1 << CAMPAIGN_RUN},
        {"--strict", cli->strict, 1 << CAMPAIGN_RUN},
        {"--force", cli->force, 1 << CAMPAIGN_RUN | 1 << CAMPAIGN_MERGE},
    };
    if (!cli->has_verb)
        return usage_error(cli, "no list, run, status or merge given", "", NULL);
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        if (option[i].given && !(option[i].verbs & 1 << cli->verb))
            return usage_error(cli, option[i].name, " does not apply to this verb", NULL);
    return IAU_OK;
}

static int check_complete(const struct cli *cli)
{
    if (cli->quiet && cli->verbose)
        return usage_error(cli, "--quiet and --verbose exclude each other", "", NULL);
    if (cli->command == COMMAND_NONE)
        return usage_error(cli, "no command given", "", NULL);
    if (cli->command == COMMAND_IMPORT)
        return check_import(cli);
    if (cli->command == COMMAND_INSPECT)
        return cli->file ? IAU_OK : usage_error(cli, "no file given", "", NULL);
    if (cli->command == COMMAND_CAMPAIGN) {
        int rc = check_campaign(cli);
        if (rc != IAU_OK)
            return rc;
    }
    return cli->config ? IAU_OK : usage_error(cli, "no config file given", "", NULL);
}

int cli_parse(struct cli *cli, int argc, char *const *argv)
{
    int rc = IAU_OK, only_words = 0;
    *cli = (struct cli){0};
    cli->override = mem_alloc(argc, sizeof(*cli->override));
    cli->source = mem_alloc(argc, sizeof(*cli->source));
    if (!cli->override || !cli->source)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the command line"));
    for (int i = 1; i < argc && !cli->help && !cli->version; i++) {
        if (only_words || argv[i][0] != '-' || !argv[i][1])
            TRY(read_word(cli, argv[i]));
        else if (strcmp(argv[i], "--") == 0)
            only_words = 1;
        else if (is_override(argv[i]))
            TRY(read_override(cli, argv[i]));
        else
            TRY(read_option(cli, argc, argv, &i));
    }
    if (!cli->help && !cli->version)
        TRY(check_complete(cli));
out:
    if (rc != IAU_OK)
        cli_free(cli);
    return rc;
}

void cli_free(struct cli *cli)
{
    free(cli->override);
    free(cli->source);
    *cli = (struct cli){0};
}
