/* What the tests of imports share: source files, requests with defaults, runs that must fail, and
 * what came out. */
#ifndef IAU_TESTS_IMPORT_CASE_H
#define IAU_TESTS_IMPORT_CASE_H

#include <stddef.h>

#include "data/import.h"
#include "data/reader.h"
#include "data/rows.h"
#include "harness.h"

enum { IMPORT_MOST_FILES = 8 };

/* A request with room for what it points to; it must not move. */
struct import_case {
    struct source_opts opts;
    struct import_request request;
    char *file[IMPORT_MOST_FILES];
};

/** Set up a request for `n` sources with all options at their defaults; nothing is owned. */
void import_case_init(struct import_case *c, const char *format, char *const *source, int n,
                      const char *out);
/** Collective. Run an import that must work. */
void import_works(const struct import_case *c);
/** Collective. Run an import that must fail with one message and leave no file. */
void import_fails(const struct import_case *c, int code, const char *text);

/** Collective. Cut a source short at every sixteenth of its n bytes; each import must fail with one
 * message that names the file, unless `text` is set: then it may work, but not always. Restores the
 * file. */
void import_cut_short(const struct import_case *c, const char *path, int is_text);

/** DIRECTORY/NAME; the caller frees. */
char *join(const char *directory, const char *name);
/** Write a file, or abort. */
void put_bytes(const char *path, const void *p, size_t n);
void put_text(const char *path, const char *text);
void put_gzip(const char *path, const void *p, size_t n);

/* A dataset file as a whole, on every rank. */
struct whole {
    struct dataset dataset;
    struct rows rows[N_PART];
    int64_t *id[N_PART];
};
/** Collective. Read everything and verify the digest, or fail the test. */
void whole_open(struct whole *w, const char *path);
void whole_close(struct whole *w);

#endif
