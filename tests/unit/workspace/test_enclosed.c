#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "workspace/enclosed.h"
#include "workspace/workspace.h"

struct fixture {
    char *dir, *root;
    uid_t uid;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    AUTO_FREE char *workspace = NULL, *home = NULL;

    f->dir = tempdir_new();
    f->root = mem_printf("%s/jobs", f->dir);
    f->uid = geteuid() == 0 ? PLAN_JOB_UID_MIN + 5 : geteuid();
    *state = f;
    return workspace_open(f->root, "job_1", NULL, &f->uid, &workspace, &home, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f->root);
    free(f);
    return 0;
}

static int must_open(const struct fixture *f, const char *message)
{
    struct err err = { 0 };
    int fd = enclosed_open(f->root, "job_1", message, f->uid, &err);

    if (fd < 0)
        fail_msg("%s", err.text);
    return fd;
}

static void assert_is(int fd, const char *name, mode_t mode, const struct fixture *f)
{
    struct stat st;

    assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_uid, geteuid());
    if (geteuid() == 0)
        assert_int_equal(st.st_gid, f->uid);
}

static void a_file_is_there_once_it_is_whole(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int folder = must_open(f, "cmsg_1"), file = -1;
    bool root = geteuid() == 0;
    char name[ENCLOSED_NAME_MAX], part[ENCLOSED_PART_MAX];
    size_t bytes;

    assert_is(folder, ".", root ? 0750 : 0700, f);
    assert_is(folder, "..", root ? 0750 : 0700, f);
    assert_false(enclosed_find(folder, 0, name, &bytes));
    file = enclosed_begin(folder, f->uid, part);
    assert_true(file >= 0);
    assert_is(folder, part, root ? 0440 : 0400, f);
    assert_int_equal(fd_write_all(file, "\x89PNG", 4), 0);
    assert_false(enclosed_find(folder, 0, name, &bytes));
    assert_int_equal(enclosed_keep(folder, part, file, 0, ".png", name), 0);
    assert_string_equal(name, "attachment_0.png");
    name[0] = '\0';
    assert_true(enclosed_find(folder, 0, name, &bytes));
    assert_string_equal(name, "attachment_0.png");
    assert_int_equal(bytes, 4);
    assert_is(folder, name, root ? 0440 : 0400, f);
    assert_false(enclosed_find(folder, 1, name, &bytes));
}

static void what_was_begun_and_not_kept_goes(void **state)
{
    struct fixture *f = *state;
    char first_part[ENCLOSED_PART_MAX], second_part[ENCLOSED_PART_MAX], name[ENCLOSED_NAME_MAX];
    AUTO_CLOSE int folder = must_open(f, "cmsg_1"), again = -1;
    AUTO_CLOSE int first = enclosed_begin(folder, f->uid, first_part);
    AUTO_CLOSE int second = enclosed_begin(folder, f->uid, second_part);
    size_t bytes;

    assert_true(first >= 0 && second >= 0);
    assert_string_not_equal(first_part, second_part);
    enclosed_drop(folder, first_part);
    assert_int_equal(faccessat(folder, first_part, F_OK, 0), -1);
    assert_int_equal(faccessat(folder, second_part, F_OK, 0), 0);
    again = must_open(f, "cmsg_1");
    assert_int_equal(faccessat(folder, second_part, F_OK, 0), -1);
    /* who still writes one keeps nothing any more */
    assert_int_equal(enclosed_keep(folder, second_part, second, 0, ".txt", name), -ENOENT);
    assert_false(enclosed_find(folder, 0, name, &bytes));
}

static void each_message_has_a_folder_of_its_own(void **state)
{
    static const char *const odd[] = { "..", "a b", "\"", "x.y", "" };
    struct fixture *f = *state;
    AUTO_CLOSE int one = must_open(f, "cmsg_1"), two = must_open(f, "cmsg_2"), again = -1;
    char folder[ENCLOSED_FOLDER_MAX], other[ENCLOSED_FOLDER_MAX], longest[200];
    char name[ENCLOSED_NAME_MAX], part[ENCLOSED_PART_MAX];
    size_t bytes;
    AUTO_CLOSE int file = enclosed_begin(one, f->uid, part);

    assert_int_equal(enclosed_keep(one, part, file, 0, ".txt", name), 0);
    assert_false(enclosed_find(two, 0, name, &bytes));
    again = must_open(f, "cmsg_1");
    assert_true(enclosed_find(again, 0, name, &bytes));
    assert_string_equal(enclosed_folder(folder, "cmsg_1"), "cmsg_1");
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_true(strlen(enclosed_folder(folder, longest)) < 48);
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        enclosed_folder(folder, odd[i]);
        assert_string_equal(folder, enclosed_folder(other, odd[i]));
        assert_null(strpbrk(folder, "./ \""));
        assert_string_not_equal(folder, enclosed_folder(other, "a  b"));
    }
}

static void a_link_in_its_place_is_not_followed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *place = mem_printf("%s/job_1/attachments", f->root);
    AUTO_FREE char *inner = mem_printf("%s/cmsg_1", place);
    struct err err = { 0 };

    assert_int_equal(symlink("/tmp", place), 0);
    assert_int_equal(enclosed_open(f->root, "job_1", "cmsg_1", f->uid, &err), -ELOOP);
    assert_non_null(strstr(err.text, "attachments"));
    assert_null(enclosed_path(f->root, "job_1"));
    assert_int_equal(unlink(place), 0);
    assert_int_equal(mkdir(place, 0700), 0);
    assert_int_equal(symlink("/tmp", inner), 0);
    assert_int_equal(enclosed_open(f->root, "job_1", "cmsg_1", f->uid, &err), -ELOOP);
}

static void a_job_without_files_has_no_place_for_them(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *before = enclosed_path(f->root, "job_1");
    AUTO_FREE char *after = NULL;
    AUTO_CLOSE int folder = must_open(f, "cmsg_1");

    assert_null(before);
    assert_null(enclosed_path(f->root, "job_2"));
    after = enclosed_path(f->root, "job_1");
    assert_non_null(after);
    assert_non_null(strstr(after, "/job_1/attachments"));
    assert_true(folder >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_there_once_it_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_begun_and_not_kept_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_message_has_a_folder_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_in_its_place_is_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_without_files_has_no_place_for_them, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
