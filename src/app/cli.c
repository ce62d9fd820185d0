/* The command line read into struct cli. */
#include "app/cli.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    FOR_ANY = 1 << COMMAND_NONE | 1 << COMMAND_IMPORT | 1 << COMMAND_TRAIN | 1 << COMMAND_UNLEARN |
              1 << COMMAND_EVALUATE | 1 << COMMAND_AUDIT | 1 << COMMAND_RUN | 1 << COMMAND_INSPECT |
              1 << COMMAND_CAMPAIGN,
    FOR_CONFIG = 1 << COMMAND_TRAIN | 1 << COMMAND_UNLEARN | 1 << COMMAND_EVALUATE |
                 1 << COMMAND_AUDIT | 1 << COMMAND_RUN | 1 << COMMAND_CAMPAIGN,
    FOR_CAMPAIGN = 1 << COMMAND_CAMPAIGN,
    FOR_IMPORT = 1 << COMMAND_IMPORT,
    FOR_INSPECT = 1 << COMMAND_INSPECT
};

enum option_type { OPTION_FLAG, OPTION_TEXT };

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
    {"--task", 0, OPTION_TEXT, offsetof(struct cli, task), FOR_CAMPAIGN},
    {"--stage", 0, OPTION_TEXT, offsetof(struct cli, stage), FOR_CAMPAIGN},
    {"--left", 0, OPTION_FLAG, offsetof(struct cli, left), FOR_CAMPAIGN},
    {"--partial", 0, OPTION_FLAG, offsetof(struct cli, partial), FOR_CAMPAIGN},
    {"--digest", 0, OPTION_FLAG, offsetof(struct cli, digest), FOR_INSPECT},
};

enum { N_OPTION = sizeof(options) / sizeof(options[0]) };

static const char *const command_names[N_COMMAND] = {
    "", "import", "train", "unlearn", "evaluate", "audit", "run", "inspect", "campaign"};

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

/* --- the options of `iau import` that are settings: --test-fraction is data.source.test_fraction
 */

enum { MOST_SOURCE = 32 };
static const char source_section[] = "data.source.";

static const struct setting *find_source_option(const char *arg)
{
    struct setting_table t = config_table();
    char name[SOURCE_OPTION_CHARS];
    size_t len = strcspn(arg, "=");
    for (int i = 0; i < t.n; i++) {
        setting_source_option(&t.row[i], name);
        if (*name && strlen(name) == len && strncmp(name, arg, len) == 0)
            return &t.row[i];
    }
    return NULL;
}

static void *source_field(struct cli *cli, const struct setting *s)
{
    return (char *)&cli->source + (s->offset - offsetof(struct config, data.source));
}

/* Store a value; a list grows by it. */
static int set_source(struct cli *cli, const struct setting *s, const char *name, const char *value)
{
    struct text_list *field = source_field(cli, s);
    int64_t n = s->type == SETTING_TEXTS ? field->n : 0;
    char **all = mem_alloc(n + 1, sizeof *all);
    if (!all)
        return FAIL(IAU_ERR_MEM, "no memory for the command line");
    for (int64_t i = 0; i < n; i++)
        all[i] = field->v[i];
    all[n] = (char *)value;
    struct text_list list = {n + 1, all};
    struct setting_value v = {"command line", name, &list, s->type == SETTING_TEXTS};
    int rc = setting_assign(s, field, &v);
    free(all);
    if (rc == IAU_OK || rc == IAU_ERR_MEM)
        return rc;
    char why[300];
    snprintf(why, sizeof why, "%s", error_message());
    error_clear();
    return usage_error(cli, why, "", NULL);
}

static int init_source(struct cli *cli)
{
    struct setting_table t = config_table();
    int rc = IAU_OK;
    for (int i = 0; i < t.n && rc == IAU_OK; i++)
        if (strncmp(t.row[i].key, source_section, sizeof source_section - 1) == 0)
            rc = setting_default(&t.row[i], source_field(cli, &t.row[i]));
    return rc;
}

static void free_source(struct cli *cli)
{
    struct setting_table t = config_table();
    for (int i = 0; i < t.n; i++)
        if (strncmp(t.row[i].key, source_section, sizeof source_section - 1) == 0)
            setting_free(&t.row[i], source_field(cli, &t.row[i]));
}

