/* Shadows: targets and halves, the same files on any group of ranks, what is kept and what is made,
 * and attacks on models that remember and on models that never knew. */
#define _GNU_SOURCE /* asprintf */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/evidence.h"
#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stop.h"
#include "harness.h"
#include "io/file.h"
#include "io/formats.h"
#include "small_data.h"

enum { SHADOWS = 6, ATTACK_SHADOWS = 2 };

static struct small_data table, noisy;
static struct partition sets, noisy_sets;

/* Half of the labels are wrong: whoever gets them right has seen them. */
static const struct small_shape noisy_shape = {
    .c = 20, .n_class = 3, .n_train = 600, .n_test = 120, .noise = 1, .flipped = 0.5};

static struct method_opts iau = {.name = (char *)"iau",
                                 .method = METHOD_IAU,
                                 .iau = {.correction = 1, .weight = 1, .lr = 1e-3, .steps = 1}};

/* An audit with hooks that say little. */
struct bench {
    struct audit_opts opts;
    struct audit audit;
    char *folder;
};

static char *train_settings(const void *ctx, const struct audit_origin *origin,
                            const struct train_opts *train)
{
    char text[200];
    (void)ctx;
    snprintf(text, sizeof text, "train.seed = %lld\ntrain.epochs = %lld\ntrain.batch = %lld\n%s",
             (long long)train->seed, (long long)train->epochs, (long long)train->batch,
             origin ? "forget = some\n" : "");
    return mem_strdup(text);
}

static char *method_settings(const void *ctx, int index)
{
    (void)ctx;
    return mem_strdup(index == 0 ? "method.method = iau\n" : "method.method = retrain\n");
}

static int describe(const void *ctx, struct record *r, int same_bytes)
{
    (void)ctx;
    return record_set_i64(r, "/provenance", "same_bytes", same_bytes);
}

static void open_bench_of(struct bench *b, const char *folder, const struct small_data *data,
                          const struct partition *p, const struct comm *comm)
{
    *b = (struct bench){.folder = harness_path(folder)};
    b->opts = (struct audit_opts){.shadows = SHADOWS,
                                  .epochs = 2,
                                  .ranks = 1,
                                  .seed = 3,
                                  .attack = {ATTACK_SHADOWS, 0.9, 2, 100, 1e-3, 2, 256, 0.01}};
    b->audit = (struct audit){.opts = &b->opts,
                              .model = &data->model,
                              .dataset = &data->dataset,
                              .sets = p,
                              .comm = comm,
                              .folder = b->folder,
                              .same_bytes = 1,
                              .hooks = {NULL, train_settings, method_settings, describe},
                              .n_origin = 1,
                              .n_method = 2,
                              .origin = mem_alloc(1, sizeof(struct audit_origin)),
                              .method = mem_alloc(2, sizeof(struct audit_method))};
    b->audit.origin[0] = (struct audit_origin){"origin", 0, small_train_opts()};
    b->audit.method[0] = (struct audit_method){"iau", &iau, 0, 0};
    b->audit.method[1] = (struct audit_method){"retrain", NULL, 0, -1};
    CU_ASSERT_EQUAL(audit_open(&b->audit), IAU_OK);
}

static void open_bench(struct bench *b, const char *folder, const struct comm *comm)
{
    open_bench_of(b, folder, &table, &sets, comm);
}

static void close_bench(struct bench *b)
{
    audit_close(&b->audit);
    free(b->folder);
}

