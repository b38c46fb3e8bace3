#include "main/envwatch.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/loop.h"
#include "util/log.h"
#include "util/mem.h"

struct envwatch {
    char *path;
    struct stat seen; /* all zeros: it isn't there */
    struct loop_timer *timer;
    int fd; /* of inotify(7), -1: only the timer */
    struct loop_fd *watcher;
    envwatch_fn fn;
    void *ctx;
};

/* Another name for it doesn't count, nor when it was read. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void look(struct envwatch *w, bool tell)
{
    struct stat now = { 0 };

    if (lstat(w->path, &now) < 0)
        now =
            (struct stat){ 0 }; /* not there, or no way to it: that it can't be read is said then */
    if (is_same(&now, &w->seen))
        return;
    w->seen = now;
    if (tell)
        w->fn(w->ctx);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    loop_timer_arm(timer, ENVWATCH_MS);
    look(ctx, true);
}

/* What the events say doesn't matter: the file is looked at. */
static void on_events(struct loop_fd *watcher, unsigned events, void *ctx)
{
    const struct envwatch *w = ctx;
    char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    (void)watcher;
    (void)events;
    (void)read(w->fd, bytes, sizeof bytes); /* level-triggered: what is left comes again */
    look(ctx, true);
}

static bool has_folder(const char *path)
{
    AUTO_FREE char *copy = mem_strdup(path);
    struct stat st;

    return stat(dirname(copy), &st) == 0;
}

/* Best effort: the timer is there in any case. */
static void ask_kernel(struct envwatch *w, struct loop *loop)
{
    AUTO_FREE char *copy = mem_strdup(w->path);
    const char *folder = dirname(copy);

    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0 || inotify_add_watch(w->fd, folder,
                                       IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                           IN_ATTRIB | IN_ONLYDIR) < 0) {
        log_info("env_file_unwatched", "file", w->path, "error", strerror(errno), "text",
                 "changes are noticed within a minute");
        return;
    }
    w->watcher = loop_fd_new(loop, w->fd, LOOP_READ, on_events, w);
}

struct envwatch *envwatch_new(struct loop *loop, const char *path, envwatch_fn fn, void *ctx)
{
    struct envwatch *w = mem_new(struct envwatch);

    w->fd = -1;
    w->fn = fn;
    w->ctx = ctx;
    if (!path || !has_folder(path))
        return w;
    w->path = mem_strdup(path);
    w->timer = loop_timer_new(loop, on_timer, w);
    loop_timer_arm(w->timer, ENVWATCH_MS);
    ask_kernel(w, loop);
    look(w, false);
    return w;
}

void envwatch_free(struct envwatch *w)
{
    if (!w)
        return;
    loop_fd_free(w->watcher);
    loop_timer_free(w->timer);
    if (w->fd >= 0)
        (void)close(w->fd);
    free(w->path);
    free(w);
}
