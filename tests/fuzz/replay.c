/* Runs files through a target, without a fuzzer. Says how many were read to their end; none is a
 * failure, since then nothing was tried.
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
    int n_whole = 0;
    for (int i = 2; i < argc; i++) {
        char *data;
        size_t size;
        if (file_read_all(argv[i], &data, &size, MOST_BYTES) != IAU_OK) {
            error_show(-1);
            return 1;
        }
        n_whole += fuzz_one((const uint8_t *)data, size);
        free(data);
    }
    printf("%s: %d inputs, %d of them whole\n", argv[1], argc - 2, n_whole);
    return n_whole == 0;
}
