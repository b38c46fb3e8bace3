/* Sandboxes that are made before their tasks, through the real spawner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "sandbox/landlock.h"
#include "sandbox/plan.h"
#include "spawner/spawner.h"
#include "support/children.h"
#include "support/ownmounts.h"
#include "support/profiles.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/strv.h"

enum {
    GUARD_MS = 60000,
    TICK_MS = 20,
    TASK_UID = 0x6ffd0000,
    MIB = 1024 * 1024,
    CHILDREN = 64,
    CPU_TIME_MS = 300
};

struct fixture {
    struct loop *loop;
    struct loop_timer *guard, *tick;
    struct spawner *spawner;
    char *dir, *shown, *file, *workspace;
    uint64_t task;
    pid_t pid; /* of the running task's process 1 */
    struct buf out;
    bool exited, gone;
    struct spawner_exit exit;
    uint64_t memory_bytes, cpu_time_ms;
    uid_t user;
    enum plan_network network;
    const char *watched; /* a path that Landlock lets the task only look at; NULL: none */
};

static bool has_own_mounts; /* of this program's */

static void on_started(uint64_t task, pid_t pid, void *ctx)
{
    struct fixture *f = ctx;

    (void)task;
    f->pid = pid;
}

static void on_output(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    struct fixture *f = ctx;

    (void)task;
    (void)stream;
    buf_append(&f->out, bytes, len);
}

static void on_exited(uint64_t task, const struct spawner_exit *ended, void *ctx)
{
    struct fixture *f = ctx;

    (void)task;
    f->exit = *ended;
    f->exited = true;
    loop_stop(f->loop);
}

static void on_gone(const char *why, void *ctx)
{
    struct fixture *f = ctx;

    (void)why;
    f->gone = true;
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

static void must(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err->text);
}

static char *make_directory(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);

    assert_int_equal(mkdir(path, 0755), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, TASK_UID, TASK_UID), 0);
    return path;
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    struct err err = { 0 };

    f->dir = tempdir_new();
    assert_int_equal(chmod(f->dir, 0755), 0);
    f->workspace = make_directory(f->dir, "workspace");
    f->shown = make_directory(f->dir, "shown");
    f->file = mem_printf("%s/file", f->dir);
    put_file(f->file, "old\n");
    f->memory_bytes = 1024ull * MIB;
    f->user = TASK_UID;
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

    spawner_free(f->spawner, 10000);
    loop_timer_free(f->guard);
    loop_timer_free(f->tick);
    loop_free(f->loop);
    buf_done(&f->out);
    free(f->shown);
    free(f->file);
    free(f->workspace);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *script)
{
    CLEANUP(strv_done) struct strv argv = { 0 }, read = { 0 };
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_policy policy = { .profile = profiles_get("agent"),
                                  .network = f->network,
                                  .workspace = f->workspace,
                                  .read = &read,
                                  .argv = &argv,
                                  .memory_bytes = f->memory_bytes,
                                  .disk_bytes = 64ull * MIB,
                                  .cpu_time_ms = f->cpu_time_ms,
                                  .pids = 64,
                                  .files = 256,
                                  .uid = geteuid(),
                                  .task_uid = f->user };

    strv_add(&read, f->shown);
    strv_add(&read, f->file);
    strv_add(&argv, "sh");
    strv_add(&argv, "-c");
    strv_add(&argv, script);
    must(plan_make(&policy, &plan, &err), &err);
    for (size_t i = 0; f->watched && i < plan->rule_count; i++)
        if (strcmp(plan->rules[i].path, f->watched) == 0)
            plan->rules[i].rights = PLAN_MAY_LIST | PLAN_MAY_READ;
    buf_clear(&f->out);
    f->exited = false;
    f->pid = 0;
    spawner_start(f->spawner, ++f->task, plan, -1, "", 0);
}

static void pass_time(struct fixture *f)
{
    loop_timer_arm(f->tick, TICK_MS);
    loop_run(f->loop);
}

