/* Settings texts compared, and the state of outputs. */
#include "io/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/record.h"
#include "io/scheduler.h"

/* The line of `text` that sets `key` (of the given length), or NULL; without its newline in
 * *length. */
static const char *find_key(const char *text, const char *key, size_t key_length, int *length)
{
    for (const char *line = text; *line;
         line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
        *length = (int)strcspn(line, "\n");
        if (strncmp(line, key, key_length) == 0 && strncmp(line + key_length, " = ", 3) == 0)
            return line;
    }
    return NULL;
}

const char *output_setting(const char *text, const char *key, int *length)
{
    return find_key(text, key, strlen(key), length);
}

/* A text that is written in pieces, as far as there is room. */
struct writer {
    char *out;
    size_t at, size;
};

/* "KEY (VALUE there, VALUE here)"; NULL stands for a setting that a side does not have. Of a digest
 * the beginning is enough. */
static void write_difference(struct writer *w, const char *line, int key, const char *there,
                             int n_there, const char *here, int n_here)
{
    int skip = key + 3, most = key > 7 && strncmp(line + key - 7, ".digest", 7) == 0 ? 12 : 100;
    int there_chars = there ? n_there - skip : 7, here_chars = here ? n_here - skip : 7;
    if (w->at + 1 < w->size)
        w->at += (size_t)snprintf(
            w->out + w->at, w->size - w->at, "%s%.*s (%.*s there, %.*s here)", w->at ? ", " : "",
            key, line, there_chars < most ? there_chars : most, there ? there + skip : "not set",
            here_chars < most ? here_chars : most, here ? here + skip : "not set");
}

/* What differs between two settings texts, up to `size` characters. A digest counts where nothing
 * explains it. */
static void describe_difference(const char *there, const char *here, char *out, size_t size)
{
    struct writer w = {out, 0, size};
    const char *const text[2] = {here, there};
    out[0] = 0;
    for (int side = 0; side < 2; side++)
        for (const char *line = text[side]; *line;
             line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
            int n = (int)strcspn(line, "\n"), n_other = 0;
            const char *equals = strstr(line, " = ");
            int key = equals && equals - line < n ? (int)(equals - line) : n;
            const char *other = key < n ? find_key(text[!side], line, (size_t)key, &n_other) : line;
            int is_digest = key > 7 && strncmp(line + key - 7, ".digest", 7) == 0;
            if (key == n ||
                (other && (side == 1 || (n_other == n && strncmp(other, line, (size_t)n) == 0))) ||
                (is_digest && w.at))
                continue;
            write_difference(&w, line, key, side ? line : other, side ? n : n_other,
                             side ? NULL : line, n);
        }
}

int output_compare(const char *path, const char *there, const char *here, int code,
                   const char *advice)
{
    char difference[600];
    if (there && strcmp(there, here) == 0)
        return IAU_OK;
    if (!there)
        return FAIL(code, "%s is no model file of iau; %s", path, advice);
    describe_difference(there, here, difference, sizeof difference);
    return FAIL(code, "%s was made with other settings: %s; %s", path, difference, advice);
}

static int is_in_section(const char *line, const char *const *sections)
{
    for (int i = 0; sections[i]; i++)
        if (strncmp(line, sections[i], strlen(sections[i])) == 0)
            return 1;
    return 0;
}

/* The lines of a settings text that are in one of the sections. The caller frees. */
static char *select_lines(const char *text, const char *const *sections)
{
    char *out = mem_alloc((int64_t)strlen(text) + 1, 1);
    size_t at = 0, n;
    for (const char *line = text; out && *line; line += n) {
        n = strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n');
        if (is_in_section(line, sections)) {
            memcpy(out + at, line, n);
            at += n;
        }
    }
    return out;
}

int output_compare_sections(const char *path, const char *there, const char *here,
                            const char *const *sections, int code, const char *advice)
{
    char *a = there ? select_lines(there, sections) : NULL, *b = select_lines(here, sections);
    int rc = b && (a || !there) ? output_compare(path, a, b, code, advice)
                                : FAIL(IAU_ERR_MEM, "no memory for settings as text");
    free(a);
    free(b);
    return rc;
}

int output_agrees(const char *there, const char *here, const char *const *sections)
{
    for (const char *line = here; *line;
         line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
        const char *equals = strstr(line, " = ");
        int n = (int)strcspn(line, "\n"), n_there;
        if (!equals || !is_in_section(line, sections))
            continue;
        const char *other = find_key(there, line, (size_t)(equals - line), &n_there);
        if (!other || n_there != n || strncmp(other, line, (size_t)n) != 0)
            return 0;
    }
    return 1;
}

int output_is_of_requeued(const struct record *r)
{
    char job[SCHEDULER_JOB_CHARS];
    return scheduler_has_requeued() && *scheduler_job(job) &&
           strcmp(record_text(r, "/", "job", ""), job) == 0;
}

/* Is the file at `path` made with the output's settings? @param requeued  NULL: nobody asks */
static int compare_file(const char *path, const struct output *o, int *requeued)
{
    static const char advice[] = "use --force to replace it, or another folder";
    struct record r = {0};
    int rc = record_read_attributes(&r, path);
    if (rc == IAU_ERR_FORMAT) {
        char why[600];
        snprintf(why, sizeof why, "%s", error_message());
        error_clear();
        rc = FAIL(IAU_ERR_EXISTS, "%s, and in the way of an output; %s", why, advice);
    } else if (rc == IAU_OK) {
        char *there = mem_strdup(record_text(&r, "/", "settings", NULL));
        int length;
        char *last =
            there && o->unknown ? (char *)output_setting(there, o->unknown, &length) : NULL;
        if (last)
            *last = '\0';
        rc = output_compare(path, there, o->settings, IAU_ERR_EXISTS, advice);
        free(there);
    }
    if (requeued)
        *requeued = rc == IAU_OK && output_is_of_requeued(&r);
    record_free(&r);
    return rc;
}

int output_find(const struct output *o, int force, enum output_state *state)
{
    int rc = IAU_OK, there = file_exists(o->path), requeued = 0;
    *state = OUTPUT_MISSING;
    if (there != 1 || force)
        TRY(file_check_target(o->path));
    if (force) { /* a forced run that was stopped goes on, too */
        if (there == 1 && compare_file(o->path, o, &requeued) == IAU_OK && requeued)
            *state = OUTPUT_DONE;
        else if (file_exists(o->restart_path) && compare_file(o->restart_path, o, NULL) == IAU_OK)
            *state = OUTPUT_RESUMABLE;
        error_clear();
        return IAU_OK;
    }
    if (there) {
        TRY(compare_file(o->path, o, NULL));
        *state = OUTPUT_DONE;
    } else if (file_exists(o->restart_path)) {
        TRY(compare_file(o->restart_path, o, NULL));
        *state = OUTPUT_RESUMABLE;
    }
out:
    return rc;
}
