#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/mem.h"

enum { SCOPES_ABI = 6, TRUNCATE_ABI = 3 };

struct fixture {
    char *dir;
    char *open_dir, *read_dir, *closed_dir; /* each with a file "f" in it */
};

static char *make_place(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);
    AUTO_FREE char *file = mem_printf("%s/f", path);
    AUTO_CLOSE int fd = -1;

    assert_int_equal(mkdir(path, 0700), 0);
    fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, "#!/bin/sh\n", 10), 10);
    return path;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->open_dir = make_place(f->dir, "open");
    f->read_dir = make_place(f->dir, "read");
    f->closed_dir = make_place(f->dir, "closed");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f->open_dir);
    free(f->read_dir);
    free(f->closed_dir);
    free(f);
    return 0;
}

/* Runs fn in a child under the rules; its exit code. */
static int within(const struct plan_rule *rules, size_t count, bool scoped,
                  int (*fn)(const struct fixture *), const struct fixture *f)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        size_t bad = 0;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) < 0 ||
            landlock_enter(rules, count, landlock_abi(), scoped ? LANDLOCK_SCOPED : 0, &bad) < 0)
            _exit(250);
        _exit(fn(f));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_open(const char *dir, const char *name, int flags)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

static int try_rename(const char *from_dir, const char *from, const char *to_dir, const char *to)
{
    char a[4096], b[4096];

    (void)snprintf(a, sizeof a, "%s/%s", from_dir, from);
    (void)snprintf(b, sizeof b, "%s/%s", to_dir, to);
    return rename(a, b) < 0 ? errno : 0;
}

/* A failing expectation in a child: its line, as far as an exit code holds it. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%d: %s\n", __LINE__, #condition);                               \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int use_places(const struct fixture *f)
{
    char path[4096];

    EXPECT(try_open(f->open_dir, "f", O_RDWR) == 0);
    EXPECT(try_open(f->open_dir, "new", O_WRONLY | O_CREAT) == 0);
    EXPECT(try_open(f->open_dir, ".", O_RDONLY | O_DIRECTORY) == 0);
    EXPECT(try_open(f->read_dir, "f", O_RDONLY) == 0);
    EXPECT(try_open(f->read_dir, "f", O_WRONLY) == EACCES);
    EXPECT(try_open(f->read_dir, "new", O_WRONLY | O_CREAT) == EACCES);
    EXPECT(try_open(f->closed_dir, "f", O_RDONLY) == EACCES);
    EXPECT(try_open(f->closed_dir, ".", O_RDONLY | O_DIRECTORY) == EACCES);
    EXPECT(try_open(f->dir, ".", O_RDONLY | O_DIRECTORY) == EACCES);
    EXPECT(try_open("/etc", "passwd", O_RDONLY) == EACCES);
    /* across directories, which ABI 1 couldn't allow; not out of reach */
    (void)snprintf(path, sizeof path, "%s/sub", f->open_dir);
    EXPECT(mkdir(path, 0700) == 0);
    EXPECT(try_rename(f->open_dir, "new", path, "moved") == 0);
    EXPECT(try_rename(path, "moved", f->closed_dir, "moved") != 0);
    EXPECT(try_rename(f->read_dir, "f", f->open_dir, "stolen") != 0);
    (void)snprintf(path, sizeof path, "%s/f", f->read_dir);
    EXPECT(unlink(path) == -1 && errno == EACCES);
    if (landlock_abi() >= TRUNCATE_ABI)
        EXPECT(truncate(path, 0) == -1 && errno == EACCES);
    execl(path, path, (char *)NULL); /* no right to execute was given */
    EXPECT(errno == EACCES);
    return 0;
}

static void only_what_the_rules_say_is_possible(void **state)
{
    const struct fixture *f = *state;
    const struct plan_rule rules[] = {
        { .path = f->open_dir, .rights = PLAN_RIGHTS_ALL },
        { .path = f->read_dir, .rights = PLAN_MAY_LIST | PLAN_MAY_READ },
    };

    assert_int_equal(within(rules, ARRAY_SIZE(rules), true, use_places, f), 0);
}

static int try_mount(const struct fixture *f)
{
    /* refused by Landlock before any question of rights: EPERM as root too */
    EXPECT(mount("none", f->open_dir, "tmpfs", 0, NULL) == -1 && errno == EPERM);
    return 0;
}

