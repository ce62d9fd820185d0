/* The kinds of files and their digests. */
#include "io/formats.h"

#include <string.h>

#include "core/error.h"
#include "io/file.h"

static const struct format {
    const char *name, *text;
    const char *const *prefixes; /* of the arrays that the digest covers */
    int portable;                /* without seconds and memory */
} formats[] = {
    {MODEL_FORMAT, "model", (const char *const[]){"/params", "/buffers", NULL}, 0},
    {RESULTS_FORMAT, "results",
     (const char *const[]){"/epochs", "/steps", "/trials", "/evaluation", "/roc", NULL}, 1},
    {RESTART_FORMAT, "restart file", (const char *const[]){"/", NULL}, 0},
    {CAMPAIGN_FORMAT, "results of a campaign",
     (const char *const[]){"/row", "/settings", "/metrics", "/trials", NULL}, 1},
    {SHADOW_FORMAT, "shadow model",
     (const char *const[]){"/params", "/buffers", "/targets", "/samples", NULL}, 0},
    {STATE_FORMAT, "state of a run", (const char *const[]){NULL}, 0},
    {FAILURE_FORMAT, "failure of a method", (const char *const[]){NULL}, 0},
};

static const struct format *find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const char *format_text(const char *format)
{
    const struct format *f = find(format);
    return f ? f->text : NULL;
}

int format_digest(const char *format, const struct record *r, char hex[DIGEST_CHARS])
{
    const struct format *f = find(format);
    REQUIRE(f);
    return record_digest(r, f->prefixes, f->portable, hex);
}

int format_check_target(const char *path, const char *format, int force)
{
    struct record r = {0};
    int rc = file_check_target(path);
    if (rc != IAU_OK || force || !file_exists(path))
        return rc;
    rc = record_read_attributes(&r, path);
    if ((rc == IAU_OK && strcmp(record_text(&r, "/", "format", ""), format) != 0) ||
        rc == IAU_ERR_FORMAT) {
        error_clear();
        rc = FAIL(IAU_ERR_EXISTS,
                  "%s is in the way and no whole %s file; move it, or use --force to replace it",
                  path, format + 4); /* without "iau-" */
    }
    record_free(&r);
    return rc;
}
