/* Aligned heap blocks, with an injected failure for tests, and this process's peak memory. */
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { ALIGNMENT = 64 }; /* one cache line, one 512-bit vector */

static int64_t fail_countdown; /* 0: no failure is injected */

void *mem_alloc(int64_t n, size_t size)
{
    size_t n_bytes;
    if (fail_countdown > 0 && --fail_countdown == 0)
        return NULL;
    if (n < 0 || __builtin_mul_overflow((size_t)n, size, &n_bytes) ||
        __builtin_add_overflow(n_bytes, (size_t)ALIGNMENT, &n_bytes))
        return NULL;
    n_bytes -= n_bytes % ALIGNMENT; /* whole lines, and at least one */
    void *p = aligned_alloc(ALIGNMENT, n_bytes);
    if (p)
        memset(p, 0, n_bytes);
    return p;
}

char *mem_strdup(const char *s)
{
    if (!s)
        return NULL;
    size_t n_bytes = strlen(s) + 1;
    char *copy = mem_alloc((int64_t)n_bytes, 1);
    if (copy)
        memcpy(copy, s, n_bytes);
    return copy;
}

void mem_fail_after(int64_t k)
{
    fail_countdown = k;
}

void mem_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (!f)
        return;
    fputs("5", f); /* "reset the peak resident set size": proc(5) */
    fclose(f);
}

int64_t mem_peak_bytes(void)
{
    char line[128];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && !kib && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld kB", &kib) != 1)
            kib = 0;
    if (f)
        fclose(f);
    if (kib)
        return kib * 1024;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (int64_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
}
