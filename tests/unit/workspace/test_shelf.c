#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/tempdir.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "workspace/shelf.h"

static struct shelf *begin(const char *state)
{
    struct shelf *s = NULL;
    struct err err;

    assert_int_equal(shelf_new(state, &s, &err), 0);
    assert_int_equal(shelf_begin(s, &err), 0);
    return s;
}

static void add_rule(struct shelf *s, const char *name, const char *text)
{
    assert_int_equal(shelf_add(s, SHELF_RULES, name, text, strlen(text), NULL), 0);
}

static void put_in_force(struct shelf *s)
{
    assert_int_equal(shelf_finish(s, "{}", NULL), 0);
    shelf_switch(s);
}

static char *read_rule(const struct shelf_set *set, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", shelf_path(set, SHELF_RULES), name);
    struct buf b = { 0 };

    return fd_read_file(path, 100, &b, NULL) == 0 ? buf_steal(&b) : NULL;
}

static void assert_rule(struct shelf *s, const char *name, const char *text)
{
    struct shelf_set *set = shelf_hold(s);
    AUTO_FREE char *found = read_rule(set, name);

    assert_string_equal(found, text);
    shelf_release(s, set);
}

static size_t count_sets(const char *state)
{
    AUTO_FREE char *path = mem_printf("%s/artifacts", state);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    while ((entry = readdir(dir)) != NULL)
        count += strncmp(entry->d_name, "set-", 4) == 0;
    closedir(dir);
    return count;
}

static void a_set_is_in_force_once_it_is_whole_and_after_a_restart(void **state)
{
    const char *dir = *state;
    struct shelf *s = begin(dir);

    add_rule(s, "a.md", "one");
    assert_null(shelf_hold(s));
    put_in_force(s);
    assert_rule(s, "a.md", "one");
    shelf_free(s);
    assert_int_equal(shelf_new(dir, &s, NULL), 0);
    assert_rule(s, "a.md", "one");
    shelf_free(s);
}

static void what_is_given_up_leaves_the_old_set(void **state)
{
    struct shelf *s = begin(*state);

    add_rule(s, "a.md", "old");
    put_in_force(s);
    assert_int_equal(shelf_begin(s, NULL), 0);
    add_rule(s, "a.md", "new");
    shelf_give_up(s);
    assert_rule(s, "a.md", "old");
    while (shelf_sweep(s, 100) > 0)
        ;
    assert_int_equal(count_sets(*state), 1);
    shelf_free(s);
}

static void a_set_that_is_held_stays_until_it_is_released(void **state)
{
    struct shelf *s = begin(*state);
    struct shelf_set *held;
    AUTO_FREE char *text = NULL;

    add_rule(s, "a.md", "old");
    put_in_force(s);
    held = shelf_hold(s);
    assert_int_equal(shelf_begin(s, NULL), 0);
    put_in_force(s);
    assert_int_equal(shelf_sweep(s, 100), 0);
    text = read_rule(held, "a.md");
    assert_string_equal(text, "old");
    shelf_release(s, held);
    assert_int_equal(shelf_sweep(s, 100), 0);
    assert_int_equal(count_sets(*state), 1);
    held = shelf_hold(s);
    assert_null(shelf_path(held, SHELF_RULES)); /* the new one has none */
    shelf_release(s, held);
    shelf_free(s);
}

static void no_file_replaces_another_and_a_skill_can_be_dropped(void **state)
{
    struct shelf *s = begin(*state);
    int fd = shelf_open_file(s, "fly", "bin/run", true, NULL);
    struct stat st;

    add_rule(s, "a.md", "one");
    assert_int_equal(shelf_add(s, SHELF_RULES, "a.md", "two", 3, NULL), -EEXIST);
    assert_true(shelf_has(s, SHELF_RULES, "a.md"));
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    close(fd);
    assert_int_equal(shelf_open_file(s, "fly", "bin/run", false, NULL), -EEXIST);
    assert_int_equal(shelf_open_file(s, "fly", "bin/run/x", false, NULL), -ENOTDIR);
    assert_true(shelf_has(s, SHELF_SKILLS, "fly"));
    shelf_drop_skill(s, "fly");
    assert_false(shelf_has(s, SHELF_SKILLS, "fly"));
    shelf_free(s);
}

static void the_directory_is_for_nobody_to_list(void **state)
{
    struct shelf *s = begin(*state);
    AUTO_FREE char *path = mem_printf("%s/artifacts", (const char *)*state);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0066, 0);
    shelf_free(s);
}

static void a_damaged_name_of_the_set_in_force_is_none(void **state)
{
    static const char *const names[] = { "", "../..", "set-", "set-../x", "set-0g", "set-00" };
    AUTO_FREE char *path = mem_printf("%s/artifacts/current", (const char *)*state);
    struct shelf *s = begin(*state);

    shelf_free(s);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(fd_write_file(path, names[i], strlen(names[i]), 0600, NULL), 0);
        assert_int_equal(shelf_new(*state, &s, NULL), 0);
        assert_null(shelf_hold(s));
        shelf_free(s);
    }
}

static int setup(void **state)
{
    *state = tempdir_new();
    return 0;
}

static int teardown(void **state)
{
    tempdir_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_set_is_in_force_once_it_is_whole_and_after_a_restart,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_up_leaves_the_old_set, setup, teardown),
        cmocka_unit_test_setup_teardown(a_set_that_is_held_stays_until_it_is_released, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_file_replaces_another_and_a_skill_can_be_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_directory_is_for_nobody_to_list, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_name_of_the_set_in_force_is_none, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
