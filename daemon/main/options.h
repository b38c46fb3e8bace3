/* options.h - a verb's flags, from one table: parser, --help, and the manual page's test read it.
 * Over getopt_long(3). A row stores its argument in the caller's struct (offset), or sets a
 * setting by its key. Every verb has -h, --help without a row. An unknown flag is answered with
 * the nearest one and EX_USAGE; so is one that is cut short. */
#pragma once
#include "settings/settings.h"
#include <stddef.h>

enum options_type {
    OPTIONS_SWITCH,  /* no argument; bool at offset becomes true */
    OPTIONS_TEXT,    /* const char * at offset, borrowed from argv; the last one given wins */
    OPTIONS_TEXTS,   /* likewise, all that are given: struct strv at offset */
    OPTIONS_SETTING, /* sets the key of the same row: to the argument, or without one to value */
    OPTIONS_LIST,    /* adds its argument to the key of the same row, a list; may be repeated */
    OPTIONS_PAIR,    /* an argument KEY=VALUE sets that key; may be repeated */
};

struct options_row {
    const char *name; /* the long flag, without dashes */
    char letter;      /* the short one, 0 for none */
    enum options_type type;
    const char *argument; /* how --help names the argument; NULL: the flag has none */
    size_t offset;        /* OPTIONS_SWITCH, OPTIONS_TEXT, OPTIONS_TEXTS */
    const char *key;      /* OPTIONS_SETTING, OPTIONS_LIST: the settings key */
    const char *value;    /* OPTIONS_SETTING without an argument: what the key becomes */
    const char *help;     /* one line, no full stop */
};

struct options_spec {
    const char *verb;    /* "ask" */
    const char *usage;   /* what follows the verb, as in "[--job ID] PROMPT" */
    const char *summary; /* a sentence or two for --help, lines of at most 79 columns */
    const char *notes;   /* printed below the flags, NULL for nothing */
    const struct options_row *rows;
    size_t row_count;
    const struct options_spec *base; /* further rows, for verbs that share flags; NULL */
    size_t operands_min, operands_max;
    bool stops_at_operand; /* everything from the first operand on belongs to it */
};

/* What was given besides the struct's members. { 0 } is empty; options_done() frees. */
struct options {
    struct settings_flag *flags; /* fit for settings_input; values borrowed from argv */
    size_t flag_count;
    struct strv owned; /* strings that flags points to */
    char **operands;   /* borrowed from argv */
    size_t operand_count;
};

/* True: carry on. False: it has said on stdout (--help) or stderr (wrong usage) what there was to
 * say, and the verb returns *ret_exit. values: the struct of the offsets. Reorders argv. */
bool options_parse(const struct options_spec *spec, int argc, char **argv, void *values,
                   struct options *ret_options, int *ret_exit);
/* "nairid VERB: MESSAGE. See 'nairid VERB --help'." on stderr; returns EX_USAGE. */
int options_refuse(const struct options_spec *spec, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void options_done(struct options *o);
