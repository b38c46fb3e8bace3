#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/confine.h"
#include "sandbox/plan.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "workspace/tenants.h"
#include "workspace/workspace.h"

enum { PLENTY = 10000000 };

struct fixture {
    char *dir, *root;
    char *workspace, *home; /* of the last open */
    const char *kept;       /* the job that keep() wants */
    int kept_asked;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->root = mem_printf("%s/jobs", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tempdir_free(f->dir);
    free(f->root);
    free(f->workspace);
    free(f->home);
    free(f);
    return 0;
}

static int try_open(struct fixture *f, const char *job, uid_t uid)
{
    free(TAKE_PTR(f->workspace));
    free(TAKE_PTR(f->home));
    return workspace_open(f->root, job, NULL, &uid, &f->workspace, &f->home, &f->err);
}

static void open_job(struct fixture *f, const char *job)
{
    if (try_open(f, job, geteuid()) < 0)
        fail_msg("%s", f->err.text);
}

static int keep(const char *job_id, void *ctx)
{
    struct fixture *f = ctx;

    f->kept_asked++;
    return str_eq(job_id, f->kept);
}

static int sweep_at(struct fixture *f, uint32_t retention_s, int64_t now_ms, size_t max)
{
    return workspace_sweep(f->root, retention_s, now_ms, keep, f, max, &f->err);
}

/* As if all jobs were long out of use. */
static int sweep(struct fixture *f, size_t max)
{
    return sweep_at(f, 60, clock_wall_ms() + 3600 * 1000, max);
}

static void assert_swept(struct fixture *f)
{
    if (sweep(f, PLENTY) != 0)
        fail_msg("%s", f->err.text);
}

static void assert_says(const struct fixture *f, const char *words)
{
    if (!strstr(f->err.text, words))
        fail_msg("'%s' is not in: %s", words, f->err.text);
}

static size_t entries_of(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n - 2;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void make_file(int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
}

static int open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* ---- opening ---- */

static void both_directories_are_made_for_the_job_alone(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *job = mem_printf("%s/job_A", f->root);
    mode_t old = umask(0);

    open_job(f, "job_A");
    (void)umask(old);
    assert_int_equal(mode_of(f->workspace), 0700);
    assert_int_equal(mode_of(f->home), 0700);
    assert_int_equal(mode_of(job), geteuid() == 0 ? 0711 : 0700);
    assert_int_equal(mode_of(f->root), geteuid() == 0 ? 0711 : 0700);
    assert_true(str_ends_with(f->workspace, "/jobs/job_A/workspace"));
    assert_true(str_ends_with(f->home, "/jobs/job_A/home"));
}

static void what_a_task_left_is_there_the_next_time(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1;

    open_job(f, "job_A");
    fd = open_dir(f->workspace);
    make_file(fd, "notes");
    open_job(f, "job_A");
    assert_int_equal(entries_of(f->workspace), 1);
    open_job(f, "job_B");
    assert_int_equal(entries_of(f->workspace), 0);
}

static void a_task_that_closed_its_directory_gets_it_back_open(void **state)
{
    struct fixture *f = *state;

    open_job(f, "job_A");
    assert_int_equal(chmod(f->workspace, 0), 0);
    assert_int_equal(chmod(f->home, 07777), 0);
    open_job(f, "job_A");
    assert_int_equal(mode_of(f->workspace), 0700);
    assert_int_equal(mode_of(f->home), 0700);
}

static void an_id_that_names_no_directory_is_refused(void **state)
{
    static const char *const bad[] = { "",      ".",   "..",  "a/b",   "../x",
                                       ".used", "a b", "a\n", "job.1", "\xc3\xa4" };
    struct fixture *f = *state;
    char longest[66];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(try_open(f, bad[i], geteuid()), -EINVAL);
        assert_null(f->workspace);
        assert_null(f->home);
    }
    memset(longest, 'a', 65);
    longest[65] = '\0';
    assert_int_equal(try_open(f, longest, geteuid()), -EINVAL);
    assert_int_equal(access(f->root, F_OK), -1);
    longest[64] = '\0';
    open_job(f, longest);
    open_job(f, "-");
}

static void a_link_in_the_place_of_a_directory_is_refused(void **state)
{
    static const char *const names[] = { "job_A", "job_B/workspace", "job_C/home" };
    struct fixture *f = *state;
    AUTO_FREE char *target = mem_printf("%s/target", f->dir);

    open_job(f, "job_0");
    assert_int_equal(mkdir(target, 0755), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", f->root, names[i]);
        AUTO_FREE char *job = mem_strndup(names[i], 5);
        AUTO_FREE char *parent = mem_printf("%s/%s", f->root, job);

        if (strchr(names[i], '/'))
            assert_int_equal(mkdir(parent, 0700), 0);
        assert_int_equal(symlink(target, path), 0);
        assert_int_equal(try_open(f, job, geteuid()), -ELOOP);
        assert_says(f, names[i]);
    }
    assert_int_equal(entries_of(target), 0);
    assert_int_equal(mode_of(target), 0755);
}

static void a_file_in_the_place_of_a_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1;

