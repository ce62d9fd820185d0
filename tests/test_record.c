/* Files in memory: to HDF5 and back, their digest, and what damage, full disks and short memory do.
 */
#define _GNU_SOURCE /* asprintf, unshare */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/digest.h"
#include "core/error.h"
#include "core/memory.h"
#include "harness.h"
#include "io/file.h"
#include "io/record.h"
#include "small_disk.h"

static const char *const everything[] = {"/", NULL};

/* A scratch path of this rank's own; the caller frees. */
static char *own_path(const char *name)
{
    char with_rank[64];
    snprintf(with_rank, sizeof with_rank, "%d-%s", test_comm.rank, name);
    return harness_path(with_rank);
}

static char *join(const char *directory, const char *name)
{
    char *path = NULL;
    REQUIRE(asprintf(&path, "%s/%s", directory, name) >= 0);
    return path;
}

/* One array of each type and rank, an empty one, and attributes on root, group and array. */
static int fill_record(struct record *r)
{
    const float f32[6] = {1.5f, -2, 3, 0.1f, 1e30f, -0.0f};
    const double f64[3] = {0.1, -1e300, 5};
    const int32_t i32[4] = {1, -2, INT32_MAX, INT32_MIN};
    const int64_t i64[2] = {INT64_MAX, INT64_MIN};
    const uint8_t u8[8] = {0, 1, 2, 3, 250, 251, 254, 255};
    int rc = IAU_OK;
    TRY(record_add(r, "/params/conv1.weight", RECORD_F32, 2, (int64_t[]){3, 2}, f32));
    TRY(record_add_column(r, "/history/loss", RECORD_F64, 3, f64));
    TRY(record_add_column(r, "/history/epoch", RECORD_I32, 4, i32));
    TRY(record_add_column(r, "/ids", RECORD_I64, 2, i64));
    TRY(record_add(r, "/deep/er/u8", RECORD_U8, 4, (int64_t[]){2, 1, 2, 2}, u8));
    TRY(record_add(r, "/empty", RECORD_F32, 2, (int64_t[]){0, 5}, NULL));
    TRY(record_add_column(r, "/empty1", RECORD_I64, 0, NULL));
    const char *texts[3] = {"one", "", "a longer n\xc3\xb8te"};
    TRY(record_add_texts(r, "/texts/name", 3, texts));
    TRY(record_add_texts(r, "/texts/none", 0, NULL));
    TRY(record_add_scalar(r, "/cost/gradients", 62006.25));
    TRY(record_set_text(r, "/", "name", "a model"));
    TRY(record_set_text(r, "/", "empty text", ""));
    TRY(record_set_text(r, "/provenance", "host",
                        "n\xc3\xb8"
                        "de"));
    TRY(record_set_i64(r, "/provenance", "seed", -5));
    TRY(record_set_f64(r, "/cost/gradients", "ideal", 0.1));
out:
    return rc;
}

/* Whether a record holds what fill_record put there, attributes included. */
static int is_filled(const struct record *r)
{
    struct record whole = {0};
    char a[DIGEST_CHARS], b[DIGEST_CHARS];
    int same = fill_record(&whole) == IAU_OK && r->n_attribute == whole.n_attribute &&
               record_digest(&whole, everything, 0, a) == IAU_OK &&
               record_digest(r, everything, 0, b) == IAU_OK && !strcmp(a, b);
    for (int64_t i = 0; same && i < whole.n_array; i++) {
        const struct record_array *x = record_find(r, whole.array[i].path);
        same = x && x->type == whole.array[i].type && x->ndim == whole.array[i].ndim;
    }
    for (int64_t i = 0; same && i < whole.n_attribute; i++) {
        const struct record_attribute *x = &whole.attribute[i];
        const struct record_attribute *y = record_attribute_find(r, x->path, x->name);
        same = y && x->type == y->type && x->i64 == y->i64 && x->f64 == y->f64 &&
               (x->type != RECORD_TEXT || !strcmp(x->text, y->text));
    }
    record_free(&whole);
    return same;
}

