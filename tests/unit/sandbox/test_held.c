/* What is kept in files without a name, seen from outside of the process that keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/held.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"

enum { KIB = 1024, MIB = 1024 * KIB, PIECES = 100000, WAIT_S = 20 };

struct fixture {
    char *dir;
    dev_t disk, memory;
    int proc;
    char pids[2][16]; /* of the children that are looked at */
    pid_t children[2];
    struct held held;
};

static bool is_ours(const char *pid, const void *ctx)
{
    const struct fixture *f = ctx;

    return str_eq(pid, f->pids[0]) || str_eq(pid, f->pids[1]);
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    struct stat st;

    f->dir = tempdir_new();
    assert_int_equal(stat(f->dir, &st), 0);
    f->disk = st.st_dev;
    assert_true(held_find_memory(&f->memory));
    f->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->proc >= 0);
    held_init(&f->held, f->proc, is_ours, f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(f->children); i++) {
        if (f->children[i] == 0)
            continue;
        (void)kill(f->children[i], SIGKILL);
        (void)waitpid(f->children[i], NULL, 0);
    }
    (void)close(f->proc);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

/* A child that has what we have open now, and waits. hide: from those who may not trace it. */
static void keep_in_child(struct fixture *f, size_t i, bool hide)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (hide)
            (void)prctl(PR_SET_DUMPABLE, 0);
        (void)!write(ready[1], "r", 1);
        for (;;)
            (void)pause();
    }
    f->children[i] = pid;
    (void)snprintf(f->pids[i], sizeof f->pids[i], "%d", (int)pid);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static void *wait_for_ever(void *ctx)
{
    (void)ctx;
    for (;;)
        (void)pause();
    return NULL;
}

static bool has_main_thread(const char *pid)
{
    AUTO_FREE char *path = mem_printf("/proc/%s/stat", pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[512];
    ssize_t n = read(fd, text, sizeof text - 1);

    assert_true(n > 0);
    text[n] = '\0';
    return strstr(text, ") Z") == NULL;
}

/* As keep_in_child(), but only another thread lives on in it. */
static void keep_without_main_thread(struct fixture *f, size_t i)
{
    pid_t pid = fork();
    pthread_t other;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (pthread_create(&other, NULL, wait_for_ever, NULL) != 0)
            _exit(1);
        (void)syscall(SYS_exit, 0); /* exit(3) would end them all */
    }
    f->children[i] = pid;
    (void)snprintf(f->pids[i], sizeof f->pids[i], "%d", (int)pid);
    (void)alarm(WAIT_S);
    while (has_main_thread(f->pids[i]))
        (void)sched_yield();
    (void)alarm(0);
}

static void fill(int fd, size_t bytes)
{
    AUTO_FREE char *text = mem_alloc(bytes);

    memset(text, 'x', bytes);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, bytes), 0);
    (void)fsync(fd); /* blocks that are yet to be given count only then; a memory file has none */
}

