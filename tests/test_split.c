/* Splits against numpy's known permutations and numpy itself, and the algebra of index sets. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/split.h"
#include "harness.h"

static void known_permutations(void)
{
    static const int64_t seed_0[] = {2, 8, 4, 9, 1, 6, 7, 3, 0, 5};
    static const int64_t seed_42[] = {8, 1, 5, 0, 7, 2, 9, 4, 3, 6};
    int64_t perm[10];
    split_numpy_permutation(0, 10, perm);
    CU_ASSERT_EQUAL(memcmp(perm, seed_0, sizeof perm), 0);
    split_numpy_permutation(42, 10, perm);
    CU_ASSERT_EQUAL(memcmp(perm, seed_42, sizeof perm), 0);
    split_numpy_permutation(7, 1, perm);
    CU_ASSERT_EQUAL(perm[0], 0);
    split_numpy_permutation(7, 0, perm);
}

/* Seeds at both ends of the range, lengths around powers of two (where the rejection mask changes),
 * and one long. */
static const struct {
    uint32_t seed;
    int64_t n;
} numpy_cases[] = {{0, 50000},           {1, 50000}, {1, 40000}, {42, 60000}, {4294967295u, 1000},
                   {2147483648u, 65536}, {3, 65537}, {5, 2},     {6, 3},      {7, 624},
                   {123456789, 100003}};

enum { N_NUMPY_CASE = sizeof numpy_cases / sizeof numpy_cases[0] };

/* One line of SHA-256 per case from numpy, or a shorter file where there is no numpy. */
static FILE *ask_numpy(void)
{
    char command[2000];
    const char *python = getenv("PYTHON");
    size_t at =
        (size_t)snprintf(command, sizeof command,
                         "%s -c 'import sys,hashlib,numpy as np\n"
                         "for case in sys.argv[1:]:\n"
                         "    s,n = map(int, case.split(\":\"))\n"
                         "    np.random.seed(s); a = np.arange(n); np.random.shuffle(a)\n"
                         "    print(hashlib.sha256(a.astype(\"<i8\").tobytes()).hexdigest())'",
                         python && *python ? python : "/usr/bin/python3");
    for (int i = 0; i < N_NUMPY_CASE; i++)
        at += (size_t)snprintf(command + at, sizeof command - at, " %" PRIu32 ":%" PRId64,
                               numpy_cases[i].seed, numpy_cases[i].n);
    snprintf(command + at, sizeof command - at, " 2>/dev/null");
    return popen(command, "r");
}

static void agrees_with_numpy(void)
{
    FILE *f = ask_numpy();
    CU_ASSERT_PTR_NOT_NULL(f);
    if (!f)
        return;
    char line[100], hex[DIGEST_CHARS];
    int n_line = 0;
    for (; n_line < N_NUMPY_CASE && fgets(line, sizeof line, f); n_line++) {
        int64_t n = numpy_cases[n_line].n;
        int64_t *perm = mem_alloc(n, sizeof *perm);
        split_numpy_permutation(numpy_cases[n_line].seed, n, perm);
        CU_ASSERT_EQUAL(digest_of(perm, (size_t)n * sizeof *perm, hex), IAU_OK);
        line[strcspn(line, "\n")] = 0;
        CU_ASSERT_STRING_EQUAL(line, hex);
        free(perm);
    }
    pclose(f);
    if (n_line == 0)
        harness_skip("Python with numpy");
    else
        CU_ASSERT_EQUAL(n_line, N_NUMPY_CASE);
}

