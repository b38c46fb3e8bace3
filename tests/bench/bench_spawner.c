/* What a sandbox costs: start to exit of /bin/true by posix_spawn(3), through the spawner, and in
 * bubblewrap with the same files, one after the other in each round, so that whatever else goes on
 * meets all of them. Prints medians, and what remains resident beside a running task.
 *   bench_spawner [ROUNDS]
 * Both bubblewrap's sandbox and ours have all namespaces, the plan's mounts, its system call filter
 * and no capability; ours besides has Landlock, limits, and as root a user of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loop/loop.h"
#include "sandbox/filter.h"
#include "sandbox/plan.h"
#include "settings/profile.h"
#include "spawner/spawner.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/str.h"
#include "util/strv.h"

enum {
    ROUNDS = 301,
    ROUNDS_MAX = 100000,
    WARM_UP = 5,
    TASK_UID = PLAN_LONE_UID_MIN,
    REST_MS = 100,
    MADE_BEFORE = 2,
};
enum way { WAY_PLAIN, WAY_COLD, WAY_WARM, WAY_BUBBLEWRAP, WAY_COUNT };

static const char *const names[] = {
    [WAY_PLAIN] = "posix_spawn, no sandbox",
    [WAY_COLD] = "spawner, a new sandbox",
    [WAY_WARM] = "spawner, one made before",
    [WAY_BUBBLEWRAP] = "bubblewrap",
};

struct bench {
    struct loop *loop;
    struct loop_timer *rest;
    struct spawner *spawner, *warm; /* the latter makes sandboxes before */
    struct plan *plan;
    struct strv bubblewrap; /* its arguments */
    int *files;             /* whose contents it copies */
    size_t file_count;
    uint64_t task;
    bool was_warm; /* the last one */
    size_t cold;   /* that should have been warm */
    char *dir, *workspace, *home;
};

_Noreturn static void give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_spawner: %s: %s\n", what, why);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- through the spawner ---- */

static void on_started(uint64_t task, pid_t pid, void *ctx)
{
    struct bench *b = ctx;

    (void)task;
    (void)pid;
    if (b->plan->argv.len > 1)
        loop_stop(b->loop); /* one to look at */
}

static void on_output(uint64_t task, enum spawner_stream stream, const char *bytes, size_t len,
                      void *ctx)
{
    (void)task;
    (void)stream;
    (void)bytes;
    (void)len;
    (void)ctx;
}

static void on_exited(uint64_t task, const struct spawner_exit *ended, void *ctx)
{
    struct bench *b = ctx;

    (void)task;
    if (ended->failed_to_start)
        give_up("start a task", ended->error);
    b->was_warm = ended->warm;
    loop_stop(b->loop);
}

static void on_gone(const char *why, void *ctx)
{
    (void)ctx;
    give_up("the spawner", why);
}

static void on_rest(struct loop_timer *timer, void *ctx)
{
    (void)timer;
    loop_stop(ctx);
}

static struct plan *make_plan(const struct bench *b, const struct profile *profile,
                              const char *program, const char *argument)
{
    CLEANUP(strv_done) struct strv argv = { 0 };
    struct plan_policy policy = { .profile = profile,
                                  .workspace = b->workspace,
                                  .home = b->home,
                                  .argv = &argv,
                                  .memory_bytes = 4ULL << 30,
                                  .disk_bytes = 1ULL << 30,
                                  .pids = 512,
                                  .files = 4096,
                                  .uid = geteuid(),
                                  .task_uid = TASK_UID };
    struct plan *plan = NULL;
    struct err err = { 0 };

    strv_add(&argv, program);
    if (argument)
        strv_add(&argv, argument);
    if (plan_make(&policy, &plan, &err) < 0)
        give_up("plan", err.text);
    return plan;
}

static void run_in_sandbox(struct bench *b, struct spawner *spawner)
{
    spawner_start(spawner, ++b->task, b->plan, -1, "", 0);
    loop_run(b->loop);
}

