/* Evaluation: accuracies, losses, divergences and attacks against naive loops, features in row
 * order on any rank count, and metrics that explain themselves in the results file. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "eval/evaluate.h"
#include "harness.h"
#include "small_data.h"

static struct small_data table, images; /* opened by the first test, closed by the last */
static struct partition sets, image_sets;
static struct outcome model, other, image_model; /* two models of one data set, one of the other */
static struct index_set empty = {PART_TRAIN, 0, NULL};

static void open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct forget_opts request = {.ratio = 0.15, .seed = 2};
    struct train_opts opts = small_train_opts();
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    small_data_open(&images, "images.h5", &small_images);
    CU_ASSERT_EQUAL(partition_init(&sets, &table.dataset, &split, &request, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(partition_init(&image_sets, &images.dataset, &split, &request, &test_comm),
                    IAU_OK);
    opts.epochs = 3;
    small_train(&model, &table, &sets, &opts, &test_comm);
    small_train(&image_model, &images, &image_sets, &opts, &test_comm);
    opts.seed = 43;
    opts.epochs = 6;
    small_train(&other, &table, &sets, &opts, &test_comm);
}

static void close_data(void)
{
    partition_free(&sets);
    partition_free(&image_sets);
    outcome_free(&model);
    outcome_free(&other);
    outcome_free(&image_model);
    small_data_close(&table);
    small_data_close(&images);
}

/* The four sets of a partition, in the order of enum eval_set. */
static void list_sets(const struct partition *p, const struct index_set *list[N_EVAL_SET])
{
    list[SET_RETAIN] = &p->retain;
    list[SET_FORGET] = &p->forget;
    list[SET_VALID] = &p->valid;
    list[SET_TEST] = &p->test;
}

static int evaluate(struct evaluation *v, const struct small_data *s, const struct partition *p,
                    const float *w, const float *reference, const struct comm *comm)
{
    struct engine e;
    const struct index_set *list[N_EVAL_SET];
    list_sets(p, list);
    small_engine(&e, s, 16, comm);
    int rc = evaluate_model(v, &e, list, &(struct ensemble){.n = 1, .w = w},
                            reference ? &(struct ensemble){.n = 1, .w = reference} : NULL, "iau");
    CU_ASSERT_EQUAL(e.phase, PHASE_COMPUTE);
    int64_t n = p->train.n + p->valid.n + p->test.n;
    if (rc == IAU_OK) {
        CU_ASSERT_EQUAL(e.cost.forwards, reference ? 2 * n : n);
        CU_ASSERT_TRUE(n == 0 || e.cost.seconds[PHASE_EVALUATE] > 0);
        CU_ASSERT_EQUAL(e.cost.seconds[PHASE_COMPUTE], 0);
    }
    engine_free(&e);
    return rc;
}

/* --- against naive loops */

static void check_means(const struct evaluation *v, const struct small_data *s,
                        const struct partition *p, const float *w)
{
    const struct index_set *list[N_EVAL_SET];
    list_sets(p, list);
    for (int k = 0; k < N_EVAL_SET; k++) {
        struct naive a;
        double n = (double)list[k]->n;
        naive_sum(&a, s, w, list[k], 0);
        CU_ASSERT_EQUAL(v->set[k].n, list[k]->n);
        CU_ASSERT_EQUAL(v->set[k].accuracy, (double)a.correct / n);
        CU_ASSERT_DOUBLE_EQUAL(v->set[k].loss, a.loss / n, 2e-6);
    }
}

static void losses_and_accuracies(void)
{
    struct evaluation v;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, NULL, &test_comm), IAU_OK);
    check_means(&v, &table, &sets, model.w);
    CU_ASSERT_TRUE(v.set[SET_RETAIN].accuracy > 0.5 && v.set[SET_RETAIN].accuracy < 1);
    for (int k = 0; k < N_EVAL_SET; k++)
        CU_ASSERT_TRUE(isnan(v.set[k].kl) && isnan(v.set[k].js) && isnan(v.set[k].agreement));
    CU_ASSERT_TRUE(isnan(v.distance_reference));
    evaluation_free(&v);
    evaluation_free(&v);
    CU_ASSERT_EQUAL(evaluate(&v, &images, &image_sets, image_model.w, NULL, &test_comm), IAU_OK);
    check_means(&v, &images, &image_sets, image_model.w);
    evaluation_free(&v);
}

