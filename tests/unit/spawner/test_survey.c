#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "sandbox/plan.h"
#include "sandbox/plan_survey.h"
#include "sandbox/survey.h"
#include "spawner/spawner.h"
#include "support/children.h"
#include "support/tempdir.h"
#include "task/leftover.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"
#include "util/str.h"

enum { TASK = 1, GUARD_MS = 60000, TICK_MS = 20, TASK_UID = 0x6fff0000 };

struct fixture {
    struct loop *loop;
    struct loop_timer *guard, *tick;
    struct spawner *spawner;
    char *dir, *workspace, *home;
    struct buf out, err;
    struct spawner_exit exit;
    struct leftovers seen;
};

static void on_started(uint64_t task, pid_t pid, void *ctx)
{
    (void)task;
    (void)pid;
    (void)ctx;
}

static void on_output(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    struct fixture *f = ctx;

    (void)task;
    buf_append(stream == SPAWNER_STDOUT ? &f->out : &f->err, bytes, len);
}

static void on_exited(uint64_t task, const struct spawner_exit *ended, void *ctx)
{
    struct fixture *f = ctx;

    (void)task;
    f->exit = *ended;
    loop_stop(f->loop);
}

static void on_gone(const char *why, void *ctx)
{
    (void)ctx;
    fail_msg("the spawner is gone: %s", why);
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

static int setup(void **state)
{
    static const struct spawner_ops ops = {
        .started = on_started, .output = on_output, .exited = on_exited, .gone = on_gone
    };
    struct fixture *f = mem_new(struct fixture);
    struct err err = { 0 };

    f->dir = tempdir_new();
    f->workspace = mem_printf("%s/workspace", f->dir);
    f->home = mem_printf("%s/home", f->dir);
    assert_int_equal(mkdir(f->workspace, 0700), 0);
    assert_int_equal(mkdir(f->home, 0700), 0);
    if (spawner_fork(NULL, -1, NULL, &f->spawner, &err) < 0 || loop_new(&f->loop, &err) < 0 ||
        spawner_attach(f->spawner, f->loop, &ops, f, &err) < 0)
        fail_msg("%s", err.text);
    f->guard = loop_timer_new(f->loop, on_guard, f);
    loop_timer_arm(f->guard, GUARD_MS);
    f->tick = loop_timer_new(f->loop, on_tick, f->loop);
    *state = f;
    return 0;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    if (type == FTW_D || type == FTW_DNR)
        (void)chmod(path, 0700);
    (void)st;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_timer_free(f->guard);
    loop_timer_free(f->tick);
    spawner_free(f->spawner, 5000);
    loop_free(f->loop);
    (void)nftw(f->dir, open_up, 16, FTW_PHYS);
    tempdir_free(f->dir);
    leftover_done(&f->seen);
    buf_done(&f->out);
    buf_done(&f->err);
    free(f->workspace);
    free(f->home);
    free(f);
    return 0;
}

/* ---- trees ---- */

/* The path below the fixture's directory, with what is above it. */
static char *make_way(const struct fixture *f, const char *path)
{
    char *full = mem_printf("%s/%s", f->dir, path);

    for (char *slash = strchr(full + strlen(f->dir) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    return full;
}

static void put(const struct fixture *f, const char *path, const char *text)
{
    AUTO_FREE char *full = make_way(f, path);
    FILE *file = fopen(full, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_link(const struct fixture *f, const char *path, const char *target)
{
    AUTO_FREE char *full = make_way(f, path);

    assert_int_equal(symlink(target, full), 0);
}

static int give(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return lchown(path, TASK_UID, TASK_UID);
}

/* Starts the survey as the job's user. */
static void start(struct fixture *f)
{
    CLEANUP_PTR(plan_free) struct plan *plan = NULL;
    struct err err = { 0 };

    if (plan_survey_make(&(struct plan_ground){ 0 }, f->workspace, f->home, geteuid(), TASK_UID,
                         &plan, &err) < 0)
        fail_msg("%s", err.text);
    buf_clear(&f->out);
    leftover_done(&f->seen);
    spawner_start(f->spawner, TASK, plan, -1, "", 0);
}

/* To its end; what it wrote is in f->seen. */
static void finish(struct fixture *f)
{
    loop_run(f->loop);
    if (f->exit.failed_to_start || f->exit.status != 0)
        fail_msg("the survey failed (wait status %#x): %s%s", (unsigned)f->exit.status,
                 f->exit.error, buf_str(&f->err));
    assert_int_equal(leftover_read(f->out.data, f->out.len, &f->seen), 0);
}

static void run(struct fixture *f)
{
    start(f);
    finish(f);
}

/* To the job's user. */
static void give_away(struct fixture *f)
{
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(f->dir, 0711), 0);
    assert_int_equal(nftw(f->workspace, give, 16, FTW_PHYS), 0);
    assert_int_equal(nftw(f->home, give, 16, FTW_PHYS), 0);
}

/* Of a tree that is the job's, as one that its tasks made is. */
static void survey(struct fixture *f)
{
    give_away(f);
    run(f);
}

static const struct leftover *find(const struct fixture *f, const char *path)
{
    for (size_t i = 0; i < f->seen.len; i++)
        if (str_eq(f->seen.items[i].path, path))
            return &f->seen.items[i];
    return NULL;
}

static struct leftover must_find(const struct fixture *f, const char *path)
{
    const struct leftover *found = find(f, path);

    if (!found)
        fail_msg("'%s' was not found", path);
    return found ? *found : (struct leftover){ 0 };
}

static void expect(const struct fixture *f, enum planted_kind kind, const char *path)
{
    struct leftover found = must_find(f, path);

    if (found.kind != kind)
        fail_msg("'%s' is said to be of kind %d", path, (int)found.kind);
}

static void expect_none(const struct fixture *f)
{
    if (f->seen.len > 0)
        fail_msg("'%s' was found (kind %d)", f->seen.items[0].path, (int)f->seen.items[0].kind);
    assert_int_equal(f->seen.gaps, 0);
}

/* ---- what is found ---- */

static void an_empty_job_leaves_nothing(void **state)
{
    survey(*state);
    expect_none(*state);
}

static void an_ordinary_repository_leaves_nothing(void **state)
{
    struct fixture *f = *state;

    put(f, "workspace/.git/HEAD", "ref: refs/heads/main\n");
    put(f, "workspace/.git/config",
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote \"origin\"]\n"
        "\turl = https://example.org/a.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
        "[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n");
    put(f, "workspace/.git/hooks/pre-commit.sample", "#!/bin/sh\n");
    put(f, "workspace/.git/objects/ab/cdef", "x");
    put(f, "workspace/src/main.c", "int main(void) { return 0; }\n");
    put(f, "workspace/Makefile", "all:\n");
    put(f, "workspace/CLAUDE.md", "be kind\n");
    put(f, "workspace/.gitattributes", "*.png filter=lfs diff=lfs merge=lfs -text\n*.c diff=cpp\n");
    put_link(f, "workspace/docs/here", "../src/main.c");
    put_link(f, "workspace/.venv/bin/python", "/usr/bin/python3");
    put(f, "home/.bashrc", "true\n");
    put(f, "home/.claude/settings.json", "{}");
    put_link(f, "home/.claude/latest", "/home/agent/.claude/x");
    survey(f);
    expect_none(f);
    assert_true(f->seen.entries >= 20);
}

static void what_others_trip_over_is_found(void **state)
{
    struct fixture *f = *state;

    put(f, "workspace/.git/HEAD", "ref: refs/heads/main\n");
    put(f, "workspace/.git/hooks/pre-commit", "#!/bin/sh\n");
    put(f, "workspace/.git/config", "[core]\n\thooksPath = /tmp/x\n");
    put(f, "workspace/sub/.git", "gitdir: ../../elsewhere/.git\n");
    put(f, "workspace/good/.git", "gitdir: ../.git/modules/good\n");
    put(f, "workspace/.git/modules/good/HEAD", "ref: refs/heads/main\n");
    put(f, "workspace/.git/modules/good/objects/x", "");
    put(f, "workspace/.git/modules/good/hooks/post-checkout", "#!/bin/sh\n");
    put(f, "workspace/bare/HEAD", "ref: refs/heads/main\n");
    put(f, "workspace/bare/objects/x", "");
    put(f, "workspace/bare/config", "[core]\n\tbare = true\n\tfsmonitor = ./evil\n");
    put(f, "workspace/.gitattributes", "* filter=evil\n");
    put(f, "workspace/.claude/settings.local.json", "{}");
    put(f, "workspace/.claude/hooks/deep/a.sh", "");
    put(f, "workspace/.mcp.json", "{}");
    put(f, "workspace/app/.vscode/tasks.json", "{}");
    put(f, "workspace/.envrc", "");
    put(f, "workspace/.devcontainer/Dockerfile", "");
    put(f, "workspace/.npmrc", "");
    put(f, "workspace/.husky/pre-push", "");
    put(f, "workspace/.github/workflows/ci.yml", "");
    put(f, "workspace/other/.git/HEAD", "");
    put(f, "workspace/other/.gitlab-ci.yml", "");
    put(f, "workspace/nothing/.gitlab-ci.yml", "");
    put(f, "workspace/node_modules/a/.npmrc", "");
    put(f, "workspace/two\nlines", "");
    put_link(f, "workspace/out", "/etc/passwd");
    put_link(f, "workspace/a/up", "../../home");
    put_link(f, "workspace/.git/hooks/update", "../../a");
    survey(f);
    expect(f, PLANTED_GIT_HOOK, ".git/hooks/pre-commit");
    expect(f, PLANTED_GIT_HOOK, ".git/hooks/update");
    expect(f, PLANTED_GIT_CONFIG, ".git/config");
    expect(f, PLANTED_GIT_LINK, "sub/.git");
    assert_null(find(f, "good/.git"));
    expect(f, PLANTED_GIT_HOOK, ".git/modules/good/hooks/post-checkout");
    expect(f, PLANTED_GIT_CONFIG, "bare/config");
    expect(f, PLANTED_GIT_ATTRIBUTES, ".gitattributes");
    expect(f, PLANTED_AGENT, ".claude/settings.local.json");
    expect(f, PLANTED_AGENT, ".claude/hooks/deep/a.sh");
    expect(f, PLANTED_MCP, ".mcp.json");
    expect(f, PLANTED_EDITOR, "app/.vscode/tasks.json");
    expect(f, PLANTED_SHELL, ".envrc");
    expect(f, PLANTED_CONTAINER, ".devcontainer/Dockerfile");
    expect(f, PLANTED_PACKAGES, ".npmrc");
    expect(f, PLANTED_HOOK_MANAGER, ".husky/pre-push");
    expect(f, PLANTED_CI, ".github/workflows/ci.yml");
    expect(f, PLANTED_CI, "other/.gitlab-ci.yml");
    expect(f, PLANTED_NAME, "two\nlines");
    expect(f, PLANTED_LINK, "out");
    expect(f, PLANTED_LINK, "a/up");
    assert_int_equal(f->seen.len, 20);
    assert_int_equal(f->seen.gaps, LEFTOVERS_PACKAGES); /* node_modules/a/.npmrc */
}

/* No task can make the first two; where somebody else did they are found. */
static void what_is_dangerous_to_handle_is_found_in_the_home_too(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *set_id = mem_printf("%s/home/.cache/su", f->dir);
    AUTO_FREE char *node = mem_printf("%s/home/.cache/disk", f->dir);
    AUTO_FREE char *pipe = mem_printf("%s/workspace/pipe", f->dir);
    struct stat st;

    put(f, "home/.cache/su", "");
    put(f, "home/bell\a", "");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    if (geteuid() == 0) /* or the tree could not be given away */
        assert_int_equal(chown(set_id, TASK_UID, TASK_UID), 0);
    survey(f);
    expect(f, PLANTED_NAME, "bell\a");
    expect(f, PLANTED_PIPE, "pipe");
    assert_int_equal(must_find(f, "bell\a").place, LEFTOVER_HOME);
    assert_int_equal(f->seen.len, 2);
    /* lchown() takes set-id bits away, so after that */
    assert_int_equal(chmod(set_id, 04755), 0);
    if (geteuid() == 0 && mknod(node, S_IFCHR | 0600, 0x103) == 0 && lstat(node, &st) == 0)
        assert_int_equal(chown(node, TASK_UID, TASK_UID), 0);
    buf_clear(&f->out);
    survey(f);
    if (geteuid() != 0)
        expect(f, PLANTED_SET_ID, ".cache/su");
    else if (lstat(node, &st) == 0)
        expect(f, PLANTED_DEVICE, ".cache/disk");
}

static void a_directory_that_cant_be_looked_into_is_named(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *locked = mem_printf("%s/workspace/locked", f->dir);

    put(f, "workspace/locked/.git/hooks/pre-commit", "");
    assert_int_equal(chmod(locked, 0), 0);
    survey(f);
    expect(f, PLANTED_LOCKED, "locked");
    assert_int_equal(f->seen.len, 1);
}

static void the_print_changes_with_the_contents_and_not_with_the_time(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *hook = mem_printf("%s/workspace/.git/hooks/pre-push", f->dir);
    struct leftover one, two;

    put(f, "workspace/.git/hooks/pre-push", "one");
    survey(f);
    one = must_find(f, ".git/hooks/pre-push");
    assert_int_equal(unlink(hook), 0);
    put(f, "workspace/.git/hooks/pre-push", "one");
    survey(f);
    two = must_find(f, ".git/hooks/pre-push");
    assert_memory_equal(one.print, two.print, sizeof one.print);
    put(f, "workspace/.git/hooks/pre-push", "two");
    survey(f);
    two = must_find(f, ".git/hooks/pre-push");
    assert_memory_not_equal(one.print, two.print, sizeof one.print);
    assert_int_equal(chmod(hook, 0755), 0);
    survey(f);
    one = must_find(f, ".git/hooks/pre-push");
    assert_memory_not_equal(one.print, two.print, sizeof one.print);
}

/* ---- what is in its way ---- */

static void nothing_behind_a_link_is_looked_at(void **state)
{
    struct fixture *f = *state;

    put(f, "home/x/.envrc", "");
    put_link(f, "workspace/a", "../home/x");
    put_link(f, "workspace/b", "/home/agent");
    put_link(f, "workspace/loop", ".");
    survey(f);
    expect(f, PLANTED_LINK, "a");
    expect(f, PLANTED_LINK, "b");
    assert_int_equal(f->seen.len, 2);
    assert_true(f->seen.entries < 8);
}

static void a_deep_tree_ends_at_the_longest_path(void **state)
{
    enum { LEVELS = 20, NAME = 240 };
    struct fixture *f = *state;
    char name[NAME + 1];
    int fds[LEVELS + 1];

    memset(name, 'd', NAME);
    name[NAME] = '\0';
    put(f, "workspace/.envrc", "");
    survey(f); /* gives the top away */
    fds[0] = open(f->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(mkdirat(fds[i], name, 0755), 0);
        fds[i + 1] = openat(fds[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fds[i + 1] >= 0);
    }
    run(f);
    for (int i = LEVELS; i-- > 0;) {
        (void)close(fds[i + 1]);
        assert_int_equal(unlinkat(fds[i], name, AT_REMOVEDIR), 0);
    }
    (void)close(fds[0]);
    expect(f, PLANTED_SHELL, ".envrc");
    assert_int_equal(f->seen.len, 1);
    assert_int_equal(f->seen.gaps, LEFTOVERS_DEEP);
}

static void put_links(const struct fixture *f, int count, const char *like)
{
    AUTO_CLOSE int fd = open(f->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < count; i++) {
        AUTO_FREE char *name = mem_printf("%s-%d", like, i);

        assert_int_equal(symlinkat("/root", fd, name), 0);
    }
}

static void a_heap_of_findings_has_an_end(void **state)
{
    struct fixture *f = *state;

    put_links(f, LEFTOVERS_MAX + 100, "link");
    survey(f);
    assert_int_equal(f->seen.len, LEFTOVERS_MAX);
    assert_int_equal(f->seen.gaps, LEFTOVERS_FOUND);
}

/* ---- what it has besides ---- */

/* proc(5): what it is blocked in. */
static bool is_writing(pid_t pid)
{
    AUTO_FREE char *path = mem_printf("/proc/%d/syscall", (int)pid);
    FILE *file = fopen(path, "re");
    int number = -1;

    if (!file)
        return false;
    if (fscanf(file, "%d", &number) != 1)
        number = -1;
    (void)fclose(file); /* it was only read */
    return number == SYS_write;
}

/* The process of a survey that wants to say more than fits into its pipe. */
static pid_t await_survey(struct fixture *f)
{
    pid_t init = 0, pid = 0;

    while (children_of(spawner_pid(f->spawner), &init, 1) != 1 || children_of(init, &pid, 1) != 1 ||
           !is_writing(pid)) {
        loop_timer_arm(f->tick, TICK_MS);
        loop_run(f->loop);
    }
    return pid;
}

/* What is hostile is read by it: whoever got hold of it would have them. */
static void it_has_no_descriptor_but_its_three(void **state)
{
    enum { LINKS = 600 };
    struct fixture *f = *state;
    AUTO_FREE char *path = NULL;
    const struct dirent *entry;
    DIR *dir;
    char name[201];

    if (geteuid() != 0)
        return; /* nobody else may look */
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    put_links(f, LINKS, name);
    give_away(f);
    start(f);
    spawner_pause(f->spawner, TASK, true);
    path = mem_printf("/proc/%d/fd", (int)await_survey(f));
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) > STDERR_FILENO)
            fail_msg("descriptor %s is open", entry->d_name);
    (void)closedir(dir); /* it was only read */
    spawner_pause(f->spawner, TASK, false);
    finish(f);
    assert_int_equal(f->seen.len, LINKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_has_no_descriptor_but_its_three, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_job_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(an_ordinary_repository_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_others_trip_over_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_dangerous_to_handle_is_found_in_the_home_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_cant_be_looked_into_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_print_changes_with_the_contents_and_not_with_the_time,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_behind_a_link_is_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deep_tree_ends_at_the_longest_path, setup, teardown),
        cmocka_unit_test_setup_teardown(a_heap_of_findings_has_an_end, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
