/* From samples as stored (one after another) to a lane block, with padding and normalisation on the
 * way. */
#ifndef IAU_KERNEL_GATHER_H
#define IAU_KERNEL_GATHER_H

#include <stdint.h>

struct gather_shape {
    int c, h, w;        /* a stored sample: [c][h][w]; a table row is c = features, h = w = 1 */
    int h_out, w_out;   /* the lane block: [c][h_out][w_out][lanes], the sample in its middle */
    int lanes;          /* a multiple of 16 */
    const float *scale; /* borrowed, [c]: value = scale raw + shift */
    const float *shift; /* borrowed, [c]; padding is raw 0, so it becomes shift */
};

/** Local. out[c][y][x][lane] = scale[c] raw + shift[c]. @param sample `lanes` pointers, none NULL
 */
void gather_u8(const struct gather_shape *s, const uint8_t *const *sample, float *out);
void gather_f32(const struct gather_shape *s, const float *const *sample, float *out);

#endif
