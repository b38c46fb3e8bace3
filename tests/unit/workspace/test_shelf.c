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
#include "util/strv.h"
#include "workspace/shelf.h"
#include "workspace/staging.h"

/* Both sides of it, as the daemon has them. */
struct world {
    const char *dir;
    struct shelf *shelf;
    struct staging *staging;
};

static void open_both(struct world *w, const char *dir)
{
    struct err doubt = { 0 };

    *w = (struct world){ .dir = dir, .shelf = shelf_new(dir, &doubt) };
    assert_int_equal(doubt.code, 0);
    w->staging = staging_new(dir, false);
}

static void begin(struct world *w)
{
    assert_int_equal(staging_begin(w->staging, NULL), 0);
}

static void close_both(struct world *w)
{
    shelf_free(w->shelf);
    staging_free(w->staging);
}

static void add_rule(struct world *w, const char *name, const char *text)
{
    assert_int_equal(staging_add(w->staging, SHELF_RULES, name, NULL, text, strlen(text), NULL), 0);
}

static void put_in_force(struct world *w)
{
    char name[SHELF_NAME_BYTES];
    bool has[SHELF_PART_COUNT];

    assert_int_equal(staging_finish(w->staging, "{}", name, has, NULL), 0);
    shelf_switch(w->shelf, name, has);
}

static int sweep(struct world *w)
{
    struct strv used = { 0 };
    int r;

    shelf_used(w->shelf, &used);
    r = staging_sweep(w->staging, &used, 100);
    strv_done(&used);
    return r;
}

static char *read_rule(const struct shelf_set *set, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", shelf_path(set, SHELF_RULES), name);
    struct buf b = { 0 };

    return fd_read_file(path, 100, &b, NULL) == 0 ? buf_steal(&b) : NULL;
}

static void assert_rule(struct world *w, const char *name, const char *text)
{
    struct shelf_set *set = shelf_hold(w->shelf);
    AUTO_FREE char *found = read_rule(set, name);

    assert_string_equal(found, text);
    shelf_release(w->shelf, set);
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
    struct world w;
    struct shelf_set *set;

    open_both(&w, *state);
    begin(&w);
    add_rule(&w, "a.md", "one");
    assert_null(shelf_hold(w.shelf));
    put_in_force(&w);
    assert_rule(&w, "a.md", "one");
    close_both(&w);
    open_both(&w, *state);
    assert_rule(&w, "a.md", "one");
    set = shelf_hold(w.shelf);
    assert_null(shelf_path(set, SHELF_SKILLS));
    assert_null(shelf_path(set, SHELF_MCP));
    shelf_release(w.shelf, set);
    close_both(&w);
}

static void what_is_given_up_leaves_the_old_set(void **state)
{
    struct world w;

    open_both(&w, *state);
    begin(&w);
    add_rule(&w, "a.md", "old");
    put_in_force(&w);
    begin(&w);
    add_rule(&w, "a.md", "new");
    assert_int_equal(sweep(&w), 0); /* what is being filled stays */
    assert_int_equal(count_sets(*state), 2);
    staging_give_up(w.staging);
    assert_rule(&w, "a.md", "old");
    while (sweep(&w) > 0)
        ;
    assert_int_equal(count_sets(*state), 1);
    close_both(&w);
}

static void a_set_that_is_held_stays_until_it_is_released(void **state)
{
    struct world w;
    struct shelf_set *held;
    AUTO_FREE char *text = NULL;

    open_both(&w, *state);
    begin(&w);
    add_rule(&w, "a.md", "old");
    put_in_force(&w);
    held = shelf_hold(w.shelf);
    begin(&w);
    put_in_force(&w);
    assert_int_equal(sweep(&w), 0);
    text = read_rule(held, "a.md");
    assert_string_equal(text, "old");
    shelf_release(w.shelf, held);
    assert_int_equal(sweep(&w), 0);
    assert_int_equal(count_sets(*state), 1);
    held = shelf_hold(w.shelf);
    assert_null(shelf_path(held, SHELF_RULES)); /* the new one has none */
    shelf_release(w.shelf, held);
    close_both(&w);
}

