/* Dataset files: what is described and loaded, on any share of rows, and what is refused, by one
 * message for all. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/rows.h"
#include "data/shard.h"
#include "harness.h"
#include "io/file.h"
#include "io/h5.h"

enum { N_TRAIN = 5003, N_TEST = 37, N_CLASS = 4 };
enum { C = 2, H = 3, W = 5, FEATURES = C * H * W };

/* What is wrong with a file that a test makes. */
enum flaw {
    NONE,
    NO_FORMAT,
    OTHER_FORMAT,
    NEW_VERSION,
    NO_NAME,
    NO_CLASSES,
    ONE_CLASS,
    FEW_NAMES,
    NO_MEAN,
    NAN_STD,
    NO_DIGEST,
    ODD_DIGEST,
    OTHER_DIGEST,
    NO_X,
    NO_TEST,
    X_INT32,
    X_3D,
    X_EMPTY,
    TEST_OTHER_SHAPE,
    TEST_OTHER_TYPE,
    Y_SHORT,
    Y_INT64,
    ID_SHORT,
    ID_INT32,
    BAD_LABEL,
    NEGATIVE_LABEL,
    NAN_VALUE
};

struct sort {
    int is_u8, is_table;
    enum flaw flaw;
};

static int value(enum dataset_part part, int64_t row, int64_t k)
{
    return (int)((row * 31 + k * 7 + part * 101) % 251);
}

static int32_t label(int64_t row)
{
    return (int32_t)(row * 7 % N_CLASS);
}

static int write_array(struct h5 *f, const char *path, enum record_type type, int ndim,
                       const int64_t *dims, const void *v)
{
    struct h5_array a = {0};
    int rc = IAU_OK;
    TRY(h5_array_create(&a, f, path, type, ndim, dims, &(struct h5_layout){4096, 0}));
    TRY(h5_array_write(&a, 0, dims[0], v));
out:
    h5_array_close(&a);
    return rc;
}

static int write_samples(struct h5 *f, enum dataset_part part, const char *path,
                         const struct sort *s)
{
    int64_t n = s->flaw == X_EMPTY ? 0 : part == PART_TRAIN ? N_TRAIN : N_TEST;
    int64_t dims[4] = {n, s->is_table ? FEATURES : C, H, W};
    int ndim = s->flaw == X_3D ? 3 : s->is_table ? 2 : 4;
    int is_u8 = s->is_u8 != (s->flaw == TEST_OTHER_TYPE && part == PART_TEST);
    if (s->flaw == TEST_OTHER_SHAPE && part == PART_TEST) {
        dims[1] = FEATURES - 1;
        dims[2] = dims[3] = 1;
    }
    enum record_type type = s->flaw == X_INT32 ? RECORD_I32 : is_u8 ? RECORD_U8 : RECORD_F32;
    uint8_t *u8 = mem_alloc(N_TRAIN * FEATURES, 1);
    float *f32 = mem_alloc(N_TRAIN * FEATURES, sizeof *f32);
    for (int64_t i = 0; i < n * FEATURES; i++) {
        u8[i] = (uint8_t)value(part, i / FEATURES, i % FEATURES);
        f32[i] = (float)u8[i] * 0.5f - 3;
    }
    if (s->flaw == NAN_VALUE)
        f32[11 * FEATURES + 3] = NAN;
    int rc = write_array(f, path, type, ndim, dims, type == RECORD_U8 ? (void *)u8 : f32);
    free(u8);
    free(f32);
    return rc;
}

