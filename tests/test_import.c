/* Import of IDX and CIFAR-10 files: what arrives, and what bad sources and full disks do. */
#define _GNU_SOURCE /* asprintf, unshare */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/rows.h"
#include "data/split.h"
#include "import_case.h"
#include "io/file.h"
#include "small_disk.h"

enum {
    N_TRAIN = 700,
    N_TEST = 90,
    SIDE = 9,
    PIXELS = SIDE * SIDE,
    N_FILE = 4,
    CIFAR_PIXELS = 3072
};

static const char *const idx_name[N_FILE] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                             "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

/* --- sources */

static int n_rows(enum dataset_part part)
{
    return part == PART_TRAIN ? N_TRAIN : N_TEST;
}

static uint8_t pixel(enum dataset_part part, int64_t row, int64_t k)
{
    return (uint8_t)((row * 37 + k * 11 + part * 5) % 256);
}

static uint8_t label(int64_t row)
{
    return (uint8_t)(row * 7 % 10);
}

/* The bytes of one IDX file; the caller frees. */
static uint8_t *idx_bytes(int which, size_t *n)
{
    enum dataset_part part = which / 2 ? PART_TEST : PART_TRAIN;
    int is_label = which % 2;
    size_t head = is_label ? 8 : 16, row = is_label ? 1 : PIXELS;
    *n = head + (size_t)n_rows(part) * row;
    uint8_t *p = calloc(*n, 1);
    p[2] = 8;
    p[3] = is_label ? 1 : 3;
    p[6] = (uint8_t)(n_rows(part) >> 8);
    p[7] = (uint8_t)n_rows(part);
    if (!is_label)
        p[11] = p[15] = SIDE;
    for (int64_t i = 0; i < n_rows(part); i++)
        for (size_t k = 0; k < row; k++)
            p[head + (size_t)i * row + k] = is_label ? label(i) : pixel(part, i, (int64_t)k);
    return p;
}

/* A directory with good IDX files, as rank 0 makes it; the caller frees. All ranks may call it. */
static char *idx_directory(const char *name, int compressed)
{
    char *dir = harness_path(name);
    for (int i = 0; test_comm.rank == 0 && i < N_FILE; i++) {
        size_t n;
        uint8_t *p = idx_bytes(i, &n);
        char *plain = join(dir, idx_name[i]), *gz = NULL;
        REQUIRE(asprintf(&gz, "%s.gz", plain) >= 0);
        mkdir(dir, 0777);
        if (compressed)
            put_gzip(gz, p, n);
        else
            put_bytes(plain, p, n);
        free(gz);
        free(plain);
        free(p);
    }
    return dir;
}

/* One CIFAR-10 batch of n records; those after the first have the label of their row. */
static void put_batch(const char *path, int n, int first_row, int first_label)
{
    uint8_t *p = calloc((size_t)n + 1, 1 + CIFAR_PIXELS);
    for (int64_t i = 0; i < n; i++) {
        uint8_t *record = p + i * (1 + CIFAR_PIXELS);
        record[0] = i ? label(first_row + i) : (uint8_t)first_label;
        for (int64_t k = 0; k < CIFAR_PIXELS; k++)
            record[1 + k] = pixel(PART_TRAIN, first_row + i, k);
    }
    put_bytes(path, p, (size_t)n * (1 + CIFAR_PIXELS));
    free(p);
}

/* --- running */

/* How many training samples, in the order of the file, differ from source rows order[i] (NULL: i).
 */
