/* loop.h - one event loop over libev (epoll), and its watchers.
 * Single-threaded: everything here is called on the loop's thread, except loop_wake_send(). A
 * watcher is made stopped or started as said, belongs to who made it, and is freed before the loop.
 * A callback may free its own watcher. Callbacks must not block (invariant 8). */
#pragma once
#include "util/cleanup.h"
#include <stdint.h>

struct err;
struct loop;
struct loop_fd;
struct loop_timer;
struct loop_signal;
struct loop_wake;
struct loop_turn;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void (*loop_fd_fn)(struct loop_fd *watcher, unsigned events, void *ctx);
typedef void (*loop_timer_fn)(struct loop_timer *timer, void *ctx);
typedef void (*loop_signal_fn)(struct loop_signal *watcher, int signo, void *ctx);
typedef void (*loop_wake_fn)(struct loop_wake *wake, void *ctx);
typedef void (*loop_turn_fn)(struct loop_turn *turn, void *ctx);

/* Negative errno with a sentence where there is no epoll or no memory. */
int loop_new(struct loop **ret_loop, struct err *err);
void loop_free(struct loop *loop); /* all watchers must be gone */
void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop);
uint64_t loop_now_ms(const struct loop *loop); /* CLOCK_MONOTONIC, read now */
uint64_t loop_turns(const struct loop *loop); /* iterations so far: for wake-up figures and tests */

/* Watches fd (not owned) for events from now on. */
struct loop_fd *loop_fd_new(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *ctx);
void loop_fd_set(struct loop_fd *watcher, unsigned events); /* 0 pauses it */
/* Calls fn with events in the next turn as if they had happened. */
void loop_fd_feed(struct loop_fd *watcher, unsigned events);
void loop_fd_free(struct loop_fd *watcher);

/* Made stopped. One-shot: each arm gives one call; arming again replaces. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn fn, void *ctx);
void loop_timer_arm(struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Until it is freed, signo comes as a call on the loop's thread and has no other effect; one
 * watcher each. It is blocked for that: a program that is executed meanwhile must have its mask
 * reset. */
struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_signal_fn fn, void *ctx);
void loop_signal_free(struct loop_signal *watcher);

/* loop_wake_send() may be called from any thread, also before loop_run(); several sends may give
 * one call. */
struct loop_wake *loop_wake_new(struct loop *loop, loop_wake_fn fn, void *ctx);
void loop_wake_send(struct loop_wake *wake);
void loop_wake_free(struct loop_wake *wake);

/* Called at the end of every turn, right before the loop would wait. */
struct loop_turn *loop_turn_new(struct loop *loop, loop_turn_fn fn, void *ctx);
void loop_turn_free(struct loop_turn *turn);

DEFINE_CLEANUP(struct loop *, loop_free);