    open_job(f, "job_0");
    fd = open_dir(f->root);
    make_file(fd, "job_A");
    assert_int_equal(try_open(f, "job_A", geteuid()), -ENOTDIR);
}

static void a_root_that_others_may_write_to_is_refused(void **state)
{
    struct fixture *f = *state;

    open_job(f, "job_A");
    assert_int_equal(chmod(f->root, 01777), 0);
    assert_int_equal(try_open(f, "job_A", geteuid()), -EPERM);
    assert_says(f, f->root);
    assert_says(f, "workspace.root");
    assert_int_equal(sweep(f, PLENTY), -EPERM);
}

static void a_root_whose_parent_is_missing_is_named(void **state)
{
    struct fixture *f = *state;

    free(f->root);
    f->root = mem_printf("%s/no/where", f->dir);
    assert_int_equal(try_open(f, "job_A", geteuid()), -ENOENT);
    assert_says(f, f->root);
}

static void as_root_the_directories_belong_to_the_task(void **state)
{
    struct fixture *f = *state;
    uid_t uid = tenants_first_choice("job_A");
    AUTO_FREE char *job = NULL;
    struct stat st;

    if (geteuid() != 0) {
        (void)printf("skip: needs root\n");
        skip();
    }
    job = mem_printf("%s/job_A", f->root);
    assert_int_equal(try_open(f, "job_A", uid), 0);
    assert_int_equal(stat(f->workspace, &st), 0);
    assert_true(st.st_uid == uid && st.st_gid == uid);
    assert_int_equal(stat(f->home, &st), 0);
    assert_true(st.st_uid == uid && st.st_gid == uid);
    assert_int_equal(stat(job, &st), 0);
    assert_true(st.st_uid == 0);
    assert_int_equal(try_open(f, "job_A", uid), 0); /* again */
    assert_int_equal(chown(f->home, 12345, 12345), 0);
    assert_int_equal(try_open(f, "job_A", uid), -EPERM); /* another's it never becomes */
    assert_says(f, "belongs to user 12345");
}

static void as_root_a_workspace_keeps_the_uid_that_it_has(void **state)
{
    struct fixture *f = *state;
    const uid_t old = PLAN_OWN_UID_MIN + 0xcd20, outside = PLAN_OWN_UID_MIN - 1;
    uid_t uid = old;

    if (geteuid() != 0) {
        (void)printf("skip: needs root\n");
        skip();
    }
    assert_int_equal(try_open(f, "job_A", old), 0); /* as an earlier version chose it */
    free(TAKE_PTR(f->workspace));
    free(TAKE_PTR(f->home));
    uid = tenants_first_choice("job_A");
    assert_int_equal(workspace_open(f->root, "job_A", NULL, &uid, &f->workspace, &f->home, &f->err),
                     0);
    assert_int_equal(uid, old);
    assert_int_equal(chown(f->workspace, outside, outside), 0); /* no job's uid is kept */
    assert_int_equal(try_open(f, "job_A", tenants_first_choice("job_A")), -EPERM);
}

static uid_t open_as_tenant(struct fixture *f, const char *job, struct tenants *tenants)
{
    uid_t uid = 0;

    free(TAKE_PTR(f->workspace));
    free(TAKE_PTR(f->home));
    if (workspace_open(f->root, job, tenants, &uid, &f->workspace, &f->home, &f->err) < 0)
        fail_msg("%s", f->err.text);
    return uid;
}