/* Write the standard record; the caller frees the path. */
static char *write_filled(const char *name)
{
    struct record r = {0};
    char *path = own_path(name);
    CU_ASSERT_EQUAL(fill_record(&r), IAU_OK);
    CU_ASSERT_EQUAL(record_write(&r, path), IAU_OK);
    record_free(&r);
    return path;
}

static void a_record_comes_back_as_it_was(void)
{
    struct record r = {0};
    char *path = write_filled("round.h5");
    CU_ASSERT_EQUAL(record_read(&r, path), IAU_OK);
    CU_ASSERT(is_filled(&r));
    const struct record_array *a = record_find(&r, "/history/epoch");
    CU_ASSERT(a && record_count(a) == 4 && record_value(a, 3) == (double)INT32_MIN);
    a = record_find(&r, "/empty");
    CU_ASSERT(a && record_count(a) == 0 && a->dims[1] == 5);
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/", "name", "?"), "a model");
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/", "none", "?"), "?");
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/provenance", "seed", "no text"), "no text");
    CU_ASSERT_PTR_NULL(record_find(&r, "/params"));
    record_free(&r);
    record_free(&r);
    free(path);
}

static void attributes_come_without_arrays_and_arrays_go_by_prefix(void)
{
    struct record all, r;
    char *path = write_filled("attributes.h5");
    CU_ASSERT_EQUAL(record_read(&all, path), IAU_OK);
    CU_ASSERT_EQUAL(record_read_attributes(&r, path), IAU_OK);
    CU_ASSERT(r.n_array == 0 && r.n_attribute == all.n_attribute && r.n_attribute > 2);
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/", "name", "?"), "a model");
    int64_t n = all.n_array, below = 0;
    for (int64_t i = 0; i < n; i++)
        below += strncmp(all.array[i].path, "/history/", 9) == 0;
    record_drop(&all, "/hist");
    CU_ASSERT_EQUAL(all.n_array, n);
    record_drop(&all, "/history");
    CU_ASSERT(below > 0 && all.n_array == n - below && !record_find(&all, "/history/epoch"));
    CU_ASSERT_PTR_NOT_NULL(record_find(&all, "/empty"));
    CU_ASSERT_EQUAL(all.n_attribute, r.n_attribute);
    record_drop(&all, "/");
    CU_ASSERT_EQUAL(all.n_array, 0);
    record_free(&all);
    record_free(&r);
    CU_ASSERT_EQUAL(file_remove(path), IAU_OK);
    harness_expect_error(record_read_attributes(&r, path), IAU_ERR_IO, "No such file or directory");
    free(path);
}

static void large_arrays_come_back(void)
{
    enum { N = 700001 };
    struct record r = {0};
    char *path = own_path("large.h5");
    float *x = mem_alloc(N, sizeof *x);
    harness_fill(x, N, 3);
    CU_ASSERT_EQUAL(record_add_column(&r, "/x", RECORD_F32, N, x), IAU_OK);
    CU_ASSERT_EQUAL(record_add(&r, "/row", RECORD_F32, 2, (int64_t[]){1, N}, x), IAU_OK);
    CU_ASSERT_EQUAL(record_write(&r, path), IAU_OK);
    record_free(&r);
    CU_ASSERT_EQUAL(record_read(&r, path), IAU_OK);
    const struct record_array *a = record_find(&r, "/x"), *b = record_find(&r, "/row");
    CU_ASSERT(a && record_count(a) == N && !memcmp(a->data, x, N * sizeof *x));
    CU_ASSERT(b && record_count(b) == N && !memcmp(b->data, x, N * sizeof *x));
    record_free(&r);
    free(x);
    free(path);
}