/* A task's end is told while its process 1 ends. */
static void await_reaping(struct fixture *f)
{
    while (f->pid > 0 && kill(f->pid, 0) == 0)
        pass_time(f);
}

static void run(struct fixture *f, const char *script)
{
    start(f, script);
    while (!f->exited)
        loop_run(f->loop);
    await_reaping(f);
    if (f->exit.failed_to_start)
        fail_msg("%s", f->exit.error);
    if (f->exit.status != 0)
        fail_msg("status %d: %s", f->exit.status, buf_str(&f->out));
}

static size_t await_children(struct fixture *f, size_t wanted, pid_t pids[CHILDREN])
{
    size_t count;

    while ((count = children_of(spawner_pid(f->spawner), pids, CHILDREN)) != wanted)
        pass_time(f);
    return count;
}

/* Runs it again and again until it had a sandbox that was there before. */
static void run_warm(struct fixture *f, const char *script)
{
    run(f, script);
    while (!f->exit.warm) {
        for (int i = 0; i < 10; i++)
            pass_time(f); /* the spawner uses idle moments only */
        run(f, script);
    }
}

/* How many of those that wait have a root of their own; the others are bare namespaces. */
static size_t count_whole(struct fixture *f)
{
    pid_t pids[CHILDREN];
    size_t count = await_children(f, 2, pids), whole = 0;

    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *path = mem_printf("/proc/%d/root/sys", (int)pids[i]);

        whole += access(path, F_OK) < 0;
    }
    return whole;
}

/* The next one is there, with the host's files in it, and has had time to get ready. As root it is
 * one of two, and the other one is anybody's. */
static void await_whole(struct fixture *f)
{
    while (geteuid() == 0 && count_whole(f) != 1)
        pass_time(f);
    for (int i = 0; i < 10; i++)
        pass_time(f);
}

/* ---- tests ---- */

/* What the kernel counts up is left out: numbers of mounts, devices, sockets, processes. */
static const char look_around[] =
    "exec 2>&1; cut -d' ' -f4- /proc/self/mountinfo | sort; id; hostname; env | sort; umask; "
    "ulimit -a; pwd; "
    "echo /proc/[0-9]*; "
    "ls -l /proc/self/fd | sed 's/.* \\([0-9]* ->\\)/\\1/; s/[[:digit:]]\\{3,\\}//g'; "
    "ls -ln / /dev /etc /home /tmp /workspace | sed -E 's/^(.{10}) +[0-9]+ /\\1 /; "
    "s/[A-Z][a-z]{2} +[0-9]+ ([0-9]{2}:[0-9]{2}|[0-9]{4})//'; "
    "grep -E '^(Name|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Sig|Umask|NSpid|Threads)' "
    "/proc/self/status /proc/1/status; cat /proc/self/oom_score_adj /proc/1/oom_score_adj "
    "/proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/limits /proc/net/dev "
    "/proc/net/route; cat /proc/1/environ 2>&1; cat /proc/keys; "
    "df -P / /tmp /dev/shm | cut -d' ' -f1-2";

/* Names the first line that isn't the same. */
static void assert_same_lines(const char *one, const char *other)
{
    while (*one || *other) {
        size_t a = strcspn(one, "\n"), b = strcspn(other, "\n");

        if (a != b || strncmp(one, other, a) != 0)
            fail_msg("'%.*s' is not '%.*s'", (int)b, other, (int)a, one);
        one += a + (one[a] != '\0');
        other += b + (other[b] != '\0');
    }
}

static void a_task_sees_in_it_what_it_sees_in_a_new_one(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *seen = NULL;

    run(f, look_around);
    assert_false(f->exit.warm);
    assert_true(f->out.len > 1000);
    seen = mem_strdup(buf_str(&f->out));
    spawner_warm(f->spawner, 2);
    run_warm(f, look_around);
    assert_same_lines(seen, buf_str(&f->out));
}

