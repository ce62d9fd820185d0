/* IDX files (MNIST, Fashion-MNIST): images and labels of the training and the test part, gzip or
 * plain. */
#define _GNU_SOURCE /* strcasestr */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"

enum { MAGIC_IMAGES = 0x803, MAGIC_LABELS = 0x801, N_FILE = 4, N_FASHION = 10, LABEL_PIECE = 4096 };
enum { IMAGE_HEAD = 16, LABEL_HEAD = 8, MOST_PIXELS = 1 << 24 };

struct idx {
    struct import_file file[N_FILE]; /* images and labels of PART_TRAIN, then of PART_TEST */
    enum dataset_part part;          /* of the pass */
    int64_t next;                    /* the row in it that comes next */
};

static const char *const file_name[N_FILE] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                              "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
static const char *const fashion_name[N_FASHION] = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

static struct import_file *images(struct idx *s, enum dataset_part part)
{
    return &s->file[2 * part];
}

static struct import_file *labels(struct idx *s, enum dataset_part part)
{
    return &s->file[2 * part + 1];
}

static int64_t big_endian(const uint8_t *p)
{
    return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
}

/* Read a header: the magic number, then `n_extent` extents. */
static int read_head(struct import_file *f, int magic, const char *what, int n_extent,
                     int64_t *extent)
{
    uint8_t head[IMAGE_HEAD];
    int rc = import_file_read(f, 4 + 4 * n_extent, head);
    if (rc != IAU_OK)
        return rc;
    if (big_endian(head) != magic)
        return FAIL(IAU_ERR_FORMAT, "%s is no IDX %s file: it begins with 0x%08llx, not 0x%08x",
                    f->path, what, (long long)big_endian(head), (unsigned)magic);
    for (int i = 0; i < n_extent; i++)
        extent[i] = big_endian(head + 4 + 4 * i);
    return IAU_OK;
}

static int open_part(struct import_reader *r, struct idx *s, enum dataset_part part)
{
    struct import_file *x = images(s, part), *y = labels(s, part);
    int64_t shape[3] = {0}, n_label = 0;
    int rc = read_head(x, MAGIC_IMAGES, "image", 3, shape);
    if (rc == IAU_OK)
        rc = read_head(y, MAGIC_LABELS, "label", 1, &n_label);
    if (rc != IAU_OK)
        return rc;
    int64_t n = shape[0], h = shape[1], w = shape[2];
    if (n < 1 || h < 1 || w < 1 || h > MOST_PIXELS / w)
        return FAIL(IAU_ERR_FORMAT, "%s: %lld images of %lldx%lld pixels are none or too large",
                    x->path, (long long)n, (long long)h, (long long)w);
    if (n_label != n)
        return FAIL(IAU_ERR_DATA, "%s has %lld images, %s has %lld labels", x->path, (long long)n,
                    y->path, (long long)n_label);
    if (part != PART_TRAIN && (h != r->dims[1] || w != r->dims[2]))
        return FAIL(IAU_ERR_DATA, "%s has images of %lldx%lld pixels, %s of %lldx%lld", x->path,
                    (long long)h, (long long)w, images(s, PART_TRAIN)->path, (long long)r->dims[1],
                    (long long)r->dims[2]);
    r->n[part] = n;
    r->ndim = 3;
    r->dims[0] = 1;
    r->dims[1] = h;
    r->dims[2] = w;
    rc = import_file_check_size(x, IMAGE_HEAD + n * h * w);
    return rc != IAU_OK ? rc : import_file_check_size(y, LABEL_HEAD + n);
}

static int open_in_directory(struct import_file *f, const char *directory, const char *name)
{
    struct stat st;
    char with_gz[64];
    snprintf(with_gz, sizeof with_gz, "%s.gz", name);
    char *plain = import_join(directory, name), *gz = import_join(directory, with_gz);
    int rc;
    if (!plain || !gz)
        rc = FAIL(IAU_ERR_MEM, "no memory to open %s", directory);
    else if (stat(plain, &st) != 0 && stat(gz, &st) != 0)
        rc = FAIL(IAU_ERR_IO, "%s holds neither %s nor %s.gz", directory, name, name);
    else
        rc = import_file_open(f, stat(plain, &st) == 0 ? plain : gz);
    free(plain);
    free(gz);
    return rc;
}

