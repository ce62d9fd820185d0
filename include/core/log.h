/* Lines for people: rank 0 speaks for the job, other ranks only when asked. Progress on a terminal
 * is one live line. */
#ifndef IAU_CORE_LOG_H
#define IAU_CORE_LOG_H

enum log_level { LOG_LEVEL_QUIET, LOG_LEVEL_NORMAL, LOG_LEVEL_VERBOSE };

/** Local. Set who this process is; before it, the process counts as rank 0 at the normal level. */
void log_init(int rank, enum log_level level);
/** Local. A line on stdout, from rank 0 only, at the normal level and above. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Local. `iau: warning: ...` on stderr, from rank 0 only, at every level. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Local. A live line: replaces itself on a terminal, at most ten times a second; nothing where
 * stdout is no terminal. */
void log_live(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Local. How far a long piece of work has come: a live line; where stdout is no terminal, a line
 * every half a minute. */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Local. From 1 on, lines are left out, but for warnings, until 0: of work within work, which says
 * less of itself. */
void log_hush(int on);
/** Local. Whether live lines are shown. */
int log_is_live(void);
/** Local. Whether this process logs at the verbose level, at which errors name their place in the
 * source. */
int log_is_verbose(void);
/** Local. Take the live line off the terminal before something else is printed there; fine when
 * there is none. */
void log_erase_live(void);

#endif
