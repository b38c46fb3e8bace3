/* lessen - runs a program on a machine that gives less, as far as a seccomp filter can make it so:
 *   --landlock N       the kernel has version N of Landlock, 0: none
 *   --no-userns        no user namespaces; the others where one may have them
 *   --no-namespaces    none at all, and no clone3(2): what containers' usual filters leave
 * It becomes the program. What a filter can't decide by itself a process beside it does
 * (seccomp_unotify(2)), which ends when nobody is left behind the filter. */
#include <errno.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fd.h"

struct less {
    int landlock; /* -1: as it is */
    bool no_userns, no_namespaces;
};

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "lessen: %s: %s\n", what, strerror(errno));
    _exit(125);
}

static void deny(scmp_filter_ctx ctx, int call, int error)
{
    must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)error), call, 0) == 0, "add a rule");
}

static void deny_flag(scmp_filter_ctx ctx, int call, uint64_t flag)
{
    must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)) == 0,
         "add a rule");
}

static void deny_namespaces(scmp_filter_ctx ctx)
{
    static const uint64_t flags[] = { CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                      CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP };

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        deny_flag(ctx, SCMP_SYS(clone), flags[i]);
        deny_flag(ctx, SCMP_SYS(unshare), flags[i]);
    }
    deny(ctx, SCMP_SYS(clone3), ENOSYS);
}

static void deny_landlock(scmp_filter_ctx ctx)
{
    deny(ctx, SCMP_SYS(landlock_create_ruleset), ENOSYS);
    deny(ctx, SCMP_SYS(landlock_add_rule), ENOSYS);
    deny(ctx, SCMP_SYS(landlock_restrict_self), ENOSYS);
}

/* The listener's descriptor, or -1 where the filter decides all. */
static int load(const struct less *less)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    bool asks = less->landlock > 0 || less->no_userns;
    int fd = -1;

    must(ctx && seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1) == 0, "make a filter");
    if (less->no_namespaces)
        deny_namespaces(ctx);
    if (less->landlock == 0)
        deny_landlock(ctx);
    if (less->landlock > 0)
        must(seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(landlock_create_ruleset), 1,
                              SCMP_A2_32(SCMP_CMP_EQ, LANDLOCK_CREATE_RULESET_VERSION)) == 0,
             "add a rule");
    if (less->no_userns) {
        deny_flag(ctx, SCMP_SYS(clone), CLONE_NEWUSER);
        deny_flag(ctx, SCMP_SYS(unshare), CLONE_NEWUSER);
        must(seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(clone3), 0) == 0, "add a rule");
    }
    errno = -seccomp_load(ctx);
    must(errno == 0, "load the filter");
    if (asks)
        fd = seccomp_notify_fd(ctx);
    must(!asks || fd >= 0, "get the filter's listener");
    return fd;
}

/* ---- beside the program ---- */

static bool wants_userns(const struct seccomp_notif *n)
{
    struct clone_args args = { 0 };
    const struct iovec local = { &args, sizeof args.flags };
    const struct iovec remote = { (void *)(uintptr_t)n->data.args[0], sizeof args.flags };

    return process_vm_readv((pid_t)n->pid, &local, 1, &remote, 1, 0) == sizeof args.flags
               ? args.flags & CLONE_NEWUSER
               : true; /* it is gone, or closed to us: then it isn't let through */
}

static void answer(const struct less *less, int listener)
{
    struct seccomp_notif n = { 0 };
    struct seccomp_notif_resp resp = { 0 };

    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
        must(errno == ENOENT || errno == EINTR, "hear from the filter");
        return; /* who asked has died */
    }
    resp.id = n.id;
    if (n.data.nr == SYS_landlock_create_ruleset)
        resp.val = less->landlock;
    else if (wants_userns(&n))
        resp.error = -EPERM;
    else
        resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp); /* who asked may have died */
}

_Noreturn static void attend(const struct less *less, int sock)
{
    char byte;
    int listener = -1;

    must(fd_recv(sock, &byte, 1, &listener, 1) == 1 && listener >= 0, "get the listener");
    for (int fd = 0; fd < 3; fd++)
        (void)close(fd); /* who reads the program's output waits for its end */
    (void)close(sock);
    (void)setsid();
    for (;;) {
        struct pollfd p = { .fd = listener, .events = POLLIN };

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            _exit(125);
        if (p.revents & POLLIN)
            answer(less, listener);
        else if (p.revents)
            _exit(0); /* nobody is behind the filter any more */
    }
}

/* Nobody's child, so that the program has none that it doesn't know. */
static int start_attendant(const struct less *less)
{
    int pair[2];
    pid_t pid;

    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "make a socket");
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        (void)close(pair[0]);
        pid = fork();
        must(pid >= 0, "fork");
        if (pid == 0)
            attend(less, pair[1]);
        _exit(0);
    }
    must(waitpid(pid, NULL, 0) == pid, "wait");
    (void)close(pair[1]);
    return pair[0];
}

int main(int argc, char **argv)
{
    struct less less = { .landlock = -1 };
    int i = 1, sock = -1, listener;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--landlock") == 0 && i + 1 < argc)
            less.landlock = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--no-userns") == 0)
            less.no_userns = true;
        else if (strcmp(argv[i], "--no-namespaces") == 0)
            less.no_namespaces = true;
        else
            break;
    }
    if (i >= argc || strncmp(argv[i], "--", 2) == 0) {
        fputs("usage: lessen [--landlock N] [--no-userns] [--no-namespaces] PROGRAM...\n", stderr);
        return 64;
    }
    if (less.landlock > 0 || less.no_userns)
        sock = start_attendant(&less);
    listener = load(&less);
    if (listener >= 0) {
        must(fd_send(sock, "", 1, &listener, 1) == 0, "hand the listener over");
        (void)close(listener); /* the attendant's, which must see its end */
        (void)close(sock);
    }
    (void)execvp(argv[i], argv + i);
    must(false, argv[i]);
}
