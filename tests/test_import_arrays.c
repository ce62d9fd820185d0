/* Imports of arrays: MATLAB, NumPy and HDF5 files that scipy, numpy and h5py have written
 * (fixtures/make_import_sources.py), read back on every rank, damaged, and cut short. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/memory.h"
#include "import_case.h"
#include "io/file.h"

enum { N = 12, MOST_SOURCES = 3 };

/* A copy of a fixture in the scratch folder; the caller frees. */
static char *copy(const char *name)
{
    char *fixture = NULL, *to = harness_path(name), *p = NULL;
    size_t n = 0;
    REQUIRE(asprintf(&fixture, "fixtures/import/%s", name) >= 0);
    char *from = harness_fixture(fixture);
    if (test_comm.rank == 0) {
        REQUIRE(file_read_all(from, &p, &n, 1 << 20) == IAU_OK);
        put_bytes(to, p, n);
    }
    comm_barrier(&test_comm);
    free(p);
    free(from);
    free(fixture);
    return to;
}

/* Rows of a part that are not samples first, first + 1, ... of the fixtures. */
static int64_t wrong_rows(const struct whole *w, enum dataset_part part, int64_t first, int n_class,
                          int64_t id_sign)
{
    const struct dataset *d = &w->dataset;
    const struct rows *r = &w->rows[part];
    int64_t wrong = 0, n_value = (int64_t)d->c * d->h * d->w;
    for (int64_t i = 0; i < r->n; i++) {
        int64_t sample = first + i;
        int bad = r->label[i] != sample % n_class;
        bad |= w->id[part][i] != (id_sign < 0 ? 1000 - sample : sample);
        for (int64_t k = 0; k < n_value; k++) {
            int value = (int)((37 * sample + 11 * k) % 256);
            bad |= d->is_u8 ? ((uint8_t *)r->x)[i * n_value + k] != value
                            : ((float *)r->x)[i * n_value + k] != (float)value;
        }
        wrong += bad;
    }
    return wrong;
}

/* One way to give the twelve samples. */
struct source_case {
    const char *format, *name[MOST_SOURCES];
    const char *x, *y, *id; /* id that ends in .npy is a fixture of its own */
    int is_u8;
};

static const struct source_case source_cases[] = {
    {"numpy", {"x.npy", "y.npy"}, NULL, NULL, NULL, 1},
    {"numpy", {"columns.npy", "y.npy"}, NULL, NULL, NULL, 0},
    {"numpy", {"stored.npz"}, NULL, NULL, "id", 1},
    {"numpy", {"deflated.npz"}, NULL, NULL, "id", 0},
    {"hdf5", {"arrays.h5"}, "some/x", "/some/y", "/id", 1},
};

enum { N_SOURCE_CASE = sizeof source_cases / sizeof *source_cases };

static int source_case_init(struct import_case *c, const struct source_case *s, char **path,
                            const char *out)
{
    int n = 0;
    for (; n < MOST_SOURCES && s->name[n]; n++)
        path[n] = copy(s->name[n]);
    import_case_init(c, s->format, path, n, out);
    c->opts.x = (char *)s->x;
    c->opts.y = (char *)s->y;
    c->opts.id = (char *)s->id;
    return n;
}

static void arrays_arrive_on_every_rank(void)
{
    char *out = harness_path("arrays-out.h5"), *path[MOST_SOURCES];
    for (int i = 0; i < N_SOURCE_CASE; i++) {
        struct import_case c;
        struct whole w;
        int n = source_case_init(&c, &source_cases[i], path, out);
        c.opts.test_files = c.opts.files; /* all twice, with ids but once */
        c.request.force = 1;
        if (source_cases[i].id) {
            c.opts.test_files.n = 0;
            c.opts.test_fraction = 0.09; /* one of the twelve */
        }
        import_works(&c);
        whole_open(&w, out);
        CU_ASSERT(w.dataset.is_u8 == source_cases[i].is_u8 && w.dataset.n_class == 5);
        CU_ASSERT(w.dataset.c == 3 && w.dataset.h == 4 && w.dataset.w == 5);
        if (source_cases[i].id) {
            int64_t test = 1000 - w.id[PART_TEST][0],
                    n_wrong = wrong_rows(&w, PART_TEST, test, 5, -1);
            CU_ASSERT(w.dataset.n[PART_TRAIN] == N - 1 && n_wrong == 0);
        } else {
            CU_ASSERT(w.dataset.n[PART_TRAIN] == N && w.dataset.n[PART_TEST] == N);
            CU_ASSERT_EQUAL(wrong_rows(&w, PART_TRAIN, 0, 5, 1), 0);
        }
        whole_close(&w);
        for (int k = 0; k < n; k++)
            free(path[k]);
    }
    free(out);
}

