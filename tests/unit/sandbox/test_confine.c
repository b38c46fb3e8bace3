#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/confine.h"
#include "sandbox/filter.h"
#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

struct fixture {
    char *dir, *state, *config, *other;
};

static char *make_place(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);

    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->state = make_place(f->dir, "state");
    f->config = make_place(f->dir, "config");
    f->other = make_place(f->dir, "other");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f->state);
    free(f->config);
    free(f->other);
    free(f);
    return 0;
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%d: %s (%s)\n", __LINE__, #condition, strerror(errno));         \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int confine_as_daemon(const struct fixture *f)
{
    const char *const writable[] = { f->state, NULL };
    const char *const readable[] = { f->config, NULL };
    struct err err = { 0 };

    if (confine_daemon(&(struct confine_paths){ .writable = writable, .readable = readable },
                       &err) == 0)
        return 0;
    (void)fprintf(stderr, "%s\n", err.text);
    return -1;
}

/* fn in a child, which ends by exit(): under sanitizers the leak check must still work there. */
static void in_child(int (*fn)(const struct fixture *), const struct fixture *f)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        exit(fn(f));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("status %x", (unsigned)status);
}

static int write_in(const char *dir)
{
    char path[4096];
    struct err err;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    return fd_write_file(path, "x", 1, 0600, &err);
}

static int be_daemon(const struct fixture *f)
{
    char path[4096];
    int fd;

    EXPECT(write_in(f->config) == 0 && write_in(f->other) == 0);
    EXPECT(confine_as_daemon(f) == 0);
    EXPECT(write_in(f->state) == 0);
    EXPECT(write_in(f->state) == 0); /* renamed over the one before */
    EXPECT(write_in(f->config) == -EACCES && write_in(f->other) == -EACCES);
    (void)snprintf(path, sizeof path, "%s/file", f->config);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    EXPECT(fd >= 0);
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/file", f->other);
    EXPECT(open(path, O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
    EXPECT(open("/etc/passwd", O_WRONLY | O_CLOEXEC) == -1);
    EXPECT(prctl(PR_GET_DUMPABLE) == 0);
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0ul, 0ul, 0ul, 0ul) == 1);
    EXPECT(execl("/bin/true", "true", (char *)NULL) == -1 && errno == EPERM);
#ifndef NAIRID_SANITIZED /* where the leak check needs a clone of the process */
    EXPECT(fork() == -1);
#endif
    return 0;
}

static void the_daemon_keeps_only_its_directories(void **state)
{
    in_child(be_daemon, *state);
}

static void *resolve(void *arg)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;

    if (getaddrinfo("localhost", "80", &hints, &list) != 0)
        return NULL;
    freeaddrinfo(list);
    return arg;
}

/* Bit 0: a name could be resolved in a thread; bit 1: a service could be looked up. */
static int resolve_all(void)
{
    pthread_t thread;
    int here = 0;
    void *result = NULL;

    if (pthread_create(&thread, NULL, resolve, &here) != 0 || pthread_join(thread, &result) != 0)
        return -1;
    return (result == &here) | (getservbyname("https", "tcp") != NULL) << 1;
}

static int resolve_unconfined(void)
{
    int status;
    pid_t pid = fork(); /* what is loaded for it must not be there already */

    if (pid == 0)
        _exit(resolve_all());
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int resolve_confined(const struct fixture *f)
{
    int before = resolve_unconfined(); /* a machine may lack /etc/hosts or /etc/services */

    EXPECT(confine_as_daemon(f) == 0);
    EXPECT(resolve_all() == before);
    return 0;
}

static void the_daemon_resolves_names_in_threads_as_before(void **state)
{
    in_child(resolve_confined, *state);
}

static int send_and_kill(const struct fixture *f)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        for (;;)
            (void)pause();
    EXPECT(pid > 0);
    EXPECT(confine_as_daemon(f) == 0);
    EXPECT(kill(pid, SIGKILL) == 0);
    EXPECT(waitpid(pid, &status, 0) == pid);
    return 0;
}

static void the_daemon_can_end_the_spawner(void **state)
{
    in_child(send_and_kill, *state);
}

static int confine_missing(const struct fixture *f)
{
    const char *const writable[] = { "/nonexistent/state", NULL };
    struct err err = { 0 };

    (void)f;
    EXPECT(confine_daemon(&(struct confine_paths){ .writable = writable }, &err) == 0);
    EXPECT(write_in(f->state) == -EACCES);
    return 0;
}

static void a_directory_that_is_not_there_gives_no_right(void **state)
{
    in_child(confine_missing, *state);
}

static int be_spawner(const struct fixture *f)
{
    struct err err = { 0 };
    int status;
    pid_t pid;

    if (confine_spawner(&(struct plan_ground){ 0 }, false, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    EXPECT(prctl(PR_GET_DUMPABLE) == 0);
    EXPECT(write_in(f->state) == 0); /* no file rules: they would forbid mounts */
    pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(9);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    return 0;
}

static void the_spawner_can_still_start_programs(void **state)
{
    in_child(be_spawner, *state);
}

/* Its sockets are all that a task could make it open. */
static int be_egress(const struct fixture *f)
{
    CLEANUP_PTR(filter_free) struct filter *filter = NULL;
    struct err err = { 0 };
    int count = 0;

    (void)f;
    EXPECT(filter_new(FILTER_EGRESS, 0, &filter, &err) == 0);
    EXPECT(confine_egress(filter, 0, false, &err) == 0);
    EXPECT(open("/etc/hosts", O_RDONLY | O_CLOEXEC) >= 0 || errno == ENOENT);
    EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    while (count <= 1024 && socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
        count++;
    EXPECT(count < 1024 && errno == EMFILE);
    EXPECT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 && errno == EAFNOSUPPORT);
    _exit(0); /* where nothing can be opened a leak check can't be made, either */
}

static void an_egress_process_has_sockets_and_no_files(void **state)
{
    in_child(be_egress, *state);
}

/* One that is watched has no filter, so that this can still be asked. */
static int leave_keys(const struct fixture *f)
{
    struct err err;

    (void)f;
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
        syscall(SYS_add_key, "user", "nairid-test", "key", 3, KEY_SPEC_SESSION_KEYRING) < 0)
        return 0; /* a kernel without, or a container that forbids it, its tasks too */
    EXPECT(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "nairid-test", 0) >
           0);
    EXPECT(confine_spawner(&(struct plan_ground){ 0 }, true, &err) == 0);
    EXPECT(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "nairid-test", 0) <
           0);
    return 0;
}

static void no_key_of_the_callers_session_reaches_the_spawner(void **state)
{
    in_child(leave_keys, *state);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_daemon_keeps_only_its_directories),
        TEST(the_daemon_resolves_names_in_threads_as_before),
        TEST(the_daemon_can_end_the_spawner),
        TEST(a_directory_that_is_not_there_gives_no_right),
        TEST(the_spawner_can_still_start_programs),
        TEST(an_egress_process_has_sockets_and_no_files),
        TEST(no_key_of_the_callers_session_reaches_the_spawner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