/* What building it takes is allowed until its task comes: with arguments that lead nowhere. */
static void what_built_it_is_refused_to_the_task_as_in_a_new_one(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *script =
        mem_printf("exec python3 -c 'import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
                   "print(c.prctl(27, 0, 0, 0, 0))\n" /* PR_GET_SECUREBITS */
                   "for call in (%ld, %ld, %ld, %ld, %ld, %ld, %ld):\n"
                   " print(call, c.syscall(call, -1, -1, -1, -1, -1), ctypes.get_errno())'",
                   (long)SYS_fsopen, (long)SYS_fsconfig, (long)SYS_fsmount, (long)SYS_open_tree,
                   (long)SYS_move_mount, (long)SYS_mount_setattr, (long)SYS_openat2);
    AUTO_FREE char *seen = NULL;

    run(f, script);
    seen = mem_strdup(buf_str(&f->out));
    spawner_warm(f->spawner, 2);
    run_warm(f, script);
    assert_same_lines(seen, buf_str(&f->out));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What the process has open, in the words of proc(5) without their numbers. */
static char *list_descriptors(pid_t pid)
{
    AUTO_FREE char *path = mem_printf("/proc/%d/fd", (int)pid);
    CLEANUP(strv_done) struct strv kinds = { 0 };
    struct buf text = { 0 };
    DIR *dir = opendir(path);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char link[PATH_MAX];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);

        if (len < 0)
            continue;
        link[len] = '\0';
        link[strcspn(link, "0123456789")] = '\0';
        strv_add(&kinds, link);
    }
    (void)closedir(dir); /* it was only read */
    qsort(kinds.items, kinds.len, sizeof kinds.items[0], by_text);
    for (size_t i = 0; i < kinds.len; i++)
        buf_printf(&text, "%s\n", kinds.items[i]);
    return buf_steal(&text);
}

/* What its process 1 has open, and whether nobody but root may look into that. */
static char *look_at_init(struct fixture *f)
{
    AUTO_FREE char *path = NULL;
    char *open;
    struct stat st;

    start(f, "echo ready; exec sleep 1000");
    while ((f->out.len == 0 || f->pid == 0) && !f->exited)
        pass_time(f);
    assert_false(f->exited);
    path = mem_printf("/proc/%d/mem", (int)f->pid);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 0); /* proc(5): it isn't dumpable */
    open = geteuid() == 0 ? list_descriptors(f->pid) : mem_strdup("");
    spawner_kill(f->spawner, f->task, 0);
    while (!f->exited)
        loop_run(f->loop);
    return open;
}

static void its_process_1_has_no_more_open_than_that_of_a_new_one(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *seen = look_at_init(f);

    assert_false(f->exit.warm);
    spawner_warm(f->spawner, 2);
    do {
        AUTO_FREE char *open = NULL;

        for (int i = 0; i < 10; i++)
            pass_time(f);
        open = look_at_init(f);
        assert_same_lines(seen, open);
    } while (!f->exit.warm);
}

static void as_root_nobody_gets_what_was_made_for_another_user(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *path = mem_printf("%s/whose", f->workspace);
    struct stat st;

    if (geteuid() != 0)
        return; /* there is one user only */
    assert_int_equal(chmod(f->workspace, 0777), 0);
    spawner_warm(f->spawner, 2);
    for (int i = 0; i < 4; i++) {
        f->user = TASK_UID + (uid_t)i % 2;
        run(f, "rm -f /workspace/whose && touch /workspace/whose");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, f->user);
        await_whole(f); /* this user's */
    }
}

/* Where the network is the host's, only Landlock keeps its abstract sockets from the task. */
static void what_listens_outside_without_a_file_is_out_of_reach(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    AUTO_CLOSE int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FREE char *script = NULL;

    if (landlock_abi() < LANDLOCK_ABI_SCOPES)
        return; /* it can't be kept */
    (void)snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "nairid-test-%d", (int)getpid());
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    script = mem_printf("exec python3 -c 'import socket\n"
                        "at = \"\\0%s\".ljust(%zu, \"\\0\")\n"
                        "try: socket.socket(socket.AF_UNIX).connect(at)\n"
                        "except OSError as e: print(e.strerror)'",
                        at.sun_path + 1, sizeof at.sun_path);
    f->network = PLAN_NETWORK_HOST;
    spawner_warm(f->spawner, 2);
    run_warm(f, script);
    assert_string_equal(buf_str(&f->out), "Operation not permitted\n");
}

