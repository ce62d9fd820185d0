/* Opening a job: config, data set, model, sets. */
#define _GNU_SOURCE /* asprintf */
#include "app/job.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "io/file.h"
#include "sweep/sweep.h"

enum { CONFIG_LIMIT = 1 << 24 };

int job_import(const struct import_request *request, const struct comm *comm)
{
    char *directory = mem_strdup(request->out), *slash = directory ? strrchr(directory, '/') : NULL;
    int rc = directory ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for a file name");
    if (slash && slash > directory && comm->rank == 0) {
        *slash = '\0';
        rc = file_make_directory(directory);
    }
    free(directory);
    rc = comm_agree(comm, rc);
    return rc != IAU_OK ? rc : import_run(request, comm);
}

int job_read_text(const char *path, char **out, const struct comm *comm)
{
    char *text = NULL;
    size_t size = 0;
    int rc = IAU_OK;
    *out = NULL;
    if (comm->rank == 0)
        rc = file_read_all(path, &text, &size, CONFIG_LIMIT);
    if (rc == IAU_ERR_IO) { /* a wrong command line, rather than a file that fails */
        char why[600];
        snprintf(why, sizeof why, "%s", error_message());
        error_clear();
        rc = FAIL(IAU_ERR_USAGE, "%s", why);
    }
    TRY(comm_agree(comm, rc));
    int64_t n = (int64_t)size;
    comm_bcast(comm, &n, sizeof n, 0);
    if (comm->rank != 0)
        text = mem_alloc(n + 1, 1);
    TRY(comm_agree(comm,
                   text ? IAU_OK
                        : FAIL(IAU_ERR_MEM, "no memory for %lld bytes of settings", (long long)n)));
    comm_bcast(comm, text, n, 0);
    *out = text;
    text = NULL;
out:
    free(text);
    return rc;
}

/* All ranks parse the same bytes. */
static int read_config(struct job *job)
{
    const struct comm *comm = job->comm;
    char *text = NULL;
    int rc = IAU_OK;
    TRY(job_read_text(job->cli->config, &text, comm));
    rc = config_parse(&job->cfg, job->cli->config, text, job->cli->n_override, job->cli->override);
    if (rc == IAU_OK && !(job->config_all = config_text(&job->cfg, SCOPE_ALL, 0)))
        rc = FAIL(IAU_ERR_MEM, "no memory for the settings as text");
    TRY(comm_agree(comm, rc));
out:
    free(text);
    return rc;
}

/* Rank 0: what to do about a dataset file that is not there. */
static int refuse_missing(const struct job *job)
{
    const char *path = job->cfg.data.file;
    if (job->cli->command != COMMAND_RUN)
        return FAIL(
            IAU_ERR_IO,
            "%s is not there; `iau import` makes it, and so does `iau run` from data.source", path);
    if (job->cli->dry_run)
        return FAIL(IAU_ERR_IO, "%s is not there; a dry run does not import it, `iau import` does",
                    path);
    return FAIL(IAU_ERR_IO,
                "%s is not there; make it with `iau import`, or set data.source to import it from",
                path);
}

/* The dataset file is there, or `iau run` imports it. */
static int import_if_missing(struct job *job, int may_import)
{
    const struct data_opts *d = &job->cfg.data;
    int64_t there = job->comm->rank == 0 ? file_exists(d->file) : 0;
    comm_bcast(job->comm, &there, sizeof there, 0);
    if (there) /* or a directory and the like: opening it says so */
        return IAU_OK;
    if (!may_import || job->cli->dry_run || !*d->source.format)
        return comm_agree(job->comm, job->comm->rank == 0 ? refuse_missing(job) : IAU_OK);
    struct import_request request = {.source = &d->source, .out = d->file};
    return job_import(&request, job->comm);
}

static int digest_rows(const struct index_set *s, char hex[DIGEST_CHARS])
{
    return digest_of(s->row, (size_t)s->n * sizeof *s->row, hex);
}

/* Nodes may have files of their own: a digest must be the same on every rank. */
static int check_same(const struct comm *comm, const char *digest, const char *what)
{
    char first[17];
    snprintf(first, sizeof first, "%.16s", digest);
    return comm_agree(comm, comm_check_equal(comm, strtoull(first, NULL, 16), what));
}

/* D and D_f, the same on every rank. */
static int divide_data(struct job *job)
{
    int rc = IAU_OK;
    const struct forget_opts *f = &job->cfg.forget;
    char what[300] = "the forget set";
    job->has_request = (job->cli->command != COMMAND_TRAIN || f->poison) &&
                       (f->ratio > 0 || f->classes.n || *f->ids);
    TRY(partition_init(&job->sets, &job->dataset, &job->cfg.data, job->has_request ? f : NULL,
                       job->comm));
    rc = digest_rows(&job->sets.train, job->train_digest);
    if (rc == IAU_OK)
        rc = digest_rows(&job->sets.retain, job->retain_digest);
    if (rc == IAU_OK && job->has_request)
        rc = digest_rows(&job->sets.forget, job->forget_digest);
    TRY(comm_agree(job->comm, rc));
    TRY(check_same(job->comm, job->train_digest, "the training set"));
    if (*f->ids)
        snprintf(what, sizeof what, "the forget set (forget.ids = %s)", f->ids);
    TRY(check_same(job->comm, job->forget_digest, what));
    if (f->poison) {
        TRY(comm_agree(job->comm, poison_draw(&job->poison, &job->dataset, &job->sets.forget,
                                              (uint64_t)f->seed)));
        job->dataset.poison = &job->poison;
    }
out:
    return rc;
}