static void nothing_can_be_mounted_any_more(void **state)
{
    const struct fixture *f = *state;
    const struct plan_rule rules[] = { { .path = f->dir, .rights = PLAN_RIGHTS_ALL } };

    assert_int_equal(within(rules, 1, false, try_mount, f), 0);
}

static int no_op(const struct fixture *f)
{
    (void)f;
    return 0;
}

static void rules_for_files_and_for_nothing_are_taken(void **state)
{
    const struct fixture *f = *state;
    AUTO_FREE char *file = mem_printf("%s/f", f->read_dir);
    AUTO_FREE char *missing = mem_printf("%s/missing", f->dir);
    const struct plan_rule rules[] = {
        { .path = file, .rights = PLAN_RIGHTS_ALL },    /* directory rights fall away */
        { .path = file, .rights = PLAN_MAY_LIST },      /* nothing is left */
        { .path = missing, .rights = PLAN_RIGHTS_ALL }, /* left out */
        { .path = f->open_dir, .rights = 0 },
    };

    assert_int_equal(within(rules, ARRAY_SIZE(rules), true, no_op, f), 0);
    assert_int_equal(within(rules, 0, true, no_op, f), 0);
}

static void a_rule_that_fails_is_named(void **state)
{
    const struct fixture *f = *state;
    AUTO_FREE char *beneath = mem_printf("%s/f/x", f->read_dir); /* ENOTDIR */
    const struct plan_rule rules[] = { { .path = f->open_dir, .rights = PLAN_RIGHTS_ALL },
                                       { .path = beneath, .rights = PLAN_RIGHTS_ALL } };
    size_t bad = 99;

    /* without no_new_privs nothing is entered here, whatever comes after */
    assert_int_equal(landlock_enter(rules, 2, landlock_abi(), LANDLOCK_SCOPED, &bad), -ENOTDIR);
    assert_int_equal(bad, 1);
}

static int reach_out(const struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", f->dir);
    EXPECT(connect(fd, (const struct sockaddr *)&address, sizeof address) == -1 && errno == EPERM);
    EXPECT(kill(getppid(), 0) == -1 && errno == EPERM);
    EXPECT(kill(getpid(), 0) == 0);
    return 0;
}

static int listen_abstract(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* 0 where a file can be renamed from one directory to another and back. */
static int moves_across(const struct fixture *f)
{
    AUTO_FREE char *from = mem_printf("%s/moved", f->dir), *folder = mem_printf("%s/to", f->dir),
                   *to = mem_printf("%s/moved", folder);

    EXPECT(mkdir(folder, 0755) == 0 || errno == EEXIST);
    (void)close(open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    EXPECT(rename(from, to) == 0 && rename(to, from) == 0);
    return 0;
}

static int enter_scopes_only(const struct fixture *f)
{
    const struct plan_rule all[] = { { .path = (char[]){ "/" }, .rights = PLAN_RIGHTS_ALL } };
    int fd;

    if (landlock_enter_scopes(landlock_abi()) < 0)
        return 2;
    EXPECT(kill(getppid(), 0) == -1 && errno == EPERM);
    fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC); /* files are no matter of scopes */
    EXPECT(fd >= 0);
    EXPECT(moves_across(f) == 0);
    /* nor for a ruleset above it that allows it */
    EXPECT(landlock_enter(all, 1, landlock_abi(), LANDLOCK_SCOPED, NULL) == 0);
    EXPECT(moves_across(f) == 0);
    return 0;
}

static void signals_and_abstract_sockets_stay_inside_where_the_kernel_can(void **state)
{
    const struct fixture *f = *state;
    AUTO_CLOSE int outside = -1;
    const struct plan_rule all[] = { { .path = (char[]){ "/" }, .rights = PLAN_RIGHTS_ALL } };

    if (landlock_abi() < SCOPES_ABI) {
        print_message("Landlock has no scopes here\n");
        return; /* nothing that could be asserted; apply works without them */
    }
    outside = listen_abstract(f->dir);
    assert_int_equal(within(all, 1, true, reach_out, f), 0);
    assert_int_equal(within(all, 1, false, enter_scopes_only, f), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_the_rules_say_is_possible),
        TEST(nothing_can_be_mounted_any_more),
        TEST(rules_for_files_and_for_nothing_are_taken),
        TEST(a_rule_that_fails_is_named),
        TEST(signals_and_abstract_sockets_stay_inside_where_the_kernel_can),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
