/* Augmentation: pixel by pixel against a naive crop and mirror, what it is keyed by, how it is
 * distributed, and training with it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stop.h"
#include "data/augment.h"
#include "harness.h"
#include "io/file.h"
#include "kernel/lanes.h"
#include "small_data.h"

static struct small_data images; /* opened by the first test, closed by the last */
static struct partition sets;

static void open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&images, "images.h5", &small_images);
    CU_ASSERT_EQUAL(partition_init(&sets, &images.dataset, &split, NULL, &test_comm), IAU_OK);
}

static void close_data(void)
{
    partition_free(&sets);
    small_data_close(&images);
}

/* --- pixels */

/* As one would do it by hand: pad with `crop` zeros all around, cut, mirror. */
static void naive_copy(const struct augment_move *m, int crop, int c, int h, int w, size_t size,
                       const char *in, char *out)
{
    int wide = w + 2 * crop, high = h + 2 * crop;
    for (int plane = 0; plane < c; plane++) {
        char *padded = mem_alloc((int64_t)high * wide, size);
        for (int y = 0; y < h; y++)
            memcpy(padded + ((size_t)(y + crop) * wide + crop) * size,
                   in + ((size_t)plane * h + y) * w * size, w * size);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int from = m->flip ? w - 1 - x : x;
                size_t at = (size_t)(y + crop + m->dy) * wide + from + crop + m->dx;
                memcpy(out + (((size_t)plane * h + y) * w + x) * size, padded + at * size, size);
            }
        free(padded);
    }
}

static int64_t count_wrong_moves(int c, int h, int w, int crop, int is_u8)
{
    size_t size = is_u8 ? 1 : sizeof(float), n = (size_t)c * h * w;
    int64_t wrong = 0;
    float *number = mem_alloc((int64_t)n, sizeof *number);
    char *in = mem_alloc((int64_t)n, size), *out = mem_alloc((int64_t)n + 1, size),
         *truth = mem_alloc((int64_t)n, size);
    harness_fill(number, (int64_t)n, 3);
    for (size_t i = 0; i < n; i++)
        if (is_u8)
            in[i] = (char)(1 + (int)(127 * (number[i] + 1)));
        else
            memcpy(in + i * size, number + i, size);
    for (int dy = -crop; dy <= crop; dy++)
        for (int dx = -crop; dx <= crop; dx++)
            for (int flip = 0; flip < 2; flip++) {
                struct augment_move m = {dy, dx, flip};
                memset(out, 77, (n + 1) * size);
                naive_copy(&m, crop, c, h, w, size, in, truth);
                augment_copy(&m, c, h, w, is_u8, in, out);
                wrong += memcmp(out, truth, n * size) != 0 || out[n * size] != 77;
            }
    free(number);
    free(in);
    free(out);
    free(truth);
    return wrong;
}

