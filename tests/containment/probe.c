/* probe [--fresh] SCENE [NAME...]: tries each (all, or those whose name begins with one of the
 * names), in a process of its own, and prints a line for each:
 *   NAME reached EVIDENCE | NAME blocked ERRNO | NAME absent
 * --fresh: each in a mount namespace of its own, where one may be had.
 * The machine's root it refuses, with 77.
 * probe --list: their names. probe --host SECRET FOLDER: see host_run(). */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_S = 10, NOT_AS_ROOT = 77 };

typedef const struct probe *(*topic_fn)(size_t *ret_count);

static const topic_fn topics[] = {
    files_probes,   proc_probes,      process_probes, mounts_probes, namespaces_probes,
    devices_probes, sockets_probes,   network_probes, shared_probes, kernel_probes,
    rights_probes,  survivors_probes, bombs_probes,
};

const char *scene_get(const struct scene *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->names[i], name) == 0)
            return s->values[i];
    return "";
}

pid_t scene_pid(const struct scene *s, const char *name)
{
    return (pid_t)strtol(scene_get(s, name), NULL, 10);
}

const char *scene_secret(const struct scene *s)
{
    const char *secret = scene_get(s, "secret");

    return *secret ? secret : "no secret in the scene";
}

void scene_say(struct scene *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(s->evidence, EVIDENCE_MAX, format, args);
    va_end(args);
}

int probe_read_fd(struct scene *s, int fd)
{
    char bytes[65536];
    size_t len = 0;
    ssize_t n;

    do {
        n = read(fd, bytes + len, sizeof bytes - len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && len < sizeof bytes);
    if (n < 0 && len == 0)
        return -errno;
    return memmem(bytes, len, scene_secret(s), strlen(scene_secret(s))) ? 0 : -ENOMSG;
}

int probe_read_secret(struct scene *s, const char *path)
{
    int fd, r;

    if (!*path)
        return PROBE_ABSENT;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    r = probe_read_fd(s, fd);
    (void)close(fd);
    if (r == 0)
        scene_say(s, "read %s", path);
    return r;
}

int probe_verdict(struct scene *s, long r, const char *evidence)
{
    if (r == -1)
        return -errno;
    scene_say(s, "%s", evidence);
    return 0;
}

int probe_execute(const char *path)
{
    pid_t child = fork();
    int status;

    if (child < 0)
        return -errno;
    if (child == 0) {
        (void)execl(path, "probe", "--nothing", NULL);
        _exit(errno);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* ---- the scene ---- */

static int load(const char *path, struct scene *s)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, s->bytes, sizeof s->bytes - 1);
    char *rest = s->bytes, *line;

    if (n < 0)
        return -errno;
    (void)close(fd);
    s->bytes[n] = '\0';
    while ((line = strsep(&rest, "\n")) && s->count < SCENE_LINES_MAX) {
        char *equals = strchr(line, '=');

        if (!equals)
            continue;
        *equals = '\0';
        s->names[s->count] = line;
        s->values[s->count++] = equals + 1;
    }
    return 0;
}

/* ---- one probe ---- */

struct outcome {
    int result;
    char evidence[EVIDENCE_MAX];
};

_Noreturn static void attempt(struct scene *s, const struct probe *p, bool fresh,
                              struct outcome *shared)
{
    (void)setpgid(0, 0);
    (void)alarm(PATIENCE_S);
    if (fresh)
        (void)unshare(CLONE_NEWNS);
    s->evidence = shared->evidence;
    shared->result = p->run(s, p->argument);
    _exit(0);
}

static void tell(const struct probe *p, const struct outcome *o, int status)
{
    if (WIFSIGNALED(status))
        printf("%s blocked signal %d\n", p->name, WTERMSIG(status));
    else if (o->result == PROBE_ABSENT)
        printf("%s absent\n", p->name);
    else if (o->result == 0)
        printf("%s reached %s\n", p->name, o->evidence);
    else if (strerrorname_np(-o->result))
        printf("%s blocked %s\n", p->name, strerrorname_np(-o->result));
    else
        printf("%s blocked %d\n", p->name, o->result);
    fflush(stdout);
}

static int try_one(struct scene *s, const struct probe *p, bool fresh, struct outcome *shared)
{
    int status = 0;
    pid_t child;

    *shared = (struct outcome){ .result = -ECHILD };
    fflush(stdout);
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        attempt(s, p, fresh, shared);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    (void)kill(-child, SIGKILL); /* what it left, unless it was meant to be left */
    tell(p, shared, status);
    return 0;
}

static bool is_wanted(const char *name, char **wanted)
{
    if (!*wanted)
        return true;
    for (; *wanted; wanted++)
        if (strncmp(name, *wanted, strlen(*wanted)) == 0)
            return true;
    return false;
}

static int try_all(struct scene *s, char **wanted, bool fresh)
{
    struct outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        return -errno;
    for (size_t t = 0; t < COUNT_OF(topics); t++) {
        size_t count;
        const struct probe *probes = topics[t](&count);

        for (size_t i = 0; i < count; i++) {
            int r = is_wanted(probes[i].name, wanted) ? try_one(s, &probes[i], fresh, shared) : 0;

            if (r < 0)
                return r;
        }
    }
    printf("end\n");
    return 0;
}

static void list(void)
{
    for (size_t t = 0; t < COUNT_OF(topics); t++) {
        size_t count;
        const struct probe *probes = topics[t](&count);

        for (size_t i = 0; i < count; i++)
            printf("%s\n", probes[i].name);
    }
}

/* As the machine's own root, and not one of a user namespace (user_namespaces(7)), a probe that
 * meets no wall does harm: this program is none for that user, whoever starts it. */
static bool is_real_root(void)
{
    unsigned inside = 0, outside = 0, count = UINT_MAX;
    char map[64] = { 0 };
    int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)read(fd, map, sizeof map - 1); /* what can't be read is taken for the worst */
        (void)close(fd);
    }
    (void)sscanf(map, "%u %u %u", &inside, &outside, &count);
    return (getuid() == 0 || geteuid() == 0) && inside == 0 && outside == 0 && count == UINT_MAX;
}

int main(int argc, char **argv)
{
    static struct scene scene;
    bool fresh = argc > 1 && strcmp(argv[1], "--fresh") == 0;
    int r;

    if (argc > 1 && strcmp(argv[1], "--nothing") == 0)
        return 0;
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--host") == 0)
        return host_run(argc - 2, argv + 2);
    argv += fresh ? 2 : 1;
    if (!*argv) {
        fprintf(stderr, "usage: probe [--fresh] SCENE [NAME...]\n");
        return 64;
    }
    if (is_real_root()) {
        fprintf(stderr, "probe: not as the machine's root\n");
        return NOT_AS_ROOT;
    }
    r = load(*argv, &scene);
    if (r == 0)
        r = try_all(&scene, argv + 1, fresh);
    if (r < 0)
        fprintf(stderr, "probe: %s\n", strerror(-r));
    return r < 0 ? 1 : 0;
}
