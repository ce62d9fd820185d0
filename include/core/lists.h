/* Lists of values as settings hold them. */
#ifndef IAU_CORE_LISTS_H
#define IAU_CORE_LISTS_H

#include <stdint.h>

struct text_list {
    int64_t n;
    char **v; /* owned, each owned */
};

struct int_list {
    int64_t n;
    int64_t *v; /* owned */
};

struct real_list {
    int64_t n;
    double *v; /* owned */
};

#endif
