/* SISA: who is in which shard, that forgetting gives the bytes of training without the samples, and
 * files of shards that are done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/unlearn/sisa_private.h"
#include "capture.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stop.h"
#include "harness.h"
#include "method_run.h"
#include "unlearn/sisa.h"

enum { SHARDS = 4 };

/* One training of an ensemble. */
struct sisa_run_of {
    struct train_opts train;
    const struct index_set *set, *forget;
    const float *w;
    struct comm comm;
    const char *path, *settings;
    int force;
    int64_t fail_after; /* the allocation that fails on the last rank; 0: none */
    int rc;
    struct outcome o;
    struct cost cost;
};

static struct train_opts ensemble_opts(int64_t slices)
{
    struct train_opts t = small_train_opts();
    t.shards = SHARDS;
    t.slices = slices;
    t.epochs = 3;
    t.patience = 0;
    return t;
}

static struct sisa_run_of run_of(const struct train_opts *train, const struct index_set *set,
                                 const char *path)
{
    return (struct sisa_run_of){
        .train = *train, .set = set, .comm = test_comm, .path = path, .settings = "a = 1\n"};
}

/* Files stay. */
static void execute(struct sisa_run_of *r)
{
    struct engine e;
    struct restart restart = {
        .path = r->path, .settings = r->settings, .name = "sisa", .force = r->force};
    small_engine(&e, &method_table, (int)r->train.unit, &r->comm);
    struct sisa s = {.engine = &e,
                     .train = &r->train,
                     .set = r->set,
                     .valid = &method_sets.valid,
                     .forget = r->forget,
                     .w = r->w,
                     .restart = &restart,
                     .name = "sisa"};
    if (r->fail_after && r->comm.rank == r->comm.size - 1)
        mem_fail_after(r->fail_after);
    r->rc = sisa_run(&r->o, &s);
    mem_fail_after(0);
    r->cost = e.cost;
    CU_ASSERT_EQUAL(e.used_bytes, 0);
    engine_free(&e);
}

static void remove_files(const struct sisa_run_of *r)
{
    comm_barrier(&r->comm);
    if (r->comm.rank == 0)
        CU_ASSERT_EQUAL(sisa_remove(r->path, &r->train), IAU_OK);
    comm_barrier(&r->comm);
}

static void execute_and_remove(struct sisa_run_of *r)
{
    execute(r);
    remove_files(r);
}

static int64_t state_floats(void)
{
    return model_state_floats(&method_table.model);
}

static int same_models(const struct sisa_run_of *a, const float *w)
{
    size_t n = (size_t)(a->train.shards * a->train.slices * state_floats());
    return a->rc == IAU_OK && memcmp(a->o.w, w, n * sizeof *w) == 0;
}

static int same(const struct sisa_run_of *a, const struct sisa_run_of *b)
{
    return b->rc == IAU_OK && same_models(a, b->o.w) &&
           same_history(&a->o.history, &b->o.history) && a->cost.gradients == b->cost.gradients &&
           a->cost.forwards == b->cost.forwards && a->cost.payload_bytes == b->cost.payload_bytes;
}

/* --- places */

static int32_t place_in(const struct sisa_plan *p, int64_t row)
{
    for (int64_t i = 0; i < p->set->n; i++)
        if (p->set->row[i] == row)
            return p->place[i];
    return -1;
}

static void samples_keep_their_places(void)
{
    struct train_opts t = ensemble_opts(3), other = t;
    struct sisa_plan all, retained, moved;
    int64_t count[SHARDS * 3] = {0}, n = method_sets.train.n, n_moved = 0;
    const struct dataset *d = &method_table.dataset;
    other.seed++;
    CU_ASSERT_EQUAL(sisa_plan_init(&all, d, &t, &method_sets.train, NULL), IAU_OK);
    CU_ASSERT_EQUAL(sisa_plan_init(&retained, d, &t, &method_sets.retain, NULL), IAU_OK);
    CU_ASSERT_EQUAL(sisa_plan_init(&moved, d, &other, &method_sets.train, NULL), IAU_OK);
    for (int64_t i = 0; i < retained.set->n; i++)
        CU_ASSERT_EQUAL(retained.place[i], place_in(&all, retained.set->row[i]));
    for (int64_t i = 0; i < n; i++) {
        count[all.place[i]]++;
        n_moved += all.place[i] != moved.place[i];
    }
    for (int k = 0; k < SHARDS * 3; k++) /* five standard deviations around the mean */
        CU_ASSERT(count[k] > 2 && count[k] < 2 * n / (SHARDS * 3));
    CU_ASSERT(n_moved > n / 2);
    CU_ASSERT(all.n_shard == SHARDS && all.n_state == 3 * SHARDS);
    sisa_plan_free(&all);
    sisa_plan_free(&retained);
    sisa_plan_free(&moved);
}

