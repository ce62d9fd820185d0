/* The header of a .npy file: a magic number, a version, and a dictionary as Python prints it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "npy.h"

enum { HEAD_MOST = 1 << 20, MAGIC_BYTES = 8 };

/* What stands behind 'key': in a dictionary as Python prints it, NULL if the key is not there. */
static const char *value_of(const char *dict, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = dict; (p = strstr(p, key)); p += n) {
        if (p == dict || (p[-1] != '\'' && p[-1] != '"') || p[n] != p[-1])
            continue;
        const char *behind = p + n + 1;
        behind += strspn(behind, " ");
        if (*behind == ':')
            return behind + 1 + strspn(behind + 1, " ");
    }
    return NULL;
}

int npy_refuse(const char *name, const char *what)
{
    return FAIL(IAU_ERR_FORMAT, "%s is no NumPy array: %s", name, what);
}

/* '<f4' and the like. */
static int read_type(struct npy *s, const char *name, const char *text)
{
    static const char *const known[] = {"b1", "u1", "u2", "u4", "u8", "i1",
                                        "i2", "i4", "i8", "f2", "f4", "f8"};
    char type[8] = "";
    if (text && (*text == '\'' || *text == '"')) {
        size_t n = strcspn(text + 1, "'\"");
        if (n < sizeof type)
            memcpy(type, text + 1, n);
    }
    int has_order = *type && strchr("<>|=", *type);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(type + has_order, known[i]) == 0) {
            s->kind = known[i][0];
            s->size = known[i][1] - '0';
            s->swap = *type == '>' && s->size > 1;
            return IAU_OK;
        }
    return FAIL(IAU_ERR_FORMAT,
                "%s: its type is %.20s, but bool, integers and floats of up to 8 bytes are read",
                name,
                *type  ? type
                : text ? "structured"
                       : "missing");
}

/* "(10, 3)"; more than ARRAY_MOST_DIMS extents are counted, not kept. */
static int read_shape(const char *name, const char *text, int *ndim, int64_t *dims)
{
    *ndim = 0;
    if (!text || *text != '(')
        return npy_refuse(name, "it has no shape");
    for (text++; *text != ')'; (*ndim)++) {
        char *end;
        errno = 0;
        long long extent = strtoll(text, &end, 10);
        if (end == text || errno || extent < 0)
            return npy_refuse(name, "its shape is no list of extents");
        if (*ndim < ARRAY_MOST_DIMS)
            dims[*ndim] = extent;
        text = end + strspn(end, " L");
        if (*text != ',' && *text != ')')
            return npy_refuse(name, "its shape is no list of extents");
        text += *text == ',';
        text += strspn(text, " ");
    }
    return IAU_OK;
}

static int read_dictionary(struct npy *s, const char *name, const char *dict, int *ndim,
                           int64_t *dims)
{
    const char *order = value_of(dict, "fortran_order");
    int rc = read_type(s, name, value_of(dict, "descr"));
    if (rc == IAU_OK)
        rc = read_shape(name, value_of(dict, "shape"), ndim, dims);
    if (rc != IAU_OK)
        return rc;
    s->by_columns = order && strncmp(order, "True", 4) == 0;
    return s->by_columns || (order && strncmp(order, "False", 5) == 0)
               ? IAU_OK
               : npy_refuse(name, "its order is neither C nor Fortran");
}

int npy_read_head(struct npy *s, const char *name, int *ndim, int64_t *dims)
{
    uint8_t head[MAGIC_BYTES + 4];
    char *dict = NULL;
    int rc = IAU_OK;
    TRY(npy_read_bytes(s, MAGIC_BYTES, head));
    if (memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        TRY(npy_refuse(name, "it does not begin like one of version 1 to 3"));
    int n_length = head[6] == 1 ? 2 : 4;
    TRY(npy_read_bytes(s, n_length, head));
    int64_t length = head[0] | head[1] << 8;
    if (n_length == 4)
        length |= (int64_t)head[2] << 16 | (int64_t)head[3] << 24;
    if (length > HEAD_MOST)
        TRY(npy_refuse(name, "its header is too long"));
    dict = mem_alloc(length + 1, 1);
    if (!dict)
        TRY(FAIL(IAU_ERR_MEM, "no memory to read %s", name));
    TRY(npy_read_bytes(s, length, dict));
    s->head = MAGIC_BYTES + n_length + length;
    TRY(read_dictionary(s, name, dict, ndim, dims));
out:
    free(dict);
    return rc;
}
