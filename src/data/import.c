/* Import: the request is checked, a reader opened, its rows put in order, and the file written. */
#define _GNU_SOURCE /* open_memstream */
#include "data/import.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/memory.h"
#include "import_private.h"
#include "io/file.h"
#include "par/comm.h"

const struct import_format *const import_formats[] = {
    &import_idx, &import_cifar10, &import_cifar100, &import_svhn, &import_purchase,
    &import_csv, &import_numpy,   &import_hdf5,     NULL};

/* --- options */

enum option_kind { OPTION_TEXT, OPTION_TEXTS, OPTION_REAL, OPTION_INT, OPTION_WORD };

/* The options that say which data come out: they are told in the file's attribute `source`. */
static const struct source_option {
    const char *name;
    enum option_kind kind;
    size_t offset;
    unsigned takes;   /* of the formats that take it; 0: all */
    const char *word; /* what a switch or choice other than its default means */
} options[] = {
    {"files", OPTION_TEXTS, offsetof(struct source_opts, files), 0, NULL},
    {"test_files", OPTION_TEXTS, offsetof(struct source_opts, test_files), TAKES_TEST_FILES, NULL},
    {"x", OPTION_TEXT, offsetof(struct source_opts, x), TAKES_X, NULL},
    {"y", OPTION_TEXT, offsetof(struct source_opts, y), TAKES_Y, NULL},
    {"id", OPTION_TEXT, offsetof(struct source_opts, id), TAKES_ID, NULL},
    {"test_x", OPTION_TEXT, offsetof(struct source_opts, test_x), TAKES_TEST_ARRAYS, NULL},
    {"test_y", OPTION_TEXT, offsetof(struct source_opts, test_y), TAKES_TEST_ARRAYS, NULL},
    {"test_id", OPTION_TEXT, offsetof(struct source_opts, test_id), TAKES_TEST_ARRAYS, NULL},
    {"labels", OPTION_WORD, offsetof(struct source_opts, labels), TAKES_LABELS, "coarse"},
    {"layout", OPTION_WORD, offsetof(struct source_opts, layout), TAKES_LAYOUT, "hwc"},
    {"extra", OPTION_WORD, offsetof(struct source_opts, extra), TAKES_EXTRA, "on"},
    {"test_fraction", OPTION_REAL, offsetof(struct source_opts, test_fraction), 0, NULL},
    {"test_seed", OPTION_INT, offsetof(struct source_opts, test_seed), 0, NULL},
    {"shuffle", OPTION_INT, offsetof(struct source_opts, shuffle), 0, NULL},
};

enum { N_OPTION = sizeof options / sizeof *options };

static int is_given(const struct source_option *option, const struct source_opts *o)
{
    const void *field = (const char *)o + option->offset;
    int word;
    switch (option->kind) {
    case OPTION_TEXT:
        return source_has(*(char *const *)field);
    case OPTION_TEXTS:
        return ((const struct text_list *)field)->n > 0;
    case OPTION_REAL:
        return *(const double *)field != 0;
    case OPTION_INT: /* seeds: of a shuffle, and of a test fraction where there is one */
        return field == &o->test_seed ? o->test_fraction != 0 : *(const int64_t *)field >= 0;
    default:
        memcpy(&word, field, sizeof word);
        return word != 0;
    }
}

static int check_options(const struct source_opts *o, const struct import_format *format)
{
    for (int i = 0; i < N_OPTION; i++)
        if (options[i].takes & ~format->takes && is_given(&options[i], o))
            return FAIL(IAU_ERR_USAGE, "%s (data.source.%s) does not apply to %s", options[i].name,
                        options[i].name, format->name);
    if (o->shuffle < -1 || o->shuffle > UINT32_MAX)
        return FAIL(IAU_ERR_USAGE, "shuffle seed %lld is not in 0..4294967295",
                    (long long)o->shuffle);
    return IAU_OK;
}

