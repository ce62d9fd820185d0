/* Row-major matrix product in float: the one door to BLAS. One BLAS thread, always: parallelism
 * comes from units, and another thread count would give other bytes. */
#ifndef IAU_KERNEL_GEMM_H
#define IAU_KERNEL_GEMM_H

enum gemm_op { GEMM_N, GEMM_T };

/** Local. c[m][n] = op(a) op(b) + beta c, where op(a) is m x k and op(b) is k x n; lda, ldb, ldc in
 * floats. */
void gemm(enum gemm_op op_a, enum gemm_op op_b, int m, int n, int k, const float *a, int lda,
          const float *b, int ldb, float beta, float *c, int ldc);
/** Local. Fix the BLAS to one thread; call once at start. */
void gemm_start(void);
/** Local. Core type the BLAS chose ("SkylakeX", "Haswell", ...) and its version string. */
const char *gemm_core_name(void);
const char *gemm_version(void);
/** Local. Whether that core type uses 512-bit vectors. */
int gemm_core_is_512(void);

#endif
