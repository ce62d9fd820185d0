/* From the files data sets are published as to one dataset file. A format is a reader
 * (data/reader.h) that hands out rows in order; one writer, working in bounded memory, serves them
 * all. */
#ifndef IAU_DATA_IMPORT_H
#define IAU_DATA_IMPORT_H

#include "data/opts.h"

struct comm;
struct import_format;

struct import_request {
    const struct source_opts *source; /* what to read, and how */
    const struct import_format
        *reader;     /* of the caller's own, instead of source->format, or NULL */
    const char *out; /* the dataset file */
    int force;       /* replace an existing file */
};

/** Collective. Write a dataset file from its sources: rank 0 reads and writes, all agree. An
 * existing file is IAU_ERR_EXISTS unless `force` is set, and whole on every error. Memory does not
 * grow with the samples; rows that are drawn (test_fraction, shuffle) or bring their ids take some
 * 24 bytes each.
 *  @return IAU_OK, IAU_ERR_USAGE, IAU_ERR_EXISTS, IAU_ERR_IO, IAU_ERR_FORMAT, IAU_ERR_DATA or
 * IAU_ERR_MEM */
int import_run(const struct import_request *request, const struct comm *comm);

#endif