static void arrays_that_are_cut_short_are_refused(void)
{
    char *out = harness_path("cut.h5"), *path[MOST_SOURCES];
    for (int i = 0; i < N_SOURCE_CASE; i++) {
        struct import_case c;
        int n = source_case_init(&c, &source_cases[i], path, out);
        c.opts.test_fraction = 0.3;
        for (int k = 0; k < n; k++)
            import_cut_short(&c, path[k], 0);
        import_works(&c);
        comm_barrier(&test_comm);
        if (test_comm.rank == 0)
            file_remove(out);
        for (int k = 0; k < n; k++)
            free(path[k]);
    }
    free(out);
}

static void svhn_arrives_on_every_rank(void)
{
    char *out = harness_path("svhn.h5"),
         *path[3] = {copy("train_32x32.mat"), copy("test_32x32.mat"), copy("extra_32x32.mat")};
    char *folder = harness_path("");
    struct import_case c;
    struct whole w;
    import_case_init(&c, "svhn", path, 2, out); /* two files, the test part last */
    import_works(&c);
    whole_open(&w, out);
    CU_ASSERT(w.dataset.n[PART_TRAIN] == 11 && w.dataset.n[PART_TEST] == 2 && w.dataset.is_u8);
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++)
        for (int64_t i = 0; i < w.rows[part].n; i++) /* labels: 1 + i mod 10, and 10 is 0 */
            w.rows[part].label[i] = (w.rows[part].label[i] + 9) % 10;
    CU_ASSERT_EQUAL(wrong_rows(&w, PART_TRAIN, 0, 10, 1), 0);
    CU_ASSERT_EQUAL(wrong_rows(&w, PART_TEST, 11, 10, 1), 0);
    whole_close(&w);
    import_case_init(&c, "svhn", &folder, 1, out); /* the folder, with the extra part */
    c.opts.extra = 1;
    c.request.force = 1;
    import_works(&c);
    whole_open(&w, out);
    CU_ASSERT(w.dataset.n[PART_TRAIN] == 14 && w.dataset.n[PART_TEST] == 2);
    CU_ASSERT_EQUAL(w.rows[PART_TRAIN].label[13], (1 + 15) % 10);
    whole_close(&w);
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        file_remove(out);
    for (int i = 0; i < 2; i++) { /* one compressed, one not */
        import_case_init(&c, "svhn", path, 2, out);
        import_cut_short(&c, path[i], 0);
    }
    for (int i = 0; i < 3; i++)
        free(path[i]);
    free(folder);
    free(out);
}

/* Put a byte at a place of a copy; the source must be refused with these words. */
struct damage {
    const char *format, *name, *other;
    int64_t at; /* from the end if below 0 */
    char byte;
    const char *message;
};

