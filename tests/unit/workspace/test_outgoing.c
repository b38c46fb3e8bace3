/* Files for people: emptied, set aside, read and opened, whatever a task has made of the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/tempdir.h"
#include "util/err.h"
#include "util/mem.h"
#include "workspace/outgoing.h"
#include "workspace/workspace.h"

enum { MAX_BYTES = 100 };

struct fixture {
    char *dir, *root, *box;
    struct err err;
    uint64_t kept; /* by keep(), 0: none */
};

static bool keep(uint64_t seq, void *ctx)
{
    const struct fixture *f = ctx;

    return seq == f->kept;
}

static int begin(struct fixture *f)
{
    return outgoing_begin(f->root, "j", geteuid(), keep, f, &f->err);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    AUTO_FREE char *workspace = NULL, *home = NULL;
    uid_t uid = geteuid();

    f->dir = tempdir_new();
    f->root = mem_printf("%s/jobs", f->dir);
    assert_int_equal(workspace_open(f->root, "j", NULL, &uid, &workspace, &home, &f->err), 0);
    f->box = mem_printf("%s/outbox", home);
    assert_int_equal(begin(f), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f->root);
    free(f->box);
    free(f);
    return 0;
}

static char *in_box(const struct fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->box, name);
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    AUTO_FREE char *path = in_box(f, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void read_aside(struct fixture *f, uint64_t seq, struct outgoing_list *l)
{
    if (outgoing_read(f->root, "j", seq, MAX_BYTES, l, &f->err) < 0)
        fail_msg("%s", f->err.text);
}

static bool exists(const struct fixture *f, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", f->root, name);

    return access(path, F_OK) == 0;
}

static void an_attempt_begins_with_an_empty_place(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    put(f, "left", "x");
    assert_true(outgoing_is_there(f->root, "j"));
    assert_int_equal(begin(f), 0);
    for (int i = 0; i < 400; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "f%d", i);
        put(f, name, "x");
    }
    assert_int_equal(begin(f), 1); /* the rest is the sweep's */
    assert_false(outgoing_is_there(f->root, "j"));
    assert_int_equal(stat(f->box, &st), 0);
    assert_true(S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0700);
    assert_int_equal(begin(f), 0);
    assert_int_equal(workspace_sweep(f->root, 3600, 0, NULL, NULL, 1000, &f->err), 0);
}

static void whatever_stands_in_its_place_gives_way_and_nothing_is_followed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *target = mem_printf("%s/target", f->dir);
    AUTO_FREE char *inside = mem_printf("%s/file", target);
    int fd;

    assert_int_equal(mkdir(target, 0700), 0);
    fd = open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(rmdir(f->box), 0);
    assert_int_equal(symlink(target, f->box), 0);
    assert_true(outgoing_is_there(f->root, "j"));
    assert_int_equal(outgoing_gather(f->root, "j", 7, &f->err), -ENOTDIR);
    assert_int_equal(outgoing_gather(f->root, "j", 7, &f->err), 0); /* it is taken for done */
    assert_true(begin(f) >= 0);
    assert_int_equal(access(inside, F_OK), 0);
    assert_false(outgoing_is_there(f->root, "j"));
    assert_int_equal(rmdir(f->box), 0);
    assert_int_equal(mkfifo(f->box, 0600), 0);
    assert_true(begin(f) >= 0);
    assert_false(outgoing_is_there(f->root, "j"));
    assert_int_equal(rmdir(f->box), 0);
    assert_false(outgoing_is_there(f->root, "j")); /* a task may remove it */
    assert_int_equal(begin(f), 0);
}

static void a_place_without_rights_is_emptied_and_set_aside_all_the_same(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *home = mem_printf("%s/j/home", f->root);
    struct outgoing_list l;

    put(f, "a", "x");
    assert_int_equal(chmod(f->box, 0), 0);
    assert_int_equal(chmod(home, 0), 0);
    assert_true(outgoing_is_there(f->root, "j"));
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    read_aside(f, 1, &l);
    assert_int_equal(l.len, 1);
    outgoing_list_done(&l);
    assert_int_equal(begin(f), 0); /* nobody wants what was set aside */
    assert_false(exists(f, "j/.out.1"));
}

