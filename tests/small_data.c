/* A small learnable data set, and naive sums over it. */
#include "small_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/import.h"
#include "harness.h"
#include "io/file.h"
#include "io/h5.h"

const struct small_shape small_table = {
    .c = 7, .n_class = 3, .n_train = 410, .n_test = 90, .noise = 0.9f, .flipped = 0.1};
const struct small_shape small_images = {.c = 1,
                                         .h = 12,
                                         .w = 12,
                                         .n_class = 4,
                                         .n_train = 180,
                                         .n_test = 40,
                                         .noise = 0.8f,
                                         .flipped = 0.05};

static const float image_mean = 0.4f, image_std = 0.3f;

int64_t small_data_id(enum dataset_part part, int64_t row)
{
    return part == PART_TRAIN ? 7000 - 3 * row : 20000 + row;
}

/* --- the file */

/* One part in memory, as it goes to the file. */
struct part_data {
    int64_t n;
    void *x;
    int32_t *y;
    int64_t *id;
};

static void make_part(struct part_data *p, const struct small_shape *shape, enum dataset_part part)
{
    int64_t d = shape->h ? (int64_t)shape->c * shape->h * shape->w : shape->c;
    p->n = part == PART_TRAIN ? shape->n_train : shape->n_test;
    p->x = mem_alloc(p->n * d, sizeof(float));
    p->y = mem_alloc(p->n, sizeof *p->y);
    p->id = mem_alloc(p->n, sizeof *p->id);
    float *centre = mem_alloc(d, sizeof *centre), *noise = mem_alloc(d, sizeof *noise);
    REQUIRE(p->x && p->y && p->id && centre && noise);
    for (int64_t i = 0; i < p->n; i++) {
        float draw[2];
        uint64_t key = (uint64_t)(1000000 * (part + 1) + i);
        harness_fill(draw, 2, key);
        int true_class = (int)((draw[0] + 1) / 2 * (float)shape->n_class);
        int wrong = (draw[1] + 1) / 2 < shape->flipped;
        harness_fill(centre, d, (uint64_t)(100 + true_class));
        harness_fill(noise, d, key + 500000);
        p->y[i] = (true_class + wrong) % shape->n_class;
        p->id[i] = small_data_id(part, i);
        for (int64_t k = 0; k < d; k++) {
            float value = centre[k] + shape->noise * noise[k];
            if (shape->h)
                ((uint8_t *)p->x)[i * d + k] =
                    (uint8_t)lrintf(fminf(fmaxf(127 + 70 * value, 0), 255));
            else
                ((float *)p->x)[i * d + k] = value;
        }
    }
    free(centre);
    free(noise);
}

static void put_array(const struct h5 *f, struct digest *sum, const char *path,
                      enum record_type type, int ndim, const int64_t *dims, const void *data)
{
    struct h5_array a;
    size_t size = h5_type_bytes(type);
    for (int i = 0; i < ndim; i++)
        size *= (size_t)dims[i];
    REQUIRE(h5_array_create(&a, f, path, type, ndim, dims, &(struct h5_layout){1 << 14, 0}) ==
            IAU_OK);
    REQUIRE(h5_array_write(&a, 0, dims[0], data) == IAU_OK);
    REQUIRE(h5_array_close(&a) == IAU_OK);
    digest_array(sum, path, ndim, dims);
    digest_bytes(sum, data, size);
}

static void put_part(const struct h5 *f, struct digest *sum, const struct small_shape *shape,
                     const char *name, const struct part_data *p)
{
    char path[32];
    int64_t dims[4] = {p->n, shape->c, shape->h, shape->w};
    snprintf(path, sizeof path, "/%s/id", name);
    put_array(f, sum, path, RECORD_I64, 1, dims, p->id);
    snprintf(path, sizeof path, "/%s/x", name);
    put_array(f, sum, path, shape->h ? RECORD_U8 : RECORD_F32, shape->h ? 4 : 2, dims, p->x);
    snprintf(path, sizeof path, "/%s/y", name);
    put_array(f, sum, path, RECORD_I32, 1, dims, p->y);
}

