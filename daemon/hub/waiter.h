/* waiter.h - long polls that have nothing to say yet.
 * A list in the order in which they began to wait, and a timer at the first deadline. Of several
 * polls of one instance the newest is woken first: the older ones may have lost their client. */
#pragma once
#include "util/cleanup.h"
#include <stddef.h>
#include <stdint.h>

struct call;
struct loop;
struct waiter_list;

enum {
    WAITER_INSTANCE_MAX = 8, /* polls of one instance at a time */
    WAITER_AGENT_MAX = 400,  /* of all instances of an agent: others need connections, too */
};

/* expired: called for a poll whose time is over; it has been taken off the list. */
struct waiter_list *waiter_list_new(struct loop *loop, void (*expired)(struct call *c, void *ctx),
                                    void *ctx);
/* The list must be empty. */
void waiter_list_free(struct waiter_list *w);
DEFINE_CLEANUP(struct waiter_list *, waiter_list_free);

/* Waits until c->deadline_ms. Returns a poll of the same instance, or of the same agent, that has
 * to make room, taken off the list, or NULL. */
struct call *waiter_add(struct waiter_list *w, struct call *c);
/* Takes one off: agent -1 and instance NULL match everybody. NULL when there is none left. */
struct call *waiter_take(struct waiter_list *w, int64_t agent, const char *instance);
/* Takes this one off, if it waits. */
void waiter_remove(struct waiter_list *w, struct call *c);