static int write_columns(struct h5 *f, enum dataset_part part, const char *y_path,
                         const char *id_path, enum flaw flaw)
{
    int64_t n = part == PART_TRAIN ? N_TRAIN : N_TEST, n_y = n - (flaw == Y_SHORT),
            n_id = n - (flaw == ID_SHORT);
    int32_t *y = mem_alloc(2 * N_TRAIN, sizeof *y);
    int64_t *id = mem_alloc(N_TRAIN, sizeof *id);
    for (int64_t i = 0; i < n; i++) {
        y[i] = label(i);
        id[i] = i + (part == PART_TEST ? N_TRAIN : 0);
    }
    if (flaw == BAD_LABEL || flaw == NEGATIVE_LABEL)
        y[7] = flaw == BAD_LABEL ? N_CLASS : -1;
    int rc = write_array(f, y_path, flaw == Y_INT64 ? RECORD_I64 : RECORD_I32, 1, &n_y, y);
    if (rc == IAU_OK)
        rc = write_array(f, id_path, flaw == ID_INT32 ? RECORD_I32 : RECORD_I64, 1, &n_id, id);
    free(y);
    free(id);
    return rc;
}

static int write_attributes(struct h5 *f, const struct sort *s, const char *digest)
{
    float mean[FEATURES], std[FEATURES];
    char *name[N_CLASS] = {"a", "b", "c", "long name"};
    int64_t n_channel = s->is_table ? FEATURES : C;
    int rc = IAU_OK;
    for (int i = 0; i < FEATURES; i++) {
        mean[i] = 0.25f * (float)i;
        std[i] = s->flaw == NAN_STD ? NAN : 2;
    }
    if (s->flaw != NO_FORMAT)
        TRY(h5_set_text(f, "/", "format", s->flaw == OTHER_FORMAT ? "iau-model" : DATASET_FORMAT));
    TRY(h5_set_i64(f, "/", "version", s->flaw == NEW_VERSION ? 2 : 1));
    if (s->flaw != NO_NAME)
        TRY(h5_set_text(f, "/", "name", "made up"));
    if (s->flaw != NO_CLASSES)
        TRY(h5_set_i64(f, "/", "classes", s->flaw == ONE_CLASS ? 1 : N_CLASS));
    TRY(h5_set_texts(f, "/", "class_names", s->flaw == FEW_NAMES ? 3 : N_CLASS, name));
    if (s->flaw != NO_MEAN)
        TRY(h5_set_floats(f, "/", "mean", n_channel, mean));
    TRY(h5_set_floats(f, "/", "std", n_channel, std));
    if (s->flaw != NO_DIGEST)
        TRY(h5_set_text(f, "/", "digest", s->flaw == ODD_DIGEST ? "abc" : digest));
out:
    return rc;
}

static int write_dataset(const char *path, const struct sort *s, const char *digest)
{
    struct h5 f = {0};
    int rc = IAU_OK;
    TRY(h5_create(&f, path, path));
    if (s->flaw != NO_X)
        TRY(write_samples(&f, PART_TRAIN, "/train/x", s));
    TRY(write_columns(&f, PART_TRAIN, "/train/y", "/train/id", s->flaw));
    if (s->flaw != NO_TEST) {
        TRY(write_samples(&f, PART_TEST, "/test/x", s));
        TRY(write_columns(&f, PART_TEST, "/test/y", "/test/id", NONE));
    }
    TRY(write_attributes(&f, s, digest));
    TRY(h5_close(&f));
out:
    h5_close(&f);
    return rc;
}

static char a_digest[DIGEST_CHARS] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* Collective. A dataset file made by rank 0, with its true digest where it can be opened; the
 * caller frees. */
static char *make(const char *name, struct sort s)
{
    char *path = harness_path(name), hex[DIGEST_CHARS];
    if (test_comm.rank == 0) {
        CU_ASSERT_EQUAL(write_dataset(path, &s, a_digest), IAU_OK);
        int rc = s.flaw == OTHER_DIGEST ? IAU_OK : dataset_verify(path, hex);
        if (rc == IAU_ERR_FORMAT && strlen(hex) == DIGEST_CHARS - 1)
            CU_ASSERT_EQUAL(write_dataset(path, &s, hex), IAU_OK);
        error_clear();
    }
    comm_barrier(&test_comm);
    return path;
}

/* --- what is read */

