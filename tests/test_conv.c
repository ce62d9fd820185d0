/* Convolution kernels against loops in double over odd shapes, as adjoints of each other, and for
 * bytes that depend on nothing but their inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "harness.h"
#include "kernel/conv.h"

/* Norm of the error to that of the result: transforms along rows cost a little rounding. */
static double bound(const struct conv_shape *s)
{
    if (s->k == 3 && s->stride <= 2)
        return 5e-6;
    return s->k == 5 && s->stride == 1 ? 2e-6 : 1e-6;
}

struct problem {
    struct conv_shape s;
    int64_t n_in, n_out, n_w;
    float *in[2], *out[2], *w[2], *bias,
        *scratch;      /* owned; out holds the gradients of the output */
    float *got, *want; /* owned; the longest of the arrays */
};

static struct conv_shape shape(int c_in, int h_in, int w_in, int c_out, int k, int stride, int pad,
                               int lanes)
{
    struct conv_shape s = {c_in, h_in, w_in, c_out, 0, 0, k, stride, pad, lanes};
    s.h_out = (h_in + 2 * pad - k) / stride + 1;
    s.w_out = (w_in + 2 * pad - k) / stride + 1;
    return s;
}

static float *filled(int64_t n, uint64_t seed)
{
    float *x = mem_alloc(n, sizeof *x);
    if (!x)
        abort();
    if (seed)
        harness_fill(x, n, seed);
    return x;
}

static struct problem problem_make(struct conv_shape s)
{
    struct problem p = {.s = s};
    p.n_in = (int64_t)s.c_in * s.h_in * s.w_in * s.lanes;
    p.n_out = (int64_t)s.c_out * s.h_out * s.w_out * s.lanes;
    p.n_w = (int64_t)s.c_out * s.c_in * s.k * s.k;
    for (int i = 0; i < 2; i++) {
        p.in[i] = filled(p.n_in, 10 + i);
        p.out[i] = filled(p.n_out, 20 + i);
        p.w[i] = filled(p.n_w, 30 + i);
    }
    p.bias = filled(s.c_out, 40);
    p.scratch = filled(conv_scratch_floats(&s), 50);
    int64_t longest = p.n_in > p.n_out ? p.n_in : p.n_out;
    if (p.n_w > longest)
        longest = p.n_w;
    p.got = filled(longest, 60);
    p.want = filled(longest, 0);
    return p;
}

static void problem_free(struct problem *p)
{
    for (int i = 0; i < 2; i++) {
        free(p->in[i]);
        free(p->out[i]);
        free(p->w[i]);
    }
    free(p->bias);
    free(p->scratch);
    free(p->got);
    free(p->want);
}

/* One term of a convolution: where it stands in the three arrays, lane 0. */
struct term {
    int64_t in, out, w;
};

/* All terms that meet no padding, in a fixed order; the caller sees each. */
static void each_term(const struct conv_shape *s, void (*see)(void *, struct term), void *context)
{
    for (int o = 0; o < s->c_out; o++)
        for (int c = 0; c < s->c_in; c++)
            for (int i = 0; i < s->h_out * s->w_out; i++)
                for (int j = 0; j < s->k * s->k; j++) {
                    int y = i / s->w_out * s->stride + j / s->k - s->pad;
                    int x = i % s->w_out * s->stride + j % s->k - s->pad;
                    if (y < 0 || y >= s->h_in || x < 0 || x >= s->w_in)
                        continue;
                    struct term t = {(((int64_t)c * s->h_in + y) * s->w_in + x) * s->lanes,
                                     ((int64_t)o * s->h_out * s->w_out + i) * s->lanes,
                                     ((int64_t)o * s->c_in + c) * s->k * s->k + j};
                    see(context, t);
                }
}

struct naive {
    int lanes;
    const float *in, *out, *w;
    double *sum;
};

static void see_forward(void *context, struct term t)
{
    struct naive *n = context;
    for (int l = 0; l < n->lanes; l++)
        n->sum[t.out + l] += (double)n->in[t.in + l] * n->w[t.w];
}

static void see_input_grad(void *context, struct term t)
{
    struct naive *n = context;
    for (int l = 0; l < n->lanes; l++)
        n->sum[t.in + l] += (double)n->out[t.out + l] * n->w[t.w];
}

static void see_weight_grad(void *context, struct term t)
{
    struct naive *n = context;
    double sum = 0;
    for (int l = 0; l < n->lanes; l++)
        sum += (double)n->out[t.out + l] * n->in[t.in + l];
    n->sum[t.w] += sum;
}