static void as_root_no_two_jobs_that_exist_share_a_uid(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(tenants_free) struct tenants *tenants = NULL;
    const uid_t wanted = tenants_first_choice("job_B");
    uid_t uid;

    if (geteuid() != 0) {
        (void)printf("skip: needs root\n");
        skip();
    }
    tenants = tenants_new();
    assert_int_equal(try_open(f, "job_A", wanted), 0); /* as if its id led there */
    uid = open_as_tenant(f, "job_B", tenants);
    assert_int_equal(uid, wanted + 1);
    assert_int_equal(open_as_tenant(f, "job_B", tenants), uid); /* which it keeps, */
    tenants_forget(tenants);
    assert_int_equal(open_as_tenant(f, "job_B", tenants), uid);    /* after a start, too, */
    assert_int_equal(open_as_tenant(f, "job_A", tenants), wanted); /* as the other one does */
    assert_int_equal(sweep(f, PLENTY), 0);
    tenants_forget(tenants);
    assert_int_equal(open_as_tenant(f, "job_B", tenants), wanted); /* nobody has it any more */
}

/* ---- sweeping ---- */

static void what_is_known_of_a_job_begins_empty_and_is_replaced_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf b = { 0 };

    assert_int_equal(workspace_read_known(f->root, "job_A", 100, &b, &f->err), -ENOENT);
    open_job(f, "job_A");
    assert_int_equal(workspace_read_known(f->root, "job_A", 100, &b, &f->err), 0);
    assert_int_equal(b.len, 0);
    assert_int_equal(workspace_write_known(f->root, "job_A", "first", 5, &f->err), 0);
    assert_int_equal(workspace_write_known(f->root, "job_A", "more", 4, &f->err), 0);
    open_job(f, "job_A");
    assert_int_equal(workspace_read_known(f->root, "job_A", 100, &b, &f->err), 0);
    assert_string_equal(buf_str(&b), "more");
    assert_int_equal(workspace_read_known(f->root, "job_A", 3, &b, &f->err), -EMSGSIZE);
    assert_int_equal(workspace_read_known(f->root, "../job_A", 3, &b, &f->err), -EINVAL);
}

