/* The pending error of a thread of this rank: code, place and message, kept until it is shown or
 * forgotten. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

static _Thread_local struct {
    int code;
    const char *file; /* borrowed; a string literal of the compiler */
    int line;
    char message[1024];
} pending;

static char shown[sizeof pending.message];

static int hushed;

int error_set(int code, const char *file, int line, const char *fmt, ...)
{
    if (pending.code != IAU_OK || code == IAU_OK)
        return code;
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(pending.message, sizeof pending.message, fmt, args);
    va_end(args);
    if (length >= (int)sizeof pending.message) /* say that something is missing */
        snprintf(pending.message + sizeof pending.message - 4, 4, "...");
    for (char *p = pending.message; *p; p++) /* one line, whatever names and texts hold */
        if ((unsigned char)*p < ' ')
            *p = ' ';
    pending.code = code;
    pending.file = file;
    pending.line = line;
    return code;
}

const char *error_message(void)
{
    return pending.code == IAU_OK ? "" : pending.message;
}

void error_hush(int on)
{
    hushed = on;
}

void error_show(int rank)
{
    if (pending.code == IAU_OK)
        return;
    if (hushed && pending.code == IAU_ERR_NUMERIC) {
        error_clear();
        return;
    }
    char from[32] = "", place[256] = "";
    if (rank >= 0)
        snprintf(from, sizeof from, "rank %d: ", rank);
    if (log_is_verbose())
        snprintf(place, sizeof place, " [%s:%d]", pending.file, pending.line);
    log_erase_live();
    const char *kind = pending.code == IAU_STOPPED ? "" : "error: ";
    fprintf(stderr, "iau: %s%s%s%s\n", kind, from, pending.message, place);
    fflush(stderr);
    memcpy(shown, pending.message, sizeof shown);
    error_clear();
}

const char *error_shown(void)
{
    return shown;
}

void error_forget_shown(void)
{
    shown[0] = '\0';
}

void error_clear(void)
{
    pending.code = IAU_OK;
}

int error_exit_status(int code)
{
    switch (code) {
#define X(code, status) \
    case code:          \
        return status;
        IAU_ERROR_LIST(X)
#undef X
    }
    return 1;
}

void error_require_failed(const char *file, int line, const char *cond)
{
    log_erase_live();
    fprintf(stderr, "iau: broken invariant at %s:%d: %s\n", file, line, cond);
    fflush(stderr);
    abort();
}
