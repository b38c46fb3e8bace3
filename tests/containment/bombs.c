/* More than one's share of what all have in common. Bounded: each tries for what the scene names,
 * a few times what the sandbox is told to allow. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static long most(const struct scene *s, const char *name)
{
    return strtol(scene_get(s, name), NULL, 10);
}

/* A limit that is looked at now and then needs the time to be. */
static void hold(const struct scene *s)
{
    (void)poll(NULL, 0, (int)most(s, "bomb_hold_ms"));
}

static int processes(struct scene *s, const char *name)
{
    long want = most(s, name), made = 0;
    int why = 0;

    if (want == 0)
        return PROBE_ABSENT;
    (void)signal(SIGTERM, SIG_IGN);
    while (made < want && why == 0) {
        pid_t child = fork();

        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            pause();
            _exit(0);
        }
        why = child < 0 ? -errno : 0;
        made += child > 0;
    }
    if (why < 0)
        return why;
    hold(s);
    scene_say(s, "%ld processes at once", made);
    return 0;
}

static int files(struct scene *s, const char *name)
{
    long want = most(s, name);

    if (want == 0)
        return PROBE_ABSENT;
    for (long i = 0; i < want; i++)
        if (open("/dev/null", O_RDONLY) < 0) /* not at exec, which is never */
            return -errno;
    scene_say(s, "%ld open files", want);
    return 0;
}

static int fill(int flags, int fd, size_t bytes)
{
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (at == MAP_FAILED)
        return -errno;
    for (size_t i = 0; i < bytes; i += 4096)
        at[i] = 1;
    return 0;
}

static int private_memory(struct scene *s, const char *name)
{
    size_t bytes = (size_t)most(s, name) << 20;
    int r = bytes ? fill(MAP_PRIVATE | MAP_ANONYMOUS, -1, bytes) : PROBE_ABSENT;

    if (r == 0)
        hold(s);
    if (r == 0)
        scene_say(s, "%zu MiB of memory", bytes >> 20);
    return r;
}

static int shared_memory(struct scene *s, const char *name)
{
    size_t bytes = (size_t)most(s, name) << 20;
    int r = bytes ? fill(MAP_SHARED | MAP_ANONYMOUS, -1, bytes) : PROBE_ABSENT;

    if (r == 0)
        hold(s);
    if (r == 0)
        scene_say(s, "%zu MiB of shared memory", bytes >> 20);
    return r;
}

/* Keeps the file by a mapping that is never touched: no descriptor leads to it any more, and no
 * process has its pages. */
static int hide(int fd)
{
    if (mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
        return -errno;
    return close(fd) < 0 ? -errno : 0;
}

/* In files small enough for any limit on those. */
static int fill_files(size_t bytes, bool hidden)
{
    static const char block[1 << 16] = { 1 };
    enum { FILE_BYTES = 8 << 20 };

    for (size_t done = 0; done < bytes;) {
        int fd = memfd_create("bomb", MFD_CLOEXEC), r = 0;

        for (size_t n = 0; n < FILE_BYTES; n += sizeof block)
            if (fd < 0 || write(fd, block, sizeof block) != (ssize_t)sizeof block)
                return errno ? -errno : -ENOSPC;
        done += FILE_BYTES;
        if (hidden)
            r = hide(fd);
        if (r < 0)
            return r;
    }
    return 0;
}

static int memory_file(struct scene *s, const char *name)
{
    size_t bytes = (size_t)most(s, name) << 20;
    int r = bytes ? fill_files(bytes, false) : PROBE_ABSENT;

    if (r == 0)
        hold(s);
    if (r == 0)
        scene_say(s, "%zu MiB in files of memory", bytes >> 20);
    return r;
}

static int memory_hidden(struct scene *s, const char *name)
{
    size_t bytes = (size_t)most(s, name) << 20;
    int r = bytes ? fill_files(bytes, true) : PROBE_ABSENT;

    if (r == 0)
        hold(s);
    if (r == 0)
        scene_say(s, "%zu MiB in files of memory that nobody sees", bytes >> 20);
    return r;
}

static int fill_pages(size_t bytes)
{
    return fill(MAP_PRIVATE | MAP_ANONYMOUS, -1, bytes);
}

/* With what waits in local sockets to be read: the kernel's own memory. */
static int fill_sockets(size_t bytes)
{
    static const char block[1 << 14] = { 1 };
    size_t done = 0;

    while (done < bytes) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
            return -errno;
        for (int end = 0; end < 2; end++)
            while (write(pair[end], block, sizeof block) == (ssize_t)sizeof block)
                done += sizeof block;
    }
    return 0;
}

