#include "spawner/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "util/cleanup.h"
#include "util/fd.h"
#include "util/mem.h"

enum {
    ROUNDS = 60,
    ROUND_MS = 5,
    LIST_BYTES = 16384,
    STATUS_BYTES = 1024, /* what we look for is at the beginning */
    KILLED = 0,
    NOBODY = 1,
    CANT = 2,
};

/* The process that does the killing must not be killed by whom it kills: kill(2) looks at the real
 * and the saved user id of the one who gets a signal, and at the effective one, too, of the one who
 * sends it. This one is nobody's. */
static const uid_t killer_uid = PLAN_KILLER_UID;

/* Whether somebody else's signals alone would reach it: Landlock may keep ours within what we have
 * started, and an earlier spawner's tasks are beyond that. proc_pid_status(5). */
static bool lives_as(const char *pid, uid_t uid)
{
    AUTO_FREE char *path = mem_printf("/proc/%s/status", pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[STATUS_BYTES];
    ssize_t n = fd < 0 ? fd : fd_read_all(fd, text, sizeof text - 1);
    const char *line;
    unsigned real, effective, saved;

    text[n < 0 ? 0 : n] = '\0';
    line = strstr(text, "\nUid:");
    return line && !strstr(text, "\nState:\tZ") &&
           sscanf(line, "\nUid: %u %u %u", &real, &effective, &saved) == 3 &&
           (real == uid || saved == uid);
}

/* Whether a signal of ours would reach anybody, or should; zombies that it reaches count. */
static int find_others(uid_t uid)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    int found = 0;

    if (!proc)
        return -errno;
    while (!found && (entry = readdir(proc))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        found = pid > 1 && pid != getpid() && (kill(pid, 0) == 0 || lives_as(entry->d_name, uid));
    }
    (void)closedir(proc); /* it was only read */
    return found;
}

_Noreturn static void be_killer(uid_t uid)
{
    int r;

    if (syscall(SYS_setresuid, killer_uid, uid, killer_uid) < 0 || geteuid() != uid ||
        getuid() != killer_uid)
        _exit(CANT);         /* never kill(2) as root */
    (void)kill(-1, SIGKILL); /* where there is nobody that may get it, it says that all is well */
    r = find_others(uid);
    _exit(r < 0 ? CANT : r > 0 ? KILLED : NOBODY);
}

/* KILLED, NOBODY, or a negative errno. */
static int kill_user(uid_t uid)
{
    pid_t pid = _Fork();
    int status;

    if (pid < 0)
        return -errno;
    if (pid == 0)
        be_killer(uid);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (WIFSIGNALED(status)) /* by another daemon's: that has the same user, and meets ours */
        return KILLED;
    if (WEXITSTATUS(status) == CANT)
        return -EPERM;
    return WEXITSTATUS(status);
}

/* proc(5): the pids of our children, apart by spaces. The kernel may have more than fit. */
static int read_children(char text[LIST_BYTES])
{
    char path[64];
    AUTO_CLOSE int fd = -1;
    ssize_t n;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = fd_read_all(fd, text, LIST_BYTES - 1);
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    return 0;
}

/* Returns how many there were, or a negative errno. */
static int end_orphans(sweep_fn is_meant, void *ctx)
{
    char text[LIST_BYTES], *at = text, *end;
    int r = read_children(text), found = 0;

    for (; r == 0; at = end) {
        pid_t pid = (pid_t)strtol(at, &end, 10);

        if (end == at || (*end != ' ' && *end != '\0'))
            break;
        if (is_meant(pid, ctx))
            continue;
        found++;
        (void)kill(pid, SIGKILL); /* it is our child, so the number is no other's */
        (void)waitpid(pid, NULL, WNOHANG);
    }
    return r < 0 ? r : found;
}

int sweep_task(uid_t uid, sweep_fn is_meant, void *ctx)
{
    for (int i = 0; i < ROUNDS; i++) {
        int user = uid != 0 ? kill_user(uid) : NOBODY, orphans = end_orphans(is_meant, ctx);

        if (user < 0 || orphans < 0)
            return user < 0 ? user : orphans;
        if (user == NOBODY && orphans == 0)
            return 0;
        (void)poll(NULL, 0, ROUND_MS); /* until those that were killed are dead */
    }
    return -EBUSY;
}
