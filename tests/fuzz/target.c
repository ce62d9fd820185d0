/* An import of bytes, up to the writing. The files are real ones, in TMPDIR: HDF5 takes no others.
 */
#define _GNU_SOURCE /* memmem */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/data/import_private.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory.h"

enum { MOST_FILES = 4, PATH_CHARS = 4096, MOST_BYTES = 64 << 20 };

/* Options in the first byte. */
enum { LAST_IS_TEST = 1, WITH_IDS = 2, OTHER_WAY = 4, SHUFFLED = 8 };

static const struct import_format *chosen;
static char path[MOST_FILES][PATH_CHARS]; /* as far as made */

static void remove_files(void)
{
    for (int i = 0; i < MOST_FILES && *path[i]; i++)
        unlink(path[i]);
}

int fuzz_choose(const char *format)
{
    log_init(0, LOG_LEVEL_QUIET);
    atexit(remove_files);
    for (int i = 0; import_formats[i]; i++)
        if (format && strcmp(import_formats[i]->name, format) == 0)
            chosen = import_formats[i];
    return chosen != NULL;
}

static void put_file(int i, const uint8_t *data, size_t size)
{
    if (!*path[i]) {
        const char *folder = getenv("TMPDIR");
        snprintf(path[i], PATH_CHARS, "%s/source-%d-%d", folder ? folder : "/tmp", (int)getpid(),
                 i);
    }
    FILE *f = fopen(path[i], "wbe");
    REQUIRE(f && fwrite(data, 1, size, f) == size);
    REQUIRE(fclose(f) == 0);
}

static int put_files(const uint8_t *data, size_t size)
{
    static const char mark[] = FUZZ_MARK;
    int n = 0;
    for (size_t length = 0; n < MOST_FILES; n++) {
        const uint8_t *next = memmem(data, size, mark, sizeof mark - 1);
        length = next ? (size_t)(next - data) : size;
        put_file(n, data, length);
        if (!next)
            return n + 1;
        data = next + sizeof mark - 1;
        size -= length + sizeof mark - 1;
    }
    return n;
}

/* All rows of a part, in windows as the writer takes them. */
static int read_part(struct import_plan *p, enum dataset_part part)
{
    int64_t n = p->n[part], most = n < p->window_rows ? n : p->window_rows;
    struct import_rows to = {.x = mem_alloc(most, p->row_bytes),
                             .label = mem_alloc(most, sizeof(int32_t)),
                             .id = p->reader->has_ids ? mem_alloc(most, sizeof(int64_t)) : NULL};
    int rc = to.x && to.label && (!p->reader->has_ids || to.id) ? IAU_OK : IAU_ERR_MEM;
    for (int64_t first = 0; first < n && rc == IAU_OK; first += most) {
        int64_t k = n - first < most ? n - first : most;
        rc = import_plan_take(p, part, first, k, &to);
        for (int64_t i = 0; i < k && rc == IAU_OK; i++)
            REQUIRE(to.label[i] >= 0 && to.label[i] < p->reader->n_class);
    }
    free(to.x);
    free(to.label);
    free(to.id);
    return rc;
}

static int read_all(struct import_reader *r)
{
    struct import_plan plan = {0};
    int rc = chosen->open(r);
    if (rc == IAU_OK) {
        REQUIRE(r->n[PART_TRAIN] > 0 && r->n[PART_TEST] >= 0 && r->n_class >= 2);
        REQUIRE((r->ndim == 1 || r->ndim == 3) && r->dims[0] > 0);
        rc = import_plan_init(&plan, chosen, r);
    }
    for (enum dataset_part part = PART_TRAIN; part < N_PART && rc == IAU_OK; part++)
        if ((int64_t)plan.row_bytes <=
            MOST_BYTES / (plan.n[part] < plan.window_rows ? plan.n[part] : plan.window_rows))
            rc = read_part(&plan, part);
    import_plan_free(&plan);
    chosen->close(r);
    return rc;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    int flags = data[0], n = put_files(data + 1, size - 1), n_test = 0;
    char *file[MOST_FILES];
    for (int i = 0; i < n; i++)
        file[i] = path[i];
    if (flags & LAST_IS_TEST && n > 1)
        n_test = n > 2 ? 2 : 1;
    struct source_opts o = {.format = (char *)chosen->name,
                            .files = {n - n_test, file},
                            .test_files = {n_test, file + n - n_test},
                            .test_fraction = flags & LAST_IS_TEST ? 0 : 0.4,
                            .test_seed = 1,
                            .shuffle = flags & SHUFFLED ? 2 : -1};
    if (flags & WITH_IDS && chosen->takes & TAKES_ID)
        o.id = (char *)"id";
    if (flags & OTHER_WAY && chosen->takes & TAKES_LABELS)
        o.labels = LABELS_COARSE;
    if (flags & OTHER_WAY && chosen->takes & TAKES_LAYOUT)
        o.layout = LAYOUT_HWC;
    struct import_reader r = {.opts = &o, .name = "fuzz"};
    int rc = read_all(&r);
    REQUIRE((rc == IAU_OK) == (*error_message() == '\0') || rc == IAU_ERR_MEM);
    error_clear();
    return rc == IAU_OK;
}
