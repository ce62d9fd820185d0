/* What a collective call prints: this process's stderr, caught in a file for a while. */
#ifndef IAU_TESTS_CAPTURE_H
#define IAU_TESTS_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

struct capture {
    int saved; /* the true stderr */
    FILE *file;
};

static inline void capture_begin(struct capture *c)
{
    fflush(stderr);
    c->saved = dup(2);
    c->file = tmpfile();
    dup2(fileno(c->file), 2);
}

static inline void capture_end(struct capture *c, char *text, size_t size)
{
    fflush(stderr);
    dup2(c->saved, 2);
    close(c->saved);
    rewind(c->file);
    text[fread(text, 1, size - 1, c->file)] = '\0';
    fclose(c->file);
}

/* Collective. Check that rc is `code` here and that over all ranks exactly one line was printed,
 * with `part` in it. */
static inline void expect_one_message(int rc, int code, const char *printed, const char *part)
{
    int64_t n[2] = {0, strstr(printed, part) != NULL};
    for (const char *at = printed; (at = strchr(at, '\n')); at++)
        n[0]++;
    comm_sum_i64(&test_comm, n, 2);
    CU_ASSERT_EQUAL(rc, code);
    CU_ASSERT_EQUAL(n[0], 1);
    CU_ASSERT_EQUAL(n[1], 1);
    if (rc != code || n[0] != 1 || n[1] != 1)
        printf("rank %d: code %d, expected %d with \"%s\"; printed: %s\n", test_comm.rank, rc, code,
               part, printed);
}

#endif
