/* What the files behind io/h5.h share: the lock, the error line, and names. */
#ifndef IAU_IO_H5_PRIVATE_H
#define IAU_IO_H5_PRIVATE_H

#define H5_USE_110_API /* later libraries then offer the same calls */
#include <hdf5.h>

#include "io/h5.h"

/** Take the lock before the first HDF5 call of a function; release it, and hand `rc` on. */
void h5_enter(void);
int h5_leave(int rc);
/** Report the HDF5 call that has just failed as "FILE: cannot VERB OBJECT: CAUSE". No HDF5 call may
 * come between.
 *  @return `code`, or IAU_ERR_IO where the system refused */
int h5_fail(const struct h5 *f, int code, const char *verb, const char *object);
/** The record type that holds every value of a stored type, or -1. */
int h5_record_type(hid_t type);
/** A text of so many bytes, NUL included; the caller closes it. */
hid_t h5_text_type(size_t size);
/** Create the groups above `path`, and with `whole` the one at it, where they are missing. */
int h5_make_groups(const struct h5 *f, const char *path, int whole);
/** Whether every link on the way to `path` is there. */
int h5_path_exists(const struct h5 *f, const char *path);

#endif
