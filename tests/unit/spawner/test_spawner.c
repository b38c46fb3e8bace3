#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "sandbox/plan.h"
#include "spawner/spawner.h"
#include "support/profiles.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

enum { TASKS = 32, GUARD_MS = 30000, TASK_UID = 0x6fff0000, MIB = 1024 * 1024 };

struct seen {
    struct buf out, err;
    bool started, exited;
    pid_t pid;
    uint64_t exited_ms;
    struct spawner_exit exit;
    size_t calls_after_exit;
};

struct fixture {
    struct loop *loop;
    struct loop_timer *guard, *tick;
    struct spawner *spawner;
    char *dir;
    struct seen seen[TASKS];
    size_t exits, wanted_exits;
    char gone[128];
    /* what a test wants done when the first output comes */
    void (*on_first_output)(struct fixture *f, uint64_t task);
};

/* ---- callbacks ---- */

static void on_started(uint64_t task, pid_t pid, void *ctx)
{
    struct fixture *f = ctx;

    loop_timer_arm(f->guard, GUARD_MS);
    assert_false(f->seen[task].started);
    f->seen[task].started = true;
    f->seen[task].pid = pid;
}

static void on_output(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    struct fixture *f = ctx;
    void (*first)(struct fixture *, uint64_t) = f->on_first_output;

    assert_in_range(len, 1, 64 * 1024);
    assert_false(f->seen[task].exited);
    buf_append(stream == SPAWNER_STDOUT ? &f->seen[task].out : &f->seen[task].err, bytes, len);
    f->on_first_output = NULL;
    if (first)
        first(f, task);
}

static void on_exited(uint64_t task, const struct spawner_exit *ended, void *ctx)
{
    struct fixture *f = ctx;

    loop_timer_arm(f->guard, GUARD_MS);
    assert_false(f->seen[task].exited);
    f->seen[task].exited = true;
    f->seen[task].exited_ms = clock_mono_ms();
    f->seen[task].exit = *ended;
    if (++f->exits == f->wanted_exits)
        loop_stop(f->loop);
}

static void on_gone(const char *why, void *ctx)
{
    struct fixture *f = ctx;

    (void)snprintf(f->gone, sizeof f->gone, "%s", why);
    loop_stop(f->loop);
}

static void on_guard(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    (void)ctx;
    fail_msg("nothing happened for %d ms", GUARD_MS);
}

static void on_tick(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    loop_stop(ctx);
}

static const struct spawner_ops ops = {
    .started = on_started, .output = on_output, .exited = on_exited, .gone = on_gone
};

/* ---- fixture ---- */

static void must(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err->text);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    struct err err = { 0 };

    f->dir = tempdir_new();
    if (geteuid() == 0)
        assert_int_equal(chown(f->dir, TASK_UID, TASK_UID), 0);
    must(spawner_fork(NULL, -1, NULL, &f->spawner, &err), &err);
    must(loop_new(&f->loop, &err), &err);
    must(spawner_attach(f->spawner, f->loop, &ops, f, &err), &err);
    f->guard = loop_timer_new(f->loop, on_guard, f);
    loop_timer_arm(f->guard, GUARD_MS);
    f->tick = loop_timer_new(f->loop, on_tick, f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    spawner_free(f->spawner, 5000);
    loop_timer_free(f->guard);
    loop_timer_free(f->tick);
    loop_free(f->loop);
    for (size_t i = 0; i < TASKS; i++) {
        buf_done(&f->seen[i].out);
        buf_done(&f->seen[i].err);
    }
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static struct plan *plan_for(const char *dir, const char *program, const char *arg,
                             const char *arg2)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_policy policy = { .profile = profiles_get("agent"),
                                  .network = PLAN_NETWORK_NONE,
                                  .workspace = dir,
                                  .argv = &argv,
                                  .memory_bytes = 1024ull * MIB,
                                  .disk_bytes = 64ull * MIB,
                                  .pids = 64,
                                  .files = 256,
                                  .uid = geteuid(),
                                  .task_uid = geteuid() == 0 ? TASK_UID : 0 };

    strv_add(&argv, program);
    if (arg)
        strv_add(&argv, arg);
    if (arg2)
        strv_add(&argv, arg2);
    must(plan_make(&policy, &plan, &err), &err);
    return plan;
}

