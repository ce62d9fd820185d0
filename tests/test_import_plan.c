/* What an import does with the rows of any source: test parts that are drawn, shuffling, ids,
 * compression, and what is refused. The source here makes its rows up. */
#define _GNU_SOURCE /* asprintf */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/split.h"
#include "import_case.h"
#include "io/file.h"
#include "io/h5.h"

enum { N = 1000, N_TEST = 170, WIDTH = 5, N_CLASS = 7 };

/* The source: what it has, and what was asked of it. */
static struct {
    int64_t n[N_PART];
    int width, is_u8, has_ids;
    int64_t twin;    /* a training row with the id of the row before it; 0: none */
    int64_t bad_row; /* a training row with a value that is not finite; -1: none */
    enum dataset_part part;
    int64_t at;
    int n_start;
} made;

static int64_t made_id(enum dataset_part part, int64_t row)
{
    row -= part == PART_TRAIN && row == made.twin && made.twin;
    return part == PART_TRAIN ? 5000000000 - 3 * row : -1 - row;
}

static int32_t made_label(enum dataset_part part, int64_t row)
{
    return (int32_t)((row * 5 + part) % N_CLASS);
}

static float made_value(enum dataset_part part, int64_t row, int k)
{
    return (float)((row * 31 + k * 7 + part * 3) % 251);
}

static int made_open(struct import_reader *r)
{
    memcpy(r->n, made.n, sizeof r->n);
    r->ndim = 1;
    r->dims[0] = made.width;
    r->is_u8 = made.is_u8;
    r->n_class = N_CLASS;
    r->has_ids = made.has_ids;
    made.n_start = 0;
    return IAU_OK;
}

static int made_start(struct import_reader *r, enum dataset_part part)
{
    (void)r;
    made.part = part;
    made.at = 0;
    made.n_start++;
    return IAU_OK;
}

static int made_next(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    (void)r;
    REQUIRE(made.at + n <= made.n[made.part]);
    for (int64_t i = 0; i < n; i++, made.at++) {
        for (int k = 0; k < made.width && to->x; k++) {
            float value = made_value(made.part, made.at, k);
            if (made.part == PART_TRAIN && made.at == made.bad_row && k == 3)
                value = INFINITY;
            if (made.is_u8)
                ((uint8_t *)to->x)[i * made.width + k] = (uint8_t)value;
            else
                ((float *)to->x)[i * made.width + k] = value;
        }
        if (to->label)
            to->label[i] = made_label(made.part, made.at);
        if (to->id)
            to->id[i] = made_id(made.part, made.at);
    }
    return IAU_OK;
}

static void made_close(struct import_reader *r)
{
    (void)r;
}

static const struct import_format made_up = {.name = "made",
                                             .help = "nothing",
                                             .takes = TAKES_TEST_FILES,
                                             .open = made_open,
                                             .start = made_start,
                                             .next = made_next,
                                             .close = made_close};

static void made_init(struct import_case *c, const char *out, int64_t n_test)
{
    memset(&made, 0, sizeof made);
    made.n[PART_TRAIN] = N;
    made.n[PART_TEST] = n_test;
    made.width = WIDTH;
    made.bad_row = -1;
    import_case_init(c, "made", (char *[]){(char *)"source"}, 1, out);
    c->request.reader = &made_up;
    c->request.force = 1;
}

/* Rows of a part that are not the source's row order[i] (NULL: i) of `from`, with its label and id.
 */
static int64_t wrong_rows(const struct whole *w, enum dataset_part part, enum dataset_part from,
                          const int64_t *order, int64_t n)
{
    int64_t wrong = w->dataset.n[part] != n;
    const struct rows *r = &w->rows[part];
    for (int64_t i = 0; i < n && i < r->n; i++) {
        int64_t row = order ? order[i] : i,
                plain = from == PART_TEST ? made.n[PART_TRAIN] + row : row;
        int bad = r->label[i] != made_label(from, row) ||
                  w->id[part][i] != (made.has_ids ? made_id(from, row) : plain);
        for (int k = 0; k < made.width; k++) {
            float value = made.is_u8 ? ((uint8_t *)r->x)[i * made.width + k]
                                     : ((float *)r->x)[i * made.width + k];
            bad |= value != made_value(from, row, k);
        }
        wrong += bad;
    }
    return wrong;
}

static void check_split(const struct import_case *c, double fraction, int64_t seed, int64_t shuffle)
{
    struct whole w;
    struct index_set test, train;
    int64_t *order, n_train, *moved = mem_alloc(N, sizeof *moved);
    import_works(c);
    CU_ASSERT_EQUAL(split_train_valid(N, fraction, (uint32_t)seed, &order, &n_train, &test),
                    IAU_OK);
    CU_ASSERT_EQUAL(index_set_from_rows(&train, PART_TRAIN, order, n_train), IAU_OK);
    if (shuffle >= 0)
        split_numpy_permutation((uint32_t)shuffle, n_train, moved);
    for (int64_t i = 0; i < n_train; i++)
        moved[i] = train.row[shuffle >= 0 ? moved[i] : i];
    whole_open(&w, c->request.out);
    CU_ASSERT_EQUAL(wrong_rows(&w, PART_TEST, PART_TRAIN, test.row, test.n), 0);
    CU_ASSERT_EQUAL(wrong_rows(&w, PART_TRAIN, PART_TRAIN, moved, n_train), 0);
    whole_close(&w);
    index_set_free(&test);
    index_set_free(&train);
    free(order);
    free(moved);
}

