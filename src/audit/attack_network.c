/* The attack network: the shadows' answers as a data set, and its training with the program's own
 * means. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack_private.h"
#include "audit/attack.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"
#include "data/import.h"
#include "data/reader.h"
#include "io/file.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

enum { NET_UNIT = 64 };

/* --- the answers as a data set */

/* What the reader reads: the answers of all shadows, one after another. */
struct answers {
    struct source_opts opts; /* first: the reader finds the rest by it */
    int n_class;
    int64_t n_shadow, n;   /* files; rows of all */
    struct record *record; /* owned, [n_shadow]; rank 0 */
    int64_t shadow, row;   /* to be read next */
};

static const struct answers *answers_of(const struct import_reader *r)
{
    return (const struct answers *)r->opts;
}

static int answers_open(struct import_reader *r)
{
    static const char *const names[] = {"out", "in"};
    const struct answers *a = answers_of(r);
    r->n[PART_TRAIN] = a->n;
    r->n[PART_TEST] = 1; /* a data set has a test part; nobody looks at this one */
    r->ndim = 1;
    r->dims[0] = 2 * a->n_class;
    r->n_class = 2;
    r->class_name = names;
    r->state = (void *)a;
    return IAU_OK;
}

static int answers_start(struct import_reader *r, enum dataset_part part)
{
    struct answers *a = r->state;
    (void)part;
    a->shadow = a->row = 0;
    return IAU_OK;
}

/* [softmax - onehot, onehot] of one row, and whether it was in. */
static void take_row(const struct answers *a, const struct record *r, float *x, int32_t *label)
{
    const float *p = record_find(r, "/samples/softmax")->data;
    const int32_t *y = record_find(r, "/samples/label")->data;
    const uint8_t *member = record_find(r, "/samples/member")->data;
    if (x) {
        for (int c = 0; c < a->n_class; c++) {
            float is_label = y[a->row] == c;
            x[c] = p[a->row * a->n_class + c] - is_label;
            x[a->n_class + c] = is_label;
        }
    }
    if (label)
        *label = member[a->row];
}

static int answers_next(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct answers *a = r->state;
    for (int64_t i = 0; i < n; i++) {
        const struct record *from = &a->record[a->shadow];
        take_row(a, from, to->x ? (float *)to->x + i * 2 * a->n_class : NULL,
                 to->label ? to->label + i : NULL);
        if (++a->row == record_count(record_find(from, "/samples/label"))) {
            a->shadow++;
            a->row = 0;
        }
    }
    return IAU_OK;
}

static void answers_close(struct import_reader *r)
{
    (void)r;
}

static const struct import_format answers_format = {.name = "answers",
                                                    .help = "answers of shadow models",
                                                    .data_name = "answers",
                                                    .open = answers_open,
                                                    .start = answers_start,
                                                    .next = answers_next,
                                                    .close = answers_close};

/* Rank 0: the files of all shadows. */
static int read_answers(struct answers *s, const struct audit *a)
{
    int rc = IAU_OK;
    struct part p = {0};
    s->record = mem_alloc(s->n_shadow, sizeof *s->record);
    if (!s->record)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the answers of shadows"));
    for (int64_t k = 0; k < s->n_shadow; k++) {
        struct record *r = &s->record[k];
        TRY(attack_shadow_part(&p, a, k));
        TRY(part_read(&p, "/samples", r));
        const struct record_array *x = record_find(r, "/samples/softmax"),
                                  *y = record_find(r, "/samples/label"),
                                  *m = record_find(r, "/samples/member");
        if (!x || !y || !m || x->type != RECORD_F32 || y->type != RECORD_I32 ||
            m->type != RECORD_U8 || record_count(y) != record_count(m) ||
            record_count(x) != record_count(y) * s->n_class)
            TRY(FAIL(IAU_ERR_FORMAT, "%s: /samples is damaged", p.path));
        s->n += record_count(y);
        part_free(&p);
    }
out:
    part_free(&p);
    return rc;
}

