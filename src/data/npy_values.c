/* Values of .npy files as the types that samples, labels and ids have. */
#include <string.h>

#include "core/error.h"
#include "npy.h"

static float half(const uint8_t *p)
{
    uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8, sign = bits >> 15 << 31;
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    float x = (float)fraction * 0x1p-24f; /* subnormal */
    uint32_t wide =
        exponent == 31 ? 0x7f800000 | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
    if (exponent)
        memcpy(&x, &wide, sizeof x);
    memcpy(&wide, &x, sizeof wide);
    wide |= sign;
    memcpy(&x, &wide, sizeof x);
    return x;
}

static double load_float(const struct npy *s, const char *p)
{
    float f;
    double d;
    if (s->size == 2)
        return half((const uint8_t *)p);
    if (s->size == 4)
        return memcpy(&f, p, sizeof f), f;
    return memcpy(&d, p, sizeof d), d;
}

/* An integer of up to 8 bytes, in this machine's order; uint64 above INT64_MAX is caught by the
 * caller. */
static int64_t load_integer(const struct npy *s, const char *p)
{
    uint64_t bits = 0;
    memcpy(&bits, p, (size_t)s->size);
    int spare = 64 - 8 * s->size;
    return s->kind == 'i' ? (int64_t)(bits << spare) >> spare : (int64_t)bits;
}

void npy_swap(char *p, int64_t n, int size)
{
    for (int64_t i = 0; i < n; i++, p += size)
        for (int a = 0, b = size - 1; a < b; a++, b--) {
            char keep = p[a];
            p[a] = p[b];
            p[b] = keep;
        }
}

static int wrong_value(const struct array *a, const char *what)
{
    return FAIL(IAU_ERR_FORMAT, "%s: a value in the rows from %lld on is %s", a->name,
                (long long)((struct npy *)a->state)->at, what);
}

int npy_convert(const struct array *a, const char *raw, int64_t n, enum record_type type, void *out)
{
    const struct npy *s = a->state;
    if (type == RECORD_U8 || (type == RECORD_F32 && s->kind == 'f' && s->size == 4)) {
        memcpy(out, raw, (size_t)n * (size_t)s->size);
        for (int64_t i = 0; i < n && s->kind == 'b'; i++)
            if (raw[i] & ~1)
                return wrong_value(a, "neither true nor false");
        return IAU_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        const char *p = raw + i * s->size;
        int64_t integer = s->kind == 'f' ? 0 : load_integer(s, p);
        if (s->kind == 'u' && integer < 0)
            return wrong_value(a, "above 9223372036854775807");
        double real = s->kind == 'f' ? load_float(s, p) : (double)integer;
        if (type == RECORD_I64)
            ((int64_t *)out)[i] = integer;
        else if (type == RECORD_F64)
            ((double *)out)[i] = real;
        else
            ((float *)out)[i] = (float)real;
    }
    return IAU_OK;
}
