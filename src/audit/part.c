/* Files of the audit. */
#define _GNU_SOURCE /* asprintf */
#include "part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "io/file.h"
#include "io/formats.h"

int part_engine(struct engine *e, const struct audit *a, const struct train_opts *train,
                const struct comm *group)
{
    int rc = engine_init(e, a->model, a->dataset, (int)train->unit, a->mean, a->std, group);
    e->memory_bytes = a->memory_bytes;
    return rc;
}

int part_init(struct part *p, const struct audit *a, char *name, char *settings)
{
    *p = (struct part){.name = name, .settings = settings};
    if (!name || !settings || asprintf(&p->path, "%s/%s.h5", a->folder, name) < 0)
        p->path = NULL;
    if (!p->path || asprintf(&p->restart_path, "%s/%s.restart.h5", a->folder, name) < 0)
        p->restart_path = NULL;
    return p->restart_path ? IAU_OK : FAIL(IAU_ERR_MEM, "no memory for the names of shadows");
}

void part_free(struct part *p)
{
    free(p->name);
    free(p->path);
    free(p->restart_path);
    free(p->settings);
    *p = (struct part){0};
}

int part_find(const struct part *p, const struct audit *a, const char *unknown,
              enum output_state *state)
{
    struct output o = {p->path, p->restart_path, p->settings, unknown};
    return output_find(&o, a->force, state);
}

int part_look(const struct part *p, const struct audit *a, const struct comm *group,
              enum output_state *state)
{
    int rc = group->rank == 0 ? part_find(p, a, NULL, state) : IAU_OK;
    rc = comm_agree(group, rc);
    comm_bcast(group, state, sizeof *state, 0);
    return rc;
}

struct restart part_restart(const struct part *p, const struct audit *a, enum output_state state)
{
    return (struct restart){.path = p->restart_path,
                            .settings = p->settings,
                            .name = p->name,
                            .opts = a->checkpoint,
                            .resume = state == OUTPUT_RESUMABLE,
                            .strict = a->strict,
                            .mixed = !a->same_bytes};
}

int part_write(const struct part *p, const struct audit *a, struct record *r, int same_bytes)
{
    int rc = IAU_OK;
    char digest[DIGEST_CHARS], settings_digest[DIGEST_CHARS];
    TRY(format_digest(SHADOW_FORMAT, r, digest));
    TRY(digest_of(p->settings, strlen(p->settings), settings_digest));
    TRY(record_set_text(r, "/", "format", SHADOW_FORMAT));
    TRY(record_set_text(r, "/", "name", p->name));
    TRY(record_set_text(r, "/", "digest", digest));
    TRY(record_set_text(r, "/", "settings", p->settings));
    TRY(record_set_text(r, "/", "settings_digest", settings_digest));
    TRY(a->hooks.describe(a->hooks.ctx, r, same_bytes));
    TRY(record_write(r, p->path));
    TRY(restart_remove(p->restart_path));
out:
    return rc;
}

int part_read(const struct part *p, const char *prefix, struct record *r)
{
    int rc = record_read_part(r, p->path, prefix);
    if (rc != IAU_OK)
        return rc;
    rc = output_compare(p->path, record_text(r, "/", "settings", NULL), p->settings, IAU_ERR_DATA,
                        "make it again with `iau audit --force`, or set what it was made with");
    if (rc != IAU_OK)
        record_free(r);
    return rc;
}