static void print_option(FILE *f, const struct source_option *option, const struct source_opts *o)
{
    const void *field = (const char *)o + option->offset;
    const struct text_list *list = field;
    if (option->kind == OPTION_TEXT)
        fprintf(f, "%s", *(char *const *)field);
    else if (option->kind == OPTION_REAL)
        fprintf(f, "%.15g", *(const double *)field);
    else if (option->kind == OPTION_INT)
        fprintf(f, "%lld", (long long)*(const int64_t *)field);
    else if (option->kind == OPTION_WORD)
        fprintf(f, "%s", option->word);
    else
        for (int64_t i = 0; i < list->n; i++)
            fprintf(f, "%s%s", i ? ", " : "", list->v[i]);
}

/* "FORMAT: FILE, FILE; test_fraction 0.2; ..."; the caller frees; NULL when memory is short. */
static char *source_text(const struct source_opts *o, const struct import_format *format)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f)
        return NULL;
    for (int i = 0; i < N_OPTION; i++)
        if (is_given(&options[i], o)) {
            if (i)
                fprintf(f, "; %s ", options[i].name);
            else
                fprintf(f, "%s: ", format->name);
            print_option(f, &options[i], o);
        }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* --- the request */

/* Cut the end off a file's name, of NAME.csv.gz both. */
static void cut_ending(char *name)
{
    for (int is_gz = 1; is_gz;) {
        char *dot = strrchr(name, '.');
        is_gz = dot && strcmp(dot, ".gz") == 0;
        if (dot && dot > name)
            *dot = '\0';
    }
}

/* The name asked for, the format's, or the last component of a single source or of the output; the
 * caller frees. */
static char *choose_name(const struct import_request *q, const struct import_format *format)
{
    const struct source_opts *o = q->source;
    if (source_has(o->name))
        return mem_strdup(o->name);
    if (format->data_name)
        return mem_strdup(format->data_name);
    char *name = mem_strdup(o->files.n == 1 ? o->files.v[0] : q->out);
    if (!name)
        return NULL;
    size_t length = strlen(name);
    while (length > 1 && name[length - 1] == '/')
        name[--length] = '\0';
    char *slash = strrchr(name, '/');
    if (slash && slash[1])
        memmove(name, slash + 1, strlen(slash + 1) + 1);
    struct stat st;
    if (o->files.n != 1 || (stat(o->files.v[0], &st) == 0 && S_ISREG(st.st_mode)))
        cut_ending(name);
    return name;
}

static int check_request(const struct import_request *q, const struct import_format **format)
{
    char known[256] = "";
    const struct source_opts *o = q->source;
    *format = q->reader;
    for (int i = 0; import_formats[i] && !q->reader; i++) {
        if (o->format && !strcmp(import_formats[i]->name, o->format))
            *format = import_formats[i];
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", import_formats[i]->name);
    }
    if (!*format)
        return FAIL(IAU_ERR_USAGE, "unknown format '%s'; known are %s", o->format ? o->format : "",
                    known);
    if (o->files.n < 1)
        return FAIL(IAU_ERR_USAGE, "nothing to import: %s takes %s", o->format, (*format)->help);
    int rc = check_options(o, *format);
    if (rc == IAU_OK)
        rc = file_check_target(q->out);
    if (rc == IAU_OK && !q->force && file_exists(q->out) == 1)
        rc = FAIL(IAU_ERR_EXISTS, "%s exists; --force replaces it", q->out);
    return rc;
}

static int import_local(const struct import_request *q)
{
    const struct import_format *format;
    struct import_reader reader = {.opts = q->source};
    struct import_plan plan = {0};
    char *name = NULL, *source = NULL;
    int rc = check_request(q, &format);
    if (rc != IAU_OK)
        return rc;
    name = choose_name(q, format);
    source = source_text(q->source, format);
    if (!name || !source)
        TRY(FAIL(IAU_ERR_MEM, "no memory to import %s", q->source->files.v[0]));
    reader.name = name;
    TRY(format->open(&reader));
    TRY(import_plan_init(&plan, format, &reader));
    TRY(import_write(q, &plan, name, source));
out:
    import_plan_free(&plan);
    format->close(&reader);
    free(source);
    free(name);
    return rc;
}

int import_run(const struct import_request *request, const struct comm *comm)
{
    return comm_agree(comm, comm->rank == 0 ? import_local(request) : IAU_OK);
}
