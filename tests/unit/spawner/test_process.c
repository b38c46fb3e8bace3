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
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/apply.h"
#include "sandbox/cgroup.h"
#include "sandbox/plan.h"
#include "spawner/ipc.h"
#include "spawner/process.h"
#include "spawner/ward.h"
#include "support/profiles.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/strv.h"

enum { TASK_UID = 0x6fff0001, WAIT_MS = 10000 };

struct fixture {
    struct apply *apply;
    char *dir;
    int sock;
    pid_t pid;
    enum plan_network network;
};

/* ---- cgroups that there are none of: only their numbers ---- */

int __wrap_cgroup_make(const struct cgroup *c, uint64_t task, struct cgroup_doors *ret_doors,
                       struct err *err);
int __wrap_cgroup_limit(const struct cgroup *c, uint64_t task, const struct plan *plan,
                        struct err *err);
void __wrap_cgroup_read_memory(const struct cgroup *c, uint64_t task,
                               struct cgroup_usage *ret_usage);
int __wrap_cgroup_remove(const struct cgroup *c, uint64_t task);

static uint64_t made, removed; /* the last ones */

int __wrap_cgroup_make(const struct cgroup *c, uint64_t task, struct cgroup_doors *ret_doors,
                       struct err *err)
{
    (void)c;
    (void)ret_doors;
    (void)err;
    made = task;
    return 0;
}

int __wrap_cgroup_limit(const struct cgroup *c, uint64_t task, const struct plan *plan,
                        struct err *err)
{
    (void)c;
    (void)plan;
    (void)err;
    assert_int_equal(task, made);
    return 0;
}

void __wrap_cgroup_read_memory(const struct cgroup *c, uint64_t task,
                               struct cgroup_usage *ret_usage)
{
    (void)c;
    (void)task;
    *ret_usage = (struct cgroup_usage){ 0 };
}

int __wrap_cgroup_remove(const struct cgroup *c, uint64_t task)
{
    (void)c;
    removed = task;
    return 0;
}

/* ---- an egress process that is never ready ---- */

static void be_mute(const struct gateway *g)
{
    char byte;

    while (recv(g->words, &byte, 1, 0) > 0)
        continue; /* the spawner has nothing to say */
}

/* ---- the daemon's end, by hand ---- */

static ssize_t receive(const struct fixture *f, struct ipc_news *news)
{
    struct pollfd p = { .fd = f->sock, .events = POLLIN };

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return fd_recv(f->sock, news, sizeof *news, NULL, 0);
}

static struct ipc_news expect(const struct fixture *f, enum ipc_type type, uint64_t task)
{
    struct ipc_news news = { 0 };

    assert_int_equal(receive(f, &news), sizeof news);
    assert_int_equal(news.type, type);
    assert_int_equal(news.task, task);
    return news;
}

static int setup_with(void **state, rlim_t files)
{
    const struct rlimit limit = { .rlim_cur = files, .rlim_max = files };
    struct fixture *f = mem_new(struct fixture);
    struct err err = { 0 };
    int pair[2];

    if (apply_new(NULL, &f->apply, &err) < 0)
        fail_msg("%s", err.text);
    f->dir = tempdir_new();
    if (geteuid() == 0)
        assert_int_equal(chown(f->dir, TASK_UID, TASK_UID), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    f->pid = fork();
    if (f->pid == 0 && files > 0 && setrlimit(RLIMIT_NOFILE, &limit) < 0)
        _exit(1);
    if (f->pid == 0)
        process_run(&(struct process_means){ .apply = f->apply, .egress = be_mute }, pair[1], -1);
    (void)close(pair[1]);
    f->sock = pair[0];
    assert_string_equal(expect(f, IPC_READY, 0).exit.error, "");
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 0);
}

static int setup_with_few(void **state)
{
    return setup_with(state, 110); /* building one sandbox takes some 50 for a moment */
}

/* At the end of the socket it goes, by itself and with status 0, whatever it was sent. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    int status;

    (void)close(f->sock);
    (void)alarm(WAIT_MS / 1000); /* instead of waiting for ever */
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    (void)alarm(0);
    assert_int_equal(status, 0);
    apply_free(f->apply);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static struct plan *plan_of(const struct fixture *f, const char *script)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan *plan = NULL;
    struct err err = { 0 };
    const struct plan_policy policy = { .profile = profiles_get("strict"),
                                        .workspace = f->dir,
                                        .argv = &argv,
                                        .pids = 16,
                                        .network = f->network,
                                        .egress_uid = TASK_UID + 1,
                                        .uid = geteuid(),
                                        .task_uid = TASK_UID };

    strv_add(&argv, "sh");
    strv_add(&argv, "-c");
    strv_add(&argv, script);
    if (plan_make(&policy, &plan, &err) < 0)
        fail_msg("%s", err.text);
    return plan;
}

static int plan_file(const struct fixture *f, const char *script)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    CLEANUP_PTR(plan_free) struct plan *plan = plan_of(f, script);

    plan_encode(plan, &b);
    return fd_memfile("plan", b.data, b.len);
}

