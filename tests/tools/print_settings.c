/* Prints the Markdown reference of all settings, from the table that drives the parser; `make
 * readme` puts it into README.md. */
#include <stdio.h>
#include <stdlib.h>

#include "app/config.h"

int main(void)
{
    char *text = config_reference(1);
    fputs(text ? text : "", stdout);
    free(text);
    return 0;
}