static void a_dataset_is_described(void)
{
    char *path = make("described.h5", (struct sort){.is_u8 = 1});
    struct dataset d;
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    CU_ASSERT(d.n[PART_TRAIN] == N_TRAIN && d.n[PART_TEST] == N_TEST);
    CU_ASSERT(d.c == C && d.h == H && d.w == W && d.is_u8 && !d.is_table);
    CU_ASSERT(d.n_class == N_CLASS && !strcmp(d.class_name[3], "long name") &&
              !strcmp(d.name, "made up"));
    CU_ASSERT(d.mean[1] == 0.25f && d.std[0] == 2);
    CU_ASSERT_EQUAL(strlen(d.digest), DIGEST_CHARS - 1);
    dataset_close(&d);
    dataset_close(&d);
    free(path);
    path = make("table.h5", (struct sort){.is_table = 1});
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    CU_ASSERT(d.c == FEATURES && d.h == 1 && d.w == 1 && !d.is_u8 && d.is_table);
    CU_ASSERT(d.mean[FEATURES - 1] == 0.25f * (FEATURES - 1));
    dataset_close(&d);
    free(path);
}

/* How many of the loaded rows differ from what was written. */
static int64_t wrong_rows(const struct rows *r, const struct dataset *d, const int64_t *row)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < r->n; i++) {
        int bad = r->label[i] != label(row[i]);
        for (int64_t k = 0; k < FEATURES; k++) {
            int v = value(r->part, row[i], k);
            bad |= d->is_u8 ? ((uint8_t *)r->x)[i * FEATURES + k] != v
                            : ((float *)r->x)[i * FEATURES + k] != (float)v * 0.5f - 3;
        }
        wrong += bad;
    }
    return wrong;
}

/* Load every row that a rule keeps and compare. */
static int64_t load_some(const struct dataset *d, enum dataset_part part, struct range range,
                         int64_t modulus, int64_t keep)
{
    struct rows r;
    int64_t n = 0, *row = mem_alloc(range.end - range.begin, sizeof *row);
    for (int64_t i = range.begin; i < range.end; i++)
        if ((uint64_t)i * 0x9e3779b97f4a7c15u % (uint64_t)modulus < (uint64_t)keep)
            row[n++] = i;
    CU_ASSERT_EQUAL(rows_load(&r, d, part, row, n), IAU_OK);
    CU_ASSERT(r.n == n && r.part == part &&
              r.sample_bytes == FEATURES * (d->is_u8 ? 1 : sizeof(float)));
    CU_ASSERT_EQUAL(wrong_rows(&r, d, row), 0);
    rows_free(&r);
    free(row);
    return n;
}

static void any_rows_are_loaded_by_any_rank(void)
{
    const struct sort sorts[] = {{.is_u8 = 1}, {.is_u8 = 0}, {.is_table = 1}};
    for (int k = 0; k < 3; k++) {
        char *path = make("rows.h5", sorts[k]);
        struct dataset d;
        CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
        struct range mine = shard_range(N_TRAIN, test_comm.rank, test_comm.size);
        int64_t n = load_some(&d, PART_TRAIN, mine, 1, 1);
        comm_sum_i64(&test_comm, &n, 1);
        CU_ASSERT_EQUAL(n, N_TRAIN);
        load_some(&d, PART_TRAIN, (struct range){0, N_TRAIN}, 10, 3);   /* scattered */
        load_some(&d, PART_TRAIN, (struct range){0, N_TRAIN}, 1000, 1); /* rare */
        load_some(&d, PART_TEST, (struct range){0, N_TEST}, 1, 1);
        load_some(&d, PART_TRAIN, (struct range){N_TRAIN - 1, N_TRAIN}, 1, 1);
        CU_ASSERT_EQUAL(load_some(&d, PART_TRAIN, (struct range){5, 5}, 1, 1), 0);
        dataset_close(&d);
        comm_barrier(&test_comm);
        free(path);
    }
}