static void a_path_or_attribute_given_again_is_replaced(void)
{
    struct record r = {0};
    const int32_t v[2] = {4, 5};
    CU_ASSERT_EQUAL(record_add_scalar(&r, "/a", 1), IAU_OK);
    CU_ASSERT_EQUAL(record_add_column(&r, "/a", RECORD_I32, 2, v), IAU_OK);
    CU_ASSERT_EQUAL(record_set_i64(&r, "/a", "k", 1), IAU_OK);
    CU_ASSERT_EQUAL(record_set_text(&r, "/a", "k", "two"), IAU_OK);
    CU_ASSERT(r.n_array == 1 && record_count(&r.array[0]) == 2);
    CU_ASSERT(r.n_attribute == 1 && !strcmp(record_text(&r, "/a", "k", ""), "two"));
    record_free(&r);
}

static void the_digest_is_that_of_the_bytes(void)
{
    struct record r = {0};
    const float a[2] = {1, 2};
    const int64_t two = 2;
    const double b = 3;
    char expected[DIGEST_CHARS], hex[DIGEST_CHARS], bytes[256];
    size_t n = 0;
    /* "/p/a", its extent and data, then "/p/b", a scalar, by hand */
    memcpy(bytes, "/p/a", sizeof "/p/a");
    n += sizeof "/p/a";
    memcpy(bytes + n, &two, sizeof two);
    memcpy(bytes + n + 8, a, sizeof a);
    n += 16;
    memcpy(bytes + n, "/p/b", sizeof "/p/b");
    n += sizeof "/p/b";
    memcpy(bytes + n, &b, sizeof b);
    n += 8;
    CU_ASSERT_EQUAL(digest_of(bytes, n, expected), IAU_OK);
    CU_ASSERT_EQUAL(record_add_scalar(&r, "/p/b", b), IAU_OK);
    CU_ASSERT_EQUAL(record_add_column(&r, "/p/a", RECORD_F32, 2, a), IAU_OK);
    CU_ASSERT_EQUAL(record_add_scalar(&r, "/p2/a", 7), IAU_OK);     /* another prefix */
    CU_ASSERT_EQUAL(record_add_scalar(&r, "/p/wall_s", 7), IAU_OK); /* not portable */
    CU_ASSERT_EQUAL(record_add_scalar(&r, "/p/peak_bytes", 7), IAU_OK);
    CU_ASSERT_EQUAL(record_digest(&r, (const char *[]){"/p", NULL}, 1, hex), IAU_OK);
    CU_ASSERT_STRING_EQUAL(hex, expected);
    CU_ASSERT_EQUAL(record_digest(&r, (const char *[]){"/p", NULL}, 0, hex), IAU_OK);
    CU_ASSERT_STRING_NOT_EQUAL(hex, expected);
    record_free(&r);
}

static void equal_records_give_equal_files(void)
{
    char *a = write_filled("equal1.h5"), *b = write_filled("equal2.h5"), *p, *q;
    size_t n, m;
    CU_ASSERT_EQUAL(file_read_all(a, &p, &n, 1 << 24), IAU_OK);
    CU_ASSERT_EQUAL(file_read_all(b, &q, &m, 1 << 24), IAU_OK);
    CU_ASSERT(n == m && n > 0 && !memcmp(p, q, n));
    free(p);
    free(q);
    free(a);
    free(b);
}

/* --- Python */

/* Run a Python script with one argument, on rank 0 only; its first line goes to `line`. 0 where it
 * cannot. */
static int run_python(const char *script, const char *argument, char *line, int size)
{
    const char *python = getenv("PYTHON");
    char *command = NULL;
    line[0] = '\0';
    REQUIRE(asprintf(&command, "%s -c \"%s\" %s 2>/dev/null", python ? python : "/usr/bin/python3",
                     script, argument) >= 0);
    FILE *f = popen(command, "r");
    free(command);
    if (!f)
        return 0;
    char *got = fgets(line, size, f);
    line[strcspn(line, "\n")] = '\0';
    return pclose(f) == 0 && got;
}

