/* What a reader of a format is, and tools to write one with. Everything here is local to rank 0. */
#ifndef IAU_DATA_READER_H
#define IAU_DATA_READER_H

#include <stdint.h>

#include "data/dataset.h"
#include "data/opts.h"

/* Where rows go; what is NULL is not wanted. */
struct import_rows {
    void *x; /* [n][dims], uint8 or float */
    int32_t *label;
    int64_t *id;
};

/* What a reader's `open` finds out, and its state between calls. */
struct import_reader {
    const struct source_opts *opts; /* borrowed */
    const char *name;               /* borrowed; of the data set, for class names */
    int64_t n[N_PART];              /* rows; 0 in PART_TEST: the source has no test part */
    int ndim;                       /* of a sample: 3 for [c][h][w], 1 for [d] */
    int64_t dims[3];
    int is_u8; /* samples are uint8, else float */
    int n_class;
    const char *const *class_name; /* borrowed, [n_class]; NULL: "0", "1", ... */
    int has_ids;                   /* the source has ids; else they are made of row numbers */
    void *state;                   /* the reader's own; released by `close` */
};

/* Options that only some formats take; the others are refused before `open`. */
enum {
    TAKES_TEST_FILES = 1,
    TAKES_X = 2,
    TAKES_Y = 4,
    TAKES_ID = 8,
    TAKES_TEST_ARRAYS = 16, /* test_x, test_y, test_id */
    TAKES_LABELS = 32,
    TAKES_EXTRA = 64,
    TAKES_LAYOUT = 128
};

struct import_format {
    const char *name, *help;
    const char
        *data_name; /* default name of the data set; NULL: from the source or the output file */
    unsigned takes;
    /** Open the sources, check their headers, and fill in the reader. A text source is read once
     * here, to count its rows and learn its classes. */
    int (*open)(struct import_reader *r);
    /** Begin with a part at its first row, as often as wanted. */
    int (*start)(struct import_reader *r, enum dataset_part part);
    /** The next `n` rows of that part: samples as stored, labels in [0, n_class). Rows of which
     * nothing is wanted are passed over fast. After the last row the reader checks that its source
     * ends there. */
    int (*next)(struct import_reader *r, int64_t n, const struct import_rows *to);
    /** Release the state; fine on a reader whose `open` failed. */
    void (*close)(struct import_reader *r);
};

/** All formats, ended by NULL. */
extern const struct import_format *const import_formats[];
extern const struct import_format import_idx, import_cifar10, import_cifar100, import_purchase,
    import_svhn, import_csv, import_numpy, import_hdf5;

/** Whether a text option is given. */
static inline int source_has(const char *text)
{
    return text && *text;
}

/* --- source files */

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
/** Read up to n bytes, fewer only at the end of the file. @param got  how many */
int import_file_read_some(struct import_file *f, int64_t n, void *out, int64_t *got);
/** Pass over n bytes. */
int import_file_skip(struct import_file *f, int64_t n);
/** Go back to the first byte. */
int import_file_rewind(struct import_file *f);
/** Check early that the file can hold the `n` bytes that its header promises: exactly so many if
 * plain. */
int import_file_check_size(struct import_file *f, int64_t n);
/** Whether it is not compressed; after the first read. */
int import_file_is_plain(const struct import_file *f);
/** Check that the file ends here. */
int import_file_end(struct import_file *f);
/** Close; fine on a zeroed or closed file. */
void import_file_close(struct import_file *f);
/** DIRECTORY/NAME, the caller frees; NULL when memory is short. */
char *import_join(const char *directory, const char *name);

/* --- text sources */

/* A text source, plain or gzip, record by record. A record is a line; a newline between quotes is
 * part of it. */
struct import_text {
    struct import_file file;
    char *buffer; /* owned, [size + 1] */
    size_t size, begin, end;
    int at_end;              /* all of the file is in the buffer */
    int64_t line, next_line; /* where the current record begins, and the next one; from 1 */
};

int import_text_open(struct import_text *t, const char *path);
/** The next record that is not empty, without the end of its line; *text is NULL after the last
 * one. It ends in a NUL, and may be changed until the next call. */
int import_text_next(struct import_text *t, char **text);
void import_text_close(struct import_text *t);
/** Cut the field off that *at points to: *field is NUL-terminated, without quotes, and without
 * blanks around it where it has none; *at becomes the next field, NULL after the last one.
 *  @return 0 if the quotes in it are wrong */
int import_text_field(char **at, char **field);
/** Whether a text is a finite number, and which. */
int import_number(const char *text, double *x);
/** Whether a text is an integer of 64 bits, and which. */
int import_integer(const char *text, int64_t *x);

/* The different labels of a source, in the making and then in order. */
struct import_classes {
    int n, room;
    char **name; /* owned, each owned; sorted: by value if all are numbers, else as bytes */
    int *slot;   /* owned, [room]; a hash table of indices into name, or -1 */
};

/** Add a label, unless it is there. @return IAU_OK, IAU_ERR_DATA (too many, in the file `path`) or
 * IAU_ERR_MEM */
int import_classes_add(struct import_classes *c, const char *name, const char *path);
/** Bring them into their order; none may be added afterwards. @return IAU_OK or IAU_ERR_DATA (fewer
 * than two) */
int import_classes_sort(struct import_classes *c, const char *path);
/** The index of a label, -1 if it is not there. */
int import_classes_find(const struct import_classes *c, const char *name);
void import_classes_free(struct import_classes *c);

/* --- files of a published data set */

/* The files of both parts. */
struct import_paths {
    int n[N_PART];
    char **path[N_PART]; /* owned, each owned */
};

/* The names that a data set's files have in its folder. */
struct import_names {
    const char *folder; /* that the published archive unpacks to; may lie in the one given */
    const char *const *name[N_PART]; /* each ended by NULL */
};

/** The files that the options name: a folder with the standard names; or files, with test_files or
 * a test_fraction all of the training part, and else the last one the test part.
 *  @return IAU_OK, IAU_ERR_USAGE or IAU_ERR_MEM */
int import_paths_init(struct import_paths *p, const struct import_reader *r, const char *format,
                      const struct import_names *names);
void import_paths_free(struct import_paths *p);

#endif