/* KL(p || q), Jensen-Shannon divergence and agreement of two models over a set, one sample at a
 * time. */
static void naive_comparison(const float *w, const float *reference, const struct index_set *set,
                             double *kl, double *js, double *agreement)
{
    struct unit u = {0}, r = {0};
    CU_ASSERT_EQUAL(unit_init(&u, &table.model, 16, UNIT_FORWARD), IAU_OK);
    CU_ASSERT_EQUAL(unit_init(&r, &table.model, 16, UNIT_FORWARD), IAU_OK);
    *kl = *js = *agreement = 0;
    for (int64_t i = 0; i < set->n; i++) {
        int best[2] = {0, 0};
        naive_forward(&table, w, set->part, set->row[i], &u);
        naive_forward(&table, reference, set->part, set->row[i], &r);
        for (int c = 0; c < table.model.n_class; c++) {
            double p = u.p[c * 16], q = r.p[c * 16];
            *kl += p * log(p / q) / (double)set->n;
            *js += (p * log(2 * p / (p + q)) + q * log(2 * q / (p + q))) / 2 / (double)set->n;
            best[0] = p > u.p[best[0] * 16] ? c : best[0];
            best[1] = q > r.p[best[1] * 16] ? c : best[1];
        }
        *agreement += (best[0] == best[1]) / (double)set->n;
    }
    unit_free(&u);
    unit_free(&r);
}

static void comparison_with_a_reference(void)
{
    struct evaluation v;
    const struct index_set *list[N_EVAL_SET];
    double squared = 0, size = 0;
    list_sets(&sets, list);
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, other.w, &test_comm), IAU_OK);
    check_means(&v, &table, &sets, model.w); /* the reference does not get in the way */
    for (int k = 0; k < N_EVAL_SET; k++) {
        double kl, js, agreement;
        naive_comparison(model.w, other.w, list[k], &kl, &js, &agreement);
        CU_ASSERT_DOUBLE_EQUAL(v.set[k].kl, kl, 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(v.set[k].js, js, 1e-6);
        CU_ASSERT_TRUE(js > 1e-4 && js < log(2));
        CU_ASSERT_DOUBLE_EQUAL(v.set[k].agreement, agreement, 1e-12);
        CU_ASSERT_TRUE(v.set[k].kl > 1e-3 && v.set[k].agreement > 0.5);
    }
    CU_ASSERT_TRUE(v.set[SET_RETAIN].agreement < 1);
    for (int64_t i = 0; i < table.model.n_param; i++) {
        squared += ((double)model.w[i] - other.w[i]) * ((double)model.w[i] - other.w[i]);
        size += (double)other.w[i] * other.w[i];
    }
    CU_ASSERT_DOUBLE_EQUAL(v.distance_reference, sqrt(squared), 1e-6 * sqrt(squared));
    CU_ASSERT_DOUBLE_EQUAL(v.norm_reference, sqrt(size), 1e-6 * sqrt(size));
    evaluation_free(&v);
}

static void a_model_equals_itself(void)
{
    struct evaluation v;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, model.w, &test_comm), IAU_OK);
    for (int k = 0; k < N_EVAL_SET; k++)
        CU_ASSERT_TRUE(v.set[k].kl == 0 && v.set[k].js == 0 && v.set[k].agreement == 1);
    CU_ASSERT_EQUAL(v.distance_reference, 0);
    evaluation_free(&v);
}

