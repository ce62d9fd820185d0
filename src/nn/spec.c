/* Reading lists of layers. */
#include "nn/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

enum { WORDS_MAX = 8, LINE_CHARS = 160 };

/* What a line may hold after its first word. */
static const struct kind {
    const char *word;
    enum spec_kind kind;
    int n_least, n_most; /* numbers */
    const char *options;
    const char *usage;
} kinds[] = {
    {"input", SPEC_INPUT, 1, 2, "", "input H [W]"},
    {"conv", SPEC_CONV, 2, 2, "stride pad bias init name",
     "conv OUT K [stride=1] [pad=0] [bias=on|off]"},
    {"batchnorm", SPEC_BATCHNORM, 0, 0, "name", "batchnorm [name=NAME]"},
    {"relu", SPEC_RELU, 0, 0, "", "relu"},
    {"tanh", SPEC_TANH, 0, 0, "", "tanh"},
    {"dropout", SPEC_DROPOUT, 1, 1, "", "dropout P"},
    {"maxpool", SPEC_MAXPOOL, 1, 1, "stride", "maxpool K [stride=K]"},
    {"avgpool", SPEC_AVGPOOL, 0, 1, "stride", "avgpool [K] [stride=K]"},
    {"dense", SPEC_DENSE, 1, 1, "init name", "dense OUT|classes"},
};

static const char all_kinds[] =
    "input, conv, batchnorm, relu, tanh, dropout, maxpool, avgpool, dense, residual";

/* A line in pieces; `what` and `number` say where, for messages. */
struct line {
    const char *what;
    int number;
    const char *text;
    int n;
    char *word[WORDS_MAX];
    char copy[LINE_CHARS];
};

#define BAD_LINE(l, fmt, ...) \
    FAIL(IAU_ERR_CONFIG, "%s: layer %d '%s': " fmt, (l)->what, (l)->number, (l)->text, __VA_ARGS__)

