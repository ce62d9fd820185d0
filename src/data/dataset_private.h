/* What the files that read a dataset file share. */
#ifndef IAU_DATA_DATASET_PRIVATE_H
#define IAU_DATA_DATASET_PRIVATE_H

#include "data/dataset.h"
#include "io/h5.h"

enum { DATASET_WINDOW_BYTES = 16 << 20 };

/** Open the file of a described dataset again; it must be the one that was described. */
int dataset_reopen(struct h5 *f, const struct dataset *d);
/** Open the array `name` of a part. */
int dataset_open_array(struct h5_array *a, const struct h5 *f, enum dataset_part part,
                       const char *name);
/** IAU_ERR_FORMAT naming the row unless the label lies in [0, n_class). */
int dataset_check_label(const struct dataset *d, enum dataset_part part, int32_t label,
                        int64_t row);
const char *dataset_part_name(enum dataset_part part);

#endif
