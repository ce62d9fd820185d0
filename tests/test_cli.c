/* The command line: what each command takes, what it refuses and with which words, and help that
 * says it all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/config_table.h"
#include "core/error.h"
#include "harness.h"

#define PARSE(cli, ...)                                                                      \
    cli_parse((cli), (int)(sizeof((const char *[]){"iau", ##__VA_ARGS__}) / sizeof(char *)), \
              (char *const[]){"iau", ##__VA_ARGS__})

#define REFUSE(message, ...)                                      \
    do {                                                          \
        struct cli refused;                                       \
        int refused_rc = PARSE(&refused, ##__VA_ARGS__);          \
        CU_ASSERT_PTR_NULL(refused.override);                     \
        harness_expect_error(refused_rc, IAU_ERR_USAGE, message); \
        cli_free(&refused);                                       \
    } while (0)

static void a_config_command_takes_overrides_and_flags(void)
{
    struct cli cli;
    CU_ASSERT_EQUAL(PARSE(&cli, "train", "--train.epochs=5", "c.yaml", "--force", "-v", "--dry-run",
                          "--strict", "--data.file=a b.h5"),
                    IAU_OK);
    CU_ASSERT_EQUAL(cli.command, COMMAND_TRAIN);
    CU_ASSERT_STRING_EQUAL(cli.config, "c.yaml");
    CU_ASSERT_EQUAL(cli.n_override, 2);
    CU_ASSERT_STRING_EQUAL(cli.override[0], "--train.epochs=5");
    CU_ASSERT_STRING_EQUAL(cli.override[1], "--data.file=a b.h5");
    CU_ASSERT(cli.force && cli.verbose && cli.dry_run && cli.strict && !cli.quiet && !cli.help);
    cli_free(&cli);
    for (int i = COMMAND_TRAIN; i <= COMMAND_RUN; i++) {
        CU_ASSERT_EQUAL(PARSE(&cli, (char *)cli_command_name(i), "-q", "--", "-c.yaml"), IAU_OK);
        CU_ASSERT_EQUAL(cli.command, (enum command)i);
        CU_ASSERT_STRING_EQUAL(cli.config, "-c.yaml");
        CU_ASSERT(cli.quiet);
        cli_free(&cli);
    }
}

static void import_takes_format_sources_and_target(void)
{
    struct cli cli;
    CU_ASSERT_EQUAL(PARSE(&cli, "import", "idx", "a", "b", "--out", "d.h5", "c", "--name=x",
                          "--shuffle", "4294967295", "e"),
                    IAU_OK);
    CU_ASSERT_STRING_EQUAL(cli.source.format, "idx");
    CU_ASSERT_EQUAL(cli.source.files.n, 4);
    CU_ASSERT_STRING_EQUAL(cli.source.files.v[2], "c");
    CU_ASSERT_STRING_EQUAL(cli.source.files.v[3], "e");
    CU_ASSERT_STRING_EQUAL(cli.out, "d.h5");
    CU_ASSERT_STRING_EQUAL(cli.source.name, "x");
    CU_ASSERT_EQUAL(cli.source.shuffle, 4294967295);
    cli_free(&cli);
    CU_ASSERT_EQUAL(PARSE(&cli, "import", "cifar10", "a", "--out=d.h5"), IAU_OK);
    CU_ASSERT(cli.source.shuffle == -1 && !*cli.source.name && !cli.force && !cli.source.compress);
    cli_free(&cli);
    CU_ASSERT_EQUAL(PARSE(&cli, "import", "cifar100", "--compress", "a", "--test-files", "b c",
                          "--test-fraction=0.25", "--test-files=d", "--labels", "coarse", "--y=l 1",
                          "--extra=off", "--test-seed", "7", "--out", "d.h5"),
                    IAU_OK);
    CU_ASSERT(cli.source.files.n == 1 && cli.source.test_files.n == 2 && cli.source.compress);
    CU_ASSERT_STRING_EQUAL(cli.source.test_files.v[0], "b c");
    CU_ASSERT_STRING_EQUAL(cli.source.test_files.v[1], "d");
    CU_ASSERT(cli.source.test_fraction == 0.25 && cli.source.test_seed == 7 && !cli.source.extra);
    CU_ASSERT(cli.source.labels == LABELS_COARSE && cli.source.layout == LAYOUT_CHW);
    CU_ASSERT_STRING_EQUAL(cli.source.y, "l 1");
    cli_free(&cli);
}

static void campaign_takes_a_verb_and_lists(void)
{
    struct cli cli;
    CU_ASSERT_EQUAL(PARSE(&cli, "campaign", "run", "c.yaml", "--task=0,2-3", "--stage", "1",
                          "--strict", "--train.epochs=2"),
                    IAU_OK);
    CU_ASSERT(cli.command == COMMAND_CAMPAIGN && cli.verb == CAMPAIGN_RUN && cli.strict);
    CU_ASSERT_STRING_EQUAL(cli.config, "c.yaml");
    CU_ASSERT_STRING_EQUAL(cli.task, "0,2-3");
    CU_ASSERT_STRING_EQUAL(cli.stage, "1");
    CU_ASSERT_EQUAL(cli.n_override, 1);
    cli_free(&cli);
    CU_ASSERT_EQUAL(PARSE(&cli, "campaign", "status", "--left", "c.yaml"), IAU_OK);
    CU_ASSERT(cli.verb == CAMPAIGN_STATUS && cli.left);
    cli_free(&cli);
    REFUSE("no list, run, status or merge given", "campaign");
    REFUSE("not statsu; did you mean 'status'?", "campaign", "statsu", "c.yaml");
    REFUSE("no config file given", "campaign", "list");
    REFUSE("--partial does not apply to this verb", "campaign", "run", "c.yaml", "--partial");
    REFUSE("--left does not apply to this verb", "campaign", "merge", "c.yaml", "--left");
    REFUSE("--task does not apply to this verb", "campaign", "list", "c.yaml", "--task=1");
    REFUSE("--dry-run does not apply to this verb", "campaign", "status", "c.yaml", "--dry-run");
    REFUSE("--task does not apply to this command", "run", "c.yaml", "--task=1");
    REFUSE("one argument too many: d.yaml", "campaign", "list", "c.yaml", "d.yaml");
}

static void inspect_help_and_version(void)
{
    struct cli cli;
    CU_ASSERT_EQUAL(PARSE(&cli, "inspect", "--digest", "m.h5"), IAU_OK);
    CU_ASSERT(cli.digest && strcmp(cli.file, "m.h5") == 0);
    cli_free(&cli);
    CU_ASSERT_EQUAL(PARSE(&cli, "--version"), IAU_OK);
    CU_ASSERT(cli.version && cli.command == COMMAND_NONE);
    cli_free(&cli);
    CU_ASSERT_EQUAL(PARSE(&cli, "-h"), IAU_OK);
    CU_ASSERT(cli.help && cli.command == COMMAND_NONE);
    cli_free(&cli);
    CU_ASSERT_EQUAL(PARSE(&cli, "unlearn", "--help"), IAU_OK);
    CU_ASSERT(cli.help && cli.command == COMMAND_UNLEARN);
    cli_free(&cli);
    cli_free(&cli);
}

static void wrong_lines_are_refused_with_a_hint(void)
{
    REFUSE("no command given; try 'iau --help'");
    REFUSE("unknown command trian; did you mean 'train'?; try 'iau --help'", "trian", "c.yaml");
    REFUSE("unknown command xyz; try 'iau --help'", "xyz");
    REFUSE("no config file given; try 'iau train --help'", "train");
    REFUSE("unknown option --forse; did you mean '--force'?; try 'iau train --help'", "train",
           "c.yaml", "--forse");
    REFUSE("unknown option --epochs=5; try 'iau train --help'", "train", "c.yaml", "--epochs=5");
    REFUSE("unknown option -x; try", "run", "-x");
    REFUSE("--digest does not apply to this command; try 'iau train --help'", "train", "c.yaml",
           "--digest");
    REFUSE("--dry-run does not apply to this command", "import", "--dry-run");
    REFUSE("--force takes no value", "train", "c.yaml", "--force=1");
    REFUSE("one argument too many: d.yaml", "train", "c.yaml", "d.yaml");
    REFUSE("--train.epochs needs a value: --section.key=value", "train", "c.yaml", "--train.epochs",
           "5");
    REFUSE("--train.epochs=5: this command takes no settings", "inspect", "f", "--train.epochs=5");
    REFUSE("--quiet and --verbose exclude each other", "train", "c.yaml", "-q", "-v");
    REFUSE("no format given; try 'iau import --help'", "import", "--out", "d");
    REFUSE("unknown format png: must be one of idx|cifar10", "import", "png", "a", "--out", "d");
    REFUSE("no source files given", "import", "idx", "--out", "d");
    REFUSE("no --out FILE given", "import", "idx", "a");
    REFUSE("--out needs a value", "import", "idx", "a", "--out");
    REFUSE("--out needs a value", "import", "idx", "a", "--out=");
    REFUSE("--shuffle = -2: must be at least -1; try 'iau import --help'", "import", "idx", "a",
           "--shuffle=-2");
    REFUSE("--shuffle: 'x' is no integer; try", "import", "idx", "--shuffle", "x");
    REFUSE("--test-fraction = 1: must be below 1", "import", "idx", "--test-fraction", "1");
    REFUSE("--labels: 'rough' is none of fine|coarse", "import", "idx", "--labels=rough");
    REFUSE("--compress: 'x' is neither on nor off", "import", "idx", "--compress=x");
    REFUSE("--name needs a value", "import", "idx", "a", "--name");
    REFUSE("unknown option --compres; did you mean '--compress'?", "import", "--compres");
    REFUSE("unknown option --format", "import", "--format=idx");
    REFUSE("--test-seed does not apply to this command", "train", "c.yaml", "--test-seed=1");
    REFUSE("no file given; try 'iau inspect --help'", "inspect", "--digest");
    REFUSE("one argument too many: b", "inspect", "a", "b");
}

static void help_is_complete_and_fits_80_columns(void)
{
    struct setting_table tables[] = {config_table(), config_methods_table()};
    for (int c = COMMAND_NONE; c < N_COMMAND; c++) {
        char *text = cli_help(c);
        CU_ASSERT_PTR_NOT_NULL_FATAL(text);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Usage: iau"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Examples:"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Exit status:"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, cli_command_name(c)));
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            CU_ASSERT(strcspn(line, "\n") <= 80);
        for (int k = 0; c >= COMMAND_TRAIN && c <= COMMAND_RUN && k < 2; k++)
            for (int i = 0; i < tables[k].n; i++)
                CU_ASSERT_PTR_NOT_NULL(strstr(text, tables[k].row[i].key));
        free(text);
    }
    char *text = cli_help(COMMAND_NONE);
    for (int c = COMMAND_IMPORT; c < N_COMMAND; c++) {
        char line[32];
        snprintf(line, sizeof(line), "\n  %s ", cli_command_name(c));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, line));
    }
    free(text);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a config command takes overrides and flags", a_config_command_takes_overrides_and_flags},
        {"import takes format, sources and target", import_takes_format_sources_and_target},
        {"campaign takes a verb and lists", campaign_takes_a_verb_and_lists},
        {"inspect, help and version", inspect_help_and_version},
        {"wrong lines are refused with a hint", wrong_lines_are_refused_with_a_hint},
        {"help is complete and fits 80 columns", help_is_complete_and_fits_80_columns},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "cli", tests);
}