static int has_h5py(void)
{
    char line[64];
    return run_python("import h5py; print('yes')", "", line, sizeof line);
}

static void h5py_reads_a_record(void)
{
    char line[256], hex[DIGEST_CHARS];
    if (test_comm.rank != 0)
        return;
    if (!has_h5py()) {
        harness_skip("Python with h5py");
        return;
    }
    struct record r = {0};
    char *path = write_filled("python.h5");
    CU_ASSERT(run_python(
        "import h5py, sys, hashlib, numpy as np\n"
        "f = h5py.File(sys.argv[1]); names = []; h = hashlib.sha256()\n"
        "f.visititems(lambda n, o: names.append('/' + n) if hasattr(o, 'shape') else None)\n"
        "for n in sorted(names):\n"
        "    a = np.asarray(f[n]); h.update(n.encode() + bytes(1))\n"
        "    h.update(np.array(a.shape, '<i8').tobytes() + a.tobytes())\n"
        "ok = f.attrs['name'] == b'a model' and f['provenance'].attrs['seed'] == -5\n"
        "ok = ok and f['ids'].fletcher32 and f['cost/gradients'][()] == 62006.25\n"
        "print(h.hexdigest() if ok else 'attributes differ')\n",
        path, line, sizeof line));
    CU_ASSERT_EQUAL(fill_record(&r), IAU_OK);
    CU_ASSERT_EQUAL(record_digest(&r, everything, 0, hex), IAU_OK);
    CU_ASSERT_STRING_EQUAL(line, hex);
    record_free(&r);
    free(path);
}

static void what_h5py_wrote_is_read(void)
{
    char line[256];
    if (test_comm.rank != 0)
        return;
    if (!has_h5py()) {
        harness_skip("Python with h5py");
        return;
    }
    struct record r;
    char *path = own_path("from_python.h5");
    CU_ASSERT(run_python(
        "import h5py, sys, numpy as np\n"
        "f = h5py.File(sys.argv[1], 'w'); f['g/x'] = np.arange(6, dtype='>f4').reshape(2, 3)\n"
        "f['i16'] = np.array([-3], 'i2'); f.attrs['text'] = 'hello'; f.attrs['n'] = 7\n"
        "f['g'].attrs['real'] = 0.5; f.close(); print('done')\n",
        path, line, sizeof line));
    CU_ASSERT_EQUAL(record_read(&r, path), IAU_OK);
    const struct record_array *x = record_find(&r, "/g/x"), *i16 = record_find(&r, "/i16");
    CU_ASSERT(x && x->type == RECORD_F32 && x->dims[1] == 3 && record_value(x, 5) == 5);
    CU_ASSERT(i16 && i16->type == RECORD_I32 && record_value(i16, 0) == -3);
    CU_ASSERT_STRING_EQUAL(record_text(&r, "/", "text", ""), "hello");
    const struct record_attribute *n = record_attribute_find(&r, "/", "n");
    const struct record_attribute *real = record_attribute_find(&r, "/g", "real");
    CU_ASSERT(n && n->i64 == 7 && real && real->f64 == 0.5);
    record_free(&r);
    CU_ASSERT(run_python(
        "import h5py, sys, numpy as np\n"
        "f = h5py.File(sys.argv[1], 'w'); f['c'] = np.zeros(3, complex); print('done')\n",
        path, line, sizeof line));
    harness_expect_error(record_read(&r, path), IAU_ERR_FORMAT,
                         "/c holds no numbers of a known type");
    CU_ASSERT(run_python(
        "import h5py, sys, numpy as np\n"
        "f = h5py.File(sys.argv[1], 'w'); f['five'] = np.zeros((1,) * 5); print('done')\n",
        path, line, sizeof line));
    harness_expect_error(record_read(&r, path), IAU_ERR_FORMAT, "/five has 5 extents");
    free(path);
}