/* The files of both parts, or of the training part alone: *n_part. */
static int open_files(const struct source_opts *o, struct idx *s, int *n_part)
{
    int64_t n = o->files.n, n_test = o->test_files.n;
    int rc = IAU_OK;
    *n_part = n == 2 && n_test == 0 ? 1 : N_PART;
    if (!(n == 1 && n_test == 0) && !(n == 2 && (n_test == 0 || n_test == 2)) &&
        !(n == N_FILE && n_test == 0))
        return FAIL(IAU_ERR_USAGE,
                    "idx takes a directory or 4 files (train images, train labels, test images, "
                    "test labels; the latter two as test files, if you like), not %lld sources",
                    (long long)(n + n_test));
    for (int i = 0; i < 2 * *n_part && rc == IAU_OK; i++)
        rc = n == 1 ? open_in_directory(&s->file[i], o->files.v[0], file_name[i])
                    : import_file_open(&s->file[i], i < n ? o->files.v[i] : o->test_files.v[i - n]);
    return rc;
}

/* Labels from `row` on, from where the file stands. `most`, or 255 while it is not yet known, is
 * the largest there may be. */
static int read_labels(struct import_file *f, int64_t row, int64_t n, int most, int32_t *label)
{
    uint8_t piece[LABEL_PIECE];
    for (int64_t done = 0; done < n; done += LABEL_PIECE) {
        int64_t k = n - done < LABEL_PIECE ? n - done : LABEL_PIECE;
        int rc = import_file_read(f, k, piece);
        if (rc != IAU_OK)
            return rc;
        for (int64_t i = 0; i < k; i++) {
            if (piece[i] > most)
                return FAIL(IAU_ERR_FORMAT,
                            "%s: label %d in row %lld is not in 0..%d, those of the training part",
                            f->path, piece[i], (long long)(row + done + i), most);
            label[done + i] = piece[i];
        }
    }
    return IAU_OK;
}

/* The classes are those up to the largest label of the training part. */
static int count_classes(struct import_reader *r, struct idx *s)
{
    int32_t label[LABEL_PIECE];
    int64_t n = r->n[PART_TRAIN];
    r->n_class = 2;
    for (int64_t first = 0; first < n; first += LABEL_PIECE) {
        int64_t k = n - first < LABEL_PIECE ? n - first : LABEL_PIECE;
        int rc = read_labels(labels(s, PART_TRAIN), first, k, UINT8_MAX, label);
        if (rc != IAU_OK)
            return rc;
        for (int64_t i = 0; i < k; i++)
            r->n_class = label[i] >= r->n_class ? label[i] + 1 : r->n_class;
    }
    return IAU_OK;
}

static int open_idx(struct import_reader *r)
{
    struct idx *s = mem_alloc(1, sizeof *s);
    int rc = IAU_OK, n_part = 0;
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read IDX files");
    TRY(open_files(r->opts, s, &n_part));
    for (enum dataset_part part = PART_TRAIN; (int)part < n_part; part++)
        TRY(open_part(r, s, part));
    TRY(count_classes(r, s));
    r->is_u8 = 1;
    if (strcasestr(r->name, "fashion") && r->n_class == N_FASHION)
        r->class_name = fashion_name;
out:
    return rc;
}

static int start_idx(struct import_reader *r, enum dataset_part part)
{
    struct idx *s = r->state;
    int rc = IAU_OK;
    TRY(import_file_rewind(images(s, part)));
    TRY(import_file_rewind(labels(s, part)));
    TRY(import_file_skip(images(s, part), IMAGE_HEAD));
    TRY(import_file_skip(labels(s, part), LABEL_HEAD));
    s->part = part;
    s->next = 0;
out:
    return rc;
}

static int next_idx(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct idx *s = r->state;
    struct import_file *x = images(s, s->part), *y = labels(s, s->part);
    int64_t n_bytes = n * r->dims[1] * r->dims[2];
    int rc = IAU_OK;
    TRY(to->x ? import_file_read(x, n_bytes, to->x) : import_file_skip(x, n_bytes));
    TRY(to->label ? read_labels(y, s->next, n, r->n_class - 1, to->label) : import_file_skip(y, n));
    s->next += n;
    if (s->next < r->n[s->part])
        return IAU_OK;
    TRY(import_file_end(x));
    TRY(import_file_end(y));
out:
    return rc;
}

static void close_idx(struct import_reader *r)
{
    struct idx *s = r->state;
    for (int i = 0; s && i < N_FILE; i++)
        import_file_close(&s->file[i]);
    free(s);
    r->state = NULL;
}

const struct import_format import_idx = {
    .name = "idx",
    .help =
        "MNIST, Fashion-MNIST, EMNIST: a folder with train-images-idx3-ubyte[.gz] and so on, or "
        "files: train images, train labels, test images, test labels",
    .takes = TAKES_TEST_FILES,
    .open = open_idx,
    .start = start_idx,
    .next = next_idx,
    .close = close_idx,
};
