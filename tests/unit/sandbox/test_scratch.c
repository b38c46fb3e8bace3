#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/scratch.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum { TASK_UID = 0x70000003, MOST_MS = 30000 };

static void make_file(const char *dir, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || close(fd) < 0)
        _exit(10);
}

/* What a task does to stay: nothing of it may be in the way of the next one. */
static void leave_what_is_not_to_be_removed(const char *top, const char *outside)
{
    AUTO_FREE char *tmp = mem_printf("%s/" SCRATCH_TMP, top), *deep = mem_printf("%s/deep", tmp),
                   *link_path = mem_printf("%s/link", deep);

    make_file(tmp, "file");
    if (mkdir(deep, 0700) < 0 || symlink(outside, link_path) < 0)
        _exit(11);
    make_file(deep, "file");
    if (chmod(deep, 0500) < 0 || chmod(tmp, 0500) < 0 || chmod(top, 0500) < 0)
        _exit(12);
}

/* Root may do everything, so another user does this. */
_Noreturn static void be_two_tasks(const char *dir)
{
    AUTO_FREE char *top = mem_printf("%s/top", dir), *outside = mem_printf("%s/outside", dir),
                   *left = mem_printf("%s/" SCRATCH_TMP "/deep", top);
    struct stat st;

    if (geteuid() == 0 && setresuid(TASK_UID, TASK_UID, TASK_UID) < 0)
        _exit(2);
    make_file(dir, "outside");
    if (scratch_make(top, "", MOST_MS) < 0)
        _exit(3);
    leave_what_is_not_to_be_removed(top, outside);
    if (scratch_make(top, "", MOST_MS) < 0)
        _exit(4);
    if (access(left, F_OK) == 0 || errno != ENOENT)
        _exit(5);
    if (stat(outside, &st) < 0 || (st.st_mode & 07777) != 0600)
        _exit(6);
    leave_what_is_not_to_be_removed(top, outside);
    scratch_wipe(top, MOST_MS);
    _exit(rmdir(top) < 0 ? 7 : 0);
}

static void what_was_made_unwritable_is_removed_and_no_link_followed(void **state)
{
    char *dir = tempdir_new();
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(chmod(dir, 0777), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_two_tasks(dir);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    tempdir_free(dir);
}

static void a_link_takes_the_place_of_what_is_there(void **state)
{
    char *dir = tempdir_new();
    AUTO_FREE char *path = mem_printf("%s/.claude/rules", dir);
    AUTO_FREE char *own = mem_printf("%s.own", path);
    char to[64] = { 0 };
    struct stat st;

    (void)state;
    assert_int_equal(scratch_link(dir, path, "/nowhere/one"), 0);
    assert_int_equal(scratch_link(dir, path, "/nowhere/two"), 0);
    assert_int_equal(readlink(path, to, sizeof to - 1), 12);
    assert_string_equal(to, "/nowhere/two");
    assert_int_equal(scratch_link(dir, path, ""), 0);
    assert_int_equal(lstat(path, &st), -1);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(scratch_link(dir, path, ""), 0); /* the task's own stays */
    assert_int_equal(scratch_link(dir, path, "/nowhere/one"), 0);
    assert_int_equal(lstat(own, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    tempdir_free(dir);
}

/* As a task could have left it. */
static void no_link_or_file_of_the_tasks_is_in_the_way(void **state)
{
    char *dir = tempdir_new(), *other = tempdir_new();
    AUTO_FREE char *claude = mem_printf("%s/.claude", dir);
    AUTO_FREE char *own = mem_printf("%s.own", claude), *in_own = mem_printf("%s/x", own);
    AUTO_FREE char *path = mem_printf("%s/rules", claude);
    AUTO_FREE char *led_to = mem_printf("%s/rules", other);
    struct stat st;

    (void)state;
    assert_int_equal(mkdir(own, 0700), 0); /* nothing can be renamed to that */
    assert_int_equal(mkdir(in_own, 0700), 0);
    assert_int_equal(symlink(other, claude), 0);
    assert_int_equal(scratch_link(dir, path, ""), 0);
    assert_int_equal(lstat(claude, &st), 0);
    assert_true(S_ISLNK(st.st_mode)); /* nothing of ours was there */
    assert_int_equal(scratch_link(dir, path, "/nowhere/one"), 0);
    assert_int_equal(lstat(claude, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(led_to, &st), -1);

    assert_int_equal(scratch_link(dir, path, ""), 0);
    assert_int_equal(rmdir(claude), 0);
    assert_int_equal(symlink("/nowhere/at/all", claude), 0); /* and again, with .own as it is */
    assert_int_equal(scratch_link(dir, path, "/nowhere/two"), 0);
    assert_int_equal(lstat(in_own, &st), 0);
    tempdir_free(dir);
    tempdir_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_unwritable_is_removed_and_no_link_followed),
        cmocka_unit_test(a_link_takes_the_place_of_what_is_there),
        cmocka_unit_test(no_link_or_file_of_the_tasks_is_in_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
