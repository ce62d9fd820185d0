/* Settings as text: what output files carry, YAML that parses again, and the reference for people.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/config_table.h"
#include "core/error.h"
#include "unlearn/method.h"

static int is_train(const struct setting *s)
{
    return strncmp(s->key, "train.", 6) == 0;
}

static const void *train_field(const struct train_opts *train, const struct setting *s)
{
    return (const char *)train + (s->offset - offsetof(struct config, train));
}

/* The settings of a scope, but for those of a method. */
static void print_general(FILE *f, const struct config *cfg, int scope,
                          const struct train_opts *train)
{
    struct setting_table t = config_table();
    for (int i = 0; i < t.n; i++) {
        const struct setting *s = &t.row[i];
        if (!(s->scopes & scope) &&
            !(cfg->forget.poison && strncmp(s->key, "forget.", 7) == 0 && s->scopes & IN_RETRAIN))
            continue;
        fprintf(f, "%s = ", s->key);
        setting_print(f, s, is_train(s) ? train_field(train, s) : (const char *)cfg + s->offset);
        fputc('\n', f);
    }
}

static void print_scope(FILE *f, const struct config *cfg, enum config_scope of, int index)
{
    static const int scopes[] = {IN_ORIGIN, IN_RETRAIN, IN_METHOD};
    struct setting_table mt = {0};
    const struct method_opts *m = of == SCOPE_METHOD ? &cfg->method[index] : NULL;
    struct train_opts train = config_train(cfg, of, index);
    print_general(f, cfg, scopes[of], &train);
    if (m)
        mt = config_method_table(m->method);
    for (int i = 0; i < mt.n; i++) {
        const struct setting *s = &mt.row[i];
        if (!(s->scopes & scopes[of]))
            continue;
        fprintf(f, "method.%s = ", s->key);
        setting_print(f, s, (const char *)m + s->offset);
        fputc('\n', f);
    }
}

/* The sections of `key` that are not those of the key before, one a line, each two blanks deeper.
 */
static int print_sections(FILE *f, const char *key, const char *before, int indent)
{
    int depth = 0, is_same = 1;
    for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.'), depth++) {
        const char *begin = key;
        for (const char *p = key; p < dot; p++)
            if (*p == '.')
                begin = p + 1;
        is_same = is_same && strncmp(key, before, (size_t)(dot - key) + 1) == 0;
        if (!is_same)
            fprintf(f, "%*s%.*s:\n", indent + 2 * depth, "", (int)(dot - begin), begin);
    }
    return indent + 2 * depth;
}

static void print_origins(FILE *f, const struct config *cfg)
{
    struct setting_table t = config_table();
    fputs("origins:\n", f);
    for (int k = 0; k < cfg->n_origin; k++) {
        int n = 0;
        fprintf(f, "  %s: {", cfg->origin[k].name);
        if (cfg->origin[k].file) {
            fputs("file: ", f);
            setting_print_text(f, cfg->origin[k].file);
            n++;
        }
        for (int i = 0; i < t.n; i++) {
            const struct setting *s = &t.row[i];
            const void *mine = is_train(s) ? train_field(&cfg->origin[k].train, s) : NULL;
            if (!mine || memcmp(mine, (const char *)cfg + s->offset, setting_size(s->type)) == 0)
                continue;
            fprintf(f, "%s%s: ", n++ ? ", " : "", s->key);
            setting_print(f, s, mine);
        }
        fputs("}\n", f);
    }
}

static void print_all(FILE *f, const struct config *cfg)
{
    struct setting_table t = config_table();
    const char *before = "";
    for (int i = 0; i < t.n; before = t.row[i].key, i++) {
        const struct setting *s = &t.row[i];
        const char *dot = strrchr(s->key, '.');
        int indent = print_sections(f, s->key, before, 0);
        fprintf(f, "%*s%s: ", indent, "", dot ? dot + 1 : s->key);
        setting_print(f, s, (const char *)cfg + s->offset);
        fputc('\n', f);
    }
    print_origins(f, cfg);
    fputs(cfg->n_method ? "methods:\n" : "methods: []\n", f);
    for (int k = 0; k < cfg->n_method; k++) {
        const struct method_opts *m = &cfg->method[k];
        struct setting_table mt = config_method_table(m->method);
        for (int i = 0; i < mt.n; i++) {
            const struct setting *s = &mt.row[i];
            fprintf(f, "  %s %s: ", i == 0 ? "-" : " ", s->key);
            setting_print(f, s, (const char *)m + s->offset);
            fputc('\n', f);
        }
    }
}

char *config_text(const struct config *cfg, enum config_scope scope, int index)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f)
        return NULL;
    if (scope == SCOPE_ALL)
        print_all(f, cfg);
    else
        print_scope(f, cfg, scope, index);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *config_train_text(const struct config *cfg, const struct train_opts *train)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f)
        return NULL;
    print_general(f, cfg, IN_ORIGIN, train);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

void config_print_wrapped(FILE *f, const char *text, int indent)
{
    int column = 0;
    for (const char *gap = ""; *text;) {
        int len = (int)strcspn(text, " |"); /* lines also end behind the bars of long choices */
        len += text[len] == '|';
        if (column > 0 && column + (int)strlen(gap) + len > 80) {
            fputc('\n', f);
            column = 0;
        }
        column += column == 0 ? fprintf(f, "%*s%.*s", indent, "", len, text)
                              : fprintf(f, "%s%.*s", gap, len, text);
        gap = text[len] == ' ' ? " " : "";
        text += len + strspn(text + len, " ");
    }
    fputc('\n', f);
}

