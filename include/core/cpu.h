/* Does this CPU have the instructions that the build uses? The answer must come before the first of
 * them. */
#ifndef IAU_CORE_CPU_H
#define IAU_CORE_CPU_H

/* The instruction set of the translation unit that includes this header. */
#if defined(__AVX512F__)
#define CPU_BUILD_ISA "AVX-512"
#elif defined(__AVX2__)
#define CPU_BUILD_ISA "AVX2"
#else
#define CPU_BUILD_ISA "SSE2"
#endif

enum cpu_isa { CPU_SSE2, CPU_AVX2, CPU_AVX512 };

/** Local. The best of the three sets that this CPU has. Uses baseline instructions only. */
enum cpu_isa cpu_isa(void);
/** Local. Whether the CPU has the instruction set named as in CPU_BUILD_ISA. Uses baseline
 * instructions only. */
int cpu_has(const char *isa);
/** Local. Model name of the CPU, "unknown" where the system does not tell. */
const char *cpu_name(void);

#endif
