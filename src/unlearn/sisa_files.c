/* Files of an ensemble in the making. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "io/output.h"
#include "sisa_private.h"
#include "unlearn/sisa.h"

void sisa_file_free(struct sisa_file *f)
{
    free(f->name);
    free(f->path);
    free(f->restart_path);
}

int sisa_file_init(struct sisa_file *f, const char *restart_path, const struct train_opts *t,
                   int64_t shard, int64_t slice)
{
    static const char tail[] = ".restart.h5";
    size_t n = strlen(restart_path), n_tail = sizeof tail - 1;
    REQUIRE(n > n_tail && strcmp(restart_path + n - n_tail, tail) == 0);
    *f = (struct sisa_file){NULL, NULL, NULL};
    int made = t->slices > 1
                   ? asprintf(&f->name, "shard_%lld.slice_%lld", (long long)shard, (long long)slice)
                   : asprintf(&f->name, "shard_%lld", (long long)shard);
    if (made < 0)
        f->name = NULL;
    if (!f->name || asprintf(&f->path, "%.*s.%s.h5", (int)(n - n_tail), restart_path, f->name) < 0)
        f->path = NULL;
    if (!f->path ||
        asprintf(&f->restart_path, "%.*s.%s%s", (int)(n - n_tail), restart_path, f->name, tail) < 0)
        f->restart_path = NULL;
    if (f->restart_path)
        return IAU_OK;
    sisa_file_free(f);
    *f = (struct sisa_file){NULL, NULL, NULL};
    return FAIL(IAU_ERR_MEM, "no memory for the names of shards");
}

int sisa_file_exchange(struct engine *e, struct restart *like, const struct sisa_file *f, float *w,
                       struct history *history, int writes)
{
    struct restart_item item[] = {{RESTART_PARAMS, "/params", w},
                                  {RESTART_BUFFERS, "/buffers", w},
                                  {RESTART_HISTORY, "/history", history}};
    struct restart_state state = {"its end", sizeof item / sizeof *item, item};
    struct restart done = *like;
    done.path = f->path;
    done.name = f->name;
    done.opts.keep = 1;
    int rc = writes ? restart_write(&done, e, &state) : restart_load(&done, e, &state);
    like->mixed = done.mixed;
    return rc;
}

int sisa_file_find(const struct restart *r, const char *path, uint8_t *is_there)
{
    enum output_state state;
    struct output o = {.path = path, .restart_path = path, .settings = r->settings};
    int rc = output_find(&o, r->force, &state);
    *is_there = rc == IAU_OK && state != OUTPUT_MISSING;
    return rc;
}

int sisa_remove(const char *path, const struct train_opts *train)
{
    int rc = IAU_OK;
    for (int64_t i = 0; i < train->shards * train->slices && rc == IAU_OK; i++) {
        struct sisa_file f;
        rc = sisa_file_init(&f, path, train, i / train->slices, i % train->slices);
        if (rc == IAU_OK)
            rc = restart_remove(f.path);
        if (rc == IAU_OK)
            rc = restart_remove(f.restart_path);
        sisa_file_free(&f);
    }
    return rc;
}