static int cut(struct line *l)
{
    char *save = NULL;
    if (strlen(l->text) >= LINE_CHARS)
        return BAD_LINE(l, "longer than %d characters", LINE_CHARS - 1);
    strcpy(l->copy, l->text);
    for (char *w = strtok_r(l->copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
        if (l->n == WORDS_MAX)
            return BAD_LINE(l, "more than %d words", WORDS_MAX);
        l->word[l->n++] = w;
    }
    return l->n ? IAU_OK : BAD_LINE(l, "is empty; a layer begins with one of %s", all_kinds);
}

static int read_number(const struct line *l, const char *word, int least, int *out)
{
    char *end = NULL;
    long v = strtol(word, &end, 10);
    if (end == word || *end)
        return BAD_LINE(l, "'%s' is no number", word);
    if (v < least || v > SPEC_SIZE_MAX)
        return BAD_LINE(l, "'%s' is not in %d to %d", word, least, SPEC_SIZE_MAX);
    *out = (int)v;
    return IAU_OK;
}

static int read_rate(const struct line *l, const char *word, double *out)
{
    char *end = NULL;
    *out = strtod(word, &end);
    if (end == word || *end)
        return BAD_LINE(l, "'%s' is no number", word);
    if (!(*out >= 0 && *out < 1))
        return BAD_LINE(l, "'%s' is not in 0 to below 1", word);
    return IAU_OK;
}

/* Whether `key` of the given length is one of the words in `options`. */
static int is_option(const char *options, const char *key, size_t length)
{
    for (const char *p = options; *p; p += strcspn(p, " ") + (p[strcspn(p, " ")] == ' '))
        if (strcspn(p, " ") == length && strncmp(p, key, length) == 0)
            return 1;
    return 0;
}

static int read_choice(const struct line *l, const char *value, const char *const *choice, int n,
                       int *out)
{
    for (int i = 0; i < n; i++)
        if (strcmp(value, choice[i]) == 0) {
            *out = i;
            return IAU_OK;
        }
    return BAD_LINE(l, "'%s' is none of %s, %s%s%s", value, choice[0], choice[1], n > 2 ? ", " : "",
                    n > 2 ? choice[2] : "");
}

static int read_name(const struct line *l, const char *value, struct layer_spec *s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t length = strlen(value);
    if (length == 0 || length >= sizeof s->name || strspn(value, letters) != length ||
        *value == '.')
        return BAD_LINE(l, "name '%s': use up to %zu letters, digits, _, - and .", value,
                        sizeof s->name - 1);
    strcpy(s->name, value);
    return IAU_OK;
}

static int read_option(const struct line *l, const struct kind *k, const char *word,
                       struct layer_spec *s)
{
    static const char *const switches[] = {"off", "on"}, *const inits[] = {"default", "kaiming",
                                                                           "normal"};
    const char *value = strchr(word, '=') + 1;
    size_t length = (size_t)(value - 1 - word);
    int rc = IAU_OK, init = 0;
    if (!is_option(k->options, word, length))
        return BAD_LINE(l, "there is no option '%.*s'; usage: %s", (int)length, word, k->usage);
    if (strncmp(word, "stride", length) == 0)
        return read_number(l, value, 1, &s->stride);
    if (strncmp(word, "pad", length) == 0)
        return read_number(l, value, 0, &s->pad);
    if (strncmp(word, "bias", length) == 0)
        return read_choice(l, value, switches, 2, &s->bias);
    if (strncmp(word, "name", length) == 0)
        return read_name(l, value, s);
    rc = read_choice(l, value, inits, 3, &init);
    s->init = (enum spec_init)init;
    return rc;
}

static int read_residual(const struct line *l, struct layer_spec *s)
{
    static const char *const part[] = {"begin", "skip", "end"};
    int which = 0;
    if (l->n != 2)
        return BAD_LINE(l, "usage: residual %s", "begin|skip|end");
    int rc = read_choice(l, l->word[1], part, 3, &which);
    s->kind = SPEC_RESIDUAL_BEGIN + (unsigned)which;
    return rc;
}

/* The n-th of a line's numbers. */
static int read_value(const struct line *l, const struct kind *k, const char *word, int n,
                      struct layer_spec *s)
{
    if (k->kind == SPEC_DROPOUT)
        return read_rate(l, word, &s->rate);
    if (k->kind != SPEC_DENSE || strcmp(word, "classes") != 0)
        return read_number(l, word, 1, &s->size[n]);
    s->size[n] = SPEC_CLASSES;
    return IAU_OK;
}

static int read_line(struct line *l, struct layer_spec *s)
{
    const struct kind *k = NULL;
    int n_number = 0, rc = cut(l);
    *s = (struct layer_spec){.bias = 1};
    if (rc != IAU_OK)
        return rc;
    if (strcmp(l->word[0], "residual") == 0)
        return read_residual(l, s);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].word, l->word[0]) == 0)
            k = &kinds[i];
    if (!k)
        return BAD_LINE(l, "'%s' is none of %s", l->word[0], all_kinds);
    s->kind = k->kind;
    for (int i = 1; i < l->n && rc == IAU_OK; i++) {
        if (strchr(l->word[i], '='))
            rc = read_option(l, k, l->word[i], s);
        else if (n_number == k->n_most)
            rc = BAD_LINE(l, "'%s' is too much; usage: %s", l->word[i], k->usage);
        else
            rc = read_value(l, k, l->word[i], n_number++, s);
    }
    if (rc == IAU_OK && n_number < k->n_least)
        rc = BAD_LINE(l, "usage: %s", k->usage);
    if (k->kind == SPEC_INPUT && n_number == 1)
        s->size[1] = s->size[0];
    if (s->stride == 0)
        s->stride = k->kind == SPEC_CONV ? 1 : s->size[0];
    return rc;
}

int spec_list_parse(struct spec_list *list, const char *what, const struct text_list *text)
{
    int rc = IAU_OK;
    *list = (struct spec_list){.v = mem_alloc(text->n, sizeof *list->v)};
    if (!list->v)
        return FAIL(IAU_ERR_MEM, "no memory for a list of %lld layers", (long long)text->n);
    for (; list->n < text->n; list->n++) {
        struct line l = {.what = what, .number = list->n + 1, .text = text->v[list->n]};
        TRY(read_line(&l, &list->v[list->n]));
    }
out:
    if (rc != IAU_OK)
        spec_list_free(list);
    return rc;
}

void spec_list_free(struct spec_list *list)
{
    free(list->v);
    *list = (struct spec_list){0};
}

int spec_text_has_batchnorm(const struct text_list *text)
{
    static const char word[] = "batchnorm";
    for (int64_t i = 0; i < text->n; i++)
        if (strncmp(text->v[i] + strspn(text->v[i], " \t"), word, sizeof word - 1) == 0)
            return 1;
    return 0;
}