static void sets_grow_by_slices(void)
{
    struct train_opts t = ensemble_opts(3);
    struct sisa_plan p;
    int64_t total = 0;
    CU_ASSERT_EQUAL(sisa_plan_init(&p, &method_table.dataset, &t, &method_sets.train, NULL),
                    IAU_OK);
    for (int64_t k = 0; k < SHARDS; k++)
        for (int64_t r = 0; r < 3; r++) {
            struct index_set s;
            CU_ASSERT_EQUAL(sisa_plan_set(&p, k, r, &s), IAU_OK);
            total += r == 2 ? s.n : 0;
            for (int64_t i = 0; i < s.n; i++) {
                int32_t place = place_in(&p, s.row[i]);
                CU_ASSERT(place / 3 == k && place % 3 <= r);
                CU_ASSERT(i == 0 || s.row[i] > s.row[i - 1]);
            }
            index_set_free(&s);
        }
    CU_ASSERT_EQUAL(total, method_sets.train.n);
    sisa_plan_free(&p);
}

/* A slice of a shard as the trainer alone makes it. */
static void train_by_hand(struct outcome *o, const struct sisa_plan *p, int64_t shard,
                          int64_t slice, const float *start)
{
    struct engine e;
    struct index_set set;
    struct progress progress = {0};
    struct train_opts own = sisa_train_opts(p->train, shard, slice);
    small_engine(&e, &method_table, (int)own.unit, &test_comm);
    CU_ASSERT_EQUAL(sisa_plan_set(p, shard, slice, &set), IAU_OK);
    struct trainer t = {.engine = &e,
                        .opts = &own,
                        .train = &set,
                        .valid = &method_sets.valid,
                        .start = start,
                        .name = "by hand",
                        .progress = &progress};
    CU_ASSERT_EQUAL(trainer_run(o, &t), IAU_OK);
    index_set_free(&set);
    engine_free(&e);
}

static void a_shard_is_a_chain_of_trainings(void)
{
    char *path = harness_path("chain.restart.h5");
    struct train_opts t = ensemble_opts(3);
    struct sisa_plan p;
    struct sisa_run_of r = run_of(&t, &method_sets.train, path);
    const int64_t shard = 2;
    execute_and_remove(&r);
    CU_ASSERT_EQUAL(r.rc, IAU_OK);
    CU_ASSERT_EQUAL(sisa_plan_init(&p, &method_table.dataset, &t, &method_sets.train, NULL),
                    IAU_OK);
    for (int64_t slice = 0; slice < 3 && r.rc == IAU_OK; slice++) {
        struct outcome o;
        const float *w = r.o.w + (shard * 3 + slice) * state_floats();
        train_by_hand(&o, &p, shard, slice, slice ? w - state_floats() : NULL);
        CU_ASSERT(o.w && memcmp(o.w, w, (size_t)state_floats() * sizeof *w) == 0);
        outcome_free(&o);
    }
    sisa_plan_free(&p);
    outcome_free(&r.o);
    free(path);
}

static void epochs_are_shared_out_over_slices(void)
{
    struct train_opts t = ensemble_opts(1);
    t.epochs = 20;
    CU_ASSERT_EQUAL(sisa_train_opts(&t, 0, 0).epochs, 20);
    t.slices = 3;
    CU_ASSERT_EQUAL(sisa_train_opts(&t, 0, 2).epochs, 10);
    t.slices = 4;
    t.epochs = 1;
    CU_ASSERT_EQUAL(sisa_train_opts(&t, 1, 3).epochs, 1); /* never none */
    CU_ASSERT_NOT_EQUAL(sisa_train_opts(&t, 0, 0).seed, sisa_train_opts(&t, 1, 0).seed);
    CU_ASSERT_NOT_EQUAL(sisa_train_opts(&t, 0, 0).seed, sisa_train_opts(&t, 0, 1).seed);
}

/* --- forgetting */

/* One sample in slice 1, and, of D, what is left. */
static void draw_request(const struct train_opts *t, struct index_set *forget,
                         struct index_set *retain)
{
    struct sisa_plan p;
    int64_t i = 0;
    REQUIRE(sisa_plan_init(&p, &method_table.dataset, t, &method_sets.train, NULL) == IAU_OK);
    while (p.place[i] % t->slices != (t->slices > 1))
        i++;
    REQUIRE(index_set_from_rows(forget, PART_TRAIN, &method_sets.train.row[i], 1) == IAU_OK);
    REQUIRE(index_set_minus(retain, &method_sets.train, forget) == IAU_OK);
    sisa_plan_free(&p);
}

