/* From the files data sets are published as to one dataset file. A format is a reader that hands
 * out rows in order; one writer, working in constant memory, serves them all. */
#ifndef IAU_DATA_IMPORT_H
#define IAU_DATA_IMPORT_H

#include <stdint.h>

#include "data/dataset.h"

struct comm;

struct import_format;

struct import_request {
    const char *format; /* a name from `import_formats` */
    const struct import_format
        *reader; /* a reader of the caller's own instead of a name, or NULL */
    int n_source;
    const char *const *source; /* files or a directory, as the format's help says */
    const char *out;           /* the dataset file */
    const char *name;          /* of the data set; NULL or "": from the source */
    int64_t shuffle_seed; /* permute the training rows, which keep their ids; -1: keep the order */
    int force;            /* replace an existing file */
};

/* What a reader's `open` finds out, and its state between calls. */
struct import_reader {
    int64_t n[N_PART]; /* rows */
    int ndim;          /* of a sample: 3 for [c][h][w], 1 for [d] */
    int64_t dims[3];
    int is_u8; /* samples are uint8, else float */
    int n_class;
    const char *const *class_name; /* borrowed, [n_class]; NULL: "0", "1", ... */
    char *source;                  /* owned by the importer; the files read, set by `open` */
    void *state;                   /* the reader's own; released by `close` */
};

struct import_format {
    const char *name, *help;
    const char
        *data_name; /* default name of the data set; NULL: from the source or the output file */
    /** Open the sources and check their headers. Parts may then be read in any order, the rows of
     * each in sequence.
     *  @param name  of the data set, for class names */
    int (*open)(struct import_reader *r, int n_source, const char *const *source, const char *name);
    /** The next `n` rows of a part: samples as stored, labels in [0, n_class). After the last row
     * the reader checks that its source ends there. */
    int (*next)(struct import_reader *r, enum dataset_part part, int64_t n, void *x,
                int32_t *label);
    /** Release the state; fine on a reader whose `open` failed. */
    void (*close)(struct import_reader *r);
};

/** All formats, ended by NULL. */
extern const struct import_format *const import_formats[];
extern const struct import_format import_idx, import_cifar10;

/** Collective. Write a dataset file from its sources: rank 0 reads and writes, all agree. An
 * existing file is IAU_ERR_EXISTS unless `force` is set, and whole on every error.
 *  @return IAU_OK, IAU_ERR_USAGE, IAU_ERR_EXISTS, IAU_ERR_IO, IAU_ERR_FORMAT, IAU_ERR_DATA or
 * IAU_ERR_MEM */
int import_run(const struct import_request *request, const struct comm *comm);

/* --- for readers */

/* A source file, compressed by gzip or plain. */
struct import_file {
    void *gz;     /* owned; a gzFile, NULL when closed */
    char *path;   /* owned */
    int64_t size; /* on disk */
};

/** Open for reading; only regular files. */
int import_file_open(struct import_file *f, const char *path);
/** Read exactly n bytes; a file that ends earlier or is damaged is IAU_ERR_FORMAT. */
int import_file_read(struct import_file *f, int64_t n, void *out);
/** Check early that the file can hold the `n` bytes that its header promises: exactly so many if
 * plain. */
int import_file_check_size(struct import_file *f, int64_t n);
/** Check that the file ends here. */
int import_file_end(struct import_file *f);
/** Close; fine on a zeroed or closed file. */
void import_file_close(struct import_file *f);
/** The text "FORMAT: FILE, FILE, ..."; NULL when memory is short. The caller frees. */
char *import_source_text(const char *format, int n_file, const struct import_file *file);
/** DIRECTORY/NAME, the caller frees; NULL when memory is short. */
char *import_join(const char *directory, const char *name);

#endif
