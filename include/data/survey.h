/* All of a dataset file, read once: whether it is whole, and what is in it. Everything here is
 * local. */
#ifndef IAU_DATA_SURVEY_H
#define IAU_DATA_SURVEY_H

#include "data/dataset.h"

struct dataset_survey {
    char digest[DIGEST_CHARS];
    double least[N_PART], most[N_PART]; /* of the stored values */
    int64_t *count[N_PART];             /* owned, [n_class]: samples of each class */
    int64_t id_least[N_PART], id_most[N_PART];
    int64_t n_twin; /* ids that another sample has, too */
};

/** Recompute the digest of a dataset file by reading all of it, which also verifies every chunk's
 * checksum.
 *  @param hex  the digest of the data; IAU_ERR_FORMAT where the stored one differs */
int dataset_verify(const char *path, char hex[DIGEST_CHARS]);
/** The same, with all that is seen on the way. `s` is safe to free on error. */
int dataset_survey(struct dataset_survey *s, const struct dataset *d);
void dataset_survey_free(struct dataset_survey *s);

#endif
