/* The kinds of files: how each is named, and which of its arrays its digest covers. */
#ifndef IAU_IO_FORMATS_H
#define IAU_IO_FORMATS_H

#include "io/record.h"

/* The attribute `format` of the root. */
#define DATASET_FORMAT "iau-dataset"
#define MODEL_FORMAT   "iau-model"
#define RESULTS_FORMAT "iau-results"
#define RESTART_FORMAT "iau-restart"

/** Local. What people call a file of this format, NULL for one that is no record's: a dataset file
 * is read in pieces. */
const char *format_text(const char *format);
/** Local. The digest of a record as its format, one of the last three, wants it. @return IAU_OK or
 * IAU_ERR_MEM */
int format_digest(const char *format, const struct record *r, char hex[DIGEST_CHARS]);

#endif