static int unknown_option(const struct cli *cli, const char *arg)
{
    struct setting_table t = config_table();
    const char *names[N_OPTION + MOST_SOURCE];
    char word[64], source[MOST_SOURCE][SOURCE_OPTION_CHARS];
    int n = 0, n_source = 0;
    for (int i = 0; i < N_OPTION; i++)
        if (options[i].commands & 1 << cli->command)
            names[n++] = options[i].name;
    for (int i = 0; i < t.n && cli->command == COMMAND_IMPORT && n_source < MOST_SOURCE; i++) {
        setting_source_option(&t.row[i], source[n_source]);
        if (*source[n_source])
            names[n++] = source[n_source++];
    }
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg, "="), arg);
    return usage_error(cli, "unknown option ", arg, word_nearest(word, names, n));
}

/* The value of an option, behind '=' or in the next argument; "" if there is none. */
static const char *value_of(const char *arg, int argc, char *const *argv, int *i)
{
    const char *equals = strchr(arg, '=');
    return equals ? equals + 1 : ++*i < argc ? argv[*i] : "";
}

static int read_source_option(struct cli *cli, const struct setting *s, int argc, char *const *argv,
                              int *i)
{
    char name[SOURCE_OPTION_CHARS];
    setting_source_option(s, name);
    if (cli->command != COMMAND_IMPORT)
        return usage_error(cli, name, " does not apply to this command", NULL);
    int is_flag = s->type == SETTING_SWITCH && !strchr(argv[*i], '=');
    const char *value = is_flag ? "on" : value_of(argv[*i], argc, argv, i);
    if (!*value)
        return usage_error(cli, name, " needs a value", NULL);
    return set_source(cli, s, name, value);
}

/* argv[*i] is an option other than an override of a setting. */
static int read_option(struct cli *cli, int argc, char *const *argv, int *i)
{
    const char *arg = argv[*i];
    const struct option *o = find_option(arg);
    const struct setting *s = o ? NULL : find_source_option(arg);
    if (s)
        return read_source_option(cli, s, argc, argv, i);
    if (!o)
        return unknown_option(cli, arg);
    if (!(o->commands & 1 << cli->command))
        return usage_error(cli, o->name, " does not apply to this command", NULL);
    if (o->type == OPTION_FLAG) {
        if (strchr(arg, '='))
            return usage_error(cli, o->name, " takes no value", NULL);
        *(int *)((char *)cli + o->offset) = 1;
        return IAU_OK;
    }
    const char *value = value_of(arg, argc, argv, i);
    if (!*value)
        return usage_error(cli, o->name, " needs a value", NULL);
    *(const char **)((char *)cli + o->offset) = value;
    return IAU_OK;
}

/* --section.key=value has a dot before the '='. */
static int is_override(const char *arg)
{
    size_t dot = strcspn(arg, ".");
    return strncmp(arg, "--seed=", 7) == 0 || /* the one setting outside of all sections */
           (strncmp(arg, "--", 2) == 0 && arg[dot] == '.' && dot < strcspn(arg, "="));
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

/* The format, then sources. */
static int read_import_word(struct cli *cli, const char *arg)
{
    const struct setting *format = setting_find(config_table(), "data.source.format");
    if (*cli->source.format)
        return set_source(cli, setting_find(config_table(), "data.source.files"), "SOURCE", arg);
    int rc = set_source(cli, format, "FORMAT", arg);
    if (rc != IAU_ERR_USAGE)
        return rc;
    error_clear();
    return FAIL(IAU_ERR_USAGE, "unknown format %s: must be one of %s; try 'iau import --help'", arg,
                format->choices);
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
    if (cli->command == COMMAND_IMPORT)
        return read_import_word(cli, arg);
    const char **place = cli->command == COMMAND_INSPECT ? &cli->file : &cli->config;
    if (*place)
        return usage_error(cli, "one argument too many: ", arg, NULL);
    *place = arg;
    return IAU_OK;
}

static int check_import(const struct cli *cli)
{
    if (!*cli->source.format)
        return usage_error(cli, "no format given", "", NULL);
    if (cli->source.files.n == 0)
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
    if (!cli->override)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the command line"));
    TRY(init_source(cli));
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
    free_source(cli);
    *cli = (struct cli){0};
}
