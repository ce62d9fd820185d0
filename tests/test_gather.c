/* Gathering value by value: odd sizes, padding, tails, unaligned samples, and no read or write past
 * an end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/memory.h"
#include "harness.h"
#include "kernel/gather.h"

enum { MAX_LANES = 80, MAX_CHANNELS = 700, GUARD = 64 };

static const struct gather_shape shapes[] = {
    {.c = 3, .h = 32, .w = 32, .h_out = 32, .w_out = 32, .lanes = 16},
    {.c = 1, .h = 28, .w = 28, .h_out = 32, .w_out = 32, .lanes = 32},
    {.c = 2, .h = 5, .w = 7, .h_out = 8, .w_out = 12, .lanes = 48},   /* odd margins */
    {.c = 3, .h = 9, .w = 11, .h_out = 9, .w_out = 14, .lanes = 16},  /* on the sides only */
    {.c = 3, .h = 9, .w = 11, .h_out = 12, .w_out = 11, .lanes = 80}, /* above and below only */
    {.c = 1, .h = 3, .w = 5, .h_out = 3, .w_out = 5, .lanes = 16},    /* less than a square */
    {.c = 3, .h = 1, .w = 1, .h_out = 3, .w_out = 3, .lanes = 16},
    {.c = 1, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 16},
    {.c = 600, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 64},
    {.c = 13, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 16},
    {.c = 17, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 32},
    {.c = 65, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 16},
    {.c = 127, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 48},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static float scale[MAX_CHANNELS], shift[MAX_CHANNELS];

/* The raw value of one output pixel, 0 in the padding. */
static double raw_at(const struct gather_shape *s, const void *sample, int size, int c, int y,
                     int x)
{
    y -= (s->h_out - s->h) / 2;
    x -= (s->w_out - s->w) / 2;
    if (y < 0 || y >= s->h || x < 0 || x >= s->w)
        return 0;
    int64_t at = ((int64_t)c * s->h + y) * s->w + x;
    float value;
    if (size == 1)
        return ((const uint8_t *)sample)[at];
    memcpy(&value, (const char *)sample + at * size, sizeof value);
    return value;
}

/* One product and one sum, each rounded once at most. */
static int value_fits(double got, double raw, int c)
{
    double product = raw * scale[c], truth = product + shift[c];
    return fabs(got - truth) <= ldexp(fabs(product) + fabs(truth), -24);
}

static int64_t count_wrong(const struct gather_shape *s, const void *const *sample, int size,
                           const float *out)
{
    int64_t wrong = 0, at = 0;
    for (int c = 0; c < s->c; c++)
        for (int y = 0; y < s->h_out; y++)
            for (int x = 0; x < s->w_out; x++)
                for (int l = 0; l < s->lanes; l++, at++)
                    wrong += !value_fits(out[at], raw_at(s, sample[l], size, c, y, x), c);
    return wrong;
}

static void check_shape(const struct gather_shape *shape, int size)
{
    struct gather_shape s = *shape;
    s.scale = scale;
    s.shift = shift;
    int64_t values = (int64_t)s.c * s.h * s.w, n_out = (int64_t)s.c * s.h_out * s.w_out * s.lanes;
    int64_t stride = values * size;
    unsigned char *raw = mem_alloc(stride * s.lanes + size, 1);
    const void *sample[MAX_LANES];
    /* Samples lie one after another as in a file, one element off any alignment; lanes take them in
     * no order. */
    for (int64_t i = 0; i < values * s.lanes; i++) {
        float value = sinf((float)i);
        if (size == 1)
            raw[1 + i] = (unsigned char)(i * 37 + i / 251);
        else
            memcpy(raw + (1 + i) * 4, &value, sizeof value);
    }
    for (int l = 0; l < s.lanes; l++)
        sample[l] = raw + size + (l * 7 + 3) % s.lanes * stride;
    float *out = mem_alloc(n_out + GUARD, sizeof(float));
    memset(out, 0xff, sizeof(float) * (size_t)(n_out + GUARD));
    if (size == 1)
        gather_u8(&s, (const uint8_t *const *)sample, out);
    else
        gather_f32(&s, (const float *const *)sample, out);
    CU_ASSERT_EQUAL(count_wrong(&s, sample, size, out), 0);
    for (int i = 0; i < GUARD; i++)
        CU_ASSERT(isnan(out[n_out + i]));
    free(raw);
    free(out);
}

static void fill_scales(void)
{
    harness_fill(scale, MAX_CHANNELS, 1);
    harness_fill(shift, MAX_CHANNELS, 2);
}

static void bytes_arrive_value_by_value(void)
{
    fill_scales();
    for (int i = 0; i < N_SHAPES; i++)
        check_shape(&shapes[i], 1);
}

static void floats_arrive_value_by_value(void)
{
    fill_scales();
    for (int i = 0; i < N_SHAPES; i++)
        check_shape(&shapes[i], 4);
}

static void every_table_width_works(void)
{
    fill_scales();
    for (int c = 1; c <= 140; c++) {
        struct gather_shape s = {.c = c, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 16};
        check_shape(&s, 1);
        check_shape(&s, 4);
    }
}

static void identity_keeps_bits(void)
{
    struct gather_shape s = {.c = 256, .h = 1, .w = 1, .h_out = 1, .w_out = 1, .lanes = 16};
    uint8_t byte[256];
    const uint8_t *sample[16];
    float *out = mem_alloc(256 * 16, sizeof(float));
    for (int i = 0; i < 256; i++) {
        byte[i] = (uint8_t)i;
        scale[i] = 1;
        shift[i] = 0;
    }
    for (int l = 0; l < 16; l++)
        sample[l] = byte;
    s.scale = scale;
    s.shift = shift;
    gather_u8(&s, sample, out);
    for (int i = 0; i < 256 * 16; i++)
        CU_ASSERT_EQUAL(out[i], i / 16);
    free(out);
}

/* Samples that end where a page without access begins: a read past the end would kill the program.
 */
static void nothing_is_read_past_a_sample(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL(map, MAP_FAILED);
    if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE) != 0)
        return;
    memset(map, 1, page);
    fill_scales();
    float *out = mem_alloc(140 * 32, sizeof(float));
    for (int c = 1; c <= 140; c++) {
        struct gather_shape s = {c, 1, 1, 1, 1, 16, scale, shift};
        const uint8_t *u8[16];
        const float *f32[16];
        for (int l = 0; l < 16; l++) {
            u8[l] = (const uint8_t *)map + page - c;
            f32[l] = (const float *)(map + page) - c;
        }
        gather_u8(&s, u8, out);
        CU_ASSERT(value_fits(out[c * 16 - 1], 1, c - 1));
        gather_f32(&s, f32, out);
    }
    munmap(map, 2 * page);
    free(out);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"bytes arrive value by value", bytes_arrive_value_by_value},
                           {"floats arrive value by value", floats_arrive_value_by_value},
                           {"every table width works", every_table_width_works},
                           {"the identity keeps bits", identity_keeps_bits},
                           {"nothing is read past a sample", nothing_is_read_past_a_sample},
                           CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "gather", tests);
}
