/* Dropout: what its masks depend on, that evaluation knows nothing of it, and training with it on
 * any number of ranks. Gradients and products are checked with those of all layers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "harness.h"
#include "small_data.h"
#include "train/batches.h"

enum { FEATURES = 50, LANES = 64 };

static struct layer layer;
static float ones[FEATURES * LANES], output[FEATURES * LANES], mask[FEATURES * LANES];

/* The masks of samples with these ids, as what becomes of ones. */
static const float *run_layer(double rate, int number, const struct dropout *d, int n)
{
    struct node in = {.a = ones}, out = {.a = output, .kept = mask};
    struct weights p = {.n = n, .dropout = d};
    layer_dropout(&layer, (struct shape){FEATURES, 1, 1}, rate, number);
    layer.ops->forward(&layer, LANES, &p, &in, &out, NULL);
    return output;
}

static void fill(float *x, float value)
{
    for (int i = 0; i < FEATURES * LANES; i++)
        x[i] = value;
}

static void zeros_come_with_their_probability(void)
{
    static const double rates[] = {0, 0.1, 0.5, 0.9};
    int64_t id[LANES];
    fill(ones, 1);
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        double p = rates[r], n = 0, dropped = 0;
        for (int epoch = 0; epoch < 40; epoch++) {
            for (int k = 0; k < LANES; k++)
                id[k] = 1000 * epoch + k;
            const float *y = run_layer(p, 3, &(struct dropout){11, epoch, id}, LANES);
            for (int i = 0; i < FEATURES * LANES; i++) {
                CU_ASSERT_TRUE(y[i] == 0 || y[i] == (float)(1 / (1 - p)));
                dropped += y[i] == 0;
                n++;
            }
        }
        CU_ASSERT_TRUE(fabs(dropped / n - p) <= 5 * sqrt(p * (1 - p) / n));
    }
}

/* Lane `lane` of the masks. */
static void copy_lane(const float *y, int lane, float out[FEATURES])
{
    for (int i = 0; i < FEATURES; i++)
        out[i] = y[i * LANES + lane];
}

static void masks_depend_on_seed_epoch_layer_and_id_alone(void)
{
    int64_t few[] = {7, -3, 7000000000}, other[] = {-3, 40};
    float want[FEATURES], got[FEATURES];
    fill(ones, 1);
    copy_lane(run_layer(0.5, 1, &(struct dropout){5, 2, few}, 3), 1, want);
    copy_lane(run_layer(0.5, 1, &(struct dropout){5, 2, other}, 2), 0, got);
    CU_ASSERT_EQUAL(memcmp(want, got, sizeof want), 0); /* in another lane, of another unit */
    const struct {
        struct dropout d;
        int number, lane;
    } differing[] = {
        {{6, 2, other}, 1, 0}, {{5, 3, other}, 1, 0}, {{5, 2, other}, 2, 0}, {{5, 2, other}, 1, 1}};
    for (size_t i = 0; i < sizeof differing / sizeof *differing; i++) {
        copy_lane(run_layer(0.5, differing[i].number, &differing[i].d, 2), differing[i].lane, got);
        CU_ASSERT_NOT_EQUAL(memcmp(want, got, sizeof want), 0);
    }
}

static void without_masks_nothing_changes(void)
{
    harness_fill(ones, FEATURES * LANES, 9);
    const float *y = run_layer(0.5, 0, NULL, 20);
    CU_ASSERT_EQUAL(memcmp(y, ones, sizeof ones), 0);
    struct node in = {.a = ones, .da = mask}, out = {.da = ones};
    struct weights p = {.n = 20};
    layer.ops->backward(&layer, LANES, &p, &in, &out, NULL);
    CU_ASSERT_EQUAL(memcmp(mask, ones, sizeof ones), 0);
}

/* --- training */

static const char *const lines[] = {"dropout 0.1", "dense 24", "relu", "dropout 0.4",
                                    "dense classes"};

static void open_table(struct small_data *s)
{
    struct text_list text = {5, (char **)lines};
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(s, "table.h5", &small_table);
    CU_ASSERT_EQUAL(
        model_build_list(&s->model, "model.layers", &text, s->model.in, s->model.n_class), IAU_OK);
    CU_ASSERT_EQUAL(s->model.n_dropout, 2);
}

static void training_gives_the_same_bytes_on_any_rank_count(void)
{
    static struct small_data s;
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct partition sets;
    struct train_opts opts = small_train_opts();
    struct outcome all, alone, other;
    struct comm self = small_self();
    open_table(&s);
    CU_ASSERT_EQUAL(partition_init(&sets, &s.dataset, &split, NULL, &test_comm), IAU_OK);
    opts.epochs = 3;
    opts.restriction.alpha = 0.01; /* the product's masks are those of the gradient */
    small_train(&all, &s, &sets, &opts, &test_comm);
    small_train(&alone, &s, &sets, &opts, &self);
    size_t bytes = (size_t)s.model.n_param * sizeof(float);
    CU_ASSERT_EQUAL(memcmp(all.w, alone.w, bytes), 0);
    CU_ASSERT_TRUE(same_history(&all.history, &alone.history));
    double last = history_at(&all.history, 2, "loss_train");
    CU_ASSERT_TRUE(last < history_at(&all.history, 0, "loss_train"));
    opts.seed++;
    small_train(&other, &s, &sets, &opts, &self);
    CU_ASSERT_NOT_EQUAL(memcmp(other.w, alone.w, bytes), 0);
    outcome_free(&all);
    outcome_free(&alone);
    outcome_free(&other);
    partition_free(&sets);
    small_data_close(&s);
}

static void steps_drop_if_they_are_told_to(void)
{
    static struct small_data s;
    struct engine e;
    struct index_set train;
    struct batch_opts opts = {.batch = 50, .unit = 16, .seed = 1};
    open_table(&s);
    CU_ASSERT_EQUAL(index_set_all(&train, PART_TRAIN, 100), IAU_OK);
    small_engine(&e, &s, 16, &test_comm);
    for (int drops = 0; drops <= 1; drops++) {
        struct batches b;
        opts.drops = drops;
        CU_ASSERT_EQUAL(batches_open(&b, &e, &train, &opts, "model"), IAU_OK);
        struct work work = batches_work(&b, 4, 0, NULL);
        CU_ASSERT_EQUAL(work.dropout != NULL, drops);
        CU_ASSERT_TRUE(!drops || work.dropout->epoch == 4);
        for (int64_t i = 0; i < work.n_unit; i++) {
            struct unit *u = &e.worker[0].unit;
            sweep_gather(&e, &work, i, u);
            CU_ASSERT_EQUAL(u->drops, drops);
            CU_ASSERT_TRUE(!u->drops || u->id[1] == work.rows->id[work.piece[i].index[1]]);
        }
        batches_close(&b);
    }
    engine_free(&e);
    index_set_free(&train);
    small_data_close(&s);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"zeros come with their probability", zeros_come_with_their_probability},
                           {"masks depend on seed, epoch, layer and id alone",
                            masks_depend_on_seed_epoch_layer_and_id_alone},
                           {"without masks nothing changes", without_masks_nothing_changes},
                           {"training gives the same bytes on any rank count",
                            training_gives_the_same_bytes_on_any_rank_count},
                           {"steps drop if they are told to", steps_drop_if_they_are_told_to},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "dropout", tests);
}
