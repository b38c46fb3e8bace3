#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"

static const double AGAIN_S = 0.1;

struct loop {
    struct ev_loop *ev;
    bool stop_asked; /* also before loop_run(), where ev_break() would be forgotten */
    bool running;
    uint64_t turns;
    ev_prepare count;
    size_t watchers; /* alive, to find a forgotten one in loop_free() */
};

struct loop_fd {
    struct loop *loop;
    ev_io io;
    ev_timer feed;
    ev_timer again;
    unsigned fed;
    loop_fd_fn fn;
    void *ctx;
};

struct loop_timer {
    struct loop *loop;
    ev_timer ev;
    loop_timer_fn fn;
    void *ctx;
};

struct loop_signal {
    struct loop *loop;
    ev_signal ev;
    loop_signal_fn fn;
    void *ctx;
};

struct loop_wake {
    struct loop *loop;
    ev_async ev;
    loop_wake_fn fn;
    void *ctx;
};

struct loop_turn {
    struct loop *loop;
    ev_prepare ev;
    loop_turn_fn fn;
    void *ctx;
};

static void on_count(struct ev_loop *ev, ev_prepare *w, int revents)
{
    struct loop *loop = w->data;

    (void)ev;
    (void)revents;
    loop->turns++;
}

/* libev's own would abort without memory, too, but in other words. */
static void *allocate(void *old, long size)
{
    if (size > 0)
        return mem_realloc(old, (size_t)size);
    free(old);
    return NULL;
}

int loop_new(struct loop **ret_loop, struct err *err)
{
    struct loop *loop = mem_new(struct loop);

    ev_set_allocator(allocate);
    loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!loop->ev) {
        int code = errno ? -errno : -EMFILE;

        free(loop);
        return err_set(err, code,
                       "no event loop over epoll could be made: %s; is the limit on open files "
                       "(ulimit -n) used up?",
                       strerror(-code));
    }
    ev_prepare_init(&loop->count, on_count);
    loop->count.data = loop;
    ev_prepare_start(loop->ev, &loop->count); /* also keeps ev_run() from ending by itself */
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    assert(!loop->running && loop->watchers == 0);
    ev_prepare_stop(loop->ev, &loop->count);
    ev_loop_destroy(loop->ev);
    free(loop);
}

void loop_run(struct loop *loop)
{
    assert(!loop->running);
    loop->running = true;
    while (!loop->stop_asked)
        (void)ev_run(loop->ev, 0); /* what it returns is whether watchers are left */
    loop->stop_asked = false;
    loop->running = false;
}

void loop_stop(struct loop *loop)
{
    loop->stop_asked = true;
    ev_break(loop->ev, EVBREAK_ALL);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    (void)loop;
    return clock_mono_ms();
}

uint64_t loop_turns(const struct loop *loop)
{
    return loop->turns;
}

/* ---- descriptors ---- */

static int events_to_ev(unsigned events)
{
    return ((events & LOOP_READ) ? EV_READ : 0) | ((events & LOOP_WRITE) ? EV_WRITE : 0);
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
    struct loop_fd *watcher = w->data;
    unsigned events =
        ((revents & EV_READ) ? LOOP_READ : 0U) | ((revents & EV_WRITE) ? LOOP_WRITE : 0U);

    /* EV_ERROR: libev stopped the watcher, as the kernel didn't take it. It may just have no
     * memory, then we try again. Is the descriptor bad, both events make the owner see that
     * himself. */
    if ((revents & EV_ERROR) && fcntl(w->fd, F_GETFD) >= 0) {
        ev_timer_set(&watcher->again, AGAIN_S, 0.);
        ev_timer_start(ev, &watcher->again);
        return;
    }
    if (revents & EV_ERROR)
        events = LOOP_READ | LOOP_WRITE;
    watcher->fn(watcher, events, watcher->ctx);
}

static void on_again(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct loop_fd *watcher = w->data;

    (void)revents;
    ev_io_start(ev, &watcher->io);
}

static void on_feed(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct loop_fd *watcher = w->data;
    unsigned events = watcher->fed;

    (void)ev;
    (void)revents;
    watcher->fed = 0;
    watcher->fn(watcher, events, watcher->ctx);
}

struct loop_fd *loop_fd_new(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *ctx)
{
    struct loop_fd *watcher = mem_new(struct loop_fd);

    assert(fd >= 0);
    *watcher = (struct loop_fd){ .loop = loop, .fn = fn, .ctx = ctx };
    ev_io_init(&watcher->io, on_io, fd, events_to_ev(events));
    ev_timer_init(&watcher->feed, on_feed, 0., 0.);
    ev_timer_init(&watcher->again, on_again, 0., 0.);
    watcher->io.data = watcher;
    watcher->again.data = watcher;
    watcher->feed.data = watcher;
    if (events)
        ev_io_start(loop->ev, &watcher->io);
    loop->watchers++;
    return watcher;
}

void loop_fd_set(struct loop_fd *watcher, unsigned events)
{
    struct ev_loop *ev = watcher->loop->ev;

    if (ev_is_active(&watcher->io) &&
        (watcher->io.events & (EV_READ | EV_WRITE)) == events_to_ev(events))
        return;
    ev_timer_stop(ev, &watcher->again);
    ev_io_stop(ev, &watcher->io);
    ev_io_set(&watcher->io, watcher->io.fd, events_to_ev(events));
    if (events)
        ev_io_start(ev, &watcher->io);
}

