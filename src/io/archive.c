/* ZIP archives through libzip. */
#include "io/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "core/error.h"
#include "core/memory.h"

int archive_open(struct archive *a, const char *path)
{
    int code = 0;
    *a = (struct archive){.path = mem_strdup(path)};
    if (!a->path)
        return FAIL(IAU_ERR_MEM, "no memory to open %s", path);
    a->zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    if (a->zip)
        return IAU_OK;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    int rc = code == ZIP_ER_OPEN || code == ZIP_ER_READ || code == ZIP_ER_NOENT ? IAU_ERR_IO
             : code == ZIP_ER_MEMORY                                            ? IAU_ERR_MEM
                                                                                : IAU_ERR_FORMAT;
    rc = FAIL(rc, "%s: cannot open the archive: %s", path, zip_error_strerror(&error));
    zip_error_fini(&error);
    return rc;
}

void archive_close(struct archive *a)
{
    if (a->zip)
        zip_discard(a->zip);
    free(a->path);
    *a = (struct archive){0};
}

int archive_has(const struct archive *a, const char *name)
{
    return zip_name_locate(a->zip, name, 0) >= 0;
}

void archive_list(const struct archive *a, char *text, int64_t room)
{
    zip_int64_t n = zip_get_num_entries(a->zip, 0);
    text[0] = '\0';
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(a->zip, (zip_uint64_t)i, 0);
        size_t at = strlen(text);
        if (name)
            snprintf(text + at, (size_t)room - at, "%s%s", at ? ", " : "", name);
    }
}

static int fail(const struct archive_member *m, const char *verb)
{
    const char *why =
        m->file ? zip_error_strerror(zip_file_get_error(m->file)) : zip_strerror(m->archive->zip);
    return FAIL(IAU_ERR_FORMAT, "%s: cannot %s %s: %s", m->archive->path, verb, m->name, why);
}

int archive_member_open(struct archive_member *m, const struct archive *a, const char *name)
{
    zip_stat_t st;
    *m = (struct archive_member){.archive = a, .name = mem_strdup(name)};
    if (!m->name)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", a->path);
    if (zip_stat(a->zip, name, 0, &st) != 0 || !(st.valid & ZIP_STAT_SIZE) || st.size > INT64_MAX)
        return fail(m, "find");
    m->size = (int64_t)st.size;
    return archive_member_rewind(m);
}

int archive_member_rewind(struct archive_member *m)
{
    if (m->file)
        zip_fclose(m->file);
    m->file = zip_fopen(m->archive->zip, m->name, 0);
    return m->file ? IAU_OK : fail(m, "open");
}

int archive_member_read(struct archive_member *m, int64_t n, void *out)
{
    for (int64_t done = 0; done < n;) {
        zip_int64_t got = zip_fread(m->file, (char *)out + done, (zip_uint64_t)(n - done));
        if (got < 0)
            return fail(m, "read");
        if (got == 0)
            return FAIL(IAU_ERR_FORMAT, "%s: %s is truncated", m->archive->path, m->name);
        done += got;
    }
    return IAU_OK;
}

int archive_member_end(struct archive_member *m)
{
    char more;
    zip_int64_t got = zip_fread(m->file, &more, 1); /* at the end libzip compares checksums */
    if (got < 0)
        return fail(m, "read");
    return got == 0 ? IAU_OK
                    : FAIL(IAU_ERR_FORMAT, "%s: %s is longer than its header says",
                           m->archive->path, m->name);
}

void archive_member_close(struct archive_member *m)
{
    if (m->file)
        zip_fclose(m->file);
    free(m->name);
    *m = (struct archive_member){0};
}
