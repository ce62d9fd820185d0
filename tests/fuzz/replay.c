/* Runs files through a target, without a fuzzer.
 * usage: replay FORMAT FILE... */
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "io/file.h"
#include "target.h"

enum { MOST_BYTES = 1 << 24 };

int main(int argc, char **argv)
{
    if (argc < 2 || !fuzz_choose(argv[1])) {
        fprintf(stderr, "usage: replay FORMAT FILE...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *data;
        size_t size;
        if (file_read_all(argv[i], &data, &size, MOST_BYTES) != IAU_OK) {
            error_show(-1);
            return 1;
        }
        fuzz_one((const uint8_t *)data, size);
        free(data);
    }
    printf("%s: %d inputs\n", argv[1], argc - 2);
    return 0;
}