/* ---- others ---- */

static void run_program(const struct strv *argv, char *const env[])
{
    pid_t pid;
    int status;

    if (posix_spawn(&pid, argv->items[0], NULL, NULL, argv->items, env) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0)
        give_up(argv->items[0], "it failed");
}

static void run_plain(void)
{
    char *env[] = { NULL };
    CLEANUP(strv_done) struct strv argv = { 0 };

    strv_add(&argv, "/bin/true");
    run_program(&argv, env);
}

static void run_bubblewrap(const struct bench *b)
{
    char *env[] = { NULL };

    for (size_t i = 0; i < b->file_count; i++)
        (void)lseek(b->files[i], 0, SEEK_SET); /* it reads them to their ends */
    run_program(&b->bubblewrap, env);
}

static void add_words(struct strv *to, const char *const *words)
{
    for (; *words; words++)
        strv_add(to, *words);
}

/* Returns the name of its descriptor. */
static char *hold_file(struct bench *b, const void *bytes, size_t len)
{
    int file = fd_memfile("file", bytes, len);

    if (file < 0 || fcntl(file, F_SETFD, 0) < 0)
        give_up("a file of the plan", strerror(errno));
    b->files = mem_realloc(b->files, (b->file_count + 1) * sizeof b->files[0]);
    b->files[b->file_count++] = file;
    return mem_printf("%d", file);
}

static void add_filter(struct bench *b)
{
    CLEANUP_PTR(filter_free) struct filter *filter = NULL;
    AUTO_FREE char *fd = NULL;
    struct err err = { 0 };
    const void *bytes;
    size_t len;

    if (filter_new(FILTER_TASK, b->plan->calls, &filter, &err) < 0)
        give_up("the filter", err.text);
    bytes = filter_bytes(filter, &len);
    fd = hold_file(b, bytes, len);
    add_words(&b->bubblewrap, (const char *const[]){ "--seccomp", fd, NULL });
}

static void add_file(struct bench *b, const struct plan_step *s)
{
    AUTO_FREE char *fd = hold_file(b, s->text, strlen(s->text));

    add_words(&b->bubblewrap,
              (const char *const[]){ "--perms", "0444", "--file", fd, s->target, NULL });
}

static void add_bind(struct bench *b, const struct plan_step *s)
{
    struct stat st;
    char to[PLAN_PATH_MAX] = "";

    if (lstat(s->text, &st) < 0)
        return; /* optional */
    if (S_ISLNK(st.st_mode) && (s->flags & PLAN_MIRROR)) {
        if (readlink(s->text, to, sizeof to - 1) > 0)
            add_words(&b->bubblewrap, (const char *const[]){ "--symlink", to, s->target, NULL });
        return;
    }
    add_words(&b->bubblewrap,
              (const char *const[]){ s->flags & PLAN_WRITABLE ? "--bind" : "--ro-bind", s->text,
                                     s->target, NULL });
}

/* The same step in its words. Its own --dev is as ours. */
static void add_step(struct bench *b, const struct plan_step *s)
{
    AUTO_FREE char *size = mem_printf("%llu", (unsigned long long)s->size_bytes);
    AUTO_FREE char *mode = mem_printf("%04o", s->mode);

    if (strncmp(s->target, "/dev/", 5) == 0 && s->type != PLAN_STEP_TMPFS)
        return;
    if (s->type == PLAN_STEP_FILE)
        add_file(b, s);
    else if (s->type == PLAN_STEP_BIND)
        add_bind(b, s);
    else if (s->type == PLAN_STEP_LINK)
        add_words(&b->bubblewrap, (const char *const[]){ "--symlink", s->text, s->target, NULL });
    else if (s->type == PLAN_STEP_PROC)
        add_words(&b->bubblewrap, (const char *const[]){ "--proc", s->target, NULL });
    else if (s->type == PLAN_STEP_TMPFS)
        add_words(&b->bubblewrap, (const char *const[]){ "--perms", mode, "--size", size, "--tmpfs",
                                                         s->target, NULL });
    else if (strcmp(s->target, "/dev") == 0)
        add_words(&b->bubblewrap, (const char *const[]){ "--dev", s->target, NULL });
    else
        add_words(&b->bubblewrap, (const char *const[]){ "--dir", s->target, NULL });
}

