/* Running a model over samples on all ranks and threads. A sweep goes over an index set, cut in row
 * order into units that are dealt contiguously to the ranks; a step goes over the units of a
 * training batch. Both end in one exact reduction. OpenMP is used only in this layer. */
#ifndef IAU_SWEEP_SWEEP_H
#define IAU_SWEEP_SWEEP_H

#include <stdint.h>

#include "core/lists.h"
#include "core/timer.h"
#include "data/augment.h"
#include "data/feed.h"
#include "data/rows.h"
#include "data/split.h"
#include "data/stream.h"
#include "kernel/gather.h"
#include "nn/model.h"
#include "par/comm.h"
#include "sweep/objective.h"
#include "sweep/sums.h"

/* What work was done, in units that compare across machines; global sums, the same on every rank,
 * but for the seconds, which are this rank's. */
struct cost {
    int64_t forwards, gradients, hvps; /* samples each was computed for */
    int64_t payload_bytes; /* length of what was reduced, whatever the number of ranks */
    double seconds[N_PHASE];
};

struct engine {
    const struct model *model;     /* borrowed */
    const struct dataset *dataset; /* borrowed */
    const struct comm *comm;       /* borrowed */
    int unit;                      /* most samples of a unit */
    int lanes;                     /* the same, rounded up to whole blocks */
    int n_thread;
    struct gather_shape gather;
    float *scale, *shift;  /* owned, [c] */
    struct worker *worker; /* owned, [n_thread] */
    int has_tangents;      /* the workers' units are UNIT_TANGENT, not only UNIT_GRADIENT */
    int n_kept;
    struct unit
        *kept;      /* owned, [n_kept]: units of a step whose activations wait for a tangent pass */
    int64_t bucket; /* parameters whose reduction may start before a step ends; 0: none does */
    enum phase
        phase; /* what sweeps are booked as: PHASE_COMPUTE, or PHASE_EVALUATE reductions included */
    struct cost cost;     /* running totals; whoever wants a part takes differences */
    int64_t memory_bytes; /* of this rank for samples; beyond that they are streamed; 0: no limit */
    int64_t used_bytes;   /* of them */
    int failed; /* what reading samples gave in the midst of a sweep or step, until it is agreed on
                 */
};

/* A thread's own arrays. */
struct worker {
    int thread;
    struct unit unit;
    float *vector; /* owned, [n_param + n_buffer] */
    uint8_t *copy; /* owned, [lanes] samples: what augmentation makes of them; NULL until
                      engine_augment */
    float *logits; /* owned, [3][n_class][lanes]: of a teacher; NULL until engine_teacher */
};

/* Samples to be worked on as units. */
struct work {
    const struct rows *rows;
    int64_t n_unit;
    const struct piece *piece; /* [n_unit], or NULL: `unit` samples after another, n in all */
    int64_t n;
    struct share_stream *stream;       /* of a share that is not in memory as a whole, or NULL */
    const struct augment *augment;     /* or NULL: samples as they are */
    const struct dropout *dropout;     /* or NULL: none; rows need ids then */
    enum norm_mode norm;               /* of a step; everywhere else batch norm is frozen */
    const struct objective *objective; /* of a step, whose rows need ids for other labels; NULL: the
                                          cross-entropy with their labels */
};

/* This rank's part of an index set: in memory, or streamed in row order, window by window. */
struct share {
    struct rows rows;            /* streamed: x is NULL */
    int64_t n_global;            /* samples of the whole set */
    int64_t first;               /* position of the first own sample in the set */
    struct share_stream *stream; /* owned; or NULL */
    struct engine *engine;       /* borrowed */
    int64_t n_bytes;             /* of the engine's memory for samples */
};

/** Local. Prepare to run `model` on samples of `dataset`, normalised by `mean` and `std` (NULL or
 * empty: the file's; tables: as they are). @return IAU_OK, IAU_ERR_CONFIG (wrong number of
 * constants, std of 0) or IAU_ERR_MEM */
int engine_init(struct engine *e, const struct model *model, const struct dataset *dataset,
                int unit, const struct real_list *mean, const struct real_list *std,
                const struct comm *comm);
void engine_free(struct engine *e);
/** Local. Make room for `n` kept units with tangents, once; the workers' own units live in them
 * from then on, so a kept step lasts until the next sweep. @return IAU_OK or IAU_ERR_MEM */
int engine_keep(struct engine *e, int n);
/** Local. Give the workers' units arrays for tangents, or room for augmented samples or for a
 * teacher's logits; once is enough.
 *  @return IAU_OK or IAU_ERR_MEM */
