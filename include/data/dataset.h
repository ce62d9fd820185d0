/* Dataset files: what `iau import` writes and every other command reads. The open dataset is its
 * description; samples are loaded by rows, each rank its own, with the default HDF5 driver. */
#ifndef IAU_DATA_DATASET_H
#define IAU_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "core/digest.h"
#include "io/formats.h"

struct comm;
struct poison;

/* Root attribute `version` of a dataset file, beside its `format`. */
enum { DATASET_VERSION = 1 };

enum dataset_part { PART_TRAIN, PART_TEST, N_PART };

struct dataset {
    char *path, *name; /* owned */
    char *source;      /* owned; where it comes from, "" if the file does not say */
    int64_t n[N_PART]; /* rows of each part, global */
    int c, h, w;       /* a sample; a table row is c = features, h = w = 1 */
    int is_u8;         /* stored as uint8, else float32 */
    int is_table;      /* stored as [n][d] */
    int n_class;       /* labels lie in [0, n_class) */
    char **class_name; /* owned, [n_class] */
    float *mean, *std; /* owned, [c]: of the train part, of stored values divided by dataset_unit */
    char digest[DIGEST_CHARS];   /* as stored in the file */
    const struct poison *poison; /* borrowed; labels that some rows of the training part are read
                                    with, whoever reads them, or NULL: those of the file */
};

/** Local. What stored values are divided by: uint8 images lie in [0, 1] then; tables are as they
 * are. */
static inline double dataset_unit(int is_u8, int is_table)
{
    return is_u8 && !is_table ? 255 : 1;
}

/** Collective. Open, check and describe a dataset file. `d` is empty, and safe to close, on error.
 *  @return IAU_OK, IAU_ERR_IO, IAU_ERR_FORMAT or IAU_ERR_MEM, equal on all ranks */
int dataset_open(struct dataset *d, const char *path, const struct comm *comm);
/** Local. The same on this rank alone. */
int dataset_open_local(struct dataset *d, const char *path);
/** Local. Whether a file says that it is a dataset file; whatever else it is, is no error here. */
int dataset_is_one(const char *path);
/** Local. Release; fine on an empty or closed `d`. */
void dataset_close(struct dataset *d);
/** Local. All labels or all ids of a part; the caller frees *out. Labels are range-checked. */
int dataset_read_labels(const struct dataset *d, enum dataset_part part, int32_t **out);
int dataset_read_ids(const struct dataset *d, enum dataset_part part, int64_t **out);

#endif