static int make_removed(const struct fixture *f, size_t bytes)
{
    AUTO_FREE char *path = mem_printf("%s/file", f->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    fill(fd, bytes);
    assert_int_equal(unlink(path), 0);
    return fd;
}

static uint64_t measure(struct fixture *f, size_t entries)
{
    for (int i = 0; i < PIECES; i++)
        if (held_step(&f->held, entries))
            return f->held.bytes;
    fail_msg("it never ends");
    return 0;
}

static void removed_files_count_until_they_are_closed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/named", f->dir);
    int removed = make_removed(f, 256 * KIB), named;
    siginfo_t info;

    named = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fill(named, 512 * KIB);
    held_add(&f->held, f->disk);
    keep_in_child(f, 0, false);
    (void)close(removed);
    (void)close(named);
    assert_in_range(measure(f, 1000000), 256 * KIB, 300 * KIB); /* a named one is in its tree */
    assert_in_range(measure(f, 1), 256 * KIB, 300 * KIB);       /* in the smallest steps, too */
    assert_false(f->held.hidden);
    assert_int_equal(kill(f->children[0], SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)f->children[0], &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(measure(f, 1000000), 0);
    assert_false(f->held.hidden); /* nor does one that nobody has waited for yet */
    assert_int_equal(waitpid(f->children[0], NULL, 0), f->children[0]);
    f->children[0] = 0;
    assert_int_equal(measure(f, 1000000), 0);
    assert_false(f->held.hidden); /* one that has ended hides nothing */
}

static void empty_files_count_as_files(void **state)
{
    struct fixture *f = *state;
    int fds[3];

    held_add(&f->held, f->disk);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = make_removed(f, 0);
    keep_in_child(f, 0, false);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
    assert_int_equal(measure(f, 100), 0);
    assert_int_equal(f->held.files, 3);
    assert_int_equal(measure(f, 100), 0); /* of each pass by itself */
    assert_int_equal(f->held.files, 3);
}

static void what_is_on_its_way_in_a_socket_is_noticed(void **state)
{
    struct fixture *f = *state;
    int removed = make_removed(f, 256 * KIB), pair[2];

    held_add(&f->held, f->disk);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fd_send(pair[0], "x", 1, NULL, 0), 0); /* bytes alone hide nothing */
    keep_in_child(f, 0, false);
    assert_in_range(measure(f, 100), 256 * KIB, 300 * KIB);
    assert_false(f->held.hidden);
    assert_int_equal(fd_send(pair[0], "x", 1, &removed, 1), 0);
    (void)measure(f, 100);
    assert_true(f->held.hidden);
    (void)close(removed);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* Asked for, as it takes long. */
static void what_is_only_mapped_is_noticed_where_that_is_asked_for(void **state)
{
    struct fixture *f = *state;
    int fd = memfd_create("mapped", MFD_CLOEXEC);
    void *bytes, *other = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    fill(fd, MIB);
    bytes = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(bytes != MAP_FAILED && other != MAP_FAILED);
    (void)close(fd);
    held_add(&f->held, f->memory);
    keep_in_child(f, 0, false);
    assert_int_equal(munmap(bytes, MIB), 0);
    assert_int_equal(measure(f, 100), 0);
    assert_false(f->held.hidden);
    f->held.thorough = true;
    (void)measure(f, 100);
    assert_true(f->held.hidden);
    (void)measure(f, 1); /* in the smallest steps, too */
    assert_true(f->held.hidden);
    keep_in_child(f, 1, false); /* has nothing of it */
    assert_int_equal(kill(f->children[0], SIGKILL), 0);
    assert_int_equal(waitpid(f->children[0], NULL, 0), f->children[0]);
    f->children[0] = 0;
    (void)measure(f, 100);
    assert_false(f->held.hidden);
    assert_int_equal(munmap(other, 4096), 0);
}

static void what_several_hold_counts_once(void **state)
{
    struct fixture *f = *state;
    int first = make_removed(f, 256 * KIB), second;

    held_add(&f->held, f->disk);
    second = dup(first);
    assert_true(second >= 0);
    keep_in_child(f, 0, false);
    keep_in_child(f, 1, false);
    (void)close(first);
    (void)close(second);
    assert_in_range(measure(f, 100), 256 * KIB, 300 * KIB);
}

static void memory_files_count_by_themselves(void **state)
{
    struct fixture *f = *state;
    int removed = make_removed(f, 256 * KIB), memory = memfd_create("held", MFD_CLOEXEC);

    fill(memory, 3 * MIB);
    held_add(&f->held, f->memory);
    keep_in_child(f, 0, false);
    (void)close(removed);
    (void)close(memory);
    assert_in_range(measure(f, 100), 3 * MIB, 3 * MIB + 64 * KIB);
}

static void whoever_hides_its_descriptors_is_noticed(void **state)
{
    struct fixture *f = *state;

    if (geteuid() == 0) {
        (void)printf("skip: needs an ordinary user\n");
        skip();
    }
    held_add(&f->held, f->disk);
    keep_in_child(f, 0, true);
    assert_int_equal(measure(f, 100), 0);
    assert_true(f->held.hidden);
}

static void what_another_thread_than_the_main_one_holds_counts(void **state)
{
    struct fixture *f = *state;
    int removed = make_removed(f, 256 * KIB);

    if (geteuid() == 0) {
        (void)printf("skip: needs an ordinary user\n");
        skip();
    }
    held_add(&f->held, f->disk);
    keep_without_main_thread(f, 0);
    (void)close(removed);
    assert_in_range(measure(f, 100), 256 * KIB, 300 * KIB);
    assert_false(f->held.hidden);
    assert_int_equal(kill(f->children[0], SIGKILL), 0);
    assert_int_equal(waitpid(f->children[0], NULL, 0), f->children[0]);
    f->children[0] = 0;
    assert_int_equal(measure(f, 100), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(removed_files_count_until_they_are_closed),
        TEST(empty_files_count_as_files),
        TEST(what_is_on_its_way_in_a_socket_is_noticed),
        TEST(what_is_only_mapped_is_noticed_where_that_is_asked_for),
        TEST(what_several_hold_counts_once),
        TEST(memory_files_count_by_themselves),
        TEST(whoever_hides_its_descriptors_is_noticed),
        TEST(what_another_thread_than_the_main_one_holds_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
