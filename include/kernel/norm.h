/* Batch normalisation of each channel on lane blocks: x, y [c][places][lanes], with or without a
 * ReLU on the result, y = weight xhat + bias,   xhat = (x - mean) / sqrt(var + eps), and its
 * tangents. Statistics are those of the unit's n samples (group) or given ones (frozen), of which y
 * is then an affine function. Sums over a channel run in float over 64 places of a lane, from there
 * on in double and in an order fixed by the shape. Empty lanes, from n on, stay out of all
 * statistics, and their gradients are set to 0; callers must pass gradients dy, R{dy} that are 0
 * there. Local; no allocation; results are written, not added. */
#ifndef IAU_KERNEL_NORM_H
#define IAU_KERNEL_NORM_H

#include <stdint.h>

struct norm_shape {
    int c;
    int64_t places; /* h w */
    int lanes, n;   /* 1 <= n <= lanes <= 64 */
    int frozen;
    int relu;
};

/* Per-channel results that later passes read, [c] each. */
enum norm_row {
    NORM_MEAN,
    NORM_INV,     /* 1 / sqrt(var + eps) */
    NORM_VAR,     /* biased, as it normalises */
    NORM_DY,      /* mean of dy, by norm_backward; 0 where frozen, as all below */
    NORM_DY_XHAT, /* mean of dy xhat */
    NORM_RX,      /* mean of R{x}, by norm_forward_tangent */
    NORM_RX_XHAT, /* mean of R{x} xhat */
    N_NORM_ROW
};

/** y from x. @param mean,var  [c] frozen statistics; not read for a group
 *  @param kept  [N_NORM_ROW][c] */
void norm_forward(const struct norm_shape *s, float eps, const float *x, const float *weight,
                  const float *bias, const float *mean, const float *var, float *kept, float *y);
/** dx (or NULL), dweight and dbias from dy. Through the statistics of a group:
 *      dx = weight inv (dy - mean(dy) - xhat mean(dy xhat)). */
void norm_backward(const struct norm_shape *s, const float *x, const float *dy, const float *weight,
                   const float *bias, float *kept, float *dx, float *dweight, float *dbias);
/** The same with frozen statistics and with dweight, dbias = SUM over samples of the squares of
 * each sample's own part. */
void norm_backward_squares(const struct norm_shape *s, const float *x, const float *dy,
                           const float *weight, const float *bias, float *kept, float *dx,
                           float *dweight, float *dbias);
/** R{y} from R{x} (NULL: 0) and the directions vweight, vbias:
 *      R{xhat} = inv (R{x} - mean(R{x}) - xhat mean(R{x} xhat)). */
void norm_forward_tangent(const struct norm_shape *s, const float *x, const float *rx,
                          const float *weight, const float *bias, const float *vweight,
                          const float *vbias, float *kept, float *ry);
/** R{dx} (or NULL), R{dweight} and R{dbias} from dy and R{dy}: with t = dy - mean(dy) - xhat
 * mean(dy xhat), R{dx} = (vweight inv + weight R{inv}) t
 *            + weight inv (R{dy} - mean(R{dy}) - R{xhat} mean(dy xhat) - xhat mean(R{dy} xhat + dy
 * R{xhat})). */
void norm_backward_tangent(const struct norm_shape *s, const float *x, const float *rx,
                           const float *dy, const float *rdy, const float *weight,
                           const float *bias, const float *vweight, const float *kept, float *rdx,
                           float *rdweight, float *rdbias);

#endif
