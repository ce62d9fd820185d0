/* SHA-256 of named arrays: the one door to libcrypto. */
#ifndef IAU_CORE_DIGEST_H
#define IAU_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_CHARS = 65 }; /* 64 hexadecimal digits and a NUL */

struct digest {
    void *state; /* owned; an EVP_MD_CTX */
};

/** Local. Start a digest. @return IAU_OK or IAU_ERR_MEM */
int digest_init(struct digest *d);
/** Local. Append raw bytes. */
void digest_bytes(struct digest *d, const void *p, size_t n_bytes);
/** Local. Append the header of a named array: path, NUL, ndim extents as little-endian int64; its
 * data follow. */
void digest_array(struct digest *d, const char *path, int ndim, const int64_t *dims);
/** Local. Write the hexadecimal digest and release the state; fine on an empty `d` (gives ""). */
void digest_final(struct digest *d, char hex[DIGEST_CHARS]);
/** Local. SHA-256 of one buffer. @return IAU_OK or IAU_ERR_MEM */
int digest_of(const void *p, size_t n_bytes, char hex[DIGEST_CHARS]);

#endif