/* What is not affected has the origin's bytes. @return models that differ from the origin's */
static int64_t count_changed(const struct sisa_run_of *r, const struct sisa_plan *p)
{
    int64_t n = 0, slices = r->train.slices;
    for (int64_t i = 0; i < SHARDS * slices; i++) {
        size_t bytes = (size_t)state_floats() * sizeof *r->w;
        int differs = memcmp(r->o.w + i * state_floats(), r->w + i * state_floats(), bytes) != 0;
        CU_ASSERT_EQUAL(differs, i % slices >= p->first[i / slices]);
        n += differs;
    }
    return n;
}

static void check_forgetting(const struct train_opts *t, const struct index_set *forget,
                             const struct index_set *retain)
{
    char *path = harness_path("forgetting.restart.h5");
    struct sisa_plan plan;
    struct sisa_run_of origin = run_of(t, &method_sets.train, path), twin, part;
    execute_and_remove(&origin);
    twin = run_of(t, retain, path);
    execute_and_remove(&twin);
    part = run_of(t, retain, path);
    part.forget = forget;
    part.w = origin.o.w;
    execute_and_remove(&part);
    CU_ASSERT_EQUAL(sisa_plan_init(&plan, &method_table.dataset, t, retain, forget), IAU_OK);
    CU_ASSERT(origin.rc == IAU_OK && same_models(&part, twin.o.w));
    if (part.rc == IAU_OK)
        CU_ASSERT_EQUAL(count_changed(&part, &plan), plan.n_state);
    CU_ASSERT_EQUAL((double)part.cost.gradients, sisa_plan_load(&plan).gradients);
    for (int64_t i = 0; i < part.o.history.n_row; i++)
        CU_ASSERT(history_at(&part.o.history, i, "slice") >=
                  (double)plan.first[(int)history_at(&part.o.history, i, "shard")]);
    CU_ASSERT(plan.n_shard == SHARDS || part.cost.gradients < twin.cost.gradients);
    sisa_plan_free(&plan);
    outcome_free(&origin.o);
    outcome_free(&twin.o);
    outcome_free(&part.o);
    free(path);
}

static void forgetting_is_training_without(void)
{
    for (int64_t slices = 1; slices <= 3; slices++) {
        struct train_opts t = ensemble_opts(slices);
        struct index_set forget, retain;
        draw_request(&t, &forget, &retain);
        check_forgetting(&t, &forget, &retain);
        check_forgetting(&t, &method_sets.forget, &method_sets.retain);
        index_set_free(&forget);
        index_set_free(&retain);
    }
}

static void the_method_does_that(void)
{
    struct train_opts t = ensemble_opts(2);
    char *path = harness_path("method.restart.h5");
    struct sisa_run_of origin = run_of(&t, &method_sets.train, path),
                       twin = run_of(&t, &method_sets.retain, path);
    execute_and_remove(&origin);
    execute_and_remove(&twin);
    struct method_run r = method_run_of(METHOD_SISA);
    r.train = t;
    r.w = origin.o.w;
    r.restart = path;
    method_execute(&r);
    CU_ASSERT(r.rc == IAU_OK && same_models(&twin, r.o.w));
    remove_files(&twin);
    outcome_free(&origin.o);
    outcome_free(&twin.o);
    outcome_free(&r.o);
    free(path);
}

/* Each shard's trainings are those of the trainer, on one rank and on all. */
static void same_bytes_at_any_rank_count(void)
{
    char name[64], *path = harness_path("all.restart.h5"), *own;
    struct train_opts t = ensemble_opts(2);
    struct sisa_run_of all = run_of(&t, &method_sets.train, path), alone;
    snprintf(name, sizeof name, "rank_%d.restart.h5", test_comm.rank);
    own = harness_path(name);
    execute_and_remove(&all);
    alone = run_of(&t, &method_sets.train, own);
    alone.comm = small_self();
    execute_and_remove(&alone);
    CU_ASSERT(same(&all, &alone));
    CU_ASSERT_EQUAL(all.o.history.n_row, SHARDS * 2 * 2); /* epochs of 3, by slices: 2 each */
    outcome_free(&all.o);
    outcome_free(&alone.o);
    free(path);
    free(own);
}

/* --- files */

