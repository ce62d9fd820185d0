/* SVHN's cropped digits: MATLAB files with X, 32 x 32 x 3 x N of uint8, and y, N labels of 1 to 10,
 * where 10 stands for the digit 0. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"
#include "io/mat.h"

/* A compressed array is unpacked from its beginning for each window, so they are large: one holds
 * all of the published training part. */
enum { SIDE = 32, CHANNELS = 3, PIXELS = CHANNELS * SIDE * SIDE, N_CLASS = 10 };
enum { WINDOW_ROWS = (224 << 20) / PIXELS };

struct file {
    struct mat mat;
    struct mat_array x;
    int64_t n;
    double *y; /* owned, [n] */
};

struct svhn {
    struct import_paths paths;
    struct file *file[N_PART]; /* owned, [paths.n] */
    enum dataset_part part;    /* of the pass, and in it */
    int at;                    /* the file that comes next */
    int64_t row;               /* and the image in it */
    uint8_t *window;           /* owned, [WINDOW_ROWS] images, or all of them if they are fewer */
    const struct file *window_file;
    int64_t window_first, window_n, window_rows;
};

static const char *const standard[] = {"train_32x32.mat", NULL};
static const char *const with_extra[] = {"train_32x32.mat", "extra_32x32.mat", NULL};
static const char *const standard_test[] = {"test_32x32.mat", NULL};

static int open_file(struct file *f, const char *path)
{
    struct mat_array y = {0};
    int rc = IAU_OK;
    TRY(mat_open(&f->mat, path));
    TRY(mat_array_open(&f->x, &f->mat, "X"));
    const int64_t *d = f->x.dims; /* MATLAB leaves out a last extent of 1 */
    f->n = f->x.ndim == 4 ? d[3] : 1;
    if (!f->x.is_u8 || f->x.ndim < 3 || d[0] != SIDE || d[1] != SIDE || d[2] != CHANNELS)
        TRY(FAIL(IAU_ERR_FORMAT, "%s: X is not uint8 of 32 x 32 x 3 x N", path));
    TRY(mat_array_open(&y, &f->mat, "y"));
    if (y.n != f->n)
        TRY(FAIL(IAU_ERR_DATA, "%s has %lld images in X and %lld labels in y", path,
                 (long long)f->n, (long long)y.n));
    f->y = mem_alloc(f->n, sizeof *f->y);
    if (!f->y)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld labels", (long long)f->n));
    TRY(mat_array_read_all(&y, f->y));
    for (int64_t i = 0; i < f->n; i++)
        if (!(f->y[i] >= 1 && f->y[i] <= N_CLASS) || f->y[i] != (int)f->y[i])
            TRY(FAIL(IAU_ERR_FORMAT, "%s: label %g in row %lld is not in 1..%d", path, f->y[i],
                     (long long)i, N_CLASS));
out:
    mat_array_close(&y);
    return rc;
}

static int open_svhn(struct import_reader *r)
{
    const struct import_names names = {"", {r->opts->extra ? with_extra : standard, standard_test}};
    struct svhn *s = mem_alloc(1, sizeof *s);
    int rc = IAU_OK;
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read SVHN");
    TRY(import_paths_init(&s->paths, r, "svhn", &names));
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        s->file[part] = mem_alloc(s->paths.n[part], sizeof *s->file[part]);
        if (!s->file[part])
            TRY(FAIL(IAU_ERR_MEM, "no memory to read SVHN"));
        for (int i = 0; i < s->paths.n[part]; i++) {
            TRY(open_file(&s->file[part][i], s->paths.path[part][i]));
            r->n[part] += s->file[part][i].n;
            if (s->file[part][i].n > s->window_rows)
                s->window_rows = s->file[part][i].n;
        }
    }
    s->window_rows = s->window_rows < WINDOW_ROWS ? s->window_rows : WINDOW_ROWS;
    s->window = mem_alloc(s->window_rows, PIXELS);
    if (!s->window)
        TRY(FAIL(IAU_ERR_MEM, "no memory for %lld images", (long long)s->window_rows));
    r->ndim = 3;
    r->dims[0] = CHANNELS;
    r->dims[1] = r->dims[2] = SIDE;
    r->is_u8 = 1;
    r->n_class = N_CLASS;
out:
    return rc;
}

static int start_svhn(struct import_reader *r, enum dataset_part part)
{
    struct svhn *s = r->state;
    s->part = part;
    s->at = 0;
    s->row = 0;
    return IAU_OK;
}

/* Have image `row` of a file in the window. */
static int bring_window(struct svhn *s, const struct file *f, int64_t row)
{
    if (s->window_file == f && row >= s->window_first && row < s->window_first + s->window_n)
        return IAU_OK;
    s->window_file = f;
    s->window_first = row / s->window_rows * s->window_rows;
    s->window_n = f->n - s->window_first;
    if (s->window_n > s->window_rows)
        s->window_n = s->window_rows;
    int rc = mat_array_read_u8(&f->x, s->window_first * PIXELS, s->window_n * PIXELS, s->window);
    if (rc != IAU_OK)
        s->window_file = NULL;
    return rc;
}

/* MATLAB's order is column by column, so each plane is turned around. */
static void turn_planes(const uint8_t *in, uint8_t *out)
{
    for (int c = 0; c < CHANNELS; c++, in += SIDE * SIDE, out += SIDE * SIDE)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                out[y * SIDE + x] = in[x * SIDE + y];
}

static int next_svhn(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct svhn *s = r->state;
    for (int64_t i = 0; i < n; i++) {
        const struct file *f = &s->file[s->part][s->at];
        int rc = to->x ? bring_window(s, f, s->row) : IAU_OK;
        if (rc != IAU_OK)
            return rc;
        if (to->x)
            turn_planes(s->window + (s->row - s->window_first) * PIXELS,
                        (uint8_t *)to->x + i * PIXELS);
        if (to->label)
            to->label[i] = (int32_t)f->y[s->row] % N_CLASS;
        if (++s->row == f->n) {
            s->row = 0;
            s->at++;
        }
    }
    return IAU_OK;
}

static void close_svhn(struct import_reader *r)
{
    struct svhn *s = r->state;
    if (!s)
        return;
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        for (int i = 0; s->file[part] && i < s->paths.n[part]; i++) {
            mat_array_close(&s->file[part][i].x);
            mat_close(&s->file[part][i].mat);
            free(s->file[part][i].y);
        }
        free(s->file[part]);
    }
    import_paths_free(&s->paths);
    free(s->window);
    free(s);
    r->state = NULL;
}

const struct import_format import_svhn = {
    .name = "svhn",
    .help =
        "SVHN, cropped digits: a folder with train_32x32.mat and test_32x32.mat, with --extra also "
        "extra_32x32.mat; or such files listed, the test part last; label 10 becomes class 0",
    .data_name = "svhn",
    .takes = TAKES_TEST_FILES | TAKES_EXTRA,
    .open = open_svhn,
    .start = start_svhn,
    .next = next_svhn,
    .close = close_svhn,
};