static void columns_are_read_whole(void)
{
    char *path = make("columns.h5", (struct sort){.is_u8 = 1});
    struct dataset d;
    int32_t *y;
    int64_t *id, wrong = 0;
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(dataset_read_labels(&d, PART_TRAIN, &y), IAU_OK);
    CU_ASSERT_EQUAL(dataset_read_ids(&d, PART_TEST, &id), IAU_OK);
    for (int64_t i = 0; i < N_TRAIN; i++)
        wrong += y[i] != label(i);
    for (int64_t i = 0; i < N_TEST; i++)
        wrong += id[i] != N_TRAIN + i;
    CU_ASSERT_EQUAL(wrong, 0);
    free(y);
    free(id);
    dataset_close(&d);
    free(path);
}

static void the_digest_is_verified(void)
{
    char *path = make("verified.h5", (struct sort){.is_u8 = 1}), hex[DIGEST_CHARS];
    struct dataset d;
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(dataset_verify(path, hex), IAU_OK);
    CU_ASSERT_STRING_EQUAL(hex, d.digest);
    dataset_close(&d);
    free(path);
    path = make("unverified.h5", (struct sort){.is_u8 = 1, .flaw = OTHER_DIGEST});
    harness_expect_error(
        dataset_verify(path, hex), IAU_ERR_FORMAT,
        "unverified.h5: the stored digest 0123456789ab... is not that of the data");
    free(path);
}

/* --- what is refused */

/* Collective. Open on every rank; all must get `code`, and one message that contains `text`. */
static void expect_no_open(const char *path, int code, const char *text)
{
    struct dataset d;
    struct capture c;
    char printed[1024];
    capture_begin(&c);
    int rc = dataset_open(&d, path, &test_comm);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(rc, code, printed, text);
    CU_ASSERT(d.path == NULL && d.class_name == NULL && d.n[PART_TRAIN] == 0);
    dataset_close(&d);
}

static void flawed_files_are_refused_by_name(void)
{
    const struct {
        enum flaw flaw;
        const char *text;
    } cases[] = {{NO_FORMAT, "bad.h5 has no attribute 'format' at /"},
                 {OTHER_FORMAT, "bad.h5 is no dataset file: its format is 'iau-model'"},
                 {NEW_VERSION, "version 2, this program reads version 1"},
                 {NO_NAME, "no attribute 'name'"},
                 {NO_CLASSES, "no attribute 'classes'"},
                 {ONE_CLASS, "'classes' is 1, at least 2"},
                 {FEW_NAMES, "'class_names' at / is no list of 4 texts"},
                 {NO_MEAN, "no attribute 'mean'"},
                 {NAN_STD, "mean or std of channel 0"},
                 {NO_DIGEST, "no attribute 'digest'"},
                 {ODD_DIGEST, "'digest' is no SHA-256 digest"},
                 {NO_X, "bad.h5 has no /train/x"},
                 {NO_TEST, "bad.h5 has no /test/x"},
                 {X_INT32, "/train/x is not uint8 or float32"},
                 {X_3D, "/train/x is not uint8 or float32 with 4 or 2 extents"},
                 {X_EMPTY, "/train/x is empty"},
                 {TEST_OTHER_SHAPE, "/test/x has other samples than /train/x"},
                 {TEST_OTHER_TYPE, "/test/x has other samples than /train/x"},
                 {Y_SHORT, "/train/y is not int32 with 5003 rows"},
                 {Y_INT64, "/train/y is not int32"},
                 {ID_SHORT, "/train/id is not int64 with 5003 rows"},
                 {ID_INT32, "/train/id is not int64"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = make("bad.h5", (struct sort){.is_u8 = 1, .flaw = cases[i].flaw});
        expect_no_open(path, IAU_ERR_FORMAT, cases[i].text);
        free(path);
    }
}

static void put_bytes(const char *path, const char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

/* Collective. Rank 0 replaces a file; the others wait. */
static void replace_by(const char *path, const char *p, size_t n)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        put_bytes(path, p, n);
    comm_barrier(&test_comm);
}

static void truncated_and_foreign_files_are_refused(void)
{
    char *path = make("short.h5", (struct sort){.is_u8 = 1}), *p;
    size_t n;
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, 1 << 24), IAU_OK);
    for (size_t k = 0; k < 16; k++) {
        replace_by(path, p, n * k / 16);
        expect_no_open(path, IAU_ERR_FORMAT,
                       k ? "short.h5: cannot open it: the file is truncated"
                         : "short.h5 is not an HDF5 file");
    }
    replace_by(path, "no HDF5, but text of some length, longer than any signature", 50);
    expect_no_open(path, IAU_ERR_FORMAT, "short.h5 is not an HDF5 file");
    expect_no_open("/nonexistent/d.h5", IAU_ERR_IO,
                   "cannot open /nonexistent/d.h5: No such file or directory");
    expect_no_open("/tmp", IAU_ERR_IO, "/tmp is no regular file");
    free(p);
    free(path);
}

