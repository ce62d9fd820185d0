/* What the CPU can do. Compiled for the baseline of the architecture (see the Makefile), because it
 * runs before anybody knows whether more is there. */
#include "core/cpu.h"

#include <stdio.h>
#include <string.h>

enum cpu_isa cpu_isa(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return CPU_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return CPU_AVX2;
#endif
    return CPU_SSE2;
}

int cpu_has(const char *isa)
{
    enum cpu_isa need = strcmp(isa, "AVX-512") == 0 ? CPU_AVX512
                        : strcmp(isa, "AVX2") == 0  ? CPU_AVX2
                                                    : CPU_SSE2;
    return cpu_isa() >= need;
}

const char *cpu_name(void)
{
    static char name[128];
    char line[256];
    FILE *f = name[0] ? NULL : fopen("/proc/cpuinfo", "r");
    while (f && !name[0] && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon)
            snprintf(name, sizeof name, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f)
        fclose(f);
    if (!name[0])
        strcpy(name, "unknown");
    return name;
}
