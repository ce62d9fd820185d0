/* The engine: threads, gathering of units, and the reduction. */
#include "sweep/sweep.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/exactsum.h"
#include "core/memory.h"
#include "data/shard.h"
#include "kernel/lanes.h"
#include "share_stream.h"
#include "sweep/overlap.h"

/* Parameters whose sums travel together: large enough for the latency of a network, at most 1 MiB
 * of sums, and of small models a quarter, so that the first sets out early. */
enum { BUCKET_MIN = 1 << 14, BUCKET_MAX = 1 << 17 };

static int64_t bucket_of(int64_t n_param)
{
    int64_t quarter = n_param / 4;
    return quarter < BUCKET_MIN ? BUCKET_MIN : quarter > BUCKET_MAX ? BUCKET_MAX : quarter;
}

int engine_threads(void)
{
    return omp_get_max_threads();
}

/* value = (raw / unit - mean) / std, as one product and one sum. */
static int set_normalisation(struct engine *e, const struct real_list *mean,
                             const struct real_list *std)
{
    const struct dataset *d = e->dataset;
    e->scale = mem_alloc(d->c, sizeof *e->scale);
    e->shift = mem_alloc(d->c, sizeof *e->shift);
    if (!e->scale || !e->shift)
        return FAIL(IAU_ERR_MEM, "no memory for normalisation of %d channels", d->c);
    int n_mean = mean ? (int)mean->n : 0, n_std = std ? (int)std->n : 0, given = n_mean || n_std;
    if (given && (n_mean != d->c || n_std != d->c))
        return FAIL(IAU_ERR_CONFIG,
                    "data.normalize needs %d value%s each for mean and std, one a channel of %s",
                    d->c, d->c == 1 ? "" : "s", d->path);
    for (int c = 0; c < n_std; c++)
        if (!isfinite(mean->v[c]) || !isfinite(std->v[c]) || std->v[c] <= 0)
            return FAIL(IAU_ERR_CONFIG,
                        "data.normalize.std of channel %d is %g, its mean %g: no sensible numbers",
                        c, std->v[c], mean->v[c]);
    for (int c = 0; c < d->c; c++) {
        double m = given ? mean->v[c] : d->is_table ? 0 : d->mean[c];
        double s = given ? std->v[c] : d->is_table ? 1 : d->std[c];
        if (!(s > 0))
            s = 1; /* a constant channel: only its mean goes */
        e->scale[c] = (float)(1 / (s * dataset_unit(d->is_u8, d->is_table)));
        e->shift[c] = (float)(-m / s);
    }
    return IAU_OK;
}

int engine_init(struct engine *e, const struct model *model, const struct dataset *dataset,
                int unit, const struct real_list *mean, const struct real_list *std,
                const struct comm *comm)
{
    int rc = IAU_OK;
    int lanes = (unit + LANE_BLOCK - 1) / LANE_BLOCK * LANE_BLOCK;
    *e = (struct engine){
        .model = model, .dataset = dataset, .comm = comm, .unit = unit, .lanes = lanes};
    e->phase = PHASE_COMPUTE;
    e->bucket = comm->one_host ? 0 : bucket_of(model->n_param);
    TRY(set_normalisation(e, mean, std));
    e->gather = (struct gather_shape){.c = dataset->c,
                                      .h = dataset->h,
                                      .w = dataset->w,
                                      .h_out = model->in.h,
                                      .w_out = model->in.w,
                                      .lanes = lanes,
                                      .scale = e->scale,
                                      .shift = e->shift};
    e->n_thread = engine_threads();
    e->worker = mem_alloc(e->n_thread, sizeof *e->worker);
    if (!e->worker)
        TRY(FAIL(IAU_ERR_MEM, "no memory for workers of %d threads", e->n_thread));
    for (int t = 0; t < e->n_thread; t++) {
        struct worker *wk = &e->worker[t];
        wk->thread = t;
        TRY(unit_init(&wk->unit, model, lanes, UNIT_GRADIENT));
        wk->vector = mem_alloc(model_state_floats(model), sizeof *wk->vector);
        if (!wk->vector)
            TRY(FAIL(IAU_ERR_MEM, "no memory for a gradient of %lld parameters",
                     (long long)model->n_param));
    }
out:
    if (rc != IAU_OK)
        engine_free(e);
    return rc;
}

int engine_keep(struct engine *e, int n)
{
    int rc = IAU_OK;
    REQUIRE(!e->kept);
    e->kept = mem_alloc(n, sizeof *e->kept);
    if (!e->kept)
        return FAIL(IAU_ERR_MEM, "no memory for %d units of a step", n);
    for (int t = 0; t < e->n_thread && t < n; t++)
        unit_free(&e->worker[t].unit);
    for (e->n_kept = 0; e->n_kept < n; e->n_kept++)
        TRY(unit_init(&e->kept[e->n_kept], e->model, e->lanes, UNIT_TANGENT));
    for (int t = 0; t < e->n_thread && t < n; t++) {
        e->worker[t].unit = e->kept[t];
        e->worker[t].unit.block = NULL; /* borrowed */
    }
out:
    return rc;
}

