/* Forget requests: shares, ids and classes become rows of the training set, and every bad request
 * is refused with a message that names what is wrong. */
#define _GNU_SOURCE /* asprintf */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "io/file.h"
#include "small_data.h"

static struct small_data data; /* opened by the first test, closed by the last */
static struct data_opts split = {.seed = 5, .valid = 0.2};
static struct partition plain; /* without a request */

static void open_data(void)
{
    small_data_open(&data, "request.h5", &small_table);
    CU_ASSERT_EQUAL(partition_init(&plain, &data.dataset, &split, NULL, &test_comm), IAU_OK);
}

static int same_set(const struct index_set *a, const struct index_set *b)
{
    return a->n == b->n && a->part == b->part &&
           memcmp(a->row, b->row, (size_t)a->n * sizeof *a->row) == 0;
}

static int ascending(const struct index_set *s)
{
    for (int64_t i = 1; i < s->n; i++)
        if (s->row[i] <= s->row[i - 1])
            return 0;
    return 1;
}

/* Whatever the request: D = D_r + D_f, nothing twice, V untouched. */
static void check_partition(const struct partition *p)
{
    CU_ASSERT_TRUE(same_set(&p->train, &plain.train));
    CU_ASSERT_TRUE(same_set(&p->valid, &plain.valid));
    CU_ASSERT_TRUE(same_set(&p->test, &plain.test));
    CU_ASSERT_EQUAL(p->forget.n + p->retain.n, p->train.n);
    CU_ASSERT_TRUE(ascending(&p->forget) && ascending(&p->retain));
    for (int64_t i = 0; i < p->train.n; i++)
        CU_ASSERT_EQUAL(index_set_has(&p->forget, p->train.row[i]) +
                            index_set_has(&p->retain, p->train.row[i]),
                        1);
}

static void no_request_forgets_nothing(void)
{
    CU_ASSERT_EQUAL(plain.train.n, 328); /* 410 - int(410 * .2) */
    CU_ASSERT_EQUAL(plain.valid.n, 82);
    CU_ASSERT_EQUAL(plain.forget.n, 0);
    CU_ASSERT_EQUAL(plain.test.n, 90);
    CU_ASSERT_EQUAL(plain.test.part, PART_TEST);
    CU_ASSERT_TRUE(same_set(&plain.retain, &plain.train));
    check_partition(&plain);
}

/* --- shares */

/* The rule in numpy's words; prints validation rows, then forgotten rows. */
static const char numpy_rule[] =
    "import sys, numpy as np\n"
    "n, valid, seed, ratio, forget_seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), "
    "float(sys.argv[4]), int(sys.argv[5])\n"
    "np.random.seed(seed); order = np.arange(n); np.random.shuffle(order)\n"
    "k = n - int(n * valid); train, held = order[:k], order[k:]\n"
    "np.random.seed(forget_seed); pick = np.arange(k); np.random.shuffle(pick)\n"
    "for s in held, train[pick[:int(k * ratio)]]: print(len(s), *sorted(s))\n";

/* Compare one printed set; -1 where there is none. */
static int read_set(FILE *f, const struct index_set *s)
{
    int64_t n, row;
    int same = 1;
    if (fscanf(f, "%" SCNd64, &n) != 1)
        return -1;
    same = n == s->n;
    for (int64_t i = 0; i < n && fscanf(f, "%" SCNd64, &row) == 1; i++)
        same = same && row == s->row[i];
    return same;
}

static void a_share_is_numpys(void)
{
    static const struct {
        double valid, ratio;
        int64_t seed, forget_seed;
    } cases[] = {
        {0.2, 0.05, 5, 1}, {0, 0.1, 3, 3}, {0.33, 0.5, 4294967295, 0}, {0.1, 0.997, 1, 77}};
    const char *python = getenv("PYTHON");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct data_opts d = {.seed = cases[i].seed, .valid = cases[i].valid};
        struct forget_opts f = {.ratio = cases[i].ratio, .seed = cases[i].forget_seed};
        struct partition p;
        char command[1200];
        CU_ASSERT_EQUAL(partition_init(&p, &data.dataset, &d, &f, &test_comm), IAU_OK);
        snprintf(command, sizeof command,
                 "%s -c '%s' 410 %g %" PRId64 " %g %" PRId64 " 2>/dev/null",
                 python && *python ? python : "/usr/bin/python3", numpy_rule, d.valid, d.seed,
                 f.ratio, f.seed);
        FILE *numpy = test_comm.rank == 0 ? popen(command, "r") : NULL;
        int found = numpy ? read_set(numpy, &p.valid) : -1;
        if (found >= 0) {
            CU_ASSERT_TRUE(found == 1 && read_set(numpy, &p.forget) == 1);
        } else if (test_comm.rank == 0) {
            harness_skip("Python with numpy");
        }
        if (numpy)
            pclose(numpy);
        partition_free(&p);
    }
}