int engine_tangents(struct engine *e);
int engine_augment(struct engine *e);
int engine_teacher(struct engine *e);
/** Local. Let the reductions of steps that are summed in `s`, of one segment, start before the step
 * ends, where that pays: between hosts, with a model of several buckets. @return IAU_OK or
 * IAU_ERR_MEM */
int engine_overlap(const struct engine *e, struct sums *s);
/** Local. Bytes that are left of this rank's memory for samples; INT64_MAX without a limit. */
int64_t engine_memory_left(const struct engine *e);
/** Local. Threads a rank will use, from the OpenMP environment. */
int engine_threads(void);

/** Collective. Load this rank's share of a set, or get ready to stream it where the engine's memory
 * is short; `set` must then outlive it. @return IAU_OK or an agreed error */
int share_load(struct share *s, struct engine *e, const struct index_set *set);
void share_free(struct share *s);
/** The whole share as work. */
struct work share_work(const struct engine *e, const struct share *s);

/** Local. Gather unit i of `work` into u: activations of the input node, labels, weights, what
 * batch norm and dropout do. Augmented samples pass through the calling thread's worker. */
void sweep_gather(const struct engine *e, const struct work *work, int64_t i, struct unit *u);
/** Local. Call unit(worker, ctx, i) for every i in [0, n_unit), on all threads, in any order. */
void sweep_run(struct engine *e, int64_t n_unit,
               void (*unit)(struct worker *wk, void *ctx, int64_t i), void *ctx);
/** Local. The same, and idle(ctx) on the main thread when it finds no more units. */
void sweep_run_step(struct engine *e, int64_t n_unit,
                    void (*unit)(struct worker *wk, void *ctx, int64_t i), void (*idle)(void *ctx),
                    void *ctx);
/** Local. Call piece(ctx, begin, n) for pieces of [0, total) of at most SWEEP_PIECE, on all
 * threads, in any order; booked as update. */
enum { SWEEP_PIECE = 4096 };
void sweep_pieces(struct engine *e, int64_t total,
                  void (*piece)(void *ctx, int64_t begin, int64_t n), void *ctx);
/** Local. The same for every unit of `work`, which may gather that unit's samples. Where they are
 * streamed, reading can fail: the units that are left are not called then, and the next
 * sweep_reduce comes out as that error. */
void sweep_work(struct engine *e, const struct work *work,
                void (*unit)(struct worker *wk, void *ctx, int64_t i), void *ctx);
/** Local. Remember the error of a sweep or step for its sweep_reduce; IAU_OK is none. */
void engine_fail(struct engine *e, int rc);
/** Collective. Sum over threads and ranks. @param what  what is summed, for messages; NULL: give
 * none
 *  @return IAU_OK, IAU_ERR_NUMERIC naming `what` and the tensor where an addend was not finite or
 * too large, or where samples could not be read that agreed error */
int sweep_reduce(struct engine *e, struct sums *s, const char *what);

/* The values that gradient and loss sweeps add. */
enum { VALUE_LOSS, VALUE_CORRECT, N_VALUE };

/** Local. Add gradients, losses and hits at w over `work` to a segment of `s` (n_vector = n_param).
 */
void sweep_add_gradient(struct engine *e, const float *w, const struct work *work, struct sums *s,
                        int segment);
/** Local. Losses and hits only (n_vector = 0). */
void sweep_add_loss(struct engine *e, const float *w, const struct work *work, struct sums *s,
                    int segment);
/** Local. The gradient of a training step's objective, and where the segment has room for buffers
 * behind the parameters the groups' statistics; with `keep`, each unit's activations stay for
 * sweep_add_step_product. VALUE_LOSS is the objective. */
void sweep_add_step_gradient(struct engine *e, const float *w, const struct work *work,
                             struct sums *s, int segment, int keep);
/** Local. Hessian of the same step's loss sum times v, on the kept units. */
void sweep_add_step_product(struct engine *e, const float *w, const float *v, int64_t n_unit,
                            struct sums *s);
/** Collective. Mean loss and accuracy at w over a share. @param what  for messages; NULL: a loss
 * that is not finite or too large is no error but comes out as INFINITY, with an accuracy of 0 */
int sweep_loss(struct engine *e, const float *w, const struct share *share, const char *what,
               double *loss, double *accuracy);

/** Local. A 64-bit checksum of a parameter vector, to compare replicas. */
uint64_t sweep_checksum(const float *w, int64_t n);

#endif
