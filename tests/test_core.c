/* Errors, digests, random numbers, memory, timers and log lines. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/digest.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/timer.h"
#include "harness.h"

static int fail_twice(void)
{
    int rc = IAU_OK;
    TRY(FAIL(IAU_ERR_FORMAT, "row %d of %s", 3, "a.csv"));
    rc = IAU_OK; /* not reached */
out:
    FAIL(IAU_ERR_IO, "a later error");
    return rc;
}

static void the_first_error_stays(void)
{
    CU_ASSERT_STRING_EQUAL(error_message(), "");
    harness_expect_error(fail_twice(), IAU_ERR_FORMAT, "row 3 of a.csv");
    CU_ASSERT_STRING_EQUAL(error_message(), "");
}

static void long_messages_end_in_dots(void)
{
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    FAIL(IAU_ERR_IO, "%s", text);
    size_t length = strlen(error_message());
    CU_ASSERT_TRUE(length > 500 && length < sizeof text);
    CU_ASSERT_STRING_EQUAL(error_message() + length - 4, "x...");
    error_clear();
}

static void codes_have_a_status(void)
{
    CU_ASSERT_EQUAL(error_exit_status(IAU_OK), 0);
    CU_ASSERT_EQUAL(error_exit_status(IAU_STOPPED), 75);
    CU_ASSERT_EQUAL(error_exit_status(IAU_ERR_USAGE), 2);
    CU_ASSERT_EQUAL(error_exit_status(IAU_ERR_IO), 1);
    CU_ASSERT_EQUAL(error_exit_status(9999), 1);
}

