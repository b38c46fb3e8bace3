#include "spawner/escort.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/plan.h"
#include "spawner/title.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"
#include "util/strv.h"

struct escort {
    const struct escort_ops *ops;
    void *ctx;
    pid_t pid; /* 0: reaped */
    int pidfd;
    int words; /* -1: it has closed it */
    bool ready, failed, killed;
};

/* ---- the new process ---- */

enum { LISTENER_AT = 3, WORDS_AT = 4, KEYS_AT = 5 };

/* Its descriptors at their places, nothing else but /dev/null. keys: -1 for none. */
static int arrange(int listener, int words, int keys)
{
    int high_listener = fcntl(listener, F_DUPFD_CLOEXEC, KEYS_AT + 1);
    int high_words = fcntl(words, F_DUPFD_CLOEXEC, KEYS_AT + 1);
    int high_keys = keys < 0 ? -1 : fcntl(keys, F_DUPFD_CLOEXEC, KEYS_AT + 1);

    if (high_listener < 0 || high_words < 0 || (keys >= 0 && high_keys < 0) ||
        dup3(high_listener, LISTENER_AT, O_CLOEXEC) < 0 ||
        dup3(high_words, WORDS_AT, O_CLOEXEC) < 0 ||
        (keys >= 0 && dup3(high_keys, KEYS_AT, O_CLOEXEC) < 0))
        return -errno;
#ifndef NAIRID_SANITIZED /* a sanitizer reports there; the spawner's own 0 and 1 are /dev/null */
    if (dup2(STDIN_FILENO, STDERR_FILENO) < 0)
        return -errno;
#endif
    return close_range(keys < 0 ? KEYS_AT : KEYS_AT + 1, ~0u, 0) < 0 ? -errno : 0;
}

static void complain(int words, int error)
{
    struct gateway_word w;

    memset(&w, 0, sizeof w); /* no stray bytes of ours in the gaps */
    w.kind = GATEWAY_FAILED;
    w.failure = error;
    (void)snprintf(w.error, sizeof w.error,
                   "arrange the descriptors of the task's egress process: %s", strerror(-error));
    (void)send(words, &w, sizeof w, MSG_NOSIGNAL); /* where it can't be told, its end says it */
}

_Noreturn static void be_escort(const struct escort *e, const struct plan *plan,
                                const struct filter *filter, gateway_fn run, int listener,
                                int words, int keys)
{
    struct strv hosts = { 0 };
    struct broker_list brokers = { 0 };
    struct gateway g = { .hosts = &hosts,
                         .brokers = &brokers,
                         .ca_file = mem_strdup(plan->ca_file),
                         .keys = keys < 0 ? -1 : KEYS_AT,
                         .proxy = mem_strdup(plan->proxy),
                         .filter = filter,
                         .uid = plan->egress_uid,
                         .without_landlock = plan->ground.without_landlock,
                         .listener = LISTENER_AT,
                         .words = WORDS_AT };
    int r;

    for (size_t i = 0; i < plan->host_count; i++)
        strv_add(&hosts, plan->hosts[i].text);
    broker_copy_all(&brokers, &plan->brokers);
    e->ops->forget(e->ctx); /* plan is gone, too */
    title_set("nairid: egress");
    (void)prctl(PR_SET_NAME, "nairid-egress");
    r = arrange(listener, words, keys);
    if (r == 0)
        run(&g);
    else
        complain(words, r);
    _exit(0);
}

/* ---- the spawner's side ---- */

int escort_new(const struct plan *plan, const struct filter *filter, gateway_fn run, int listener,
               int keys, const struct escort_ops *ops, void *ctx, struct escort **ret_escort,
               struct err *err)
{
    AUTO_CLOSE int owned = listener, owned_keys = keys, ours = -1, theirs = -1;
    AUTO_FREE struct escort *e = mem_new(struct escort);
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "make a socket to the task's egress process: %s",
                       strerror(errno));
    ours = pair[0];
    theirs = pair[1];
    *e = (struct escort){ .ops = ops, .ctx = ctx, .words = -1 };
    if (fd_set_nonblock(ours) < 0)
        return err_set(err, -EIO, "prepare the socket to the task's egress process");
    e->pid = fork();
    if (e->pid < 0)
        return err_set(err, -errno, "clone the task's egress process: %s", strerror(errno));
    if (e->pid == 0)
        be_escort(e, plan, filter, run, owned, theirs, owned_keys);
    e->pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
    if (e->pidfd < 0) {
        int error = -errno;

        (void)kill(e->pid, SIGKILL); /* it is ours, and not reaped yet */
        (void)waitpid(e->pid, NULL, 0);
        return err_set(err, error, "watch the task's egress process: %s", strerror(-error));
    }
    e->words = TAKE_FD(ours);
    *ret_escort = TAKE_PTR(e);
    return 0;
}

static void close_words(struct escort *e)
{
    if (e->words >= 0)
        (void)close(e->words); /* nothing more comes from there */
    e->words = -1;
}

void escort_kill(struct escort *e)
{
    if (e->pid == 0 || e->killed)
        return;
    e->killed = true;
    escort_read(e);
    (void)syscall(SYS_pidfd_send_signal, e->pidfd, SIGKILL, NULL, 0); /* ended already: fine */
}

bool escort_is_reaped(const struct escort *e)
{
    return e->pid == 0;
}

int escort_words(const struct escort *e)
{
    return e->words;
}

pid_t escort_pid(const struct escort *e)
{
    return e->pid;
}

int escort_pidfd(const struct escort *e)
{
    return e->pid == 0 ? -1 : e->pidfd;
}

static void tell_failed(const struct escort *e, int error, const char *why)
{
    struct err err;

    (void)err_set(&err, error, "%s", why);
    e->ops->failed(&err, e->ctx);
}

static void hear(struct escort *e, const struct gateway_word *w)
{
    switch ((enum gateway_kind)w->kind) {
    case GATEWAY_READY:
        if (!e->ready && !e->failed)
            e->ops->ready(e->ctx);
        e->ready = true;
        return;
    case GATEWAY_FAILED:
        if (!e->ready && !e->failed)
            tell_failed(e, w->failure, w->error);
        e->failed = true;
        return;
    case GATEWAY_REFUSED:
        e->ops->refused(w, e->ctx);
        return;
    }
}

void escort_read(struct escort *e)
{
    for (int i = 0; i <= GATEWAY_REFUSALS_MAX && e->words >= 0; i++) {
        struct gateway_word w;
        ssize_t n = fd_recv(e->words, &w, sizeof w, NULL, 0);

        if (err_is_shortage((int)n))
            return; /* there is none, or it waits for us */
        if (n == sizeof w && gateway_word_is_sound(&w))
            hear(e, &w);
        else
            close_words(e); /* its end, or nothing that one of ours says; it ends by that */
    }
}

void escort_reap(struct escort *e)
{
    char why[128];
    int status;

    if (e->pid == 0 || waitpid(e->pid, &status, WNOHANG) != e->pid)
        return;
    escort_read(e);
    close_words(e);
    e->pid = 0;
    if (WIFSIGNALED(status))
        (void)snprintf(why, sizeof why, "the task's egress process was killed by SIG%s",
                       sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        (void)snprintf(why, sizeof why, "the task's egress process ended with status %d",
                       WEXITSTATUS(status));
    if (e->killed || e->failed)
        return;
    if (e->ready)
        e->ops->gone(why, e->ctx);
    else
        tell_failed(e, -ECHILD, why);
}

void escort_free(struct escort *e)
{
    if (!e)
        return;
    close_words(e);
    (void)close(e->pidfd); /* it is reaped */
    free(e);
}
