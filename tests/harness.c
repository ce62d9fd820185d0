/* MPI and CUnit around a table of tests: each test runs on all ranks at once, and its verdict is
 * agreed on before the next one starts. */
#define _GNU_SOURCE /* asprintf, nftw */
#include "harness.h"

#include <CUnit/TestRun.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

struct comm test_comm;

static struct {
    const char *suite;
    int n_passed, n_failed, n_skipped;
    int skipping;         /* the running test asked to be skipped on this rank */
    char reason[256];     /* why */
    char directory[4096]; /* scratch files; "" if it could not be made */
} run;

void harness_skip(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(run.reason, sizeof run.reason, fmt, args);
    va_end(args);
    run.skipping = 1;
}

static void print_failures(const char *test, CU_pFailureRecord f)
{
    for (; f; f = f->pNext)
        printf("FAIL %s: %s: rank %d: %s:%u: %s\n", run.suite, test, test_comm.rank,
               f->strFileName ? f->strFileName : "?", f->uiLineNumber,
               f->strCondition ? f->strCondition : "?");
    fflush(stdout);
}

/* Called by CUnit on every rank when a test has ended: collective, so no rank runs ahead of a
 * slower one. */
static void settle_test(const CU_pTest test, const CU_pSuite suite,
                        const CU_pFailureRecord failures)
{
    (void)suite;
    int64_t failed = failures != NULL;
    int64_t skipper = run.skipping ? test_comm.rank : test_comm.size;
    print_failures(test->pName, failures);
    comm_max_i64(&test_comm, &failed, 1);
    comm_min_i64(&test_comm, &skipper, 1);
    if (failed) {
        run.n_failed++;
    } else if (skipper < test_comm.size) {
        run.n_skipped++;
        comm_bcast(&test_comm, run.reason, sizeof run.reason, (int)skipper);
        if (test_comm.rank == 0)
            printf("SKIP %s: %s: %s\n", run.suite, test->pName, run.reason);
    } else {
        run.n_passed++;
    }
    run.skipping = 0;
    error_clear();
    fflush(stdout);
}

static void make_directory(void)
{
    const char *base = getenv("IAU_TEST_DIR");
    if (test_comm.rank == 0) {
        snprintf(run.directory, sizeof run.directory, "%s/iau-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(run.directory)) {
            perror(run.directory);
            run.directory[0] = '\0';
        }
    }
    comm_bcast(&test_comm, run.directory, sizeof run.directory, 0);
}

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s, (void)type, (void)where;
    return remove(path);
}

static void remove_directory(void)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        nftw(run.directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int harness_run(int argc, char **argv, const char *suite, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{suite, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (comm_start(&test_comm, &argc, &argv) != IAU_OK)
        return 1;
    run.suite = suite;
    make_directory();
    int ready = run.directory[0] && CU_initialize_registry() == CUE_SUCCESS &&
                CU_register_suites(suites) == CUE_SUCCESS;
    if (ready) {
        CU_set_test_complete_handler(settle_test);
        CU_run_all_tests();
        CU_cleanup_registry();
        remove_directory();
    } else {
        run.n_failed++;
    }
    if (test_comm.rank == 0)
        printf("%s ranks=%d passed=%d failed=%d skipped=%d\n", suite, test_comm.size, run.n_passed,
               run.n_failed, run.n_skipped);
    fflush(stdout);
    comm_stop(&test_comm);
    return run.n_failed > 0;
}

char *harness_path(const char *name)
{
    char *path = NULL;
    REQUIRE(asprintf(&path, "%s/%s", run.directory, name) >= 0);
    return path;
}

char *harness_fixture(const char *name)
{
    static const char here[] = __FILE__; /* ".../tests/harness.c" */
    char *path = NULL;
    int length = (int)(strlen(here) - strlen("harness.c"));
    REQUIRE(asprintf(&path, "%.*s%s", length, here, name) >= 0);
    return path;
}

void harness_fill(float *x, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) { /* splitmix64 */
        uint64_t z = (seed << 32) + (uint64_t)i * 0x9e3779b97f4a7c15u + 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        x[i] = ((float)(z >> 41) + 0.5f) * 0x1p-22f - 1.0f; /* never 0, 1 or -1 */
    }
}

double harness_relative_error(const float *a, const float *b, int64_t n)
{
    double difference = 0, size = 0, size_a = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        size += (double)b[i] * b[i];
        size_a += (double)a[i] * a[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(size_a);
}

/* An assertion whose text shows values, at the caller's place in the source. */
__attribute__((format(printf, 4, 5))) static void check(const char *file, int line, int condition,
                                                        const char *fmt, ...)
{
    char text[1536];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    CU_assertImplementation(condition, (unsigned int)line, text, file, "", CU_FALSE);
}

static const char *code_name(int code)
{
    switch (code) {
#define X(code, status) \
    case code:          \
        return #code;
        IAU_ERROR_LIST(X)
#undef X
    }
    return "unknown";
}

void harness_expect_error_at(const char *file, int line, int rc, int code, const char *text)
{
    const char *message = error_message();
    check(file, line, rc == code, "code %d (%s) where %d (%s) is expected; message \"%s\"", rc,
          code_name(rc), code, code_name(code), message);
    check(file, line, strstr(message, text) != NULL, "message \"%s\" lacks \"%s\"", message, text);
    error_clear();
}
