#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/err.h"
#include "util/mem.h"

static const double AGAIN_S = 0.1;
enum { SIGNALS_A_TURN = 16 };

struct loop {
    struct ev_loop *ev;
    bool stop_asked; /* also before loop_run(), where ev_break() would be forgotten */
    bool running;
    uint64_t turns;
    ev_prepare count;
    size_t watchers; /* alive, to find a forgotten one in loop_free() */
    /* Not libev's own: where the kernel doesn't take those, it forgets them without a word. */
    int wake_fd, signal_fd;
    struct loop_fd *wake_watcher, *signal_watcher;
    struct loop_wake *wakes;
    struct loop_signal *signals;
    sigset_t mask; /* of signal_fd */
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
    struct loop_signal *next;
    int signo;
    bool was_blocked;
    loop_signal_fn fn;
    void *ctx;
};

struct loop_wake {
    struct loop *loop;
    struct loop_wake *next;
    atomic_bool sent;
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

static void on_signals(struct loop_fd *watcher, unsigned events, void *ctx);
static void on_wakes(struct loop_fd *watcher, unsigned events, void *ctx);

/* Also a loop that is half made. */
static void destroy(struct loop *loop)
{
    loop_fd_free(loop->wake_watcher);
    loop_fd_free(loop->signal_watcher);
    assert(!loop->running && loop->watchers == 0);
    if (loop->wake_fd >= 0)
        (void)close(loop->wake_fd); /* nothing can be lost with it, nor with the next */
    if (loop->signal_fd >= 0)
        (void)close(loop->signal_fd);
    if (loop->ev) {
        ev_prepare_stop(loop->ev, &loop->count);
        ev_loop_destroy(loop->ev);
    }
    free(loop);
}

int loop_new(struct loop **ret_loop, struct err *err)
{
    struct loop *loop = mem_new(struct loop);

    errno = 0;
    ev_set_allocator(allocate);
    (void)sigemptyset(&loop->mask);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->signal_fd = signalfd(-1, &loop->mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->wake_fd >= 0 && loop->signal_fd >= 0)
        loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!loop->ev) {
        int code = errno ? -errno : -EMFILE;

        destroy(loop);
        return err_set(err, code,
                       "no event loop over epoll could be made: %s; is the limit on open files "
                       "(ulimit -n) used up?",
                       strerror(-code));
    }
    ev_prepare_init(&loop->count, on_count);
    loop->count.data = loop;
    ev_prepare_start(loop->ev, &loop->count); /* also keeps ev_run() from ending by itself */
    loop->wake_watcher = loop_fd_new(loop, loop->wake_fd, LOOP_READ, on_wakes, loop);
    loop->signal_watcher = loop_fd_new(loop, loop->signal_fd, LOOP_READ, on_signals, loop);
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (loop)
        destroy(loop);
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

static void on_signals(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct loop *loop = ctx;
    struct signalfd_siginfo info;

    (void)watcher;
    (void)events;
    for (int i = 0; i < SIGNALS_A_TURN; i++) {
        struct loop_signal *next;

        if (read(loop->signal_fd, &info, sizeof info) != sizeof info)
            return;
        for (struct loop_signal *s = loop->signals; s; s = next) {
            next = s->next;
            if (s->signo == (int)info.ssi_signo)
                s->fn(s, s->signo, s->ctx);
        }
    }
}

/* Changing the mask of a descriptor that is there needs nothing that could be missing. */
static void set_mask(struct loop *loop)
{
    int fd = signalfd(loop->signal_fd, &loop->mask, 0);

    assert(fd == loop->signal_fd);
    (void)fd; /* unused where assertions are off */
}

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_signal_fn fn, void *ctx)
{
    struct loop_signal *watcher = mem_new(struct loop_signal);
    sigset_t one, old;

    *watcher = (struct loop_signal){
        .loop = loop, .next = loop->signals, .signo = signo, .fn = fn, .ctx = ctx
    };
    (void)sigemptyset(&one); /* none of these fails for a signal that there is */
    (void)sigaddset(&one, signo);
    (void)pthread_sigmask(SIG_BLOCK, &one, &old);
    watcher->was_blocked = sigismember(&old, signo) == 1;
    (void)sigaddset(&loop->mask, signo);
    set_mask(loop);
    loop->signals = watcher;
    loop->watchers++;
    return watcher;
}

void loop_signal_free(struct loop_signal *watcher)
{
    struct loop_signal **at;
    sigset_t one;

    if (!watcher)
        return;
    for (at = &watcher->loop->signals; *at != watcher;)
        at = &(*at)->next;
    *at = watcher->next;
    (void)sigemptyset(&one);
    (void)sigaddset(&one, watcher->signo);
    (void)sigdelset(&watcher->loop->mask, watcher->signo);
    set_mask(watcher->loop);
    if (!watcher->was_blocked)
        (void)pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    watcher->loop->watchers--;
    free(watcher);
}

/* ---- wake-ups from other threads ---- */

static void on_wakes(struct loop_fd *watcher, unsigned events, void *ctx)
{
    struct loop *loop = ctx;
    struct loop_wake *next;
    uint64_t count;

    (void)watcher;
    (void)events;
    (void)!read(loop->wake_fd, &count, sizeof count); /* what was sent is in the wakes */
    for (struct loop_wake *wake = loop->wakes; wake; wake = next) {
        next = wake->next;
        if (atomic_exchange(&wake->sent, false))
            wake->fn(wake, wake->ctx);
    }
}

struct loop_wake *loop_wake_new(struct loop *loop, loop_wake_fn fn, void *ctx)
{
    struct loop_wake *wake = mem_new(struct loop_wake);

    *wake = (struct loop_wake){ .loop = loop, .next = loop->wakes, .fn = fn, .ctx = ctx };
    loop->wakes = wake;
    loop->watchers++;
    return wake;
}

void loop_wake_send(struct loop_wake *wake)
{
    const uint64_t one = 1;

    atomic_store(&wake->sent, true);
    (void)!write(wake->loop->wake_fd, &one, sizeof one); /* fails if it is full, and so readable */
}

void loop_wake_free(struct loop_wake *wake)
{
    struct loop_wake **at;

    if (!wake)
        return;
    for (at = &wake->loop->wakes; *at != wake;)
        at = &(*at)->next;
    *at = wake->next;
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