static void a_test_part_is_drawn(void)
{
    char *out = harness_path("drawn.h5");
    struct import_case c;
    for (int has_ids = 0; has_ids < 2; has_ids++) {
        made_init(&c, out, 0);
        made.has_ids = has_ids;
        c.opts.test_fraction = 0.25;
        c.opts.test_seed = 11;
        check_split(&c, 0.25, 11, -1);
        if (test_comm.rank == 0) /* one pass a part, and one for its ids */
            CU_ASSERT_EQUAL(made.n_start, 2 + 2 * has_ids);
        c.opts.shuffle = 5;
        check_split(&c, 0.25, 11, 5);
    }
    free(out);
}

static void test_parts_are_there_once(void)
{
    char *out = harness_path("parts.h5");
    struct import_case c;
    made_init(&c, out, 0);
    import_fails(&c, IAU_ERR_USAGE,
                 "made has no test part here: give a test fraction or test files");
    c.opts.test_fraction = 0.0009;
    import_fails(&c, IAU_ERR_DATA, "a test fraction of 0.0009 takes none of 1000 rows");
    made_init(&c, out, N_TEST);
    c.opts.test_fraction = 0.1;
    import_fails(&c, IAU_ERR_USAGE,
                 "made has a test part here: a test fraction is for sources without");
    free(out);
}

static void options_of_other_formats_are_refused(void)
{
    char *out = harness_path("options.h5");
    struct import_case c;
    made_init(&c, out, N_TEST);
    c.opts.y = (char *)"label";
    import_fails(&c, IAU_ERR_USAGE, "y (data.source.y) does not apply to made");
    made_init(&c, out, N_TEST);
    c.opts.labels = LABELS_COARSE;
    import_fails(&c, IAU_ERR_USAGE, "labels (data.source.labels) does not apply to made");
    made_init(&c, out, N_TEST);
    c.opts.extra = 1;
    import_fails(&c, IAU_ERR_USAGE, "extra (data.source.extra) does not apply to made");
    free(out);
}

static void ids_come_from_the_source(void)
{
    char *out = harness_path("ids.h5");
    struct import_case c;
    struct whole w;
    made_init(&c, out, N_TEST);
    made.has_ids = 1;
    import_works(&c);
    whole_open(&w, out);
    CU_ASSERT_EQUAL(wrong_rows(&w, PART_TRAIN, PART_TRAIN, NULL, N), 0);
    CU_ASSERT_EQUAL(wrong_rows(&w, PART_TEST, PART_TEST, NULL, N_TEST), 0);
    whole_close(&w);
    made.twin = 701;
    import_fails(&c, IAU_ERR_DATA,
                 "id 4999997900 is given twice: in row 700 of the training part and row 701 of the "
                 "training part");
    c.opts.shuffle = 3;
    import_fails(&c, IAU_ERR_DATA, "in row 700 of the training part and row 701");
    free(out);
}

/* More rows than a window holds: a pass over the source for each. */
static void shuffling_takes_several_passes(void)
{
    enum { MANY = 2300000 };
    char *out = harness_path("many.h5");
    struct import_case c;
    struct dataset d;
    struct rows r;
    int64_t *order = mem_alloc(MANY, sizeof *order), *row = mem_alloc(MANY, sizeof *row), *id,
            wrong = 0;
    made_init(&c, out, N_TEST);
    made.n[PART_TRAIN] = MANY;
    made.width = made.is_u8 = 1;
    c.opts.shuffle = 9;
    import_works(&c);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(made.n_start, 4); /* three windows, and the test part */
    split_numpy_permutation(9, MANY, order);
    for (int64_t i = 0; i < MANY; i++)
        row[i] = i;
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(rows_load(&r, &d, PART_TRAIN, row, MANY), IAU_OK);
    CU_ASSERT_EQUAL(dataset_read_ids(&d, PART_TRAIN, &id), IAU_OK);
    for (int64_t i = 0; i < r.n; i++)
        wrong += r.label[i] != made_label(PART_TRAIN, order[i]) || id[i] != order[i] ||
                 ((uint8_t *)r.x)[i] != (uint8_t)made_value(PART_TRAIN, order[i], 0);
    CU_ASSERT(wrong == 0 && r.n == MANY);
    rows_free(&r);
    dataset_close(&d);
    made.n[PART_TRAIN] = 70000000;
    import_fails(&c, IAU_ERR_USAGE, "70000000 rows of 1 bytes are too many to shuffle");
    free(id);
    free(row);
    free(order);
    free(out);
}

