/* One setting's value: from text with its checks, to text, copies and comparisons, by type. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/config_table.h"
#include "core/error.h"
#include "core/memory.h"

static int check_range(const struct setting *s, const struct setting_value *v, const char *text,
                       double x)
{
    const char *word = NULL;
    double bound = 0;
    if (x < s->lo || (x == s->lo && (s->open & OPEN_LO))) {
        word = s->open & OPEN_LO ? "above" : "at least";
        bound = s->lo;
    } else if (x > s->hi || (x == s->hi && (s->open & OPEN_HI))) {
        word = s->open & OPEN_HI ? "below" : "at most";
        bound = s->hi;
    }
    if (word)
        return FAIL(IAU_ERR_CONFIG, "%s: %s = %s: must be %s %.10g", v->where, v->key, text, word,
                    bound);
    if (s->multiple > 0 && fmod(x, s->multiple) != 0)
        return FAIL(IAU_ERR_CONFIG, "%s: %s = %s: must be a multiple of %d", v->where, v->key, text,
                    s->multiple);
    return IAU_OK;
}

static int parse_int(const struct setting *s, const struct setting_value *v, const char *text,
                     int64_t *out)
{
    char *end = NULL;
    errno = 0;
    int64_t x = strtoll(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text))
        return FAIL(IAU_ERR_CONFIG, "%s: %s: '%s' is no integer", v->where, v->key, text);
    if (errno == ERANGE)
        return FAIL(IAU_ERR_CONFIG, "%s: %s = %s: does not fit 64 bits", v->where, v->key, text);
    int rc = check_range(s, v, text, (double)x);
    if (rc == IAU_OK)
        *out = x;
    return rc;
}

static int parse_real(const struct setting *s, const struct setting_value *v, const char *text,
                      double *out)
{
    char *end = NULL;
    double x = strtod(text, &end);
    /* The set leaves out hexadecimal numbers, infinities and NaN, which strtod takes. */
    if (end == text || *end || strspn(text, "+-.0123456789eE") != strlen(text))
        return FAIL(IAU_ERR_CONFIG, "%s: %s: '%s' is no number", v->where, v->key, text);
    if (!isfinite(x))
        return FAIL(IAU_ERR_CONFIG, "%s: %s = %s: is too large", v->where, v->key, text);
    int rc = check_range(s, v, text, x);
    if (rc == IAU_OK)
        *out = x;
    return rc;
}

static int parse_switch(const struct setting_value *v, const char *text, int *out)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes"};
    for (int i = 0; i < 6; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i & 1;
            return IAU_OK;
        }
    return FAIL(IAU_ERR_CONFIG, "%s: %s: '%s' is neither on nor off", v->where, v->key, text);
}

/* Position of a word in "a|b|c", -1 if it is not there. */
static int choice_index(const char *choices, const char *text)
{
    size_t len = strlen(text);
    int i = 0;
    for (const char *p = choices; p; i++) {
        const char *bar = strchr(p, '|');
        if ((bar ? (size_t)(bar - p) : strlen(p)) == len && strncmp(p, text, len) == 0)
            return i;
        p = bar ? bar + 1 : NULL;
    }
    return -1;
}

static int no_choice(const struct setting *s, const struct setting_value *v, const char *text)
{
    return FAIL(IAU_ERR_CONFIG, "%s: %s: '%s' is none of %s", v->where, v->key, text, s->choices);
}

static int assign_scalar(const struct setting *s, void *field, const struct setting_value *v,
                         const char *text)
{
    if (s->type == SETTING_INT)
        return parse_int(s, v, text, field);
    if (s->type == SETTING_REAL)
        return parse_real(s, v, text, field);
    if (s->type == SETTING_SWITCH)
        return parse_switch(v, text, field);
    if (s->type == SETTING_CHOICE) {
        int i = choice_index(s->choices, text);
        if (i < 0)
            return no_choice(s, v, text);
        memcpy(field, &i, sizeof(i)); /* an enum without negative values has int's size and bits */
        return IAU_OK;
    }
    if (s->choices && *text && choice_index(s->choices, text) < 0)
        return no_choice(s, v, text);
    char *copy = mem_strdup(text);
    if (!copy)
        return FAIL(IAU_ERR_MEM, "no memory for %s", v->key);
    free(*(char **)field);
    *(char **)field = copy;
    return IAU_OK;
}

