/* The binary versions of CIFAR-10 and CIFAR-100: records of one or two label bytes and 3 planes of
 * 32x32 pixels. */
#include <stdlib.h>

#include "core/error.h"
#include "core/memory.h"
#include "data/reader.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE };

static const char *const cifar10_name[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                           "dog",      "frog",       "horse", "ship", "truck"};
static const char *const coarse_name[] = {"aquatic_mammals",
                                          "fish",
                                          "flowers",
                                          "food_containers",
                                          "fruit_and_vegetables",
                                          "household_electrical_devices",
                                          "household_furniture",
                                          "insects",
                                          "large_carnivores",
                                          "large_man-made_outdoor_things",
                                          "large_natural_outdoor_scenes",
                                          "large_omnivores_and_herbivores",
                                          "medium_mammals",
                                          "non-insect_invertebrates",
                                          "people",
                                          "reptiles",
                                          "small_mammals",
                                          "trees",
                                          "vehicles_1",
                                          "vehicles_2"};
static const char *const fine_name[] = {
    "apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
    "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow_tree", "wolf",          "woman",     "worm"};

/* What tells the two apart. */
struct kind {
    const char *format, *title;
    struct import_names names;
    int n_head; /* label bytes of a record */
};

static const struct kind cifar10 = {
    "cifar10",
    "CIFAR-10",
    {"cifar-10-batches-bin",
     {(const char *const[]){"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                            "data_batch_4.bin", "data_batch_5.bin", NULL},
      (const char *const[]){"test_batch.bin", NULL}}},
    1};
static const struct kind cifar100 = {
    "cifar100",
    "CIFAR-100",
    {"cifar-100-binary",
     {(const char *const[]){"train.bin", NULL}, (const char *const[]){"test.bin", NULL}}},
    2};

struct cifar {
    const struct kind *kind;
    int label_at; /* which label byte counts */
    struct import_paths paths;
    struct import_file *file[N_PART]; /* owned, [paths.n] */
    enum dataset_part part;           /* of the pass, and in it */
    int at;                           /* the file that comes next */
    int64_t row;                      /* and the record in it */
};

static int record_bytes(const struct kind *k)
{
    return k->n_head + PIXELS;
}

static int open_batch(struct import_file *f, const struct kind *k, const char *path)
{
    int rc = import_file_open(f, path);
    if (rc != IAU_OK)
        return rc;
    if (f->size % record_bytes(k))
        return FAIL(IAU_ERR_FORMAT, "%s has %lld bytes, no multiple of the %d of a %s record", path,
                    (long long)f->size, record_bytes(k), k->title);
    return IAU_OK;
}

static int open_kind(struct import_reader *r, const struct kind *k)
{
    struct cifar *s = mem_alloc(1, sizeof *s);
    r->state = s;
    if (!s)
        return FAIL(IAU_ERR_MEM, "no memory to read %s", k->title);
    s->kind = k;
    int rc = import_paths_init(&s->paths, r, k->format, &k->names);
    for (enum dataset_part part = PART_TRAIN; part < N_PART && rc == IAU_OK; part++) {
        s->file[part] = mem_alloc(s->paths.n[part], sizeof *s->file[part]);
        if (!s->file[part])
            rc = FAIL(IAU_ERR_MEM, "no memory to read %s", k->title);
        for (int i = 0; i < s->paths.n[part] && rc == IAU_OK; i++) {
            rc = open_batch(&s->file[part][i], k, s->paths.path[part][i]);
            r->n[part] += s->file[part][i].size / record_bytes(k);
        }
    }
    r->ndim = 3;
    r->dims[0] = 3;
    r->dims[1] = r->dims[2] = SIDE;
    r->is_u8 = 1;
    return rc;
}

static int open_cifar10(struct import_reader *r)
{
    r->n_class = sizeof cifar10_name / sizeof *cifar10_name;
    r->class_name = cifar10_name;
    return open_kind(r, &cifar10);
}

static int open_cifar100(struct import_reader *r)
{
    int is_fine = r->opts->labels == LABELS_FINE;
    r->n_class =
        is_fine ? sizeof fine_name / sizeof *fine_name : sizeof coarse_name / sizeof *coarse_name;
    r->class_name = is_fine ? fine_name : coarse_name;
    int rc = open_kind(r, &cifar100);
    if (rc == IAU_OK)
        ((struct cifar *)r->state)->label_at = is_fine;
    return rc;
}

static int start_cifar(struct import_reader *r, enum dataset_part part)
{
    struct cifar *s = r->state;
    int rc = IAU_OK;
    for (int i = 0; i < s->paths.n[part] && rc == IAU_OK; i++)
        rc = import_file_rewind(&s->file[part][i]);
    s->part = part;
    s->at = 0;
    s->row = 0;
    return rc;
}

/* The next n records of one file. */
static int read_records(const struct import_reader *r, struct import_file *f, int64_t n,
                        const struct import_rows *to, int64_t first)
{
    const struct cifar *s = r->state;
    int n_head = s->kind->n_head;
    uint8_t head[2];
    if (!to->x && !to->label)
        return import_file_skip(f, n * record_bytes(s->kind));
    for (int64_t i = 0; i < n; i++) {
        int rc = import_file_read(f, n_head, head);
        if (rc == IAU_OK)
            rc = import_file_read(f, PIXELS, (uint8_t *)to->x + (first + i) * PIXELS);
        if (rc != IAU_OK)
            return rc;
        if (head[s->label_at] >= r->n_class)
            return FAIL(IAU_ERR_FORMAT, "%s: label %d in row %lld is not in 0..%d", f->path,
                        head[s->label_at], (long long)(s->row + i), r->n_class - 1);
        to->label[first + i] = head[s->label_at];
    }
    return IAU_OK;
}

static int next_cifar(struct import_reader *r, int64_t n, const struct import_rows *to)
{
    struct cifar *s = r->state;
    for (int64_t done = 0, k; done < n; done += k) {
        struct import_file *f = &s->file[s->part][s->at];
        int64_t left = f->size / record_bytes(s->kind) - s->row;
        k = n - done < left ? n - done : left;
        int rc = read_records(r, f, k, to, done);
        if (rc == IAU_OK && k == left)
            rc = import_file_end(f);
        if (rc != IAU_OK)
            return rc;
        s->row = k == left ? 0 : s->row + k;
        s->at += k == left;
    }
    return IAU_OK;
}

static void close_cifar(struct import_reader *r)
{
    struct cifar *s = r->state;
    for (enum dataset_part part = PART_TRAIN; s && part < N_PART; part++) {
        for (int i = 0; s->file[part] && i < s->paths.n[part]; i++)
            import_file_close(&s->file[part][i]);
        free(s->file[part]);
    }
    if (s)
        import_paths_free(&s->paths);
    free(s);
    r->state = NULL;
}

const struct import_format import_cifar10 = {
    .name = "cifar10",
    .help = "CIFAR-10, binary version: a folder with data_batch_1.bin to data_batch_5.bin and "
            "test_batch.bin, or such files listed, the test batch last",
    .data_name = "cifar10",
    .takes = TAKES_TEST_FILES,
    .open = open_cifar10,
    .start = start_cifar,
    .next = next_cifar,
    .close = close_cifar,
};

const struct import_format import_cifar100 = {
    .name = "cifar100",
    .help =
        "CIFAR-100, binary version: a folder with train.bin and test.bin, or such files listed, "
        "the test part last; labels: the 100 fine ones, or the 20 coarse ones",
    .data_name = "cifar100",
    .takes = TAKES_TEST_FILES | TAKES_LABELS,
    .open = open_cifar100,
    .start = start_cifar,
    .next = next_cifar,
    .close = close_cifar,
};
