/* Wall-clock seconds by named phase. */
#ifndef IAU_CORE_TIMER_H
#define IAU_CORE_TIMER_H

/* Phases a run is accounted in. X(field, name in files) */
#define IAU_PHASE_LIST(X)         \
    X(PHASE_READ, "read")         \
    X(PHASE_COMPUTE, "compute")   \
    X(PHASE_REDUCE, "reduce")     \
    X(PHASE_UPDATE, "update")     \
    X(PHASE_EVALUATE, "evaluate") \
    X(PHASE_WRITE, "write")

enum phase {
#define X(field, name) field,
    IAU_PHASE_LIST(X)
#undef X
        N_PHASE
};

/** Local. Monotonic wall clock in seconds. */
double timer_now_s(void);
/** Local. The name of a phase in files and reports. */
const char *phase_name(enum phase p);

#endif
