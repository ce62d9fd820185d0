/* The kinds of files: how each is named, and which of its arrays its digest covers. */
#ifndef IAU_IO_FORMATS_H
#define IAU_IO_FORMATS_H

#include "io/record.h"

/* The attribute `format` of the root. */
#define DATASET_FORMAT  "iau-dataset"
#define MODEL_FORMAT    "iau-model"
#define RESULTS_FORMAT  "iau-results"
#define RESTART_FORMAT  "iau-restart"
#define CAMPAIGN_FORMAT "iau-campaign"
#define STATE_FORMAT    "iau-state"
#define FAILURE_FORMAT  "iau-failure"
#define SHADOW_FORMAT   "iau-shadow"

/** Local. What people call a file of this format, NULL for one that is no record's: a dataset file
 * is read in pieces. */
const char *format_text(const char *format);
/** Local. The digest of a record as its format, any but the first, wants it. @return IAU_OK or
 * IAU_ERR_MEM */
int format_digest(const char *format, const struct record *r, char hex[DIGEST_CHARS]);

/** Local. Whether a derived file may be put in place at `path`: older files of the same format are
 * replaced, others with `force` only. @return IAU_OK, IAU_ERR_EXISTS, IAU_ERR_IO or IAU_ERR_MEM */
int format_check_target(const char *path, const char *format, int force);

#endif
