/* What the fuzzers feed: the reader of one format, with an input as its source files. */
#ifndef IAU_TESTS_FUZZ_TARGET_H
#define IAU_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/** Choose the format by its name. @return whether there is one */
int fuzz_choose(const char *format);
/** Open the input as sources of that format and read all rows of both parts in the order of an
 * import, without writing anything. The first byte holds options (see target.c), the rest is the
 * files, with FUZZ_MARK between two of them. Aborts where the reader breaks its contract.
 *  @return whether the reader took all of it */
int fuzz_one(const uint8_t *data, size_t size);

#define FUZZ_MARK "\n#next file#\n"

#endif