static void assert_file(const struct world *w, const char *name, bool is_there)
{
    AUTO_FREE char *current = mem_printf("%s/artifacts/current", w->dir), *path = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    struct stat st;

    assert_int_equal(fd_read_file(current, 100, &b, NULL), 0);
    path = mem_printf("%s/artifacts/%s/%s", w->dir, buf_str(&b), name);
    assert_int_equal(lstat(path, &st), is_there ? 0 : -1);
}

static void no_file_replaces_another_and_a_skill_can_be_dropped(void **state)
{
    struct world w;
    AUTO_FREE char *one = NULL, *two = NULL;
    struct stat st;
    int fd;

    open_both(&w, *state);
    begin(&w);
    assert_int_equal(staging_add_skill(w.staging, "fly", &one, NULL), 0);
    assert_string_equal(one, "fly");
    fd = staging_open_file(w.staging, "fly", "bin/run", true, NULL);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    close(fd);
    assert_int_equal(staging_open_file(w.staging, "fly", "bin/run", false, NULL), -EEXIST);
    assert_int_equal(staging_open_file(w.staging, "fly", "bin/run/x", false, NULL), -ENOTDIR);
    assert_int_equal(staging_add_skill(w.staging, "fly", &two, NULL), 0);
    assert_string_equal(two, "fly-2");
    staging_drop_skill(w.staging, "fly");

    add_rule(&w, "a.md", "one");
    assert_int_equal(staging_add(w.staging, SHELF_RULES, "a.md", NULL, "two", 3, NULL), -EEXIST);
    assert_int_equal(staging_add(w.staging, SHELF_RULES, "a.md", ".md", "two", 3, NULL), 0);
    put_in_force(&w);
    assert_rule(&w, "a.md", "one");
    assert_rule(&w, "a-2.md", "two");
    assert_file(&w, "skills/fly", false);
    assert_file(&w, "skills/fly-2", true);
    close_both(&w);
}

static void the_directory_is_for_nobody_to_list_and_crossed_where_it_has_to_be(void **state)
{
    AUTO_FREE char *path = mem_printf("%s/artifacts", (const char *)*state);
    struct staging *s;
    struct stat st;

    for (int crossed = 1; crossed >= 0; crossed--) {
        s = staging_new(*state, crossed);
        assert_int_equal(staging_begin(s, NULL), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, crossed ? 0711 : 0700);
        staging_free(s);
    }
}

static void put_current(const char *dir, const char *text)
{
    AUTO_FREE char *folder = mem_printf("%s/artifacts", dir);
    AUTO_FREE char *file = mem_printf("%s/current", folder);

    assert_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
    assert_int_equal(fd_write_file(file, text, strlen(text), 0600, NULL), 0);
}

static void a_damaged_name_of_the_set_in_force_is_none(void **state)
{
    static const char *const names[] = { "", "set-", "set-..", "../x", "set-0/../..", "set-00ff" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct world w;

        put_current(*state, names[i]);
        open_both(&w, *state);
        assert_null(shelf_hold(w.shelf));
        begin(&w);
        put_in_force(&w);
        close_both(&w);
    }
}

/* Parts of it would be hidden otherwise, and nobody be told. */
static void a_set_that_cant_be_seen_whole_is_none_and_why_is_said(void **state)
{
    AUTO_FREE char *set = mem_printf("%s/artifacts/set-00ff", (const char *)*state);
    struct err doubt = { 0 };
    struct shelf *s;

    put_current(*state, "set-00ff");
    assert_int_equal(fd_write_file(set, "", 0, 0600, NULL), 0); /* no directory: ENOTDIR */
    s = shelf_new(*state, &doubt);
    assert_null(shelf_hold(s));
    assert_int_equal(doubt.code, -ENOTDIR);
    assert_non_null(strstr(doubt.text, "set-00ff"));
    shelf_free(s);
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
        cmocka_unit_test_setup_teardown(
            the_directory_is_for_nobody_to_list_and_crossed_where_it_has_to_be, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_name_of_the_set_in_force_is_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_set_that_cant_be_seen_whole_is_none_and_why_is_said,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