static void what_can_not_be_written_whole_leaves_what_was_known_and_no_file(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE char *fresh = mem_printf("%s/job_A/.known.new", f->root);
    struct rlimit old, few;
    int r;

    open_job(f, "job_A");
    assert_int_equal(workspace_write_known(f->root, "job_A", "first", 5, &f->err), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    few = old;
    few.rlim_cur = 2;
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    r = workspace_write_known(f->root, "job_A", "more", 4, &f->err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    assert_int_equal(r, -EFBIG);
    assert_int_equal(access(fresh, F_OK), -1);
    assert_int_equal(workspace_read_known(f->root, "job_A", 100, &b, &f->err), 0);
    assert_string_equal(buf_str(&b), "first");
}

static void a_sweep_before_any_job_has_nothing_to_do(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(sweep(f, PLENTY), 0);
    assert_int_equal(access(f->root, F_OK), -1);
}

static void only_what_is_out_of_use_for_so_long_goes(void **state)
{
    struct fixture *f = *state;
    int64_t now_ms = clock_wall_ms();

    open_job(f, "job_A");
    assert_int_equal(sweep_at(f, 3600, now_ms + 3590 * 1000, PLENTY), 0);
    assert_int_equal(entries_of(f->root), 1);
    assert_int_equal(f->kept_asked, 0);
    assert_int_equal(sweep_at(f, 3600, now_ms + 3610 * 1000, PLENTY), 0);
    assert_int_equal(entries_of(f->root), 0);
    assert_int_equal(f->kept_asked, 1);
}

static void a_use_renews_the_retention_and_a_tasks_writing_does_not(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *stamp = mem_printf("%s/job_A/.used", f->root);
    struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct timespec future[2] = { { .tv_sec = INT32_MAX }, { .tv_sec = INT32_MAX } };

    open_job(f, "job_A");
    assert_int_equal(utimensat(AT_FDCWD, stamp, old, 0), 0);
    open_job(f, "job_A");
    assert_int_equal(sweep_at(f, 60, clock_wall_ms(), PLENTY), 0);
    assert_int_equal(entries_of(f->root), 1);
    assert_int_equal(utimensat(AT_FDCWD, stamp, old, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, f->workspace, future, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, f->home, future, 0), 0);
    assert_int_equal(sweep_at(f, 60, clock_wall_ms(), PLENTY), 0);
    assert_int_equal(entries_of(f->root), 0);
}

static void what_is_wanted_stays(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *kept = mem_printf("%s/job_B", f->root);

    open_job(f, "job_A");
    open_job(f, "job_B");
    open_job(f, "job_C");
    f->kept = "job_B";
    assert_swept(f);
    assert_int_equal(entries_of(f->root), 1);
    assert_int_equal(access(kept, F_OK), 0);
}

static void what_is_not_a_job_is_left_alone(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *target = mem_printf("%s/target", f->dir);
    AUTO_FREE char *link = mem_printf("%s/job_link", f->root);
    AUTO_FREE char *dot = mem_printf("%s/lost.found", f->root);
    AUTO_CLOSE int fd = -1;

    open_job(f, "job_A");
    fd = open_dir(f->root);
    make_file(fd, "README");
    assert_int_equal(mkdir(dot, 0700), 0);
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(symlink(target, link), 0);
    assert_swept(f);
    assert_int_equal(entries_of(f->root), 3);
    assert_int_equal(access(target, F_OK), 0);
}

static void a_job_that_died_while_being_made_goes_by_its_own_age(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *half = mem_printf("%s/job_half", f->root);

    open_job(f, "job_A");
    assert_int_equal(mkdir(half, 0700), 0);
    assert_int_equal(sweep_at(f, 60, clock_wall_ms(), PLENTY), 0);
    assert_int_equal(entries_of(f->root), 2);
    assert_swept(f);
    assert_int_equal(entries_of(f->root), 0);
}

/* Every kind of entry that an ordinary user can make, and names that break scripts. */
static void fill_with_everything(struct fixture *f, const char *outside)
{
    static const char *const names[] = { "-rf",          "a\nb", " ",  "*",       "$(reboot)",
                                         "\x01\xff\xfe", ";",    "\\", ".hidden", "..." };
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
    AUTO_CLOSE int fd = open_dir(f->workspace);
    AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char longest[256];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        make_file(fd, names[i]);
    memset(longest, 'n', 255);
    longest[255] = '\0';
    make_file(fd, longest);
    assert_int_equal(linkat(fd, longest, fd, "hard", 0), 0);
    assert_int_equal(mkfifoat(fd, "fifo", 0), 0);
    assert_int_equal(chdir(f->workspace), 0);
    assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(symlinkat(outside, fd, "link to a directory"), 0);
    assert_int_equal(symlinkat("/", fd, "link to the root"), 0);
    assert_int_equal(symlinkat("..", fd, "link to its parent"), 0);
    assert_int_equal(symlinkat("link to itself", fd, "link to itself"), 0);
    assert_int_equal(mkdirat(fd, "empty and closed", 0), 0);
    assert_int_equal(mkdirat(fd, "deep and closed", 0700), 0);
    assert_int_equal(mkdirat(fd, "deep and closed/inner", 0700), 0);
    assert_int_equal(mkdirat(fd, "deep and closed/inner/most", 0700), 0);
    assert_int_equal(symlinkat(outside, fd, "deep and closed/inner/most/link"), 0);
    assert_int_equal(fchmodat(fd, "deep and closed/inner/most", 0, 0), 0);
    assert_int_equal(fchmodat(fd, "deep and closed/inner", 0555, 0), 0);
    assert_int_equal(fchmodat(fd, "deep and closed", 0, 0), 0);
    assert_int_equal(chmod(f->workspace, 0), 0);
}

static void whatever_a_task_can_make_goes_and_nothing_outside_does(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *outside = mem_printf("%s/outside", f->dir);
    AUTO_CLOSE int fd = -1;

    assert_int_equal(mkdir(outside, 0700), 0);
    fd = open_dir(outside);
    make_file(fd, "precious");
    open_job(f, "job_A");
    fill_with_everything(f, outside);
    assert_swept(f);
    assert_int_equal(entries_of(f->root), 0);
    assert_int_equal(entries_of(outside), 1);
    assert_int_equal(mode_of(outside), 0700);
}

/* The daemon that sweeps is behind Landlock and a filter, and as root it sweeps what belongs to
 * others. The process ends without running anything more, as it may not do much. */
static void sweep_confined(struct fixture *f)
{
    const struct confine_paths paths = { .writable = (const char *[]){ f->root, NULL } };

    if (confine_daemon(&paths, &f->err) == 0 && sweep(f, PLENTY) == 0)
        _exit(0);
    (void)fprintf(stderr, "%s\n", f->err.text);
    _exit(1);
}

static void a_confined_daemon_makes_and_removes_it_all_the_same(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *outside = mem_printf("%s/outside", f->dir);
    int status;
    pid_t pid;

    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(
        try_open(f, "job_A", geteuid() == 0 ? tenants_first_choice("job_A") : geteuid()), 0);
    fill_with_everything(f, outside);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_job(f, "job_B");
        sweep_confined(f);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(entries_of(f->root), 0);
    assert_int_equal(access(outside, F_OK), 0);
}

/* A chain of directories far longer than any path, each closed. */
static void dig(int fd, int depth)
{
    fd = dup(fd);
    for (int i = 0; i < depth; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        assert_int_equal(fchmod(fd, 0500), 0);
        (void)close(fd);
        fd = next;
    }
    (void)close(fd);
}

static void a_tree_deeper_than_any_path_goes_with_few_descriptors(void **state)
{
    enum { DEPTH = 12000 };
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1;
    struct rlimit old, few;

    open_job(f, "job_A");
    fd = open_dir(f->workspace);
    dig(fd, DEPTH);
    (void)close(TAKE_FD(fd));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 16;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_swept(f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(entries_of(f->root), 0);
}

static void a_sweep_stops_at_its_bound_and_goes_on_where_it_stopped(void **state)
{
    enum { WIDTH = 40, DEPTH = 10, BOUND = 100 };
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1;
    int rounds = 0, r;

    open_job(f, "job_A");
    fd = open_dir(f->workspace);
    for (int i = 0; i < WIDTH; i++) {
        AUTO_FREE char *name = mem_printf("dir%d", i);
        AUTO_CLOSE int sub = -1;

        assert_int_equal(mkdirat(fd, name, 0700), 0);
        sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dig(sub, DEPTH);
    }
    while ((r = sweep(f, BOUND)) == 1) {
        /* not even its name is left from the first call on, so a job that comes back is not mixed
         * with what is going */
        AUTO_FREE char *job = mem_printf("%s/job_A", f->root);

        assert_int_equal(access(job, F_OK), -1);
        rounds++;
        assert_true(rounds < 100);
    }
    assert_int_equal(r, 0);
    assert_int_equal(entries_of(f->root), 0);
    /* WIDTH * DEPTH removals at least, and at most one move each */
    assert_in_range(rounds, WIDTH * DEPTH / BOUND, 3 * WIDTH * DEPTH / BOUND);
}

static void a_job_that_comes_back_during_its_removal_starts_empty(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int fd = -1;

    open_job(f, "job_A");
    fd = open_dir(f->workspace);
    for (int i = 0; i < 20; i++) {
        AUTO_FREE char *name = mem_printf("file%d", i);

        make_file(fd, name);
    }
    assert_int_equal(sweep(f, 5), 1);
    open_job(f, "job_A");
    assert_int_equal(entries_of(f->workspace), 0);
    f->kept = "job_A";
    assert_swept(f);
    assert_int_equal(entries_of(f->root), 1);
}

/* Until files that are made are younger than that one: their times are those of a clock's ticks. */
static void wait_tick(const char *path)
{
    uint64_t deadline_ms = clock_mono_ms() + 10000;
    struct timespec now;
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    do {
        assert_true(clock_mono_ms() < deadline_ms);
        assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
    } while (now.tv_sec < st.st_mtim.tv_sec ||
             (now.tv_sec == st.st_mtim.tv_sec && now.tv_nsec <= st.st_mtim.tv_nsec));
}

static void fill_file(const char *path, size_t bytes)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    AUTO_FREE char *text = mem_alloc(bytes);

    memset(text, 'x', bytes);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, bytes), 0);
    assert_int_equal(fsync(fd), 0); /* blocks that are yet to be given count only then */
}