/* --- damage */

static void put_bytes(const char *path, const char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

static void no_flipped_bit_goes_unnoticed(void)
{
    const size_t stride = 11 * (size_t)test_comm.size;
    char *path = write_filled("flip.h5"), *p;
    size_t n;
    int64_t count[2] = {0, 0}; /* flips, errors */
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, 1 << 24), IAU_OK);
    for (size_t i = (size_t)test_comm.rank; i < n; i += stride) {
        struct record r;
        p[i] ^= (char)(1 << i % 8);
        put_bytes(path, p, n);
        int rc = record_read(&r, path);
        p[i] ^= (char)(1 << i % 8);
        count[0]++;
        count[1] += rc != IAU_OK;
        if (rc == IAU_OK) {
            CU_ASSERT(is_filled(&r)); /* the bit stood in unused space */
        } else {
            CU_ASSERT(r.n_array == 0 && strstr(error_message(), "flip.h5") != NULL);
        }
        error_clear();
        record_free(&r);
    }
    CU_ASSERT(count[0] > 50 && count[1] > count[0] / 4);
    free(p);
    free(path);
}

static void truncated_and_foreign_files_are_refused(void)
{
    char *path = write_filled("short.h5"), *p;
    size_t n;
    struct record r;
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, 1 << 24), IAU_OK);
    for (size_t k = 0; k < 16; k++) {
        put_bytes(path, p, n * k / 16);
        int rc = record_read(&r, path);
        if (rc == IAU_OK && k > 12) { /* what was cut off is room that nothing lies in */
            CU_ASSERT(is_filled(&r));
            record_free(&r);
            continue;
        }
        harness_expect_error(rc, IAU_ERR_FORMAT,
                             n * k / 16 < 48 ? "short.h5 is not an HDF5 file" : "short.h5");
        CU_ASSERT(r.n_array == 0 && r.n_attribute == 0);
    }
    put_bytes(path, p, n * 3 / 4);
    harness_expect_error(record_read(&r, path), IAU_ERR_FORMAT, "the file is truncated");
    CU_ASSERT_EQUAL(file_remove(path), IAU_OK);
    harness_expect_error(record_read(&r, path), IAU_ERR_IO, "short.h5: No such file or directory");
    CU_ASSERT_EQUAL(mkdir(path, 0777), 0);
    harness_expect_error(record_read(&r, path), IAU_ERR_IO, "short.h5 is no regular file");
    free(p);
    free(path);
}

/* --- full disks and short memory */

static int add_large(struct record *r)
{
    enum { N = 1 << 20 };
    float *x = mem_alloc(N, sizeof *x);
    int rc = x ? record_add_column(r, "/large", RECORD_F32, N, x) : IAU_ERR_MEM;
    free(x);
    return rc;
}

static int holds_filled(const char *path)
{
    struct record r;
    int same = record_read(&r, path) == IAU_OK && is_filled(&r);
    record_free(&r);
    return same;
}

static void a_file_size_limit_leaves_the_earlier_file(void)
{
    char *dir = own_path("limit"), *path = join(dir, "a.h5");
    struct record r = {0};
    CU_ASSERT_EQUAL(mkdir(dir, 0777), 0);
    CU_ASSERT_EQUAL(fill_record(&r), IAU_OK);
    CU_ASSERT_EQUAL(record_write(&r, path), IAU_OK);
    CU_ASSERT_EQUAL(add_large(&r), IAU_OK);
    limit_file_size(1 << 20);
    int rc = record_write(&r, path);
    limit_file_size(RLIM_INFINITY);
    harness_expect_error(rc, IAU_ERR_IO, "a.h5: File too large");
    CU_ASSERT(holds_filled(path));
    CU_ASSERT_EQUAL(count_entries(dir, ""), 1);
    record_free(&r);
    free(path);
    free(dir);
}

