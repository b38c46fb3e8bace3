/* Processes that want to outlive what started them. Each holds a lock on a file in the workspace
 * for as long as it lives: the harness looks, once the task is over, who still does. What a probe
 * says here is only that it tried. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn static void live(void)
{
    for (;;)
        pause();
}

static void ignore_all(void)
{
    sigset_t all;

    for (int signo = 1; signo < 32; signo++)
        (void)signal(signo, SIG_IGN);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
}

/* In the survivor: the lock is its mark, and the last that it does before it lives on. */
static void mark(const char *name, int told)
{
    char path[64], text[32];
    int fd, len;

    (void)snprintf(path, sizeof path, "survivor-%s", name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || write(fd, text, (size_t)len) < 0)
        _exit(1);
    (void)alarm(0);
    (void)write(told, "x", 1); /* whoever waits sees the end otherwise */
    (void)close(told);
}

static void detach(const char *name, int told)
{
    if (strcmp(name, "child") != 0)
        (void)setsid();
    if (strcmp(name, "double") == 0 && fork() != 0)
        _exit(0);
    if (strcmp(name, "deaf") == 0 || strcmp(name, "spawning") == 0)
        ignore_all();
    if (strcmp(name, "subreaper") == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && fork() != 0)
        live();
    if (strcmp(name, "traced") == 0)
        (void)ptrace(PTRACE_TRACEME, 0, 0, 0); /* the next signal stops it for its parent */
    mark(name, told);
    if (strcmp(name, "stopped") == 0 || strcmp(name, "traced") == 0)
        (void)raise(SIGSTOP);
    while (strcmp(name, "spawning") == 0) { /* never the same process for long */
        pid_t child = fork();

        if (child > 0)
            _exit(0);
        (void)usleep(20000); /* nap: so that it is no fork bomb */
    }
    live();
}

static int survive(struct scene *s, const char *name)
{
    int told[2];
    char byte;
    pid_t child;

    if (pipe2(told, O_CLOEXEC) < 0)
        return -errno;
    child = fork();
    if (child == 0) {
        (void)close(told[0]);
        detach(name, told[1]);
    }
    (void)close(told[1]);
    if (child < 0 || read(told[0], &byte, 1) != 1)
        return child < 0 ? -errno : -ECHILD;
    scene_say(s, "left a process");
    return 0;
}

static const struct probe probes[] = {
    { "survive-session", survive, "session" },   { "survive-double", survive, "double" },
    { "survive-deaf", survive, "deaf" },         { "survive-stopped", survive, "stopped" },
    { "survive-traced", survive, "traced" },     { "survive-subreaper", survive, "subreaper" },
    { "survive-spawning", survive, "spawning" },
};

const struct probe *survivors_probes(size_t *ret_count)
{
    *ret_count = COUNT_OF(probes);
    return probes;
}