static void values_that_are_not_finite_are_named(void)
{
    char *out = harness_path("finite.h5");
    struct import_case c;
    made_init(&c, out, N_TEST);
    c.request.force = 0;
    made.bad_row = 321;
    import_fails(&c, IAU_ERR_FORMAT,
                 "value 3 in row 321 of the training part is not a finite number");
    c.opts.shuffle = 4;
    import_fails(&c, IAU_ERR_FORMAT,
                 "value 3 in row 321 of the training part is not a finite number");
    CU_ASSERT_EQUAL(file_exists(out), 0);
    free(out);
}

static void compressed_files_hold_the_same(void)
{
    char *plain = harness_path("plain.h5"), *small = harness_path("small.h5");
    char hex[2][DIGEST_CHARS];
    struct stat size[2];
    struct import_case c;
    for (int is_u8 = 0; is_u8 < 2; is_u8++) {
        made_init(&c, plain, N_TEST);
        made.is_u8 = is_u8;
        import_works(&c);
        c.request.out = small;
        c.opts.compress = 1;
        import_works(&c);
        CU_ASSERT_EQUAL(dataset_verify(plain, hex[0]), IAU_OK);
        CU_ASSERT_EQUAL(dataset_verify(small, hex[1]), IAU_OK);
        CU_ASSERT_STRING_EQUAL(hex[0], hex[1]);
        CU_ASSERT(stat(plain, &size[0]) == 0 && stat(small, &size[1]) == 0);
        CU_ASSERT(size[1].st_size < size[0].st_size - 2000);
        comm_barrier(&test_comm);
    }
    free(plain);
    free(small);
}

/* Each rank reads rows of its own, scattered over chunks, out of a compressed file. */
static void ranks_read_their_own_rows(void)
{
    char *out = harness_path("ranks.h5");
    struct import_case c;
    struct dataset d;
    struct rows r;
    int64_t row[N], n = 0, wrong = 0;
    made_init(&c, out, N_TEST);
    c.opts.compress = 1;
    import_works(&c);
    for (int64_t i = test_comm.rank; i < N; i += 1 + i % 13)
        row[n++] = i;
    CU_ASSERT_EQUAL(dataset_open(&d, out, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(rows_load(&r, &d, PART_TRAIN, row, n), IAU_OK);
    for (int64_t i = 0; i < r.n; i++)
        for (int k = 0; k < WIDTH; k++)
            wrong += ((float *)r.x)[i * WIDTH + k] != made_value(PART_TRAIN, row[i], k);
    CU_ASSERT(wrong == 0 && r.n == n);
    rows_free(&r);
    dataset_close(&d);
    free(out);
}

static void where_it_comes_from_is_told(void)
{
    char *out = harness_path("source.h5"), *text = NULL;
    struct import_case c;
    struct h5 f;
    made_init(&c, out, 0);
    c.opts.test_fraction = 0.25;
    c.opts.shuffle = 5;
    import_works(&c);
    CU_ASSERT_EQUAL(h5_open(&f, out), IAU_OK);
    CU_ASSERT_EQUAL(h5_get_text(&f, "/", "source", &text), IAU_OK);
    CU_ASSERT_STRING_EQUAL(text, "made: source; test_fraction 0.25; test_seed 1; shuffle 5");
    h5_close(&f);
    free(text);
    free(out);
}

/* The temporary file of an import that was killed goes when the target is imported anew. */
static void stale_files_are_cleared(void)
{
    char *out = harness_path("stale.h5"), *name = NULL;
    struct import_case c;
    int end[2];
    pid_t child = 0;
    if (test_comm.rank == 0) {
        REQUIRE(pipe(end) == 0 && (child = fork()) >= 0);
        if (child == 0) { /* takes the name with its own number, and is no more */
            char *own = file_temporary_name(out);
            _exit(own && write(end[1], own, strlen(own) + 1) > 0 ? 0 : 1);
        }
        waitpid(child, NULL, 0);
        name = calloc(1, 4096);
        REQUIRE(name && read(end[0], name, 4095) > 0);
        close(end[0]);
        close(end[1]);
        put_text(name, "half a file");
    }
    made_init(&c, out, N_TEST);
    import_works(&c);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(file_exists(name), 0);
    free(name);
    free(out);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a test part is drawn", a_test_part_is_drawn},
        {"test parts are there once", test_parts_are_there_once},
        {"options of other formats are refused", options_of_other_formats_are_refused},
        {"ids come from the source", ids_come_from_the_source},
        {"shuffling takes several passes", shuffling_takes_several_passes},
        {"values that are not finite are named", values_that_are_not_finite_are_named},
        {"compressed files hold the same", compressed_files_hold_the_same},
        {"ranks read their own rows", ranks_read_their_own_rows},
        {"where it comes from is told", where_it_comes_from_is_told},
        {"stale files are cleared", stale_files_are_cleared},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "import_plan", tests);
}
