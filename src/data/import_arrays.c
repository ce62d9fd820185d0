/* Data sets out of arrays: the formats numpy (.npy files, .npz archives) and hdf5. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"

enum { LABEL_PIECE = 1 << 14, MOST_CLASSES = 1 << 16 };

struct part {
    struct h5 h5;           /* the file it is in, or */
    struct archive archive; /* the archive, or neither: files of their own */
    struct array x, y, id;
};

struct arrays {
    struct part part[N_PART];
    enum dataset_part now; /* of the pass */
    int64_t row;           /* that comes next in it */
    void *turned;          /* owned; one image with its channels last */
    void *number;          /* owned, [LABEL_PIECE] int64_t or double */
};

int array_describe(struct array *a, char *name, int ndim, const int64_t *dims)
{
    int rc = IAU_OK;
    if (ndim < 1 || ndim > ARRAY_MOST_DIMS)
        rc = FAIL(IAU_ERR_FORMAT, "%s has %d extents, and 1 to %d are read", name, ndim,
                  ARRAY_MOST_DIMS);
    a->n_value = 1;
    for (int i = 0; i < ndim && rc == IAU_OK; i++) {
        a->dims[i] = dims[i];
        if (dims[i] < 1)
            rc = FAIL(IAU_ERR_FORMAT, "%s is empty", name);
        else if (i > 0 && dims[i] > INT32_MAX / a->n_value)
            rc = FAIL(IAU_ERR_FORMAT, "%s has too large rows", name);
        else if (i > 0)
            a->n_value *= dims[i];
    }
    if (rc != IAU_OK)
        return rc;
    a->ndim = ndim;
    a->name = name;
    return IAU_OK;
}

void array_close(struct array *a)
{
    if (a->kind)
        a->kind->close(a);
    free(a->name);
    *a = (struct array){0};
}

/* --- what the arrays must be */

/* [n][d] is a table, [n][h][w] and [n][c][h][w] are images; with LAYOUT_HWC [n][h][w][c]. */
static int shape_of(const struct import_reader *r, const struct array *x, int *ndim,
                    int64_t dims[3])
{
    int last = r->opts->layout == LAYOUT_HWC;
    const int64_t *d = x->dims;
    if (x->ndim < 2 || (last && x->ndim != 4))
        return FAIL(IAU_ERR_FORMAT, "%s has %d extents; samples have %s", x->name, x->ndim,
                    last ? "4 in the layout hwc" : "2 (tables), 3 or 4 (images)");
    *ndim = x->ndim == 2 ? 1 : 3;
    dims[0] = x->ndim == 3 ? 1 : last ? d[3] : d[1];
    dims[1] = x->ndim == 2 ? 1 : x->ndim == 3 || last ? d[1] : d[2];
    dims[2] = x->ndim == 2 ? 1 : x->ndim == 3 || last ? d[2] : d[3];
    return IAU_OK;
}

static int check_column(const struct array *x, const struct array *a, const char *what)
{
    if (a->n_value != 1)
        return FAIL(IAU_ERR_FORMAT, "%s has %lld values a row, but a sample has one %s", a->name,
                    (long long)a->n_value, what);
    if (a->dims[0] != x->dims[0])
        return FAIL(IAU_ERR_DATA, "%s has %lld rows, %s has %lld", a->name, (long long)a->dims[0],
                    x->name, (long long)x->dims[0]);
    return IAU_OK;
}

static int check_part(struct import_reader *r, enum dataset_part part)
{
    struct arrays *s = r->state;
    struct part *p = &s->part[part];
    int64_t dims[3];
    int ndim = 0, rc = IAU_OK;
    TRY(shape_of(r, &p->x, &ndim, dims));
    TRY(check_column(&p->x, &p->y, "label"));
    if (p->id.kind)
        TRY(check_column(&p->x, &p->id, "id"));
    if (p->id.kind && !p->id.is_integer)
        TRY(FAIL(IAU_ERR_FORMAT, "%s holds no integers, as ids are", p->id.name));
    r->n[part] = p->x.dims[0];
    if (part == PART_TRAIN) {
        r->ndim = ndim;
        memcpy(r->dims, dims, sizeof dims);
        r->is_u8 = p->x.is_u8;
        r->has_ids = p->id.kind != NULL;
    } else if (ndim != r->ndim || memcmp(dims, r->dims, sizeof dims) != 0 ||
               p->x.is_u8 != r->is_u8) {
        TRY(FAIL(IAU_ERR_DATA, "%s has samples of another shape or type than %s", p->x.name,
                 s->part[PART_TRAIN].x.name));
    } else if (r->has_ids != (p->id.kind != NULL)) {
        TRY(FAIL(IAU_ERR_USAGE, "ids are given for one part, and not for the other"));
    }
out:
    return rc;
}

/* --- labels */

