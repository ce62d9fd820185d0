/* The live record of a run. */
#include "train/progress.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"

static int open_csv(struct progress *p)
{
    p->csv = fopen(p->path, "a");
    if (!p->csv)
        return FAIL(IAU_ERR_IO, "cannot write %s: %s", p->path, strerror(errno));
    if (ftell(p->csv) == 0)
        fprintf(p->csv,
                "model,event,number,loss,loss_valid,accuracy_valid,samples_per_s,seconds\n");
    return IAU_OK;
}

int progress_open(struct progress *p, const char *dir)
{
    int64_t size = (int64_t)strlen(dir) + 16;
    p->path = mem_alloc(size, 1);
    if (!p->path)
        return FAIL(IAU_ERR_MEM, "no memory for a file name");
    snprintf(p->path, (size_t)size, "%s/progress.csv", dir);
    return open_csv(p);
}

void progress_close(struct progress *p)
{
    if (p->csv)
        fclose(p->csv);
    free(p->path);
    *p = (struct progress){0};
}

/* Move the lines to keep to the front of `text`; @return their length */
static size_t keep_lines(char *text, const char *start, int64_t done)
{
    size_t kept = 0, n_start = strlen(start);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        if (strncmp(line, start, n_start) == 0 && strtoll(line + n_start, NULL, 10) > done)
            continue;
        memmove(text + kept, line, (size_t)(end + 1 - line));
        kept += (size_t)(end + 1 - line);
    }
    return kept; /* without a last line that was cut short */
}

int progress_begin(struct progress *p, const char *model, const char *event, int64_t done)
{
    char *text = NULL, start[256];
    size_t n_bytes;
    int rc = IAU_OK;
    if (!p->csv)
        return IAU_OK;
    snprintf(start, sizeof start, "%s,%s,", model, event);
    fflush(p->csv);
    TRY(file_read_all(p->path, &text, &n_bytes, SIZE_MAX));
    size_t kept = keep_lines(text, start, done);
    if (kept == n_bytes)
        goto out;
    fclose(p->csv);
    p->csv = NULL;
    TRY(file_write_atomic(p->path, text, kept));
    TRY(open_csv(p));
out:
    free(text);
    return rc;
}

static void field(FILE *f, double x)
{
    if (isnan(x))
        fputc(',', f);
    else
        fprintf(f, ",%.6g", x);
}

void progress_row(struct progress *p, const char *model, const char *event, int64_t number,
                  double loss, double loss_valid, double accuracy_valid, double samples_per_s,
                  double seconds)
{
    if (!p->csv)
        return;
    fprintf(p->csv, "%s,%s,%lld", model, event, (long long)number);
    field(p->csv, loss);
    field(p->csv, loss_valid);
    field(p->csv, accuracy_valid);
    field(p->csv, samples_per_s);
    field(p->csv, seconds);
    fputc('\n', p->csv);
    fflush(p->csv);
}
