/* Sets are gone through in pieces of so many samples, each with a reduction of its own. */
#include "unlearn/importance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"

enum { PIECE_SAMPLES = 8192 };

struct run {
    const struct unlearn *u;
    enum square_labels labels;
    int n_set;
    const struct index_set *const *set;
    double *const *sum;
    double *part; /* owned, [n_param] */
    struct squares squares;
    int64_t done, n_piece; /* pieces, over all sets */
};

static int64_t pieces_of(const struct index_set *set)
{
    return (set->n + PIECE_SAMPLES - 1) / PIECE_SAMPLES;
}

/* Piece number `at` over all sets: a view into the set *which. */
static struct index_set piece_of(const struct run *r, int64_t at, int *which)
{
    for (*which = 0; at >= pieces_of(r->set[*which]); (*which)++)
        at -= pieces_of(r->set[*which]);
    struct index_set piece = *r->set[*which];
    piece.row += at * PIECE_SAMPLES;
    piece.n -= at * PIECE_SAMPLES;
    piece.n = piece.n < PIECE_SAMPLES ? piece.n : PIECE_SAMPLES;
    return piece;
}

/* What a restart file holds. */
enum { N_ITEM = 1 + IMPORTANCE_MAX_SETS };

static struct restart_state state_of(struct run *r, const char *place,
                                     struct restart_item item[N_ITEM])
{
    static const char *const path[IMPORTANCE_MAX_SETS] = {"/squares/0", "/squares/1"};
    item[0] = (struct restart_item){RESTART_I64, "/state/pieces", &r->done};
    for (int i = 0; i < r->n_set; i++)
        item[1 + i] = (struct restart_item){RESTART_DOUBLES, path[i], r->sum[i]};
    return (struct restart_state){place, 1 + r->n_set, item};
}

static int begin(struct run *r)
{
    const struct unlearn *u = r->u;
    const struct comm *comm = u->engine->comm;
    struct restart_item item[N_ITEM];
    int64_t n = u->engine->model->n_param;
    int rc = IAU_OK;
    for (int i = 0; i < r->n_set; i++) {
        r->n_piece += pieces_of(r->set[i]);
        memset(r->sum[i], 0, (size_t)n * sizeof *r->sum[i]);
    }
    r->part = mem_alloc(n, sizeof *r->part);
    rc = r->part ? squares_init(&r->squares, u->engine, u->name)
                 : FAIL(IAU_ERR_MEM, "no memory for importances of %lld parameters", (long long)n);
    TRY(comm_agree(comm, rc));
    if (u->restart && u->restart->resume) {
        struct restart_state state = state_of(r, NULL, item);
        TRY(restart_load(u->restart, u->engine, &state));
        int fits = r->done > 0 && r->done < r->n_piece;
        TRY(comm_agree(comm, fits ? IAU_OK
                                  : FAIL(IAU_ERR_FORMAT, "%s: /state does not belong to this run",
                                         u->restart->path)));
        log_line("%s  goes on at part %lld of %lld", u->name, (long long)r->done + 1,
                 (long long)r->n_piece);
    }
    restart_begin(u->restart, r->done);
    TRY(comm_agree(comm, progress_begin(u->progress, u->name, "step", 0)));
out:
    return rc;
}

static int add_piece(struct run *r)
{
    const struct unlearn *u = r->u;
    struct engine *e = u->engine;
    struct restart_item item[N_ITEM];
    struct share share = {0};
    char place[64];
    int which, rc = IAU_OK;
    struct index_set piece = piece_of(r, r->done, &which);
    int64_t word = restart_word(u->restart, e->comm, r->done + 1);
    double start = timer_now_s();
    TRY(share_load(&share, e, &piece));
    e->cost.seconds[PHASE_READ] += timer_now_s() - start;
    TRY(squares_sum(&r->squares, u->w, &share, r->labels, &word, r->part));
    for (int64_t j = 0; j < e->model->n_param; j++)
        r->sum[which][j] += r->part[j];
    r->done++;
    log_progress("%s  importances: part %lld of %lld", u->name, (long long)r->done,
                 (long long)r->n_piece);
    snprintf(place, sizeof place, "part %lld of %lld", (long long)r->done, (long long)r->n_piece);
    struct restart_state state = state_of(r, place, item);
    if (r->done < r->n_piece)
        TRY(restart_obey(u->restart, e, word, r->done, &state));
out:
    share_free(&share);
    return rc;
}

int importance_sums(const struct unlearn *u, enum square_labels labels, int n_set,
                    const struct index_set *const set[], double *const sum[])
{
    int rc = IAU_OK;
    struct run r = {.u = u, .labels = labels, .n_set = n_set, .set = set, .sum = sum};
    REQUIRE(n_set <= IMPORTANCE_MAX_SETS);
    TRY(begin(&r));
    while (r.done < r.n_piece)
        TRY(add_piece(&r));
out:
    squares_free(&r.squares);
    free(r.part);
    return rc;
}
