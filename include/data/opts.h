/* Settings of the data: `data.*` and `forget.*`. */
#ifndef IAU_DATA_OPTS_H
#define IAU_DATA_OPTS_H

#include "core/lists.h"

struct data_opts {
    char *file;                    /* owned; the dataset file */
    char *source_format;           /* owned; importer for a missing file, or "" */
    struct text_list source_files; /* files of that importer, in its order */
    int64_t seed;                  /* of the train/validation split */
    double valid;                  /* share of the training part held out for validation */
    struct real_list mean,
        std; /* override the file's, per channel; empty: the file's (tables: none) */
};

/* Exactly one of the three says what is to be forgotten. */
struct forget_opts {
    double ratio;            /* share of the training set, or 0 */
    int64_t seed;            /* of that share */
    char *ids;               /* owned; text or HDF5 file of sample ids, or "" */
    struct int_list classes; /* all training samples with these labels */
};

#endif