static void put_attributes(const struct h5 *f, const struct small_shape *shape, const char *digest)
{
    static char *class_name[] = {"ant", "bee", "cat", "dog",  "eel",
                                 "fox", "gnu", "hen", "ibex", "jay"};
    float mean[64], std[64];
    for (int i = 0; i < shape->c; i++) { /* tables are taken as they are, whatever stands here */
        mean[i] = image_mean;
        std[i] = image_std;
    }
    REQUIRE(h5_set_text(f, "/", "format", DATASET_FORMAT) == IAU_OK);
    REQUIRE(h5_set_i64(f, "/", "version", DATASET_VERSION) == IAU_OK);
    REQUIRE(h5_set_text(f, "/", "name", "small") == IAU_OK);
    REQUIRE(h5_set_i64(f, "/", "classes", shape->n_class) == IAU_OK);
    REQUIRE(h5_set_texts(f, "/", "class_names", shape->n_class, class_name) == IAU_OK);
    REQUIRE(h5_set_floats(f, "/", "mean", shape->c, mean) == IAU_OK);
    REQUIRE(h5_set_floats(f, "/", "std", shape->c, std) == IAU_OK);
    REQUIRE(h5_set_text(f, "/", "digest", digest) == IAU_OK);
}

static void write_file(const char *path, const struct small_shape *shape)
{
    static const char *const part_name[N_PART] = {"train", "test"};
    struct h5 f = {0};
    struct digest sum;
    char hex[DIGEST_CHARS];
    REQUIRE(shape->c <= 64 && shape->n_class <= 10);
    REQUIRE(digest_init(&sum) == IAU_OK && h5_create(&f, path, path) == IAU_OK);
    for (int part = PART_TEST; part >= PART_TRAIN; part--) { /* the digest's order: by path */
        struct part_data p;
        make_part(&p, shape, part);
        put_part(&f, &sum, shape, part_name[part], &p);
        free(p.x);
        free(p.y);
        free(p.id);
    }
    digest_final(&sum, hex);
    put_attributes(&f, shape, hex);
    REQUIRE(h5_close(&f) == IAU_OK);
    REQUIRE(dataset_verify(path, hex) == IAU_OK);
}

void small_data_open(struct small_data *s, const char *name, const struct small_shape *shape)
{
    static int64_t hidden[] = {11};
    struct model_opts opts = {.name = shape->h ? MODEL_LENET5 : MODEL_MLP, .hidden = {1, hidden}};
    struct index_set all;
    *s = (struct small_data){.path = harness_path(name)};
    if (test_comm.rank == 0)
        write_file(s->path, shape);
    comm_barrier(&test_comm);
    REQUIRE(dataset_open(&s->dataset, s->path, &test_comm) == IAU_OK);
    struct shape in = {s->dataset.c, s->dataset.h, s->dataset.w};
    REQUIRE(model_build(&s->model, &opts, in, s->dataset.n_class) == IAU_OK);
    for (int part = 0; part < N_PART; part++) {
        REQUIRE(index_set_all(&all, part, s->dataset.n[part]) == IAU_OK);
        REQUIRE(rows_load(&s->rows[part], &s->dataset, part, all.row, all.n) == IAU_OK);
        index_set_free(&all);
    }
}

void small_data_close(struct small_data *s)
{
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        file_remove(s->path);
    for (int part = 0; part < N_PART; part++)
        rows_free(&s->rows[part]);
    dataset_close(&s->dataset);
    free(s->path);
}

/* --- running */

struct comm small_self(void)
{
    return (struct comm){.mpi = MPI_COMM_SELF, .rank = 0, .size = 1};
}

void small_engine(struct engine *e, const struct small_data *s, int unit, const struct comm *comm)
{
    REQUIRE(engine_init(e, &s->model, &s->dataset, unit, NULL, NULL, comm) == IAU_OK);
}

struct train_opts small_train_opts(void)
{
    return (struct train_opts){
        .seed = 42,
        .epochs = 2,
        .batch = 50,
        .unit = 16,
        .gradient_sum = 1,
        .optimizer =
            {.name = OPTIMIZER_ADAM, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8},
        .schedule = {.name = SCHEDULE_CONSTANT, .every = 1, .factor = 1},
    };
}

