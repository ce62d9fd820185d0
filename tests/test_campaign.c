/* Campaigns: what a grid may say, the order of tasks, their settings and folders, and which trained
 * models they share. */
#include <stdlib.h>
#include <string.h>

#include "app/campaign.h"
#include "capture.h"
#include "core/error.h"
#include "harness.h"
#include "io/file.h"

#define BASE                                                                  \
    "data: {file: d.h5}\n"                                                    \
    "forget: {ratio: 0.05}\n"                                                 \
    "methods: [{name: iau, method: iau}, {name: ia, method: iau, lr: 0.5}]\n" \
    "output: {dir: camp}\n"

static const char two[] =
    BASE "campaign: {grid: {forget.seed: [1, 2, 3], unlearn.methods: [iau, ia]}}\n";

/* A campaign of this text, or abort. */
static void open_campaign(struct campaign *c, struct cli *cli, const char *text, int n_override,
                          const char **override)
{
    char *path = harness_path("campaign.yaml");
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        REQUIRE(file_write_atomic(path, text, strlen(text)) == IAU_OK);
    *cli = (struct cli){.command = COMMAND_CAMPAIGN,
                        .config = path,
                        .n_override = n_override,
                        .override = override};
    REQUIRE(campaign_open(c, cli, &test_comm) == IAU_OK);
}

static void close_campaign(struct campaign *c, struct cli *cli)
{
    campaign_close(c);
    free((char *)cli->config);
}

static void tasks_run_as_nested_loops(void)
{
    static const char *const wanted[] = {
        "forget.seed = 1, unlearn.methods = iau", "forget.seed = 1, unlearn.methods = ia",
        "forget.seed = 2, unlearn.methods = iau", "forget.seed = 2, unlearn.methods = ia",
        "forget.seed = 3, unlearn.methods = iau", "forget.seed = 3, unlearn.methods = ia"};
    struct campaign c;
    struct cli cli;
    open_campaign(&c, &cli, two, 0, NULL);
    CU_ASSERT_EQUAL(c.grid.n_task, 6);
    for (int k = 0; k < 6; k++) {
        struct config cfg;
        char *text = grid_describe(&c.grid, k);
        CU_ASSERT_STRING_EQUAL(text, wanted[k]);
        CU_ASSERT_EQUAL(campaign_config(&c, k, &cfg), IAU_OK);
        CU_ASSERT_EQUAL(cfg.forget.seed, 1 + k / 2);
        CU_ASSERT_EQUAL(cfg.n_method, 1);
        CU_ASSERT_STRING_EQUAL(cfg.method[0].name, k % 2 ? "ia" : "iau");
        CU_ASSERT_STRING_EQUAL(cfg.output.dir, c.task[k].folder);
        config_free(&cfg);
        free(text);
    }
    close_campaign(&c, &cli);
}

/* The same origin serves all, a twin the tasks with its seed. */
static void stages_are_shared_where_their_settings_agree(void)
{
    struct campaign c;
    struct cli cli;
    open_campaign(&c, &cli, two, 0, NULL);
    CU_ASSERT_EQUAL(c.n_shared, 4);
    CU_ASSERT_EQUAL(c.shared[0].kind, STAGE_ORIGIN);
    CU_ASSERT_EQUAL(c.shared[0].n_task, 6);
    for (int i = 1; i < 4; i++) {
        CU_ASSERT_EQUAL(c.shared[i].kind, STAGE_RETRAIN);
        CU_ASSERT_STRING_EQUAL(c.shared[i].name, "retrain");
        CU_ASSERT_EQUAL(c.shared[i].n_task, 2);
        CU_ASSERT_EQUAL(c.shared[i].first, 2 * (i - 1));
    }
    for (int k = 0; k < 6; k++) {
        CU_ASSERT_EQUAL(c.task[k].n_stage, 2);
        CU_ASSERT_EQUAL(c.task[k].stage[0], 0);
        CU_ASSERT_EQUAL(c.task[k].stage[1], 1 + k / 2);
    }
    close_campaign(&c, &cli);
    /* Every task trains anew: nothing is shared. */
    open_campaign(&c, &cli, BASE "campaign: {grid: {train.seed: [1, 2]}}\n", 0, NULL);
    CU_ASSERT_EQUAL(c.n_shared, 0);
    CU_ASSERT_EQUAL(c.task[1].n_stage, 2);
    CU_ASSERT_EQUAL(c.task[1].stage[0], -1);
    close_campaign(&c, &cli);
    /* Two origins, of which the grid alters one. */
    open_campaign(&c, &cli,
                  BASE
                  "origins: {origin: {}, origin_gr: {train.restriction.alpha: 0.01}}\n"
                  "campaign: {grid: {origins.origin_gr.train.restriction.alpha: [0.1, 0.2]}}\n",
                  0, NULL);
    CU_ASSERT_EQUAL(c.n_shared, 2);
    CU_ASSERT_STRING_EQUAL(c.shared[0].name, "origin");
    CU_ASSERT_STRING_EQUAL(c.shared[1].name, "retrain");
    close_campaign(&c, &cli);
}

