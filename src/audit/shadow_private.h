/* What the making of shadows and their files share. */
#ifndef IAU_AUDIT_SHADOW_PRIVATE_H
#define IAU_AUDIT_SHADOW_PRIVATE_H

#include "part.h"

/** Local. What shadow k is trained with: as its origin, but for less long and with a seed of its
 * own. */
struct train_opts shadow_train_opts(const struct audit *a, int origin, int64_t k);
/** Local. Name and settings of the trained shadow. */
int shadow_trained_part(struct part *p, const struct audit *a, int origin, int64_t k);
/** Local. The same of what becomes of it by a method. @param parent  the digest of the trained one,
 * or NULL: not known yet */
int shadow_unlearned_part(struct part *p, const struct audit *a, const struct part *trained,
                          const struct audit_method *m, const char *parent);

#endif