static void one_rank_without_the_file_stops_all(void)
{
    char *path = make("one.h5", (struct sort){.is_u8 = 1}), *absent = harness_path("absent.h5");
    expect_no_open(test_comm.rank == test_comm.size - 1 ? absent : path, IAU_ERR_IO,
                   "absent.h5: No such file or directory");
    free(absent);
    free(path);
}

static void one_rank_short_of_memory_stops_all(void)
{
    char *path = make("memory.h5", (struct sort){.is_u8 = 1});
    struct dataset d;
    int rc = IAU_ERR_MEM;
    int64_t k;
    for (k = 1; rc != IAU_OK && k < 200; k++) {
        struct capture c;
        char printed[1024];
        if (test_comm.rank == test_comm.size - 1)
            mem_fail_after(k);
        capture_begin(&c);
        rc = dataset_open(&d, path, &test_comm);
        capture_end(&c, printed, sizeof printed);
        mem_fail_after(0);
        if (rc != IAU_OK)
            expect_one_message(rc, IAU_ERR_MEM, printed, "no memory");
    }
    CU_ASSERT(k > 10 && rc == IAU_OK);
    /* Loading is local: here the rank finds out alone. */
    const int64_t row[3] = {1, 2, 9};
    rc = IAU_ERR_MEM;
    for (k = 1; rc != IAU_OK && k < 200; k++) {
        struct rows r;
        mem_fail_after(k);
        rc = rows_load(&r, &d, PART_TRAIN, row, 3);
        mem_fail_after(0);
        CU_ASSERT(rc == IAU_OK ||
                  (rc == IAU_ERR_MEM && r.x == NULL && strstr(error_message(), "no memory")));
        error_clear();
        rows_free(&r);
    }
    CU_ASSERT(k > 4 && rc == IAU_OK);
    dataset_close(&d);
    free(path);
}

static void bad_labels_and_values_name_their_row(void)
{
    const int64_t row[4] = {2, 7, 11, 30};
    const struct {
        enum flaw flaw;
        const char *text;
    } cases[] = {{BAD_LABEL, "label 4 in row 7 of /train/y is not in 0..3"},
                 {NEGATIVE_LABEL, "label -1 in row 7 of /train/y is not in 0..3"},
                 {NAN_VALUE, "a value in row 11 of /train/x is not finite"}};
    for (int i = 0; i < 3; i++) {
        char *path = make("values.h5", (struct sort){.flaw = cases[i].flaw});
        struct dataset d;
        struct rows r;
        int32_t *y;
        CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
        harness_expect_error(rows_load(&r, &d, PART_TRAIN, row, 4), IAU_ERR_FORMAT, cases[i].text);
        CU_ASSERT(r.x == NULL && r.label == NULL);
        CU_ASSERT_EQUAL(rows_load(&r, &d, PART_TRAIN, row, 1), IAU_OK); /* others are fine */
        rows_free(&r);
        int rc = dataset_read_labels(&d, PART_TRAIN, &y);
        if (cases[i].flaw == NAN_VALUE) {
            CU_ASSERT_EQUAL(rc, IAU_OK);
            free(y);
        } else {
            harness_expect_error(rc, IAU_ERR_FORMAT, cases[i].text);
        }
        harness_expect_error(rows_load(&r, &d, PART_TEST, (int64_t[]){N_TEST}, 1), IAU_ERR_DATA,
                             "/test/y has no row 37");
        harness_expect_error(rows_load(&r, &d, PART_TEST, (int64_t[]){-1, 3}, 2), IAU_ERR_DATA,
                             "/test/y has no row -1");
        dataset_close(&d);
        comm_barrier(&test_comm);
        free(path);
    }
}

