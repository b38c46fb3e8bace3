#include "main/onlooker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "sandbox/witness.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/mem.h"

struct onlooker {
    struct witness *witness;
    int ours, theirs; /* the pair over which the listener comes */
    int listener;     /* -1: not yet, or no more */
    struct loop *loop;
    struct loop_fd *news, *calls;
};

int onlooker_new(uint32_t calls, struct onlooker **ret_onlooker, struct err *err)
{
    CLEANUP_PTR(onlooker_free) struct onlooker *o = mem_new(struct onlooker);
    int pair[2], r;

    o->ours = o->theirs = o->listener = -1;
    r = witness_new(calls, &o->witness, err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_set(err, -errno, "make a socket for the sandbox: %s", strerror(errno));
    o->ours = pair[0];
    o->theirs = pair[1];
    *ret_onlooker = TAKE_PTR(o);
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing is buffered in it */
    *fd = -1;
}

static void end_calls(struct onlooker *o)
{
    if (o->calls)
        loop_fd_free(o->calls);
    o->calls = NULL;
    close_fd(&o->listener);
}

void onlooker_free(struct onlooker *o)
{
    if (!o)
        return;
    end_calls(o);
    if (o->news)
        loop_fd_free(o->news);
    close_fd(&o->ours);
    close_fd(&o->theirs);
    witness_free(o->witness);
    free(o);
}

int onlooker_sock(const struct onlooker *o)
{
    return o->theirs;
}

/* One a turn: a command that asks without end must not keep us from signals. */
static void on_call(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct onlooker *o = ctx;

    (void)watcher;
    (void)events;
    if (witness_answer(o->witness, o->listener) == -EPIPE)
        end_calls(o);
}

static void on_listener(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct onlooker *o = ctx;
    char word;
    int fd = -1;
    ssize_t n = fd_recv(o->ours, &word, sizeof word, &fd, 1);

    (void)watcher;
    (void)events;
    if (n > 0 && fd >= 0 && o->listener < 0) {
        o->listener = fd;
        o->calls = loop_fd_new(o->loop, fd, LOOP_READ, on_call, o);
    } else if (fd >= 0) {
        (void)close(fd); /* there is one command only */
    }
    if (n == 0)
        loop_fd_set(o->news, 0);
}

void onlooker_attach(struct onlooker *o, struct loop *loop)
{
    close_fd(&o->theirs); /* the spawner has its own */
    o->loop = loop;
    o->news = loop_fd_new(loop, o->ours, LOOP_READ, on_listener, o);
}

void onlooker_tell(const struct onlooker *o)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    witness_print(o->witness, &b);
    fputs(b.len > 0 ? buf_str(&b) : "refused no system call\n", stderr);
}