/* Each child takes less than a process may, all of them more than the task. */
static int take_in_parts(struct scene *s, size_t bytes, int (*take)(size_t bytes), const char *what)
{
    enum { PARTS = 8 };
    int gate[2], done[2], good = 0;
    char byte;

    if (bytes == 0)
        return PROBE_ABSENT;
    if (pipe(gate) < 0 || pipe(done) < 0)
        return -errno;
    for (int i = 0; i < PARTS; i++) {
        if (fork() != 0)
            continue;
        (void)close(gate[1]);
        (void)close(done[0]);
        if (take(bytes / PARTS) == 0)
            (void)write(done[1], "x", 1);
        (void)read(gate[0], &byte, 1); /* until all have theirs */
        _exit(0);
    }
    (void)close(done[1]);
    while (good < PARTS && read(done[0], &byte, 1) == 1)
        good++;
    hold(s);
    (void)close(gate[1]);
    if (good < PARTS)
        return -ENOMEM;
    scene_say(s, "%zu MiB %s %d processes", bytes >> 20, what, PARTS);
    return 0;
}

static int memory_in_parts(struct scene *s, const char *name)
{
    return take_in_parts(s, (size_t)most(s, name) << 20, fill_pages, "of memory in");
}

static int memory_in_sockets(struct scene *s, const char *name)
{
    return take_in_parts(s, (size_t)most(s, name) << 20, fill_sockets, "in sockets of");
}

static int write_file(const char *path, size_t bytes)
{
    static const char block[1 << 16] = { 1 };
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    size_t done = 0;

    (void)signal(SIGXFSZ, SIG_IGN);
    while (fd >= 0 && done < bytes) {
        size_t part = bytes - done < sizeof block ? bytes - done : sizeof block;
        ssize_t n = write(fd, block, part);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (fd < 0 || done < bytes)
        return -errno;
    return close(fd) < 0 ? -errno : 0;
}

static int one_file(struct scene *s, const char *name)
{
    size_t bytes = (size_t)most(s, name) << 20;
    int r = bytes ? write_file("bomb", bytes) : PROBE_ABSENT;

    (void)unlink("bomb");
    if (r == 0)
        scene_say(s, "a file of %zu MiB", bytes >> 20);
    return r;
}

static int temporary_file(struct scene *s, const char *path)
{
    size_t bytes = (size_t)most(s, "bomb_memory") << 20;
    int r = bytes ? write_file(path, bytes) : PROBE_ABSENT;

    (void)unlink(path);
    if (r == 0)
        scene_say(s, "%zu MiB in %s", bytes >> 20, path);
    return r;
}

static const struct probe probes[] = {
    { "bomb-processes", processes, "bomb_processes" },
    { "bomb-files", files, "bomb_files" },
    { "bomb-memory", private_memory, "bomb_memory" },
    { "bomb-memory-shared", shared_memory, "bomb_memory" },
    { "bomb-memory-file", memory_file, "bomb_memory" },
    { "bomb-memory-hidden", memory_hidden, "bomb_memory" },
    { "bomb-memory-sockets", memory_in_sockets, "bomb_memory" },
    { "bomb-memory-parts", memory_in_parts, "bomb_memory" },
    { "bomb-disk", one_file, "bomb_disk" },
    { "bomb-tmp", temporary_file, "/tmp/probe-bomb" },
    { "bomb-shm", temporary_file, "/dev/shm/probe-bomb" },
};

const struct probe *bombs_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
