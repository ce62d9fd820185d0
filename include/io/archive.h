/* The one door to libzip: members of a ZIP archive (as numpy.savez writes), stored or deflated,
 * read from front to end. Everything here is local. */
#ifndef IAU_IO_ARCHIVE_H
#define IAU_IO_ARCHIVE_H

#include <stdint.h>

#include "core/lists.h"

struct archive {
    void *zip;  /* owned; a zip_t, NULL when closed */
    char *path; /* owned */
};

struct archive_member {
    const struct archive *archive; /* borrowed; outlives the member */
    void *file;                    /* owned; a zip_file_t, NULL when closed */
    char *name;                    /* owned */
    int64_t size;                  /* bytes, unpacked */
};

/** Open read-only. @return IAU_OK, IAU_ERR_IO, IAU_ERR_FORMAT or IAU_ERR_MEM */
int archive_open(struct archive *a, const char *path);
void archive_close(struct archive *a);
/** Whether there is a member of this name. */
int archive_has(const struct archive *a, const char *name);
/** The names of all members as one text, cut where it becomes long: "x.npy, y.npy". */
void archive_list(const struct archive *a, char *text, int64_t room);
/** Open a member at its first byte. */
int archive_member_open(struct archive_member *m, const struct archive *a, const char *name);
/** Go back to the first byte. */
int archive_member_rewind(struct archive_member *m);
/** Read exactly n bytes. */
int archive_member_read(struct archive_member *m, int64_t n, void *out);
/** Check that the member ends here, and its checksum. */
int archive_member_end(struct archive_member *m);
void archive_member_close(struct archive_member *m);

#endif