/* The next n <= LABEL_PIECE labels, each in [0, most). */
static int read_labels(struct arrays *s, struct array *y, int64_t row, int64_t n, int most,
                       int32_t *label)
{
    int rc = y->kind->read(y, n, y->is_integer ? RECORD_I64 : RECORD_F64, s->number);
    for (int64_t i = 0; i < n && rc == IAU_OK; i++) {
        double value = y->is_integer ? (double)((int64_t *)s->number)[i] : ((double *)s->number)[i];
        if (!(value >= 0 && value < most) || value != floor(value))
            rc = FAIL(IAU_ERR_FORMAT, "%s: label %.10g in row %lld is not in 0..%d", y->name, value,
                      (long long)(row + i), most - 1);
        else
            label[i] = (int32_t)value;
    }
    return rc;
}

/* Classes up to the largest label of the training part. */
static int count_classes(struct import_reader *r)
{
    struct arrays *s = r->state;
    struct array *y = &s->part[PART_TRAIN].y;
    int32_t *label = mem_alloc(LABEL_PIECE, sizeof *label);
    int rc = label ? y->kind->start(y) : FAIL(IAU_ERR_MEM, "no memory for labels");
    r->n_class = 2;
    for (int64_t row = 0, k; row < y->dims[0] && rc == IAU_OK; row += k) {
        k = y->dims[0] - row < LABEL_PIECE ? y->dims[0] - row : LABEL_PIECE;
        rc = read_labels(s, y, row, k, MOST_CLASSES, label);
        for (int64_t i = 0; i < k && rc == IAU_OK; i++)
            r->n_class = label[i] >= r->n_class ? label[i] + 1 : r->n_class;
    }
    free(label);
    return rc;
}

/* --- opening */

/* What the two formats open differently. `x`, `y`, `id` are names in a file; `id` may be "". */
typedef int open_part(struct part *p, const struct text_list *files, const char *x, const char *y,
                      const char *id);

static const char *given(const char *text, const char *otherwise)
{
    return source_has(text) ? text : otherwise;
}

static int open_parts(struct import_reader *r, open_part *open)
{
    const struct source_opts *o = r->opts;
    struct arrays *s = mem_alloc(1, sizeof *s);
    int in_same = source_has(o->test_x) || source_has(o->test_y), rc = IAU_OK;
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read arrays");
    if (in_same && o->test_files.n)
        TRY(FAIL(IAU_ERR_USAGE, "the test part is given twice: in files of its own, and by test_x "
                                "or test_y"));
    if (in_same && !(source_has(o->test_x) && source_has(o->test_y)))
        TRY(FAIL(IAU_ERR_USAGE, "test_x and test_y go together"));
    s->number = mem_alloc(LABEL_PIECE, sizeof(double));
    if (!s->number)
        TRY(FAIL(IAU_ERR_MEM, "no memory for labels"));
    const char *x = given(o->x, "x"), *y = given(o->y, "y"), *id = given(o->id, "");
    TRY(open(&s->part[PART_TRAIN], &o->files, x, y, id));
    TRY(check_part(r, PART_TRAIN));
    if (in_same)
        TRY(open(&s->part[PART_TEST], &o->files, o->test_x, o->test_y, given(o->test_id, "")));
    else if (o->test_files.n)
        TRY(open(&s->part[PART_TEST], &o->test_files, x, y, given(o->test_id, id)));
    if (in_same || o->test_files.n)
        TRY(check_part(r, PART_TEST));
    s->turned = mem_alloc(s->part[PART_TRAIN].x.n_value, sizeof(float));
    if (!s->turned)
        TRY(FAIL(IAU_ERR_MEM, "no memory for an image"));
    TRY(count_classes(r));
out:
    return rc;
}

static int open_archive(struct part *p, const char *path, const char *x, const char *y,
                        const char *id)
{
    const char *const name[] = {x, y, id};
    struct array *const array[] = {&p->x, &p->y, &p->id};
    char plain[256], there[200];
    int rc = archive_open(&p->archive, path);
    for (int i = 0; i < 3 && rc == IAU_OK; i++) {
        if (!*name[i])
            continue;
        snprintf(plain, sizeof plain, "%s.npy", name[i]);
        if (!archive_has(&p->archive, plain) && !archive_has(&p->archive, name[i])) {
            archive_list(&p->archive, there, sizeof there);
            return FAIL(IAU_ERR_DATA, "%s has no array '%s'; it has %s", path, name[i], there);
        }
        rc = array_open_member(array[i], &p->archive, name[i]);
    }
    return rc;
}

static int open_numpy_part(struct part *p, const struct text_list *files, const char *x,
                           const char *y, const char *id)
{
    int rc = IAU_OK;
    if (files->n == 1)
        return open_archive(p, files->v[0], x, y, id);
    if (files->n != 2)
        return FAIL(IAU_ERR_USAGE,
                    "numpy takes one .npz archive, or two .npy files, samples and labels; not %lld "
                    "files",
                    (long long)files->n);
    TRY(array_open_npy(&p->x, files->v[0]));
    TRY(array_open_npy(&p->y, files->v[1]));
    if (*id)
        TRY(array_open_npy(&p->id, id));
out:
    return rc;
}

