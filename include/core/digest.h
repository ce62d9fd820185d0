/* SHA-256 of named arrays: the one door to libcrypto. */
#ifndef IAU_CORE_DIGEST_H
#define IAU_CORE_DIGEST_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_CHARS = 65 }; /* 64 hexadecimal digits and a NUL */

struct digest {
    void *state; /* owned; an EVP_MD_CTX */
    /* Of digest_begin: */
    pthread_t thread;
    int is_running;
    const void *p; /* borrowed */
    size_t n_bytes;
};

/** Local. Start a digest. @return IAU_OK or IAU_ERR_MEM */
int digest_init(struct digest *d);
/** Local. Append raw bytes. */
void digest_bytes(struct digest *d, const void *p, size_t n_bytes);
/** Local. The same while the caller does something else; the bytes must stay until digest_wait, or
 * the next call on `d`. The struct must not move meanwhile. */
void digest_begin(struct digest *d, const void *p, size_t n_bytes);
void digest_wait(struct digest *d);
/** Local. Append the header of a named array: path, NUL, ndim extents as little-endian int64; its
 * data follow. */
void digest_array(struct digest *d, const char *path, int ndim, const int64_t *dims);
/** Local. Write the hexadecimal digest and release the state; fine on an empty `d` (gives ""). */
void digest_final(struct digest *d, char hex[DIGEST_CHARS]);
/** Local. SHA-256 of one buffer. @return IAU_OK or IAU_ERR_MEM */
int digest_of(const void *p, size_t n_bytes, char hex[DIGEST_CHARS]);

#endif