/* Every lane's own weight gradient, [n_w][lanes]. */
static void see_lanes(void *context, struct term t)
{
    struct naive *n = context;
    for (int l = 0; l < n->lanes; l++)
        n->sum[t.w * n->lanes + l] += (double)n->out[t.out + l] * n->in[t.in + l];
}

static void naive_sum(const struct problem *p, int n_pair, void (*see)(void *, struct term),
                      double *sum)
{
    for (int i = 0; i < n_pair; i++) {
        struct naive n = {p->s.lanes, p->in[i], p->out[i], p->w[i], sum};
        each_term(&p->s, see, &n);
    }
}

static double error_against(const struct problem *p, int64_t n, const double *sum)
{
    for (int64_t i = 0; i < n; i++)
        p->want[i] = (float)sum[i];
    return harness_relative_error(p->got, p->want, n);
}

static double check_forward(const struct problem *p, int n_pair, int with_bias)
{
    int64_t plane = (int64_t)p->s.h_out * p->s.w_out * p->s.lanes;
    double *sum = mem_alloc(p->n_out, sizeof *sum);
    if (!sum)
        abort();
    for (int64_t i = 0; with_bias && i < p->n_out; i++)
        sum[i] = p->bias[i / plane];
    naive_sum(p, n_pair, see_forward, sum);
    conv_forward(&p->s, n_pair, (const float *const *)p->in, (const float *const *)p->w,
                 with_bias ? p->bias : NULL, p->got, p->scratch);
    double error = error_against(p, p->n_out, sum);
    free(sum);
    return error;
}

static double check_input_grad(const struct problem *p, int n_pair)
{
    double *sum = mem_alloc(p->n_in, sizeof *sum);
    if (!sum)
        abort();
    naive_sum(p, n_pair, see_input_grad, sum);
    conv_input_grad(&p->s, n_pair, (const float *const *)p->out, (const float *const *)p->w, p->got,
                    p->scratch);
    double error = error_against(p, p->n_in, sum);
    for (int64_t i = 0; i < p->n_in; i++)
        if (sum[i] == 0) /* a value that no window covers */
            CU_ASSERT_EQUAL(p->got[i], 0);
    free(sum);
    return error;
}

static double check_weight_grad(const struct problem *p, int n_pair, int with_bias)
{
    int64_t plane = (int64_t)p->s.h_out * p->s.w_out * p->s.lanes;
    double *sum = mem_alloc(p->n_w, sizeof *sum);
    float *dbias = filled(p->s.c_out, 70), *want = filled(p->s.c_out, 0);
    if (!sum)
        abort();
    naive_sum(p, n_pair, see_weight_grad, sum);
    conv_weight_grad(&p->s, n_pair, (const float *const *)p->in, (const float *const *)p->out,
                     p->got, with_bias ? dbias : NULL, p->scratch);
    double error = error_against(p, p->n_w, sum);
    for (int o = 0; with_bias && o < p->s.c_out; o++) {
        double total = 0;
        for (int64_t i = 0; i < plane; i++)
            total += p->out[0][o * plane + i];
        want[o] = (float)total;
    }
    if (with_bias)
        error = fmax(error, harness_relative_error(dbias, want, p->s.c_out));
    free(sum);
    free(dbias);
    free(want);
    return error;
}

