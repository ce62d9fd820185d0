/* Ensembles evaluated as one model, against votes and means counted one sample at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/evaluate.h"
#include "harness.h"
#include "small_data.h"

enum { N_MODEL = 5, MOST_CLASSES = 3 };

static struct small_data table;
static struct partition sets;
static float *w;       /* [N_MODEL][stride] */
static int64_t stride; /* more than a model has, so that a wrong one is seen */

static void open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct forget_opts forget = {.ratio = 0.2, .seed = 11};
    struct train_opts opts = small_train_opts();
    opts.epochs = 6;
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    REQUIRE(table.model.n_class == MOST_CLASSES);
    REQUIRE(partition_init(&sets, &table.dataset, &split, &forget, &test_comm) == IAU_OK);
    stride = model_state_floats(&table.model) + 3;
    w = mem_alloc(N_MODEL * stride, sizeof *w);
    REQUIRE(w);
    for (int k = 0; k < N_MODEL; k++) {
        struct outcome o;
        opts.seed = k;
        small_train(&o, &table, &sets, &opts, &test_comm);
        memcpy(w + k * stride, o.w, (size_t)model_state_floats(&table.model) * sizeof *w);
        outcome_free(&o);
    }
}

static void close_data(void)
{
    free(w);
    partition_free(&sets);
    small_data_close(&table);
}

static const struct index_set *set_of(enum eval_set s)
{
    const struct index_set *list[N_EVAL_SET] = {[SET_RETAIN] = &sets.retain,
                                                [SET_FORGET] = &sets.forget,
                                                [SET_VALID] = &sets.valid,
                                                [SET_TEST] = &sets.test};
    return list[s];
}

static int evaluate(struct evaluation *v, const struct ensemble *model,
                    const struct ensemble *reference)
{
    struct engine e;
    const struct index_set *list[N_EVAL_SET];
    for (int s = 0; s < N_EVAL_SET; s++)
        list[s] = set_of(s);
    small_engine(&e, &table, 16, &test_comm);
    int rc = evaluate_model(v, &e, list, model, reference, "ensemble");
    int64_t n = sets.train.n + sets.valid.n + sets.test.n;
    if (rc == IAU_OK)
        CU_ASSERT_EQUAL(e.cost.forwards, n * (model->n + (reference ? reference->n : 0)));
    engine_free(&e);
    return rc;
}

/* What an ensemble says of one sample: shares of votes, or means. */
struct answer {
    double p[MOST_CLASSES];
    int best, is_tie;
};

static struct answer ask(const struct ensemble *e, struct unit *u, enum dataset_part part,
                         int64_t row)
{
    struct answer a = {{0}, 0, 0};
    for (int k = 0; k < e->n; k++) {
        int vote = 0;
        naive_forward(&table, e->w + k * e->stride, part, row, u);
        for (int c = 0; c < MOST_CLASSES; c++) {
            vote = u->p[c * u->lanes] > u->p[vote * u->lanes] ? c : vote;
            a.p[c] += e->rule == AGGREGATE_MEAN ? u->p[c * u->lanes] / (double)e->n : 0;
        }
        a.p[vote] += e->rule == AGGREGATE_VOTE ? 1 / (double)e->n : 0;
    }
    for (int c = MOST_CLASSES - 1; c >= 0; c--)
        a.best = a.p[c] >= a.p[a.best] ? c : a.best; /* of equal ones the first */
    for (int c = 0; c < MOST_CLASSES; c++)
        a.is_tie |= c != a.best && a.p[c] == a.p[a.best];
    return a;
}

/* @return how many samples of the sets have a tie */
static int64_t check(const struct ensemble *e)
{
    struct evaluation v;
    struct unit u;
    int64_t ties = 0;
    CU_ASSERT_EQUAL(evaluate(&v, e, NULL), IAU_OK);
    CU_ASSERT_EQUAL(unit_init(&u, &table.model, 16, UNIT_FORWARD), IAU_OK);
    for (int s = 0; s < N_EVAL_SET; s++) {
        const struct index_set *set = set_of(s);
        int64_t correct = 0;
        double loss = 0;
        for (int64_t i = 0; i < set->n; i++) {
            struct answer a = ask(e, &u, set->part, set->row[i]);
            int label = table.rows[set->part].label[set->row[i]];
            ties += a.is_tie;
            correct += a.best == label;
            loss -= log(fmax(a.p[label], 1e-30)) / (double)set->n;
            if (v.score[s][MIA_CONFIDENCE])
                CU_ASSERT_DOUBLE_EQUAL(v.score[s][MIA_CONFIDENCE][i], a.p[label], 1e-6);
            if (v.score[s][MIA_CORRECTNESS])
                CU_ASSERT_EQUAL(v.score[s][MIA_CORRECTNESS][i], (float)(a.best == label));
        }
        CU_ASSERT_EQUAL(v.set[s].accuracy, (double)correct / (double)set->n);
        CU_ASSERT_DOUBLE_EQUAL(v.set[s].loss, loss, 1e-5 * (1 + loss));
    }
    CU_ASSERT_TRUE(test_comm.rank != 0 || v.score[SET_FORGET][MIA_CONFIDENCE]);
    unit_free(&u);
    evaluation_free(&v);
    return ties;
}