static int64_t wrong_samples(const char *path, int64_t n, int64_t n_value, const int64_t *order)
{
    struct dataset d;
    struct rows r = {0};
    int64_t wrong = 0, *id = NULL, *row = mem_alloc(n, sizeof *row);
    CU_ASSERT_EQUAL(dataset_open(&d, path, &test_comm), IAU_OK);
    for (int64_t i = 0; i < n; i++)
        row[i] = i;
    CU_ASSERT_EQUAL(rows_load(&r, &d, PART_TRAIN, row, n), IAU_OK);
    CU_ASSERT_EQUAL(dataset_read_ids(&d, PART_TRAIN, &id), IAU_OK);
    for (int64_t i = 0; i < r.n && id; i++) {
        int64_t from = order ? order[i] : i;
        int bad = r.label[i] != label(from) || id[i] != from;
        for (int64_t k = 0; k < n_value; k++)
            bad |= ((uint8_t *)r.x)[i * n_value + k] != pixel(PART_TRAIN, from, k);
        wrong += bad;
    }
    wrong += n - r.n;
    rows_free(&r);
    free(id);
    free(row);
    dataset_close(&d);
    return wrong;
}

static void check_statistics(const struct dataset *d)
{
    double sum = 0, square = 0, n = (double)N_TRAIN * PIXELS;
    for (int64_t i = 0; i < N_TRAIN; i++)
        for (int64_t k = 0; k < PIXELS; k++) {
            double v = pixel(PART_TRAIN, i, k) / 255.0;
            sum += v;
            square += v * v;
        }
    CU_ASSERT_DOUBLE_EQUAL(d->mean[0], sum / n, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(d->std[0], sqrt(square / n - sum / n * sum / n), 1e-6);
}

/* --- IDX */

static void idx_files_arrive_plain_or_compressed(void)
{
    char *out[2] = {harness_path("plain.h5"), harness_path("gz.h5")}, digest[2][DIGEST_CHARS];
    for (int compressed = 0; compressed < 2; compressed++) {
        char *dir = idx_directory(compressed ? "gz" : "plain", compressed);
        struct import_case q;
        import_case_init(&q, "idx", &dir, 1, out[compressed]);
        struct dataset d;
        int64_t *id;
        import_works(&q);
        CU_ASSERT_EQUAL(dataset_open(&d, out[compressed], &test_comm), IAU_OK);
        CU_ASSERT(d.n[PART_TRAIN] == N_TRAIN && d.n[PART_TEST] == N_TEST && d.is_u8 && !d.is_table);
        CU_ASSERT(d.c == 1 && d.h == SIDE && d.w == SIDE && d.n_class == 10 &&
                  !strcmp(d.class_name[9], "9"));
        CU_ASSERT_STRING_EQUAL(d.name, compressed ? "gz" : "plain"); /* the directory's */
        check_statistics(&d);
        CU_ASSERT_EQUAL(dataset_read_ids(&d, PART_TEST, &id), IAU_OK);
        CU_ASSERT(id && id[0] == N_TRAIN && id[N_TEST - 1] == N_TRAIN + N_TEST - 1);
        free(id);
        CU_ASSERT_EQUAL(dataset_verify(out[compressed], digest[compressed]), IAU_OK);
        CU_ASSERT_EQUAL(wrong_samples(out[compressed], N_TRAIN, PIXELS, NULL), 0);
        dataset_close(&d);
        free(dir);
    }
    CU_ASSERT_STRING_EQUAL(digest[0], digest[1]);
    free(out[0]);
    free(out[1]);
}

static void four_files_and_a_name_are_taken(void)
{
    char *dir = idx_directory("four", 0), *out = harness_path("four.h5"), *file[N_FILE];
    struct dataset d;
    for (int i = 0; i < N_FILE; i++)
        file[i] = join(dir, idx_name[i]);
    struct import_case q;
    import_case_init(&q, "idx", file, N_FILE, out);
    import_works(&q);
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT_STRING_EQUAL(d.name, "four"); /* of the output */
    dataset_close(&d);
    q.opts.name = (char *)"Fashion-like";
    q.request.force = 1;
    import_works(&q);
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT(!strcmp(d.name, "Fashion-like") && !strcmp(d.class_name[9], "Ankle boot"));
    dataset_close(&d);
    q.opts.files.n = 3;
    import_fails(&q, IAU_ERR_USAGE, "idx takes a directory or 4 files");
    for (int i = 0; i < N_FILE; i++)
        free(file[i]);
    free(out);
    free(dir);
}

static void shuffling_permutes_rows_and_keeps_ids(void)
{
    char *dir = idx_directory("shuffled", 1), *out = harness_path("shuffled.h5");
    struct import_case q;
    import_case_init(&q, "idx", &dir, 1, out);
    int64_t *order = mem_alloc(N_TRAIN, sizeof *order), moved = 0;
    q.opts.shuffle = 7;
    import_works(&q);
    split_numpy_permutation(7, N_TRAIN, order);
    for (int64_t i = 0; i < N_TRAIN; i++)
        moved += order[i] != i;
    CU_ASSERT(moved > N_TRAIN / 2);
    CU_ASSERT_EQUAL(wrong_samples(out, N_TRAIN, PIXELS, order), 0);
    q.request.force = 1;
    q.opts.shuffle = 1LL << 32;
    import_fails(&q, IAU_ERR_USAGE, "shuffle seed 4294967296 is not in 0..4294967295");
    free(order);
    free(out);
    free(dir);
}

/* One change to one IDX file, and what is said of it. */
struct idx_case {
    int file;
    size_t at;
    uint8_t value; /* put there */
    int64_t grow;  /* bytes to add or cut at the end */
    int code;
    const char *text;
};

static void bad_idx_files_are_refused(void)
{
    const struct idx_case cases[] = {
        {0, 3, 1, 0, IAU_ERR_FORMAT,
         "train-images-idx3-ubyte is no IDX image file: it begins with 0x00000801"},
        {1, 3, 3, 0, IAU_ERR_FORMAT, "train-labels-idx1-ubyte is no IDX label file"},
        {0, 0, 0x1f, 0, IAU_ERR_FORMAT, "is no IDX image file"},
        {2, 2, 9, 0, IAU_ERR_FORMAT, "t10k-images-idx3-ubyte is no IDX image file"},
        {0, 7, 0xbd, 0, IAU_ERR_DATA, "has 701 images, "},
        {3, 7, N_TEST + 1, 0, IAU_ERR_DATA, "has 91 labels"},
        {2, 15, SIDE + 1, 0, IAU_ERR_DATA, "has images of 9x10 pixels"},
        {0, 11, 0, 0, IAU_ERR_FORMAT, "700 images of 0x9 pixels are none or too large"},
        {0, 8, 0xff, 0, IAU_ERR_FORMAT, "are none or too large"},
        {0, 0, 0, -1, IAU_ERR_FORMAT,
         "train-images-idx3-ubyte has 56715 bytes, its header says 56716"},
        {0, 0, 0, 3, IAU_ERR_FORMAT,
         "train-images-idx3-ubyte has 56719 bytes, its header says 56716"},
        {3, 0, 0, 1, IAU_ERR_FORMAT, "t10k-labels-idx1-ubyte has 99 bytes, its header says 98"},
        {3, 0, 0, -98, IAU_ERR_FORMAT, "t10k-labels-idx1-ubyte is empty"},
        {3, 0, 0, -92, IAU_ERR_FORMAT, "t10k-labels-idx1-ubyte is truncated"},
        {3, 8 + 13, 10, 0, IAU_ERR_FORMAT,
         "t10k-labels-idx1-ubyte: label 10 in row 13 is not in 0..9, those of the training part"},
        {3, 8 + 1, 255, 0, IAU_ERR_FORMAT,
         "t10k-labels-idx1-ubyte: label 255 in row 1 is not in 0..9"}};
    char *dir = idx_directory("bad", 0), *out = harness_path("bad.h5");
    struct import_case q;
    import_case_init(&q, "idx", &dir, 1, out);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct idx_case *c = &cases[i];
        char *path = join(dir, idx_name[c->file]);
        size_t n;
        uint8_t *p = idx_bytes(c->file, &n);
        if (test_comm.rank == 0) {
            p = realloc(p, n + 8);
            memset(p + n, 0, 8);
            p[c->at] = c->value;
            put_bytes(path, p, (size_t)((int64_t)n + c->grow));
        }
        import_fails(&q, c->code, c->text);
        CU_ASSERT_EQUAL(file_exists(out), 0);
        free(p);
        p = idx_bytes(c->file, &n);
        if (test_comm.rank == 0)
            put_bytes(path, p, n);
        free(p);
        free(path);
    }
    import_works(&q); /* all is well again */
    free(out);
    free(dir);
}