static double sum_of_squares(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

static double check_weight_squares(const struct problem *p, int with_bias)
{
    int lanes = p->s.lanes;
    int64_t places = (int64_t)p->s.h_out * p->s.w_out;
    double *own = mem_alloc((p->n_w + p->s.c_out) * lanes, sizeof *own);
    float *dbias = filled(p->s.c_out, 70), *want = filled(p->s.c_out, 0);
    if (!own)
        abort();
    naive_sum(p, 1, see_lanes, own);
    conv_weight_squares(&p->s, p->in[0], p->out[0], p->got, with_bias ? dbias : NULL, p->scratch);
    for (int64_t i = 0; i < p->n_w; i++)
        p->want[i] = (float)sum_of_squares(own + i * lanes, lanes);
    double error = harness_relative_error(p->got, p->want, p->n_w), *bias = own + p->n_w * lanes;
    for (int64_t i = 0; i < p->n_out; i++)
        bias[i / (places * lanes) * lanes + i % lanes] += p->out[0][i];
    for (int o = 0; o < p->s.c_out; o++)
        want[o] = (float)sum_of_squares(bias + o * lanes, lanes);
    if (with_bias)
        error = fmax(error, harness_relative_error(dbias, want, p->s.c_out));
    free(own);
    free(dbias);
    free(want);
    return error;
}

/* Shapes of every path: the 5 x 5 transforms with rows that are and are not whole tiles, narrow and
 * wide, with padding up to more than the taps; direct sums with every stride, uncovered borders,
 * single channels, and channel counts around the tile sizes. */
static const struct conv_shape *shapes(int *n)
{
    static struct conv_shape list[60];
    int i = 0;
    list[i++] = shape(3, 32, 32, 6, 5, 1, 0, 16); /* LeNet5 */
    list[i++] = shape(6, 14, 14, 16, 5, 1, 0, 16);
    list[i++] = shape(6, 14, 14, 16, 5, 1, 0, 32);
    list[i++] = shape(1, 7, 7, 1, 5, 1, 0, 16);
    list[i++] = shape(2, 5, 9, 3, 5, 1, 0, 48);
    list[i++] = shape(7, 9, 8, 5, 5, 1, 2, 16);
    list[i++] = shape(1, 3, 6, 9, 5, 1, 1, 64);
    list[i++] = shape(13, 6, 11, 17, 5, 1, 3, 16);
    list[i++] = shape(2, 2, 1, 3, 5, 1, 6, 16);
    list[i++] = shape(2, 8, 37, 2, 5, 1, 0, 16);
    list[i++] = shape(4, 5, 6, 3, 5, 1, 0, 16);   /* two columns: direct */
    list[i++] = shape(3, 40, 70, 2, 5, 1, 0, 16); /* more than one block of rows */
    for (int k = 1; k <= 7; k++)
        for (int stride = 1; stride <= 3; stride++)
            list[i++] =
                shape(1 + (k * stride) % 8, 9 + stride, 12 - k % 3, 1 + (3 * k + stride) % 11, k,
                      stride, (k + stride) % 4, 16 * (1 + (k + stride) % 4));
    list[i++] = shape(16, 8, 8, 24, 3, 1, 1, 16);
    list[i++] = shape(10, 8, 8, 9, 1, 2, 0, 64);
    list[i++] = shape(3, 8, 8, 5, 3, 1, 1, 64);
    list[i++] = shape(20, 2, 2, 35, 3, 1, 1, 16);
    list[i++] = shape(3, 2, 2, 1, 3, 1, 1, 48);
    list[i++] = shape(17, 4, 4, 18, 3, 1, 1, 64);
    list[i++] = shape(33, 7, 5, 13, 3, 1, 0, 32);
    list[i++] = shape(2, 1, 1, 4, 3, 1, 1, 16);
    list[i++] = shape(5, 2, 2, 3, 3, 1, 2, 16);
    list[i++] = shape(9, 3, 13, 6, 3, 1, 2, 48);
    list[i++] = shape(40, 17, 18, 48, 3, 1, 1, 16);
    list[i++] = shape(64, 16, 16, 64, 3, 1, 1, 16);
    list[i++] = shape(5, 8, 8, 7, 3, 2, 1, 64);
    list[i++] = shape(19, 16, 16, 34, 3, 2, 1, 16);
    list[i++] = shape(33, 7, 10, 6, 3, 2, 1, 32);
    list[i++] = shape(2, 1, 3, 3, 3, 2, 1, 48);
    list[i++] = shape(3, 17, 9, 1, 3, 2, 1, 16);
    list[i++] = shape(2, 3, 1, 3, 3, 2, 1, 16); /* no column for some of the taps */
    list[i++] = shape(20, 5, 4, 18, 1, 2, 0, 32);
    list[i++] = shape(20, 5, 3, 35, 1, 1, 0, 16);
    list[i++] = shape(3, 2, 3, 2, 1, 3, 2, 16); /* padding wider than the taps */
    *n = i;
    return list;
}

static void convolution_equals_naive_loops(void)
{
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++)
        for (int n_pair = 1; n_pair <= 2; n_pair++) {
            struct problem p = problem_make(list[i]);
            CU_ASSERT(check_forward(&p, n_pair, n_pair == 1) < bound(&p.s));
            CU_ASSERT(check_input_grad(&p, n_pair) < bound(&p.s));
            CU_ASSERT(check_weight_grad(&p, n_pair, n_pair == 1) < bound(&p.s));
            CU_ASSERT(check_weight_squares(&p, n_pair == 1) < 2 * bound(&p.s));
            problem_free(&p);
        }
}

static double inner(const float *a, const float *b, int64_t n, double *scale)
{
    double sum = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    *scale = sqrt(aa * bb);
    return sum;
}

