/* Aligned heap blocks, with an injected failure for tests. */
#ifndef IAU_CORE_MEMORY_H
#define IAU_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/** Local. `n` zeroed elements of `size` bytes, aligned to 64 bytes; release with free().
 *  A length of 0 gives a valid pointer. @return NULL when memory is short or n * size overflows */
void *mem_alloc(int64_t n, size_t size);
/** Local. A copy of a string; release with free(). NULL for NULL or when memory is short. */
char *mem_strdup(const char *s);
/** Local. Let the k-th following `mem_alloc` of this process fail (k >= 1); 0 switches this off.
 * For tests; also set at start by the environment variable IAU_FAIL_ALLOC=RANK:K. */
void mem_fail_after(int64_t k);
/** Local. Start measuring the peak anew. Where the system does not allow that, the peak stays that
 * of the process. */
void mem_peak_reset(void);
/** Local. Peak resident set of this process in bytes since `mem_peak_reset`, 0 if unknown. */
int64_t mem_peak_bytes(void);

#endif
