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
#include "data/import.h"

enum { MAGIC_IMAGES = 0x803, MAGIC_LABELS = 0x801, N_FILE = 4, N_CLASS = 10, LABEL_PIECE = 4096 };
enum { IMAGE_HEAD = 16, LABEL_HEAD = 8, MOST_PIXELS = 1 << 24 };

struct idx {
    struct import_file file[N_FILE]; /* images and labels of PART_TRAIN, then of PART_TEST */
    int64_t next[N_PART];            /* the row that comes next */
};

static const char *const file_name[N_FILE] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                              "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
static const char *const fashion_name[N_CLASS] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                                  "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                                  "Bag",         "Ankle boot"};

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

static int open_idx(struct import_reader *r, int n_source, const char *const *source,
                    const char *name)
{
    struct idx *s = mem_alloc(1, sizeof *s);
    int rc = IAU_OK;
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", source[0]);
    if (n_source != 1 && n_source != N_FILE)
        return FAIL(IAU_ERR_USAGE,
                    "idx takes a directory or 4 files (train images, train labels, test images, "
                    "test labels), not %d sources",
                    n_source);
    for (int i = 0; i < N_FILE && rc == IAU_OK; i++)
        rc = n_source == 1 ? open_in_directory(&s->file[i], source[0], file_name[i])
                           : import_file_open(&s->file[i], source[i]);
    for (enum dataset_part part = PART_TRAIN; part < N_PART && rc == IAU_OK; part++)
        rc = open_part(r, s, part);
    if (rc != IAU_OK)
        return rc;
    r->is_u8 = 1;
    r->n_class = N_CLASS;
    r->class_name = strcasestr(name, "fashion") ? fashion_name : NULL;
    r->source = import_source_text("idx", N_FILE, s->file);
    return r->source ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory to read %s", source[0]);
}

static int read_labels(struct import_file *f, int64_t row, int64_t n, int32_t *label)
{
    uint8_t piece[LABEL_PIECE];
    for (int64_t done = 0; done < n; done += LABEL_PIECE) {
        int64_t k = n - done < LABEL_PIECE ? n - done : LABEL_PIECE;
        int rc = import_file_read(f, k, piece);
        if (rc != IAU_OK)
            return rc;
        for (int64_t i = 0; i < k; i++) {
            if (piece[i] >= N_CLASS)
                return FAIL(IAU_ERR_FORMAT, "%s: label %d in row %lld is not in 0..%d", f->path,
                            piece[i], (long long)(row + done + i), N_CLASS - 1);
            label[done + i] = piece[i];
        }
    }
    return IAU_OK;
}

static int next_idx(struct import_reader *r, enum dataset_part part, int64_t n, void *x,
                    int32_t *label)
{
    struct idx *s = r->state;
    int rc = import_file_read(images(s, part), n * r->dims[1] * r->dims[2], x);
    if (rc == IAU_OK)
        rc = read_labels(labels(s, part), s->next[part], n, label);
    s->next[part] += n;
    if (rc != IAU_OK || s->next[part] < r->n[part])
        return rc;
    rc = import_file_end(images(s, part));
    return rc != IAU_OK ? rc : import_file_end(labels(s, part));
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
    .help = "MNIST, Fashion-MNIST: a directory with train-images-idx3-ubyte[.gz] and so on, or 4 "
            "files: train "
            "images, train labels, test images, test labels; 10 classes",
    .open = open_idx,
    .next = next_idx,
    .close = close_idx,
};