static void each_serves_one_task(void **state)
{
    struct fixture *f = *state;
    pid_t pids[CHILDREN], before;

    spawner_warm(f->spawner, 1);
    run_warm(f, "echo > /tmp/left; echo > /dev/shm/left");
    before = f->pid;
    await_children(f, 1, pids);
    assert_int_not_equal(pids[0], before);
    run_warm(f, "test ! -e /tmp/left && test ! -e /dev/shm/left");
    assert_int_not_equal(f->pid, before);
}

static void none_is_made_unless_asked_for(void **state)
{
    struct fixture *f = *state;
    pid_t pids[CHILDREN];

    run(f, "true");
    for (int i = 0; i < 20; i++)
        pass_time(f);
    assert_int_equal(children_of(spawner_pid(f->spawner), pids, CHILDREN), 0);
    run(f, "true");
    assert_false(f->exit.warm);
}

static void one_that_was_killed_costs_no_task(void **state)
{
    struct fixture *f = *state;
    pid_t pids[CHILDREN];

    spawner_warm(f->spawner, 3);
    run(f, "true");
    await_children(f, 3, pids);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kill(pids[i], SIGKILL), 0);
    for (int i = 0; i < 5; i++)
        run(f, "true");
}

static void they_end_when_no_longer_wanted(void **state)
{
    struct fixture *f = *state;
    pid_t pids[CHILDREN];

    spawner_warm(f->spawner, 3);
    run(f, "true");
    await_children(f, 3, pids);
    spawner_warm(f->spawner, 0);
    await_children(f, 0, pids);
    run(f, "true");
    assert_false(f->exit.warm);
}

/* As after a reload. */
static void asking_again_makes_them_anew(void **state)
{
    struct fixture *f = *state;
    pid_t old[CHILDREN], now[CHILDREN];

    spawner_warm(f->spawner, 1);
    run(f, "true");
    await_children(f, 1, old);
    spawner_warm(f->spawner, 1);
    await_children(f, 0, now);
    run(f, "true");
    assert_false(f->exit.warm);
    await_children(f, 1, now);
    assert_int_not_equal(old[0], now[0]);
}

static void a_plan_that_they_do_not_fit_gets_a_new_one(void **state)
{
    struct fixture *f = *state;

    spawner_warm(f->spawner, 1);
    run_warm(f, "true");
    f->memory_bytes = 512ull * MIB;
    run_warm(f, "test $(df -P -k /tmp | tail -1 | tr -s ' ' | cut -d' ' -f2) = 131072");
    f->memory_bytes = 1024ull * MIB;
    run_warm(f, "test $(df -P -k /tmp | tail -1 | tr -s ' ' | cut -d' ' -f2) = 262144");
}

static void what_the_host_has_exchanged_is_seen_as_it_is_now(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *script = mem_printf("test -d %s && ls %s", f->shown, f->shown);

    spawner_warm(f->spawner, 2);
    run_warm(f, script);
    for (int i = 0; i < 2; i++) {
        AUTO_FREE char *aside = mem_printf("%s/aside-%d", f->dir, i);
        AUTO_FREE char *name = mem_printf("new-%d", i), *line = mem_printf("%s\n", name);
        AUTO_FREE char *fresh = NULL, *file = NULL;

        await_whole(f); /* with the old directory */
        assert_int_equal(rename(f->shown, aside), 0);
        fresh = make_directory(f->dir, "shown");
        file = make_directory(fresh, name);
        run(f, script);
        assert_string_equal(buf_str(&f->out), line);
        run_warm(f, script);
        assert_string_equal(buf_str(&f->out), line);
    }
}