/* EMNIST has 26, 47 or 62 classes, and one of its parts counts from 1. */
static void idx_files_may_have_many_classes(void)
{
    char *dir = idx_directory("emnist", 0), *out = harness_path("emnist.h5");
    char *file[N_FILE], printed[1024];
    struct import_case q;
    struct capture c;
    struct dataset d;
    for (int i = 0; i < N_FILE; i++)
        file[i] = join(dir, idx_name[i]);
    for (int which = 1; which < N_FILE && test_comm.rank == 0; which += 2) {
        size_t n;
        uint8_t *p = idx_bytes(which, &n);
        for (size_t i = 8; i < n; i++)
            p[i] = (uint8_t)(1 + (i * 7) % 26);
        put_bytes(file[which], p, n);
        free(p);
    }
    import_case_init(&q, "idx", file, 2, out); /* two files, and two of the test part */
    q.opts.test_files = (struct text_list){2, file + 2};
    capture_begin(&c);
    import_works(&q);
    capture_end(&c, printed, sizeof printed);
    CU_ASSERT_EQUAL(
        strstr(printed, "1 of 27 classes have no training sample; class 0 is the first") != NULL,
        test_comm.rank == 0);
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT(d.n_class == 27 && !strcmp(d.class_name[26], "26") && d.n[PART_TEST] == N_TEST);
    dataset_close(&d);
    for (int i = 0; i < N_FILE; i++)
        free(file[i]);
    free(out);
    free(dir);
}

