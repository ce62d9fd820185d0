/* Outputs and the settings that they were made with, as text, one `key = value` a line: what is
 * there already of an output, and what it differs in. Local; rank 0 looks. */
#ifndef IAU_IO_OUTPUT_H
#define IAU_IO_OUTPUT_H

struct record;

enum output_state { OUTPUT_MISSING, OUTPUT_DONE, OUTPUT_RESUMABLE };

/* An output on its way. */
struct output {
    const char *path, *restart_path; /* borrowed; of the file, and of what there is of it so far */
    const char *settings;            /* borrowed; what it is to be made with */
    const char *unknown; /* key of a last line of settings that is not known yet; NULL: all are */
};

/** The line of `text` that sets `key`, or NULL; without its newline in *length. */
const char *output_setting(const char *text, const char *key, int *length);
/** Compare the settings stored in the file `path` (NULL: none) with those of now. @return IAU_OK or
 * `code`, with a message that names the settings that differ and ends with `advice` */
int output_compare(const char *path, const char *there, const char *here, int code,
                   const char *advice);
/** The same for settings whose keys begin with one of `sections`, a list that ends with NULL. */
int output_compare_sections(const char *path, const char *there, const char *here,
                            const char *const *sections, int code, const char *advice);
/** Whether each setting of `here` whose key begins with one of `sections` has the same value there.
 * What `there` has beyond these is not looked at. */
int output_agrees(const char *there, const char *here, const char *const *sections);
/** Whether a file was made by this job before it was requeued, so that --force, which replaces
 * outputs once, has replaced it. @param r  its attributes */
int output_is_of_requeued(const struct record *r);
/** Is the file there, or a restart file? Settings that differ are IAU_ERR_EXISTS naming them,
 * unless `force`, which counts a file as missing, and a restart file of other settings, too; but
 * not a file of the same settings that this job has made before it was requeued. The folder must be
 * there. */
int output_find(const struct output *o, int force, enum output_state *state);

#endif