/* What a file depends on decides on its folder: not who asks, nor where the others are. */
static void folders_depend_on_settings_alone(void)
{
    static const char other[] =
        BASE "campaign: {grid: {forget.seed: [7, 2], unlearn.methods: [ia, iau]}}\n";
    struct campaign c, d;
    struct cli a, b;
    open_campaign(&c, &a, two, 0, NULL);
    open_campaign(&d, &b, other, 0, NULL);
    CU_ASSERT_STRING_EQUAL(c.task[2].folder, d.task[3].folder); /* seed 2, iau */
    CU_ASSERT_STRING_EQUAL(c.task[3].folder, d.task[2].folder);
    CU_ASSERT_PTR_NOT_NULL(strstr(c.task[2].folder, "camp/tasks/seed-2_methods-iau_"));
    CU_ASSERT_STRING_EQUAL(c.shared[0].folder, d.shared[0].folder);
    CU_ASSERT_STRING_EQUAL(c.shared[2].folder, d.shared[2].folder);
    CU_ASSERT_STRING_NOT_EQUAL(c.shared[1].folder, d.shared[1].folder);
    CU_ASSERT_STRING_NOT_EQUAL(c.shared[0].folder, c.shared[1].folder);
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < k; i++)
            CU_ASSERT_STRING_NOT_EQUAL(c.task[k].folder, c.task[i].folder);
    close_campaign(&d, &b);
    const char *moved[] = {"--output.dir=elsewhere", "--output.origins=fixed"};
    open_campaign(&d, &b, two, 2, moved);
    CU_ASSERT_STRING_EQUAL(strchr(d.task[0].folder, '/'), strchr(c.task[0].folder, '/'));
    CU_ASSERT_EQUAL(strncmp(d.task[0].folder, "elsewhere/tasks/", 16), 0);
    CU_ASSERT_STRING_EQUAL(d.shared[0].folder, "fixed");
    CU_ASSERT_EQUAL(strncmp(d.shared[1].folder, "elsewhere/shared/", 17), 0);
    close_campaign(&d, &b);
    const char *longer[] = {"--train.epochs=7"};
    open_campaign(&d, &b, two, 1, longer);
    CU_ASSERT_STRING_NOT_EQUAL(c.shared[0].folder, d.shared[0].folder);
    close_campaign(&d, &b);
    close_campaign(&c, &a);
}

static void odd_values_become_names(void)
{
    struct campaign c;
    struct cli cli;
    open_campaign(&c, &cli,
                  BASE "campaign:\n  grid:\n    model: {hidden: ['256', '256,128', '1,2,3']}\n"
                       "    model.name: mlp\n    data: {file: [d.h5, '/a b/d.h5']}\n",
                  0, NULL);
    CU_ASSERT_EQUAL(c.grid.n_task, 6);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(c.task[3].folder, "tasks/hidden-256-128_name-mlp_file--a-b-d.h5_"));
    struct config cfg;
    CU_ASSERT_EQUAL(campaign_config(&c, 3, &cfg), IAU_OK);
    CU_ASSERT_EQUAL(cfg.model.hidden.n, 2);
    CU_ASSERT_STRING_EQUAL(cfg.data.file, "/a b/d.h5");
    config_free(&cfg);
    CU_ASSERT_EQUAL(c.n_shared, 0); /* another data file, another origin */
    close_campaign(&c, &cli);
}

static void expect_refused(const char *text, int n_override, const char **override, int code,
                           const char *part)
{
    struct campaign c;
    char *path = harness_path("refused.yaml"), printed[2000];
    struct capture capture;
    struct cli cli = {.config = path, .n_override = n_override, .override = override};
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        REQUIRE(file_write_atomic(path, text, strlen(text)) == IAU_OK);
    comm_barrier(&test_comm);
    capture_begin(&capture);
    int rc = campaign_open(&c, &cli, &test_comm);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(rc, code, printed, part);
    CU_ASSERT_PTR_NULL(c.task);
    free(path);
}

