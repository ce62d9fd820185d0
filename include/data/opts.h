/* Settings of the data: `data.*` and `forget.*`. */
#ifndef IAU_DATA_OPTS_H
#define IAU_DATA_OPTS_H

#include "core/lists.h"

enum source_labels { LABELS_FINE, LABELS_COARSE };
enum source_layout { LAYOUT_CHW, LAYOUT_HWC };

/* Where a data set is imported from: `data.source.*`, and the options of `iau import`. A text that
 * is not given is NULL or "". */
struct source_opts {
    char *format;           /* owned; a name from `import_formats` */
    struct text_list files; /* of the training part, or a folder; as the format's help says */
    char *name;             /* owned; of the data set; not given: from the source */
    struct text_list test_files;
    double test_fraction; /* share of the rows to make the test part of, where there is none */
    int64_t test_seed;    /* of that share */
    char *x, *y, *id;     /* owned; what samples, labels and ids are called in the source */
    char *test_x, *test_y, *test_id; /* owned; the same of a test part in the same source */
    enum source_labels labels;       /* cifar100 */
    enum source_layout layout;       /* of images in numpy and hdf5 */
    int extra;                       /* svhn: train on the extra part, too */
    int64_t shuffle; /* seed to permute the training rows with; -1: keep their order */
    int compress;    /* samples are compressed in the dataset file */
};

struct data_opts {
    char *file;                /* owned; the dataset file */
    struct source_opts source; /* to import from where the file is missing */
    int64_t memory_mib;        /* of a rank for samples; more are streamed; 0: no limit */
    int64_t seed;              /* of the train/validation split */
    double valid;              /* share of the training part held out for validation */
    int64_t limit;             /* samples of the training part to use; 0: all */
    char *without;             /* owned; file of ids of samples that are gone already, or "" */
    struct real_list mean,
        std; /* override the file's, per channel; empty: the file's (tables: none) */
};

/* Exactly one of the three says what is to be forgotten. */
struct forget_opts {
    double ratio;            /* share of the training set, or 0 */
    int64_t seed;            /* of that share */
    char *ids;               /* owned; text or HDF5 file of sample ids, or "" */
    struct int_list classes; /* all training samples with these labels */
    int poison;              /* they have wrong labels in training */
};

#endif
