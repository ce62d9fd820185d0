/* Register tiles: the loops in which a convolution spends its time. Every tile size is its own
 * function, so that the accumulators stay in registers; a tile of m x t loads m + t vectors
 * for m t products. */
#include "conv_private.h"

/* gcc would rather load an operand again for every product than hold it, which makes loads the
 * limit. */
#if defined(__AVX512F__)
#define KEEP_IN_REGISTER(x) __asm__("" : "+v"(x))
#elif defined(__AVX__)
#define KEEP_IN_REGISTER(x) __asm__("" : "+x"(x))
#else
#define KEEP_IN_REGISTER(x) (void)(x)
#endif

#define INLINE static inline __attribute__((always_inline))

struct conv_cut conv_cut_even(int n, int max)
{
    struct conv_cut c = {.n = n, .count = (n + max - 1) / max};
    c.size = c.count ? (n + c.count - 1) / c.count : 0;
    return c;
}

/* Rows of a dot tile of `n_t` columns that fit the registers. */
static int dot_m_max(int n_t)
{
#if IAU_VECTOR_WIDTH == 16
    static const int max[CONV_TILE_T_MAX + 1] = {0, 8, 8, 8, 6, 4, 4, 3};
#else
    static const int max[CONV_TILE_T_MAX + 1] = {0, 8, 6, 4};
#endif
    return max[n_t];
}

/* Half cycles of one term of a tile, on a processor with two multiply-adds and two loads a cycle:
 * the products, the loads, or the latency of 4 cycles where there are too few sums to fill it. */
static int tile_cost(int n, int m)
{
    enum { LATENCY = 8 };
    int products = n * m, loads = n + m;
    return max_int(max_int(products, loads), LATENCY);
}

/* The same for all tiles of a cut. */
static int cut_cost(const struct conv_cut *n, const struct conv_cut *m)
{
    int cost = 0;
    for (int i = 0; i < n->count; i++)
        for (int j = 0; j < m->count; j++)
            cost += tile_cost(conv_cut_length(n, i), conv_cut_length(m, j));
    return cost;
}

/* Keep the cheaper of the cut in *n, *m and another. */
static void keep_cheaper(struct conv_cut *n, struct conv_cut *m, struct conv_cut other_n,
                         struct conv_cut other_m)
{
    if (n->count && cut_cost(n, m) <= cut_cost(&other_n, &other_m))
        return;
    *n = other_n;
    *m = other_m;
}

void conv_dot_cut(int n_m, int n_t, struct conv_cut *m, struct conv_cut *t)
{
    *m = *t = (struct conv_cut){0};
    for (int max = CONV_TILE_T_MAX; max > 0; max--) {
        struct conv_cut columns = conv_cut_even(n_t, max);
        keep_cheaper(m, t, conv_cut_even(n_m, dot_m_max(columns.size)), columns);
    }
}

INLINE void dot(int n_m, int n_t, int w_step, const struct conv_dot *a)
{
    vecf acc[CONV_TILE_M_MAX][CONV_TILE_T_MAX], v[CONV_TILE_T_MAX];
    const float *w = a->w;
    const int32_t *off = a->off, *end = off + a->n;
#pragma GCC unroll 8
    for (int m = 0; m < n_m; m++)
#pragma GCC unroll 8
        for (int t = 0; t < n_t; t++)
            acc[m][t] = (vecf){};
    const vecf *base = a->v;
    for (; off < end; off++, w += n_m * w_step) {
        const vecf *p = base + *off;
#pragma GCC unroll 8
        for (int t = 0; t < n_t; t++)
            v[t] = p[t];
#pragma GCC unroll 8
        for (int m = 0; m < n_m; m++) {
            vecf x = vec_all(w[m * w_step]);
#pragma GCC unroll 8
            for (int t = 0; t < n_t; t++)
                acc[m][t] += x * v[t];
        }
    }
    vecf *out = a->out;
#pragma GCC unroll 8
    for (int m = 0; m < n_m; m++, out += a->out_m)
#pragma GCC unroll 8
        for (int t = 0; t < n_t; t++)
            out[t] = acc[m][t];
}

#define DOT(M, T)                                           \
    static void dot_##M##_##T##_1(const struct conv_dot *a) \
    {                                                       \
        dot(M, T, 1, a);                                    \
    }                                                       \
    static void dot_##M##_##T##_8(const struct conv_dot *a) \
    {                                                       \
        dot(M, T, 8, a);                                    \
    }
/* X(n_m, n_t) for all tiles that conv_tile_m_max allows. */
#define DOT_M3(X, T) X(1, T) X(2, T) X(3, T)
#define DOT_M4(X, T) DOT_M3(X, T) X(4, T)
#define DOT_M6(X, T) DOT_M4(X, T) X(5, T) X(6, T)
#define DOT_M8(X, T) DOT_M6(X, T) X(7, T) X(8, T)
#if IAU_VECTOR_WIDTH == 16
#define DOT_LIST(X) \
    DOT_M8(X, 1) DOT_M8(X, 2) DOT_M8(X, 3) DOT_M6(X, 4) DOT_M4(X, 5) DOT_M4(X, 6) DOT_M3(X, 7)
#else
#define DOT_LIST(X) DOT_M8(X, 1) DOT_M6(X, 2) DOT_M4(X, 3)
#endif
DOT_LIST(DOT)

