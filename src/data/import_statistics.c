/* Mean and standard deviation of the training samples of an import, channel by channel. */
#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "import_private.h"

enum { PIECE = 1 << 16 }; /* the squares of so many bytes just fit 32 bits */

int import_statistics_init(struct import_statistics *s, const struct import_reader *r)
{
    *s = (struct import_statistics){.n_channel = r->dims[0], .n_value = 1, .is_u8 = r->is_u8};
    for (int i = 1; i < r->ndim; i++)
        s->n_value *= r->dims[i];
    s->unit = dataset_unit(r->is_u8, r->ndim == 1);
    s->sum = mem_alloc(s->n_channel, sizeof *s->sum);
    s->square = mem_alloc(s->n_channel, sizeof *s->square);
    s->sum32 = mem_alloc(s->n_channel, sizeof *s->sum32);
    s->square32 = mem_alloc(s->n_channel, sizeof *s->square32);
    return s->sum && s->square && s->sum32 && s->square32
               ? IAU_OK
               : FAIL(IAU_ERR_MEM, "no memory for the statistics");
}

void import_statistics_free(struct import_statistics *s)
{
    free(s->sum);
    free(s->square);
    free(s->sum32);
    free(s->square32);
    *s = (struct import_statistics){0};
}

/* --- images: the values of a channel lie together */

static void add_bytes(const uint8_t *v, int64_t n, double *sum, double *square)
{
    uint64_t s = 0, q = 0;
    for (int64_t done = 0; done < n; done += PIECE) {
        int64_t k = n - done < PIECE ? n - done : PIECE;
        uint32_t s32 = 0, q32 = 0;
        for (int64_t i = 0; i < k; i++) {
            uint32_t x = v[done + i];
            s32 += x;
            q32 += x * x;
        }
        s += s32;
        q += q32;
    }
    *sum += (double)s;
    *square += (double)q;
}

static void add_floats(const float *v, int64_t n, double *sum, double *square)
{
    double s = 0, q = 0;
    for (int64_t i = 0; i < n; i++) {
        s += v[i];
        q += (double)v[i] * v[i];
    }
    *sum += s;
    *square += q;
}

static void add_images(struct import_statistics *s, const void *x, int64_t n)
{
    for (int64_t i = 0; i < n * s->n_channel; i++) {
        int64_t c = i % s->n_channel, at = i * s->n_value;
        if (s->is_u8)
            add_bytes((const uint8_t *)x + at, s->n_value, &s->sum[c], &s->square[c]);
        else
            add_floats((const float *)x + at, s->n_value, &s->sum[c], &s->square[c]);
    }
}

/* --- tables: a column is a channel, so a row adds to all of them at once */

static void add_byte_rows(struct import_statistics *s, const uint8_t *v, int64_t n)
{
    int64_t d = s->n_channel;
    for (int64_t done = 0; done < n; done += PIECE) {
        int64_t k = n - done < PIECE ? n - done : PIECE;
        for (int64_t i = 0; i < k; i++, v += d)
            for (int64_t c = 0; c < d; c++) {
                uint32_t x = v[c];
                s->sum32[c] += x;
                s->square32[c] += x * x;
            }
        for (int64_t c = 0; c < d; c++) {
            s->sum[c] += s->sum32[c];
            s->square[c] += s->square32[c];
            s->sum32[c] = s->square32[c] = 0;
        }
    }
}

static void add_float_rows(struct import_statistics *s, const float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++, v += s->n_channel)
        for (int64_t c = 0; c < s->n_channel; c++) {
            s->sum[c] += v[c];
            s->square[c] += (double)v[c] * v[c];
        }
}

void import_statistics_add(struct import_statistics *s, const void *x, int64_t n)
{
    s->n_row += n;
    if (s->n_value > 1)
        add_images(s, x, n);
    else if (s->is_u8)
        add_byte_rows(s, x, n);
    else
        add_float_rows(s, x, n);
}

void import_statistics_get(const struct import_statistics *s, float *mean, float *std)
{
    double n = (double)s->n_row * (double)s->n_value;
    for (int64_t c = 0; c < s->n_channel; c++) {
        double m = s->sum[c] / n, variance = s->square[c] / n - m * m;
        mean[c] = (float)(m / s->unit);
        /* what rounding leaves of a constant channel is no spread */
        int is_constant = !(variance > 1e-13 * s->square[c] / n);
        std[c] = is_constant ? 0 : (float)(sqrt(variance) / s->unit);
    }
}
