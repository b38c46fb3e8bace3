/* outlet.h - what comes out of one task, on the daemon's side: its two streams, read as they come,
 * and its end, which is told once they are read. */
#pragma once
#include "spawner/spawner.h"
#include <stdbool.h>
#include <stdint.h>

struct loop_fd;
struct loop_timer;

enum { OUTLET_PIECE_BYTES = 64 * 1024 };

/* All of them, and whom to tell. */
struct outlets {
    struct loop *loop;
    const struct spawner_ops *ops;
    void *ctx;
    struct outlet *first;
    char *piece; /* OUTLET_PIECE_BYTES, to read into */
};

struct outlet {
    struct outlet *next;
    struct outlets *all;
    uint64_t task;
    struct loop_fd *watchers[2]; /* by enum spawner_stream; NULL after its end */
    int fds[2];
    struct loop_timer *timer; /* runs once exit is known */
    bool ended;
    struct spawner_exit exit;
};

/* Belongs to the list from then on; freed by itself after exited() was called. */
struct outlet *outlet_new(struct outlets *all, uint64_t task);
void outlet_free(struct outlet *o);
struct outlet *outlet_find(const struct outlets *all, uint64_t task);
/* A pipe for a stream of the task; returns the end that it writes to. */
int outlet_open(struct outlet *o, enum spawner_stream stream);
/* The task ended. exited() is called when its streams are at their end, or after a while. */
void outlet_end(struct outlet *o, const struct spawner_exit *ended);
/* It never started: "WHAT: the error's text". */
void outlet_fail(struct outlet *o, const char *what, int error);
void outlet_pause(struct outlet *o, bool paused);
