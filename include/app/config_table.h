/* The table of settings: a row says all there is to know about one, and the parser, the checks, the
 * texts in output files, `--help` and the README's reference are driven by it. For the config
 * modules and the command line. */
#ifndef IAU_APP_CONFIG_TABLE_H
#define IAU_APP_CONFIG_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "core/lists.h"
#include "unlearn/opts.h"

enum setting_type {
    SETTING_INT,    /* int64_t */
    SETTING_REAL,   /* double */
    SETTING_SWITCH, /* int; on or off */
    SETTING_CHOICE, /* enum; one of `choices`, in the order of the enum */
    SETTING_TEXT,   /* char *, owned; one of `choices` if there are any */
    SETTING_INTS,   /* struct int_list */
    SETTING_REALS,  /* struct real_list */
    SETTING_TEXTS   /* struct text_list */
};

/* In which outputs' bytes a setting has a say; also: into which of their settings texts it goes. */
enum { IN_ORIGIN = 1, IN_RETRAIN = 2, IN_METHOD = 4 };

enum { OPEN_LO = 1, OPEN_HI = 2 }; /* the bound itself is outside the range */

struct setting {
    const char *key; /* dotted; a method's without `methods.NAME.` */
    enum setting_type type;
    size_t offset;        /* in struct config; a method's in struct method_opts */
    const char *fallback; /* the default as text, NULL: empty */
    const char *choices;  /* names separated by '|', or NULL */
    double lo, hi;        /* of numbers and of the numbers in lists */
    int open;             /* OPEN_LO, OPEN_HI */
    int multiple;         /* integers must be a multiple of this, if > 0 */
    int scopes;           /* IN_ORIGIN, IN_RETRAIN, IN_METHOD */
    unsigned methods;     /* a method's: bit m is set where it belongs to the method m; 0: to all */
    const char *unit;     /* or NULL */
    const char *help;
};

struct setting_table {
    int n;
    const struct setting *row;
};

/* A value as somebody wrote it. */
struct setting_value {
    const char *where;            /* file and line, or the override: opens every message */
    const char *key;              /* as messages name the setting */
    const struct text_list *text; /* the elements of a list, or one scalar */
    int is_list;
};

/** Local. All settings but those of a method; offsets are in struct config. */
struct setting_table config_table(void);
/** Local. The settings of the entries of `methods`, and those of entries of one method; offsets are
 * in struct method_opts. In the first a key may stand more than once. */
struct setting_table config_methods_table(void);
struct setting_table config_method_table(enum method_name method);
/** Local. A method's name in settings. */
const char *config_method_name(enum method_name method);
/** Local. The row of a key, NULL if there is none. */
const struct setting *setting_find(struct setting_table t, const char *key);
/** Local. Whether a key is a section, such as `train.optimizer`. */
int setting_is_section(struct setting_table t, const char *key);
/** Local. The setting or section that somebody may have meant by `key`, NULL if nothing is near.
 * The text lives until the next call. */
const char *setting_nearest(struct setting_table t, const char *key);
/** Local. The one of `n` words that is nearest to `word`, NULL if none is near. */
const char *word_nearest(const char *word, const char *const *words, int n);

/** Local. Check a value and store it at `field`; what was there is released. On error `field` keeps
 * its value.
 *  @return IAU_OK, IAU_ERR_CONFIG or IAU_ERR_MEM */
int setting_assign(const struct setting *s, void *field, const struct setting_value *value);
/** Local. Store the default. */
int setting_default(const struct setting *s, void *field);
/** Local. Release what a field owns. */
void setting_free(const struct setting *s, void *field);
/** Local. Print a value as YAML: reals with the fewest digits that read back the same, texts quoted
 * where needed. */
void setting_print(FILE *f, const struct setting *s, const void *field);
/** Local. Print a text as a YAML scalar, quoted where needed. */
void setting_print_text(FILE *f, const char *text);
/** Local. What a setting takes, for people: "integer", "list of reals", "adam|sgd". */
const char *setting_type_text(const struct setting *s);
/** Local. The range for people, such as "> 0" or "1 to 64, multiple of 16"; "" if any value will
 * do.
 *  @param[out] buf  room for 80 characters */
void setting_range_text(const struct setting *s, char *buf);
/** Local. The option of `iau import` that a setting is, data.source.test_seed for --test-seed; ""
 * for one that is none. */
enum { SOURCE_OPTION_CHARS = 32 };
void setting_source_option(const struct setting *s, char name[SOURCE_OPTION_CHARS]);
/** Local. Print words in lines of at most 80 columns, each after `indent` blanks. */
void config_print_wrapped(FILE *f, const char *text, int indent);
/** Local. Print the options of `iau import` that are settings. */
void config_print_source_options(FILE *f);
/** Local. Bytes of a field of this type. */
size_t setting_size(enum setting_type type);

#endif
