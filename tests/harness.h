/* What every test program shares: MPI and CUnit around a table of tests, one verdict over all
 * ranks, scratch files, and skipping with a reason. Around collectives use only non-fatal asserts:
 * a fatal one leaves the other ranks waiting. */
#ifndef IAU_TESTS_HARNESS_H
#define IAU_TESTS_HARNESS_H

#include <CUnit/CUnit.h>
#include <stdint.h>

#include "par/comm.h"

extern struct comm test_comm; /* valid inside tests */

/** Run all tests on all ranks. Rank 0 prints failures and one closing line
 *  "SUITE ranks=N passed=P failed=F skipped=S"; a test failed if it failed on any rank.
 *  @return exit status of main, equal on all ranks: 0 only if nothing failed */
int harness_run(int argc, char **argv, const char *suite, CU_TestInfo *tests);
/** Mark the running test as skipped, for want of `what`; return from the test afterwards. */
void harness_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** A path for a scratch file of this run in a directory that all ranks share and that is removed at
 * the end. The caller frees. */
char *harness_path(const char *name);
/** Path of a committed file below tests/ ("fixtures/lenet5.h5"). The caller frees. */
char *harness_fixture(const char *name);
/** Reproducible numbers in (-1, 1) from a seed. */
void harness_fill(float *x, int64_t n, uint64_t seed);
/** sqrt(SUM (a-b)^2 / SUM b^2), in double; the norm of a where b is 0. */
double harness_relative_error(const float *a, const float *b, int64_t n);
/** Assert that `rc` equals `code` on this rank and that the pending message contains `text`; clears
 * it. */
#define harness_expect_error(rc, code, text) \
    harness_expect_error_at(__FILE__, __LINE__, (rc), (code), (text))
void harness_expect_error_at(const char *file, int line, int rc, int code, const char *text);

#endif
