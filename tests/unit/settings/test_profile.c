#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "settings/profile.h"
#include "settings/table.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

static void read_source(const char *path, struct buf *b)
{
    AUTO_FREE char *whole = mem_printf("%s/%s", NAIRID_SOURCE, path);
    struct err err = { 0 };

    if (fd_read_file(whole, 1 << 20, b, &err) < 0)
        fail_msg("%s", err.text);
}

static void read_profile(const char *name, struct buf *b)
{
    AUTO_FREE char *path = mem_printf("config/profiles/%s.yaml", name);

    read_source(path, b);
}

static struct profile *must_load(const char *name)
{
    struct profile *p = NULL;
    struct err err = { 0 };

    if (profile_load(name, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

/* ---- the ones that are built in ---- */

static void what_is_built_in_is_what_the_files_say(void **state)
{
    size_t count = 0;
    const char *name;

    (void)state;
    for (; (name = profile_name(count)); count++) {
        CLEANUP(buf_done) struct buf file = { 0 };
        size_t len = 0;
        const char *text = profile_text(name, &len);

        read_profile(name, &file);
        assert_non_null(text);
        assert_int_equal(len, file.len);
        assert_memory_equal(text, file.data, len);
    }
    assert_int_equal(count, 3);
    for (const struct profile_embedded *e = profile_embedded; e->name; e++)
        count--;
    assert_int_equal(count, 0); /* and no other file is there */
}

static void each_of_them_can_be_read(void **state)
{
    static const struct {
        const char *name, *network;
        bool terminals, debugging;
    } cases[] = { { "strict", "none", false, false },
                  { "agent", "allowlist", true, true },
                  { "host", "host", true, true } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_PTR(profile_free) struct profile *p = must_load(cases[i].name);

        assert_string_equal(p->name, cases[i].name);
        assert_string_equal(p->network, cases[i].network);
        assert_int_equal(p->terminals, cases[i].terminals);
        assert_int_equal(p->calls, cases[i].debugging
                                       ? PROFILE_CALLS_ALL
                                       : PROFILE_CALLS_ALL & ~(unsigned)PROFILE_DEBUGGING);
        assert_string_equal(p->paths.items[0].name, "/usr");
        assert_int_equal(p->paths.items[0].words, PROFILE_READ | PROFILE_EXECUTE);
        assert_string_equal(p->env.items[0].name, "PATH");
    }
}

static void they_are_the_ones_that_can_be_chosen(void **state)
{
    CLEANUP(buf_done) struct buf names = { 0 };
    const char *name;

    (void)state;
    for (size_t i = 0; (name = profile_name(i)); i++)
        buf_printf(&names, "%s%s", i > 0 ? " " : "", name);
    assert_string_equal(buf_str(&names), table_find("sandbox.profile", NULL)->choices);
}

/* A list's entry without a comment would be there for a reason that nobody knows. */
static void every_line_says_what_it_is_for(void **state)
{
    const char *name;

    (void)state;
    for (size_t i = 0; (name = profile_name(i)); i++) {
        CLEANUP(buf_done) struct buf file = { 0 };
        char *rest, *line;
        bool said = false; /* by a comment above */

        read_profile(name, &file);
        rest = file.data;
        while ((line = strsep(&rest, "\n"))) {
            bool is_text = str_starts_with(line, "    "); /* of a file that is made */
            bool is_comment = str_starts_with(line, "#") || str_starts_with(line, "  #");

            if (*line && !is_text && !is_comment && !said && !strstr(line, " # "))
                fail_msg("%s.yaml: '%s'", name, line);
            said = is_comment;
        }
    }
}

static void the_manual_explains_every_key_word_and_group(void **state)
{
    static const char *const words[] = { "read", "execute", "optional", "mirror" };
    CLEANUP(buf_done) struct buf page = { 0 };
    const char *name, *section;

    (void)state;
    read_source("packaging/man/nairid.yaml.5", &page);
    section = strstr(buf_str(&page), ".Sh PROFILES\n");
    assert_non_null(section);
    for (size_t i = 0; (name = profile_key(i)); i++) {
        AUTO_FREE char *item = mem_printf(".It Va %s\n", name);

        if (!strstr(section, item))
            fail_msg("the manual page doesn't explain %s", name);
    }
    for (size_t i = 0; (name = profile_calls_name(i)) || i < ARRAY_SIZE(words); i++) {
        AUTO_FREE char *group = name ? mem_printf(".It Ql %s\n", name) : NULL;
        AUTO_FREE char *word =
            i < ARRAY_SIZE(words) ? mem_printf(".It Ql %s\n", words[i]) : mem_strdup(".It");

        if ((group && !strstr(section, group)) || !strstr(section, word))
            fail_msg("the manual page doesn't explain %s", group ? group : word);
    }
}

/* ---- what a file can get wrong ---- */

#define REST                                                                                       \
    "terminals: no\npaths: {/usr: [read]}\ndevices: [/dev/null]\nlinks: {}\nfiles: {}\n"           \
    "env: {PATH: /bin}\n"
#define USUAL "network: none\ncalls: [files]\n" REST

static void the_least_is_enough(void **state)
{
    CLEANUP_PTR(profile_free) struct profile *p = NULL;

    (void)state;
    assert_int_equal(profile_parse("x", "own", USUAL, strlen(USUAL), &p, NULL), 0);
    assert_string_equal(p->name, "own");
    assert_int_equal(p->calls, PROFILE_FILES);
    assert_int_equal(p->paths.items[0].line, 4);
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "x: want a map of keys" },
        { "- a", "x: want a map of keys" },
        { USUAL "path: {}\n", "x:9:1: no key is called 'path'; did you mean 'paths'?" },
        { USUAL "env: {}\n", "x:9:1: 'env' is here a second time; the first is at x:8:1" },
        { "calls: [files]\n" REST, "x: the key 'network' is missing" },
        { "network: allow\ncalls: []\n" REST, "x:1:1: no network mode is called 'allow'" },
        { "network: none\ncalls: [file]\n" REST,
          "x:2:9: no group of calls is called 'file'; did you mean 'files'?" },
        { "network: none\ncalls: [files, files]\n" REST, "x:2:16: it is named twice" },
        { "terminals: maybe\n", "x:1:1: no answer is called 'maybe'" },
        { "paths: [/usr]\n", "x:1:1: want a map" },
        { "paths: {/usr: read}\n", "x:1:9: want a list" },
        { "paths: {/usr: [rea]}\n", "x:1:16: no word is called 'rea'; did you mean 'read'?" },
        { "paths: {/usr: [optional]}\n", "the word 'read' is missing" },
        { "paths: {/usr/../root: [read]}\n", "x:1:9: want an absolute path" },
        { "paths: {/: [read]}\n", "x:1:9: want an absolute path" },
        { "devices: [/etc/x]\n", "x:1:11: want a path below /dev" },
        { "devices: [/dev/../etc]\n", "x:1:11: want an absolute path" },
        { "links: {/a: ~}\n", "x:1:9: want text" },
        { "links: {/a: \"\"}\n", "x:1:9: want where it points" },
        { "files: {a: b}\n", "x:1:9: want an absolute path" },
        { "env: {A=B: c}\n", "x:1:7: want a variable's name" },
        { "paths: {/usr: [read]\n", "x:2:1: not valid YAML" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct profile *p = NULL;
        struct err err = { 0 };
        const char *text = cases[i].text;

        assert_int_equal(profile_parse("x", "own", text, strlen(text), &p, &err), -EINVAL);
        assert_null(p);
        if (!strstr(err.text, cases[i].want))
            fail_msg("'%s' instead of '%s'", err.text, cases[i].want);
    }
}

static void a_name_that_nobody_knows_is_refused(void **state)
{
    static const char *const names[] = { "", "Agent", "none", "agent ", NULL };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct profile *p = NULL;
        struct err err = { 0 };

        assert_int_equal(profile_load(names[i], &p, &err), -EINVAL);
        assert_null(p);
        assert_non_null(strstr(err.text, "sandbox.profile"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_in_is_what_the_files_say),
        cmocka_unit_test(each_of_them_can_be_read),
        cmocka_unit_test(they_are_the_ones_that_can_be_chosen),
        cmocka_unit_test(every_line_says_what_it_is_for),
        cmocka_unit_test(the_manual_explains_every_key_word_and_group),
        cmocka_unit_test(the_least_is_enough),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(a_name_that_nobody_knows_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
