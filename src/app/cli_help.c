/* What --help says: synopsis, description, options, examples and exit status of each command. */
#include <stdio.h>
#include <stdlib.h>

#include "app/cli.h"
#include "app/config.h"
#include "app/config_table.h"
#include "data/reader.h"

static const char overview[] =
    "Usage: iau COMMAND ...\n"
    "\n"
    "Removes training samples from trained classifiers, and measures what is left of\n"
    "them. The method is IAU (influence approximation unlearning): one step along\n"
    "the gradients of the retained and of the forgotten samples, instead of training\n"
    "again. Everything runs in parallel with MPI and gives the same bytes at any\n"
    "number of ranks and threads.\n"
    "\n"
    "Commands:\n"
    "  import     make a dataset file from the files a data set is published as\n"
    "  train      train the models to unlearn from\n"
    "  unlearn    forget samples, by every method of the config\n"
    "  evaluate   compare the models of a config with their retrained twins\n"
    "  audit      make shadow models, and attack the models of a config with them\n"
    "  run        all of these, and retraining, in one go\n"
    "  campaign   a grid of such runs over seeds, ratios, methods, models: list, run,\n"
    "             status, merge\n"
    "  inspect    show and verify a file written by iau\n"
    "\n"
    "Options:\n"
    "  -h, --help     this text, or that of a command: iau COMMAND --help\n"
    "      --version  version and build\n"
    "\n"
    "Examples:\n"
    "  iau run configs/smoke.yaml\n"
    "  mpirun -q --bind-to none -n 4 iau run configs/cifar10_lenet5.yaml\n"
    "  srun -n 16 iau unlearn config.yaml --forget.ratio=0 --forget.ids=ids.txt\n"
    "\n";

static const char exit_status[] =
    "Exit status:\n"
    "  0   done, or done already\n"
    "  1   failed; the outputs there were before are unchanged. Where only methods\n"
    "      failed, because their numbers run off, the others are done and evaluated\n"
    "  2   wrong command line or setting, a build for another CPU, or ranks\n"
    "      that do not fit together\n"
    "  75  stopped early by SIGUSR1 or SIGTERM: run it again to do the rest; training\n"
    "      and unlearning in several steps go on from their restart files\n";

static const char config_options[] =
    "Options:\n"
    "      --SECTION.KEY=VALUE  override a setting of CONFIG.yaml (list below):\n"
    "                           --train.epochs=5, --forget.classes=3,5,\n"
    "                           --origins.origin_gr.train.restriction.alpha=0.01,\n"
    "                           --methods.iau.lr=0.01; may be repeated\n"
    "      --dry-run            check everything, print rows, memory and gradients a\n"
    "                           rank and the files to be written, and stop\n"
    "      --force              make every output anew, and replace what is there; a\n"
    "                           forced run that was stopped goes on from its restart\n"
    "                           file, and a Slurm job that was requeued keeps what it\n"
    "                           has made anew before\n"
    "      --strict             refuse nodes of different CPUs, BLAS kernels or\n"
    "                           libraries, and restart files from elsewhere:\n"
    "                           these may change the last bits of a result\n"
    "  -q, --quiet              errors and warnings only\n"
    "  -v, --verbose            errors say where in the source they arose\n"
    "  -h, --help               this text\n"
    "\n"
    "A command that is run again does what is left to do: outputs made with the same\n"
    "settings are kept, a restart file is resumed, and anything else in the way is an\n"
    "error that names the settings that differ.\n"
    "\n";

static const char import_text[] =
    "Usage: iau import FORMAT SOURCE... --out FILE [OPTIONS]\n"
    "\n"
    "Reads a data set in a common format and writes one HDF5 dataset file, which all\n"
    "other commands read. Every sample gets a stable id, by which it can be\n"
    "forgotten: its number, counted from 0 over the training and then the test part,\n"
    "or what the source says (--id).\n"
    "\n"
    "Formats and their sources:\n";

static const char import_options[] =
    "\n"
    "Options:\n"
    "      --out FILE     the dataset file to write; required\n"
    "      --force        replace an existing file\n"
    "  -q, --quiet        errors and warnings only\n"
    "  -v, --verbose      errors say where in the source they arose\n"
    "  -h, --help         this text\n"
    "\n"
    "and the settings data.source.* of a config:\n";