static void damaged_gzip_files_are_refused(void)
{
    char *dir = idx_directory("gzbad", 1), *out = harness_path("gzbad.h5"), *path = NULL, *p = NULL;
    size_t n = 0;
    struct import_case q;
    import_case_init(&q, "idx", &dir, 1, out);
    REQUIRE(asprintf(&path, "%s/%s.gz", dir, idx_name[0]) >= 0);
    comm_barrier(&test_comm);
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, 1 << 20), IAU_OK);
    comm_barrier(&test_comm);
    for (size_t k = 0; k < 17; k++) {
        if (test_comm.rank == 0)
            put_bytes(path, p, k < 16 ? n * k / 16 : n - 1); /* the last cuts the checksum */
        import_fails(&q, IAU_ERR_FORMAT,
                     k ? "train-images-idx3-ubyte.gz is truncated" : "ubyte.gz is empty");
    }
    p[n / 2] ^= 0x40;
    if (test_comm.rank == 0)
        put_bytes(path, p, n);
    import_fails(&q, IAU_ERR_FORMAT, "train-images-idx3-ubyte.gz is ");
    if (test_comm.rank == 0) { /* one pixel more than the header says */
        size_t size;
        uint8_t *more = idx_bytes(0, &size);
        more = realloc(more, size + 1);
        more[size] = 1;
        put_gzip(path, more, size + 1);
        free(more);
    }
    import_fails(&q, IAU_ERR_FORMAT, "train-images-idx3-ubyte.gz is longer than its header says");
    if (test_comm.rank == 0) /* a header that promises 4 G images of 81 pixels */
        put_gzip(path, "\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x09\0\0\0\x09", 16);
    import_fails(&q, IAU_ERR_DATA, "has 4294967295 images");
    if (test_comm.rank == 0)
        file_remove(path);
    import_fails(&q, IAU_ERR_IO,
                 "gzbad holds neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz");
    CU_ASSERT_EQUAL(file_exists(out), 0);
    free(p);
    free(path);
    free(out);
    free(dir);
}

/* --- CIFAR-10 */

