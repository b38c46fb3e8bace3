#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/statedir.h"
#include "store/store.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

struct fixture {
    char *dir;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f);
    return 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void assert_says(const struct fixture *f, const char *words)
{
    if (!strstr(f->err.text, words))
        fail_msg("'%s' is not in: %s", words, f->err.text);
}

static int try_open(struct fixture *f, const char *dir)
{
    AUTO_FREE char *path = NULL;
    AUTO_CLOSE int fd = -1;

    return statedir_open(dir, &path, &fd, &f->err);
}

static void a_directory_is_made_with_its_parents_for_us_alone(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *parent = mem_printf("%s/a", f->dir);
    AUTO_FREE char *dir = mem_printf("%s/a//b/c/", f->dir);
    mode_t old = umask(0);

    assert_int_equal(try_open(f, dir), 0);
    (void)umask(old);
    assert_int_equal(mode_of(dir), 0700);
    assert_int_equal(mode_of(parent), 0700);
    assert_int_equal(try_open(f, dir), 0); /* and taken as it is from then on */
}

static void a_relative_name_and_a_link_are_resolved(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *link = mem_printf("%s/link", f->dir);
    AUTO_FREE char *dir = mem_printf("%s/dir", f->dir);
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *real = NULL;
    AUTO_CLOSE int fd = -1;

    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(symlink("dir", link), 0);
    assert_int_equal(statedir_open(link, &path, &fd, &f->err), 0);
    real = realpath(dir, NULL);
    assert_string_equal(path, real);
    free(TAKE_PTR(path));
    (void)close(TAKE_FD(fd));
    assert_int_equal(chdir(f->dir), 0);
    assert_int_equal(statedir_open("dir", &path, &fd, &f->err), 0);
    assert_int_equal(chdir("/"), 0);
    assert_string_equal(path, real);
}

static void a_parent_that_is_a_file_is_named(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *file = mem_printf("%s/file", f->dir);
    AUTO_FREE char *dir = mem_printf("%s/file/state", f->dir);
    AUTO_CLOSE int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(try_open(f, dir), -ENOTDIR);
    assert_says(f, dir);
    assert_says(f, "--state");
    assert_int_equal(try_open(f, file), -ENOTDIR);
    assert_int_equal(try_open(f, ""), -EINVAL);
}

static void a_parent_that_refuses_us_is_explained(void **state)
{
    struct fixture *f = *state;

    /* not even root makes a directory there */
    assert_true(try_open(f, "/proc/nairid-state/deep") < 0);
    assert_says(f, "make the directory '/proc/nairid-state'");
    assert_says(f, "make '/proc/nairid-state/deep' yourself");
}

static void a_directory_that_others_may_write_to_is_refused(void **state)
{
    static const mode_t bad[] = { 0720, 0702, 0777, 01777, 0770 };
    static const mode_t good[] = { 0700, 0755, 0711 };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(chmod(f->dir, bad[i]), 0);
        assert_int_equal(try_open(f, f->dir), -EPERM);
        assert_says(f, "others may write");
        assert_says(f, f->dir);
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(chmod(f->dir, good[i]), 0);
        assert_int_equal(try_open(f, f->dir), 0);
    }
}

static void a_directory_of_another_user_is_refused(void **state)
{
    struct fixture *f = *state;

    if (geteuid() == 0)
        assert_int_equal(chown(f->dir, 12345, 12345), 0);
    /* an ordinary user finds one in the root directory */
    assert_int_equal(try_open(f, geteuid() == 0 ? f->dir : "/"), -EPERM);
    assert_says(f, "belongs to user");
}

/* ---- the lock ---- */

/* Takes the lock in a process of its own, which says so on the pipe, and lives until killed. With
 * heir it leaves a process that holds a duplicate, and ends. Returns the holder's pid. */
static pid_t hold_lock(const struct fixture *f, bool heir, pid_t *ret_heir)
{
    int ready[2];
    pid_t pid, pids[2] = { 0, 0 };

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *path = NULL;
        int dir_fd = -1, lock_fd = -1;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where a test fails in between */
        if (statedir_open(f->dir, &path, &dir_fd, NULL) < 0 ||
            statedir_lock(dir_fd, path, &lock_fd, NULL) < 0)
            _exit(1);
        pids[0] = getpid();
        if (heir && (pids[1] = fork()) == 0) {
            (void)alarm(60); /* nobody's child soon: the test ends it, or this does */
            for (;;)
                pause();
        }
        if (write(ready[1], pids, sizeof pids) != sizeof pids || heir)
            _exit(0);
        for (;;)
            pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], pids, sizeof pids), sizeof pids);
    (void)close(ready[0]);
    *ret_heir = pids[1];
    return pid;
}

