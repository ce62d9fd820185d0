/* CIFAR-10's binary version: records of one label byte and 3 planes of 32x32 pixels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/import.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, RECORD_BYTES = 1 + PIXELS, N_CLASS = 10, N_FILE = 6 };

struct cifar {
    int n_file;
    struct import_file *file; /* owned, [n_file]; the last is the test part */
    int at[N_PART];           /* the file that comes next */
    int64_t row[N_PART];      /* and the record in it */
};

static const char *const file_name[N_FILE] = {"data_batch_1.bin", "data_batch_2.bin",
                                              "data_batch_3.bin", "data_batch_4.bin",
                                              "data_batch_5.bin", "test_batch.bin"};
static const char *const class_name[N_CLASS] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                "dog",      "frog",       "horse", "ship", "truck"};

static int open_batch(struct import_file *f, const char *path)
{
    int rc = import_file_open(f, path);
    if (rc != IAU_OK)
        return rc;
    if (f->size % RECORD_BYTES)
        return FAIL(IAU_ERR_FORMAT, "%s has %lld bytes, no multiple of the %d of a CIFAR-10 record",
                    path, (long long)f->size, RECORD_BYTES);
    return IAU_OK;
}

/* The directory itself, or the one that the published archive unpacks to. */
static int open_directory(struct cifar *s, const char *directory)
{
    struct stat st;
    int rc = IAU_OK;
    char *inner = import_join(directory, "cifar-10-batches-bin");
    const char *base = inner && stat(inner, &st) == 0 ? inner : directory;
    for (int i = 0; i < N_FILE && rc == IAU_OK; i++) {
        char *path = import_join(base, file_name[i]);
        rc = path ? open_batch(&s->file[i], path) : FAIL(IAU_ERR_MEM, "no memory to open %s", base);
        free(path);
    }
    free(inner);
    return rc;
}

static int open_cifar(struct import_reader *r, int n_source, const char *const *source,
                      const char *name)
{
    (void)name;
    struct cifar *s = mem_alloc(1, sizeof *s);
    int rc = IAU_OK;
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", source[0]);
    s->n_file = n_source == 1 ? N_FILE : n_source;
    s->file = mem_alloc(s->n_file, sizeof *s->file);
    if (!s->file)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", source[0]);
    if (n_source == 1)
        rc = open_directory(s, source[0]);
    for (int i = 0; n_source > 1 && i < n_source && rc == IAU_OK; i++)
        rc = open_batch(&s->file[i], source[i]);
    if (rc != IAU_OK)
        return rc;
    for (int i = 0; i < s->n_file; i++)
        r->n[i == s->n_file - 1 ? PART_TEST : PART_TRAIN] += s->file[i].size / RECORD_BYTES;
    s->at[PART_TEST] = s->n_file - 1;
    r->ndim = 3;
    r->dims[0] = 3;
    r->dims[1] = r->dims[2] = SIDE;
    r->is_u8 = 1;
    r->n_class = N_CLASS;
    r->class_name = class_name;
    r->source = import_source_text("cifar10", s->n_file, s->file);
    return r->source ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to read %s", source[0]);
}

static int next_cifar(struct import_reader *r, enum dataset_part part, int64_t n, void *x,
                      int32_t *label)
{
    struct cifar *s = r->state;
    for (int64_t i = 0; i < n; i++) {
        struct import_file *f = &s->file[s->at[part]];
        uint8_t head;
        int rc = import_file_read(f, 1, &head);
        if (rc == IAU_OK)
            rc = import_file_read(f, PIXELS, (uint8_t *)x + i * PIXELS);
        if (rc != IAU_OK)
            return rc;
        if (head >= N_CLASS)
            return FAIL(IAU_ERR_FORMAT, "%s: label %d in row %lld is not in 0..%d", f->path, head,
                        (long long)s->row[part], N_CLASS - 1);
        label[i] = head;
        if (++s->row[part] == f->size / RECORD_BYTES) {
            rc = import_file_end(f);
            if (rc != IAU_OK)
                return rc;
            s->at[part]++;
            s->row[part] = 0;
        }
    }
    return IAU_OK;
}

static void close_cifar(struct import_reader *r)
{
    struct cifar *s = r->state;
    for (int i = 0; s && s->file && i < s->n_file; i++)
        import_file_close(&s->file[i]);
    if (s)
        free(s->file);
    free(s);
    r->state = NULL;
}

const struct import_format import_cifar10 = {
    .name = "cifar10",
    .help = "CIFAR-10, binary version: a directory with data_batch_1.bin to data_batch_5.bin and "
            "test_batch.bin, "
            "or such files listed, the test batch last",
    .data_name = "cifar10",
    .open = open_cifar,
    .next = next_cifar,
    .close = close_cifar,
};