static void free_answers(struct answers *s)
{
    for (int64_t k = 0; s->record && k < s->n_shadow; k++)
        record_free(&s->record[k]);
    free(s->record);
}

/* Write the data set. */
static int import_answers(const struct audit *a, const char *path)
{
    int rc = IAU_OK;
    static char format[] = "answers", source[] = "shadow models", *files[] = {source};
    struct answers s = {.opts = {.format = format, .files = {1, files}, .shuffle = -1},
                        .n_class = a->model->n_class,
                        .n_shadow = a->opts->attack.shadows};
    struct import_request request = {
        .source = &s.opts, .reader = &answers_format, .out = path, .force = 1};
    TRY(comm_agree(a->comm, a->comm->rank == 0 ? read_answers(&s, a) : IAU_OK));
    log_hush(1);
    rc = import_run(&request, a->comm);
    log_hush(0);
out:
    free_answers(&s);
    return rc;
}

/* --- the network */

static int build(struct model *m, int n_class)
{
    static const char *const lines[] = {"dense 256",   "relu",         "dropout 0.5", "dense 128",
                                        "relu",        "dropout 0.5",  "dense 32",    "relu",
                                        "dropout 0.5", "dense classes"};
    struct text_list text = {sizeof lines / sizeof *lines, (char **)lines};
    return model_build_list(m, "the attack network", &text, (struct shape){2 * n_class, 1, 1}, 2);
}

/* Its settings are those of its shadows, but for their number in a row, and its own. */
static int network_part(struct part *p, const struct audit *a)
{
    const struct shadow_attack_opts *o = &a->opts->attack;
    struct part shadow = {0};
    char *settings = NULL;
    int rc = attack_shadow_part(&shadow, a, 0);
    if (rc == IAU_OK && asprintf(&settings,
                                 "%saudit.attack.shadows = %lld\naudit.attack.net_epochs = %lld\n"
                                 "audit.attack.net_batch = %lld\naudit.attack.net_lr = %.17g\n",
                                 shadow.settings, (long long)o->shadows, (long long)o->net_epochs,
                                 (long long)o->net_batch, o->net_lr) < 0)
        settings = NULL;
    part_free(&shadow);
    return rc != IAU_OK ? rc : part_init(p, a, mem_strdup("attack_network"), settings);
}

static int train_network(struct outcome *o, const struct audit *a, const struct model *m,
                         const char *path, struct restart *restart)
{
    int rc = IAU_OK;
    const struct shadow_attack_opts *opts = &a->opts->attack;
    struct dataset d = {0};
    struct engine e = {0};
    struct index_set all = {0}, none = {.part = PART_TRAIN};
    struct progress progress = {0};
    struct train_opts train = {.seed = a->opts->seed,
                               .epochs = opts->net_epochs,
                               .batch = opts->net_batch,
                               .unit = NET_UNIT,
                               .optimizer = attack_adam(opts->net_lr),
                               .schedule = {.every = 1, .factor = 1}};
    struct trainer t = {.engine = &e,
                        .opts = &train,
                        .train = &all,
                        .valid = &none,
                        .name = restart->name,
                        .restart = restart,
                        .progress = &progress};
    TRY(dataset_open(&d, path, a->comm));
    rc = engine_init(&e, m, &d, NET_UNIT, NULL, NULL, a->comm);
    e.memory_bytes = a->memory_bytes;
    if (rc == IAU_OK)
        rc = index_set_all(&all, PART_TRAIN, d.n[PART_TRAIN]);
    TRY(comm_agree(a->comm, rc));
    log_hush(1);
    rc = trainer_run(o, &t);
    log_hush(0);
out:
    index_set_free(&all);
    engine_free(&e);
    dataset_close(&d);
    return rc;
}

static int write_network(const struct part *p, const struct audit *a, const struct model *m,
                         const struct outcome *o, int same_bytes)
{
    int rc = IAU_OK;
    struct record r = {0};
    TRY(checkpoint_add_floats(&r, m, "/params", o->w));
    TRY(history_to_record(&o->history, &r, "/history"));
    TRY(part_write(p, a, &r, same_bytes));
out:
    record_free(&r);
    return rc;
}

