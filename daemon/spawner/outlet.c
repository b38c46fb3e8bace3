#include "spawner/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "util/fd.h"
#include "util/mem.h"

enum {
    LAST_PIECES = 16, /* of each stream, read when the wait for its end is over */
    DRAIN_MS = 2000,  /* from a task's end to the last word about it */
};

struct outlet *outlet_find(const struct outlets *all, uint64_t task)
{
    struct outlet *o = all->first;

    while (o && o->task != task)
        o = o->next;
    return o;
}

static void close_stream(struct outlet *o, int stream)
{
    if (o->watchers[stream])
        loop_fd_free(o->watchers[stream]);
    o->watchers[stream] = NULL;
    if (o->fds[stream] >= 0)
        (void)close(o->fds[stream]); /* read to its end, or given up */
    o->fds[stream] = -1;
}

void outlet_free(struct outlet *o)
{
    struct outlet **at = &o->all->first;

    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    close_stream(o, SPAWNER_STDOUT);
    close_stream(o, SPAWNER_STDERR);
    loop_timer_free(o->timer);
    free(o);
}

/* The last word. The task is forgotten before, so that its number may be used again. */
static void finish(struct outlet *o)
{
    const struct outlets *all = o->all;
    const struct spawner_exit ended = o->exit;
    uint64_t task = o->task;

    outlet_free(o);
    all->ops->exited(task, &ended, all->ctx);
}

/* One piece of output. False when there is none now, or never again. */
static bool read_piece(struct outlet *o, int stream)
{
    const struct outlets *all = o->all;
    ssize_t n = read(o->fds[stream], all->piece, OUTLET_PIECE_BYTES);

    if (n > 0) {
        all->ops->output(o->task, (enum spawner_stream)stream, all->piece, (size_t)n, all->ctx);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_stream(o, stream);
    return false;
}

static void on_stream(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct outlet *o = ctx;
    int stream = watcher == o->watchers[SPAWNER_STDOUT] ? SPAWNER_STDOUT : SPAWNER_STDERR;

    (void)events; /* only LOOP_READ is watched */
    (void)read_piece(o, stream);
    if (o->ended && o->fds[0] < 0 && o->fds[1] < 0)
        finish(o);
}

/* Waited long enough for the streams' ends, or there is nothing to wait for. */
static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct outlet *o = ctx;

    (void)timer; /* one-shot */
    for (int stream = 0; stream < 2; stream++)
        for (int i = 0; i < LAST_PIECES && o->fds[stream] >= 0; i++)
            if (!read_piece(o, stream))
                break;
    finish(o);
}

void outlet_end(struct outlet *o, const struct spawner_exit *ended)
{
    if (o->ended)
        return;
    o->ended = true;
    o->exit = *ended;
    o->exit.error[sizeof o->exit.error - 1] = '\0';
    loop_timer_arm(o->timer, o->fds[0] < 0 && o->fds[1] < 0 ? 0 : DRAIN_MS);
}

struct outlet *outlet_new(struct outlets *all, uint64_t task)
{
    struct outlet *o = mem_new(struct outlet);

    o->all = all;
    o->task = task;
    o->fds[0] = o->fds[1] = -1;
    o->timer = loop_timer_new(all->loop, on_timer, o);
    o->next = all->first;
    all->first = o;
    return o;
}

void outlet_fail(struct outlet *o, const char *what, int error)
{
    struct spawner_exit failed = { .failed_to_start = true, .failure = error };

    (void)snprintf(failed.error, sizeof failed.error, "%s: %s", what, strerror(-error));
    close_stream(o, SPAWNER_STDOUT);
    close_stream(o, SPAWNER_STDERR);
    outlet_end(o, &failed);
}

int outlet_open(struct outlet *o, enum spawner_stream stream)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    o->fds[stream] = ends[0];
    if (fd_set_nonblock(ends[0]) < 0) {
        (void)close(ends[1]); /* the task gets none */
        return -EIO;
    }
    o->watchers[stream] = loop_fd_new(o->all->loop, ends[0], LOOP_READ, on_stream, o);
    return ends[1];
}

void outlet_pause(struct outlet *o, bool paused)
{
    for (int stream = 0; stream < 2; stream++)
        if (o->watchers[stream])
            loop_fd_set(o->watchers[stream], paused ? 0 : LOOP_READ);
}