/* The examples of FIPS 180-2, and one that no single block holds. */
static void digests_match_known_values(void)
{
    static const struct {
        const char *text, *hex;
    } known[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    char hex[DIGEST_CHARS];
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(digest_of(known[i].text, strlen(known[i].text), hex), IAU_OK);
        CU_ASSERT_STRING_EQUAL(hex, known[i].hex);
    }
    struct digest million;
    CU_ASSERT_EQUAL(digest_init(&million), IAU_OK);
    for (int i = 0; i < 100000; i++)
        digest_bytes(&million, "aaaaaaaaaa", 10);
    digest_final(&million, hex);
    CU_ASSERT_STRING_EQUAL(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    digest_final(&million, hex); /* already empty */
    CU_ASSERT_STRING_EQUAL(hex, "");
}

/* path, NUL, extents as little-endian int64: as any other program can compute it. */
static void array_headers_are_path_and_extents(void)
{
    static const char bytes[] = "/x\0\2\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0data";
    char expected[DIGEST_CHARS], hex[DIGEST_CHARS];
    struct digest d;
    int64_t dims[] = {2, 256};
    CU_ASSERT_EQUAL(digest_of(bytes, sizeof bytes - 1, expected), IAU_OK);
    CU_ASSERT_EQUAL(digest_init(&d), IAU_OK);
    digest_array(&d, "/x", 2, dims);
    digest_bytes(&d, "data", 4);
    digest_final(&d, hex);
    CU_ASSERT_STRING_EQUAL(hex, expected);
}

/* The known answers for philox4x32 with 10 rounds that come with Random123. */
static void random_words_match_known_answers(void)
{
    static const struct {
        struct rng r;
        uint64_t index;
        uint32_t words[4];
    } known[] = {{{0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                 {{UINT64_MAX, 0xff, UINT64_MAX},
                  UINT64_MAX >> 8,
                  {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                 {{0x299f31d0a4093822, 0x85, 0x0370734413198a2e},
                  0xa308d3243f6a88,
                  {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        rng_words(&known[i].r, known[i].index, words);
        CU_ASSERT_EQUAL(memcmp(words, known[i].words, sizeof words), 0);
    }
}

static void random_numbers_do_not_depend_on_the_order_of_drawing(void)
{
    enum { N = 1000 };
    struct rng r = {.seed = 42, .purpose = RNG_INIT, .stream = 3};
    float forward[N], backward[N];
    for (int i = 0; i < N; i++)
        forward[i] = rng_uniform(&r, (uint64_t)i);
    for (int i = N - 1; i >= 0; i--)
        backward[i] = rng_uniform(&r, (uint64_t)i);
    CU_ASSERT_EQUAL(memcmp(forward, backward, sizeof forward), 0);
}

static void seeds_purposes_and_streams_differ(void)
{
    struct rng r[] = {{1, RNG_INIT, 0}, {2, RNG_INIT, 0}, {1, RNG_ORDER, 0}, {1, RNG_INIT, 1}};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) {
            uint32_t a[4], b[4];
            rng_words(&r[i], 5, a);
            rng_words(&r[j], 5, b);
            CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
        }
}

static void uniform_numbers_fill_the_unit_interval(void)
{
    enum { N = 100000, BINS = 10 };
    struct rng r = {.seed = 7, .purpose = RNG_INIT};
    int count[BINS] = {0};
    double sum = 0;
    for (int i = 0; i < N; i++) {
        float u = rng_uniform(&r, (uint64_t)i);
        CU_ASSERT_TRUE(u >= 0 && u < 1);
        count[(int)(u * BINS)]++;
        sum += u;
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / N, 0.5, 0.005); /* 5 standard deviations */
    for (int b = 0; b < BINS; b++)
        CU_ASSERT_TRUE(abs(count[b] - N / BINS) < 500);
}

static void permutations_are_permutations(void)
{
    enum { N = 1000 };
    int32_t v[N], again[N];
    char seen[N] = {0};
    struct rng r = {.seed = 3, .purpose = RNG_SHUFFLE};
    for (int i = 0; i < N; i++)
        v[i] = again[i] = i;
    rng_permute_i32(&r, v, N);
    rng_permute_i32(&r, again, N);
    CU_ASSERT_EQUAL(memcmp(v, again, sizeof v), 0);
    int n_fixed = 0, n_seen = 0;
    for (int i = 0; i < N; i++) {
        n_seen += !seen[v[i]];
        seen[v[i]] = 1;
        n_fixed += v[i] == i;
    }
    CU_ASSERT_EQUAL(n_seen, N);
    CU_ASSERT_TRUE(n_fixed < 10);
    rng_permute_i32(&r, NULL, 0);
    rng_permute_i32(&r, v, 1);
    CU_ASSERT_EQUAL(v[0], again[0]);
}

/* All 24 orders of four things come up about equally often. */
static void permutations_are_uniform(void)
{
    enum { N = 24000 };
    int count[256] = {0}, n_orders = 0;
    for (int s = 0; s < N; s++) {
        struct rng r = {.seed = 11, .purpose = RNG_SHUFFLE, .stream = (uint64_t)s};
        int32_t v[4] = {0, 1, 2, 3};
        rng_permute_i32(&r, v, 4);
        count[v[0] | v[1] << 2 | v[2] << 4 | v[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        n_orders += count[i] > 0;
        CU_ASSERT_TRUE(count[i] == 0 || abs(count[i] - N / 24) < 160);
    }
    CU_ASSERT_EQUAL(n_orders, 24);
}

static void memory_is_aligned_and_zero(void)
{
    for (int64_t n = 0; n < 200; n += 7) {
        unsigned char *p = mem_alloc(n, 3);
        int any = 0;
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
        for (int64_t i = 0; i < 3 * n; i++)
            any |= p[i];
        CU_ASSERT_EQUAL(any, 0);
        free(p);
    }
}

static void impossible_lengths_give_null(void)
{
    CU_ASSERT_PTR_NULL(mem_alloc(INT64_MAX, 8));
    CU_ASSERT_PTR_NULL(mem_alloc(INT64_MAX, 2));
    CU_ASSERT_PTR_NULL(mem_alloc(-1, 1));
}

static void memory_failure_is_injected_once(void)
{
    mem_fail_after(3);
    for (int k = 1; k <= 5; k++) {
        void *p = mem_alloc(1, 1);
        CU_ASSERT_EQUAL(p == NULL, k == 3);
        free(p);
    }
    mem_fail_after(1);
    mem_fail_after(0);
    char *copy = mem_strdup("text");
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    CU_ASSERT_STRING_EQUAL(copy, "text");
    free(copy);
    CU_ASSERT_PTR_NULL(mem_strdup(NULL));
}

static void peak_memory_grows_with_use(void)
{
    enum { BYTES = 64 << 20 };
    int64_t before = mem_peak_bytes();
    char *p = mem_alloc(BYTES, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    p[BYTES / 2] = 1;
    CU_ASSERT_TRUE(before > 1 << 20);
    int64_t peak = mem_peak_bytes();
    CU_ASSERT_TRUE(peak >= BYTES);
    free(p);
    CU_ASSERT_TRUE(mem_peak_bytes() >= BYTES);
#ifdef __SANITIZE_ADDRESS__
    (void)peak;
    harness_skip("a peak measured anew: the address sanitizer holds freed memory back");
#else
    mem_peak_reset();
    if (access("/proc/self/clear_refs", W_OK) != 0)
        harness_skip("a peak measured anew: /proc/self/clear_refs");
    else
        CU_ASSERT_TRUE(mem_peak_bytes() < peak - BYTES / 2);
#endif
}

static void clock_runs_forward(void)
{
    double start = timer_now_s();
    usleep(20000);
    double elapsed = timer_now_s() - start;
    CU_ASSERT_TRUE(elapsed >= 0.019 && elapsed < 5);
    CU_ASSERT_STRING_EQUAL(phase_name(PHASE_READ), "read");
    CU_ASSERT_STRING_EQUAL(phase_name(PHASE_WRITE), "write");
}

static void print_all_kinds(int rank, enum log_level level)
{
    log_init(rank, level);
    log_line("line %d", 1);
    log_warn("warning %d", 3);
    log_live("live %d", 4);
}

/* Runs `print_all_kinds` with both streams in a file and compares what came out. */
static void expect_output(int rank, enum log_level level, const char *expected)
{
    char text[512] = "";
    fflush(stdout);
    fflush(stderr);
    FILE *file = tmpfile();
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    CU_ASSERT_FATAL(file && out >= 0 && err >= 0);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    print_all_kinds(rank, level);
    fflush(stdout);
    fflush(stderr);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    log_init(test_comm.rank, LOG_LEVEL_NORMAL);
    CU_ASSERT_STRING_EQUAL(text, expected);
}

static void only_rank_0_speaks_and_only_as_loud_as_asked(void)
{
    expect_output(0, LOG_LEVEL_QUIET, "iau: warning: warning 3\n");
    expect_output(0, LOG_LEVEL_NORMAL, "line 1\niau: warning: warning 3\n");
    expect_output(0, LOG_LEVEL_VERBOSE, "line 1\niau: warning: warning 3\n");
    expect_output(1, LOG_LEVEL_VERBOSE, "");
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"the first error stays", the_first_error_stays},
        {"long messages end in dots", long_messages_end_in_dots},
        {"codes have a status", codes_have_a_status},
        {"digests match known values", digests_match_known_values},
        {"array headers are path and extents", array_headers_are_path_and_extents},
        {"random words match known answers", random_words_match_known_answers},
        {"random numbers do not depend on the order of drawing",
         random_numbers_do_not_depend_on_the_order_of_drawing},
        {"seeds, purposes and streams differ", seeds_purposes_and_streams_differ},
        {"uniform numbers fill the unit interval", uniform_numbers_fill_the_unit_interval},
        {"permutations are permutations", permutations_are_permutations},
        {"permutations are uniform", permutations_are_uniform},
        {"memory is aligned and zero", memory_is_aligned_and_zero},
        {"impossible lengths give null", impossible_lengths_give_null},
        {"memory failure is injected once", memory_failure_is_injected_once},
        {"peak memory grows with use", peak_memory_grows_with_use},
        {"clock runs forward", clock_runs_forward},
        {"only rank 0 speaks, and only as loud as asked",
         only_rank_0_speaks_and_only_as_loud_as_asked},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "core", tests);
}