static int open_data(struct job *job)
{
    int rc = IAU_OK;
    const struct config *cfg = &job->cfg;
    TRY(dataset_open(&job->dataset, cfg->data.file, job->comm));
    TRY(check_same(job->comm, job->dataset.digest, "the data file's digest"));
    struct shape in = {job->dataset.c, job->dataset.h, job->dataset.w};
    TRY(comm_agree(job->comm, model_build(&job->model, &cfg->model, in, job->dataset.n_class)));
    for (int i = 0; i < cfg->n_origin; i++)
        TRY(comm_agree(job->comm, augment_check(&cfg->origin[i].train.augment, &job->dataset)));
    TRY(divide_data(job));
out:
    return rc;
}

/* The folder, or its nearest parent that is there; the caller frees, NULL when memory is short. */
static char *nearest_folder(const char *folder)
{
    struct stat st;
    char *part = mem_strdup(folder);
    while (part && stat(part, &st) != 0 && errno == ENOENT && strcmp(part, ".") != 0 &&
           strcmp(part, "/") != 0) {
        char *slash = strrchr(part, '/');
        if (slash)
            slash[slash == part] = '\0';
        else
            strcpy(part, "."); /* fits: a path has at least one character */
    }
    return part;
}

int job_check_folder(const char *key, const char *folder)
{
    struct stat st;
    int rc = IAU_OK;
    char *part = nearest_folder(folder);
    if (!part)
        return FAIL(IAU_ERR_MEM, "no memory for a file name");
    if (stat(part, &st) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot use %s %s: %s", key, folder, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        rc = FAIL(IAU_ERR_IO, "cannot use %s %s: %s is no directory", key, folder, part);
    else if (access(part, W_OK | X_OK) != 0)
        rc = FAIL(IAU_ERR_IO, "cannot use %s %s: %s: %s", key, folder, part, strerror(errno));
    free(part);
    return rc;
}

int job_check_disk(const char *folder, double n_bytes)
{
    struct statvfs fs;
    char *part = nearest_folder(folder);
    int is_known = part && statvfs(part, &fs) == 0;
    free(part);
    if (!part)
        return FAIL(IAU_ERR_MEM, "no memory for a file name");
    double free_bytes = is_known ? (double)fs.f_bavail * (double)fs.f_frsize : INFINITY;
    if (n_bytes > free_bytes)
        return FAIL(IAU_ERR_IO,
                    "%s has room for %.1f MiB, and the files of ensembles take up to %.1f", folder,
                    free_bytes / 1048576, n_bytes / 1048576);
    return IAU_OK;
}

int job_open(struct job *job, const struct cli *cli, int may_import, const struct comm *comm)
{
    int rc = IAU_OK;
    *job = (struct job){.comm = comm, .cli = cli};
    TRY(read_config(job));
    if (cli->command != COMMAND_TRAIN || job->cfg.forget.poison)
        TRY(comm_agree(comm, config_check_forget(&job->cfg)));
    if (cli->command == COMMAND_AUDIT)
        TRY(comm_agree(comm, config_check_audit(&job->cfg)));
    TRY(comm_agree(comm,
                   comm->rank == 0 ? job_check_folder("output.dir", job->cfg.output.dir) : IAU_OK));
    TRY(import_if_missing(job, may_import));
    TRY(open_data(job));
    TRY(machine_describe(&job->machine, cli->strict, comm));
out:
    return rc;
}

void job_close(struct job *job)
{
    progress_close(&job->progress);
    poison_free(&job->poison);
    partition_free(&job->sets);
    dataset_close(&job->dataset);
    config_free(&job->cfg);
    free(job->config_all);
}

int job_begin_output(struct job *job, const char *folder)
{
    int rc = IAU_OK;
    if (job->comm->rank == 0) {
        rc = file_make_directory(folder);
        if (rc == IAU_OK && !job->progress.csv)
            rc = file_make_directory(job->cfg.output.dir);
        if (rc == IAU_OK && !job->progress.csv)
            rc = progress_open(&job->progress, job->cfg.output.dir);
    }
    return comm_agree(job->comm, rc);
}

int job_check_stop(const struct job *job, const char *work, const char *name)
{
    if (!comm_stop_requested(job->comm))
        return IAU_OK;
    log_line("stopped before %s %s; the same command does the rest", work, name);
    return IAU_STOPPED;
}

int job_engine(const struct job *job, const struct train_opts *train, struct engine *e)
{
    int rc = engine_init(e, &job->model, &job->dataset, (int)train->unit, &job->cfg.data.mean,
                         &job->cfg.data.std, job->comm);
    e->memory_bytes = job->cfg.data.memory_mib << 20;
    return comm_agree(job->comm, rc);
}

char *job_settings(const struct job *job, const char *text, int of_request)
{
    const struct {
        const char *key, *digest; /* "": no such line */
    } line[] = {{"data", job->dataset.digest},
                {"without", *job->cfg.data.without ? job->train_digest : ""},
                {"forget", of_request || job->cfg.forget.poison ? job->forget_digest : ""}};
    char *all = text ? mem_strdup(text) : NULL;
    for (size_t i = 0; all && i < sizeof line / sizeof *line; i++) {
        char *shorter = all;
        if (*line[i].digest &&
            asprintf(&all, "%s%s.digest = %s\n", shorter, line[i].key, line[i].digest) < 0)
            all = NULL;
        if (all != shorter)
            free(shorter);
    }
    return all;
}

char *job_path(const char *folder, const char *name, const char *suffix)
{
    size_t size = strlen(folder) + strlen(name) + strlen(suffix) + 2;
    char *path = mem_alloc((int64_t)size, 1);
    if (path)
        snprintf(path, size, "%s/%s%s", folder, name, suffix);
    return path;
}