/* The last accuracy in telling members of shadows from others. */
static double last_accuracy(const struct history *h)
{
    for (int c = 0; c < h->n_column; c++)
        if (strcmp(h->name[c], "accuracy_train") == 0)
            return h->value[(h->n_row - 1) * h->n_column + c];
    return 0;
}

int attack_make_network(const struct audit *a)
{
    int rc = IAU_OK;
    enum output_state state;
    struct part part = {0};
    struct outcome o = {0};
    struct model *m = mem_alloc(1, sizeof *m);
    char *path = NULL;
    double start = timer_now_s();
    rc = m ? network_part(&part, a) : FAIL(IAU_ERR_MEM, "no memory for the attack network");
    if (rc == IAU_OK && asprintf(&path, "%s/attack_data.h5", a->folder) < 0) {
        path = NULL;
        rc = FAIL(IAU_ERR_MEM, "no memory for a file name");
    }
    if (rc == IAU_OK)
        rc = build(m, a->model->n_class);
    TRY(comm_agree(a->comm, rc));
    TRY(part_look(&part, a, a->comm, &state));
    if (state == OUTPUT_DONE) {
        rc = comm_agree(a->comm, a->comm->rank == 0 ? file_remove(path) : IAU_OK);
        goto out;
    }
    struct restart restart = part_restart(&part, a, state);
    TRY(import_answers(a, path));
    TRY(train_network(&o, a, m, path, &restart));
    rc = a->comm->rank == 0 ? write_network(&part, a, m, &o, !restart.mixed) : IAU_OK;
    if (rc == IAU_OK && a->comm->rank == 0)
        rc = file_remove(path);
    TRY(comm_agree(a->comm, rc));
    log_line("%s  done in %.1f s; tells %.2f %% of its shadows' samples right", part.name,
             timer_now_s() - start, 100 * last_accuracy(&o.history));
out:
    outcome_free(&o);
    part_free(&part);
    free(path);
    free(m);
    return rc;
}

int attack_find_network(const struct audit *a, int *is_there)
{
    struct part p = {0};
    enum output_state state = OUTPUT_MISSING;
    int rc = network_part(&p, a);
    if (rc == IAU_OK)
        rc = part_find(&p, a, NULL, &state);
    *is_there = state == OUTPUT_DONE;
    part_free(&p);
    return rc;
}

static int read_network(struct attack *t, const struct part *p, int n_class)
{
    int rc = IAU_OK;
    struct record r = {0};
    t->model = mem_alloc(1, sizeof *t->model);
    if (!t->model)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the attack network"));
    TRY(build(t->model, n_class));
    t->w = mem_alloc(model_state_floats(t->model), sizeof *t->w);
    if (!t->w)
        TRY(FAIL(IAU_ERR_MEM, "no memory for the attack network"));
    TRY(part_read(p, "/params", &r));
    TRY(checkpoint_get_floats(&r, p->path, t->model, "/params", t->w));
out:
    record_free(&r);
    return rc;
}

int attack_open(struct attack *t, const struct audit *a)
{
    int rc = IAU_OK;
    int64_t there = 0;
    struct part part = {0};
    *t = (struct attack){0};
    if (!a->opts->attack.shadows)
        return IAU_OK;
    TRY(comm_agree(a->comm, network_part(&part, a)));
    there = a->comm->rank == 0 ? file_exists(part.path) == 1 : 0;
    comm_bcast(a->comm, &there, sizeof there, 0);
    if (there)
        TRY(comm_agree(a->comm, read_network(t, &part, a->model->n_class)));
out:
    part_free(&part);
    if (rc != IAU_OK)
        attack_close(t);
    return rc;
}

void attack_close(struct attack *t)
{
    free(t->model);
    free(t->w);
    *t = (struct attack){0};
}