int engine_tangents(struct engine *e)
{
    for (int t = 0; t < e->n_thread && !e->has_tangents; t++) {
        struct unit wide;
        if (e->worker[t].unit.node[e->model->n_layer].rda)
            continue; /* it lives in a kept unit */
        int rc = unit_init(&wide, e->model, e->lanes, UNIT_TANGENT);
        if (rc != IAU_OK)
            return rc;
        unit_free(&e->worker[t].unit);
        e->worker[t].unit = wide;
    }
    e->has_tangents = 1;
    return IAU_OK;
}

int engine_overlap(const struct engine *e, struct sums *s)
{
    int64_t n = e->model->n_param;
    return e->bucket && n > e->bucket ? overlap_init(s, n, e->bucket, e->comm) : IAU_OK;
}

int engine_augment(struct engine *e)
{
    for (int t = 0; t < e->n_thread; t++) {
        struct worker *wk = &e->worker[t];
        if (!wk->copy)
            wk->copy = mem_alloc(e->lanes, dataset_sample_bytes(e->dataset));
        if (!wk->copy)
            return FAIL(IAU_ERR_MEM, "no memory for %d augmented samples", e->lanes);
    }
    return IAU_OK;
}

int engine_teacher(struct engine *e)
{
    int64_t n = (int64_t)e->model->n_class * e->lanes;
    for (int t = 0; t < e->n_thread; t++) {
        struct worker *wk = &e->worker[t];
        if (!wk->logits)
            wk->logits = mem_alloc(3 * n, sizeof *wk->logits);
        if (!wk->logits)
            return FAIL(IAU_ERR_MEM, "no memory for a teacher's logits");
    }
    return IAU_OK;
}

void engine_free(struct engine *e)
{
    for (int t = 0; e->worker && t < e->n_thread; t++) {
        unit_free(&e->worker[t].unit);
        free(e->worker[t].vector);
        free(e->worker[t].copy);
        free(e->worker[t].logits);
    }
    for (int i = 0; i < e->n_kept; i++)
        unit_free(&e->kept[i]);
    free(e->worker);
    free(e->kept);
    free(e->scale);
    free(e->shift);
    *e = (struct engine){0};
}

/* Place in the rows of sample k of unit i. */
static int64_t place_of(const struct engine *e, const struct work *work, int64_t i, int k)
{
    return work->piece ? work->piece[i].index[k] : i * e->unit + k;
}

/* Where the stored values of that sample are. */
static const uint8_t *sample_at(const struct work *work, int64_t place)
{
    if (work->stream)
        return share_stream_sample(work->stream, place);
    return (const uint8_t *)work->rows->x + (size_t)place * work->rows->sample_bytes;
}

/* Augmented copies take the place of a unit's samples. */
static void augment_samples(const struct engine *e, const struct work *work, int64_t i,
                            const struct unit *u, const uint8_t **sample)
{
    const struct dataset *d = e->dataset;
    uint8_t *copy = e->worker[omp_get_thread_num()].copy;
    REQUIRE(copy);
    for (int k = 0; k < u->n; k++) {
        struct augment_move move =
            augment_draw(work->augment, work->augment->id[place_of(e, work, i, k)]);
        augment_copy(&move, d->c, d->h, d->w, d->is_u8, sample[k], copy);
        sample[k] = copy;
        copy += dataset_sample_bytes(d);
    }
    for (int k = u->n; k < u->lanes; k++)
        sample[k] = sample[0];
}

void sweep_gather(const struct engine *e, const struct work *work, int64_t i, struct unit *u)
{
    const uint8_t *sample[UNIT_MAX_LANES];
    const struct rows *r = work->rows;
    const struct relabel *relabel = work->objective ? work->objective->relabel : NULL;
    int64_t left = work->n - i * e->unit;
    u->norm = work->norm;
    u->drops = work->dropout != NULL;
    u->n = work->piece ? work->piece[i].n : (int)(left < e->unit ? left : e->unit);
    for (int k = 0; k < u->lanes; k++) {
        int j = k < u->n
                    ? k
                    : 0; /* an empty lane repeats a sample, at weight 0, so that it stays finite */
        int64_t row = place_of(e, work, i, j);
        sample[k] = sample_at(work, row);
        u->label[k] = relabel ? relabel_draw(relabel, r->id[row], r->label[row], e->model->n_class)
                              : r->label[row];
        u->weight[k] = k < u->n;
        u->id[k] = u->drops ? r->id[row] : 0;
    }
    if (u->drops)
        u->dropout = (struct dropout){work->dropout->seed, work->dropout->epoch, u->id};
    if (work->augment)
        augment_samples(e, work, i, u, sample);
    if (e->dataset->is_u8)
        gather_u8(&e->gather, sample, u->node[0].a);
    else
        gather_f32(&e->gather, (const float *const *)sample, u->node[0].a);
}