static void every_pixel_is_where_it_belongs(void)
{
    static const int shapes[][4] = {
        {3, 32, 32, 4}, {1, 28, 28, 4}, {2, 5, 7, 4}, {1, 1, 1, 0}, {3, 9, 4, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int is_u8 = 0; is_u8 < 2; is_u8++) {
            const int *s = shapes[i];
            CU_ASSERT_EQUAL(count_wrong_moves(s[0], s[1], s[2], s[3], is_u8), 0);
        }
}

/* --- the draw */

static int same_move(struct augment_move a, struct augment_move b)
{
    return a.dy == b.dy && a.dx == b.dx && a.flip == b.flip;
}

static void a_move_depends_on_seed_epoch_and_id(void)
{
    const struct augment a = {.opts = {4, 1}, .seed = 42, .epoch = 3};
    struct augment other_epoch = a, other_seed = a;
    other_epoch.epoch = 4;
    other_seed.seed = 43;
    int n = 2000, same_epoch = 0, same_seed = 0, same_id = 0;
    for (int64_t id = 0; id < n; id++) {
        struct augment_move m = augment_draw(&a, id);
        CU_ASSERT_TRUE(same_move(m, augment_draw(&a, id)));
        same_epoch += same_move(m, augment_draw(&other_epoch, id));
        same_seed += same_move(m, augment_draw(&other_seed, id));
        same_id += same_move(m, augment_draw(&a, id + 1));
    }
    /* By chance one in 162: 12.3 of 2000, standard deviation 3.5. */
    CU_ASSERT_TRUE(same_epoch < 30 && same_seed < 30 && same_id < 30);
}

static void moves_are_uniform(void)
{
    enum { SIDE = 9, CELLS = 2 * SIDE * SIDE, EACH = 500 };
    const struct augment a = {.opts = {4, 1}, .seed = 7, .epoch = 1};
    int count[CELLS] = {0}, outside = 0;
    for (int64_t id = 0; id < CELLS * EACH; id++) {
        struct augment_move m = augment_draw(&a, id);
        if (abs(m.dy) > 4 || abs(m.dx) > 4 || (m.flip & ~1))
            outside++;
        else
            count[(m.flip * SIDE + m.dy + 4) * SIDE + m.dx + 4]++;
    }
    double chi2 = 0;
    for (int i = 0; i < CELLS; i++)
        chi2 += (double)(count[i] - EACH) * (count[i] - EACH) / EACH;
    CU_ASSERT_EQUAL(outside, 0);
    CU_ASSERT_TRUE(chi2 > 90 && chi2 < 250); /* 161 degrees of freedom: 161 +- 18 */
}

static void what_is_off_does_nothing(void)
{
    const struct augment crop = {.opts = {4, 0}, .seed = 7}, flip = {.opts = {0, 1}, .seed = 7};
    int mirrored = 0;
    CU_ASSERT_FALSE(augment_is_on(&(struct augment_opts){0}));
    CU_ASSERT_TRUE(augment_is_on(&crop.opts) && augment_is_on(&flip.opts));
    for (int64_t id = 0; id < 1000; id++) {
        struct augment_move m = augment_draw(&flip, id);
        CU_ASSERT_TRUE(m.dy == 0 && m.dx == 0 && augment_draw(&crop, id).flip == 0);
        mirrored += m.flip;
    }
    CU_ASSERT_TRUE(mirrored > 420 && mirrored < 580); /* 500 +- 16 */
}

static void settings_that_do_not_fit_the_data_are_refused(void)
{
    struct dataset d = {.path = (char *)"d.h5", .c = 3, .h = 20, .w = 10, .is_u8 = 1};
    CU_ASSERT_EQUAL(augment_check(&(struct augment_opts){9, 1}, &d), IAU_OK);
    harness_expect_error(augment_check(&(struct augment_opts){10, 0}, &d), IAU_ERR_CONFIG,
                         "train.augment.crop = 10: the images of d.h5 have 20x10 pixels");
    d.is_table = 1;
    CU_ASSERT_EQUAL(augment_check(&(struct augment_opts){0}, &d), IAU_OK);
    harness_expect_error(augment_check(&(struct augment_opts){0, 1}, &d), IAU_ERR_CONFIG,
                         "d.h5 is a table");
}

/* --- gathering */

/* Gather some samples of the training part as one unit; `augment` may be NULL. @return the input,
 * [c][h][w][16] */
static float *gather_unit(struct engine *e, const int32_t *index, int n,
                          const struct augment *augment)
{
    struct piece piece = {index, n};
    struct work work = {
        .rows = &images.rows[PART_TRAIN], .n_unit = 1, .piece = &piece, .augment = augment};
    struct unit *u = &e->worker[0].unit;
    int64_t count = shape_count(images.model.in) * u->lanes;
    float *out = mem_alloc(count, sizeof *out);
    sweep_gather(e, &work, 0, u);
    memcpy(out, u->node[0].a, (size_t)count * sizeof *out);
    return out;
}

static int same_lane(const float *a, int lane_a, const float *b, int lane_b)
{
    int differ = 0;
    for (int64_t i = 0; i < shape_count(images.model.in); i++)
        differ |= a[i * LANE_BLOCK + lane_a] != b[i * LANE_BLOCK + lane_b];
    return !differ;
}

/* The id that a sample is keyed by here: not its place. */
static int64_t *some_ids(void)
{
    int64_t n = images.rows[PART_TRAIN].n, *id = mem_alloc(n, sizeof *id);
    for (int64_t i = 0; i < n; i++)
        id[i] = 5 * i + 2;
    return id;
}

static void a_unit_holds_the_moved_samples(void)
{
    const struct dataset *d = &images.dataset;
    struct rows *r = &images.rows[PART_TRAIN], original = *r;
    int32_t index[16];
    int64_t *id = some_ids();
    struct augment a = {.opts = {4, 1}, .seed = 11, .epoch = 2, .id = id};
    struct engine e;
    small_engine(&e, &images, 16, &test_comm);
    CU_ASSERT_EQUAL(engine_augment(&e), IAU_OK);
    for (int k = 0; k < 13; k++)
        index[k] = (17 * k + 3) % (int)r->n;
    float *out = gather_unit(&e, index, 13, &a);
    char *moved = mem_alloc(r->n, r->sample_bytes);
    for (int64_t i = 0; i < r->n; i++) {
        struct augment_move m = augment_draw(&a, id[i]);
        naive_copy(&m, 4, d->c, d->h, d->w, 1, (const char *)r->x + i * (int64_t)r->sample_bytes,
                   moved + i * (int64_t)r->sample_bytes);
    }
    r->x = moved;
    float *truth = gather_unit(&e, index, 13, NULL);
    r->x = original.x;
    CU_ASSERT_EQUAL(memcmp(out, truth, (size_t)shape_count(images.model.in) * 16 * sizeof *out), 0);
    free(out);
    free(truth);
    free(moved);
    free(id);
    engine_free(&e);
}

static void the_key_is_the_sample_not_its_place(void)
{
    int64_t *id = some_ids();
    struct augment a = {.opts = {4, 1}, .seed = 11, .epoch = 2, .id = id}, later = a;
    int32_t up[16], down[16];
    int unmoved = 0, repeated = 0;
    struct engine e;
    later.epoch = 3;
    small_engine(&e, &images, 16, &test_comm);
    CU_ASSERT_EQUAL(engine_augment(&e), IAU_OK);
    for (int k = 0; k < 16; k++)
        down[15 - k] = up[k] = 3 * k;
    float *plain = gather_unit(&e, up, 16, NULL), *first = gather_unit(&e, up, 16, &a);
    float *reversed = gather_unit(&e, down, 16, &a), *next = gather_unit(&e, up, 16, &later);
    for (int k = 0; k < 16; k++) {
        CU_ASSERT_TRUE(same_lane(first, k, reversed, 15 - k));
        unmoved += same_lane(first, k, plain, k);
        repeated += same_lane(first, k, next, k);
    }
    CU_ASSERT_TRUE(unmoved <= 2 && repeated <= 2);
    free(plain);
    free(first);
    free(reversed);
    free(next);
    free(id);
    engine_free(&e);
}

/* Ids are any integers of 64 bits. */
static void any_id_has_its_moves(void)
{
    static const int64_t id[] = {
        0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 56, ((int64_t)1 << 56) - 1};
    enum { N_ID = sizeof id / sizeof *id, N_EPOCH = 40 };
    struct augment a = {.opts = {1000, 1}, .seed = 3};
    for (int i = 0; i < N_ID; i++)
        for (int j = 0; j < i; j++) {
            int same = 0;
            for (a.epoch = 0; a.epoch < N_EPOCH; a.epoch++) {
                struct augment_move p = augment_draw(&a, id[i]), q = augment_draw(&a, id[j]);
                same += p.dy == q.dy && p.dx == q.dx;
                CU_ASSERT_TRUE(p.dy >= -1000 && p.dy <= 1000 && p.dx >= -1000 && p.dx <= 1000);
            }
            CU_ASSERT_TRUE(same == 0);
        }
}

/* --- training */

struct run {
    struct train_opts opts;
    struct comm comm;
    const char *restart;
    int resume;
    int rc;
    struct outcome o;
};

static struct run plain_run(void)
{
    struct run r = {.opts = small_train_opts(), .comm = test_comm, .restart = "/nowhere/r.h5"};
    r.opts.restriction.alpha = 0.01;
    return r;
}

static struct run augmented_run(void)
{
    struct run r = plain_run();
    r.opts.augment = (struct augment_opts){2, 1};
    return r;
}

static void execute(struct run *r)
{
    struct engine e;
    struct progress progress = {0};
    small_engine(&e, &images, (int)r->opts.unit, &r->comm);
    struct restart restart = {
        .path = r->restart, .settings = "", .name = "origin", .resume = r->resume};
    struct trainer t = {.engine = &e,
                        .opts = &r->opts,
                        .train = &sets.train,
                        .valid = &sets.valid,
                        .name = "origin",
                        .restart = &restart,
                        .progress = &progress};
    r->rc = trainer_run(&r->o, &t);
    engine_free(&e);
}

static int same_outcome(const struct run *a, const struct run *b)
{
    size_t n = (size_t)images.model.n_param;
    return a->rc == IAU_OK && b->rc == IAU_OK && memcmp(a->o.w, b->o.w, n * sizeof *a->o.w) == 0 &&
           memcmp(a->o.gradient_sum, b->o.gradient_sum, n * sizeof *a->o.gradient_sum) == 0 &&
           same_history(&a->o.history, &b->o.history);
}

static void training_gives_the_same_bytes_at_any_rank_count(void)
{
    struct run all = augmented_run(), alone = augmented_run(), plain = plain_run();
    alone.comm = small_self();
    execute(&all);
    execute(&alone);
    execute(&plain);
    CU_ASSERT_TRUE(same_outcome(&all, &alone));
    CU_ASSERT_TRUE(plain.rc == IAU_OK && !same_outcome(&all, &plain));
    outcome_free(&all.o);
    outcome_free(&alone.o);
    outcome_free(&plain.o);
}

/* Stopped after every step of the first two epochs, and finished by one rank. */
static void a_resumed_run_equals_an_unbroken_one(void)
{
    char *path = harness_path("augmented.restart.h5");
    struct run unbroken = augmented_run(), r = augmented_run();
    execute(&unbroken);
    r.restart = path;
    for (int i = 0; i < 4; i++) {
        stop_set(test_comm.rank == test_comm.size - 1);
        execute(&r);
        stop_set(0);
        CU_ASSERT_EQUAL(r.rc, IAU_STOPPED);
        r.resume = 1;
    }
    comm_barrier(&test_comm);
    r.comm = small_self();
    execute(&r);
    CU_ASSERT_TRUE(same_outcome(&r, &unbroken));
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        file_remove(path);
    outcome_free(&r.o);
    outcome_free(&unbroken.o);
    free(path);
}

/* With parameters that stay, an epoch's loss changes only as its samples do. */
static void every_epoch_moves_the_samples_anew(void)
{
    for (int on = 0; on < 2; on++) {
        struct run r = on ? augmented_run() : plain_run();
        r.opts.optimizer.lr = 1e-30;
        execute(&r);
        double change =
            history_at(&r.o.history, 1, "loss_train") - history_at(&r.o.history, 0, "loss_train");
        CU_ASSERT_EQUAL(r.rc, IAU_OK);
        CU_ASSERT_TRUE(on ? fabs(change) > 1e-5 : fabs(change) < 1e-7);
        outcome_free(&r.o);
    }
}

/* Parameters that stay give the mean loss of the samples as their ids, which are not their rows,
 * move them. */
static void training_moves_a_sample_by_its_id(void)
{
    struct run r = augmented_run();
    int64_t n = images.rows[PART_TRAIN].n, *id = mem_alloc(n, sizeof *id);
    float *w = mem_alloc(model_state_floats(&images.model), sizeof *w);
    for (int64_t i = 0; i < n; i++)
        id[i] = small_data_id(PART_TRAIN, i);
    struct augment a = {.opts = r.opts.augment, .seed = (uint64_t)r.opts.seed, .id = id};
    double loss = 0;
    struct engine e;
    r.opts.optimizer.lr = 1e-30;
    execute(&r);
    small_engine(&e, &images, 16, &test_comm);
    CU_ASSERT_EQUAL(engine_augment(&e), IAU_OK);
    model_init_params(&images.model, (uint64_t)r.opts.seed, w);
    for (int64_t i = 0; i < sets.train.n; i++) {
        int32_t index = (int32_t)sets.train.row[i];
        struct piece piece = {&index, 1};
        struct work work = {
            .rows = &images.rows[PART_TRAIN], .n_unit = 1, .piece = &piece, .augment = &a};
        sweep_gather(&e, &work, 0, &e.worker[0].unit);
        model_forward(&images.model, w, &e.worker[0].unit);
        loss += unit_loss(&e.worker[0].unit);
    }
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_DOUBLE_EQUAL(history_at(&r.o.history, 0, "loss_train"), loss / (double)sets.train.n,
                           1e-6);
    outcome_free(&r.o);
    engine_free(&e);
    free(id);
    free(w);
}

static void only_training_sees_moved_samples(void)
{
    struct run r = augmented_run();
    struct naive train, valid;
    execute(&r);
    if (r.rc == IAU_OK) {
        const struct history *h = &r.o.history;
        struct run shorter = augmented_run(); /* the epoch that was kept, with its row of history */
        naive_sum(&train, &images, r.o.w, &sets.train, 1);
        CU_ASSERT_TRUE(relative_error(r.o.gradient_sum, train.gradient, images.model.n_param) <
                       1e-5);
        naive_free(&train);
        shorter.opts.epochs = 1;
        execute(&shorter);
        naive_sum(&valid, &images, shorter.o.w, &sets.valid, 0);
        CU_ASSERT_DOUBLE_EQUAL(history_at(h, 0, "loss_valid"), valid.loss / (double)sets.valid.n,
                               1e-5);
        naive_free(&valid);
        outcome_free(&shorter.o);
    }
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    outcome_free(&r.o);
}

static void a_trainer_refuses_what_does_not_fit(void)
{
    struct run r = augmented_run();
    struct capture c;
    char text[1024];
    r.opts.augment.crop = 12;
    capture_begin(&c);
    execute(&r);
    capture_end(&c, text, sizeof text);
    expect_one_message(r.rc, IAU_ERR_CONFIG, text, "train.augment.crop = 12");
    CU_ASSERT_PTR_NULL(r.o.w);
}

static void a_rank_without_memory_stops_all(void)
{
    int failed = 0;
    for (int k = 1; k < 40; k++) { /* whichever allocation fails, the code is the same everywhere */
        struct run r = augmented_run();
        struct capture c;
        char text[1024];
        struct engine e;
        struct progress progress = {0};
        small_engine(&e, &images, 16, &r.comm);
        struct trainer t = {.engine = &e,
                            .opts = &r.opts,
                            .train = &sets.train,
                            .valid = &sets.valid,
                            .name = "origin",
                            .progress = &progress};
        r.opts.epochs = 1;
        capture_begin(&c);
        mem_fail_after(test_comm.rank == test_comm.size - 1 ? k : 0);
        r.rc = trainer_run(&r.o, &t);
        mem_fail_after(0);
        capture_end(&c, text, sizeof text);
        int64_t code[2] = {r.rc, -r.rc};
        comm_max_i64(&test_comm, code, 2);
        CU_ASSERT_EQUAL(code[0], -code[1]);
        CU_ASSERT_TRUE(r.rc == IAU_OK || r.rc == IAU_ERR_MEM);
        failed += r.rc != IAU_OK;
        outcome_free(&r.o);
        engine_free(&e);
    }
    CU_ASSERT_TRUE(failed > 0);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"every pixel is where it belongs", every_pixel_is_where_it_belongs},
        {"a move depends on seed, epoch and id", a_move_depends_on_seed_epoch_and_id},
        {"moves are uniform", moves_are_uniform},
        {"what is off does nothing", what_is_off_does_nothing},
        {"settings that do not fit the data are refused",
         settings_that_do_not_fit_the_data_are_refused},
        {"a unit holds the moved samples", a_unit_holds_the_moved_samples},
        {"the key is the sample, not its place", the_key_is_the_sample_not_its_place},
        {"any id has its moves", any_id_has_its_moves},
        {"training gives the same bytes at any rank count",
         training_gives_the_same_bytes_at_any_rank_count},
        {"a resumed run equals an unbroken one", a_resumed_run_equals_an_unbroken_one},
        {"every epoch moves the samples anew", every_epoch_moves_the_samples_anew},
        {"training moves a sample by its id", training_moves_a_sample_by_its_id},
        {"only training sees moved samples", only_training_sees_moved_samples},
        {"a trainer refuses what does not fit", a_trainer_refuses_what_does_not_fit},
        {"a rank without memory stops all", a_rank_without_memory_stops_all},
        {"(close data)", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "augment", tests);
}