static int assign_ints(const struct setting *s, struct int_list *list,
                       const struct setting_value *v)
{
    int rc = IAU_OK;
    struct int_list fresh = {v->text->n, mem_alloc(v->text->n, sizeof(int64_t))};
    if (!fresh.v)
        return FAIL(IAU_ERR_MEM, "no memory for %s", v->key);
    for (int64_t i = 0; rc == IAU_OK && i < fresh.n; i++)
        rc = parse_int(s, v, v->text->v[i], &fresh.v[i]);
    if (rc == IAU_OK) {
        struct int_list old = *list;
        *list = fresh;
        fresh = old;
    }
    free(fresh.v);
    return rc;
}

static int assign_reals(const struct setting *s, struct real_list *list,
                        const struct setting_value *v)
{
    int rc = IAU_OK;
    struct real_list fresh = {v->text->n, mem_alloc(v->text->n, sizeof(double))};
    if (!fresh.v)
        return FAIL(IAU_ERR_MEM, "no memory for %s", v->key);
    for (int64_t i = 0; rc == IAU_OK && i < fresh.n; i++)
        rc = parse_real(s, v, v->text->v[i], &fresh.v[i]);
    if (rc == IAU_OK) {
        struct real_list old = *list;
        *list = fresh;
        fresh = old;
    }
    free(fresh.v);
    return rc;
}

static void free_texts(struct text_list *list)
{
    for (int64_t i = 0; list->v && i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct text_list){0};
}

static int assign_texts(struct text_list *list, const struct setting_value *v)
{
    struct text_list fresh = {v->text->n, mem_alloc(v->text->n, sizeof(char *))};
    int short_of_memory = !fresh.v;
    for (int64_t i = 0; !short_of_memory && i < fresh.n; i++) {
        fresh.v[i] = mem_strdup(v->text->v[i]);
        short_of_memory = !fresh.v[i];
    }
    if (short_of_memory) {
        free_texts(&fresh);
        return FAIL(IAU_ERR_MEM, "no memory for %s", v->key);
    }
    free_texts(list);
    *list = fresh;
    return IAU_OK;
}

int setting_assign(const struct setting *s, void *field, const struct setting_value *value)
{
    if (s->type == SETTING_INTS)
        return assign_ints(s, field, value);
    if (s->type == SETTING_REALS)
        return assign_reals(s, field, value);
    if (s->type == SETTING_TEXTS)
        return assign_texts(field, value);
    if (value->is_list || value->text->n != 1)
        return FAIL(IAU_ERR_CONFIG, "%s: %s: takes one value (%s), not a list", value->where,
                    value->key, setting_type_text(s));
    return assign_scalar(s, field, value, value->text->v[0]);
}

int setting_default(const struct setting *s, void *field)
{
    char empty[] = "";
    char *one[1] = {s->fallback ? (char *)s->fallback : empty};
    int is_list = s->type >= SETTING_INTS;
    struct text_list text = {is_list && !s->fallback ? 0 : 1, one};
    struct setting_value value = {"default", s->key, &text, is_list};
    return setting_assign(s, field, &value);
}

void setting_free(const struct setting *s, void *field)
{
    if (s->type == SETTING_TEXT) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (s->type == SETTING_INTS) {
        free(((struct int_list *)field)->v);
        *(struct int_list *)field = (struct int_list){0};
    } else if (s->type == SETTING_REALS) {
        free(((struct real_list *)field)->v);
        *(struct real_list *)field = (struct real_list){0};
    } else if (s->type == SETTING_TEXTS) {
        free_texts(field);
    }
}

/* Any number of up to 15 digits reads back from them, and %g drops the zeros; some need 17. */
static void print_real(FILE *f, double x)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fputs(text, f);
}