static void open_data(void)
{
    struct data_opts split = {.seed = 1, .valid = 0.2};
    struct forget_opts request = {.ratio = 0.15, .seed = 2}, large = {.ratio = 0.35, .seed = 2};
    log_init(test_comm.rank, LOG_LEVEL_QUIET);
    small_data_open(&table, "table.h5", &small_table);
    small_data_open(&noisy, "noisy.h5", &noisy_shape);
    CU_ASSERT_EQUAL(partition_init(&sets, &table.dataset, &split, &request, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(partition_init(&noisy_sets, &noisy.dataset, &split, &large, &test_comm),
                    IAU_OK);
}

/* --- targets */

static void targets_are_the_forgotten_and_as_many_others(void)
{
    struct targets t;
    int64_t forgotten[10] = {0}, others[10] = {0}, n = 0;
    const int32_t *label = table.rows[PART_TRAIN].label;
    CU_ASSERT_EQUAL(targets_init(&t, &table.dataset, &sets, 3), IAU_OK);
    CU_ASSERT_EQUAL(t.n_forgotten, sets.forget.n);
    CU_ASSERT_EQUAL(t.rest.n + t.all.n - sets.forget.n, sets.valid.n);
    for (int64_t i = 0; i < t.all.n; i++) {
        int64_t row = t.all.row[i];
        CU_ASSERT_EQUAL(index_set_has(&sets.forget, row), t.is_forgotten[i]);
        CU_ASSERT_EQUAL(index_set_has(&sets.valid, row), !t.is_forgotten[i]);
        CU_ASSERT_FALSE(index_set_has(&t.rest, row));
        CU_ASSERT_EQUAL(t.id[i], small_data_id(PART_TRAIN, row));
        (t.is_forgotten[i] ? forgotten : others)[label[row]]++;
        n += t.is_forgotten[i];
    }
    CU_ASSERT_EQUAL(n, sets.forget.n);
    for (int c = 0; c < table.model.n_class; c++)
        CU_ASSERT_EQUAL(forgotten[c], others[c]); /* V has enough of each class here */
    targets_free(&t);
}

/* Whole classes: V' is of these, as far as V goes. */
static void outsiders_are_of_the_forgotten_classes(void)
{
    struct targets t;
    struct partition p;
    struct data_opts split = {.seed = 1, .valid = 0.2};
    int64_t one[] = {1}, in_valid = 0;
    struct forget_opts request = {.classes = {1, one}};
    const int32_t *label = table.rows[PART_TRAIN].label;
    CU_ASSERT_EQUAL(partition_init(&p, &table.dataset, &split, &request, &test_comm), IAU_OK);
    CU_ASSERT_EQUAL(targets_init(&t, &table.dataset, &p, 3), IAU_OK);
    for (int64_t i = 0; i < p.valid.n; i++)
        in_valid += label[p.valid.row[i]] == 1;
    CU_ASSERT_TRUE(in_valid < p.forget.n);
    CU_ASSERT_EQUAL(t.all.n, p.forget.n + in_valid);
    for (int64_t i = 0; i < t.all.n; i++)
        CU_ASSERT_EQUAL(label[t.all.row[i]], 1);
    targets_free(&t);
    struct partition none = p; /* all of V is of other classes */
    none.valid = t.rest;
    none.valid = (struct index_set){.part = PART_TRAIN};
    harness_expect_error(targets_init(&t, &table.dataset, &none, 3), IAU_ERR_DATA,
                         "none of the 0 validation samples is of their classes");
    partition_free(&p);
}

static void halves_are_opposite_and_random(void)
{
    struct targets t;
    CU_ASSERT_EQUAL(targets_init(&t, &table.dataset, &sets, 3), IAU_OK);
    int64_t n = t.all.n, same = 0;
    uint8_t *a = mem_alloc(n, 1), *b = mem_alloc(n, 1), *c = mem_alloc(n, 1);
    CU_ASSERT_EQUAL(targets_half(&t, 3, 4, a), IAU_OK);
    CU_ASSERT_EQUAL(targets_half(&t, 3, 5, b), IAU_OK);
    CU_ASSERT_EQUAL(targets_half(&t, 3, 6, c), IAU_OK);
    int64_t size = 0;
    for (int64_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(a[i] + b[i], 1);
        size += a[i];
        same += a[i] == c[i];
    }
    CU_ASSERT_EQUAL(size, n / 2);
    CU_ASSERT_TRUE(fabs((double)same / (double)n - 0.5) < 5 * 0.5 / sqrt((double)n));
    CU_ASSERT_EQUAL(targets_half(&t, 4, 4, c), IAU_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(a, c, (size_t)n), 0);
    free(a);
    free(b);
    free(c);
    targets_free(&t);
}

/* --- files */

static const char *const suffixes[] = {"", "_iau", "_retrain"};
enum { FILES_A_SHADOW = 3 };

/* Rank 0: the digest of an audit's file; "" where it is not there. */
static void digest_of_file(const struct bench *b, const char *name, char digest[DIGEST_CHARS])
{
    struct record r = {0};
    char *path = NULL;
    digest[0] = '\0';
    REQUIRE(asprintf(&path, "%s/%s.h5", b->folder, name) > 0);
    if (file_exists(path) == 1 && record_read(&r, path) == IAU_OK) {
        CU_ASSERT_EQUAL(format_digest(SHADOW_FORMAT, &r, digest), IAU_OK);
        CU_ASSERT_STRING_EQUAL(digest, record_text(&r, "/", "digest", ""));
        CU_ASSERT_PTR_NOT_NULL(record_attribute_find(&r, "/provenance", "same_bytes"));
    }
    record_free(&r);
    free(path);
}

static void name_file(char name[64], int64_t k)
{
    if (k < SHADOWS * FILES_A_SHADOW)
        snprintf(name, 64, "shadow_origin_%03d%s", (int)(k / FILES_A_SHADOW),
                 suffixes[k % FILES_A_SHADOW]);
    else if (k < SHADOWS * FILES_A_SHADOW + ATTACK_SHADOWS)
        snprintf(name, 64, "attack_shadow_%03d", (int)(k - SHADOWS * FILES_A_SHADOW));
    else
        snprintf(name, 64, "attack_network");
}

enum { N_FILE = SHADOWS * FILES_A_SHADOW + ATTACK_SHADOWS + 1 };

static char wanted[N_FILE][DIGEST_CHARS];

static void compare_files(const struct bench *b, const char *what)
{
    for (int k = 0; k < N_FILE && test_comm.rank == 0; k++) {
        char name[64], digest[DIGEST_CHARS];
        name_file(name, k);
        digest_of_file(b, name, digest);
        if (strcmp(digest, wanted[k]) != 0)
            printf("%s: %s has digest %s, but %s is expected\n", what, name, digest, wanted[k]);
        CU_ASSERT_STRING_EQUAL(digest, wanted[k]);
    }
}

static void count_items(const struct audit *a, int64_t n)
{
    struct audit_plan p;
    CU_ASSERT_EQUAL(audit_plan(&p, a), IAU_OK);
    CU_ASSERT_EQUAL(p.n_item, n);
    CU_ASSERT_EQUAL(p.n_total, SHADOWS + ATTACK_SHADOWS);
    audit_plan_free(&p);
}

/* One model after another on one rank, which the other tests are compared with. */
static void one_by_one(void)
{
    struct bench b;
    struct comm self = small_self();
    char name[] = "alone-0";
    name[6] = (char)('0' + test_comm.rank); /* a folder a rank */
    open_bench(&b, name, &self);
    count_items(&b.audit, SHADOWS + ATTACK_SHADOWS);
    CU_ASSERT_EQUAL(audit_run(&b.audit), IAU_OK);
    count_items(&b.audit, 0);
    for (int k = 0; k < N_FILE; k++) {
        char file[64];
        name_file(file, k);
        digest_of_file(&b, file, wanted[k]);
        CU_ASSERT_NOT_EQUAL(wanted[k][0], '\0');
        for (int i = 0; i < k; i++)
            CU_ASSERT_NOT_EQUAL(strcmp(wanted[k], wanted[i]), 0);
    }
    close_bench(&b);
}

static void groups_make_the_same_files(void)
{
    for (int ranks = 1; ranks <= 3; ranks++) {
        struct bench b;
        char name[] = "groups-0";
        name[7] = (char)('0' + ranks);
        open_bench(&b, name, &test_comm);
        b.opts.ranks = ranks;
        CU_ASSERT_EQUAL(audit_run(&b.audit), IAU_OK);
        compare_files(&b, name);
        CU_ASSERT_EQUAL(audit_run(&b.audit), IAU_OK); /* nothing is left to do */
        close_bench(&b);
    }
}

/* Stopped after some steps again and again, in groups of changing size. */
static void stopped_audits_go_on(void)
{
    struct bench b;
    int rc = IAU_STOPPED, n_stop = 0;
    open_bench(&b, "stopped", &test_comm);
    for (; rc == IAU_STOPPED && n_stop < 100; n_stop++) {
        b.opts.ranks = 1 + n_stop % 2;
        b.audit.checkpoint.every_steps = 1;
        stop_set(n_stop < 4); /* the first four are stopped at the first step they take */
        if (n_stop == 4)
            count_items(&b.audit, SHADOWS + ATTACK_SHADOWS);
        rc = audit_run(&b.audit);
        CU_ASSERT_TRUE(rc == IAU_OK || n_stop < 4);
    }
    stop_set(0);
    CU_ASSERT_EQUAL(n_stop, 5);
    compare_files(&b, "stopped");
    close_bench(&b);
}

static void remove_file(const struct bench *b, const char *name)
{
    char *path = NULL;
    REQUIRE(asprintf(&path, "%s/%s.h5", b->folder, name) > 0);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(file_remove(path), IAU_OK);
    comm_barrier(&test_comm);
    free(path);
}

static void what_is_missing_is_made_and_the_rest_kept(void)
{
    struct bench b;
    open_bench(&b, "groups-1", &test_comm);
    remove_file(&b, "shadow_origin_003"); /* its unlearned versions stay, and fit the new one */
    remove_file(&b, "shadow_origin_001_iau");
    remove_file(&b, "attack_shadow_001");
    remove_file(&b, "attack_network");
    count_items(&b.audit, 3);
    CU_ASSERT_EQUAL(audit_run(&b.audit), IAU_OK);
    compare_files(&b, "made again");
    close_bench(&b);
}

/* Fewer methods, more shadows: both need nothing of what is there to be made again. */
static void a_larger_audit_keeps_the_smaller_one(void)
{
    struct bench b;
    struct audit_plan p;
    open_bench(&b, "groups-1", &test_comm);
    b.opts.shadows = SHADOWS + 2;
    b.audit.n_method = 1;
    CU_ASSERT_EQUAL(audit_plan(&p, &b.audit), IAU_OK);
    CU_ASSERT_EQUAL(p.n_item, 2);
    audit_plan_free(&p);
    close_bench(&b);
}

static void other_settings_are_refused_before_anything_is_made(void)
{
    struct bench b;
    struct capture c;
    char printed[2000];
    open_bench(&b, "groups-1", &test_comm);
    b.audit.origin[0].train.batch = 33;
    b.opts.shadows = SHADOWS + 2;
    capture_begin(&c);
    int rc = audit_run(&b.audit);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_EXISTS, printed,
                       "shadow_origin_000.h5 was made with other settings: train.batch (50 there, "
                       "33 here)");
    b.opts.shadows = SHADOWS;
    b.audit.origin[0].train.batch = 50;
    compare_files(&b, "refused");
    b.opts.attack.net_lr = 0.02;
    capture_begin(&c);
    rc = audit_run(&b.audit);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(rc, IAU_ERR_EXISTS, printed, "audit.attack.net_lr");
    close_bench(&b);
}

/* --- attacks */

static void examine(const struct evidence *v, const struct small_data *data, const float *w,
                    int method, struct findings *f)
{
    struct engine e;
    small_engine(&e, data, 16, &test_comm);
    CU_ASSERT_EQUAL(evidence_examine(f, v, &e, w, 0, method, "model"), IAU_OK);
    engine_free(&e);
}

/* Standard deviation of an AUC where there is nothing to tell. */
static double noise(const struct mia_result *r)
{
    double m = (double)r->n_member, n = (double)r->n_other;
    return sqrt((m + n + 1) / 12 / m / n);
}

/* Retraining that is an entry of `methods` is what other models are compared with, too. */
static void retraining_as_an_entry(struct bench *b, const float *w)
{
    struct method_opts entry = {.name = (char *)"retrain", .method = METHOD_RETRAIN};
    struct evidence v;
    struct findings f;
    b->audit.method[1] = (struct audit_method){"retrain", &entry, 0, 1};
    CU_ASSERT_EQUAL(evidence_open(&v, &b->audit), IAU_OK);
    CU_ASSERT_EQUAL(v.has_shadows[0], 1);
    examine(&v, &noisy, w, 1, &f);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(f.ulira.accuracy, f.residual.accuracy); /* against themselves */
    findings_free(&f);
    evidence_close(&v);
}

/* Shadows and models that learn noisy labels by heart, and so remember whom they have seen. */
static void attacks_find_those_who_were_in(void)
{
    struct bench b;
    struct evidence v;
    struct outcome origin, retrained;
    struct findings f;
    struct train_opts opts = small_train_opts();
    opts.epochs = 60;
    opts.patience = 0;
    opts.optimizer.lr = 1e-2;
    open_bench_of(&b, "heart", &noisy, &noisy_sets, &test_comm);
    b.audit.origin[0].train = opts;
    b.opts.epochs = opts.epochs;
    b.opts.shadows = 12;
    b.opts.attack = (struct shadow_attack_opts){2, 0.9, 60, 50, 1e-2, 40, 256, 0.01};
    CU_ASSERT_EQUAL(b.audit.targets.rest.n, 0); /* the last model counts, not an early one */
    struct partition all = noisy_sets, rest = noisy_sets;
    all.valid = rest.valid = b.audit.targets.rest;
    rest.train = noisy_sets.retain;
    small_train(&origin, &noisy, &all, &opts, &test_comm);
    small_train(&retrained, &noisy, &rest, &opts, &test_comm);
    CU_ASSERT_EQUAL(audit_run(&b.audit), IAU_OK);
    CU_ASSERT_EQUAL(evidence_open(&v, &b.audit), IAU_OK);
    examine(&v, &noisy, origin.w, FINDINGS_ORIGIN, &f);
    double share = f.attack_forget;
    if (test_comm.rank == 0) {
        for (int a = 0; a < N_LIRA; a++)
            CU_ASSERT_TRUE(a == LIRA_DENSITY || f.lira[a].auc > 0.5 + 2 * noise(&f.lira[a]));
        CU_ASSERT_TRUE(f.ulira.accuracy > 0.55);
        CU_ASSERT_EQUAL(f.residual.roc.n_point, 0);
        CU_ASSERT_TRUE(f.attack_forget > f.attack_test);
    }
    findings_free(&f);
    examine(&v, &noisy, retrained.w, 1, &f);
    if (test_comm.rank == 0) {
        for (int a = 0; a < N_LIRA; a++)
            CU_ASSERT_TRUE(fabs(f.lira[a].auc - 0.5) < 3.5 * noise(&f.lira[a]));
        CU_ASSERT_TRUE(fabs(f.residual.accuracy - 0.5) < 0.05);
        CU_ASSERT_EQUAL(f.ulira.accuracy, f.residual.accuracy); /* against themselves */
        CU_ASSERT_TRUE(f.attack_forget < share);
    }
    findings_free(&f);
    evidence_close(&v);
    retraining_as_an_entry(&b, retrained.w);
    outcome_free(&origin);
    outcome_free(&retrained);
    close_bench(&b);
}

/* All of V are targets here: nobody is left for a step to be calibrated by. */
static void methods_that_lack_validation_samples_are_refused(void)
{
    struct bench b;
    struct capture c;
    char printed[2000];
    struct method_opts calibrated = iau;
    calibrated.iau.step = IAU_STEP_CALIBRATED;
    open_bench_of(&b, "lacking", &noisy, &noisy_sets, &test_comm);
    targets_free(&b.audit.targets);
    b.audit.method[0].opts = &calibrated;
    capture_begin(&c);
    int rc = audit_open(&b.audit);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(
        rc, IAU_ERR_DATA, printed,
        "audit.methods: iau: all 120 validation samples are targets of the audit, and "
        "no sample is left to calibrate its step by");
    close_bench(&b);
}

static void findings_are_the_same_on_any_rank_count(void)
{
    struct bench b, alone;
    struct evidence v, own;
    struct findings f, g;
    struct engine e;
    struct comm self = small_self();
    float *w = mem_alloc(table.model.n_param, sizeof *w);
    model_init_params(&table.model, 9, w);
    open_bench(&b, "groups-2", &test_comm);
    open_bench(&alone, "groups-2", &self);
    CU_ASSERT_EQUAL(evidence_open(&v, &b.audit), IAU_OK);
    CU_ASSERT_EQUAL(evidence_open(&own, &alone.audit), IAU_OK);
    examine(&v, &table, w, 0, &f);
    small_engine(&e, &table, 16, &self);
    CU_ASSERT_EQUAL(evidence_examine(&g, &own, &e, w, 0, 0, "model"), IAU_OK);
    engine_free(&e);
    if (test_comm.rank == 0) {
        for (int a = 0; a < N_LIRA; a++)
            CU_ASSERT_EQUAL(f.lira[a].auc, g.lira[a].auc);
        CU_ASSERT_EQUAL(f.ulira.accuracy, g.ulira.accuracy);
        CU_ASSERT_EQUAL(f.residual.roc.auc, g.residual.roc.auc);
        CU_ASSERT_EQUAL(f.attack_forget, g.attack_forget);
        struct metrics m = {0};
        CU_ASSERT_EQUAL(findings_metrics(&f, &m), IAU_OK);
        CU_ASSERT_EQUAL(m.n, 4 * N_LIRA + 2 * 5 + 2);
        metrics_free(&m);
    }
    findings_free(&f);
    findings_free(&g);
    evidence_close(&v);
    evidence_close(&own);
    close_bench(&b);
    close_bench(&alone);
    free(w);
}

static void without_all_files_there_is_no_verdict(void)
{
    struct bench b;
    struct evidence v;
    struct findings f;
    float *w = mem_alloc(table.model.n_param, sizeof *w);
    open_bench(&b, "groups-3", &test_comm);
    remove_file(&b, "shadow_origin_005");
    remove_file(&b, "attack_network");
    CU_ASSERT_EQUAL(evidence_open(&v, &b.audit), IAU_OK);
    CU_ASSERT_EQUAL(v.has_shadows[0], 0);
    CU_ASSERT_PTR_NULL(v.attack.model);
    examine(&v, &table, w, FINDINGS_ORIGIN, &f);
    struct metrics m = {0};
    CU_ASSERT_EQUAL(findings_metrics(&f, &m), IAU_OK);
    CU_ASSERT_EQUAL(m.n, 0);
    findings_free(&f);
    evidence_close(&v);
    close_bench(&b);
    free(w);
}

/* The attack's shadows know of no sample that data.without or data.limit leaves out. */
static void the_pool_is_of_the_jobs_samples(void)
{
    struct bench b;
    struct partition few;
    struct data_opts split = {.seed = 1, .valid = 0.2, .limit = 200};
    struct forget_opts request = {.ratio = 0.15, .seed = 2};
    CU_ASSERT_EQUAL(partition_init(&few, &table.dataset, &split, &request, &test_comm), IAU_OK);
    open_bench_of(&b, "few", &table, &few, &test_comm);
    b.opts.shadows = 0;
    b.opts.attack.pool = 1;
    CU_ASSERT_EQUAL(audit_item_gradients(&b.audit, 0), 200 / 2 * (double)b.opts.attack.epochs);
    CU_ASSERT_EQUAL(audit_run(&b.audit), IAU_OK);
    if (test_comm.rank == 0) {
        struct record r = {0};
        char *path = harness_path("few/attack_shadow_000.h5");
        CU_ASSERT_EQUAL(record_read(&r, path), IAU_OK);
        const struct record_array *row = record_find(&r, "/samples/row");
        CU_ASSERT(row && record_count(row) == 200);
        for (int64_t i = 0; row && i < record_count(row); i++) {
            int64_t at = ((const int64_t *)row->data)[i];
            CU_ASSERT_EQUAL(index_set_has(&few.train, at) + index_set_has(&few.valid, at), 1);
        }
        record_free(&r);
        free(path);
    }
    close_bench(&b);
    partition_free(&few);
}

static void close_data(void)
{
    partition_free(&sets);
    partition_free(&noisy_sets);
    small_data_close(&table);
    small_data_close(&noisy);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"open the data", open_data},
        {"targets are the forgotten and as many others",
         targets_are_the_forgotten_and_as_many_others},
        {"outsiders are of the forgotten classes", outsiders_are_of_the_forgotten_classes},
        {"halves are opposite and random", halves_are_opposite_and_random},
        {"one by one", one_by_one},
        {"groups make the same files", groups_make_the_same_files},
        {"stopped audits go on", stopped_audits_go_on},
        {"what is missing is made and the rest kept", what_is_missing_is_made_and_the_rest_kept},
        {"a larger audit keeps the smaller one", a_larger_audit_keeps_the_smaller_one},
        {"other settings are refused before anything is made",
         other_settings_are_refused_before_anything_is_made},
        {"attacks find those who were in", attacks_find_those_who_were_in},
        {"methods that lack validation samples are refused",
         methods_that_lack_validation_samples_are_refused},
        {"findings are the same on any rank count", findings_are_the_same_on_any_rank_count},
        {"without all files there is no verdict", without_all_files_there_is_no_verdict},
        {"the pool is of the job's samples", the_pool_is_of_the_jobs_samples},
        {"close the data", close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "audit", tests);
}