static void cifar_batches_arrive_in_order(void)
{
    char *file[3] = {harness_path("b1.bin"), harness_path("b2.bin"), harness_path("t.bin")};
    char *out = harness_path("cifar.h5");
    struct dataset d;
    if (test_comm.rank == 0) {
        put_batch(file[0], 30, 0, label(0));
        put_batch(file[1], 21, 30, label(30));
        put_batch(file[2], 4, 0, 3);
    }
    struct import_case q;
    import_case_init(&q, "cifar10", file, 3, out);
    import_works(&q);
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT(d.n[PART_TRAIN] == 51 && d.n[PART_TEST] == 4 && d.c == 3 && d.h == 32 && d.w == 32);
    CU_ASSERT(!strcmp(d.name, "cifar10") && !strcmp(d.class_name[2], "bird") && isfinite(d.std[2]));
    CU_ASSERT_EQUAL(wrong_samples(out, 51, CIFAR_PIXELS, NULL), 0);
    dataset_close(&d);
    for (int i = 0; i < 3; i++)
        free(file[i]);
    free(out);
}

static void bad_cifar_files_are_refused(void)
{
    char *file[2] = {harness_path("bad.bin"), harness_path("good.bin")},
         *out = harness_path("cifarbad.h5");
    char *absent = harness_path("absent");
    struct import_case q;
    import_case_init(&q, "cifar10", file, 2, out);
    if (test_comm.rank == 0) {
        put_batch(file[1], 2, 0, 1);
        put_bytes(file[0], "12345", 5);
    }
    import_fails(&q, IAU_ERR_FORMAT,
                 "bad.bin has 5 bytes, no multiple of the 3073 of a CIFAR-10 record");
    if (test_comm.rank == 0)
        put_bytes(file[0], "", 0);
    import_fails(&q, IAU_ERR_FORMAT, "bad.bin is empty");
    if (test_comm.rank == 0)
        put_batch(file[0], 3, 0, 10);
    import_fails(&q, IAU_ERR_FORMAT, "bad.bin: label 10 in row 0 is not in 0..9");
    if (test_comm.rank == 0)
        file_remove(file[0]);
    import_fails(&q, IAU_ERR_IO, "bad.bin: No such file or directory");
    if (test_comm.rank == 0)
        mkdir(file[0], 0777);
    import_fails(&q, IAU_ERR_IO, "bad.bin is no regular file");
    import_case_init(&q, "cifar10", &absent, 1, out);
    import_fails(&q, IAU_ERR_IO, "absent/data_batch_1.bin: No such file or directory");
    CU_ASSERT_EQUAL(file_exists(out), 0);
    free(file[0]);
    free(file[1]);
    free(absent);
    free(out);
}

/* --- outputs */

static void wrong_requests_and_targets_are_refused(void)
{
    char *dir = idx_directory("target", 1), *out = harness_path("target.h5"),
         *below = join(out, "x.h5");
    char *const source[1] = {dir};
    struct import_case q;
    import_case_init(&q, "idx3", source, 1, out);
    import_fails(&q, IAU_ERR_USAGE, "unknown format 'idx3'; known are idx, cifar10, cifar100");
    import_case_init(&q, "idx", source, 0, out);
    import_fails(&q, IAU_ERR_USAGE, "nothing to import: idx takes");
    import_case_init(&q, "idx", source, 1, dir);
    q.request.force = 1;
    import_fails(&q, IAU_ERR_IO, "/target is a directory, no regular file");
    if (test_comm.rank == 0)
        put_bytes(out, "precious", 8);
    import_case_init(&q, "idx", source, 1, out);
    import_fails(&q, IAU_ERR_EXISTS, "target.h5 exists; --force replaces it");
    import_case_init(&q, "idx", source, 1, below);
    import_fails(&q, IAU_ERR_IO, "Not a directory");
    char *p = NULL;
    size_t n;
    CU_ASSERT(file_read_all(out, &p, &n, 100) == IAU_OK && n == 8 && !strcmp(p, "precious"));
    comm_barrier(&test_comm);
    import_case_init(&q, "idx", source, 1, out);
    q.request.force = 1;
    import_works(&q);
    CU_ASSERT_EQUAL(wrong_samples(out, N_TRAIN, PIXELS, NULL), 0);
    free(p);
    free(below);
    free(out);
    free(dir);
}

