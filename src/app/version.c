/* What this build is; the Makefile defines the macros for this file alone. */
#include "app/version.h"

const char *version_text(void)
{
    return IAU_VERSION;
}

const char *version_compiler(void)
{
    return "gcc " __VERSION__;
}

const char *version_arch(void)
{
    return IAU_ARCH;
}
