/* Softmax cross-entropy on logits z [n_class][lanes], a sample a lane. Local; no allocation. */
#ifndef IAU_KERNEL_SOFTMAX_H
#define IAU_KERNEL_SOFTMAX_H

#include <stdint.h>

/** p [n_class][lanes] = softmax(z), and loss[lane] = log SUM exp z - z_label (log-sum-exp form).
 *  @param label [lanes], each in [0, n_class); loss may be NULL; p may be z */
void softmax_forward(int n_class, int lanes, const float *z, const int32_t *label, float *p,
                     float *loss);
/** dz = weight (p - onehot(label)) per lane: the gradient of the SUM over lanes of weight x loss.
 *  @param weight [lanes]: 1 for a sample, 0 for an empty lane */
void softmax_backward(int n_class, int lanes, const float *p, const int32_t *label,
                      const float *weight, float *dz);
/** rdz = weight (diag p - p p^T) rz: the tangent of the above, and the Gauss-Newton middle factor.
 */
void softmax_backward_tangent(int n_class, int lanes, const float *p, const float *rz,
                              const float *weight, float *rdz);
/** dz += weight T (softmax(z / T) - softmax(t / T)) per lane: the gradient of the SUM over lanes of
 * weight x T^2 KL(softmax(t / T) || softmax(z / T)), t being a teacher's logits; kl[lane] = that
 * KL, in nats, without T^2. @param q [2][n_class][lanes], workspace, aligned like them */
void softmax_distill(int n_class, int lanes, float temperature, const float *t, const float *z,
                     const float *weight, float *dz, float *kl, float *q);

#endif