static void prepare_bubblewrap(struct bench *b)
{
    add_words(&b->bubblewrap,
              (const char *const[]){ "/usr/bin/bwrap", "--unshare-all", "--unshare-user", "--uid",
                                     "1000", "--gid", "1000", "--hostname", PLAN_HOSTNAME,
                                     "--die-with-parent", "--new-session", "--cap-drop", "ALL",
                                     "--clearenv", NULL });
    for (size_t i = 0; i < b->plan->step_count; i++)
        add_step(b, &b->plan->steps[i]);
    add_filter(b);
    add_words(&b->bubblewrap, (const char *const[]){ "--remount-ro", "/", "--chdir", PLAN_WORKSPACE,
                                                     "/bin/true", NULL });
}

/* ---- what stays resident ---- */

static bool is_beneath(long pid, long top)
{
    while (pid > 1 && pid != top) {
        char path[64], line[512];
        const char *end;
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
        file = fopen(path, "re");
        if (!file)
            return false;
        end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        (void)fclose(file);
        if (!end || sscanf(end + 1, " %*c %ld", &pid) != 1)
            return false;
    }
    return pid == top;
}

static long pss_kib(long pid)
{
    char path[64], line[256];
    long kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        (void)sscanf(line, "Pss: %ld kB", &kib);
    if (file)
        (void)fclose(file);
    return kib;
}

/* The spawner and all below it, but for the program itself. */
static long resident_kib(const struct spawner *spawner, const char *program)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    long kib = 0;

    while (dir && (entry = readdir(dir))) {
        long pid = strtol(entry->d_name, NULL, 10);
        AUTO_FREE char *path = mem_printf("/proc/%ld/comm", pid);
        char name[32] = "";
        AUTO_CLOSE int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0 || read(fd, name, sizeof name - 1) <= 0)
            continue;
        name[strcspn(name, "\n")] = '\0';
        if (!str_eq(name, program) && is_beneath(pid, spawner_pid(spawner)))
            kib += pss_kib(pid);
    }
    if (dir)
        (void)closedir(dir);
    return kib;
}

static void measure_resident(struct bench *b, const struct profile *profile)
{
    struct plan *usual = b->plan;
    long before = resident_kib(b->spawner, "sleep");

    b->plan = make_plan(b, profile, "/bin/sleep", "1000");
    run_in_sandbox(b, b->spawner);
    if (before > 0)
        printf("%-44s %8ld KiB\n", "resident (PSS), added by a running task",
               resident_kib(b->spawner, "sleep") - before);
    else
        printf("%-44s %12s\n", "resident (PSS), added by a running task", "only root sees it");
    spawner_kill(b->spawner, b->task, 0);
    loop_run(b->loop);
    plan_free(b->plan);
    b->plan = usual;
}

/* Those that wait end with the order to keep none. */
static void measure_waiting(struct bench *b)
{
    long with = resident_kib(b->warm, "");

    spawner_warm(b->warm, 0);
    loop_timer_arm(b->rest, REST_MS);
    loop_run(b->loop);
    if (with > 0)
        printf("%-44s %8ld KiB\n", "resident (PSS), of one made before",
               (with - resident_kib(b->warm, "")) / MADE_BEFORE);
    else
        printf("%-44s %12s\n", "resident (PSS), of one made before", "only root sees it");
}

