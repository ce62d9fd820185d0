/* Row-major matrix product over CBLAS, and what the BLAS says about itself. */
#include "kernel/gemm.h"

#include <cblas.h>
#include <stddef.h>
#include <strings.h>

/* OpenBLAS's own calls; weak, so that another CBLAS links too and is then an "unknown" one. */
extern void openblas_set_num_threads(int n) __attribute__((weak));
extern char *openblas_get_corename(void) __attribute__((weak));
extern char *openblas_get_config(void) __attribute__((weak));

void gemm(enum gemm_op op_a, enum gemm_op op_b, int m, int n, int k, const float *a, int lda,
          const float *b, int ldb, float beta, float *c, int ldc)
{
    cblas_sgemm(CblasRowMajor, op_a == GEMM_T ? CblasTrans : CblasNoTrans,
                op_b == GEMM_T ? CblasTrans : CblasNoTrans, m, n, k, 1, a, lda, b, ldb, beta, c,
                ldc);
}

void gemm_start(void)
{
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
}

const char *gemm_core_name(void)
{
    return openblas_get_corename ? openblas_get_corename() : "unknown";
}

const char *gemm_version(void)
{
    return openblas_get_config ? openblas_get_config() : "";
}

int gemm_core_is_512(void)
{
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strcasecmp(gemm_core_name(), wide[i]) == 0)
            return 1;
    return 0;
}
