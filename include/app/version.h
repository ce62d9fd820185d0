/* What this build is. */
#ifndef IAU_APP_VERSION_H
#define IAU_APP_VERSION_H

/** Local. Version with the source revision; compiler; architecture setting of the build. Static
 * texts. */
const char *version_text(void);
const char *version_compiler(void);
const char *version_arch(void);

#endif