static uint64_t trim_job(struct fixture *f, size_t max)
{
    uint64_t bytes = 0;

    if (workspace_trim(f->root, "job_A", max, &bytes, &f->err) < 0)
        fail_msg("%s", f->err.text);
    return bytes;
}

static void room_is_made_by_what_came_last_and_by_nothing_else(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *stamp = mem_printf("%s/job_A/.used", f->root),
                   *outside = mem_printf("%s/outside", f->dir), *old = NULL, *link = NULL,
                   *fresh = NULL, *deep = NULL, *folder = NULL;
    uint64_t bytes = 0;
    struct stat st;

    assert_int_equal(workspace_trim(f->root, "job_A", PLENTY, &bytes, &f->err), -ENOENT);
    open_job(f, "job_A");
    old = mem_printf("%s/old", f->workspace);
    fresh = mem_printf("%s/fresh", f->home);
    folder = mem_printf("%s/folder", f->workspace);
    deep = mem_printf("%s/deep", folder);
    link = mem_printf("%s/link", f->workspace);
    wait_tick(stamp);
    fill_file(old, 100000);
    assert_true(trim_job(f, 0) == 0);
    wait_tick(old);
    open_job(f, "job_A"); /* the next attempt */
    wait_tick(stamp);
    assert_true(trim_job(f, PLENTY) == 0); /* it has made nothing */
    fill_file(old, 100000);                /* grown, but not made by it */
    fill_file(fresh, 100000);
    assert_int_equal(mkdir(folder, 0700), 0);
    fill_file(deep, 100000);
    fill_file(outside, 100000);
    assert_int_equal(symlink(f->dir, link), 0);
    bytes = trim_job(f, PLENTY);
    assert_in_range(bytes, 200000, 300000);
    assert_int_equal(access(fresh, F_OK), -1);
    assert_int_equal(access(deep, F_OK), -1);
    assert_int_equal(access(folder, F_OK), 0);
    assert_int_equal(access(outside, F_OK), 0);
    assert_int_equal(stat(old, &st), 0);
    assert_int_equal(st.st_size, 200000);
    assert_int_equal(workspace_trim(f->root, "../x", PLENTY, &bytes, &f->err), -EINVAL);
}

