/* What this build is; the Makefile defines the macros for this file alone. */
#include "app/version.h"

const char *version_text(void)
{
    return IAU_VERSION;
}

const char *version_compiler(void)
{
#ifdef __clang__ /* which defines __VERSION__ as "Debian Clang 14.0.6" and the like */
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *version_arch(void)
{
    return IAU_ARCH;
}