/* Where the stored samples of a row begin in a file. */
static char *find_row(char *p, size_t n, int64_t row)
{
    char sample[FEATURES];
    for (int64_t k = 0; k < FEATURES; k++)
        sample[k] = (char)value(PART_TRAIN, row, k);
    for (size_t i = 0; i + FEATURES <= n; i++)
        if (!memcmp(p + i, sample, FEATURES))
            return p + i;
    return NULL;
}

static void damaged_samples_name_file_and_rows(void)
{
    char *path = make("damaged.h5", (struct sort){.is_u8 = 1}), *p, hex[DIGEST_CHARS];
    struct dataset d;
    struct rows r;
    size_t n;
    const int64_t row[3] = {149, 150, 152};
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, 1 << 24), IAU_OK);
    char *at = find_row(p, n, 150); /* rows repeat after 251: in the first two chunks */
    CU_ASSERT_PTR_NOT_NULL(at);
    if (at)
        at[3] ^= 1;
    replace_by(path, p, n);
    harness_expect_error(rows_load(&r, &d, PART_TRAIN, row, 3), IAU_ERR_FORMAT,
                         "damaged.h5: cannot read /train/x rows 149 to 152: checksum mismatch");
    harness_expect_error(dataset_verify(path, hex), IAU_ERR_FORMAT,
                         "checksum mismatch, the file is damaged");
    load_some(&d, PART_TRAIN, (struct range){N_TRAIN - 300, N_TRAIN}, 1, 1); /* another chunk */
    dataset_close(&d);
    free(p);
    free(path);
}

static void a_dataset_replaced_during_the_run_is_noticed(void)
{
    char *path = make("replaced.h5", (struct sort){.is_u8 = 1});
    struct dataset d;
    struct rows r;
    int64_t *id;
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    comm_barrier(&test_comm);
    free(make("replaced.h5", (struct sort){.is_table = 1}));
    harness_expect_error(rows_load(&r, &d, PART_TRAIN, (int64_t[]){1}, 1), IAU_ERR_FORMAT,
                         "replaced.h5 has been replaced by another dataset");
    harness_expect_error(dataset_read_ids(&d, PART_TRAIN, &id), IAU_ERR_FORMAT,
                         "has been replaced");
    dataset_close(&d);
    free(path);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a dataset is described", a_dataset_is_described},
        {"any rows are loaded by any rank", any_rows_are_loaded_by_any_rank},
        {"columns are read whole", columns_are_read_whole},
        {"the digest is verified", the_digest_is_verified},
        {"flawed files are refused by name", flawed_files_are_refused_by_name},
        {"truncated and foreign files are refused", truncated_and_foreign_files_are_refused},
        {"one rank without the file stops all", one_rank_without_the_file_stops_all},
        {"one rank short of memory stops all", one_rank_short_of_memory_stops_all},
        {"bad labels and values name their row", bad_labels_and_values_name_their_row},
        {"damaged samples name file and rows", damaged_samples_name_file_and_rows},
        {"a dataset replaced during the run is noticed",
         a_dataset_replaced_during_the_run_is_noticed},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "dataset", tests);
}
