/* The one way out for files: written aside, synced, renamed, the directory synced. */
#ifndef IAU_IO_FILE_H
#define IAU_IO_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Local. Replace `path` by n bytes, whole or not at all; an existing file is intact on error.
 * Refuses targets that exist and are no regular file. @return IAU_OK or IAU_ERR_IO (message names
 * path and cause) */
int file_write_atomic(const char *path, const void *p, size_t n_bytes);
/** Local. Name (malloc'd, caller frees) for a temporary file beside `path`; NULL when memory is
 * short. */
char *file_temporary_name(const char *path);
/** Local. Remove what processes that are no more have left beside `path` when they were killed
 * while writing it: temporary files of this host and process namespace. Others may be alive, and
 * stay; what cannot be removed stays, too. @return IAU_OK or IAU_ERR_MEM */
int file_remove_stale(const char *path);
/** Local. fsync `temporary`, rename it to `path`, fsync the directory; removes `temporary` on
 * error. For writers that stream. Refuses a `path` that exists and is no regular file. */
int file_commit(const char *temporary, const char *path);
/** Local. 1 if a regular file is there, 0 if nothing is, else an error as negative code with
 * message. */
int file_exists(const char *path);
/** Local. Whether a directory is there. */
int file_is_directory(const char *path);
/** Local. IAU_OK if `path` may be created or replaced: its directory exists and is writable, and
 * what is there, if anything, is a regular file. */
int file_check_target(const char *path);
/** Local. Create a directory and its parents where missing. */
int file_make_directory(const char *path);
/** Local. The whole of a file, NUL-terminated beyond its end; the caller frees *p. Refuses more
 * than `limit`. */
int file_read_all(const char *path, char **p, size_t *n_bytes, size_t limit);
/** Local. Remove a file; a missing one is no error. */
int file_remove(const char *path);
/** Local. Give a file another name, in place of what is there; a missing file is no error. */
int file_move(const char *from, const char *to);
/** Local. The same with a second name, or a copy where the file system knows no second names. */
int file_duplicate(const char *from, const char *to);

#endif