/* Also a grandchild, which can't be waited for otherwise. Its locks are free on return. */
static void end_process(pid_t pid)
{
    AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ended = { .fd = fd, .events = POLLIN };

    assert_true(fd >= 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(poll(&ended, 1, 30000), 1);
    (void)waitpid(pid, NULL, WNOHANG); /* fails for a grandchild */
}

static void a_held_directory_is_refused_with_the_holder_by_number(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    pid_t heir, pid = hold_lock(f, false, &heir);
    AUTO_FREE char *number = mem_printf("process %d;", (int)pid);

    assert_int_equal(store_open(f->dir, &store, &f->err), -EWOULDBLOCK);
    assert_null(store);
    assert_says(f, number);
    assert_says(f, f->dir);
    end_process(pid);
    assert_int_equal(store_open(f->dir, &store, &f->err), 0);
    store_free(store);
}

static void a_duplicate_holds_the_lock_after_its_daemon_died(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    pid_t heir, pid = hold_lock(f, true, &heir);

    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(store_open(f->dir, &store, &f->err), -EWOULDBLOCK);
    assert_says(f, "has ended");
    end_process(heir);
    assert_int_equal(store_open(f->dir, &store, &f->err), 0);
    store_free(store);
}

static void closing_the_store_leaves_the_lock_to_a_duplicate(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL, *second = NULL;
    AUTO_CLOSE int spare = -1;

    assert_int_equal(store_open(f->dir, &store, &f->err), 0);
    assert_true(fcntl(store_lock_fd(store), F_GETFD) & FD_CLOEXEC);
    spare = dup(store_lock_fd(store));
    store_free(store);
    assert_int_equal(store_open(f->dir, &second, &f->err), -EWOULDBLOCK);
    (void)close(TAKE_FD(spare));
    assert_int_equal(store_open(f->dir, &second, &f->err), 0);
    store_free(second);
}

static void nonsense_in_the_lock_file_names_nobody(void **state)
{
    static const char *const texts[] = { "", "0\n", "-1\n", "one\n", "99999999999999999999999\n" };
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/nairid.lock", f->dir);
    pid_t heir, pid = hold_lock(f, false, &heir);

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        struct store *store = NULL;

        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        assert_int_equal(store_open(f->dir, &store, &f->err), -EWOULDBLOCK);
        assert_says(f, "another nairid");
        assert_null(strstr(f->err.text, "process"));
    }
    end_process(pid);
}

static void a_lock_file_that_is_a_link_is_refused(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/nairid.lock", f->dir);
    struct store *store = NULL;

    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(store_open(f->dir, &store, &f->err), -ELOOP);
    assert_says(f, "nairid.lock");
}

/* ---- the reserve ---- */

static void the_reserve_occupies_the_disk_until_it_is_released(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *file = mem_printf("%s/reserve", f->dir);
    AUTO_FREE char *path = NULL;
    AUTO_CLOSE int fd = -1;
    struct stat st;

    assert_int_equal(statedir_open(f->dir, &path, &fd, &f->err), 0);
    assert_false(statedir_reserve_release(fd)); /* there is none */
    assert_true(statedir_reserve_make(fd));
    assert_true(statedir_reserve_make(fd));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, STATEDIR_RESERVE_BYTES);
    assert_true(st.st_blocks * 512 >= STATEDIR_RESERVE_BYTES);
    assert_true(statedir_reserve_release(fd));
    assert_false(statedir_reserve_release(fd));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_blocks, 0);
    /* a file of the right size without blocks is not a reserve */
    assert_int_equal(truncate(file, STATEDIR_RESERVE_BYTES), 0);
    assert_true(statedir_reserve_make(fd));
    assert_int_equal(stat(file, &st), 0);
    assert_true(st.st_blocks * 512 >= STATEDIR_RESERVE_BYTES);
}

static void a_reserve_that_is_no_file_of_ours_is_not_followed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *file = mem_printf("%s/reserve", f->dir);
    AUTO_FREE char *target = mem_printf("%s/target", f->dir);
    AUTO_FREE char *path = NULL;
    AUTO_CLOSE int fd = -1;
    struct stat st;

    assert_int_equal(statedir_open(f->dir, &path, &fd, &f->err), 0);
    assert_int_equal(symlink("target", file), 0);
    assert_false(statedir_reserve_make(fd));
    assert_false(statedir_reserve_release(fd));
    assert_int_equal(stat(target, &st), -1);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_false(statedir_reserve_release(fd)); /* nor waited for */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_directory_is_made_with_its_parents_for_us_alone),
        TEST(a_relative_name_and_a_link_are_resolved),
        TEST(a_parent_that_is_a_file_is_named),
        TEST(a_parent_that_refuses_us_is_explained),
        TEST(a_directory_that_others_may_write_to_is_refused),
        TEST(a_directory_of_another_user_is_refused),
        TEST(a_held_directory_is_refused_with_the_holder_by_number),
        TEST(a_duplicate_holds_the_lock_after_its_daemon_died),
        TEST(closing_the_store_leaves_the_lock_to_a_duplicate),
        TEST(nonsense_in_the_lock_file_names_nobody),
        TEST(a_lock_file_that_is_a_link_is_refused),
        TEST(the_reserve_occupies_the_disk_until_it_is_released),
        TEST(a_reserve_that_is_no_file_of_ours_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
