/* Text sources: records, fields and numbers. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "data/reader.h"

enum { BUFFER_BYTES = 1 << 20, MOST_RECORD_BYTES = 64 << 20 };

int import_text_open(struct import_text *t, const char *path)
{
    *t = (struct import_text){.next_line = 1, .size = BUFFER_BYTES};
    int rc = import_file_open(&t->file, path);
    if (rc != IAU_OK)
        return rc;
    t->buffer = malloc(t->size + 1);
    if (!t->buffer)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", path);
    return IAU_OK;
}

void import_text_close(struct import_text *t)
{
    import_file_close(&t->file);
    free(t->buffer);
    *t = (struct import_text){0};
}

/* More of the file behind what is left of the buffer, which grows where one record fills it. */
static int fill(struct import_text *t)
{
    int64_t got;
    if (t->begin) {
        memmove(t->buffer, t->buffer + t->begin, t->end - t->begin);
        t->end -= t->begin;
        t->begin = 0;
    }
    if (t->end == t->size) {
        char *more = t->size < MOST_RECORD_BYTES ? realloc(t->buffer, 2 * t->size + 1) : NULL;
        if (!more && t->size < MOST_RECORD_BYTES)
            return FAIL(IAU_ERR_MEM, "no memory to read %s", t->file.path);
        if (!more)
            return FAIL(IAU_ERR_FORMAT, "%s:%lld: a line, or a text in quotes, of more than %d MiB",
                        t->file.path, (long long)t->next_line, MOST_RECORD_BYTES >> 20);
        t->buffer = more;
        t->size *= 2;
    }
    int64_t room = (int64_t)(t->size - t->end);
    int rc = import_file_read_some(&t->file, room, t->buffer + t->end, &got);
    t->end += (size_t)got;
    t->at_end = got < room;
    return rc;
}

static int64_t count_bytes(const char *p, size_t n, char what)
{
    int64_t count = 0;
    for (const char *end = p + n; (p = memchr(p, what, (size_t)(end - p))); p++)
        count++;
    return count;
}

/* The newline that ends the record at the beginning of the buffer; NULL if it is not there.
 * @param n_quote  quotes before it, or in all of the buffer */
static char *find_end(const struct import_text *t, int64_t *n_quote)
{
    char *from = t->buffer + t->begin, *end = t->buffer + t->end;
    *n_quote = 0;
    while (from < end) {
        char *newline = memchr(from, '\n', (size_t)(end - from));
        *n_quote += count_bytes(from, (size_t)((newline ? newline : end) - from), '"');
        if (!newline || *n_quote % 2 == 0)
            return newline;
        from = newline + 1;
    }
    return NULL;
}

/* One record, empty or not. */
static int next_record(struct import_text *t, char **text, size_t *n)
{
    int rc = IAU_OK;
    int64_t n_quote;
    char *newline;
    *text = NULL;
    while (!(newline = find_end(t, &n_quote)) && !t->at_end)
        TRY(fill(t));
    if (t->begin == t->end)
        return IAU_OK;
    t->line = t->next_line;
    if (!newline && n_quote % 2)
        TRY(FAIL(IAU_ERR_FORMAT, "%s:%lld: a quote is opened and never closed", t->file.path,
                 (long long)t->line));
    *text = t->buffer + t->begin;
    *n = newline ? (size_t)(newline - *text) : t->end - t->begin;
    t->begin += *n + (newline != NULL);
    t->next_line += 1 + (n_quote ? count_bytes(*text, *n, '\n') : 0);
    *n -= *n && (*text)[*n - 1] == '\r';
    (*text)[*n] = '\0'; /* over the newline, or into the byte behind the buffer */
    if (memchr(*text, '\0', *n))
        rc = FAIL(IAU_ERR_FORMAT, "%s:%lld: a zero byte: this is no text", t->file.path,
                  (long long)t->line);
out:
    return rc;
}

int import_text_next(struct import_text *t, char **text)
{
    size_t n = 0;
    int rc = IAU_OK, is_first = t->next_line == 1;
    do
        rc = next_record(t, text, &n);
    while (rc == IAU_OK && *text && n == 0);
    if (rc == IAU_OK && *text && is_first && t->line == 1 && strncmp(*text, "\xef\xbb\xbf", 3) == 0)
        *text += 3; /* the mark that some programs put before UTF-8 */
    return rc;
}

/* A field in quotes, in which two quotes stand for one. */
static int quoted_field(char **at, char **field)
{
    char *from = *at + 1, *to = from;
    *field = to;
    for (; *from && !(*from == '"' && from[1] != '"'); from++) {
        from += *from == '"';
        *to++ = *from;
    }
    if (!*from)
        return 0;
    from++;
    from += strspn(from, " \t");
    if (*from && *from != ',')
        return 0;
    *at = *from ? from + 1 : NULL;
    *to = '\0';
    return 1;
}

int import_text_field(char **at, char **field)
{
    char *p = *at + strspn(*at, " \t");
    if (*p == '"') {
        *at = p;
        return quoted_field(at, field);
    }
    char *end = p;
    int n_quote = 0;
    for (; *end && *end != ','; end++) /* fields are short: faster than searching */
        n_quote += *end == '"';
    *at = *end ? end + 1 : NULL;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    *field = p;
    return n_quote == 0;
}

/* Up to 15 digits are exact in a double, and so are powers of ten up to 22: then one product or
 * quotient of the two is rounded right. Everything else is left to strtod. */
static int short_number(const char *text, double *x)
{
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    int negative = *text == '-', n_digit = 0, n_fraction = 0;
    int64_t digits = 0;
    const char *p = text + (*text == '-' || *text == '+');
    for (; *p >= '0' && *p <= '9'; p++, n_digit++)
        digits = 10 * (n_digit < 15 ? digits : 0) + (*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, n_digit++, n_fraction++)
            digits = 10 * (n_digit < 15 ? digits : 0) + (*p - '0');
    if (*p || n_digit == 0 || n_digit > 15)
        return 0;
    double value = (double)digits / power[n_fraction];
    *x = negative ? -value : value;
    return 1;
}

int import_number(const char *text, double *x)
{
    char *end;
    if (short_number(text, x))
        return 1;
    /* The set leaves out hexadecimal numbers, infinities and NaN, which strtod takes. */
    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
        return 0;
    *x = strtod(text, &end);
    return end != text && !*end && isfinite(*x);
}

int import_integer(const char *text, int64_t *x)
{
    char *end;
    if (strspn(text, "+-0123456789") != strlen(text))
        return 0;
    errno = 0;
    *x = strtoll(text, &end, 10);
    return end != text && !*end && errno == 0;
}
