/* Removal while somebody works against it, and of very many files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "workspace/treewipe.h"

enum { ROUNDS = 3, BATCH = 500, CALLS_MAX = 100000 };

struct fixture {
    char *dir;
    int fd;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->dir = tempdir_new();
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)close(f->fd);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static void make_file(int at, const char *name)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

/* Directories in each other with files in each, ten deep, thirty side by side. */
static void make_tree(int at)
{
    char path[256];

    assert_int_equal(mkdirat(at, "top", 0700), 0);
    for (int i = 0; i < 30; i++) {
        int len = snprintf(path, sizeof path, "top/d%d", i);

        for (int depth = 0; depth < 10; depth++) {
            assert_int_equal(mkdirat(at, path, 0700), 0);
            (void)snprintf(path + len, sizeof path - (size_t)len, "/precious");
            make_file(at, path);
            len += snprintf(path + len, sizeof path - (size_t)len, "/e");
        }
    }
}

/* What a process of the task's could do that outlived it: puts links to what is kept in the place
 * of directories, back and forth, at all levels; until it is killed. */
_Noreturn static void work_against(int at, const char *kept)
{
    char path[256], aside[256 + sizeof ".aside"];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned n = 0;; n++) {
        int len = snprintf(path, sizeof path, "top/d%u", n % 30);

        for (unsigned depth = 0; depth < n % 4; depth++)
            len += snprintf(path + len, sizeof path - (size_t)len, "/e");
        (void)snprintf(aside, sizeof aside, "%s.aside", path);
        if (renameat(at, path, at, aside) == 0 && symlinkat(kept, at, path) == 0) {
            (void)renameat2(at, path, at, aside, RENAME_EXCHANGE);
            (void)unlinkat(at, aside, 0);
        }
    }
}

static int entries_kept(int at)
{
    int count = 0;
    char path[64];

    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof path, "kept/precious/%d", i);
        count += faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return count;
}

/* Until it is gone; an adversary may make a call fail, and then the next goes on. */
static void wipe(int at)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        size_t budget = BATCH;
        int r = treewipe(at, "top", &budget, NULL);

        if (r == 0 || r == -ENOENT)
            return;
    }
    fail_msg("it is not gone after %d calls", CALLS_MAX);
}

static void links_put_in_the_place_of_directories_lead_it_nowhere(void **state)
{
    struct fixture *f = *state;
    char kept[512], path[64];

    (void)snprintf(kept, sizeof kept, "%s/kept", f->dir);
    assert_int_equal(mkdirat(f->fd, "kept", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "kept/precious", 0700), 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof path, "kept/precious/%d", i);
        make_file(f->fd, path);
    }
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid;

        make_tree(f->fd);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            work_against(f->fd, kept);
        for (int i = 0; i < 8; i++) { /* against it, and then to the end alone */
            size_t budget = 30;

            (void)treewipe(f->fd, "top", &budget, NULL);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        wipe(f->fd);
        assert_int_equal(faccessat(f->fd, "top", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(entries_kept(f->fd), 20);
    }
}

static void a_link_as_the_top_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t budget = 100;

    assert_int_equal(mkdirat(f->fd, "kept", 0700), 0);
    make_file(f->fd, "kept/precious");
    assert_int_equal(symlinkat("kept", f->fd, "top"), 0);
    assert_int_equal(treewipe(f->fd, "top", &budget, NULL), -ELOOP);
    assert_int_equal(faccessat(f->fd, "kept/precious", F_OK, 0), 0);
}

static void many_files_go_in_bounded_steps(void **state)
{
    enum { FILES = 10000, DIRS = 100 };
    struct fixture *f = *state;
    size_t removed = 0;
    char path[64];
    int r = 1;

    assert_int_equal(mkdirat(f->fd, "top", 0700), 0);
    for (int i = 0; i < FILES; i++) {
        if (i % (FILES / DIRS) == 0) {
            (void)snprintf(path, sizeof path, "top/%d\n", i / (FILES / DIRS));
            assert_int_equal(mkdirat(f->fd, path, 0700), 0);
        }
        (void)snprintf(path, sizeof path, "top/%d\n/%d", i / (FILES / DIRS), i);
        /* links are cheaper to make than files, and go the same way */
        assert_int_equal(symlinkat("/", f->fd, path), 0);
    }
    while (r > 0) {
        size_t budget = BATCH;

        r = treewipe(f->fd, "top", &budget, NULL);
        assert_true(budget <= BATCH);
        removed += BATCH - budget;
    }
    assert_int_equal(r, 0);
    assert_in_range(removed, FILES + DIRS + 1, FILES + 3 * DIRS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links_put_in_the_place_of_directories_lead_it_nowhere,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_as_the_top_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(many_files_go_in_bounded_steps, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