static void a_mean_is_that_of_the_probabilities(void)
{
    check(&(struct ensemble){N_MODEL, w, stride, AGGREGATE_MEAN});
    check(&(struct ensemble){2, w, stride, AGGREGATE_MEAN});
}

static void votes_are_counted(void)
{
    check(&(struct ensemble){N_MODEL, w, stride, AGGREGATE_VOTE});
}

static void of_equal_votes_the_first_class_is_predicted(void)
{
    CU_ASSERT_TRUE(check(&(struct ensemble){2, w, stride, AGGREGATE_VOTE}) > 0);
}

static void one_model_is_itself_by_any_rule(void)
{
    struct evaluation a, b;
    CU_ASSERT_EQUAL(evaluate(&a, &(struct ensemble){1, w, 0, AGGREGATE_MEAN}, NULL), IAU_OK);
    CU_ASSERT_EQUAL(evaluate(&b, &(struct ensemble){1, w, stride, AGGREGATE_VOTE}, NULL), IAU_OK);
    for (int s = 0; s < N_EVAL_SET; s++) {
        CU_ASSERT_EQUAL(a.set[s].loss, b.set[s].loss);
        CU_ASSERT_EQUAL(a.set[s].accuracy, b.set[s].accuracy);
    }
    evaluation_free(&a);
    evaluation_free(&b);
}

static void ensembles_are_compared(void)
{
    struct evaluation v;
    struct ensemble three = {3, w, stride, AGGREGATE_MEAN},
                    others = {3, w + stride, stride, AGGREGATE_MEAN},
                    five = {N_MODEL, w, stride, AGGREGATE_MEAN};
    double sum = 0;
    CU_ASSERT_EQUAL(evaluate(&v, &three, &three), IAU_OK);
    CU_ASSERT_EQUAL(v.distance_reference, 0);
    CU_ASSERT_EQUAL(v.set[SET_TEST].agreement, 1);
    CU_ASSERT_EQUAL(v.set[SET_TEST].kl, 0);
    evaluation_free(&v);
    CU_ASSERT_EQUAL(evaluate(&v, &three, &others), IAU_OK);
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < table.model.n_param; i++) {
            double d = w[k * stride + i] - w[(k + 1) * stride + i];
            sum += d * d;
        }
    CU_ASSERT_DOUBLE_EQUAL(v.distance_reference, sqrt(sum), 1e-5 * sqrt(sum));
    CU_ASSERT_TRUE(v.set[SET_TEST].kl > 0);
    evaluation_free(&v);
    CU_ASSERT_EQUAL(evaluate(&v, &three, &five), IAU_OK); /* predictions compare, parameters not */
    CU_ASSERT_TRUE(isnan(v.distance_reference) && v.set[SET_TEST].kl > 0);
    evaluation_free(&v);
}

/* A model without sense is an error, also where votes or a mean would hide it. */
static void a_broken_model_is_one_error(void)
{
    float kept = w[2 * stride];
    w[2 * stride] = NAN;
    for (enum aggregate rule = AGGREGATE_MEAN; rule <= AGGREGATE_VOTE; rule++) {
        struct evaluation v;
        struct capture c;
        char printed[2000];
        capture_begin(&c);
        int rc = evaluate(&v, &(struct ensemble){N_MODEL, w, stride, rule}, NULL);
        capture_end(&c, printed, sizeof printed);
        expect_one_message(rc, IAU_ERR_NUMERIC, printed, "ensemble: evaluation on the retain set");
    }
    w[2 * stride] = kept;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", open_data},
        {"a mean is that of the probabilities", a_mean_is_that_of_the_probabilities},
        {"votes are counted", votes_are_counted},
        {"of equal votes the first class is predicted",
         of_equal_votes_the_first_class_is_predicted},
        {"one model is itself by any rule", one_model_is_itself_by_any_rule},
        {"ensembles are compared", ensembles_are_compared},
        {"a broken model is one error", a_broken_model_is_one_error},
        {"(close data)", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "ensemble", tests);
}