/* Probabilities of exactly 0 on either side are no trouble. */
static void certain_models_compare_too(void)
{
    struct evaluation v;
    size_t bytes = (size_t)table.model.n_param * sizeof(float);
    float *sure = malloc(bytes);
    memcpy(sure, model.w, bytes);
    for (int64_t i = table.model.tensor[2]->offset; i < table.model.n_param; i++)
        sure[i] *= 1000;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, sure, other.w, &test_comm), IAU_OK);
    CU_ASSERT_TRUE(isfinite(v.set[SET_TEST].kl) && v.set[SET_TEST].kl > 0);
    evaluation_free(&v);
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, other.w, sure, &test_comm), IAU_OK);
    CU_ASSERT_TRUE(isfinite(v.set[SET_TEST].kl) && v.set[SET_TEST].kl > 1);
    evaluation_free(&v);
    free(sure);
}

/* --- features and attacks */

/* Rank 0: the features of a set, sample by sample, from the set's own rows. */
static void check_features(const struct evaluation *v, enum eval_set which,
                           const struct index_set *set)
{
    struct unit u = {0};
    double worst = 0;
    CU_ASSERT_EQUAL(unit_init(&u, &table.model, 16, UNIT_FORWARD), IAU_OK);
    for (int64_t i = 0; i < set->n; i++) {
        float feature[N_MIA_FEATURE];
        naive_forward(&table, model.w, set->part, set->row[i], &u);
        mia_features(u.p, table.model.n_class, u.lanes, u.label[0], feature);
        for (int f = 0; f < N_MIA_FEATURE; f++)
            worst = fmax(worst, fabs((double)feature[f] - v->score[which][f][i]));
    }
    CU_ASSERT_TRUE(worst < 1e-5);
    unit_free(&u);
}

static void features_stand_in_row_order(void)
{
    struct evaluation v;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, NULL, &test_comm), IAU_OK);
    for (int f = 0; f < N_MIA_FEATURE; f++) {
        CU_ASSERT_EQUAL(v.score[SET_FORGET][f] != NULL, test_comm.rank == 0);
        CU_ASSERT_EQUAL(v.score[SET_TEST][f] != NULL, test_comm.rank == 0);
        CU_ASSERT_TRUE(!v.score[SET_RETAIN][f] && !v.score[SET_VALID][f]);
    }
    if (test_comm.rank == 0) {
        check_features(&v, SET_FORGET, &sets.forget);
        check_features(&v, SET_TEST, &sets.test);
    }
    evaluation_free(&v);
}

/* AUC by counting all pairs. */
static double auc_of(const float *member, int64_t n, const float *outsider, int64_t m, int sign)
{
    double wins = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < m; k++) {
            float a = (float)sign * member[i], b = (float)sign * outsider[k];
            wins += a > b ? 1 : a == b ? 0.5 : 0;
        }
    return wins / ((double)n * (double)m);
}

static void attacks_compare_forgotten_with_test(void)
{
    struct evaluation v;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, NULL, &test_comm), IAU_OK);
    for (int f = 0; f < N_MIA_FEATURE; f++) {
        if (test_comm.rank > 0) {
            CU_ASSERT_EQUAL(v.mia[f].n_point, 0);
            continue;
        }
        CU_ASSERT_EQUAL(v.mia[f].n_member, sets.forget.n);
        CU_ASSERT_EQUAL(v.mia[f].n_other, sets.test.n);
        double auc = auc_of(v.score[SET_FORGET][f], sets.forget.n, v.score[SET_TEST][f],
                            sets.test.n, mia_feature_sign(f));
        CU_ASSERT_DOUBLE_EQUAL(v.mia[f].auc, auc, 1e-12);
        CU_ASSERT_TRUE(v.mia[f].n_point >= 2);
    }
    evaluation_free(&v);
}