static const char *default_text(const struct setting *s)
{
    if (s->fallback)
        return s->fallback;
    return s->type >= SETTING_INTS ? "[]" : "";
}

enum { HELP_CHARS = 1000 };

/* "iau, scrub: ..." where a setting is for some methods only. */
static void help_text(const struct setting *s, char out[HELP_CHARS])
{
    int at = 0;
    out[0] = '\0';
    for (int m = 0; m < N_METHOD; m++)
        if (s->methods & 1u << m)
            at += snprintf(out + at, (size_t)(HELP_CHARS - at), "%s%s", at ? ", " : "",
                           config_method_name(m));
    snprintf(out + at, (size_t)(HELP_CHARS - at), "%s%s", at ? ": " : "", s->help);
}

static void print_plain_row(FILE *f, const struct setting *s, const char *prefix)
{
    char range[80], line[200], help[HELP_CHARS];
    setting_range_text(s, range);
    fprintf(f, "  %s%s%s%s\n", prefix, s->key, *default_text(s) ? "=" : "", default_text(s));
    snprintf(line, sizeof(line), "%s%s%s%s%s.", setting_type_text(s), *range ? ", " : "", range,
             s->unit ? ", in " : "", s->unit ? s->unit : "");
    config_print_wrapped(f, line, 6);
    help_text(s, help);
    config_print_wrapped(f, help, 6);
}

void config_print_source_options(FILE *f)
{
    struct setting_table t = config_table();
    for (int i = 0; i < t.n; i++) {
        const struct setting *s = &t.row[i];
        char range[80], name[SOURCE_OPTION_CHARS];
        setting_source_option(s, name);
        if (!*name)
            continue;
        setting_range_text(s, range);
        int has_default = *default_text(s) && s->type != SETTING_SWITCH && s->type < SETTING_INTS;
        fprintf(f, "      %s%s%s%s%s%s%s\n", name, s->type == SETTING_SWITCH ? "" : " ",
                s->type == SETTING_SWITCH  ? ""
                : s->type == SETTING_TEXTS ? "text, may be repeated"
                                           : setting_type_text(s),
                *range ? ", " : "", range, has_default ? ", default " : "",
                has_default ? default_text(s) : "");
        config_print_wrapped(f, s->help, 10);
    }
}

/* A '|' would end a cell of a Markdown table. */
static void print_cell(FILE *f, const char *text)
{
    for (; *text; text++)
        fprintf(f, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_markdown_row(FILE *f, const struct setting *s, const char *prefix)
{
    char range[80], help[HELP_CHARS];
    setting_range_text(s, range);
    fprintf(f, "| `%s%s` | ", prefix, s->key);
    print_cell(f, setting_type_text(s));
    fprintf(f, " | %s%s%s | %s%s%s | ", *default_text(s) ? "`" : "", default_text(s),
            *default_text(s) ? "`" : "", range, s->unit && *range ? " " : "",
            s->unit ? s->unit : "");
    help_text(s, help);
    print_cell(f, help);
    fputs(" |\n", f);
}

/* What the methods are. */
static void print_methods(FILE *f, int markdown)
{
    fputs(markdown ? "\n| method | what it does |\n|---|---|\n" : "\nMethods:\n", f);
    for (int m = 0; m < N_METHOD; m++) {
        const char *name = config_method_name(m), *help = method_of(m)->help;
        fprintf(f, markdown ? "| `%s` | " : "  %s\n", name);
        if (markdown)
            print_cell(f, help);
        else
            config_print_wrapped(f, help, 6);
        fputs(markdown ? " |\n" : "", f);
    }
}

static void print_reference(FILE *f, int markdown)
{
    static const char origins[] =
        "Models to train, by name: a mapping of names to overrides of train.*, such as {origin: "
        "{}, "
        "origin_gr: {train.restriction.alpha: 0.005}}. Default: {origin: {}}. Each has a retrained "
        "twin: origin has retrain, origin_gr has retrain_gr, any other X has retrain_X. With "
        "{file: "
        "MODEL.h5} it is that model, such as what an earlier request left, and is not trained.";
    static const char methods[] =
        "Models to make by unlearning: a list of entries {name: NAME, method: iau, ...}. On the "
        "command line an entry goes by its name: --methods.NAME.lr=0.01.";
    struct setting_table t = config_table(), mt = config_methods_table();
    if (markdown)
        fputs("| setting | type | default | range | meaning |\n|---|---|---|---|---|\n", f);
    for (int i = 0; i < t.n; i++)
        (markdown ? print_markdown_row : print_plain_row)(f, &t.row[i], "");
    if (markdown) {
        fprintf(f, "| `origins` | mapping | `{origin: {}}` | | %s |\n", origins);
        fprintf(f, "| `methods` | list | `[]` | | %s |\n", methods);
    } else {
        fputs("  origins={origin: {}}\n", f);
        config_print_wrapped(f, origins, 6);
        fputs("  methods=[]\n", f);
        config_print_wrapped(f, methods, 6);
    }
    for (int i = 0; i < mt.n; i++)
        (markdown ? print_markdown_row : print_plain_row)(f, &mt.row[i], "methods.NAME.");
    print_methods(f, markdown);
}

char *config_reference(int markdown)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *f = open_memstream(&text, &n_bytes);
    if (!f)
        return NULL;
    print_reference(f, markdown);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