static char *piece_path(const char *path, const char *piece)
{
    char *out = mem_alloc((int64_t)(strlen(path) + strlen(piece)), 1);
    REQUIRE(out);
    memcpy(out, path, strlen(path) - strlen("restart.h5"));
    return strcat(out, piece);
}

static void what_is_done_is_kept(void)
{
    char *path = harness_path("kept.restart.h5"), *piece = piece_path(path, "shard_1.slice_0.h5");
    struct train_opts t = ensemble_opts(2);
    struct sisa_run_of whole = run_of(&t, &method_sets.train, path), again = whole;
    execute(&whole);
    comm_barrier(&test_comm);
    if (test_comm.rank == 0)
        CU_ASSERT_EQUAL(remove(piece), 0);
    comm_barrier(&test_comm);
    execute(&again);
    CU_ASSERT(same(&whole, &again));
    outcome_free(&again.o);
    stop_set(test_comm.rank == test_comm.size - 1); /* one rank is asked, all stop */
    execute(&again);
    stop_set(0);
    CU_ASSERT(again.rc == IAU_STOPPED && !again.o.w);
    execute_and_remove(&again);
    CU_ASSERT(same(&whole, &again));
    outcome_free(&whole.o);
    outcome_free(&again.o);
    free(path);
    free(piece);
}

static void expect_failure(struct sisa_run_of *r, int code, const char *part)
{
    char printed[2000];
    struct capture c;
    capture_begin(&c);
    execute(r);
    capture_end(&c, printed, sizeof printed);
    expect_one_message(r->rc, code, printed, part);
    CU_ASSERT(!r->o.w && !r->o.history.value);
}

static void files_of_other_settings_are_refused(void)
{
    char *path = harness_path("other.restart.h5");
    struct train_opts t = ensemble_opts(1);
    struct sisa_run_of first = run_of(&t, &method_sets.train, path), second = first;
    execute(&first);
    comm_barrier(&test_comm);
    second.settings = "a = 2\n";
    expect_failure(&second, IAU_ERR_EXISTS, "a (1 there, 2 here)");
    second.force = 1;
    execute_and_remove(&second);
    CU_ASSERT(same(&first, &second));
    outcome_free(&first.o);
    outcome_free(&second.o);
    free(path);
}

static void shards_need_samples(void)
{
    char *path = harness_path("few.restart.h5");
    struct train_opts t = ensemble_opts(1);
    struct index_set few;
    t.shards = 20;
    CU_ASSERT_EQUAL(index_set_from_rows(&few, PART_TRAIN, method_sets.train.row, 15), IAU_OK);
    struct sisa_run_of r = run_of(&t, &few, path);
    expect_failure(&r, IAU_ERR_CONFIG, "of 15 samples, shard");
    index_set_free(&few);
    free(path);
}

/* Each allocation of the last rank fails in turn: one error, and the next run ends well. */
static void short_memory(void)
{
    char *path = harness_path("short.restart.h5"), printed[2000];
    struct train_opts t = ensemble_opts(1);
    t.epochs = 1;
    t.shards = 3;
    struct sisa_run_of whole = run_of(&t, &method_sets.train, path), r = whole;
    execute_and_remove(&whole);
    r.rc = IAU_ERR_MEM;
    for (r.fail_after = 1; r.fail_after < 3000 && r.rc != IAU_OK; r.fail_after += 3) {
        struct capture c;
        capture_begin(&c);
        execute(&r);
        capture_end(&c, printed, sizeof printed);
        if (r.rc != IAU_OK)
            expect_one_message(r.rc, IAU_ERR_MEM, printed, "error");
    }
    CU_ASSERT(r.fail_after > 20 && same(&whole, &r));
    remove_files(&r);
    outcome_free(&whole.o);
    outcome_free(&r.o);
    free(path);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"(open data)", method_open_data},
        {"samples keep their places", samples_keep_their_places},
        {"sets grow by slices", sets_grow_by_slices},
        {"a shard is a chain of trainings", a_shard_is_a_chain_of_trainings},
        {"epochs are shared out over slices", epochs_are_shared_out_over_slices},
        {"forgetting is training without", forgetting_is_training_without},
        {"the method does that", the_method_does_that},
        {"same bytes at any rank count", same_bytes_at_any_rank_count},
        {"what is done is kept", what_is_done_is_kept},
        {"files of other settings are refused", files_of_other_settings_are_refused},
        {"shards need samples", shards_need_samples},
        {"short memory", short_memory},
        {"(close data)", method_close_data},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "sisa", tests);
}
