/* What a sweep can't remove stays, is named, and keeps nothing else from going. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/ownmounts.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "workspace/workspace.h"

struct fixture {
    char *dir, *root, *workspace, *home;
    int mount_fd; /* the root of what is mounted: its path changes while it is swept */
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->root = mem_printf("%s/jobs", f->dir);
    f->mount_fd = -1;
    *state = f;
    return 0;
}

static void unmount(struct fixture *f)
{
    AUTO_FREE char *path = mem_printf("/proc/self/fd/%d", f->mount_fd);

    assert_int_equal(umount2(path, MNT_DETACH), 0);
    (void)close(TAKE_FD(f->mount_fd));
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->mount_fd >= 0)
        unmount(f);
    tempdir_free(f->dir);
    free(f->root);
    free(f->workspace);
    free(f->home);
    free(f);
    return 0;
}

static void open_job(struct fixture *f, const char *job)
{
    uid_t uid = geteuid();

    free(TAKE_PTR(f->workspace));
    free(TAKE_PTR(f->home));
    if (workspace_open(f->root, job, NULL, &uid, &f->workspace, &f->home, &f->err) < 0)
        fail_msg("%s", f->err.text);
}

static void mount_at(struct fixture *f, const char *path)
{
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=1m"), 0);
    f->mount_fd = open(path, O_PATH | O_CLOEXEC);
    assert_true(f->mount_fd >= 0);
}

/* First in a test, as skip() would leak what it holds. */
static void need_mounts(const struct fixture *f)
{
    if (mount("tmpfs", f->dir, "tmpfs", 0, "size=1m") < 0) {
        (void)printf("skip: needs root\n");
        skip();
    }
    assert_int_equal(umount(f->dir), 0);
}

static void make_file(const char *dir, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
}

static int want_none(const char *job_id, void *ctx)
{
    (void)job_id;
    (void)ctx;
    return 0;
}

static int sweep(struct fixture *f)
{
    return workspace_sweep(f->root, 60, clock_wall_ms() + 3600 * 1000, want_none, NULL, 100000,
                           &f->err);
}

/* A mount makes the job's directory immovable for none but itself: the rename goes, the mount with
 * it. */
static void a_mount_in_a_workspace_is_not_entered(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *inside = NULL;
    AUTO_FREE char *last = NULL;
    AUTO_CLOSE int fd = -1;
    struct stat st;

    need_mounts(f);
    last = mem_printf("%s/job_C", f->root);
    open_job(f, "job_A");
    first = mem_printf("%s/a/b/c", f->workspace);
    for (size_t i = strlen(f->workspace) + 2; i <= strlen(first); i += 2) {
        AUTO_FREE char *part = mem_strndup(first, i);

        assert_int_equal(mkdir(part, 0700), 0);
    }
    make_file(f->workspace, "file");
    mount_at(f, first);
    inside = mem_printf("%s/precious", first);
    make_file(first, "precious");
    fd = open(inside, O_RDONLY | O_CLOEXEC);
    open_job(f, "job_B");
    open_job(f, "job_C");

    assert_int_equal(sweep(f), -EBUSY);
    assert_non_null(strstr(f->err.text, "mounted"));
    assert_non_null(strstr(f->err.text, f->root));
    assert_int_equal(access(last, F_OK), -1); /* the others went */
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 1); /* and what is mounted is whole */
    (void)close(TAKE_FD(fd));
    assert_int_equal(sweep(f), -EBUSY); /* again, and no worse */
}

static void once_unmounted_the_rest_goes(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *job = NULL;

    need_mounts(f);
    job = mem_printf("%s/job_A", f->root);
    open_job(f, "job_A");
    mount_at(f, f->home);
    make_file(f->home, "precious");
    assert_true(sweep(f) < 0);
    assert_int_equal(access(job, F_OK), -1);
    open_job(f, "job_A"); /* usable all the while */
    unmount(f);
    assert_int_equal(sweep(f), 0);
    assert_int_equal(rmdir(f->root), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_mount_in_a_workspace_is_not_entered),
        TEST(once_unmounted_the_rest_goes),
    };

    (void)ownmounts_enter(); /* where it fails, so do the mounts, and those tests skip */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
