/* The entry points of libFuzzer; the environment variable IAU_FUZZ_FORMAT names the format. */
#include <stdio.h>
#include <stdlib.h>

#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (!fuzz_choose(getenv("IAU_FUZZ_FORMAT"))) {
        fprintf(stderr, "IAU_FUZZ_FORMAT names no format\n");
        exit(1);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_one(data, size);
    return 0;
}
