/* table.h - one row for each setting: the only list of them.
 * Parser, defaults, range errors, environment names, `nairid config`, and the tests of the example
 * file and of the manual page read it. Order: as printed and as in the manual page. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum table_type {
    TABLE_TEXT,        /* char * */
    TABLE_ID,          /* char *: visible ASCII without spaces, fit for an HTTP header */
    TABLE_URL,         /* char *: http(s)://HOST[:PORT][/PATH], no slash at the end */
    TABLE_PROXY,       /* char *: [SCHEME://][USER:PASSWORD@]HOST[:PORT]; the user part is secret */
    TABLE_PATH,        /* char *: absolute */
    TABLE_CHOICE,      /* char *: one of choices */
    TABLE_PERMISSIONS, /* enum settings_permissions */
    TABLE_NUMBER,      /* uint32_t */
    TABLE_PERCENT,     /* uint32_t */
    TABLE_MS,          /* uint32_t, a duration in milliseconds */
    TABLE_S,           /* uint32_t, a duration in seconds */
    TABLE_SIZE,        /* uint64_t, bytes */
    TABLE_WORDS,       /* struct strv */
    TABLE_PATHS,       /* struct strv: absolute paths */
    TABLE_HOSTS,       /* struct strv: entries of settings/allow.h */
    TABLE_ENV,         /* struct settings_pairs: {NAME: value} */
    TABLE_FILES,       /* struct settings_pairs: {NAME: {file: PATH}} */
    TABLE_SWITCH,      /* bool: on, off */
    TABLE_BROKERS,     /* struct broker_list: maps, settings/brokerfile.h */
};

struct table_row {
    const char *key; /* full name: "sandbox.limits.pids" */
    enum table_type type;
    size_t offset;        /* of the member of struct settings */
    const char *standard; /* the default, as in the YAML file */
    uint64_t min, max;    /* of numbers, in the unit that is stored */
    const char *choices;  /* of TABLE_CHOICE and TABLE_PERMISSIONS: words with a space between */
    const char *off; /* the text that means "none" and is stored as NULL; NULL: there is none */
    bool reloadable; /* SIGHUP may change it */
    bool fixed;      /* what it sets isn't in this version: any value but the default is refused */
    const char *help;
};

enum { TABLE_KEY_MAX = 64 }; /* longest key, with the NUL */

const struct table_row *table_row(size_t index); /* NULL past the end */
size_t table_len(void);
/* The row of a full name, or NULL. ret_index may be NULL. */
const struct table_row *table_find(const char *key, size_t *ret_index);
/* Whether keys begin with "SECTION.". */
bool table_is_section(const char *section);
/* What a person means who wrote key (full path as far as known): the full name of the nearest key
 * or section, or NULL. */
const char *table_nearest(const char *key);
/* Whether key names something that a later version has and this one hasn't ("forge", "nomic.x").
 */
bool table_is_planned(const char *key);
/* "NAIRID_SANDBOX_LIMITS_PIDS". Returns buffer. */
const char *table_variable(char buffer[TABLE_KEY_MAX + 8], const struct table_row *row);
