/* dotenv.h - a file of NAME=value lines, as the present daemon reads it from its directory. Pure.
 * The dialect: one NAME=value a line, or "NAME: value"; "export " may stand before it, spaces and
 * tabs around each part. Blank lines, and from a # on that begins a line or follows a blank, is
 * nothing. A value is plain to the end of its line, without blanks at its ends; in '...' as it is;
 * in "..." with \n, \r, \t for those characters and \X for any other X. Both kinds of quotes may
 * go over several lines, and only a comment may follow them. $NAME and ${NAME} in a plain value and
 * in "..." stand for what an earlier line gave that name, nothing where none did; \$ is a $.
 * Of lines with one name the last counts. A NUL, and any other control character outside of quotes
 * but the tab, is a fault, as is what isn't UTF-8. A line with a fault is left out, and no other.
 * Source: Nairi agents API, sections "Environment variables" and "Env vars"; the dialect is that of
 * the godotenv package. */
#pragma once
#include "util/cleanup.h"
#include "util/strv.h"
#include <stddef.h>

enum {
    DOTENV_SIZE_MAX = 256 * 1024, /* of a file, and of all values together */
    DOTENV_VALUE_MAX = 32 * 1024,
    DOTENV_NAME_MAX = 128,
    DOTENV_ENTRIES_MAX = 512,
    DOTENV_FAULTS_MAX = 16 /* that are told; the last one says that there are more */
};

struct dotenv_entry {
    char *name, *value;
    unsigned line, column; /* of the name, from 1 */
};

/* { 0 } is an empty one. */
struct dotenv {
    struct dotenv_entry *items;
    size_t len;
    struct strv faults; /* "FILE:LINE:COLUMN: what is wrong", without anything of the line */
};

/* file: for the faults. */
void dotenv_parse(const char *file, const char *text, size_t len, struct dotenv *ret_dotenv);
/* NULL: it isn't there. Borrowed. */
const struct dotenv_entry *dotenv_find(const struct dotenv *d, const char *name);
void dotenv_done(struct dotenv *d); /* wipes the values */
