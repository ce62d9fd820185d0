/* Error codes, and the one message a thread keeps for the error it is about to return. */
#ifndef IAU_CORE_ERROR_H
#define IAU_CORE_ERROR_H

/* X(code, exit status of a process that ends with it); worst last, so that the maximum over ranks
 * wins. */
#define IAU_ERROR_LIST(X)                                                \
    X(IAU_OK, 0)          /* done */                                     \
    X(IAU_STOPPED, 75)    /* stopped early; may go on */                 \
    X(IAU_INCOMPLETE, 1)  /* methods have failed; all else is done */    \
    X(IAU_ERR_USAGE, 2)   /* wrong command line */                       \
    X(IAU_ERR_CONFIG, 2)  /* wrong setting */                            \
    X(IAU_ERR_EXISTS, 1)  /* an output is in the way */                  \
    X(IAU_ERR_IO, 1)      /* a file cannot be read or written */         \
    X(IAU_ERR_FORMAT, 1)  /* a file is not what it should be */          \
    X(IAU_ERR_DATA, 1)    /* inputs do not fit together */               \
    X(IAU_ERR_NUMERIC, 1) /* a value is not finite or too large */       \
    X(IAU_ERR_CPU, 2)     /* the CPU lacks instructions of this build */ \
    X(IAU_ERR_HOSTS, 2)   /* ranks run where they do not fit together */ \
    X(IAU_ERR_REPLICA, 1) /* ranks disagree on the parameters */         \
    X(IAU_ERR_MEM, 1)     /* out of memory */

enum iau_error {
#define X(code, status) code,
    IAU_ERROR_LIST(X)
#undef X
};

/* Room for a message that is kept in a file. */
enum { REASON_CHARS = 512 };

/** Local. Remember file, line and message of an error on this thread; the first one since
 * `error_clear` stays. Control characters in it become blanks.
 *  @return `code`, so that `return FAIL(...)` reads naturally */
int error_set(int code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** Local. The message of the pending error, "" if there is none; valid until the next call to this
 * module. */
const char *error_message(void);
/** Local. Print the pending error as `iau: error: MESSAGE` on stderr and forget it. `rank` < 0
 * leaves the rank out. */
void error_show(int rank);
/** Local. The message that this process has printed last, "" if there is none since
 * error_forget_shown. */
const char *error_shown(void);
void error_forget_shown(void);
/** Local. From 1 on, errors of numbers (IAU_ERR_NUMERIC) are not printed, until 0: while something
 * is tried that may run off. */
void error_hush(int on);
/** Local. Forget the pending error. */
void error_clear(void);
/** Local. The process exit status that belongs to a code. */
int error_exit_status(int code);
/** Local, does not return. Report a broken invariant of the program itself and abort. */
void error_require_failed(const char *file, int line, const char *cond) __attribute__((noreturn));

#define FAIL(code, ...) error_set((code), __FILE__, __LINE__, __VA_ARGS__)
/* Needs `int rc` and a label `out:` in the enclosing function. */
#define TRY(call)         \
    do {                  \
        rc = (call);      \
        if (rc != IAU_OK) \
            goto out;     \
    } while (0)
#define REQUIRE(cond)                                        \
    do {                                                     \
        if (!(cond))                                         \
            error_require_failed(__FILE__, __LINE__, #cond); \
    } while (0)

#endif
