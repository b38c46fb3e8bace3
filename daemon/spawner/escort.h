/* escort.h - the egress process of a task that has one (plan_has_egress()), in the care of the
 * task's ward: its start, what it says, its end. It never waits, as the ward. */
#pragma once
#include "sandbox/gateway.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct escort;
struct plan;

struct escort_ops {
    void (*ready)(void *ctx);
    void (*failed)(const struct err *err, void *ctx); /* before it was ready */
    void (*refused)(const struct gateway_word *w, void *ctx);
    void (*gone)(const char *why, void *ctx); /* by itself, once it was ready */
    /* In the new process: frees what belongs to other tasks. */
    void (*forget)(void *ctx);
};

/* Clones it. listener and keys (-1: none): taken over, also on failure. plan: the task's; the new
 * process keeps only what it has to know, and frees it. */
int escort_new(const struct plan *plan, const struct filter *filter, gateway_fn run, int listener,
               int keys, const struct escort_ops *ops, void *ctx, struct escort **ret_escort,
               struct err *err);
/* SIGKILL; it is to be reaped still. What it has said by now is read. */
void escort_kill(struct escort *e);
bool escort_is_reaped(const struct escort *e);
/* Its descriptors, to be polled for reading; -1 where there is none any more. */
int escort_words(const struct escort *e);
pid_t escort_pid(const struct escort *e); /* 0: reaped */
int escort_pidfd(const struct escort *e);
/* They are readable. */
void escort_read(struct escort *e);
void escort_reap(struct escort *e);
void escort_free(struct escort *e); /* it is reaped */
