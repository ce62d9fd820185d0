/* The monotonic wall clock, and the names of the phases it is read for. */
#include "core/timer.h"

#include <time.h>

#include "core/error.h"

double timer_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *phase_name(enum phase p)
{
    static const char *const names[N_PHASE] = {
#define X(field, name) [field] = name,
        IAU_PHASE_LIST(X)
#undef X
    };
    REQUIRE((int)p >= 0 && p < N_PHASE);
    return names[p];
}
