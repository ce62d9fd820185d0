/* Requests, sources and outcomes of imports. */
#define _GNU_SOURCE /* asprintf */
#include "import_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "capture.h"
#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"

void import_case_init(struct import_case *c, const char *format, char *const *source, int n,
                      const char *out)
{
    REQUIRE(n <= IMPORT_MOST_FILES);
    *c = (struct import_case){.opts = {.format = (char *)format, .test_seed = 1, .shuffle = -1}};
    for (int i = 0; i < n; i++)
        c->file[i] = source[i];
    c->opts.files = (struct text_list){n, c->file};
    c->request = (struct import_request){.source = &c->opts, .out = out};
}

void import_works(const struct import_case *c)
{
    comm_barrier(&test_comm); /* everybody has read what is about to be replaced */
    CU_ASSERT_EQUAL(import_run(&c->request, &test_comm), IAU_OK);
}

void import_fails(const struct import_case *c, int code, const char *text)
{
    struct capture capture;
    char printed[2048];
    comm_barrier(&test_comm); /* rank 0 has put its files in place */
    int there = file_exists(c->request.out);
    error_clear();
    capture_begin(&capture);
    int rc = import_run(&c->request, &test_comm);
    capture_end(&capture, printed, sizeof printed);
    expect_one_message(rc, code, printed, text);
    CU_ASSERT_EQUAL(file_exists(c->request.out), there);
    error_clear();
}

void import_cut_short(const struct import_case *c, const char *path, int is_text)
{
    char *p = NULL, printed[2048];
    size_t n = 0;
    int n_failed = 0;
    comm_barrier(&test_comm);
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, 1 << 24), IAU_OK);
    comm_barrier(&test_comm);
    for (size_t k = 0; k < 16; k++) {
        struct capture capture;
        if (test_comm.rank == 0)
            put_bytes(path, p, n * k / 16);
        capture_begin(&capture);
        int rc = import_run(&c->request, &test_comm);
        capture_end(&capture, printed, sizeof printed);
        n_failed += rc != IAU_OK;
        CU_ASSERT(rc == IAU_ERR_FORMAT || rc == IAU_ERR_DATA || (is_text && rc == IAU_OK));
        if (rc != IAU_OK || !is_text)
            expect_one_message(rc, rc, printed, strrchr(path, '/') + 1);
        if (rc == IAU_OK && test_comm.rank == 0)
            file_remove(c->request.out);
        comm_barrier(&test_comm);
        CU_ASSERT_EQUAL(file_exists(c->request.out), 0);
        comm_barrier(&test_comm);
    }
    CU_ASSERT(n_failed >= (is_text ? 2 : 16));
    if (test_comm.rank == 0)
        put_bytes(path, p, n);
    free(p);
}

char *join(const char *directory, const char *name)
{
    char *path = NULL;
    REQUIRE(asprintf(&path, "%s/%s", directory, name) >= 0);
    return path;
}

void put_bytes(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

void put_text(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

void put_gzip(const char *path, const void *p, size_t n)
{
    gzFile f = gzopen(path, "wb");
    REQUIRE(f && gzwrite(f, p, (unsigned)n) == (int)n && gzclose(f) == Z_OK);
}

void whole_open(struct whole *w, const char *path)
{
    char hex[DIGEST_CHARS];
    *w = (struct whole){0};
    CU_ASSERT_EQUAL(dataset_open(&w->dataset, path, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(dataset_verify(path, hex), IAU_OK);
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        int64_t n = w->dataset.n[part], *row = mem_alloc(n, sizeof *row);
        REQUIRE(row);
        for (int64_t i = 0; i < n; i++)
            row[i] = i;
        CU_ASSERT_EQUAL(rows_load(&w->rows[part], &w->dataset, part, row, n), IAU_OK);
        CU_ASSERT_EQUAL(dataset_read_ids(&w->dataset, part, &w->id[part]), IAU_OK);
        free(row);
    }
}

void whole_close(struct whole *w)
{
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        rows_free(&w->rows[part]);
        free(w->id[part]);
    }
    dataset_close(&w->dataset);
}
