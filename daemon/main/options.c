#include "main/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/exitcode.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

enum { ROWS_MAX = 32, FLAG_BASE = 256 }; /* FLAG_BASE + index: past every letter of getopt's */

static const struct options_row help_row = {
    .name = "help",
    .letter = 'h',
    .type = OPTIONS_SWITCH,
    .help = "print this and exit",
};

/* The rows of a verb, its base's and --help, in one list. */
struct rows {
    const struct options_row *items[ROWS_MAX];
    size_t len;
};

static void rows_add(struct rows *r, const struct options_row *row)
{
    if (r->len < ROWS_MAX)
        r->items[r->len++] = row;
}

static void rows_collect(struct rows *r, const struct options_spec *spec)
{
    for (const struct options_spec *s = spec; s; s = s->base)
        for (size_t i = 0; i < s->row_count; i++)
            rows_add(r, &s->rows[i]);
    rows_add(r, &help_row);
}

static const struct options_row *rows_find(const struct rows *r, int c)
{
    for (size_t i = 0; i < r->len; i++)
        if (c == FLAG_BASE + (int)i || (c < FLAG_BASE && c == r->items[i]->letter))
            return r->items[i];
    return NULL;
}

int options_refuse(const struct options_spec *spec, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "nairid %s: %s%s See 'nairid %s --help'.\n", spec->verb, text,
            str_ends_with(text, "?") ? "" : ".", spec->verb);
    return EX_USAGE;
}

static int refuse_unknown(const struct options_spec *spec, const struct rows *r, const char *word)
{
    const char *names[ROWS_MAX];
    const char *nearest;
    size_t len = strcspn(word, "=");
    char name[64];

    for (size_t i = 0; i < r->len; i++)
        names[i] = r->items[i]->name;
    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), word);
    nearest = str_nearest(name + strspn(name, "-"), names, r->len);
    if (nearest)
        return options_refuse(spec, "unknown flag '%s', did you mean '--%s'?", name, nearest);
    return options_refuse(spec, "unknown flag '%s'", name);
}

/* getopt_long(3) answered '?' or ':'. */
static int refuse_flag(const struct options_spec *spec, const struct rows *r, int c, char **argv)
{
    const struct options_row *row = optopt ? rows_find(r, optopt) : NULL;

    if (c == ':')
        return options_refuse(spec, "'--%s' needs an argument: %s", row ? row->name : "?",
                              row && row->argument ? row->argument : "?");
    if (row)
        return options_refuse(spec, "'--%s' takes no argument", row->name);
    if (optopt)
        return options_refuse(spec, "unknown flag '-%c'", optopt);
    return refuse_unknown(spec, r, argv[optind - 1]);
}

/* A copy that lives as long as o. */
static const char *own(struct options *o, char *s)
{
    strv_add(&o->owned, s);
    free(s);
    return o->owned.items[o->owned.len - 1];
}

static void flags_add(struct options *o, const char *key, const char *value,
                      const struct options_row *row)
{
    const char *flag = own(o, mem_printf("--%s", row->name));

    o->flags = mem_realloc(o->flags, (o->flag_count + 1) * sizeof *o->flags);
    o->flags[o->flag_count++] = (struct settings_flag){ .key = key, .value = value, .flag = flag };
}

static int take_pair(const struct options_spec *spec, const struct options_row *row,
                     const char *pair, struct options *o)
{
    const char *equals = strchr(pair, '=');

    if (!equals || equals == pair)
        return options_refuse(spec, "'--%s %s': want %s", row->name, pair, row->argument);
    flags_add(o, own(o, mem_strndup(pair, (size_t)(equals - pair))), equals + 1, row);
    return 0;
}

/* All of a list so far is one value, in the form in which settings take lists. */
static int take_item(const struct options_spec *spec, const struct options_row *row,
                     const char *item, struct options *o)
{
    if (strpbrk(item, "'\r\n"))
        return options_refuse(spec, "'--%s': want %s", row->name, row->argument);
    for (size_t i = 0; i < o->flag_count; i++) {
        struct settings_flag *flag = &o->flags[i];

        if (strcmp(flag->key, row->key) == 0 && strcmp(flag->flag + 2, row->name) == 0) {
            flag->value =
                own(o, mem_printf("%.*s, '%s']", (int)strlen(flag->value) - 1, flag->value, item));
            return 0;
        }
    }
    flags_add(o, row->key, own(o, mem_printf("['%s']", item)), row);
    return 0;
}

static int take(const struct options_spec *spec, const struct options_row *row, void *values,
                struct options *o)
{
    char *member = (char *)values + row->offset;