static int open_h5_part(struct part *p, const struct text_list *files, const char *x, const char *y,
                        const char *id)
{
    int rc = IAU_OK;
    if (files->n != 1)
        return FAIL(IAU_ERR_USAGE, "hdf5 takes one file for a part, not %lld", (long long)files->n);
    TRY(h5_probe(files->v[0], (const char *const[]){x, y, id}, *id ? 3 : 2));
    TRY(h5_open(&p->h5, files->v[0]));
    TRY(array_open_h5(&p->x, &p->h5, x));
    TRY(array_open_h5(&p->y, &p->h5, y));
    if (*id)
        TRY(array_open_h5(&p->id, &p->h5, id));
out:
    return rc;
}

static int open_numpy(struct import_reader *r)
{
    return open_parts(r, open_numpy_part);
}

static int open_hdf5(struct import_reader *r)
{
    return open_parts(r, open_h5_part);
}

/* --- rows */

static int start_arrays(struct import_reader *r, enum dataset_part part)
{
    struct arrays *s = r->state;
    struct part *p = &s->part[part];
    int rc = p->x.kind->start(&p->x);
    if (rc == IAU_OK)
        rc = p->y.kind->start(&p->y);
    if (rc == IAU_OK && p->id.kind)
        rc = p->id.kind->start(&p->id);
    s->now = part;
    s->row = 0;
    return rc;
}

/* Channels from last to first, in place. */
static void turn_image(const struct import_reader *r, void *image)
{
    const struct arrays *s = r->state;
    int64_t n_channel = r->dims[0], n_pixel = r->dims[1] * r->dims[2];
    memcpy(s->turned, image, (size_t)(n_channel * n_pixel) * (r->is_u8 ? 1 : sizeof(float)));
    for (int64_t i = 0; i < n_pixel; i++)
        for (int64_t c = 0; c < n_channel; c++)
            if (r->is_u8)
                ((uint8_t *)image)[c * n_pixel + i] = ((uint8_t *)s->turned)[i * n_channel + c];
            else
                ((float *)image)[c * n_pixel + i] = ((float *)s->turned)[i * n_channel + c];
}

static int next_arrays(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct arrays *s = r->state;
    struct part *p = &s->part[s->now];
    int64_t bytes = p->x.n_value * (r->is_u8 ? 1 : (int64_t)sizeof(float));
    int rc = IAU_OK;
    TRY(p->x.kind->read(&p->x, n, r->is_u8 ? RECORD_U8 : RECORD_F32, to->x));
    for (int64_t i = 0; i < n && to->x && r->opts->layout == LAYOUT_HWC; i++)
        turn_image(r, (char *)to->x + i * bytes);
    if (!to->label)
        TRY(p->y.kind->read(&p->y, n, RECORD_F64, NULL));
    for (int64_t done = 0, k; done < n && to->label; done += k) {
        k = n - done < LABEL_PIECE ? n - done : LABEL_PIECE;
        TRY(read_labels(s, &p->y, s->row + done, k, r->n_class, to->label + done));
    }
    if (p->id.kind)
        TRY(p->id.kind->read(&p->id, n, RECORD_I64, to->id));
    s->row += n;
out:
    return rc;
}

static void close_arrays(struct import_reader *r)
{
    struct arrays *s = r->state;
    if (!s)
        return;
    for (enum dataset_part part = PART_TRAIN; part < N_PART; part++) {
        array_close(&s->part[part].x);
        array_close(&s->part[part].y);
        array_close(&s->part[part].id);
        archive_close(&s->part[part].archive);
        h5_close(&s->part[part].h5);
    }
    free(s->turned);
    free(s->number);
    free(s);
    r->state = NULL;
}

const struct import_format import_numpy = {
    .name = "numpy",
    .help =
        "NumPy: two .npy files, samples and labels (ids: --id FILE.npy); or an .npz archive with "
        "arrays x and y, or as --x, --y, --id and for the test part --test-x, --test-y, --test-id "
        "name them. Samples are [n][d], [n][h][w] or [n][c][h][w]; labels count from 0",
    .takes = TAKES_TEST_FILES | TAKES_X | TAKES_Y | TAKES_ID | TAKES_TEST_ARRAYS | TAKES_LAYOUT,
    .open = open_numpy,
    .start = start_arrays,
    .next = next_arrays,
    .close = close_arrays,
};

const struct import_format import_hdf5 = {
    .name = "hdf5",
    .help =
        "HDF5 from elsewhere: a file with arrays /x and /y, or as --x, --y, --id and for the test "
        "part --test-x, --test-y, --test-id name their paths; shapes as for numpy",
    .takes = TAKES_TEST_FILES | TAKES_X | TAKES_Y | TAKES_ID | TAKES_TEST_ARRAYS | TAKES_LAYOUT,
    .open = open_hdf5,
    .start = start_arrays,
    .next = next_arrays,
    .close = close_arrays,
};