static void a_file_that_was_replaced_is_seen_as_it_is_now(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *script = mem_printf("cat %s", f->file);
    AUTO_FREE char *fresh = mem_printf("%s.new", f->file);

    spawner_warm(f->spawner, 2);
    for (int i = 0; i < 3; i++) {
        AUTO_FREE char *text = mem_printf("%d\n", i);

        run_warm(f, script);
        await_whole(f);
        put_file(fresh, text);
        assert_int_equal(rename(fresh, f->file), 0);
        run(f, script);
        assert_string_equal(buf_str(&f->out), text);
    }
}

/* Below what is shown, where no path of the plan's has changed. */
static void what_the_host_has_mounted_is_seen_as_it_is_now(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *sub = make_directory(f->shown, "sub");
    AUTO_FREE char *script = mem_printf("ls %s", sub);

    if (!has_own_mounts)
        return; /* nothing can be mounted */
    spawner_warm(f->spawner, 2);
    run_warm(f, script);
    for (int i = 0; i < 2; i++) {
        AUTO_FREE char *file = NULL;

        await_whole(f);
        assert_int_equal(mount("none", sub, "tmpfs", 0, NULL), 0);
        file = make_directory(sub, "new");
        run(f, script);
        assert_string_equal(buf_str(&f->out), "new\n");
        await_whole(f);
        assert_int_equal(umount(sub), 0);
        run(f, script);
        assert_string_equal(buf_str(&f->out), "");
    }
}

/* Where only Landlock stands in the way: of the workspace, whose rule comes with the task, and of
 * /tmp, whose rule is there before. */
static void its_rules_of_landlock_hold_for_what_was_there_before_and_what_comes_later(void **state)
{
    struct fixture *f = *state;

    spawner_warm(f->spawner, 2);
    run_warm(f, "touch /workspace/a /tmp/a && mkdir /workspace/d && "
                "ln /workspace/a /workspace/d/a && rm -r /workspace/a /workspace/d");
    f->watched = PLAN_WORKSPACE;
    run_warm(f, "touch /tmp/a && ! touch /workspace/a && ls /workspace");
    assert_non_null(strstr(buf_str(&f->out), "Permission denied"));
    f->watched = "/tmp";
    run(f, "! touch /tmp/a"); /* those that wait were made for other rules */
    run_warm(f, "touch /workspace/a && ! touch /tmp/a && ls /tmp && rm /workspace/a");
    assert_non_null(strstr(buf_str(&f->out), "Permission denied"));
    f->watched = NULL;
    run_warm(f, "touch /workspace/a /tmp/a && rm /workspace/a");
}

static void await_end(int pidfd)
{
    struct pollfd fd = { .fd = pidfd, .events = POLLIN };

    assert_int_equal(poll(&fd, 1, GUARD_MS), 1);
    (void)close(pidfd);
}

static void the_death_of_the_spawner_ends_them(void **state)
{
    struct fixture *f = *state;
    pid_t pids[CHILDREN];
    int pidfds[2];

    spawner_warm(f->spawner, 2);
    run(f, "true");
    await_children(f, 2, pids);
    for (int i = 0; i < 2; i++) {
        pidfds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
        assert_true(pidfds[i] >= 0);
    }
    assert_int_equal(kill(spawner_pid(f->spawner), SIGKILL), 0);
    while (!f->gone)
        loop_run(f->loop);
    for (int i = 0; i < 2; i++)
        await_end(pidfds[i]);
}

static void freeing_the_spawner_ends_them(void **state)
{
    struct fixture *f = *state;
    pid_t pids[CHILDREN];
    int pidfd;

    spawner_warm(f->spawner, 1);
    run(f, "true");
    await_children(f, 1, pids);
    pidfd = (int)syscall(SYS_pidfd_open, pids[0], 0);
    assert_true(pidfd >= 0);
    spawner_free(f->spawner, 10000);
    f->spawner = NULL;
    await_end(pidfd);
}