/* A timer of no delay and not ev_feed_event(): what is fed while the turn's end runs must still
 * have a turn's end after it. */
void loop_fd_feed(struct loop_fd *watcher, unsigned events)
{
    watcher->fed |= events;
    if (ev_is_active(&watcher->feed))
        return;
    ev_timer_set(&watcher->feed, 0., 0.);
    ev_timer_start(watcher->loop->ev, &watcher->feed);
}

void loop_fd_free(struct loop_fd *watcher)
{
    if (!watcher)
        return;
    ev_io_stop(watcher->loop->ev, &watcher->io);
    ev_timer_stop(watcher->loop->ev, &watcher->feed);
    ev_timer_stop(watcher->loop->ev, &watcher->again);
    watcher->loop->watchers--;
    free(watcher);
}

/* ---- timers ---- */

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct loop_timer *timer = w->data;

    (void)ev;
    (void)revents;
    timer->fn(timer, timer->ctx);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn fn, void *ctx)
{
    struct loop_timer *timer = mem_new(struct loop_timer);

    *timer = (struct loop_timer){ .loop = loop, .fn = fn, .ctx = ctx };
    ev_timer_init(&timer->ev, on_timer, 0., 0.);
    timer->ev.data = timer;
    loop->watchers++;
    return timer;
}

void loop_timer_arm(struct loop_timer *timer, uint64_t delay_ms)
{
    ev_timer_stop(timer->loop->ev, &timer->ev);
    /* libev counts from the start of the turn: without this a long callback shortens the wait */
    ev_now_update(timer->loop->ev);
    ev_timer_set(&timer->ev, (double)delay_ms / 1000., 0.);
    ev_timer_start(timer->loop->ev, &timer->ev);
}

void loop_timer_stop(struct loop_timer *timer)
{
    ev_timer_stop(timer->loop->ev, &timer->ev);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (!timer)
        return;
    ev_timer_stop(timer->loop->ev, &timer->ev);
    timer->loop->watchers--;
    free(timer);
}

/* ---- signals ---- */

static void on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    struct loop_signal *watcher = w->data;

    (void)ev;
    (void)revents;
    watcher->fn(watcher, w->signum, watcher->ctx);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_signal_fn fn, void *ctx)
{
    struct loop_signal *watcher = mem_new(struct loop_signal);

    *watcher = (struct loop_signal){ .loop = loop, .fn = fn, .ctx = ctx };
    ev_signal_init(&watcher->ev, on_signal, signo);
    watcher->ev.data = watcher;
    ev_signal_start(loop->ev, &watcher->ev);
    loop->watchers++;
    return watcher;
}

void loop_signal_free(struct loop_signal *watcher)
{
    if (!watcher)
        return;
    ev_signal_stop(watcher->loop->ev, &watcher->ev);
    watcher->loop->watchers--;
    free(watcher);
}

/* ---- wake-ups from other threads ---- */

static void on_wake(struct ev_loop *ev, ev_async *w, int revents)
{
    struct loop_wake *wake = w->data;

    (void)ev;
    (void)revents;
    wake->fn(wake, wake->ctx);
}

struct loop_wake *loop_wake_new(struct loop *loop, loop_wake_fn fn, void *ctx)
{
    struct loop_wake *wake = mem_new(struct loop_wake);

    *wake = (struct loop_wake){ .loop = loop, .fn = fn, .ctx = ctx };
    ev_async_init(&wake->ev, on_wake);
    wake->ev.data = wake;
    ev_async_start(loop->ev, &wake->ev);
    loop->watchers++;
    return wake;
}

void loop_wake_send(struct loop_wake *wake)
{
    ev_async_send(wake->loop->ev, &wake->ev);
}

void loop_wake_free(struct loop_wake *wake)
{
    if (!wake)
        return;
    ev_async_stop(wake->loop->ev, &wake->ev);
    wake->loop->watchers--;
    free(wake);
}

/* ---- the end of a turn ---- */

static void on_turn(struct ev_loop *ev, ev_prepare *w, int revents)
{
    struct loop_turn *turn = w->data;

    (void)ev;
    (void)revents;
    turn->fn(turn, turn->ctx);
}

struct loop_turn *loop_turn_new(struct loop *loop, loop_turn_fn fn, void *ctx)
{
    struct loop_turn *turn = mem_new(struct loop_turn);

    *turn = (struct loop_turn){ .loop = loop, .fn = fn, .ctx = ctx };
    ev_prepare_init(&turn->ev, on_turn);
    turn->ev.data = turn;
    /* after every event of the turn, whatever priority it has */
    ev_set_priority(&turn->ev, EV_MINPRI);
    ev_prepare_start(loop->ev, &turn->ev);
    loop->watchers++;
    return turn;
}

void loop_turn_free(struct loop_turn *turn)
{
    if (!turn)
        return;
    ev_prepare_stop(turn->loop->ev, &turn->ev);
    turn->loop->watchers--;
    free(turn);
}