static int fill_disk(const char *dir)
{
    struct record r = {0};
    char *path = join(dir, "a.h5");
    if (fill_record(&r) != IAU_OK || record_write(&r, path) != IAU_OK || add_large(&r) != IAU_OK)
        return 1;
    if (record_write(&r, path) != IAU_ERR_IO)
        return 2;
    if (!strstr(error_message(), "a.h5: No space left on device"))
        return 3;
    if (!holds_filled(path) || count_entries(dir, "") != 1)
        return 4;
    return 0;
}

static void a_full_disk_leaves_the_earlier_file(void)
{
    char *dir = own_path("disk");
    int failed = small_disk_run(dir, fill_disk);
    if (failed == SMALL_DISK_NONE)
        harness_skip("the right to mount a file system");
    else
        CU_ASSERT_EQUAL(failed, 0);
    free(dir);
}

static void wrong_targets_are_refused(void)
{
    struct record r = {0};
    char *dir = own_path("dir"), *file = write_filled("file.h5"), *below = join(file, "below.h5");
    CU_ASSERT_EQUAL(mkdir(dir, 0777), 0);
    CU_ASSERT_EQUAL(fill_record(&r), IAU_OK);
    harness_expect_error(record_write(&r, dir), IAU_ERR_IO, "is a directory");
    harness_expect_error(record_write(&r, below), IAU_ERR_IO, "Not a directory");
    harness_expect_error(record_write(&r, "/dev/null"), IAU_ERR_IO, "/dev/null is a device");
    CU_ASSERT(holds_filled(file));
    record_free(&r);
    free(below);
    free(file);
    free(dir);
}

/* Let the k-th allocation fail, for every k up to the first run that needs fewer. */
static void short_memory_is_an_error_everywhere(void)
{
    char *path = write_filled("memory.h5");
    struct record r = {0};
    int rc = IAU_ERR_MEM;
    int64_t k;
    for (k = 1; rc != IAU_OK && k < 1000; k++) {
        mem_fail_after(k);
        rc = record_read(&r, path);
        mem_fail_after(0);
        CU_ASSERT(rc == IAU_OK || (rc == IAU_ERR_MEM && r.n_array == 0));
        CU_ASSERT(rc == IAU_OK || strlen(error_message()) > 0);
        error_clear();
    }
    CU_ASSERT(k > 20 && is_filled(&r));
    rc = IAU_ERR_MEM;
    for (k = 1; rc != IAU_OK && k < 1000; k++) {
        mem_fail_after(k);
        rc = record_write(&r, path);
        mem_fail_after(0);
        CU_ASSERT(rc == IAU_OK || rc == IAU_ERR_MEM);
        error_clear();
        CU_ASSERT(holds_filled(path));
    }
    CU_ASSERT(k > 10 && rc == IAU_OK);
    record_free(&r);
    free(path);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a record comes back as it was", a_record_comes_back_as_it_was},
        {"attributes come without arrays, and arrays go by prefix",
         attributes_come_without_arrays_and_arrays_go_by_prefix},
        {"large arrays come back", large_arrays_come_back},
        {"a path or attribute given again is replaced",
         a_path_or_attribute_given_again_is_replaced},
        {"the digest is that of the bytes", the_digest_is_that_of_the_bytes},
        {"equal records give equal files", equal_records_give_equal_files},
        {"h5py reads a record", h5py_reads_a_record},
        {"what h5py wrote is read", what_h5py_wrote_is_read},
        {"no flipped bit goes unnoticed", no_flipped_bit_goes_unnoticed},
        {"truncated and foreign files are refused", truncated_and_foreign_files_are_refused},
        {"a file-size limit leaves the earlier file", a_file_size_limit_leaves_the_earlier_file},
        {"a full disk leaves the earlier file", a_full_disk_leaves_the_earlier_file},
        {"wrong targets are refused", wrong_targets_are_refused},
        {"short memory is an error everywhere", short_memory_is_an_error_everywhere},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "record", tests);
}
