/* The request to stop early: SIGUSR1 (a scheduler's warning, or by hand) or SIGTERM. */
#ifndef IAU_CORE_STOP_H
#define IAU_CORE_STOP_H

/** Local. Catch the signals from now on. */
void stop_install(void);
/** Local. Whether this process was asked to stop. */
int stop_requested(void);
/** Local. Ask this process to stop, as a signal would; for tests. 0 takes the request back. */
void stop_set(int on);

#endif