/* Thresholds by class against trying all of them. */
static double naive_threshold(const float *member, const struct index_set *m, const float *outside,
                              const struct index_set *o, int32_t class, float sign)
{
    double best = 0, threshold = INFINITY;
    for (int64_t t = 0; t < m->n; t++) {
        int64_t tp = 0, n_m = 0, fp = 0, n_o = 0;
        float at = sign * member[t];
        if (table.rows[m->part].label[m->row[t]] != class)
            continue;
        for (int64_t i = 0; i < m->n; i++)
            if (table.rows[m->part].label[m->row[i]] == class) {
                n_m++;
                tp += sign * member[i] >= at;
            }
        for (int64_t i = 0; i < o->n; i++)
            if (table.rows[o->part].label[o->row[i]] == class) {
                n_o++;
                fp += sign * outside[i] >= at;
            }
        double gain = (double)tp / (double)n_m - (double)fp / (double)n_o;
        if (gain > best + 1e-12 || (gain > best - 1e-12 && gain > 0 && at > threshold)) {
            best = fmax(best, gain);
            threshold = at;
        }
    }
    return threshold;
}

/* The features of a set, by naive loops. */
static float *naive_scores(const struct index_set *set, enum mia_feature f)
{
    struct unit u = {0};
    float *out = mem_alloc(set->n, sizeof *out);
    CU_ASSERT_EQUAL(unit_init(&u, &table.model, 16, UNIT_FORWARD), IAU_OK);
    for (int64_t i = 0; i < set->n; i++) {
        float feature[N_MIA_FEATURE];
        naive_forward(&table, model.w, set->part, set->row[i], &u);
        mia_features(u.p, table.model.n_class, u.lanes, u.label[0], feature);
        out[i] = feature[f];
    }
    unit_free(&u);
    return out;
}

static double naive_share(const float *score, const struct index_set *set, const double *threshold,
                          float sign)
{
    double n = 0;
    for (int64_t i = 0; i < set->n; i++)
        n += sign * score[i] >= threshold[table.rows[set->part].label[set->row[i]]];
    return n / (double)set->n;
}

