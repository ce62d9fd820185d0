/* Imports of text: CSV tables, and Purchase100 and its relatives. What is read right is checked
 * against Python's writers in check_formats.sh; here is what is refused, with which words, and
 * where. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "import_case.h"
#include "io/file.h"

/* A source and what is said of it. */
struct text_case {
    const char *text, *y, *id;
    int code;
    const char *message;
};

static void check_cases(const char *format, const char *name, const struct text_case *cases,
                        size_t n)
{
    char *path = harness_path(name), *out = harness_path("refused.h5");
    for (size_t i = 0; i < n; i++) {
        struct import_case c;
        import_case_init(&c, format, &path, 1, out);
        c.opts.test_fraction = 0.5;
        c.opts.y = (char *)cases[i].y;
        c.opts.id = (char *)cases[i].id;
        if (test_comm.rank == 0)
            put_text(path, cases[i].text);
        import_fails(&c, cases[i].code, cases[i].message);
    }
    CU_ASSERT_EQUAL(file_exists(out), 0);
    free(path);
    free(out);
}

#define REFUSE(format, name, ...)                                      \
    check_cases(format, name, (const struct text_case[]){__VA_ARGS__}, \
                sizeof((const struct text_case[]){__VA_ARGS__}) / sizeof(struct text_case))

