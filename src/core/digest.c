/* SHA-256 of named arrays and raw bytes by libcrypto. */
#include "core/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are over little-endian data");

enum { SHA256_BYTES = 32 };

int digest_init(struct digest *d)
{
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    *d = (struct digest){0};
    if (!state || EVP_DigestInit_ex(state, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(state);
        return FAIL(IAU_ERR_MEM, "no memory for a SHA-256 state");
    }
    d->state = state;
    return IAU_OK;
}

void digest_bytes(struct digest *d, const void *p, size_t n_bytes)
{
    digest_wait(d);
    REQUIRE(d->state);
    REQUIRE(EVP_DigestUpdate(d->state, p, n_bytes) == 1);
}

static void *append(void *digest)
{
    struct digest *d = digest;
    REQUIRE(EVP_DigestUpdate(d->state, d->p, d->n_bytes) == 1);
    return NULL;
}

void digest_begin(struct digest *d, const void *p, size_t n_bytes)
{
    digest_wait(d);
    REQUIRE(d->state);
    d->p = p;
    d->n_bytes = n_bytes;
    d->is_running = pthread_create(&d->thread, NULL, append, d) == 0;
    if (!d->is_running) /* then here */
        append(d);
}

void digest_wait(struct digest *d)
{
    if (d->is_running)
        pthread_join(d->thread, NULL);
    d->is_running = 0;
}

void digest_array(struct digest *d, const char *path, int ndim, const int64_t *dims)
{
    digest_bytes(d, path, strlen(path) + 1);
    digest_bytes(d, dims, (size_t)ndim * sizeof *dims);
}

void digest_final(struct digest *d, char hex[DIGEST_CHARS])
{
    unsigned char sum[SHA256_BYTES];
    digest_wait(d);
    hex[0] = '\0';
    if (!d->state)
        return;
    REQUIRE(EVP_DigestFinal_ex(d->state, sum, NULL) == 1);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    EVP_MD_CTX_free(d->state);
    d->state = NULL;
}

int digest_of(const void *p, size_t n_bytes, char hex[DIGEST_CHARS])
{
    int rc = IAU_OK;
    struct digest d;
    TRY(digest_init(&d));
    digest_bytes(&d, p, n_bytes);
out:
    digest_final(&d, hex);
    return rc;
}