void sweep_run_step(struct engine *e, int64_t n_unit,
                    void (*unit)(struct worker *wk, void *ctx, int64_t i), void (*idle)(void *ctx),
                    void *ctx)
{
    double start = timer_now_s();
#pragma omp parallel num_threads(e->n_thread) if (e->n_thread > 1)
    {
        int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic) nowait
        for (int64_t i = 0; i < n_unit; i++)
            unit(&e->worker[thread], ctx, i);
        if (thread == 0 && idle)
            idle(ctx);
    }
    e->cost.seconds[e->phase] += timer_now_s() - start;
}

void sweep_run(struct engine *e, int64_t n_unit,
               void (*unit)(struct worker *wk, void *ctx, int64_t i), void *ctx)
{
    sweep_run_step(e, n_unit, unit, NULL, ctx);
}

void sweep_pieces(struct engine *e, int64_t total,
                  void (*piece)(void *ctx, int64_t begin, int64_t n), void *ctx)
{
    double start = timer_now_s();
    int64_t n_piece = (total + SWEEP_PIECE - 1) / SWEEP_PIECE;
#pragma omp parallel for schedule(static) num_threads(e->n_thread) if (e->n_thread > 1)
    for (int64_t i = 0; i < n_piece; i++) {
        int64_t left = total - i * SWEEP_PIECE;
        piece(ctx, i * SWEEP_PIECE, left < SWEEP_PIECE ? left : SWEEP_PIECE);
    }
    e->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
}

/* Units of a window, called by their numbers in the share. */
struct window_call {
    void (*unit)(struct worker *wk, void *ctx, int64_t i);
    void *ctx;
    int64_t first;
};

static void unit_in_window(struct worker *wk, void *ctx, int64_t i)
{
    const struct window_call *call = ctx;
    call->unit(wk, call->ctx, call->first + i);
}

void sweep_work(struct engine *e, const struct work *work,
                void (*unit)(struct worker *wk, void *ctx, int64_t i), void *ctx)
{
    if (!work->stream) {
        sweep_run(e, work->n_unit, unit, ctx);
        return;
    }
    struct window_call call = {unit, ctx, 0};
    struct range window;
    share_stream_start(work->stream);
    for (;;) {
        double start = timer_now_s();
        int rc = share_stream_next(work->stream, &window);
        e->cost.seconds[PHASE_READ] += timer_now_s() - start;
        engine_fail(e, rc);
        if (rc != IAU_OK || window.begin == window.end)
            return;
        call.first = window.begin / e->unit;
        sweep_run(e, (window.end - window.begin + e->unit - 1) / e->unit, unit_in_window, &call);
    }
}

void engine_fail(struct engine *e, int rc)
{
    if (e->failed == IAU_OK)
        e->failed = rc;
}

/* The threads' accumulators into the first, each thread a range of places. */
static void merge_threads(struct sums *s)
{
    if (s->n_thread == 1)
        return;
#pragma omp parallel num_threads(s->n_thread)
    {
        struct range r = shard_range(s->length / 8, omp_get_thread_num(), omp_get_num_threads());
        for (int t = 1; t < s->n_thread; t++)
            exact_merge(s->acc + r.begin * 8, s->acc + t * s->length + r.begin * 8,
                        (r.end - r.begin) * 8);
    }
}

static int report_bad(const struct engine *e, struct sums *s, const char *what)
{
    int64_t first = INT64_MAX;
    for (int t = 0; t < s->n_thread; t++)
        first = s->first_bad[t] < first ? s->first_bad[t] : first;
    comm_min_i64(e->comm, &first, 1);
    const char *tensor = first < s->segment[0].n_vector && s->segment[0].n_vector
                             ? model_tensor_at(e->model, first)->name
                             : "the loss";
    return FAIL(IAU_ERR_NUMERIC,
                "%s: %s is not finite or too large; a smaller learning rate may help", what,
                tensor);
}

int sweep_reduce(struct engine *e, struct sums *s, const char *what)
{
    double start = timer_now_s();
    *sums_failed(s, 0) = e->failed != IAU_OK;
    if (overlap_is_running(s)) {
        overlap_finish(s);
    } else {
        sums_settle(s);
        merge_threads(s);
        comm_sum_i64(e->comm, s->acc, s->length);
    }
    e->cost.payload_bytes += s->length * (int64_t)sizeof *s->acc;
    e->cost.seconds[e->phase == PHASE_COMPUTE ? PHASE_REDUCE : e->phase] += timer_now_s() - start;
    int failed = e->failed;
    e->failed = IAU_OK;
    if (*sums_failed(s, 0))
        return comm_agree(e->comm, failed);
    if (!*sums_bad(s, 0))
        return IAU_OK;
    return what ? comm_agree(e->comm, report_bad(e, s, what)) : IAU_ERR_NUMERIC;
}

uint64_t sweep_checksum(const float *w, int64_t n)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a over 32-bit words */
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, w + i, sizeof bits);
        h = (h ^ bits) * 1099511628211u;
    }
    return h;
}