static void damaged_files_are_refused(void)
{
    static const struct damage cases[] = {
        {"svhn", "train_32x32.mat", "test_32x32.mat", 126, 'X',
         "is no MATLAB file of level 5 or 7.3"},
        {"svhn", "train_32x32.mat", "test_32x32.mat", 125, 7,
         "is no MATLAB file of level 5 or 7.3"},
        {"svhn", "train_32x32.mat", "test_32x32.mat", 128, 77, "no array begins at byte 128"},
        {"svhn", "train_32x32.mat", "test_32x32.mat", 133, 77, "train_32x32.mat is truncated"},
        {"svhn", "train_32x32.mat", "test_32x32.mat", 400, 77, "its compressed data are wrong"},
        {"svhn", "train_32x32.mat", "test_32x32.mat", -1, 77, "its compressed data are wrong"},
        {"numpy", "x.npy", "y.npy", 0, 'X', "x.npy is no NumPy array: it does not begin like one"},
        {"numpy", "x.npy", "y.npy", 6, 4, "x.npy is no NumPy array: it does not begin like one"},
        {"numpy", "x.npy", "y.npy", 22, 'q', "x.npy: its type is"},
        {"numpy", "x.npy", "y.npy", 39, 'q', "its order is neither C nor Fortran"},
        {"numpy", "x.npy", "y.npy", 52, 'q', "it has no shape"},
        {"numpy", "x.npy", "y.npy", 61, 'q', "its shape is no list of extents"},
        {"numpy", "x.npy", "y.npy", 61, '9', "its header says"},
        {"numpy", "stored.npz", NULL, 0, 'X', "stored.npz: cannot "},
        {"numpy", "stored.npz", NULL, 300, 'X', "stored.npz: cannot read x.npy: CRC error"},
        {"numpy", "stored.npz", NULL, -20, 'X', "stored.npz: cannot open the archive"},
        {"hdf5", "arrays.h5", NULL, 0, 'X', "arrays.h5 is not an HDF5 file"},
    };
    char *out = harness_path("damaged.h5");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct damage *d = &cases[i];
        struct import_case c;
        char *path[2] = {copy(d->name), d->other ? copy(d->other) : NULL}, *p = NULL;
        size_t n = 0;
        import_case_init(&c, d->format, path, d->other ? 2 : 1, out);
        if (strcmp(d->format, "svhn") != 0)
            c.opts.test_fraction = 0.3;
        if (test_comm.rank == 0) {
            REQUIRE(file_read_all(path[0], &p, &n, 1 << 20) == IAU_OK);
            p[d->at < 0 ? (int64_t)n + d->at : d->at] = d->byte;
            put_bytes(path[0], p, n);
        }
        import_fails(&c, IAU_ERR_FORMAT, d->message);
        free(p);
        free(path[0]);
        free(path[1]);
    }
    CU_ASSERT_EQUAL(file_exists(out), 0);
    free(out);
}

static void short_memory_is_an_error(void)
{
    char *out = harness_path("memory.h5"), *path[MOST_SOURCES];
    for (int i = 0; i < N_SOURCE_CASE + 1; i++) {
        struct import_case c;
        int n = 2, rc = IAU_ERR_MEM;
        if (i < N_SOURCE_CASE) {
            n = source_case_init(&c, &source_cases[i], path, out);
            c.opts.test_fraction = 0.3;
        } else {
            path[0] = copy("train_32x32.mat");
            path[1] = copy("test_32x32.mat");
            import_case_init(&c, "svhn", path, 2, out);
        }
        for (int k = 1; rc != IAU_OK && k < 300; k++) {
            if (test_comm.rank == 0)
                mem_fail_after(k);
            rc = import_run(&c.request, &test_comm);
            mem_fail_after(0);
            CU_ASSERT(rc == IAU_OK || rc == IAU_ERR_MEM);
        }
        CU_ASSERT_EQUAL(rc, IAU_OK);
        comm_barrier(&test_comm);
        if (test_comm.rank == 0)
            file_remove(out);
        for (int k = 0; k < n; k++)
            free(path[k]);
    }
    free(out);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"arrays arrive on every rank", arrays_arrive_on_every_rank},
        {"arrays that are cut short are refused", arrays_that_are_cut_short_are_refused},
        {"SVHN arrives on every rank", svhn_arrives_on_every_rank},
        {"damaged files are refused", damaged_files_are_refused},
        {"short memory is an error", short_memory_is_an_error},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "import_arrays", tests);
}
