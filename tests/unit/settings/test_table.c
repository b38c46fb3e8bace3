#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "settings/settings.h"
#include "settings/table.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

#define EXAMPLE NAIRID_SOURCE "/config/nairid.yaml"
#define MANUAL  NAIRID_SOURCE "/packaging/man/nairid.yaml.5"

static void read_file(const char *path, struct buf *b)
{
    struct err err = { 0 };

    if (fd_read_file(path, 1 << 20, b, &err) < 0)
        fail_msg("%s", err.text);
}

/* "#", up to two levels of two spaces each, a key and a colon: what the file's head says. */
static bool is_commented_setting(const char *line)
{
    size_t indent = strspn(line + 1, " ");
    const char *key = line + 1 + indent;
    size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyz_");

    return line[0] == '#' && indent % 2 == 0 && len > 0 && key[len] == ':';
}

/* The example with the "#" of every setting removed, in a file that the caller frees and removes.
 */
static char *uncommented(void)
{
    CLEANUP(buf_done) struct buf in = { 0 }, out = { 0 };
    char *path = mem_strdup("/tmp/test-table-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    read_file(EXAMPLE, &in);
    for (char *line = strtok(in.data, "\n"); line; line = strtok(NULL, "\n"))
        buf_printf(&out, "%s\n", is_commented_setting(line) ? line + 1 : line);
    assert_int_equal(fd_write_all(fd, out.data, out.len), 0);
    assert_int_equal(close(fd), 0);
    return path;
}

static void load(const char *file, struct settings *ret_settings)
{
    static const char *const env[] = { "HOME=/nonexistent", NULL };
    const struct settings_input input = { .file = file, .environ = env, .uid = 1000 };
    struct err err = { 0 };

    if (settings_load(&input, ret_settings, &err) < 0)
        fail_msg("%s", err.text);
}

static void every_row_can_be_found_and_has_a_line_of_help(void **state)
{
    const struct table_row *row;
    size_t i;

    (void)state;
    for (i = 0; (row = table_row(i)); i++) {
        size_t index = SIZE_MAX;
        char variable[TABLE_KEY_MAX + 8];
        AUTO_FREE char *key = mem_strdup(row->key);

        assert_ptr_equal(table_find(row->key, &index), row); /* so no key is there twice */
        assert_int_equal(index, i);
        assert_true(strlen(row->key) < TABLE_KEY_MAX);
        assert_true(strlen(row->help) > 5 && row->help[strlen(row->help) - 1] != '.');
        (void)table_variable(variable, row);
        assert_int_equal(strspn(variable, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(variable));
        for (char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.')) {
            *dot = '\0';
            assert_true(table_is_section(key));
            *dot = '.';
        }
        assert_true(row->max == 0 || row->max > row->min);
    }
    assert_int_equal(i, table_len());
    assert_null(table_find("server", NULL));
    assert_true(table_is_section("server"));
    assert_true(table_is_section("sandbox.limits"));
    assert_false(table_is_section("serv"));
    assert_false(table_is_section("max_queued"));
}

static void the_example_as_it_is_changes_nothing(void **state)
{
    CLEANUP(settings_done) struct settings s = { 0 };

    (void)state;
    load(EXAMPLE, &s);
    for (size_t i = 0; i < table_len(); i++)
        assert_null(s.origin[i]);
}

static void the_example_uncommented_names_every_key_with_its_default(void **state)
{
    CLEANUP(settings_done) struct settings defaults = { 0 }, s = { 0 };
    AUTO_FREE char *path = uncommented();
    CLEANUP(buf_done) struct buf want = { 0 }, have = { 0 };
    const struct table_row *row;

    (void)state;
    load(EXAMPLE, &defaults);
    load(path, &s);
    assert_int_equal(remove(path), 0);
    for (size_t i = 0; (row = table_row(i)); i++) {
        if (!s.origin[i])
            fail_msg("config/nairid.yaml doesn't name %s", row->key);
        free(s.origin[i]); /* so that both print alike */
        s.origin[i] = NULL;
    }
    free(s.file);
    s.file = mem_strdup(defaults.file);
    settings_print(&defaults, &want);
    settings_print(&s, &have);
    assert_string_equal(buf_str(&have), buf_str(&want));
}

/* The entry of a key: from its .It to the next one of a key. */
static char *manual_entry(const char *manual, const char *key)
{
    AUTO_FREE char *head = mem_printf("\n.It Va %s\n", key);
    const char *start = strstr(manual, head), *end;

    if (!start)
        return NULL;
    start += strlen(head);
    end = strstr(start, "\n.It Va ");
    return end ? mem_strndup(start, (size_t)(end - start)) : mem_strdup(start);
}

static void the_manual_names_every_key_with_its_default_and_what_needs_a_restart(void **state)
{
    CLEANUP(buf_done) struct buf manual = { 0 };
    const struct table_row *row;
    const char *reloading, *end;
    AUTO_FREE char *section = NULL;

    (void)state;
    read_file(MANUAL, &manual);
    reloading = strstr(buf_str(&manual), "\n.Sh RELOADING");
    assert_non_null(reloading);
    end = strstr(reloading + 1, "\n.Sh ");
    section = mem_strndup(reloading, (size_t)(end - reloading));
    for (size_t i = 0; (row = table_row(i)); i++) {
        AUTO_FREE char *entry = manual_entry(buf_str(&manual), row->key);
        AUTO_FREE char *standard =
            mem_printf("Default:\n.Ql %s", *row->standard ? row->standard : "\\(dq\\(dq");
        AUTO_FREE char *mention = mem_printf(".Va %s", row->key);

        if (!entry)
            fail_msg("nairid.yaml(5) doesn't name %s", row->key);
        if (!strstr(entry, standard))
            fail_msg("nairid.yaml(5): the default of %s isn't there", row->key);
        if (row->fixed && !strstr(entry, "Not in this version."))
            fail_msg("nairid.yaml(5): %s isn't in this version", row->key);
        if (!row->reloadable && !row->fixed && !strstr(section, mention))
            fail_msg("nairid.yaml(5): %s needs a restart", row->key);
        if (row->reloadable && strstr(section, mention))
            fail_msg("nairid.yaml(5): %s needs no restart", row->key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_can_be_found_and_has_a_line_of_help),
        cmocka_unit_test(the_example_as_it_is_changes_nothing),
        cmocka_unit_test(the_example_uncommented_names_every_key_with_its_default),
        cmocka_unit_test(the_manual_names_every_key_with_its_default_and_what_needs_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