/* ---- the whole ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void run(struct bench *b, enum way way)
{
    if (way == WAY_PLAIN)
        run_plain();
    else if (way == WAY_BUBBLEWRAP)
        run_bubblewrap(b);
    else
        run_in_sandbox(b, way == WAY_WARM ? b->warm : b->spawner);
}

static void measure(struct bench *b, size_t rounds)
{
    double *times[WAY_COUNT];
    double median[WAY_COUNT];

    for (enum way way = 0; way < WAY_COUNT; way++)
        times[way] = mem_calloc(rounds + WARM_UP, sizeof times[way][0]);
    for (size_t i = 0; i < rounds + WARM_UP; i++) {
        for (enum way way = 0; way < WAY_COUNT; way++) {
            double before;

            loop_timer_arm(b->rest, REST_MS); /* the kernel's own cleaning up, and ours */
            loop_run(b->loop);
            before = now_us();
            run(b, way);
            times[way][i] = now_us() - before;
            b->cold += way == WAY_WARM && i >= WARM_UP && !b->was_warm;
        }
    }
    for (enum way way = 0; way < WAY_COUNT; way++) {
        qsort(times[way] + WARM_UP, rounds, sizeof times[way][0], by_value);
        median[way] = times[way][WARM_UP + rounds / 2];
    }
    for (enum way way = 0; way < WAY_COUNT; way++) {
        printf("%-44s %8.0f us  %5.2f of bubblewrap\n", names[way], median[way],
               median[way] / median[WAY_BUBBLEWRAP]);
        free(times[way]);
    }
    printf("%-44s %8zu\n", "rounds in which none made before was ready", b->cold);
}

static void make_directory(char **path, const char *dir, const char *name)
{
    *path = mem_printf("%s/%s", dir, name);
    if (mkdir(*path, 0755) < 0 || (geteuid() == 0 && chown(*path, TASK_UID, TASK_UID) < 0))
        give_up(*path, strerror(errno));
}

int main(int argc, char **argv)
{
    static const struct spawner_ops ops = {
        .started = on_started, .output = on_output, .exited = on_exited, .gone = on_gone
    };
    char made[] = "/tmp/bench-spawner.XXXXXX";
    CLEANUP_PTR(profile_free) struct profile *profile = NULL;
    struct bench b = { .dir = mkdtemp(made) };
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS;
    struct err err = { 0 };

    if (rounds == 0 || rounds > ROUNDS_MAX)
        give_up(argv[1], "want a number of rounds");
    if (!b.dir || chmod(b.dir, 0755) < 0)
        give_up(made, strerror(errno));
    make_directory(&b.workspace, b.dir, "workspace");
    make_directory(&b.home, b.dir, "home");
    if (profile_load("agent", &profile, &err) < 0 ||
        spawner_fork(NULL, -1, NULL, &b.spawner, &err) < 0 || loop_new(&b.loop, &err) < 0 ||
        spawner_attach(b.spawner, b.loop, &ops, &b, &err) < 0 ||
        spawner_fork(NULL, -1, NULL, &b.warm, &err) < 0 ||
        spawner_attach(b.warm, b.loop, &ops, &b, &err) < 0)
        give_up("begin", err.text);
    spawner_warm(b.warm, MADE_BEFORE);
    b.rest = loop_timer_new(b.loop, on_rest, b.loop);
    b.plan = make_plan(&b, profile, "/bin/true", NULL);
    prepare_bubblewrap(&b);
    printf("start to exit of /bin/true as %s, medians of %zu\n", geteuid() == 0 ? "root" : "a user",
           rounds);
    measure(&b, rounds);
    measure_resident(&b, profile);
    measure_waiting(&b);
    spawner_free(b.spawner, 5000);
    spawner_free(b.warm, 5000);
    loop_timer_free(b.rest);
    loop_free(b.loop);
    plan_free(b.plan);
    strv_done(&b.bubblewrap);
    for (size_t i = 0; i < b.file_count; i++)
        (void)close(b.files[i]); /* only read */
    free(b.files);
    (void)rmdir(b.workspace); /* tmp is cleaned up by others, too */
    (void)rmdir(b.home);
    (void)rmdir(b.dir);
    free(b.workspace);
    free(b.home);
    return 0;
}
