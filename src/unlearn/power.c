/* Power iteration from a random start. */
#include "unlearn/power.h"

#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/rng.h"
#include "kernel/vector.h"

static const char *const columns[] = {"iteration", "eigenvalue", "change", "seconds_s", NULL};

/* to = from / length; the two may be one. */
static void scale(const float *from, double length, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)(from[i] / length);
}

static void start_vector(uint64_t seed, int64_t n, float *v)
{
    struct rng r = {.seed = seed, .purpose = RNG_POWER};
    for (int64_t i = 0; i < n; i++)
        v[i] = 2 * rng_uniform(&r, (uint64_t)i) - 1;
    scale(v, vector_norm(v, n), n, v);
}

/* ||y - value v|| / |value|; v is spent unless the value is 0. */
static double relative_residual(const float *y, double value, int64_t n, float *v)
{
    if (value == 0)
        return 0;
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)(value * v[i]);
    return vector_distance(y, v, n) / fabs(value);
}

/* Products until the quotient settles; the last one's direction stays in v. @return the code of the
 * products; *history_rc is this rank's own, not agreed */
static int run(struct product *a, const struct power_opts *opts, float *v, float *y,
               struct power_report *r, int *history_rc)
{
    int64_t n = a->engine->model->n_param;
    double before = NAN;
    while (r->iterations < opts->max_iterations && !r->converged) {
        double begin = timer_now_s();
        int rc = product_apply(a, v, y);
        if (rc != IAU_OK)
            return rc;
        double start = timer_now_s();
        r->iterations++;
        r->eigenvalue = vector_dot(v, y, n);
        double length = vector_norm(y, n), change = fabs(r->eigenvalue - before);
        r->converged = length == 0 || change <= opts->tolerance * fabs(r->eigenvalue);
        r->residual = relative_residual(y, r->eigenvalue, n, v);
        if (length > 0)
            scale(y, length, n, v);
        before = r->eigenvalue;
        a->engine->cost.seconds[PHASE_UPDATE] += timer_now_s() - start;
        double row[] = {(double)r->iterations, r->eigenvalue, change / fabs(r->eigenvalue),
                        timer_now_s() - begin};
        if (*history_rc == IAU_OK)
            *history_rc = history_add(&r->history, row);
    }
    return IAU_OK;
}

int power_iterate(struct product *a, const struct power_opts *opts, float *v,
                  struct power_report *r)
{
    REQUIRE(opts->max_iterations >= 1);
    const struct engine *e = a->engine;
    int64_t n = e->model->n_param;
    int rc = IAU_OK, history_rc = IAU_OK;
    float *y = mem_alloc(n, sizeof *y);
    *r = (struct power_report){0};
    history_init(&r->history, columns);
    TRY(comm_agree(
        e->comm,
        y ? IAU_OK
          : FAIL(IAU_ERR_MEM, "no memory for power iteration on %lld parameters", (long long)n)));
    start_vector((uint64_t)opts->seed, n, v);
    TRY(run(a, opts, v, y, r, &history_rc));
    TRY(comm_agree(e->comm, history_rc));
    TRY(comm_agree(e->comm, comm_check_equal(e->comm, sweep_checksum(v, n), a->what)));
out:
    free(y);
    if (rc != IAU_OK)
        power_report_free(r);
    return rc;
}

void power_report_free(struct power_report *r)
{
    history_free(&r->history);
    *r = (struct power_report){0};
}