static const char import_examples[] =
    "\n"
    "Examples:\n"
    "  iau import idx /usr/share/datasets/fashion-mnist --out fashion-mnist.h5\n"
    "  iau import cifar10 cifar-10-batches-bin --out cifar10.h5\n"
    "  iau import purchase dataset_purchase --test-fraction 0.2 --out purchase.h5\n"
    "  iau import csv train.csv --test-files test.csv --y species --out iris.h5\n"
    "\n";

static const char train_text[] =
    "Usage: iau train CONFIG.yaml [--SECTION.KEY=VALUE ...] [OPTIONS]\n"
    "\n"
    "Trains every model listed under 'origins' and writes OUTPUT.ORIGINS/NAME.h5, or\n"
    "OUTPUT.DIR/NAME.h5 where output.origins is not set. The best epoch by validation\n"
    "accuracy is kept. Stopped by SIGUSR1 or the time limit, it resumes from its\n"
    "restart file, also on another number of ranks. What is to be forgotten has no\n"
    "say here.\n"
    "\n"
    "Examples:\n"
    "  iau train config.yaml --dry-run\n"
    "  mpirun -q --bind-to none -n 2 iau train config.yaml --train.epochs=5\n"
    "\n";

static const char unlearn_text[] =
    "Usage: iau unlearn CONFIG.yaml [--SECTION.KEY=VALUE ...] [OPTIONS]\n"
    "\n"
    "Applies every entry of 'methods' to its trained origin and writes\n"
    "OUTPUT.DIR/NAME.h5. What is forgotten is a share of the training set\n"
    "(forget.ratio), the samples of a list (forget.ids), or classes\n"
    "(forget.classes): exactly one of them. A request gets a folder of its own by\n"
    "output.dir, where output.origins says in which folder the origins are.\n"
    "\n"
    "Examples:\n"
    "  iau unlearn config.yaml\n"
    "  iau unlearn config.yaml --forget.ratio=0 --forget.ids=ids.txt \\\n"
    "      --output.origins=out --output.dir=out/request-17\n"
    "\n";

static const char evaluate_text[] =
    "Usage: iau evaluate CONFIG.yaml [--SECTION.KEY=VALUE ...] [OPTIONS]\n"
    "\n"
    "Measures the models of a config that exist: accuracy and loss on the retained,\n"
    "forgotten, validation and test samples, membership attacks, distance to the\n"
    "retrained model, and costs. Writes OUTPUT.DIR/results.h5 as a whole.\n"
    "\n"
    "Examples:\n"
    "  iau evaluate config.yaml\n"
    "  iau evaluate config.yaml --evaluate.samples=on\n"
    "\n";

static const char audit_text[] =
    "Usage: iau audit CONFIG.yaml [--SECTION.KEY=VALUE ...] [OPTIONS]\n"
    "\n"
    "Makes shadow models (audit.*) in OUTPUT.DIR/audit, many at a time, each by\n"
    "audit.ranks ranks, and evaluates the models of the config that exist with what\n"
    "the shadows tell of them, into OUTPUT.DIR/results.h5.\n"
    "\n"
    "  LiRA     Is a forgotten sample's margin in a model that of models which were\n"
    "           trained with it, or of models which were not? Forgotten against\n"
    "           validation samples, of the same classes.\n"
    "  U-LiRA   The same for a method (audit.methods): shadows that were trained with\n"
    "           a sample and have unlearned it against shadows that never saw it: by\n"
    "           retraining, if audit.methods names the retrained twin, too. Each pair\n"
    "           of shadows is judged by the other pairs; 0.5 is ideal. ulira_residual\n"
    "           compares with shadows that have unlearned other samples, so that what\n"
    "           a method does to all samples alike does not count.\n"
    "  attack   The network of the paper's reference code (audit.attack.*): the share\n"
    "           of the forgotten samples that it calls members.\n"
    "\n"
    "A shadow that is there already, with the same settings, is not made again; a\n"
    "stopped audit goes on.\n"
    "\n"
    "Examples:\n"
    "  mpirun -q --bind-to none -n 8 iau audit config.yaml --audit.shadows=64\n"
    "  iau audit config.yaml --audit.shadows=64 --dry-run\n"
    "\n";

static const char run_text[] =
    "Usage: iau run CONFIG.yaml [--SECTION.KEY=VALUE ...] [OPTIONS]\n"
    "\n"
    "Imports the data set where data.file is missing (data.source), trains every\n"
    "origin, retrains each without the forgotten samples, applies every method,\n"
    "audits (where audit.* asks for it), and evaluates and ranks all models into\n"
    "OUTPUT.DIR/results.h5.\n"
    "\n"
    "Examples:\n"
    "  iau run configs/smoke.yaml\n"
    "  mpirun -q --bind-to none -n 2 iau run configs/demo.yaml\n"
    "\n";