static void rows_sorted_by_label_are_warned_about(void)
{
    char *dir = idx_directory("sorted", 0), *out = harness_path("sorted.h5"),
         *path = join(dir, idx_name[1]);
    struct import_case q;
    import_case_init(&q, "idx", &dir, 1, out);
    if (test_comm.rank == 0) {
        size_t n;
        uint8_t *p = idx_bytes(1, &n);
        for (size_t i = 0; i < N_TRAIN; i++)
            p[8 + i] = (uint8_t)(i * 10 / N_TRAIN);
        put_bytes(path, p, n);
        free(p);
    }
    for (int64_t seed = -1; seed < 1; seed++) {
        struct capture c;
        char printed[1024];
        q.opts.shuffle = seed;
        q.request.force = 1;
        capture_begin(&c);
        int rc = import_run(&q.request, &test_comm);
        capture_end(&c, printed, sizeof printed);
        CU_ASSERT_EQUAL(rc, IAU_OK);
        CU_ASSERT_EQUAL(strstr(printed, "sorted by label") != NULL,
                        test_comm.rank == 0 && seed < 0);
    }
    free(path);
    free(out);
    free(dir);
}

static void a_file_size_limit_leaves_the_earlier_file(void)
{
    char *dir = idx_directory("limited", 0), *target = harness_path("limit"),
         *out = join(target, "d.h5");
    struct import_case q;
    import_case_init(&q, "idx", &dir, 1, out);
    if (test_comm.rank == 0)
        mkdir(target, 0777);
    import_works(&q);
    q.request.force = 1;
    for (rlim_t size = 2000; size < 64000; size += 9000) { /* fails early and late */
        limit_file_size(size);
        import_fails(&q, IAU_ERR_IO, "d.h5: cannot ");
        limit_file_size(RLIM_INFINITY);
        if (test_comm.rank == 0)
            CU_ASSERT_EQUAL(count_entries(target, ""), 1);
    }
    CU_ASSERT_EQUAL(wrong_samples(out, N_TRAIN, PIXELS, NULL), 0);
    free(out);
    free(target);
    free(dir);
}

static char *disk_source;

/* 5 MB onto 3 MB, by one process without MPI. */
static int fill_disk(const char *dir)
{
    struct comm alone = {MPI_COMM_SELF, 0, 1};
    char *out = join(dir, "d.h5"), *p;
    size_t n;
    char *const source[2] = {disk_source, disk_source};
    struct import_case q;
    import_case_init(&q, "cifar10", source, 2, out);
    put_bytes(out, "precious", 8);
    q.request.force = 1;
    if (import_run(&q.request, &alone) != IAU_ERR_IO)
        return 1;
    if (file_read_all(out, &p, &n, 100) != IAU_OK || n != 8 || strcmp(p, "precious"))
        return 2;
    return count_entries(dir, "") == 1 ? 0 : 3;
}

static void a_full_disk_leaves_the_earlier_file(void)
{
    if (test_comm.rank != 0)
        return;
    char *dir = harness_path("disk"), *batch = harness_path("disk.bin");
    put_batch(batch, 800, 0, 0);
    disk_source = batch;
    struct capture c;
    char printed[1024];
    capture_begin(&c);
    int failed = small_disk_run(dir, fill_disk);
    capture_end(&c, printed, sizeof printed);
    if (failed == SMALL_DISK_NONE) {
        harness_skip("the right to mount a file system");
    } else {
        CU_ASSERT_EQUAL(failed, 0);
        CU_ASSERT(strstr(printed, "d.h5: cannot ") && strstr(printed, "No space left on device"));
        CU_ASSERT(strchr(printed, '\n') == printed + strlen(printed) - 1);
    }
    free(batch);
    free(dir);
}

