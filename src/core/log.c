/* Lines for people on stdout and stderr, and one live line that replaces itself on a terminal. */
#include "core/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/timer.h"

static const double live_interval_s = 0.1, progress_interval_s = 30;

static struct {
    int rank;
    enum log_level level;
    int live;           /* 1 shown, 0 not, -1 not yet known */
    int live_on_screen; /* a live line stands on the terminal */
    int hushed;
    double live_last_s, progress_last_s;
} state = {.level = LOG_LEVEL_NORMAL, .live = -1};

/* Open MPI hands local ranks a pseudo-terminal of its own even when the job's output goes to a
 * file, so under a launcher the launcher's stdout decides. A parent that cannot be looked at counts
 * as no terminal. */
static int launcher_has_terminal(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/1", (int)getppid());
    int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return 0;
    int is_terminal = isatty(fd);
    close(fd);
    return is_terminal;
}

static int detect_terminal(void)
{
    if (!isatty(STDOUT_FILENO))
        return 0;
    int launched = getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
    return launched ? launcher_has_terminal() : 1;
}

/* Both streams of a line are flushed: a batch log must show where a job stands. */
static void print_line(FILE *out, const char *prefix, const char *fmt, va_list args)
{
    log_erase_live();
    fputs(prefix, out);
    vfprintf(out, fmt, args);
    fputc('\n', out);
    fflush(out);
}

void log_init(int rank, enum log_level level)
{
    state.rank = rank;
    state.level = level;
    state.live = -1;
}

void log_hush(int on)
{
    state.hushed = on;
}

static int is_speaking(void)
{
    return state.rank == 0 && state.level >= LOG_LEVEL_NORMAL && !state.hushed;
}

void log_line(const char *fmt, ...)
{
    if (!is_speaking())
        return;
    va_list args;
    va_start(args, fmt);
    print_line(stdout, "", fmt, args);
    va_end(args);
}

void log_warn(const char *fmt, ...)
{
    if (state.rank != 0)
        return;
    va_list args;
    va_start(args, fmt);
    print_line(stderr, "iau: warning: ", fmt, args);
    va_end(args);
}

static void print_live(const char *fmt, va_list args)
{
    double now_s = timer_now_s();
    if (now_s - state.live_last_s < live_interval_s)
        return;
    state.live_last_s = now_s;
    fputs("\r\033[K", stdout);
    vfprintf(stdout, fmt, args);
    fflush(stdout);
    state.live_on_screen = 1;
}

void log_live(const char *fmt, ...)
{
    if (!log_is_live())
        return;
    va_list args;
    va_start(args, fmt);
    print_live(fmt, args);
    va_end(args);
}

void log_progress(const char *fmt, ...)
{
    double now_s = timer_now_s();
    if (!is_speaking())
        return;
    if (state.progress_last_s == 0)
        state.progress_last_s = now_s;
    va_list args;
    va_start(args, fmt);
    if (log_is_live()) {
        print_live(fmt, args);
    } else if (now_s - state.progress_last_s >= progress_interval_s) {
        state.progress_last_s = now_s;
        print_line(stdout, "", fmt, args);
    }
    va_end(args);
}

int log_is_live(void)
{
    if (!is_speaking())
        return 0;
    if (state.live < 0)
        state.live = detect_terminal();
    return state.live;
}

int log_is_verbose(void)
{
    return state.level >= LOG_LEVEL_VERBOSE;
}

void log_erase_live(void)
{
    if (!state.live_on_screen)
        return;
    fputs("\r\033[K", stdout);
    fflush(stdout);
    state.live_on_screen = 0;
}