void small_train(struct outcome *o, const struct small_data *s, const struct partition *sets,
                 const struct train_opts *opts, const struct comm *comm)
{
    struct engine e;
    struct progress progress = {0};
    small_engine(&e, s, (int)opts->unit, comm);
    struct trainer t = {.engine = &e,
                        .opts = opts,
                        .train = &sets->train,
                        .valid = &sets->valid,
                        .name = "origin",
                        .progress = &progress};
    REQUIRE(trainer_run(o, &t) == IAU_OK);
    engine_free(&e);
}

/* --- naive sums */

static float sample_value(const struct small_data *s, enum dataset_part part, int64_t row, int c,
                          int y, int x)
{
    const struct dataset *d = &s->dataset;
    const struct shape in = s->model.in;
    if (d->is_table)
        return ((const float *)s->rows[part].x)[row * d->c + c];
    int y0 = y - (in.h - d->h) / 2,
        x0 = x - (in.w - d->w) / 2; /* the sample stands in the middle, zeros around */
    int inside = y0 >= 0 && y0 < d->h && x0 >= 0 && x0 < d->w;
    int raw =
        inside ? ((const uint8_t *)s->rows[part].x)[((row * d->c + c) * d->h + y0) * d->w + x0] : 0;
    return ((float)raw / 255 - image_mean) / image_std;
}

void naive_forward(const struct small_data *s, const float *w, enum dataset_part part, int64_t row,
                   struct unit *u)
{
    struct shape in = s->model.in;
    u->n = 1;
    for (int c = 0; c < in.c; c++)
        for (int y = 0; y < in.h; y++)
            for (int x = 0; x < in.w; x++) {
                float value = sample_value(s, part, row, c, y, x);
                for (int lane = 0; lane < u->lanes; lane++)
                    u->node[0].a[((c * in.h + y) * in.w + x) * u->lanes + lane] = value;
            }
    for (int lane = 0; lane < u->lanes; lane++) {
        u->label[lane] = s->rows[part].label[row];
        u->weight[lane] = lane == 0;
    }
    model_forward(&s->model, w, u);
}

void naive_sum(struct naive *a, const struct small_data *s, const float *w,
               const struct index_set *set, int with_gradient)
{
    const struct model *m = &s->model;
    struct unit u = {0};
    float *one = mem_alloc(m->n_param, sizeof *one);
    *a = (struct naive){.gradient =
                            with_gradient ? mem_alloc(m->n_param, sizeof *a->gradient) : NULL};
    REQUIRE(one && (a->gradient || !with_gradient));
    REQUIRE(unit_init(&u, m, 16, with_gradient ? UNIT_GRADIENT : UNIT_FORWARD) == IAU_OK);
    for (int64_t i = 0; i < set->n; i++) {
        naive_forward(s, w, set->part, set->row[i], &u);
        int best = 0;
        for (int c = 1; c < m->n_class; c++)
            best = u.p[c * u.lanes] > u.p[best * u.lanes] ? c : best;
        a->loss -= log(u.p[u.label[0] * u.lanes]);
        a->correct += best == u.label[0];
        if (!with_gradient)
            continue;
        model_backward(m, w, &u, one);
        for (int64_t k = 0; k < m->n_param; k++)
            a->gradient[k] += one[k];
    }
    unit_free(&u);
    free(one);
}

void naive_free(struct naive *a)
{
    free(a->gradient);
    *a = (struct naive){0};
}

double relative_error(const double *a, const double *b, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return sqrt(difference / size);
}

/* --- histories */

static int is_time(const char *column)
{
    size_t n = strlen(column);
    return n > 2 && strcmp(column + n - 2, "_s") == 0;
}

int same_history(const struct history *a, const struct history *b)
{
    if (a->n_row != b->n_row || a->n_column != b->n_column)
        return 0;
    for (int64_t i = 0; i < a->n_row * a->n_column; i++) {
        int column = (int)(i % a->n_column);
        if (strcmp(a->name[column], b->name[column]) != 0)
            return 0;
        if (!is_time(a->name[column]) && memcmp(&a->value[i], &b->value[i], sizeof *a->value) != 0)
            return 0;
    }
    return 1;
}

double history_at(const struct history *h, int64_t row, const char *column)
{
    for (int c = 0; c < h->n_column && row < h->n_row; c++)
        if (strcmp(h->name[c], column) == 0)
            return h->value[row * h->n_column + c];
    return NAN;
}