static void a_kill_right_after_the_start_ends_it(void **state)
{
    struct fixture *f = *state;

    spawner_warm(f->spawner, 1);
    run_warm(f, "true");
    for (int i = 0; i < 10; i++)
        pass_time(f);
    start(f, "sleep 1000");
    spawner_kill(f->spawner, f->task, 0);
    while (!f->exited)
        loop_run(f->loop);
    assert_false(f->exit.failed_to_start);
    assert_int_equal(f->exit.status, SIGKILL);
    run(f, "true");
}

/* Also where its cgroup, which is older than the task, is what counts. */
static void its_processor_time_is_limited_as_in_a_new_one(void **state)
{
    struct fixture *f = *state;

    spawner_warm(f->spawner, 1);
    f->cpu_time_ms = CPU_TIME_MS;
    do {
        run_warm(f, "true");
        for (int i = 0; i < 10; i++)
            pass_time(f);
        start(f, "while :; do :; done");
        while (!f->exited)
            loop_run(f->loop);
        assert_int_equal(f->exit.limit, LIMIT_CPU_TIME);
    } while (!f->exit.warm);
}

static void as_root_one_is_whole_for_the_last_user_and_one_is_anybodys(void **state)
{
    struct fixture *f = *state;
    static const char whose[] = "test -O /tmp && test -O /etc/passwd && test $(id -u) = 1000";

    if (geteuid() != 0)
        return; /* there is one user only, and only root sees them */
    spawner_warm(f->spawner, 2);
    for (int i = 0; i < 2; i++) {
        run(f, whose);
        while (count_whole(f) != 1)
            pass_time(f);
        run(f, whose);
        assert_true(f->exit.warm);
        f->user++;
    }
}

/* Both are for one user alone: as there is none that is anybody's, a warm task's was whole. */
static void as_root_one_is_whole_for_who_is_expected_and_one_for_the_last_user(void **state)
{
    struct fixture *f = *state;
    bool went_on = false, began = false;

    if (geteuid() != 0)
        return; /* there is one user only */
    spawner_warm(f->spawner, 2);
    run(f, "true");
    while (!went_on || !began) { /* one that has its root may not wait yet */
        spawner_expect(f->spawner, f->user + 1);
        while (count_whole(f) != 2)
            pass_time(f);
        run(f, "test $(id -u) = 1000"); /* the conversation goes on */
        went_on |= f->exit.warm;
        while (count_whole(f) != 2)
            pass_time(f);
        f->user++; /* a new one begins */
        run(f, "test -O /tmp && test -O /etc/passwd && test $(id -u) = 1000");
        began |= f->exit.warm;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_sees_in_it_what_it_sees_in_a_new_one),
        TEST(what_built_it_is_refused_to_the_task_as_in_a_new_one),
        TEST(its_process_1_has_no_more_open_than_that_of_a_new_one),
        TEST(as_root_nobody_gets_what_was_made_for_another_user),
        TEST(what_listens_outside_without_a_file_is_out_of_reach),
        TEST(each_serves_one_task),
        TEST(none_is_made_unless_asked_for),
        TEST(one_that_was_killed_costs_no_task),
        TEST(they_end_when_no_longer_wanted),
        TEST(asking_again_makes_them_anew),
        TEST(a_plan_that_they_do_not_fit_gets_a_new_one),
        TEST(what_the_host_has_exchanged_is_seen_as_it_is_now),
        TEST(a_file_that_was_replaced_is_seen_as_it_is_now),
        TEST(what_the_host_has_mounted_is_seen_as_it_is_now),
        TEST(its_rules_of_landlock_hold_for_what_was_there_before_and_what_comes_later),
        TEST(the_death_of_the_spawner_ends_them),
        TEST(freeing_the_spawner_ends_them),
        TEST(a_kill_right_after_the_start_ends_it),
        TEST(as_root_one_is_whole_for_the_last_user_and_one_is_anybodys),
        TEST(as_root_one_is_whole_for_who_is_expected_and_one_for_the_last_user),
        TEST(its_processor_time_is_limited_as_in_a_new_one),
    };

    has_own_mounts = geteuid() == 0 && ownmounts_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