static void wrong_tables_are_refused(void)
{
    REFUSE(
        "csv", "t.csv", {"", NULL, NULL, IAU_ERR_FORMAT, "t.csv is empty"},
        {"\n\n\r\n", NULL, NULL, IAU_ERR_FORMAT, "t.csv holds no header"},
        {"a,label\n", NULL, NULL, IAU_ERR_DATA, "t.csv holds a header and no rows"},
        {"a,b\n1,2\n", NULL, NULL, IAU_ERR_DATA,
         "t.csv has no column 'label' (--y, data.source.y); it has a, b"},
        {"a,label\n1,2\n", "c", NULL, IAU_ERR_DATA, "t.csv has no column 'c' (--y, data.source.y)"},
        {"a,label\n1,2\n", NULL, "key", IAU_ERR_DATA,
         "t.csv has no column 'key' (--id, data.source.id)"},
        {"a,label,a\n1,2,3\n", "a", NULL, IAU_ERR_DATA, "t.csv has more than one column 'a'"},
        {"a,label\n1,2\n", "a", "a", IAU_ERR_USAGE, "column 'a' is named for labels and for ids"},
        {"label\n1\n2\n", NULL, NULL, IAU_ERR_DATA, "t.csv has no columns of numbers"},
        {"key,label\n1,2\n", NULL, "key", IAU_ERR_DATA, "t.csv has no columns of numbers"},
        {"a,label\n1,x\n2,x\n", NULL, NULL, IAU_ERR_DATA,
         "t.csv: all rows have the label 'x'; at least 2 are needed"},
        {"a,label\n1,x\n2\n", NULL, NULL, IAU_ERR_FORMAT, "t.csv:3: the row ends before its label"},
        {"a,label\n1,x\n2,\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:3: column 'label': '' is empty, not a label"},
        {"a,label\n1,x\n2,y,3\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:3: 3 fields, the header has 2"},
        {"label,a,b\nx,1,2\ny,3\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:3: 2 fields, the header has 3"},
        {"a,label\n1,x\n\n\"two\nlines\",y\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:4: column 'a': 'two lines' is no number"},
        {"a,label\n1,x\nabc,y\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:3: column 'a': 'abc' is no number"},
        {"a,label\n1,x\nNaN,y\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:3: column 'a': 'NaN' is no number"},
        {"a,label\n-inf,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:2: column 'a': '-inf' is no number"},
        {"a,label\n0x10,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT, "column 'a': '0x10' is no number"},
        {"a,label\n1 2,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT, "column 'a': '1 2' is no number"},
        {"a,label\n1e,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT, "column 'a': '1e' is no number"},
        {"a,label\n-,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT, "column 'a': '-' is no number"},
        {"a,label\n ,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT,
         "column 'a': '' is empty, not a number"},
        {"a,label\n1e39,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:2: column 'a': '1e39' is too large for float32"},
        {"a,label\n1e400,x\n1,y\n", NULL, NULL, IAU_ERR_FORMAT, "'1e400' is no number"},
        {"a,label\n1,x\n\"2,y\n", NULL, NULL, IAU_ERR_FORMAT,
         "t.csv:3: a quote is opened and never closed"},
        {"a,label\n1,x\n\"2\"3,y\n", NULL, NULL, IAU_ERR_FORMAT, "t.csv:3: wrong quotes"},
        {"a,label\n1,x\n2\"3\",y\n", NULL, NULL, IAU_ERR_FORMAT, "t.csv:3: wrong quotes"},
        {"a,la\"\"bel\n1,x\n", NULL, NULL, IAU_ERR_FORMAT, "t.csv:1: wrong quotes in the header"},
        {"a,key,label\n1,1,x\n2,1.5,y\n", NULL, "key", IAU_ERR_FORMAT,
         "t.csv:3: column 'key': '1.5' is no integer of 64 bits"},
        {"a,key,label\n1,9223372036854775808,x\n2,1,y\n", NULL, "key", IAU_ERR_FORMAT,
         "t.csv:2: column 'key': '9223372036854775808' is no integer of 64 bits"},
        {"a,key,label\n1,,x\n2,1,y\n", NULL, "key", IAU_ERR_FORMAT,
         "column 'key': '' is no integer"},
        {"a,key,label\n1,7,x\n2,8,y\n3,7,x\n", NULL, "key", IAU_ERR_DATA,
         "id 7 is given twice: in row 0 of the training part and row 2 of the training part"});
}

static void wrong_purchases_are_refused(void)
{
    REFUSE(
        "purchase", "p", {"", NULL, NULL, IAU_ERR_FORMAT, "p is empty"},
        {"\n\n", NULL, NULL, IAU_ERR_FORMAT, "p holds no rows"},
        {"3\n", NULL, NULL, IAU_ERR_FORMAT, "p:1: a label without features"},
        {"0,1,0\n", NULL, NULL, IAU_ERR_FORMAT,
         "p:1: column 1: '0' is no label; they count from 1"},
        {"1,1,0\n\n-2,0,0\n", NULL, NULL, IAU_ERR_FORMAT, "p:3: column 1: '-2' is no label"},
        {"x,1,0\n", NULL, NULL, IAU_ERR_FORMAT, "p:1: column 1: 'x' is no label"},
        {"100000,1,0\n", NULL, NULL, IAU_ERR_FORMAT, "p:1: column 1: '100000' is no label"},
        {"1,1,0\n2,0,2\n", NULL, NULL, IAU_ERR_FORMAT, "p:2: column 3: '2' is neither 0 nor 1"},
        {"1,1,0\n2,nan,1\n", NULL, NULL, IAU_ERR_FORMAT, "p:2: column 2: 'nan' is neither 0 nor 1"},
        {"1,1,0\n2,,1\n", NULL, NULL, IAU_ERR_FORMAT, "p:2: column 2: '' is neither 0 nor 1"},
        {"1,1,0\n2,1\n", NULL, NULL, IAU_ERR_FORMAT,
         "p:2: fewer features than in the first line, which has 2"},
        {"1,1,0\n2,1,0,1\n", NULL, NULL, IAU_ERR_FORMAT,
         "p:2: more features than in the first line, which has 2"},
        {"1,1,0\n2,1,0,\n", NULL, NULL, IAU_ERR_FORMAT, "p:2: more features"},
        {"\"1,1,0\n2,1,0\n", NULL, NULL, IAU_ERR_FORMAT, "p:1: a quote is opened and never closed"},
        {"1,1,0\n2,1,0\"\"\n", NULL, NULL, IAU_ERR_FORMAT, "p:2: column 3: wrong quotes"});
}

static void bytes_that_are_no_text_are_refused(void)
{
    char *path = harness_path("zero.csv"), *out = harness_path("zero.h5");
    struct import_case c;
    import_case_init(&c, "csv", &path, 1, out);
    c.opts.test_fraction = 0.5;
    if (test_comm.rank == 0)
        put_bytes(path, "a,label\n1,x\n\0,y\n", 16);
    import_fails(&c, IAU_ERR_FORMAT, "zero.csv:3: a zero byte: this is no text");
    free(path);
    free(out);
}

/* Files of one table, and of one data set, must fit together. */
static void files_must_fit_together(void)
{
    char *out = harness_path("fit.h5"),
         *path[3] = {harness_path("a"), harness_path("b"), harness_path("c")};
    struct import_case c;
    import_case_init(&c, "csv", path, 2, out);
    c.opts.test_files = (struct text_list){1, &path[2]};
    for (int i = 0; i < 3 && test_comm.rank == 0; i++)
        put_text(path[i], "x,label\n1,p\n2,q\n");
    import_works(&c);
    c.request.force = 1;
    if (test_comm.rank == 0)
        put_text(path[1], "y,label\n1,p\n");
    import_fails(&c, IAU_ERR_DATA, "b: column 1 is 'y', not 'x' as in the first file");
    if (test_comm.rank == 0)
        put_text(path[1], "x,label,z\n1,p,3\n");
    import_fails(&c, IAU_ERR_DATA, "b: column 3 is 'z', not 'the end' as in the first file");
    if (test_comm.rank == 0)
        put_text(path[1], "x\n1\n");
    import_fails(&c, IAU_ERR_DATA, "b has 1 columns, the first file has 2");
    if (test_comm.rank == 0) {
        put_text(path[1], "x,label\n1,r\n");
        put_text(path[2], "x,label\n1,p\n3,s\n");
    }
    import_fails(&c, IAU_ERR_FORMAT, "c:3: column 'label': 's' is no label of the training part");
    import_case_init(&c, "purchase", path, 2, out);
    c.request.force = 1;
    c.opts.test_fraction = 0.5;
    if (test_comm.rank == 0) {
        put_text(path[0], "0,1\n1,0\n1,1\n");
        put_text(path[1], "1\n2\n");
    }
    import_fails(&c, IAU_ERR_DATA, "a and ");
    if (test_comm.rank == 0)
        put_text(path[1], "1\n2,1\n1\n");
    import_fails(&c, IAU_ERR_FORMAT, "b:2: more than a label");
    if (test_comm.rank == 0)
        put_text(path[1], "1\n2\n1\n");
    import_works(&c);
    c.opts.test_fraction = 0;
    c.opts.files.n = 1;
    c.opts.test_files = (struct text_list){1, &path[1]};
    if (test_comm.rank == 0) {
        put_text(path[0], "1,1\n2,0\n");
        put_text(path[1], "1,1\n3,0\n");
    }
    import_fails(&c, IAU_ERR_FORMAT, "b:2: label 3 is not in 1..2, those of the training part");
    import_case_init(&c, "purchase", path, 3, out);
    c.request.force = 1;
    import_fails(&c, IAU_ERR_USAGE,
                 "purchase takes one file, or one of features and one of labels, not 3");
    for (int i = 0; i < 3; i++)
        free(path[i]);
    free(out);
}

/* Records longer than the buffer, and fields that lie on its edge: 1 MiB. */
static void long_lines_are_read(void)
{
    enum { N_COLUMN = 300000, N_ROW = 6 };
    char *path = harness_path("long.csv"), *out = harness_path("long.h5");
    struct import_case c;
    struct whole w;
    int64_t wrong = 0;
    if (test_comm.rank == 0) {
        FILE *f = fopen(path, "w");
        REQUIRE(f);
        for (int k = 0; k < N_COLUMN; k++)
            fprintf(f, "c%d,", k);
        fprintf(f, "label\n");
        for (int i = 0; i < N_ROW; i++) {
            for (int k = 0; k < N_COLUMN; k++)
                fprintf(f, "%d,", (i + 1) * k % 1009);
            fprintf(f, "%c%s", "uv"[i % 2], i < N_ROW - 1 ? "\n" : "");
        }
        REQUIRE(fclose(f) == 0);
    }
    import_case_init(&c, "csv", &path, 1, out);
    c.opts.test_files = (struct text_list){1, &path};
    import_works(&c);
    whole_open(&w, out);
    CU_ASSERT(w.dataset.c == N_COLUMN && w.dataset.n[PART_TEST] == N_ROW);
    for (int64_t i = 0; i < w.rows[PART_TEST].n; i++)
        for (int64_t k = 0; k < N_COLUMN; k++)
            wrong +=
                ((float *)w.rows[PART_TEST].x)[i * N_COLUMN + k] != (float)((i + 1) * k % 1009);
    CU_ASSERT_EQUAL(wrong, 0);
    whole_close(&w);
    free(path);
    free(out);
}

static void text_that_is_cut_short_is_noticed(void)
{
    char *path[2] = {harness_path("cut.csv"), harness_path("cut.csv.gz")},
         *out = harness_path("cut.h5"), *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    fprintf(f, "label,first,second\n");
    for (int i = 0; i < 400; i++)
        fprintf(f, "\"class %d\",%d.25,%d\n", i % 3, i * 37 % 101, 1000 + i);
    REQUIRE(fclose(f) == 0);
    for (int gz = 0; gz < 2; gz++) {
        struct import_case c;
        import_case_init(&c, "csv", &path[gz], 1, out);
        c.opts.test_fraction = 0.2;
        if (test_comm.rank == 0)
            (gz ? put_gzip : put_bytes)(path[gz], text, n);
        import_cut_short(&c, path[gz], !gz);
        import_works(&c);
        comm_barrier(&test_comm);
        if (test_comm.rank == 0)
            file_remove(out);
        free(path[gz]);
    }
    free(text);
    free(out);
}

static void numbers_are_rounded_right(void)
{
    static const char *const text[] = {"0.1",
                                       "123456789012345",
                                       "1234567890123456",
                                       "0.123456789012345",
                                       "9007199254740993",
                                       "1.7976931348623157e308",
                                       "4.9e-324",
                                       "2.2250738585072011e-308",
                                       "-123.456",
                                       "+.5",
                                       "5.",
                                       "00000000000000000000012",
                                       "1e22",
                                       "1e23",
                                       "8.41e21",
                                       "0.000001"};
    static const char *const wrong[] = {"",      " 1",  "1 ",  "1e",  "e1",    ".",   "-",   "+-1",
                                        "1.2.3", "inf", "nan", "0x1", "1e999", "1,5", "1d3", "١"};
    double x;
    int64_t i;
    for (size_t k = 0; k < sizeof text / sizeof *text; k++)
        CU_ASSERT(import_number(text[k], &x) && x == strtod(text[k], NULL));
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
        CU_ASSERT(!import_number(wrong[k], &x));
    CU_ASSERT(import_integer("-9223372036854775808", &i) && i == INT64_MIN);
    CU_ASSERT(import_integer("+17", &i) && i == 17);
    CU_ASSERT(!import_integer("9223372036854775808", &i) && !import_integer("1.0", &i));
    CU_ASSERT(!import_integer("", &i) && !import_integer("1e3", &i) && !import_integer(" 1", &i));
}

static void classes_are_found_and_sorted(void)
{
    struct import_classes c = {0};
    char name[32];
    for (int i = 0; i < 5000; i++) { /* 7 and 5000 have no common divisor */
        snprintf(name, sizeof name, "%d", (i * 7) % 5000 - 100);
        CU_ASSERT_EQUAL(import_classes_add(&c, name, "file"), IAU_OK);
        CU_ASSERT_EQUAL(import_classes_add(&c, name, "file"), IAU_OK);
    }
    CU_ASSERT_EQUAL(import_classes_sort(&c, "file"), IAU_OK);
    CU_ASSERT_EQUAL(c.n, 5000);
    for (int i = 0; i < c.n; i++) {
        snprintf(name, sizeof name, "%d", i - 100);
        CU_ASSERT(strcmp(c.name[i], name) == 0 && import_classes_find(&c, name) == i);
    }
    CU_ASSERT_EQUAL(import_classes_find(&c, "4900"), -1);
    import_classes_free(&c);
    for (int i = 0; i < 1 << 16; i++) {
        snprintf(name, sizeof name, "%x", i);
        REQUIRE(import_classes_add(&c, name, "file") == IAU_OK);
    }
    harness_expect_error(import_classes_add(&c, "one more", "file"), IAU_ERR_DATA,
                         "file has more than 65536 different labels; are these classes?");
    import_classes_free(&c);
    CU_ASSERT_EQUAL(import_classes_find(&c, "x"), -1);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"wrong tables are refused", wrong_tables_are_refused},
        {"wrong purchases are refused", wrong_purchases_are_refused},
        {"bytes that are no text are refused", bytes_that_are_no_text_are_refused},
        {"files must fit together", files_must_fit_together},
        {"long lines are read", long_lines_are_read},
        {"text that is cut short is noticed", text_that_is_cut_short_is_noticed},
        {"numbers are rounded right", numbers_are_rounded_right},
        {"classes are found and sorted", classes_are_found_and_sorted},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "import_text", tests);
}
