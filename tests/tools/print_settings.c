/* Prints the Markdown reference of all settings, from the table that drives the parser; `make readme` puts it into
 * README.md. */
#include "app/config.h"

int main(void)
{
    config_print_reference(1);
    return 0;
}