static void a_share_is_of_the_training_set(void)
{
    struct forget_opts f = {.ratio = 0.05, .seed = 1};
    struct partition p, other;
    CU_ASSERT_EQUAL(partition_init(&p, &data.dataset, &split, &f, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(p.forget.n, 16); /* int(328 * .05) */
    check_partition(&p);
    f.seed = 2;
    CU_ASSERT_EQUAL(partition_init(&other, &data.dataset, &split, &f, &test_comm), IAU_OK);
    CU_ASSERT_FALSE(same_set(&p.forget, &other.forget));
    partition_free(&p);
    partition_free(&other);
}

/* --- ids */

/* Collective. A scratch file with this text; the caller frees its path. */
static char *put_text(const char *name, const char *text, size_t n)
{
    char *path = harness_path(name);
    if (test_comm.rank == 0)
        REQUIRE(file_write_atomic(path, text, n) == IAU_OK);
    comm_barrier(&test_comm);
    return path;
}

/* The request for ids in a file, and what it prints where it fails. */
static int request_ids(struct partition *p, char *path, char *printed, size_t size)
{
    struct forget_opts f = {.ids = path};
    struct capture c;
    capture_begin(&c);
    int rc = partition_init(p, &data.dataset, &split, &f, &test_comm);
    capture_end(&c, printed, size);
    return rc;
}

static int64_t id_of(int64_t position)
{
    return small_data_id(PART_TRAIN, plain.train.row[position]);
}

static void expect_rows(char *path, int n, const int64_t *position)
{
    struct partition p;
    char printed[1000];
    CU_ASSERT_EQUAL(request_ids(&p, path, printed, sizeof printed), IAU_OK);
    CU_ASSERT_STRING_EQUAL(printed, "");
    CU_ASSERT_EQUAL(p.forget.n, n);
    for (int i = 0; i < n && p.forget.n == n; i++)
        CU_ASSERT_EQUAL(p.forget.row[i], plain.train.row[position[i]]);
    if (p.train.n)
        check_partition(&p);
    partition_free(&p);
}

static void ids_from_a_text_file(void)
{
    static const int64_t position[] = {0, 17, 18, 200, 327};
    char text[400];
    int n = snprintf(text, sizeof text,
                     "# deletion requests of Monday, 12 of them refused\r\n"
                     "%" PRId64 ", %" PRId64 "\r\n"
                     "\r\n"
                     "\t%" PRId64 "# the customer's second mail\r\n"
                     "  +%" PRId64 ",%" PRId64,
                     id_of(200), id_of(0), id_of(18), id_of(327), id_of(17));
    char *path = put_text("ids.txt", text, (size_t)n); /* in any order, no end of line at the end */
    expect_rows(path, 5, position);
    free(path);
}

/* A column of ids under some name, beside other arrays or alone. */
static char *put_hdf5(const char *name, const char *column, enum record_type type, int64_t n,
                      const void *id, int with_other)
{
    char *path = harness_path(name);
    struct record r = {0};
    double noise[3] = {1, 2, 3};
    REQUIRE(record_add_column(&r, column, type, n, id) == IAU_OK);
    if (with_other)
        REQUIRE(record_add_column(&r, "/when", RECORD_F64, 3, noise) == IAU_OK);
    if (test_comm.rank == 0)
        REQUIRE(record_write(&r, path) == IAU_OK);
    record_free(&r);
    comm_barrier(&test_comm);
    return path;
}

static void ids_from_an_hdf5_file(void)
{
    static const int64_t position[] = {3, 4, 250};
    int64_t id[] = {id_of(250), id_of(3), id_of(4)};
    int32_t narrow[] = {(int32_t)id[0], (int32_t)id[1], (int32_t)id[2]};
    char *named = put_hdf5("named.h5", "/id", RECORD_I64, 3, id, 1);
    char *alone = put_hdf5("alone.h5", "/people/to_forget", RECORD_I32, 3, narrow, 0);
    expect_rows(named, 3, position);
    expect_rows(alone, 3, position);
    free(named);
    free(alone);
}

/* Every rank gets `code`, one rank prints one line with `part` and the file's name in it, and p is
 * empty. */
static void expect_refusal(char *path, int code, const char *part)
{
    struct partition p;
    char printed[2000];
    int rc = request_ids(&p, path, printed, sizeof printed);
    expect_one_message(rc, code, printed, part);
    expect_one_message(rc, code, printed, path);
    CU_ASSERT_TRUE(!p.train.row && !p.forget.row && !p.valid.row);
    partition_free(&p);
}

static void refuse_text(const char *text, int code, const char *part)
{
    char *path = put_text("refused.txt", text, strlen(text));
    expect_refusal(path, code, part);
    comm_barrier(&test_comm);
    free(path);
}

__attribute__((format(printf, 3, 4))) static void refuse_id(int64_t id, int64_t second,
                                                            const char *fmt, ...)
{
    char text[200], part[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(part, sizeof part, fmt, args);
    va_end(args);
    snprintf(text, sizeof text, "%" PRId64 "\n%" PRId64 "\n", second, id);
    refuse_text(text, IAU_ERR_DATA, part);
}

static void a_limit_keeps_the_first_of_the_shuffle(void)
{
    struct partition p, all;
    struct data_opts few = split;
    few.limit = 100;
    CU_ASSERT_EQUAL(partition_init(&p, &data.dataset, &few, NULL, &test_comm), IAU_OK);
    CU_ASSERT(p.train.n == 80 && p.valid.n == 20 && p.test.n == plain.test.n);
    CU_ASSERT(ascending(&p.train) && ascending(&p.valid));
    for (int64_t i = 0; i < p.train.n; i++)
        CU_ASSERT(index_set_has(&plain.train, p.train.row[i]));
    for (int64_t i = 0; i < p.valid.n; i++)
        CU_ASSERT(index_set_has(&plain.valid, p.valid.row[i]));
    int64_t out = 0; /* the first training sample that is left out */
    while (index_set_has(&p.train, plain.train.row[out]))
        out++;
    char text[40], printed[1000];
    char *ids =
        put_text("out.txt", text, (size_t)snprintf(text, sizeof text, "%" PRId64, id_of(out)));
    partition_free(&p);
    split.limit = 100;
    int rc = request_ids(&p, ids, printed, sizeof printed);
    split.limit = 0;
    char part[100];
    snprintf(part, sizeof part, "id %" PRId64 ", that data.limit leaves out", id_of(out));
    expect_one_message(rc, IAU_ERR_DATA, printed, part);
    comm_barrier(&test_comm);
    free(ids);
    few.limit = 410;
    CU_ASSERT_EQUAL(partition_init(&all, &data.dataset, &few, NULL, &test_comm), IAU_OK);
    CU_ASSERT(same_set(&all.train, &plain.train) && same_set(&all.valid, &plain.valid));
    partition_free(&all);
}

/* What earlier requests removed is in no set, and the rest as if it had never been there. */
static void what_is_gone_is_in_no_set(void)
{
    struct partition p;
    struct forget_opts by_ratio = {.ratio = 0.1, .seed = 3};
    char text[100], printed[2000];
    int n = snprintf(text, sizeof text, "%" PRId64 "\n%" PRId64 "\n", id_of(7), id_of(100));
    char *gone = put_text("gone.txt", text, (size_t)n);
    split.without = gone;
    CU_ASSERT_EQUAL(partition_init(&p, &data.dataset, &split, &by_ratio, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(p.train.n, plain.train.n - 2);
    CU_ASSERT_EQUAL(p.forget.n, 32); /* int(326 * 0.1) */
    CU_ASSERT_EQUAL(p.retain.n, 326 - 32);
    for (int64_t i = 0; i < plain.train.n; i++)
        CU_ASSERT_EQUAL(index_set_has(&p.train, plain.train.row[i]), i != 7 && i != 100);
    CU_ASSERT(same_set(&p.valid, &plain.valid) && same_set(&p.test, &plain.test));
    partition_free(&p);
    n = snprintf(text, sizeof text, "%" PRId64 "\n%" PRId64 "\n", id_of(3), id_of(100));
    char *ids = put_text("again.txt", text, (size_t)n);
    int rc = request_ids(&p, ids, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_DATA, printed, "gone.txt says is gone already");
    snprintf(text, sizeof text, "names a sample, id %" PRId64 ", that ", id_of(100));
    expect_one_message(rc, IAU_ERR_DATA, printed, text);
    comm_barrier(&test_comm);
    split.without = ids;
    CU_ASSERT_EQUAL(partition_init(&p, &data.dataset, &split, NULL, &test_comm), IAU_OK);
    CU_ASSERT(p.train.n == plain.train.n - 2 && p.forget.n == 0 && same_set(&p.retain, &p.train));
    partition_free(&p);
    split.without = NULL;
    comm_barrier(&test_comm);
    free(gone);
    free(ids);
}

static void ids_that_cannot_be_forgotten(void)
{
    int64_t test = small_data_id(PART_TEST, 12),
            held = small_data_id(PART_TRAIN, plain.valid.row[40]);
    refuse_id(12345, id_of(7), "id 12345 is not in ");
    refuse_id(-3, id_of(7), "id -3 is not in ");
    refuse_id(INT64_MAX, id_of(7), "id %" PRId64 " is not in ", INT64_MAX);
    refuse_id(test, id_of(7),
              "id %" PRId64 " is a test sample; only training samples can be forgotten", test);
    refuse_id(held, id_of(7), "id %" PRId64 " was held out for validation", held);
    refuse_id(id_of(7), id_of(7), "id %" PRId64 " is named twice", id_of(7));
}

static void text_that_is_no_list_of_ids(void)
{
    char line[100];
    refuse_text("", IAU_ERR_DATA, "names no training sample");
    refuse_text("# nobody today\n\n  \n", IAU_ERR_DATA, "names no training sample");
    refuse_text("7000\n6997\nsix\n", IAU_ERR_FORMAT, ":3: 'six' is no sample id");
    refuse_text("7000, 6997.5\n", IAU_ERR_FORMAT, ":1: '6997.5' is no sample id");
    refuse_text("# one\n\n7000;6997\n", IAU_ERR_FORMAT, ":3: '7000;6997' is no sample id");
    refuse_text("0x1b58\n", IAU_ERR_FORMAT, ":1: '0x1b58' is no sample id");
    refuse_text("99999999999999999999\n", IAU_ERR_FORMAT,
                ":1: '99999999999999999999' is no sample id");
    snprintf(line, sizeof line, "%" PRId64 "\r\n-\r\n", id_of(1));
    refuse_text(line, IAU_ERR_FORMAT, ":2: '-' is no sample id");
    char *path =
        put_text("refused.txt", "7000\n\0\n6997\n", 12); /* a NUL would end a C string quietly */
    expect_refusal(path, IAU_ERR_FORMAT, ":2: '");
    free(path);
}

static void files_that_hold_no_ids(void)
{
    double id[] = {7000, 6997};
    int64_t none = 0;
    char *missing = harness_path("missing.txt"), *directory = harness_path(".");
    char *floats = put_hdf5("floats.h5", "/id", RECORD_F64, 2, id, 0);
    char *several = put_hdf5("several.h5", "/sample", RECORD_I64, 1, &none, 1);
    char *empty = put_hdf5("empty.h5", "/id", RECORD_I64, 0, &none, 0);
    static const char stump[] = "\x89HDF\r\n\x1a\n and no more";
    char *broken = put_text("broken.h5", stump, sizeof stump);
    expect_refusal(missing, IAU_ERR_IO, "No such file");
    expect_refusal(directory, IAU_ERR_IO, "directory");
    expect_refusal(floats, IAU_ERR_FORMAT, "has no one-dimensional integer data set 'id'");
    expect_refusal(several, IAU_ERR_FORMAT, "has no one-dimensional integer data set 'id'");
    expect_refusal(empty, IAU_ERR_DATA, "names no training sample");
    expect_refusal(broken, IAU_ERR_FORMAT, "cannot open it");
    free(missing);
    free(directory);
    free(floats);
    free(several);
    free(empty);
    free(broken);
}

static void all_training_samples_cannot_be_forgotten(void)
{
    int64_t id[410];
    for (int64_t i = 0; i < plain.train.n; i++)
        id[i] = id_of(plain.train.n - 1 - i);
    char *all = put_hdf5("all.h5", "/id", RECORD_I64, plain.train.n, id, 0);
    expect_refusal(all, IAU_ERR_DATA, "names all 328 training samples; nothing would be left");
    char *but_one = put_hdf5("but_one.h5", "/id", RECORD_I64, plain.train.n - 1, id, 0);
    struct partition p;
    char printed[1000];
    CU_ASSERT_EQUAL(request_ids(&p, but_one, printed, sizeof printed), IAU_OK);
    CU_ASSERT_EQUAL(p.retain.n, 1);
    CU_ASSERT_TRUE(p.retain.n == 1 && p.retain.row[0] == plain.train.row[0]);
    partition_free(&p);
    free(all);
    free(but_one);
}

/* --- classes */

static int request_classes(struct partition *p, int64_t n, int64_t *classes, char *printed,
                           size_t size)
{
    struct forget_opts f = {.ids = (char[]){""}, .classes = {n, classes}};
    struct capture c;
    capture_begin(&c);
    int rc = partition_init(p, &data.dataset, &split, &f, &test_comm);
    capture_end(&c, printed, size);
    return rc;
}

static void whole_classes(void)
{
    struct partition p;
    char printed[1000];
    int64_t classes[] = {2, 0,
                         2}; /* a class named twice is no harm: its samples are forgotten once */
    CU_ASSERT_EQUAL(request_classes(&p, 3, classes, printed, sizeof printed), IAU_OK);
    check_partition(&p);
    for (int64_t i = 0; i < p.train.n; i++) {
        int32_t label = data.rows[PART_TRAIN].label[p.train.row[i]];
        CU_ASSERT_EQUAL(index_set_has(&p.forget, p.train.row[i]), label != 1);
    }
    CU_ASSERT_TRUE(p.forget.n > 0 && p.retain.n > 0);
    partition_free(&p);
}

static void classes_that_cannot_be_forgotten(void)
{
    struct partition p;
    char printed[1000];
    int64_t too_high[] = {0, 3}, negative[] = {-1}, all[] = {0, 1, 2};
    int rc = request_classes(&p, 2, too_high, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_DATA, printed, "has classes 0 to 2, not 3");
    rc = request_classes(&p, 1, negative, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_DATA, printed, "has classes 0 to 2, not -1");
    rc = request_classes(&p, 3, all, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_DATA, printed, "names all 328 training samples");
    CU_ASSERT_PTR_NULL(p.train.row);
}

static void shares_that_cannot_be_forgotten(void)
{
    static const struct {
        double valid, ratio;
        const char *part;
    } cases[] = {{0.2, 0.003, "takes none of 328 training samples"},
                 {0.2, 1, "leaves none of 328 training samples"},
                 {1, 0.05, "leaves no training sample"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct data_opts d = {.seed = 5, .valid = cases[i].valid};
        struct forget_opts f = {.ratio = cases[i].ratio};
        struct partition p;
        struct capture c;
        char printed[1000];
        capture_begin(&c);
        int rc = partition_init(&p, &data.dataset, &d, &f, &test_comm);
        capture_end(&c, printed, sizeof printed);
        expect_one_message(rc, IAU_ERR_DATA, printed, cases[i].part);
    }
}

/* --- one failing rank */

static void short_memory_on_one_rank(void)
{
    char text[100];
    int n = snprintf(text, sizeof text, "%" PRId64 " %" PRId64, id_of(4), id_of(9));
    char *path = put_text("ids.txt", text, (size_t)n);
    int k = 1, rc = IAU_ERR_MEM;
    for (; k < 200 && rc != IAU_OK; k++) { /* each allocation in turn, until none fails */
        struct partition p;
        char printed[1000];
        if (test_comm.rank == test_comm.size - 1)
            mem_fail_after(k);
        rc = request_ids(&p, path, printed, sizeof printed);
        mem_fail_after(0);
        if (rc != IAU_OK)
            expect_one_message(rc, IAU_ERR_MEM, printed, "error");
        partition_free(&p);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT_TRUE(k > 5);
    free(path);
}

static void close_data(void)
{
    partition_free(&plain);
    small_data_close(&data);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", open_data},
        {"no request forgets nothing", no_request_forgets_nothing},
        {"a share is numpy's", a_share_is_numpys},
        {"a share is of the training set", a_share_is_of_the_training_set},
        {"ids from a text file", ids_from_a_text_file},
        {"ids from an HDF5 file", ids_from_an_hdf5_file},
        {"a limit keeps the first of the shuffle", a_limit_keeps_the_first_of_the_shuffle},
        {"what is gone is in no set", what_is_gone_is_in_no_set},
        {"ids that cannot be forgotten", ids_that_cannot_be_forgotten},
        {"text that is no list of ids", text_that_is_no_list_of_ids},
        {"files that hold no ids", files_that_hold_no_ids},
        {"all training samples cannot be forgotten", all_training_samples_cannot_be_forgotten},
        {"whole classes", whole_classes},
        {"classes that cannot be forgotten", classes_that_cannot_be_forgotten},
        {"shares that cannot be forgotten", shares_that_cannot_be_forgotten},
        {"short memory on one rank", short_memory_on_one_rank},
        {"close the data", close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "request", tests);
}