static void train_and_valid_cut_one_permutation(void)
{
    enum { N = 1003 };
    int64_t perm[N], *order, n_train;
    struct index_set valid, all, train;
    split_numpy_permutation(9, N, perm);
    CU_ASSERT_EQUAL(split_train_valid(N, 0.2, 9, &order, &n_train, &valid), IAU_OK);
    CU_ASSERT_EQUAL(n_train, 803); /* int(1003 * .2) = 200 for validation */
    CU_ASSERT_EQUAL(valid.n, 200);
    CU_ASSERT_EQUAL(valid.part, PART_TRAIN);
    CU_ASSERT_EQUAL(memcmp(order, perm, 803 * sizeof *perm), 0);
    for (int64_t i = 0; i < 200; i++)
        CU_ASSERT_TRUE(index_set_has(&valid, perm[803 + i]));
    for (int64_t i = 1; i < valid.n; i++)
        CU_ASSERT_TRUE(valid.row[i - 1] < valid.row[i]);
    CU_ASSERT_EQUAL(index_set_all(&all, PART_TRAIN, N), IAU_OK);
    CU_ASSERT_EQUAL(index_set_minus(&train, &all, &valid), IAU_OK);
    CU_ASSERT_EQUAL(train.n, 803);
    for (int64_t i = 0; i < 803; i++)
        CU_ASSERT_TRUE(index_set_has(&train, order[i]));
    free(order);
    index_set_free(&valid);
    index_set_free(&all);
    index_set_free(&train);
}

static void forget_set_addresses_the_shuffled_training_set(void)
{
    int64_t *order, n_train, perm[80];
    struct index_set valid, forget;
    CU_ASSERT_EQUAL(split_train_valid(100, 0.2, 1, &order, &n_train, &valid), IAU_OK);
    CU_ASSERT_EQUAL(split_forget_ratio(order, n_train, 0.1, 3, &forget), IAU_OK);
    split_numpy_permutation(3, 80, perm);
    CU_ASSERT_EQUAL(forget.n, 8);
    for (int i = 0; i < 8; i++)
        CU_ASSERT_TRUE(index_set_has(&forget, order[perm[i]]));
    for (int64_t i = 0; i < forget.n; i++)
        CU_ASSERT_FALSE(index_set_has(&valid, forget.row[i]));
    free(order);
    index_set_free(&valid);
    index_set_free(&forget);
}

static void no_validation_set_is_legal(void)
{
    int64_t *order, n_train;
    struct index_set valid;
    CU_ASSERT_EQUAL(split_train_valid(10, 0, 42, &order, &n_train, &valid), IAU_OK);
    CU_ASSERT_EQUAL(n_train, 10);
    CU_ASSERT_EQUAL(valid.n, 0);
    CU_ASSERT_FALSE(index_set_has(&valid, 0));
    CU_ASSERT_EQUAL(order[0], 8);
    free(order);
    index_set_free(&valid);
}

static void impossible_shares_are_refused(void)
{
    int64_t *order, n_train, ten[10];
    struct index_set s;
    split_numpy_permutation(0, 10, ten);
    harness_expect_error(split_train_valid(10, 1.0, 1, &order, &n_train, &s), IAU_ERR_DATA,
                         "a validation share of 1 leaves no training sample of 10");
    CU_ASSERT_PTR_NULL(order);
    harness_expect_error(split_train_valid(10, -0.1, 1, &order, &n_train, &s), IAU_ERR_DATA,
                         "-0.1");
    harness_expect_error(split_forget_ratio(ten, 10, 0.09, 1, &s), IAU_ERR_DATA,
                         "takes none of 10 training samples");
    harness_expect_error(split_forget_ratio(ten, 10, 1.0, 1, &s), IAU_ERR_DATA,
                         "leaves none of 10 training samples");
    CU_ASSERT_PTR_NULL(s.row);
}

static void sets_are_sorted_and_know_their_rows(void)
{
    static const int64_t row[] = {7, INT64_C(5000000000), 1, 3};
    static const int64_t sorted[] = {1, 3, 7, INT64_C(5000000000)};
    struct index_set s;
    CU_ASSERT_EQUAL(index_set_from_rows(&s, PART_TEST, row, 4), IAU_OK);
    CU_ASSERT_EQUAL(s.n, 4);
    CU_ASSERT_EQUAL(s.part, PART_TEST);
    CU_ASSERT_EQUAL(memcmp(s.row, sorted, sizeof sorted), 0);
    CU_ASSERT_TRUE(index_set_has(&s, INT64_C(5000000000)));
    CU_ASSERT_FALSE(index_set_has(&s, 2));
    CU_ASSERT_FALSE(index_set_has(&s, -1));
    index_set_free(&s);
    index_set_free(&s);
    CU_ASSERT_PTR_NULL(s.row);
    CU_ASSERT_EQUAL(index_set_from_rows(&s, PART_TRAIN, NULL, 0), IAU_OK);
    CU_ASSERT_EQUAL(s.n, 0);
    index_set_free(&s);
}