static void order(const struct fixture *f, uint32_t type, uint64_t task, const int *fds, size_t n)
{
    const struct ipc_order o = { .type = type, .task = task };

    assert_int_equal(fd_send(f->sock, &o, sizeof o, fds, n), 0);
}

static void start_true(const struct fixture *f, uint64_t task)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int plan = plan_file(f, "exit 3");
    const int fds[] = { plan, null, null, null };

    order(f, IPC_START, task, fds, ARRAY_SIZE(fds));
}

/* The proof that it still works, and that there was no news that nobody asked for. */
static void expect_it_works(const struct fixture *f, uint64_t task)
{
    start_true(f, task);
    (void)expect(f, IPC_STARTED, task);
    assert_int_equal(WEXITSTATUS(expect(f, IPC_EXITED, task).exit.status), 3);
}

/* ---- tests ---- */

static void datagrams_of_any_size_are_survived(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *bytes = mem_alloc(70000);

    for (size_t len = 1; len < 70000; len = len * 2 + 1) {
        memset(bytes, (int)len, len);
        if (len != sizeof(struct ipc_order))
            assert_int_equal(fd_send(f->sock, bytes, len, NULL, 0), 0);
    }
    expect_it_works(f, 1);
}

static void unknown_orders_are_passed_over(void **state)
{
    static const uint32_t types[] = { 0, IPC_READY, IPC_STARTED, IPC_EXITED, 77, UINT32_MAX };
    struct fixture *f = *state;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int fds[] = { null, null, null, null };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        order(f, types[i], i, fds, i % 5);
    order(f, IPC_KILL, 4711, NULL, 0);
    expect_it_works(f, 1);
}

static void an_order_with_too_many_descriptors_fails(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int fds[] = { null, null, null, null, null, null, null, null, null, null };

    order(f, IPC_START, 1, fds, ARRAY_SIZE(fds));
    assert_int_equal(expect(f, IPC_EXITED, 1).exit.failure, -EMFILE);
    expect_it_works(f, 1);
}

/* Starts tasks that last until one can't be; returns its number. Those before it run. */
static uint64_t start_until_failure(const struct fixture *f, struct spawner_exit *ret_exit)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int plan = plan_file(f, "sleep 1000");
    const int fds[] = { plan, null, null, null };

    for (uint64_t task = 0; task < 200; task++) {
        struct ipc_news news = { 0 };

        order(f, IPC_START, task, fds, ARRAY_SIZE(fds));
        assert_int_equal(receive(f, &news), sizeof news);
        assert_int_equal(news.task, task);
        if (news.type == IPC_STARTED)
            continue;
        assert_true(news.exit.failed_to_start);
        *ret_exit = news.exit;
        return task;
    }
    fail_msg("nothing fails");
    return 0;
}

static void without_descriptors_left_a_start_fails_in_words_and_later_ones_work(void **state)
{
    struct fixture *f = *state;
    struct spawner_exit exit = { 0 };
    uint64_t failed = start_until_failure(f, &exit);

    assert_true(failed > 0);
    assert_int_equal(exit.failure, -EMFILE);
    assert_non_null(strcasestr(exit.error, "too many open files"));
    for (uint64_t task = 0; task < failed; task++) {
        order(f, IPC_KILL, task, NULL, 0);
        assert_int_equal(expect(f, IPC_EXITED, task).exit.status, SIGKILL);
    }
    expect_it_works(f, 1);
}

static void a_start_without_all_descriptors_fails(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int fds[] = { null, null, null };

    for (uint64_t n = 0; n <= 3; n++) {
        struct ipc_news news;

        order(f, IPC_START, n, fds, n);
        news = expect(f, IPC_EXITED, n);
        assert_true(news.exit.failed_to_start);
        assert_int_equal(news.exit.failure, -EINVAL);
        assert_non_null(strstr(news.exit.error, "without its descriptors"));
    }
    expect_it_works(f, 9);
}