    switch (row->type) {
    case OPTIONS_SWITCH:
        memcpy(member, &(bool){ true }, sizeof(bool));
        return 0;
    case OPTIONS_TEXT:
        memcpy(member, &(const char *){ optarg }, sizeof(const char *));
        return 0;
    case OPTIONS_TEXTS:
        strv_add((struct strv *)(void *)member, optarg);
        return 0;
    case OPTIONS_SETTING:
        flags_add(o, row->key, row->argument ? optarg : row->value, row);
        return 0;
    case OPTIONS_LIST:
        return take_item(spec, row, optarg, o);
    case OPTIONS_PAIR:
        return take_pair(spec, row, optarg, o);
    }
    return EX_SOFTWARE;
}

static int flag_width(const struct options_row *row)
{
    return (int)(strlen(row->name) + (row->argument ? strlen(row->argument) + 1 : 0));
}

static void print_help(const struct options_spec *spec, const struct rows *r)
{
    int width = 0;

    for (size_t i = 0; i < r->len; i++)
        if (flag_width(r->items[i]) > width)
            width = flag_width(r->items[i]);
    printf("Usage: nairid %s%s%s\n\n%s\n\nFlags:\n", spec->verb, *spec->usage ? " " : "",
           spec->usage, spec->summary);
    for (size_t i = 0; i < r->len; i++) {
        const struct options_row *row = r->items[i];

        printf("  %c%c%c --%s%s%s%*s  %s\n", row->letter ? '-' : ' ',
               row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
               row->argument ? " " : "", row->argument ? row->argument : "",
               width - flag_width(row), "", row->help);
    }
    if (spec->notes)
        printf("\n%s\n", spec->notes);
}

/* The tables of getopt_long(3), made from the rows. */
static void make_tables(const struct options_spec *spec, const struct rows *r,
                        struct option longs[ROWS_MAX + 1], char shorts[2 * ROWS_MAX + 3])
{
    char *s = shorts;

    if (spec->stops_at_operand)
        *s++ = '+';
    *s++ = ':'; /* report a missing argument as ':' */
    for (size_t i = 0; i < r->len; i++) {
        const struct options_row *row = r->items[i];

        longs[i] = (struct option){ .name = row->name,
                                    .has_arg = row->argument ? required_argument : no_argument,
                                    .val = FLAG_BASE + (int)i };
        if (row->letter)
            *s++ = row->letter;
        if (row->letter && row->argument)
            *s++ = ':';
    }
    longs[r->len] = (struct option){ 0 };
    *s = '\0';
}

/* Whether the long flag that getopt_long(3) just found was cut short, which it takes: but what is
 * unambiguous today may be another flag tomorrow, and "--claude" must not mean more than it says.
 */
static bool is_cut_short(const struct options_row *row, char **argv)
{
    bool apart = row->argument && optarg == argv[optind - 1];
    const char *word = argv[optind - (apart ? 2 : 1)];

    return strcspn(word, "=") != strlen(row->name) + strlen("--");
}

/* Returns -1 to carry on, else the exit code. */
static int parse_flags(const struct options_spec *spec, const struct rows *r, int argc, char **argv,
                       void *values, struct options *o)
{
    struct option longs[ROWS_MAX + 1];
    char shorts[2 * ROWS_MAX + 3];
    int c, code;

    make_tables(spec, r, longs, shorts);
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct options_row *row = c == '?' || c == ':' ? NULL : rows_find(r, c);

        if (!row)
            return refuse_flag(spec, r, c, argv);
        if (c >= FLAG_BASE && is_cut_short(row, argv))
            return options_refuse(spec, "flags are written in full, did you mean '--%s'?",
                                  row->name);
        if (row == &help_row) {
            print_help(spec, r);
            return EX_OK;
        }
        code = take(spec, row, values, o);
        if (code != 0)
            return code;
    }
    return -1;
}

bool options_parse(const struct options_spec *spec, int argc, char **argv, void *values,
                   struct options *ret_options, int *ret_exit)
{
    struct options o = { 0 };
    struct rows r = { .len = 0 };
    int code;

    rows_collect(&r, spec);
    code = parse_flags(spec, &r, argc, argv, values, &o);
    if (code < 0) {
        o.operands = argv + optind;
        o.operand_count = (size_t)(argc - optind);
        if (o.operand_count > spec->operands_max)
            code = options_refuse(spec, "'%s' is one argument too many",
                                  o.operands[spec->operands_max]);
        else if (o.operand_count < spec->operands_min)
            code = options_refuse(spec, "an argument is missing");
    }
    if (code >= 0) {
        options_done(&o);
        *ret_exit = code;
        return false;
    }
    *ret_options = o;
    return true;
}

void options_done(struct options *o)
{
    free(o->flags);
    strv_done(&o->owned);
    *o = (struct options){ 0 };
}