static void repeated_rows_are_named(void)
{
    static const int64_t row[] = {4, 9, 2, 9};
    struct index_set s;
    harness_expect_error(index_set_from_rows(&s, PART_TRAIN, row, 4), IAU_ERR_DATA,
                         "row 9 of the train part is given more than once");
    CU_ASSERT_PTR_NULL(s.row);
}

static void minus_needs_a_subset(void)
{
    static const int64_t a_row[] = {1, 3, 5, 7}, b_row[] = {3, 7}, c_row[] = {3, 4}, d_row[] = {9};
    struct index_set a, b, c, d, r;
    CU_ASSERT_EQUAL(index_set_from_rows(&a, PART_TRAIN, a_row, 4), IAU_OK);
    CU_ASSERT_EQUAL(index_set_from_rows(&b, PART_TRAIN, b_row, 2), IAU_OK);
    CU_ASSERT_EQUAL(index_set_from_rows(&c, PART_TRAIN, c_row, 2), IAU_OK);
    CU_ASSERT_EQUAL(index_set_from_rows(&d, PART_TRAIN, d_row, 1), IAU_OK);
    CU_ASSERT_EQUAL(index_set_minus(&r, &a, &b), IAU_OK);
    CU_ASSERT_EQUAL(r.n, 2);
    CU_ASSERT_TRUE(r.row[0] == 1 && r.row[1] == 5);
    index_set_free(&r);
    CU_ASSERT_EQUAL(index_set_minus(&r, &a, &a), IAU_OK);
    CU_ASSERT_EQUAL(r.n, 0);
    index_set_free(&r);
    harness_expect_error(index_set_minus(&r, &a, &c), IAU_ERR_DATA, "row 4 of the train part");
    CU_ASSERT_PTR_NULL(r.row);
    harness_expect_error(index_set_minus(&r, &a, &d), IAU_ERR_DATA, "row 9");
    harness_expect_error(index_set_minus(&r, &b, &a), IAU_ERR_DATA, "row 1 ");
    index_set_free(&a);
    index_set_free(&b);
    index_set_free(&c);
    index_set_free(&d);
}

static void short_memory_is_an_error(void)
{
    int64_t *order, n_train;
    struct index_set valid;
    for (int k = 1; k <= 2; k++) { /* the permutation, then the validation set */
        mem_fail_after(k);
        harness_expect_error(split_train_valid(100, 0.2, 1, &order, &n_train, &valid), IAU_ERR_MEM,
                             "");
        mem_fail_after(0);
        CU_ASSERT_PTR_NULL(order);
        CU_ASSERT_PTR_NULL(valid.row);
    }
}

static void the_last_of_a_permutation_are_marked(void)
{
    static const int64_t cases[][2] = {{1, 0},   {1, 1},      {2, 1},     {10, 3},
                                       {64, 64}, {1000, 250}, {1000, 999}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int64_t n = cases[c][0], k = cases[c][1], wrong = 0, perm[1000];
        uint8_t mark[125] = {0};
        split_numpy_permutation(17, n, perm);
        CU_ASSERT_EQUAL(split_numpy_last(17, n, k, mark), IAU_OK);
        for (int64_t i = 0; i < n; i++)
            wrong += (mark[perm[i] / 8] >> perm[i] % 8 & 1) != (i >= n - k);
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"numpy's known permutations", known_permutations},
        {"agrees with numpy itself", agrees_with_numpy},
        {"train and valid cut one permutation", train_and_valid_cut_one_permutation},
        {"forget set addresses the shuffled training set",
         forget_set_addresses_the_shuffled_training_set},
        {"no validation set is legal", no_validation_set_is_legal},
        {"impossible shares are refused", impossible_shares_are_refused},
        {"sets are sorted and know their rows", sets_are_sorted_and_know_their_rows},
        {"repeated rows are named", repeated_rows_are_named},
        {"minus needs a subset", minus_needs_a_subset},
        {"short memory is an error", short_memory_is_an_error},
        {"the last of a permutation are marked", the_last_of_a_permutation_are_marked},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "split", tests);
}
