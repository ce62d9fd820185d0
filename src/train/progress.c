/* The live record of a run. */
#include "train/progress.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

int progress_open(struct progress *p, const char *dir)
{
    size_t size = strlen(dir) + 16;
    char *path = malloc(size);
    if (!path)
        return FAIL(IAU_ERR_MEM, "no memory for a file name");
    snprintf(path, size, "%s/progress.csv", dir);
    int rc = IAU_OK;
    p->csv = fopen(path, "a");
    if (!p->csv)
        rc = FAIL(IAU_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    else if (ftell(p->csv) == 0)
        fprintf(p->csv,
                "model,event,number,loss,loss_valid,accuracy_valid,samples_per_s,seconds\n");
    free(path);
    return rc;
}

void progress_close(struct progress *p)
{
    if (p->csv)
        fclose(p->csv);
    p->csv = NULL;
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