static void check_thresholds(const struct evaluation *v, enum mia_feature f)
{
    float sign = (float)mia_feature_sign(f), *retain = naive_scores(&sets.retain, f),
          *valid = naive_scores(&sets.valid, f), *forget = naive_scores(&sets.forget, f),
          *test = naive_scores(&sets.test, f);
    double threshold[10], share;
    for (int c = 0; c < table.model.n_class; c++)
        threshold[c] = naive_threshold(retain, &sets.retain, valid, &sets.valid, c, sign);
    share = naive_share(forget, &sets.forget, threshold, sign);
    CU_ASSERT_DOUBLE_EQUAL(v->threshold[f].called_member, share, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(v->threshold[f].balanced_accuracy,
                           (share + 1 - naive_share(test, &sets.test, threshold, sign)) / 2, 1e-12);
    free(retain);
    free(valid);
    free(forget);
    free(test);
}

static void thresholds_are_learned_by_class(void)
{
    struct evaluation v;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, NULL, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(v.outsiders, SET_VALID);
    for (int f = 0; f < N_MIA_FEATURE; f++)
        if (test_comm.rank == 0)
            check_thresholds(&v, f);
        else
            CU_ASSERT_TRUE(isnan(v.threshold[f].called_member));
    evaluation_free(&v);
}

/* --- the same bytes */

static int same_scores(const struct evaluation *a, const struct evaluation *b)
{
    int same = 1;
    for (int k = 0; k < N_EVAL_SET; k++) /* doubles beside an int64, without padding */
        same = same && memcmp(&a->set[k], &b->set[k], sizeof a->set[k]) == 0;
    for (int f = 0; test_comm.rank == 0 && f < N_MIA_FEATURE; f++) {
        same = same && a->mia[f].auc == b->mia[f].auc && a->mia[f].threshold == b->mia[f].threshold;
        same = same && memcmp(a->score[SET_TEST][f], b->score[SET_TEST][f],
                              (size_t)a->set[SET_TEST].n * sizeof(float)) == 0;
        same = same && memcmp(a->score[SET_FORGET][f], b->score[SET_FORGET][f],
                              (size_t)a->set[SET_FORGET].n * sizeof(float)) == 0;
    }
    return same && a->distance_reference == b->distance_reference;
}

static void same_bytes_at_any_rank_and_thread_count(void)
{
    struct evaluation all, alone, threads;
    struct comm self = small_self();
    int n_thread = omp_get_max_threads();
    CU_ASSERT_EQUAL(evaluate(&all, &table, &sets, model.w, other.w, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(evaluate(&alone, &table, &sets, model.w, other.w, &self), IAU_OK);
    CU_ASSERT_TRUE(same_scores(&all, &alone));
    omp_set_num_threads(2);
    CU_ASSERT_EQUAL(evaluate(&threads, &table, &sets, model.w, other.w, &test_comm), IAU_OK);
    omp_set_num_threads(n_thread);
    CU_ASSERT_TRUE(same_scores(&all, &threads));
    evaluation_free(&all);
    evaluation_free(&alone);
    evaluation_free(&threads);
}

/* --- empty sets */

/* The metrics, with gaps to `retrained` unless that is NULL, and what else a results file holds. */
static void add_all(const struct evaluation *v, const struct evaluation *retrained,
                    const char *name, int samples, struct record *r)
{
    struct metrics m = {0}, twin = {0}, none = {0};
    CU_ASSERT_EQUAL(evaluation_metrics(v, &m), IAU_OK);
    if (retrained) {
        CU_ASSERT_EQUAL(evaluation_metrics(retrained, &twin), IAU_OK);
        CU_ASSERT_EQUAL(metrics_add_gaps(&m, &twin), IAU_OK);
    }
    CU_ASSERT_EQUAL(metrics_to_record(&m, &none, name, r), IAU_OK);
    CU_ASSERT_EQUAL(evaluation_to_record(v, name, samples, r), IAU_OK);
    metrics_free(&m);
    metrics_free(&twin);
}

static void empty_sets_have_no_figures(void)
{
    struct partition p = sets; /* no request, no validation */
    struct evaluation v;
    struct record r = {0};
    p.forget = p.valid = empty;
    p.train = p.retain; /* what the cost is checked with */
    CU_ASSERT_EQUAL(evaluate(&v, &table, &p, model.w, other.w, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(v.set[SET_FORGET].n, 0);
    CU_ASSERT_TRUE(isnan(v.set[SET_FORGET].accuracy) && isnan(v.set[SET_FORGET].loss));
    CU_ASSERT_TRUE(isnan(v.set[SET_VALID].kl) && isnan(v.set[SET_VALID].agreement));
    CU_ASSERT_TRUE(v.set[SET_RETAIN].accuracy > 0.5);
    CU_ASSERT_TRUE(!v.score[SET_FORGET][0] && v.mia[0].n_point == 0);
    add_all(&v, &v, "origin", 1, &r);
    CU_ASSERT_PTR_NOT_NULL(record_find(&r, "/evaluation/origin/accuracy_test"));
    for (int64_t i = 0; i < r.n_array; i++) {
        int of_empty = strstr(r.array[i].path, "forget") || strstr(r.array[i].path, "valid") ||
                       strstr(r.array[i].path, "mia") || strstr(r.array[i].path, "gap_average");
        CU_ASSERT_FALSE(of_empty);
        for (int64_t k = 0; k < record_count(&r.array[i]); k++)
            CU_ASSERT_FALSE(isnan(record_value(&r.array[i], k)));
    }
    record_free(&r);
    evaluation_free(&v);
    p.retain = p.test = p.train = empty;
    CU_ASSERT_EQUAL(evaluate(&v, &table, &p, model.w, NULL, &test_comm), IAU_OK);
    CU_ASSERT_TRUE(isnan(v.set[SET_TEST].loss));
    evaluation_free(&v);
}

/* --- the record */

/* Contract: every number says which way is good, its ideal, its unit. @return how many metrics a
 * model has */
static int check_attributes(const struct record *r, const char *prefix)
{
    int n = 0;
    for (int64_t i = 0; i < r->n_array; i++) {
        const char *path = r->array[i].path;
        if (strncmp(path, prefix, strlen(prefix)) != 0)
            continue;
        n++;
        const struct record_attribute *ideal = record_attribute_find(r, path, "ideal");
        CU_ASSERT_EQUAL(r->array[i].ndim, 0);
        CU_ASSERT_TRUE(strlen(record_text(r, path, "direction", "")) > 0);
        CU_ASSERT_TRUE(strlen(record_text(r, path, "unit", "")) > 0);
        CU_ASSERT_TRUE(ideal && (ideal->type == RECORD_F64 || strlen(ideal->text) > 0));
    }
    return n;
}

static double metric(const struct record *r, const char *path)
{
    const struct record_array *a = record_find(r, path);
    return a ? record_value(a, 0) : NAN;
}

static void check_curves(const struct record *r, const struct evaluation *v)
{
    for (int f = 0; f < N_MIA_FEATURE; f++) {
        char path[100];
        snprintf(path, sizeof path, "/roc/iau/%s/fpr", mia_feature_name(f));
        const struct record_array *fpr = record_find(r, path);
        snprintf(path, sizeof path, "/roc/iau/%s/tpr", mia_feature_name(f));
        const struct record_array *tpr = record_find(r, path);
        CU_ASSERT_TRUE(fpr && tpr && record_count(fpr) == v->mia[f].n_point &&
                       record_count(tpr) == v->mia[f].n_point);
        CU_ASSERT_TRUE(tpr && record_value(tpr, v->mia[f].n_point - 1) == 1);
        snprintf(path, sizeof path, "/evaluation/iau/mia_%s_auc", mia_feature_name(f));
        CU_ASSERT_EQUAL(metric(r, path), v->mia[f].auc);
        snprintf(path, sizeof path, "/samples/iau/forget/%s", mia_feature_name(f));
        const struct record_array *sample = record_find(r, path);
        CU_ASSERT_TRUE(sample && sample->type == RECORD_F32 &&
                       record_count(sample) == sets.forget.n);
        CU_ASSERT_TRUE(sample && memcmp(sample->data, v->score[SET_FORGET][f],
                                        (size_t)sets.forget.n * sizeof(float)) == 0);
    }
}

static void every_metric_explains_itself(void)
{
    struct evaluation v, retrained;
    struct record r = {0}, plain = {0};
    CU_ASSERT_EQUAL(evaluate(&v, &table, &sets, model.w, other.w, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(evaluate(&retrained, &table, &sets, other.w, NULL, &test_comm), IAU_OK);
    if (test_comm.rank == 0) {
        add_all(&v, &retrained, "iau", 1, &r);
        add_all(&retrained, NULL, "retrain", 0, &plain);
        /* four sets x (accuracy, loss, KL, Jensen-Shannon, agreement), five attacks x 6, two
         * distances; gaps of four accuracies, of three figures an attack, and their average */
        CU_ASSERT_EQUAL(check_attributes(&r, "/evaluation/iau/"), 20 + 30 + 2 + 4 + 15 + 1);
        CU_ASSERT_EQUAL(check_attributes(&plain, "/evaluation/retrain/"), 8 + 30);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/accuracy_forget"), v.set[SET_FORGET].accuracy);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/loss_test"), v.set[SET_TEST].loss);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/kl_retrain_valid"), v.set[SET_VALID].kl);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/agreement_retrain_retain"),
                        v.set[SET_RETAIN].agreement);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/distance_retrain"), v.distance_reference);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/distance_retrain_relative"),
                        v.distance_reference / v.norm_reference);
        CU_ASSERT_EQUAL(metric(&r, "/evaluation/iau/mia_loss_member_share"),
                        v.threshold[MIA_LOSS].called_member);
        CU_ASSERT_DOUBLE_EQUAL(metric(&r, "/evaluation/iau/gap_accuracy_test"),
                               fabs(v.set[SET_TEST].accuracy - retrained.set[SET_TEST].accuracy),
                               1e-15);
        check_curves(&r, &v);
        CU_ASSERT_STRING_EQUAL(record_text(&r, "/evaluation/iau/loss_test", "direction", ""),
                               "lower");
        CU_ASSERT_STRING_EQUAL(record_text(&r, "/evaluation/iau/accuracy_test", "direction", ""),
                               "higher");
        CU_ASSERT_STRING_EQUAL(record_text(&r, "/evaluation/iau/accuracy_forget", "ideal", ""),
                               "the retrained model's value");
        CU_ASSERT_PTR_NULL(record_find(&plain, "/samples/retrain/test/loss"));
    }
    record_free(&r);
    record_free(&plain);
    evaluation_free(&v);
    evaluation_free(&retrained);
}

/* --- errors */

static void expect_failure(const float *w, int code, const char *part)
{
    struct evaluation v;
    char printed[2000];
    struct capture c;
    capture_begin(&c);
    int rc = evaluate(&v, &table, &sets, w, NULL, &test_comm);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(rc, code, printed, part);
    CU_ASSERT_TRUE(!v.score[SET_FORGET][0] && !v.mia[0].fpr);
}

static void a_broken_model_is_one_error(void)
{
    size_t bytes = (size_t)table.model.n_param * sizeof(float);
    float *w = malloc(bytes);
    memcpy(w, model.w, bytes);
    w[3] = NAN;
    expect_failure(w, IAU_ERR_NUMERIC, "iau: evaluation on the retain set: the loss is not finite");
    free(w);
}

static void samples_that_one_rank_cannot_read(void)
{
    char *path = table.dataset.path, nowhere[] = "/nowhere/d.h5";
    if (test_comm.rank == test_comm.size - 1)
        table.dataset.path = nowhere;
    expect_failure(model.w, IAU_ERR_IO, nowhere);
    table.dataset.path = path;
}

/* Each allocation fails in turn, on the last rank and on the first, which has more to do. */
static void short_memory_on(int rank)
{
    const struct index_set *list[N_EVAL_SET];
    int k = 1, rc = IAU_ERR_MEM;
    list_sets(&sets, list);
    for (; k < 2000 && rc != IAU_OK; k++) {
        struct engine e;
        struct evaluation v;
        char printed[2000];
        struct capture c;
        small_engine(&e, &table, 16, &test_comm);
        capture_begin(&c);
        if (test_comm.rank == rank)
            mem_fail_after(k);
        rc = evaluate_model(&v, &e, list, &(struct ensemble){.n = 1, .w = model.w},
                            &(struct ensemble){.n = 1, .w = other.w}, "iau");
        mem_fail_after(0);
        capture_end(&c, printed, sizeof printed);
        if (rc != IAU_OK)
            expect_one_message(rc, IAU_ERR_MEM, printed, "error");
        evaluation_free(&v);
        engine_free(&e);
    }
    CU_ASSERT_EQUAL(rc, IAU_OK);
    CU_ASSERT_TRUE(k > 20);
}

static void short_memory_on_one_rank(void)
{
    short_memory_on(0);
    short_memory_on(test_comm.size - 1);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", open_data},
        {"losses and accuracies", losses_and_accuracies},
        {"comparison with a reference", comparison_with_a_reference},
        {"a model equals itself", a_model_equals_itself},
        {"certain models compare, too", certain_models_compare_too},
        {"features stand in row order", features_stand_in_row_order},
        {"attacks compare forgotten with test", attacks_compare_forgotten_with_test},
        {"thresholds are learned by class", thresholds_are_learned_by_class},
        {"same bytes at any rank and thread count", same_bytes_at_any_rank_and_thread_count},
        {"empty sets have no figures", empty_sets_have_no_figures},
        {"every metric explains itself", every_metric_explains_itself},
        {"a broken model is one error", a_broken_model_is_one_error},
        {"samples that one rank cannot read", samples_that_one_rank_cannot_read},
        {"short memory on one rank", short_memory_on_one_rank},
        {"close the data", close_data},
        CU_TEST_INFO_NULL,
    };
    return harness_run(argc, argv, "evaluate", tests);
}