static void what_was_set_aside_stays_the_same_until_it_is_not_needed(void **state)
{
    struct fixture *f = *state;
    struct outgoing_list l;

    put(f, "b", "2");
    put(f, "a", "1");
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    f->kept = 1;
    assert_int_equal(begin(f), 0);
    put(f, "c", "3"); /* another attempt's */
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    read_aside(f, 1, &l);
    assert_int_equal(l.len, 2);
    assert_string_equal(l.files[0].name, "a");
    assert_string_equal(l.files[1].name, "b");
    assert_true(!l.files[0].why_not && !l.files[1].why_not && l.files[0].bytes == 1);
    outgoing_list_done(&l);
    assert_int_equal(outgoing_discard(f->root, "j", 1), 0);
    assert_false(exists(f, "j/.out.1"));
    assert_true(outgoing_is_there(f->root, "j"));
    assert_int_equal(outgoing_discard(f->root, "j", 1), 0);
}

static void only_ordinary_files_with_something_in_them_can_go(void **state)
{
    static const struct {
        const char *name, *why;
    } expected[] = { { "dir", "directory" }, { "empty", "empty" },    { "fifo", "ordinary" },
                     { "good", NULL },       { "large", "larger" },   { "link", "a link" },
                     { "two", "hard link" }, { "uid", "set-user-ID" } };
    struct fixture *f = *state;
    AUTO_FREE char *dir = in_box(f, "dir"), *fifo = in_box(f, "fifo"),
                   *link_path = in_box(f, "link");
    AUTO_FREE char *two = in_box(f, "two"), *other = mem_printf("%s/other", f->dir);
    AUTO_FREE char *uid = in_box(f, "uid");
    AUTO_FREE char *large = mem_printf("%*s", MAX_BYTES + 1, "");
    struct outgoing_list l;

    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    put(f, "two", "x");
    assert_int_equal(link(two, other), 0);
    put(f, "uid", "x");
    assert_int_equal(chmod(uid, 04700), 0);
    put(f, "empty", "");
    put(f, "good", "x");
    put(f, "large", large);
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    read_aside(f, 1, &l);
    assert_int_equal(l.len, ARRAY_SIZE(expected));
    for (size_t i = 0; i < l.len; i++) {
        assert_string_equal(l.files[i].name, expected[i].name);
        if (!expected[i].why)
            assert_null(l.files[i].why_not);
        else if (!l.files[i].why_not || !strstr(l.files[i].why_not, expected[i].why))
            fail_msg("%s: %s", expected[i].name, l.files[i].why_not);
    }
    outgoing_list_done(&l);
}

static void count_and_sum_are_bounded_by_name(void **state)
{
    AUTO_FREE char *full = mem_printf("%*s", MAX_BYTES, "");
    struct fixture *f = *state;
    struct outgoing_list l;
    size_t good = 0;

    for (int i = 0; i < OUTGOING_LOOK_MAX + 5; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "f%03d", i);
        put(f, name, "x");
    }
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    read_aside(f, 1, &l);
    assert_int_equal(l.len, OUTGOING_LOOK_MAX);
    assert_true(l.cut);
    for (size_t i = 0; i < l.len; i++)
        good += l.files[i].why_not == NULL;
    assert_int_equal(good, OUTGOING_FILES_MAX);
    outgoing_list_done(&l);
    assert_int_equal(outgoing_discard(f->root, "j", 1), 0);
    assert_int_equal(begin(f), 0);
    for (int i = 0; i < 6; i++)
        put(f, (char[]){ (char)('a' + i), '\0' }, full);
    assert_int_equal(outgoing_gather(f->root, "j", 2, &f->err), 0);
    read_aside(f, 2, &l);
    for (size_t i = 0; i < l.len; i++)
        assert_true((l.files[i].why_not == NULL) == (i < OUTGOING_TOTAL_FACTOR));
    outgoing_list_done(&l);
}