static const char inspect_text[] =
    "Usage: iau inspect FILE.h5 [--digest]\n"
    "\n"
    "Shows what a dataset, model or results file holds and where it comes from, reads\n"
    "all of it, and verifies its checksums and its digest. Of a dataset: samples of\n"
    "each class, range, mean and std of the values, and ids; analysis/montage.py\n"
    "draws its samples. Runs on one rank.\n"
    "\n"
    "Options:\n"
    "      --digest   print the digest alone\n"
    "  -q, --quiet    verify only\n"
    "  -v, --verbose  errors say where in the source they arose\n"
    "  -h, --help     this text\n"
    "\n"
    "Examples:\n"
    "  iau inspect out/iau.h5\n"
    "  iau inspect out/iau.h5 --digest\n"
    "\n";

static const char campaign_text[] =
    "Usage: iau campaign list|run|status|merge CONFIG.yaml [--SECTION.KEY=VALUE ...]\n"
    "           [--task=LIST] [--stage=LIST] [OPTIONS]\n"
    "\n"
    "Runs a config once for every combination of the values under campaign.grid,\n"
    "which may vary any setting:\n"
    "\n"
    "  campaign: {grid: {forget.seed: [1, 2, 3], unlearn.methods: [iau, ia]}}\n"
    "\n"
    "A task is `iau run` in a folder of its own, OUTPUT.DIR/tasks/NAME. Tasks are\n"
    "numbered from 0 as nested loops would run, the first setting slowest. Origins\n"
    "and retrained twins that several tasks need are shared stages: they are made\n"
    "once, in OUTPUT.DIR/shared, by a task or before all tasks.\n"
    "\n"
    "  list     the shared stages and the tasks\n"
    "  run      run tasks, those with the numbers of --task or all; with --stage,\n"
    "           make shared stages\n"
    "  status   what is done, running, failed and why, stopped or missing, and the\n"
    "           command for the rest\n"
    "  merge    write OUTPUT.DIR/campaign.h5: a row a task and model; columns of\n"
    "           settings, metrics and costs\n"
    "\n"
    "      --task=LIST          run, status: numbers of tasks, such as 0,2-4\n"
    "      --stage=LIST         run: numbers of shared stages\n"
    "      --left               status: print what is left to do, as two such lists\n"
    "      --partial            merge: leave out the tasks that are not done\n"
    "\n"
    "Examples:\n"
    "  iau campaign list config.yaml\n"
    "  mpirun -q --bind-to none -n 4 iau campaign run config.yaml --task=0-2\n"
    "  jobs/submit_campaign.sh config.yaml\n"
    "\n";

static const struct {
    const char *text;
    int takes_config;
} help[N_COMMAND] = {[COMMAND_NONE] = {overview, 0},          [COMMAND_IMPORT] = {import_text, 0},
                     [COMMAND_TRAIN] = {train_text, 1},       [COMMAND_UNLEARN] = {unlearn_text, 1},
                     [COMMAND_EVALUATE] = {evaluate_text, 1}, [COMMAND_AUDIT] = {audit_text, 1},
                     [COMMAND_RUN] = {run_text, 1},           [COMMAND_INSPECT] = {inspect_text, 0},
                     [COMMAND_CAMPAIGN] = {campaign_text, 1}};

static void print_import(FILE *f)
{
    for (int i = 0; import_formats[i]; i++) {
        fprintf(f, "  %s\n", import_formats[i]->name);
        config_print_wrapped(f, import_formats[i]->help, 6);
    }
    fputs(import_options, f);
    config_print_source_options(f);
    fputs(import_examples, f);
}

char *cli_help(enum command command)
{
    char *text = NULL, *reference = NULL;
    size_t n_bytes = 0;
    int takes_config = help[command].takes_config;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f)
        return NULL;
    fputs(help[command].text, f);
    if (command == COMMAND_IMPORT)
        print_import(f);
    if (takes_config) {
        reference = config_reference(0);
        fputs(config_options, f);
    }
    fputs(exit_status, f);
    if (reference)
        fprintf(f, "\nSettings, with their defaults:\n%s", reference);
    int failed = takes_config && !reference;
    free(reference);
    if (fclose(f) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

void cli_print_help(enum command command)
{
    char *text = cli_help(command);
    if (text)
        fputs(text, stdout);
    free(text);
}