void conv_tile_dot(int w_step, int n_m, int n_t, const struct conv_dot *a)
{
    typedef void dot_function(const struct conv_dot *);
#define ENTRY(M, T) [M][T] = {dot_##M##_##T##_1, dot_##M##_##T##_8},
    static dot_function *const table[CONV_TILE_M_MAX + 1][CONV_TILE_T_MAX + 1][2] = {
        DOT_LIST(ENTRY)};
#undef ENTRY
    table[n_m][n_t][w_step != 1](a);
}

/* The shorter side is held in registers. */
INLINE void outer(int n_o, int n_c, const struct conv_outer *a)
{
    enum { MAX = CONV_OUTER_SIDE_MAX };
    vecf acc[MAX][MAX], held[MAX];
    const int n_held = n_o < n_c ? n_o : n_c, n_other = n_o < n_c ? n_c : n_o;
#pragma GCC unroll 8
    for (int o = 0; o < n_o; o++)
#pragma GCC unroll 8
        for (int c = 0; c < n_c; c++)
            acc[o][c] = (vecf){};
    int64_t d_o = a->d_o, u_c = a->u_c, n = a->n;
    int64_t held_step = n_o < n_c ? d_o : u_c, other_step = n_o < n_c ? u_c : d_o;
    for (int64_t row = 0; row < a->n_row; row++) {
        const vecf *pd = a->d + row * a->d_row, *pu = a->u + row * a->u_row;
        const vecf *p_held = n_o < n_c ? pd : pu, *p_other = n_o < n_c ? pu : pd;
        for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 8
            for (int h = 0; h < n_held; h++) {
                held[h] = p_held[h * held_step + i];
                KEEP_IN_REGISTER(held[h]);
            }
#pragma GCC unroll 8
            for (int k = 0; k < n_other; k++) {
                vecf x = p_other[k * other_step + i];
                KEEP_IN_REGISTER(x);
#pragma GCC unroll 8
                for (int h = 0; h < n_held; h++)
                    acc[n_o < n_c ? h : k][n_o < n_c ? k : h] += held[h] * x;
            }
        }
    }
    vecf *out = a->acc;
    int add = a->add;
#pragma GCC unroll 8
    for (int o = 0; o < n_o; o++)
#pragma GCC unroll 8
        for (int c = 0; c < n_c; c++) {
            vecf *p = out + o * a->acc_o + c * a->acc_c;
            if (add)
                acc[o][c] += *p;
            *p = acc[o][c];
        }
}

#define OUTER(O, C)                                         \
    static void outer_##O##_##C(const struct conv_outer *a) \
    {                                                       \
        outer(O, C, a);                                     \
    }
/* X(n_o, n_c) for all tiles that conv_outer_cut allows. */
#define OUTER_3(X, O) X(O, 1) X(O, 2) X(O, 3)
#define OUTER_4(X, O) OUTER_3(X, O) X(O, 4)
#if IAU_VECTOR_WIDTH == 16
#define OUTER_6(X, O) OUTER_4(X, O) X(O, 5) X(O, 6)
#define OUTER_LIST(X) \
    OUTER_6(X, 1) OUTER_6(X, 2) OUTER_6(X, 3) OUTER_6(X, 4) OUTER_4(X, 5) OUTER_4(X, 6)
#else
#define OUTER_LIST(X) OUTER_4(X, 1) OUTER_4(X, 2) OUTER_4(X, 3) OUTER_3(X, 4)
#endif
OUTER_LIST(OUTER)

void conv_tile_outer(int n_o, int n_c, const struct conv_outer *a)
{
    typedef void outer_function(const struct conv_outer *);
#define ENTRY(O, C) [O][C] = outer_##O##_##C,
    static outer_function *const table[CONV_OUTER_SIDE_MAX + 1][CONV_OUTER_SIDE_MAX + 1] = {
        OUTER_LIST(ENTRY)};
#undef ENTRY
    table[n_o][n_c](a);
}

void conv_outer_cut(int n_out, int n_in, struct conv_cut *out, struct conv_cut *in)
{
    *out = *in = (struct conv_cut){0};
    for (int max = CONV_OUTER_SIDE_MAX; max > 0; max--) {
        struct conv_cut inputs = conv_cut_even(n_in, max);
        keep_cheaper(
            out, in,
            conv_cut_even(n_out, min_int(CONV_OUTER_MAX / inputs.size, CONV_OUTER_SIDE_MAX)),
            inputs);
    }
}

/* From a and b, where lanes differ by bit h: r = the two lanes of a added where the bit is 0, those
 * of b where it is 1. */
INLINE vecf fold(vecf a, vecf b, int h)
{
#if IAU_VECTOR_WIDTH == 16
    const veci lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
    const veci lane = {0, 1, 2, 3, 4, 5, 6, 7};
#endif
    veci first = lane + (((lane & h) != 0) & (IAU_VECTOR_WIDTH - h));
    return __builtin_shuffle(a, b, first) + __builtin_shuffle(a, b, first + h);
}

void conv_sum_lanes(int64_t n, const vecf *v, float *sum)
{
    enum { W = IAU_VECTOR_WIDTH };
    for (int64_t i = 0; i < n; i += W) {
        vecf x[W];
#pragma GCC unroll 16
        for (int j = 0; j < W; j++)
            x[j] = v[i + j];
#pragma GCC unroll 4
        for (int h = W / 2; h > 0; h /= 2)
#pragma GCC unroll 8
            for (int j = 0; j < h; j++)
                x[j] = fold(x[j], x[j + h], h);
        *(vecf *)(sum + i) = x[0];
    }
}
