/* The mask of SalUn. */
#ifndef IAU_UNLEARN_SALUN_H
#define IAU_UNLEARN_SALUN_H

#include <stdint.h>

/** Local. mask[i] = 1 for the share `fraction` of n places where |g| is largest, but for at least
 * one, else 0. Of equal ones the first are taken. @return how many */
int64_t salun_mask(int64_t n, const double *g, double fraction, uint8_t *mask);

#endif