static int is_plain(const char *text)
{
    if (!isalnum((unsigned char)*text) && !strchr("./_", *text))
        return 0;
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("./_-", *p))
            return 0;
    return *text && strcasecmp(text, "null") != 0;
}

void setting_print_text(FILE *f, const char *text)
{
    if (is_plain(text)) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            fprintf(f, "\\x%02X", *p);
        else if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else
            fputc(*p, f);
    }
    fputc('"', f);
}

static void print_choice(FILE *f, const struct setting *s, int index)
{
    const char *p = s->choices;
    while (index-- > 0)
        p = strchr(p, '|') + 1;
    fprintf(f, "%.*s", (int)strcspn(p, "|"), p);
}

static int64_t list_length(const struct setting *s, const void *field)
{
    if (s->type == SETTING_INTS)
        return ((const struct int_list *)field)->n;
    if (s->type == SETTING_REALS)
        return ((const struct real_list *)field)->n;
    return ((const struct text_list *)field)->n;
}

static void print_list(FILE *f, const struct setting *s, const void *field)
{
    int64_t n = list_length(s, field);
    fputc('[', f);
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            fputs(", ", f);
        if (s->type == SETTING_INTS)
            fprintf(f, "%" PRId64, ((const struct int_list *)field)->v[i]);
        else if (s->type == SETTING_REALS)
            print_real(f, ((const struct real_list *)field)->v[i]);
        else
            setting_print_text(f, ((const struct text_list *)field)->v[i]);
    }
    fputc(']', f);
}

void setting_print(FILE *f, const struct setting *s, const void *field)
{
    int i;
    if (s->type == SETTING_INT)
        fprintf(f, "%" PRId64, *(const int64_t *)field);
    else if (s->type == SETTING_REAL)
        print_real(f, *(const double *)field);
    else if (s->type == SETTING_SWITCH)
        fputs(*(const int *)field ? "on" : "off", f);
    else if (s->type == SETTING_CHOICE)
        print_choice(f, s, *(const int *)memcpy(&i, field, sizeof(i)));
    else if (s->type == SETTING_TEXT)
        setting_print_text(f, *(char *const *)field);
    else
        print_list(f, s, field);
}

const char *setting_type_text(const struct setting *s)
{
    static const char *const text[] = {
        [SETTING_INT] = "integer",           [SETTING_REAL] = "real",
        [SETTING_SWITCH] = "on|off",         [SETTING_TEXT] = "text",
        [SETTING_INTS] = "list of integers", [SETTING_REALS] = "list of reals",
        [SETTING_TEXTS] = "list of texts"};
    return s->choices ? s->choices : text[s->type];
}

void setting_range_text(const struct setting *s, char *buf)
{
    enum { ROOM = 80 };
    int used = 0;
    buf[0] = '\0';
    if (s->lo < s->hi && isfinite(s->lo) && isfinite(s->hi))
        used = snprintf(buf, ROOM, "%s%.10g to %s%.10g", s->open & OPEN_LO ? "above " : "", s->lo,
                        s->open & OPEN_HI ? "below " : "", s->hi);
    else if (s->lo < s->hi && isfinite(s->lo))
        used = snprintf(buf, ROOM, "%s %.10g", s->open & OPEN_LO ? "above" : "from", s->lo);
    if (s->multiple > 0)
        snprintf(buf + used, (size_t)(ROOM - used), ", multiple of %d", s->multiple);
}

size_t setting_size(enum setting_type type)
{
    static const size_t size[] = {[SETTING_INT] = sizeof(int64_t),
                                  [SETTING_REAL] = sizeof(double),
                                  [SETTING_SWITCH] = sizeof(int),
                                  [SETTING_CHOICE] = sizeof(int),
                                  [SETTING_TEXT] = sizeof(char *),
                                  [SETTING_INTS] = sizeof(struct int_list),
                                  [SETTING_REALS] = sizeof(struct real_list),
                                  [SETTING_TEXTS] = sizeof(struct text_list)};
    return size[type];
}