static void wrong_grids_are_named(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {BASE, "has no campaign.grid: settings with lists of values"},
        {BASE "campaign: {grid: {}}\n", "has no campaign.grid"},
        {BASE "campaign: {grid: [1, 2]}\n", "campaign.grid: takes settings with lists of values"},
        {BASE "campaign: {grid: {forget.sed: [1]}}\n",
         "refused.yaml:5: campaign.grid: unknown setting 'forget.sed'; did you mean "
         "'forget.seed'?"},
        {BASE "campaign: {grid: {zzz: [1]}}\n", "campaign.grid: unknown setting 'zzz'"},
        {BASE "campaign: {grid: {forget.seed: []}}\n", "forget.seed has no values"},
        {BASE "campaign: {grid: {forget.seed: }}\n", "forget.seed has no values"},
        {BASE "campaign: {grid: {forget.seed: [1, 2, 1]}}\n", "forget.seed has the value 1 twice"},
        {BASE "campaign: {grid: {output.dir: [a, b]}}\n", "output.dir cannot vary"},
        {BASE "campaign: {grid: {campaign.silence_s: [1, 2]}}\n", "campaign.silence_s cannot vary"},
        {BASE "campaign: {gird: {forget.seed: [1]}}\n", "unknown setting 'campaign.gird"},
        {BASE "campaign: {grid: {forget.seed: [1, -1]}}\n",
         "--forget.seed=-1: forget.seed = -1: must be at least 0"},
        {BASE "campaign: {grid: {methods.other.lr: [1, 2]}}\n",
         "there is no method 'other' to alter"},
        {BASE "campaign: {grid: {unlearn.methods: [iau, other]}}\n",
         "unlearn.methods: there is no method 'other'"},
        {BASE "campaign: {grid: {forget.ratio: [0.1, 0]}}\n", "nothing is to be forgotten"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].text, 0, NULL, IAU_ERR_CONFIG, cases[i].part);
    const char *varied[] = {"--forget.seed=9"}, *grid[] = {"--campaign.grid.forget.seed=9"};
    expect_refused(two, 1, varied, IAU_ERR_CONFIG, "campaign.grid varies this setting");
    expect_refused(two, 1, grid, IAU_ERR_CONFIG, "the grid of a campaign is set in the file only");
    char many[60000] = BASE "campaign: {grid: {forget.seed: [0";
    for (int i = 1; i <= 200; i++)
        sprintf(many + strlen(many), ", %d", i);
    strcat(many, "], data.seed: [0");
    for (int i = 1; i <= 60; i++)
        sprintf(many + strlen(many), ", %d", i);
    strcat(many, "]}}\n");
    expect_refused(many, 0, NULL, IAU_ERR_CONFIG, "more than 10000 tasks");
}

static void lists_of_numbers(void)
{
    static const struct {
        const char *list, *flags;
    } good[] = {{NULL, "11111"},  {"0", "10000"},     {"4", "00001"},
                {"1-3", "01110"}, {"0,2-3", "10110"}, {"3,3,0-0", "10010"}};
    static const char *const bad[] = {"",   "5", "-1",  "1-", "3-1", "0,,1",
                                      "1,", "a", "0-5", "1 ", "+1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *chosen;
        CU_ASSERT_EQUAL(campaign_choose("--task", good[i].list, 5, &chosen), IAU_OK);
        for (int k = 0; k < 5; k++)
            CU_ASSERT_EQUAL(chosen[k], good[i].flags[k] - '0');
        free(chosen);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *chosen;
        harness_expect_error(campaign_choose("--task", bad[i], 5, &chosen), IAU_ERR_USAGE,
                             "takes numbers from 0 to 4, such as 0,2-4");
        CU_ASSERT_PTR_NULL(chosen);
    }
    char *text = campaign_numbers((const char[]){1, 0, 1, 1, 1}, 5), *chosen;
    CU_ASSERT_STRING_EQUAL(text, "0,2-4");
    free(text);
    harness_expect_error(campaign_choose("--stage", "0", 0, &chosen), IAU_ERR_USAGE,
                         "this campaign has none");
}

/* A selection by hand: what is left out is not in the config any more. */
static void methods_are_selected_by_name(void)
{
    struct config cfg;
    const char *one[] = {"--unlearn.methods=ia"}, *both[] = {"--unlearn.methods=[ia, iau]"},
               *none[] = {"--unlearn.methods="};
    CU_ASSERT_EQUAL(config_parse(&cfg, "x", BASE, 1, one), IAU_OK);
    CU_ASSERT_EQUAL(cfg.n_method, 1);
    CU_ASSERT_EQUAL(cfg.method[0].iau.lr, 0.5);
    char *text = config_text(&cfg, SCOPE_ALL, 0);
    config_free(&cfg);
    CU_ASSERT_EQUAL(config_parse(&cfg, "x", text, 0, NULL), IAU_OK); /* it parses again */
    CU_ASSERT_EQUAL(cfg.n_method, 1);
    config_free(&cfg);
    free(text);
    CU_ASSERT_EQUAL(config_parse(&cfg, "x", BASE, 1, both), IAU_OK);
    CU_ASSERT_EQUAL(cfg.n_method, 2);
    CU_ASSERT_STRING_EQUAL(cfg.method[0].name, "iau"); /* in the order of the file */
    config_free(&cfg);
    CU_ASSERT_EQUAL(config_parse(&cfg, "x", BASE, 1, none), IAU_OK);
    CU_ASSERT_EQUAL(cfg.n_method, 2);
    config_free(&cfg);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"tasks run as nested loops", tasks_run_as_nested_loops},
        {"stages are shared where their settings agree",
         stages_are_shared_where_their_settings_agree},
        {"folders depend on settings alone", folders_depend_on_settings_alone},
        {"odd values become names", odd_values_become_names},
        {"wrong grids are named", wrong_grids_are_named},
        {"lists of numbers", lists_of_numbers},
        {"methods are selected by name", methods_are_selected_by_name},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "campaign", tests);
}