static void files_keep_their_numbers_when_the_bound_changes(void **state)
{
    static const uint64_t bounds[] = { MAX_BYTES, 10 };
    AUTO_FREE char *large = mem_printf("%*s", MAX_BYTES, "");
    AUTO_FREE char *dir = NULL;
    struct fixture *f = *state;

    dir = in_box(f, "b");
    put(f, "a", "x");
    assert_int_equal(mkdir(dir, 0700), 0);
    put(f, "c", large);
    put(f, "d", "x");
    put(f, "e", large);
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        struct outgoing_list l;

        assert_int_equal(outgoing_read(f->root, "j", 1, bounds[i], &l, &f->err), 0);
        assert_int_equal(l.files[0].number, 0);
        assert_int_equal(l.files[1].number, OUTGOING_NO_NUMBER);
        assert_int_equal(l.files[2].number, 1);
        assert_int_equal(l.files[3].number, 2);
        assert_int_equal(l.files[4].number, 3);
        outgoing_list_done(&l);
    }
}

static void expect_turn(const struct outgoing_list *l, uint32_t done, const char *name, bool more)
{
    const struct outgoing_turn turn = outgoing_next(l, done);

    if (name)
        assert_string_equal(turn.file->name, name);
    else
        assert_null(turn.file);
    assert_int_equal(turn.number, name ? turn.file->number : OUTGOING_NO_NUMBER);
    assert_true(turn.more == more);
}

static void the_next_file_is_one_that_can_be_sent(void **state)
{
    char names[][2] = { "a", "b", "c", "d", "e" };
    struct outgoing_file files[] = {
        { .name = names[0], .number = 0 },
        { .name = names[1], .number = OUTGOING_NO_NUMBER, .why_not = "a link" },
        { .name = names[2], .number = 1, .why_not = "too large" },
        { .name = names[3], .number = 2 },
        { .name = names[4], .number = 3, .why_not = "too large" },
    };
    const struct outgoing_list l = { .files = files, .len = ARRAY_SIZE(files) }, none = { 0 };

    (void)state;
    expect_turn(&l, 0, "a", true);
    expect_turn(&l, 1, "d", false);
    expect_turn(&l, 2, "d", false);
    expect_turn(&l, 3, NULL, false);
    expect_turn(&l, 4, NULL, false);
    expect_turn(&none, 0, NULL, false);
}

/* As a task could have exchanged it, if one could still run. */
static void a_file_that_is_another_by_now_is_not_opened(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *aside = mem_printf("%s/j/.out.1/a", f->root);
    struct outgoing_list l;
    char text[8] = "";
    int fd;

    put(f, "a", "text");
    assert_int_equal(outgoing_gather(f->root, "j", 1, &f->err), 0);
    read_aside(f, 1, &l);
    fd = outgoing_open(f->root, "j", 1, &l.files[0], &f->err);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text), 4);
    assert_string_equal(text, "text");
    (void)close(fd);
    assert_int_equal(truncate(aside, 3), 0);
    assert_int_equal(outgoing_open(f->root, "j", 1, &l.files[0], &f->err), -ESTALE);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(mkfifo(aside, 0600), 0); /* and nobody waits for its other end */
    assert_int_equal(outgoing_open(f->root, "j", 1, &l.files[0], &f->err), -ESTALE);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(symlink("/etc/passwd", aside), 0);
    assert_int_equal(outgoing_open(f->root, "j", 1, &l.files[0], &f->err), -ELOOP);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(outgoing_open(f->root, "j", 1, &l.files[0], &f->err), -ENOENT);
    outgoing_list_done(&l);
    assert_true(outgoing_read(f->root, "j", 2, MAX_BYTES, &l, &f->err) < 0);
    assert_true(outgoing_read(f->root, "other", 1, MAX_BYTES, &l, &f->err) < 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_attempt_begins_with_an_empty_place),
        TEST(whatever_stands_in_its_place_gives_way_and_nothing_is_followed),
        TEST(a_place_without_rights_is_emptied_and_set_aside_all_the_same),
        TEST(what_was_set_aside_stays_the_same_until_it_is_not_needed),
        TEST(only_ordinary_files_with_something_in_them_can_go),
        TEST(count_and_sum_are_bounded_by_name),
        TEST(files_keep_their_numbers_when_the_bound_changes),
        TEST(the_next_file_is_one_that_can_be_sent),
        TEST(a_file_that_is_another_by_now_is_not_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