static void gradients_are_adjoints_of_the_forward_pass(void)
{
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++) {
        struct problem p = problem_make(list[i]);
        double scale, other;
        conv_forward(&p.s, 1, (const float *const *)p.in, (const float *const *)p.w, NULL, p.got,
                     p.scratch);
        double forward = inner(p.got, p.out[0], p.n_out, &scale);
        conv_input_grad(&p.s, 1, (const float *const *)p.out, (const float *const *)p.w, p.got,
                        p.scratch);
        CU_ASSERT(fabs(forward - inner(p.got, p.in[0], p.n_in, &other)) <=
                  bound(&p.s) * (scale + other));
        conv_weight_grad(&p.s, 1, (const float *const *)p.in, (const float *const *)p.out, p.got,
                         NULL, p.scratch);
        CU_ASSERT(fabs(forward - inner(p.got, p.w[0], p.n_w, &other)) <=
                  bound(&p.s) * (scale + other));
        problem_free(&p);
    }
}

/* All results into one array, of length all_results. */
static int64_t all_results(const struct problem *p)
{
    return p->n_out + p->n_in + 2 * (p->n_w + p->s.c_out);
}

static void run_all(const struct problem *p, float *result, float *scratch)
{
    const float *const *in = (const float *const *)p->in,
                       *const *out = (const float *const *)p->out,
                       *const *w = (const float *const *)p->w;
    conv_forward(&p->s, 2, in, w, p->bias, result, scratch);
    conv_input_grad(&p->s, 2, out, w, result + p->n_out, scratch);
    float *dw = result + p->n_out + p->n_in;
    conv_weight_grad(&p->s, 2, in, out, dw, dw + p->n_w, scratch);
    dw += p->n_w + p->s.c_out;
    conv_weight_squares(&p->s, in[0], out[0], dw, dw + p->n_w, scratch);
}

static void results_do_not_depend_on_what_memory_held(void)
{
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++) {
        struct problem p = problem_make(list[i]);
        int64_t n_all = all_results(&p), n_scratch = conv_scratch_floats(&p.s);
        float *first = filled(n_all, 0), *second = filled(n_all, 80),
              *scratch = filled(n_scratch, 0);
        run_all(&p, first, scratch);
        memset(scratch, 0xff, (size_t)n_scratch * sizeof(float)); /* not a number */
        run_all(&p, second, scratch);
        CU_ASSERT_EQUAL(memcmp(first, second, (size_t)n_all * sizeof(float)), 0);
        free(first);
        free(second);
        free(scratch);
        problem_free(&p);
    }
}

static void nothing_is_written_beyond_the_ends(void)
{
    enum { GUARD = 64 };
    int n;
    const struct conv_shape *list = shapes(&n);
    for (int i = 0; i < n; i++) {
        struct problem p = problem_make(list[i]);
        int64_t n_scratch = conv_scratch_floats(&p.s), n_all[4] = {p.n_out, p.n_in, p.n_w, p.n_w};
        float *scratch = filled(n_scratch + GUARD, 0),
              *result = filled(p.n_out + p.n_in + p.n_w + GUARD, 0);
        const float *const *in = (const float *const *)p.in,
                           *const *out = (const float *const *)p.out,
                           *const *w = (const float *const *)p.w;
        for (int call = 0; call < 4; call++) {
            harness_fill(scratch + n_scratch, GUARD, 1);
            harness_fill(result + n_all[call], GUARD, 1);
            if (call == 0)
                conv_forward(&p.s, 2, in, w, NULL, result, scratch);
            else if (call == 1)
                conv_input_grad(&p.s, 2, out, w, result, scratch);
            else if (call == 2)
                conv_weight_grad(&p.s, 2, in, out, result, NULL, scratch);
            else
                conv_weight_squares(&p.s, in[0], out[0], result, NULL, scratch);
            CU_ASSERT_EQUAL(
                memcmp(scratch + n_scratch, result + n_all[call], GUARD * sizeof(float)), 0);
            float guard[GUARD];
            harness_fill(guard, GUARD, 1);
            CU_ASSERT_EQUAL(memcmp(scratch + n_scratch, guard, sizeof guard), 0);
        }
        free(scratch);
        free(result);
        problem_free(&p);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"convolution equals naive loops", convolution_equals_naive_loops},
        {"gradients are adjoints of the forward pass", gradients_are_adjoints_of_the_forward_pass},
        {"results do not depend on what memory held", results_do_not_depend_on_what_memory_held},
        {"nothing is written beyond the ends", nothing_is_written_beyond_the_ends},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "conv", tests);
}