static void start(struct fixture *f, uint64_t task, const char *script, const char *input)
{
    CLEANUP_PTR(plan_free) struct plan *plan = plan_for(f->dir, "sh", "-c", script);

    spawner_start(f->spawner, task, plan, -1, input, strlen(input));
}

static void run(struct fixture *f, size_t exits)
{
    f->wanted_exits = f->exits + exits;
    loop_run(f->loop);
}

static const struct spawner_exit *run_script(struct fixture *f, const char *script)
{
    start(f, 1, script, "");
    run(f, 1);
    if (f->seen[1].exit.failed_to_start)
        fail_msg("%s", f->seen[1].exit.error);
    return &f->seen[1].exit;
}

/* Until task 1 has printed something. */
static void await_output(struct fixture *f)
{
    while (!f->seen[1].out.len) {
        loop_timer_arm(f->tick, 20);
        loop_run(f->loop);
    }
}

/* A file in the workspace that the task holds open for writing: at EOF nothing of it is alive. */
static int open_life_line(const struct fixture *f)
{
    AUTO_FREE char *path = mem_printf("%s/life", f->dir);
    int fd;

    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(chmod(path, 0666), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Whether the other end of the life line closes within wait_ms. */
static bool ends_within(int fd, int wait_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t until_ms = clock_mono_ms() + (uint64_t)wait_ms;

    while (clock_mono_ms() < until_ms) {
        char bytes[64];
        ssize_t n;

        if (poll(&p, 1, (int)(until_ms - clock_mono_ms())) <= 0)
            return false;
        n = read(fd, bytes, sizeof bytes);
        if (n == 0)
            return true;
    }
    return false;
}

/* ---- tests ---- */

static void output_and_status_of_a_program_come_back(void **state)
{
    struct fixture *f = *state;
    const struct spawner_exit *e = run_script(f, "echo out; echo err >&2; exit 7");

    assert_true(f->seen[1].started);
    assert_true(f->seen[1].pid > 0);
    assert_string_equal(buf_str(&f->seen[1].out), "out\n");
    assert_string_equal(buf_str(&f->seen[1].err), "err\n");
    assert_true(WIFEXITED(e->status));
    assert_int_equal(WEXITSTATUS(e->status), 7);
    assert_false(e->stuck);
    assert_in_range(e->peak_rss_bytes, 1, 512ull * MIB);
}

static void input_reaches_the_program_and_ends(void **state)
{
    struct fixture *f = *state;

    start(f, 1, "cat; echo end", "one\ntwo\n");
    run(f, 1);
    assert_string_equal(buf_str(&f->seen[1].out), "one\ntwo\nend\n");
}

static void the_death_by_a_signal_is_reported_as_such(void **state)
{
    const struct spawner_exit *e = run_script(*state, "kill -SEGV $$");

    assert_true(WIFSIGNALED(e->status));
    assert_int_equal(WTERMSIG(e->status), SIGSEGV);
}

static void time_and_memory_used_are_counted(void **state)
{
    const struct spawner_exit *e = run_script(
        *state, "python3 -c 'x = bytearray(50 << 20)\ns = 0\nfor i in range(3000000): s += i'");

    assert_int_equal(e->status, 0);
    assert_in_range(e->peak_rss_bytes, 50 * MIB, 512ull * MIB);
    assert_in_range(e->cpu_ms, 20, 60000);
    assert_in_range(e->wall_ms, 20, GUARD_MS);
}

static void a_missing_program_is_not_found_by_name(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(plan_free) struct plan *plan = plan_for(f->dir, "no-such-program", NULL, NULL);
    CLEANUP_PTR(plan_free) struct plan *by_path = plan_for(f->dir, "/no/such", NULL, NULL);

    spawner_start(f->spawner, 1, plan, -1, "", 0);
    spawner_start(f->spawner, 2, by_path, -1, "", 0);
    run(f, 2);
    for (int i = 1; i <= 2; i++) {
        assert_true(f->seen[i].exit.failed_to_start);
        assert_true(f->seen[i].exit.not_found);
        assert_false(f->seen[i].started);
        assert_int_equal(f->seen[i].exit.failure, -ENOENT);
        assert_non_null(strstr(f->seen[i].exit.error, "No such file"));
    }
    assert_non_null(strstr(f->seen[1].exit.error, "no-such-program"));
    assert_non_null(strstr(f->seen[2].exit.error, "/no/such"));
}

static void what_cannot_be_executed_is_not_found_too(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(plan_free) struct plan *directory = plan_for(f->dir, "/usr", NULL, NULL);
    CLEANUP_PTR(plan_free) struct plan *plain = plan_for(f->dir, "/etc/passwd", NULL, NULL);

    spawner_start(f->spawner, 1, directory, -1, "", 0);
    spawner_start(f->spawner, 2, plain, -1, "", 0);
    run(f, 2);
    for (int i = 1; i <= 2; i++) {
        assert_true(f->seen[i].exit.not_found);
        assert_non_null(strstr(f->seen[i].exit.error, "Permission denied"));
    }
}

static void a_sandbox_that_cannot_be_built_says_which_step_failed(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *missing = mem_printf("%s/missing", f->dir);
    CLEANUP_PTR(plan_free) struct plan *plan = plan_for(missing, "true", NULL, NULL);

    spawner_start(f->spawner, 1, plan, -1, "", 0);
    run(f, 1);
    assert_true(f->seen[1].exit.failed_to_start);
    assert_false(f->seen[1].exit.not_found);
    assert_int_equal(f->seen[1].exit.failure, -ENOENT);
    assert_non_null(strstr(f->seen[1].exit.error, missing));
    assert_non_null(strstr(f->seen[1].exit.error, "No such file"));
}

static void kill_gently(struct fixture *f, uint64_t task)
{
    spawner_kill(f->spawner, task, 20000);
}

static void a_program_may_clean_up_within_the_grace(void **state)
{
    struct fixture *f = *state;
    const struct spawner_exit *e;

    f->on_first_output = kill_gently;
    e = run_script(f, "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    assert_string_equal(buf_str(&f->seen[1].out), "ready\nbye\n");
    assert_int_equal(WEXITSTATUS(e->status), 5);
    assert_in_range(e->wall_ms, 0, 15000);
}

static void a_stopped_program_hears_term(void **state)
{
    struct fixture *f = *state;
    const struct spawner_exit *e;

    f->on_first_output = kill_gently;
    e = run_script(f, "echo ready; kill -STOP $$; sleep 100");
    assert_int_equal(e->status, SIGTERM);
}

static void kill_soon(struct fixture *f, uint64_t task)
{
    spawner_kill(f->spawner, task, 60000);
    spawner_kill(f->spawner, task, 200); /* the shorter grace replaces the longer one */
    spawner_kill(f->spawner, task, 90000);
}

static void whoever_ignores_term_is_killed_after_the_grace(void **state)
{
    struct fixture *f = *state;
    const struct spawner_exit *e;

    f->on_first_output = kill_soon;
    e = run_script(f, "trap '' TERM; echo ready; while :; do sleep 1; done");
    assert_int_equal(e->status, SIGKILL);
    assert_false(e->stuck);
    assert_in_range(e->wall_ms, 200, 10000);
}

static void kill_now(struct fixture *f, uint64_t task)
{
    spawner_kill(f->spawner, task, 0);
}

static void a_kill_without_grace_ends_everything_at_once(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int life = open_life_line(f);
    const struct spawner_exit *e;

    f->on_first_output = kill_now;
    e = run_script(f, "exec 9>life; trap '' TERM INT HUP\n"
                      "(setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000') &\n"
                      "echo ready; while :; do sleep 1; done");
    assert_int_equal(e->status, SIGKILL);
    assert_true(ends_within(life, 2000));
}

/* What is left has much to give back, so that its end takes the kernel a while. */
static void an_end_is_told_when_nobody_is_left(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int life = open_life_line(f);
    const struct spawner_exit *e;
    char byte;

    e = run_script(f, "exec 9>life >/dev/null 2>&1; mkfifo go\n"
                      "{ head -c 200000000 /dev/zero; echo > go; sleep 1000; } |\n"
                      "tail -c 300000000 &\n"
                      "read x < go; exit 3");
    assert_int_equal(read(life, &byte, 1), 0);
    assert_true(WIFEXITED(e->status));
    assert_int_equal(WEXITSTATUS(e->status), 3);
}

/* As start(), with standard output by way of a file. */
static const struct spawner_exit *run_relayed(struct fixture *f, const char *script)
{
    CLEANUP_PTR(plan_free) struct plan *plan = plan_for(f->dir, "sh", "-c", script);

    plan->stdout_file = true;
    plan->disk_bytes = 0; /* nor is its size limited */
    spawner_start(f->spawner, 1, plan, -1, "", 0);
    run(f, 1);
    return &f->seen[1].exit;
}

static void output_by_way_of_a_file_is_whole_and_leaves_nothing_open(void **state)
{
    struct fixture *f = *state;
    const struct spawner_exit *e;

    e = run_relayed(f, "echo /proc/self/fd/*; seq 100000; exit 7");
    assert_int_equal(WEXITSTATUS(e->status), 7);
    /* 3 or another is the shell's own, to read the folder */
    assert_true(strstr(buf_str(&f->seen[1].out), "/proc/self/fd/2 ") != NULL);
    assert_null(strstr(buf_str(&f->seen[1].out), "/proc/self/fd/4"));
    assert_true(strstr(buf_str(&f->seen[1].out), "\n99999\n100000\n") != NULL);
}

static void a_program_whose_file_has_no_end_is_ended_as_others_are(void **state)
{
    static const char script[] = "exec python3 -c 'import os, signal; os.ftruncate(1, 1 << 40); "
                                 "signal.pause()'";
    struct fixture *f = *state;
    const struct spawner_exit *e;

    f->on_first_output = kill_now;
    e = run_relayed(f, script);
    assert_int_equal(e->status, SIGKILL);
    assert_false(e->stuck);
    assert_true(f->seen[1].out.len > 0 && f->seen[1].out.data[0] == '\0');
}

static void what_a_program_leaves_behind_dies_with_it(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int life = open_life_line(f);
    uint64_t from_ms = clock_mono_ms();
    const struct spawner_exit *e;

    /* double fork, session of its own, deaf to signals, holding all pipes */
    e = run_script(f, "exec 9>life\n"
                      "(setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000 & sleep 1000' &)\n"
                      "echo done");
    assert_int_equal(e->status, 0);
    assert_string_equal(buf_str(&f->seen[1].out), "done\n");
    assert_true(ends_within(life, 2000));
    /* the end of its output was seen, not waited out */
    assert_in_range(f->seen[1].exited_ms - from_ms, 0, 1900);
}

static void much_output_arrives_whole(void **state)
{
    struct fixture *f = *state;
    const struct spawner_exit *e = run_script(f, "head -c 20000000 /dev/zero; echo x >&2");

    assert_int_equal(e->status, 0);
    assert_int_equal(f->seen[1].out.len, 20000000);
    assert_string_equal(buf_str(&f->seen[1].err), "x\n");
}

static void pause_it(struct fixture *f, uint64_t task)
{
    spawner_pause(f->spawner, task, true);
}

static void a_paused_task_waits_until_it_is_read_again(void **state)
{
    struct fixture *f = *state;
    size_t before;

    f->on_first_output = pause_it;
    start(f, 1, "head -c 5000000 /dev/zero", "");
    f->wanted_exits = 1;
    await_output(f);
    before = f->seen[1].out.len;
    loop_timer_arm(f->tick, 300); /* time enough for far more, were it read */
    loop_run(f->loop);
    assert_int_equal(f->seen[1].out.len, before);
    assert_false(f->seen[1].exited);
    spawner_pause(f->spawner, 1, false);
    loop_run(f->loop);
    assert_int_equal(f->seen[1].out.len, 5000000);
}

static void what_cannot_be_killed_is_reported_as_stuck(void **state)
{
    struct fixture *f = *state;
    uint64_t from_ms = clock_mono_ms();
    pid_t stuck;
    int status;

    if (geteuid() != 0) {
        print_message("only root can make a process hang\n");
        return;
    }
    start(f, 1, "echo ready; sleep 1000", "");
    await_output(f);
    while (!f->seen[1].started) {
        loop_timer_arm(f->tick, 20);
        loop_run(f->loop);
    }
    /* Its process 1 will stop at its exit until we let it go: as good as one that hangs. */
    stuck = f->seen[1].pid;
    assert_int_equal(ptrace(PTRACE_SEIZE, stuck, 0, PTRACE_O_TRACEEXIT), 0);
    spawner_kill(f->spawner, 1, 0);
    run(f, 1);
    assert_true(f->seen[1].exit.stuck);
    assert_int_equal(f->seen[1].exit.status, SIGKILL);
    assert_in_range(f->seen[1].exited_ms - from_ms, 2000, GUARD_MS);
    start(f, 1, "echo again", ""); /* its number is free all the same */
    f->seen[1] = (struct seen){ .out = f->seen[1].out, .err = f->seen[1].err };
    run(f, 1);
    assert_int_equal(f->seen[1].exit.status, 0);
    assert_int_equal(waitpid(f->seen[1].pid, &status, __WALL | WNOHANG), -1);
    /* the end of all is not kept up by it for longer than we want */
    from_ms = clock_mono_ms();
    spawner_free(f->spawner, 300);
    f->spawner = NULL;
    assert_in_range(clock_mono_ms() - from_ms, 300, 4000);
    assert_int_equal(ptrace(PTRACE_DETACH, stuck, 0, 0), 0);
}

static void many_tasks_run_side_by_side(void **state)
{
    struct fixture *f = *state;

    for (uint64_t task = 0; task < TASKS; task++) {
        AUTO_FREE char *input = mem_printf("number %d", (int)task);

        start(f, task, "cat", input);
    }
    run(f, TASKS);
    for (size_t task = 0; task < TASKS; task++) {
        AUTO_FREE char *want = mem_printf("number %d", (int)task);

        assert_string_equal(buf_str(&f->seen[task].out), want);
        assert_int_equal(f->seen[task].exit.status, 0);
    }
}

static void a_task_killed_before_it_starts_ends_all_the_same(void **state)
{
    struct fixture *f = *state;

    for (uint64_t task = 0; task < 8; task++) {
        start(f, task, "sleep 1000", "");
        spawner_kill(f->spawner, task, task % 2 ? 60000 : 0);
    }
    spawner_kill(f->spawner, 999, 0); /* nobody */
    run(f, 8);
    for (size_t task = 0; task < 8; task++)
        assert_false(f->seen[task].exit.stuck);
}

static void nothing_of_ours_is_open_in_a_task(void **state)
{
    struct fixture *f = *state;

    run_script(f, "ls /proc/self/fd | tr '\\n' ' '");
    assert_string_equal(buf_str(&f->seen[1].out), "0 1 2 3 "); /* 3: ls reads the directory */
}

static void a_task_sees_no_variable_of_ours(void **state)
{
    struct fixture *f = *state;

    run_script(f, "env | grep SECRET; tr '\\0' '\\n' </proc/$PPID/environ | grep SECRET; echo end");
    assert_string_equal(buf_str(&f->seen[1].out), "end\n");
}

static void the_spawner_keeps_no_environment(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("/proc/%d/environ", (int)spawner_pid(f->spawner));
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char bytes[4096];
    ssize_t n;

    if (geteuid() != 0) {
        assert_true(fd < 0); /* not dumpable: closed to its own user */
        return;
    }
    assert_true(fd >= 0);
    n = read(fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], 0);
}

static void the_death_of_the_spawner_is_told_and_ends_all_tasks(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int life = open_life_line(f);

    start(f, 1, "exec 9>life; (setsid sleep 1000 &); echo ready; sleep 1000", "");
    await_output(f);
    assert_int_equal(kill(spawner_pid(f->spawner), SIGKILL), 0);
    while (!f->gone[0])
        loop_run(f->loop);
    assert_non_null(strstr(f->gone, "SIGKILL"));
    assert_true(ends_within(life, 2000));
}

static void a_start_that_meets_a_dead_spawner_is_no_ending(void **state)
{
    struct fixture *f = *state;

    /* dead, and the loop doesn't know it yet; and then it does */
    assert_int_equal(kill(spawner_pid(f->spawner), SIGKILL), 0);
    start(f, 1, "true", "");
    while (!f->gone[0])
        loop_run(f->loop);
    start(f, 2, "true", "");
    assert_int_equal(f->exits, 0); /* else the message would be answered with it */
}

static void freeing_it_ends_all_tasks(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int life = open_life_line(f);
    pid_t pid = spawner_pid(f->spawner);

    start(f, 1, "exec 9>life; trap '' TERM; echo ready; while :; do sleep 1; done", "");
    await_output(f);
    spawner_free(f->spawner, 5000);
    f->spawner = NULL;
    assert_true(ends_within(life, 0) || ends_within(life, 100));
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* A daemon of its own, in a child: starts a task, says so, and waits to be killed. */
static void be_daemon(const char *dir, int lock_fd, int say)
{
    struct fixture *f = mem_new(struct fixture);
    struct err err = { 0 };
    CLEANUP_PTR(plan_free)
    struct plan *plan =
        plan_for(dir, "sh", "-c", "exec 9>life; (setsid sleep 1000 &); echo ready; sleep 1000");

    must(spawner_fork(NULL, lock_fd, NULL, &f->spawner, &err), &err);
    must(loop_new(&f->loop, &err), &err);
    must(spawner_attach(f->spawner, f->loop, &ops, f, &err), &err);
    spawner_start(f->spawner, 1, plan, -1, "", 0);
    f->wanted_exits = 99;
    f->guard = loop_timer_new(f->loop, on_guard, f);
    f->tick = loop_timer_new(f->loop, on_tick, f->loop);
    await_output(f);
    assert_int_equal(write(say, "!", 1), 1);
    for (;;)
        pause();
}

static void the_death_of_the_daemon_ends_spawner_and_tasks_and_then_frees_the_lock(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int life = open_life_line(f);
    AUTO_FREE char *path = mem_printf("%s/lock", f->dir);
    AUTO_CLOSE int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    AUTO_CLOSE int other = open(path, O_RDWR | O_CLOEXEC);
    uint64_t until_ms;
    int say[2];
    char c;
    pid_t pid;

    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(pipe2(say, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        be_daemon(f->dir, lock, say[1]);
    (void)close(TAKE_FD(lock));
    (void)close(say[1]);
    assert_int_equal(read(say[0], &c, 1), 1);
    (void)close(say[0]);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    until_ms = clock_mono_ms() + 2000;
    while (flock(other, LOCK_EX | LOCK_NB) < 0) {
        assert_in_range(clock_mono_ms(), 0, until_ms);
        (void)poll(NULL, 0, 5);
    }
    /* the lock came free: nothing of the task may be alive any more */
    assert_true(ends_within(life, 50));
}

static void signals_for_the_daemon_do_not_end_the_spawner(void **state)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        assert_int_equal(kill(spawner_pid(f->spawner), signals[i]), 0);
    run_script(f, "echo alive; trap");
    /* and a task doesn't inherit that they are ignored: trap lists nothing */
    assert_string_equal(buf_str(&f->seen[1].out), "alive\n");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(output_and_status_of_a_program_come_back),
        TEST(input_reaches_the_program_and_ends),
        TEST(the_death_by_a_signal_is_reported_as_such),
        TEST(time_and_memory_used_are_counted),
        TEST(a_missing_program_is_not_found_by_name),
        TEST(what_cannot_be_executed_is_not_found_too),
        TEST(a_sandbox_that_cannot_be_built_says_which_step_failed),
        TEST(a_program_may_clean_up_within_the_grace),
        TEST(a_stopped_program_hears_term),
        TEST(whoever_ignores_term_is_killed_after_the_grace),
        TEST(a_kill_without_grace_ends_everything_at_once),
        TEST(an_end_is_told_when_nobody_is_left),
        TEST(output_by_way_of_a_file_is_whole_and_leaves_nothing_open),
        TEST(a_program_whose_file_has_no_end_is_ended_as_others_are),
        TEST(what_a_program_leaves_behind_dies_with_it),
        TEST(much_output_arrives_whole),
        TEST(a_paused_task_waits_until_it_is_read_again),
        TEST(what_cannot_be_killed_is_reported_as_stuck),
        TEST(many_tasks_run_side_by_side),
        TEST(a_task_killed_before_it_starts_ends_all_the_same),
        TEST(nothing_of_ours_is_open_in_a_task),
        TEST(a_task_sees_no_variable_of_ours),
        TEST(the_spawner_keeps_no_environment),
        TEST(the_death_of_the_spawner_is_told_and_ends_all_tasks),
        TEST(a_start_that_meets_a_dead_spawner_is_no_ending),
        TEST(freeing_it_ends_all_tasks),
        TEST(the_death_of_the_daemon_ends_spawner_and_tasks_and_then_frees_the_lock),
        TEST(signals_for_the_daemon_do_not_end_the_spawner),
    };

    (void)setenv("SECRET", "hunter2", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