static void a_plan_that_is_no_plan_fails(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int empty = fd_memfile("plan", "", 0);
    AUTO_CLOSE int text = fd_memfile("plan", "hello, spawner", 14);
    AUTO_CLOSE int huge = memfd_create("plan", MFD_CLOEXEC);
    const int plans[] = { null, directory, empty, text, huge };

    assert_int_equal(ftruncate(huge, PLAN_BYTES_MAX + 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
        const int fds[] = { plans[i], null, null, null };

        order(f, IPC_START, i, fds, ARRAY_SIZE(fds));
        assert_true(expect(f, IPC_EXITED, i).exit.failed_to_start);
    }
    expect_it_works(f, 9);
}

static void a_second_start_under_a_living_number_is_passed_over(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int plan = plan_file(f, "sleep 1000");
    const int fds[] = { plan, null, null, null };

    order(f, IPC_START, 5, fds, ARRAY_SIZE(fds));
    (void)expect(f, IPC_STARTED, 5);
    order(f, IPC_START, 5, fds, ARRAY_SIZE(fds));
    order(f, IPC_KILL, 5, NULL, 0);
    assert_int_equal(expect(f, IPC_EXITED, 5).exit.status, SIGKILL);
    expect_it_works(f, 5); /* free again */
}

static void news_wait_for_a_daemon_that_does_not_read(void **state)
{
    enum { MANY = 300 };
    struct fixture *f = *state;
    size_t exited = 0, started = 0;
    int small = 1;

    /* more news than the socket takes */
    (void)setsockopt(f->sock, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (uint64_t task = 0; task < MANY; task++)
        order(f, IPC_START, task, NULL, 0); /* each fails, and says so */
    start_true(f, MANY);
    while (exited < MANY + 1) {
        struct ipc_news news;

        assert_int_equal(receive(f, &news), sizeof news);
        exited += news.type == IPC_EXITED;
        started += news.type == IPC_STARTED;
    }
    assert_int_equal(started, 1);
}

static void its_end_ends_what_is_being_started(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int plan = plan_file(f, "trap '' TERM; sleep 1000");
    const int fds[] = { plan, null, null, null };

    for (uint64_t task = 0; task < 10; task++)
        order(f, IPC_START, task, fds, ARRAY_SIZE(fds));
    /* teardown closes the socket right now, and waits for its end */
}

static uint64_t cpu_ms_of(pid_t pid)
{
    struct timespec used;
    clockid_t its;

    assert_int_equal(clock_getcpuclockid(pid, &its), 0);
    assert_int_equal(clock_gettime(its, &used), 0);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* For as long as a task's plan is in its memory it makes no sandbox, however much one is wanted. */
static void it_sleeps_while_a_task_that_is_begun_slowly_keeps_it_from_making_others(void **state)
{
    struct fixture *f = *state;
    const struct ipc_order warm = { .type = IPC_WARM, .count = 2 };
    struct pollfd p = { .fd = f->sock, .events = POLLIN };
    uint64_t before_ms;

    assert_int_equal(fd_send(f->sock, &warm, sizeof warm, NULL, 0), 0);
    f->network = PLAN_NETWORK_ALLOWLIST;
    start_true(f, 2);
    assert_int_equal(poll(&p, 1, 300), 0); /* no news; one of the others is due by now */
    before_ms = cpu_ms_of(f->pid);
    assert_int_equal(poll(&p, 1, 400), 0);
    assert_in_range(cpu_ms_of(f->pid) - before_ms, 0, 20);
    order(f, IPC_KILL, 2, NULL, 0);
    assert_int_equal(expect(f, IPC_EXITED, 2).exit.status, SIGKILL);
}

/* Its process has ended; it is still there, as one is whose egress process isn't reaped. */
static struct ward *ended_ward(const struct fixture *f, const struct ward_means *means,
                               uint64_t task)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_CLOSE int plan = plan_file(f, "exit 3");
    int fds[] = { plan, null, null, null };
    struct ward *w = ward_new(task);
    struct err err = { 0 };

    w->plan = plan_of(f, "exit 3");
    if (ward_place(w, means, fds, &err) < 0)
        fail_msg("%s", err.text);
    while (!ward_is_reaped(w)) {
        struct pollfd p[] = { { .fd = w->at.control, .events = POLLIN },
                              { .fd = w->at.pidfd, .events = POLLIN } };

        assert_true(poll(p, ARRAY_SIZE(p), WAIT_MS) > 0);
        if (p[0].revents)
            ward_read(w);
        if (p[1].revents)
            ward_reap(w);
    }
    assert_int_equal(WEXITSTATUS(w->exit.status), 3);
    return w;
}

static void a_task_that_is_started_again_at_once_has_another_cgroup_than_before(void **state)
{
    static const char none;
    const struct fixture *f = *state;
    uint64_t count = 0, first_group;
    const struct ward_means means = { .apply = f->apply,
                                      .cgroup = (const void *)&none,
                                      .group_count = &count };
    struct ward *first = ended_ward(f, &means, 7), *second;

    first_group = made;
    second = ended_ward(f, &means, 7);
    assert_int_not_equal(made, first_group);
    ward_free(first); /* and so takes nothing from the second */
    assert_int_equal(removed, first_group);
    ward_free(second);
    assert_int_equal(removed, made);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(datagrams_of_any_size_are_survived),
        TEST(unknown_orders_are_passed_over),
        TEST(an_order_with_too_many_descriptors_fails),
        TEST(a_start_without_all_descriptors_fails),
        TEST(a_plan_that_is_no_plan_fails),
        TEST(a_second_start_under_a_living_number_is_passed_over),
        TEST(news_wait_for_a_daemon_that_does_not_read),
        TEST(its_end_ends_what_is_being_started),
        TEST(it_sleeps_while_a_task_that_is_begun_slowly_keeps_it_from_making_others),
        TEST(a_task_that_is_started_again_at_once_has_another_cgroup_than_before),
        cmocka_unit_test_setup_teardown(
            without_descriptors_left_a_start_fails_in_words_and_later_ones_work, setup_with_few,
            teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
