/* Random crops and mirror images of single samples, as copies of the stored bytes. */
#include "data/augment.h"

#include <string.h>

#include "core/error.h"
#include "core/rng.h"

int augment_check(const struct augment_opts *o, const struct dataset *d)
{
    if (!augment_is_on(o))
        return IAU_OK;
    if (d->is_table)
        return FAIL(IAU_ERR_CONFIG, "train.augment is for images, but %s is a table", d->path);
    if (o->crop >= d->h || o->crop >= d->w)
        return FAIL(
            IAU_ERR_CONFIG,
            "train.augment.crop = %lld: the images of %s have %dx%d pixels, and some must stay",
            (long long)o->crop, d->path, d->h, d->w);
    return IAU_OK;
}

struct augment_move augment_draw(const struct augment *a, int64_t id)
{
    uint32_t word[4];
    struct rng r = {a->seed, RNG_AUGMENT, (uint64_t)a->epoch};
    uint64_t places = 2 * (uint64_t)a->opts.crop + 1;
    rng_words_id(&r, id, word);
    /* The bias of a multiplication without rejection is below places / 2^32. */
    return (struct augment_move){.dy = (int)((int64_t)(word[0] * places >> 32) - a->opts.crop),
                                 .dx = (int)((int64_t)(word[1] * places >> 32) - a->opts.crop),
                                 .flip = a->opts.flip && word[2] >> 31};
}

static void mirror_u8(const uint8_t *in, int n, uint8_t *out)
{
    for (int i = 0; i < n; i++)
        out[i] = in[n - 1 - i];
}

static void mirror_f32(const float *in, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = in[n - 1 - i];
}

void augment_copy(const struct augment_move *m, int c, int h, int w, int is_u8, const void *in,
                  void *out)
{
    const size_t size = is_u8 ? 1 : sizeof(float);
    const int n = w - (m->dx < 0 ? -m->dx : m->dx); /* columns that stay in sight */
    const int from = m->dx > 0 ? m->dx : 0, at = m->dx < 0 ? -m->dx : 0;
    const int to = m->flip ? w - at - n : at;
    for (int plane = 0; plane < c; plane++)
        for (int y = 0; y < h; y++) {
            int source = y + m->dy;
            char *row = (char *)out + ((size_t)plane * h + y) * w * size, *piece = row + to * size;
            memset(row, 0, w * size);
            if (source < 0 || source >= h)
                continue;
            const char *seen = (const char *)in + (((size_t)plane * h + source) * w + from) * size;
            if (!m->flip)
                memcpy(piece, seen, n * size);
            else if (is_u8)
                mirror_u8((const uint8_t *)seen, n, (uint8_t *)piece);
            else
                mirror_f32((const float *)seen, n, (float *)piece);
        }
}