static void short_memory_is_an_error_for_all(void)
{
    char *dir = idx_directory("memory", 0), *out = harness_path("memory.h5");
    struct import_case q;
    import_case_init(&q, "idx", &dir, 1, out);
    int rc = IAU_ERR_MEM;
    int64_t k;
    q.opts.shuffle = 1;
    for (k = 1; rc != IAU_OK && k < 500; k++) {
        struct capture c;
        char printed[1024];
        if (test_comm.rank == 0)
            mem_fail_after(k);
        capture_begin(&c);
        rc = import_run(&q.request, &test_comm);
        capture_end(&c, printed, sizeof printed);
        mem_fail_after(0);
        if (rc != IAU_OK) {
            expect_one_message(rc, IAU_ERR_MEM, printed, "no memory");
            CU_ASSERT_EQUAL(file_exists(out), 0);
        }
    }
    CU_ASSERT(k > 50 && rc == IAU_OK);
    free(out);
    free(dir);
}

/* --- real data */

/* Import real data and compare sizes, label counts and mean. */
static void check_real(const char *format, const char *dir, const char *out, int64_t n_train,
                       float mean)
{
    struct import_case q;
    import_case_init(&q, format, (char *[]){(char *)dir}, 1, out);
    struct dataset d;
    int32_t *y = NULL;
    import_works(&q);
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT(d.n[PART_TRAIN] == n_train && d.n[PART_TEST] == 10000 && d.n_class == 10);
    CU_ASSERT(d.mean && fabsf(d.mean[0] - mean) < 2e-3f);
    CU_ASSERT_EQUAL(dataset_read_labels(&d, PART_TRAIN, &y), IAU_OK);
    int64_t count[10] = {0};
    for (int64_t i = 0; y && i < d.n[PART_TRAIN]; i++)
        count[y[i]]++;
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(count[i], n_train / 10);
    free(y);
    dataset_close(&d);
}

static void fashion_mnist_arrives(void)
{
    static const char dir[] = "/usr/share/datasets/fashion-mnist";
    if (access(dir, R_OK) != 0) {
        harness_skip("the Debian package dataset-fashion-mnist");
        return;
    }
    char *out = harness_path("fashion.h5"), hex[DIGEST_CHARS];
    check_real("idx", dir, out, 60000, 0.2860f);
    CU_ASSERT_EQUAL(dataset_verify(out, hex), IAU_OK);
    /* computed by h5py, numpy and hashlib */
    CU_ASSERT_STRING_EQUAL(hex, "086e4952698901e33532084a273b3d0c11eaf851a3be01e0f6a83f6baa646673");
    free(out);
}

static void cifar10_arrives(void)
{
    const char *dir = getenv("CIFAR10_DIR");
    if (!dir || !*dir) {
        harness_skip("CIFAR-10, a folder named by CIFAR10_DIR");
        return;
    }
    char *out = harness_path("cifar10.h5");
    check_real("cifar10", dir, out, 50000, 0.4914f);
    free(out);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"IDX files arrive, plain or compressed", idx_files_arrive_plain_or_compressed},
        {"four files and a name are taken", four_files_and_a_name_are_taken},
        {"shuffling permutes rows and keeps ids", shuffling_permutes_rows_and_keeps_ids},
        {"bad IDX files are refused", bad_idx_files_are_refused},
        {"IDX files may have many classes", idx_files_may_have_many_classes},
        {"damaged gzip files are refused", damaged_gzip_files_are_refused},
        {"CIFAR batches arrive in order", cifar_batches_arrive_in_order},
        {"bad CIFAR files are refused", bad_cifar_files_are_refused},
        {"wrong requests and targets are refused", wrong_requests_and_targets_are_refused},
        {"rows sorted by label are warned about", rows_sorted_by_label_are_warned_about},
        {"a file-size limit leaves the earlier file", a_file_size_limit_leaves_the_earlier_file},
        {"a full disk leaves the earlier file", a_full_disk_leaves_the_earlier_file},
        {"short memory is an error for all", short_memory_is_an_error_for_all},
        {"Fashion-MNIST arrives", fashion_mnist_arrives},
        {"CIFAR-10 arrives", cifar10_arrives},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "import", tests);
}
