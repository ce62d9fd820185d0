/* iau inspect: what a file is, where it comes from, and whether it is whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "core/error.h"
#include "core/log.h"
#include "data/survey.h"
#include "io/formats.h"

enum { MOST_CHANNELS = 8 };

static void print_shape(const struct record_array *a)
{
    static const char *const type[] = {"float32", "float64", "int32", "int64", "uint8", "text"};
    char shape[96] = "scalar";
    size_t at = 0;
    for (int i = 0; i < a->ndim; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", i ? " x " : "",
                               (long long)a->dims[i]);
    if (a->ndim == 0 && a->type != RECORD_U8)
        printf("  %-52s %-8s %.10g\n", a->path, type[a->type], record_value(a, 0));
    else
        printf("  %-52s %-8s %s\n", a->path, type[a->type], shape);
}

static void print_attributes(const struct record *r)
{
    for (int64_t i = 0; i < r->n_attribute; i++) {
        const struct record_attribute *a = &r->attribute[i];
        if (strncmp(a->path, "/evaluation/", 12) ==
            0) /* direction, ideal and unit of each number */
            continue;
        printf("  %s%s%s = ", a->path, strcmp(a->path, "/") == 0 ? "" : "/", a->name);
        if (a->type == RECORD_I64)
            printf("%lld\n", (long long)a->i64);
        else if (a->type == RECORD_F64)
            printf("%.10g\n", a->f64);
        else if (strchr(a->text, '\n'))
            for (const char *line = a->text; *line;
                 line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n'))
                printf("%s    %.*s\n", line == a->text ? "\n" : "", (int)strcspn(line, "\n"), line);
        else
            printf("%s\n", a->text);
    }
}

static int inspect_record(const struct cli *cli, const struct record *r)
{
    const char *format = record_text(r, "/", "format", "");
    const char *text = format_text(format);
    char digest[DIGEST_CHARS];
    int rc = IAU_OK;
    if (!text)
        return FAIL(IAU_ERR_FORMAT, "%s is no file of iau", cli->file);
    TRY(format_digest(format, r, digest));
    const char *stored = record_text(r, "/", "digest", digest);
    if (strcmp(stored, digest) != 0)
        TRY(FAIL(IAU_ERR_FORMAT, "%s: contents have digest %s, but %s is stored", cli->file, digest,
                 stored));
    if (cli->digest) {
        printf("%s\n", digest);
        return IAU_OK;
    }
    printf("%s: %s\nattributes\n", cli->file, text);
    print_attributes(r);
    printf("arrays\n");
    for (int64_t i = 0; i < r->n_array; i++)
        print_shape(&r->array[i]);
    printf("checksums and digest are right\n");
out:
    return rc;
}

static void print_classes(const struct dataset *d, const struct dataset_survey *s)
{
    int name_chars = 0;
    for (int c = 0; c < d->n_class; c++) {
        int n = (int)strlen(d->class_name[c]);
        name_chars = n > name_chars && n <= 40 ? n : name_chars;
    }
    for (int c = 0; c < d->n_class; c++)
        printf("  class %3d  %-*s %8lld training  %8lld test samples\n", c, name_chars,
               d->class_name[c], (long long)s->count[PART_TRAIN][c],
               (long long)s->count[PART_TEST][c]);
}

static void print_values(const struct dataset *d, const struct dataset_survey *s)
{
    const char *what = d->is_table ? "feature" : "channel";
    printf("  values %g to %g in training, %g to %g in test samples%s\n", s->least[PART_TRAIN],
           s->most[PART_TRAIN], s->least[PART_TEST], s->most[PART_TEST],
           dataset_unit(d->is_u8, d->is_table) > 1 ? "; mean and std are of values / 255" : "");
    for (int c = 0; c < d->c && c < MOST_CHANNELS; c++)
        printf("  %s %d  mean %.6g  std %.6g\n", what, c, d->mean[c], d->std[c]);
    if (d->c > MOST_CHANNELS)
        printf("  and %d more %ss\n", d->c - MOST_CHANNELS, what);
}

static void print_ids(const struct dataset_survey *s)
{
    printf("  ids %lld to %lld of training, %lld to %lld of test samples, ",
           (long long)s->id_least[PART_TRAIN], (long long)s->id_most[PART_TRAIN],
           (long long)s->id_least[PART_TEST], (long long)s->id_most[PART_TEST]);
    if (s->n_twin)
        printf("%lld of them given more than once\n", (long long)s->n_twin);
    else
        printf("all different\n");
}

static int inspect_dataset(const struct cli *cli)
{
    struct dataset d = {0};
    struct dataset_survey s = {0};
    int rc = IAU_OK;
    TRY(dataset_open_local(&d, cli->file));
    TRY(dataset_survey(&s, &d));
    if (cli->digest) {
        printf("%s\n", s.digest);
        goto out;
    }
    printf("%s: dataset %s\n  %lld training and %lld test samples of %d x %d x %d %s, %d classes\n",
           cli->file, d.name, (long long)d.n[PART_TRAIN], (long long)d.n[PART_TEST], d.c, d.h, d.w,
           d.is_u8 ? "uint8" : "float32", d.n_class);
    if (*d.source)
        printf("  from %s\n", d.source);
    print_classes(&d, &s);
    print_values(&d, &s);
    print_ids(&s);
    printf("  digest %s\nchecksums and digest are right\n", s.digest);
out:
    dataset_survey_free(&s);
    dataset_close(&d);
    return rc;
}

int command_inspect(const struct cli *cli, const struct comm *comm)
{
    int rc = IAU_OK;
    if (comm->rank == 0) {
        struct record r = {0};
        if (dataset_is_one(cli->file))
            rc = inspect_dataset(cli);
        else if ((rc = record_read(&r, cli->file)) == IAU_OK)
            rc = inspect_record(cli, &r);
        record_free(&r);
    }
    return comm_agree(comm, rc);
}