static void many_jobs_go_in_one_sweep(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 300; i++) {
        AUTO_FREE char *job = mem_printf("job_%d", i);

        open_job(f, job);
    }
    assert_swept(f);
    assert_int_equal(entries_of(f->root), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_directories_are_made_for_the_job_alone),
        TEST(what_a_task_left_is_there_the_next_time),
        TEST(a_task_that_closed_its_directory_gets_it_back_open),
        TEST(an_id_that_names_no_directory_is_refused),
        TEST(a_link_in_the_place_of_a_directory_is_refused),
        TEST(a_file_in_the_place_of_a_directory_is_refused),
        TEST(a_root_that_others_may_write_to_is_refused),
        TEST(a_root_whose_parent_is_missing_is_named),
        TEST(as_root_the_directories_belong_to_the_task),
        TEST(as_root_a_workspace_keeps_the_uid_that_it_has),
        TEST(as_root_no_two_jobs_that_exist_share_a_uid),
        TEST(what_is_known_of_a_job_begins_empty_and_is_replaced_whole),
        TEST(what_can_not_be_written_whole_leaves_what_was_known_and_no_file),
        TEST(a_sweep_before_any_job_has_nothing_to_do),
        TEST(only_what_is_out_of_use_for_so_long_goes),
        TEST(a_use_renews_the_retention_and_a_tasks_writing_does_not),
        TEST(what_is_wanted_stays),
        TEST(what_is_not_a_job_is_left_alone),
        TEST(a_job_that_died_while_being_made_goes_by_its_own_age),
        TEST(whatever_a_task_can_make_goes_and_nothing_outside_does),
        TEST(a_confined_daemon_makes_and_removes_it_all_the_same),
        TEST(a_tree_deeper_than_any_path_goes_with_few_descriptors),
        TEST(a_sweep_stops_at_its_bound_and_goes_on_where_it_stopped),
        TEST(a_job_that_comes_back_during_its_removal_starts_empty),
        TEST(room_is_made_by_what_came_last_and_by_nothing_else),
        TEST(many_jobs_go_in_one_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
