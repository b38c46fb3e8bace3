#include "hub/waiter.h"

#include <assert.h>

#include "hub/call.h"
#include "loop/loop.h"
#include "util/mem.h"
#include "util/str.h"

struct waiter_list {
    struct loop *loop;
    struct loop_timer *timer;
    void (*expired)(struct call *c, void *ctx);
    void *ctx;
    struct call *head;
};

static bool is_same(const struct call *a, const struct call *b)
{
    return a->agent.seq == b->agent.seq && str_eq(a->instance, b->instance);
}

static void arm(struct waiter_list *w)
{
    uint64_t first_ms = UINT64_MAX, now_ms = loop_now_ms(w->loop);

    for (const struct call *c = w->head; c; c = c->next)
        if (c->deadline_ms < first_ms)
            first_ms = c->deadline_ms;
    if (!w->head)
        loop_timer_stop(w->timer);
    else
        loop_timer_arm(w->timer, first_ms > now_ms ? first_ms - now_ms : 0);
}

static void on_timer(struct loop_timer *timer, void *ctx)
{
    struct waiter_list *w = ctx;
    uint64_t now_ms = loop_now_ms(w->loop);
    struct call *c, *next;

    (void)timer; /* armed again below */
    for (c = w->head; c; c = next) {
        next = c->next;
        if (c->deadline_ms > now_ms)
            continue;
        waiter_remove(w, c);
        w->expired(c, w->ctx);
    }
    arm(w);
}

struct waiter_list *waiter_list_new(struct loop *loop, void (*expired)(struct call *c, void *ctx),
                                    void *ctx)
{
    struct waiter_list *w = mem_new(struct waiter_list);

    *w = (struct waiter_list){ .loop = loop, .expired = expired, .ctx = ctx };
    w->timer = loop_timer_new(loop, on_timer, w);
    return w;
}

void waiter_list_free(struct waiter_list *w)
{
    if (!w)
        return;
    assert(!w->head);
    loop_timer_free(w->timer);
    free(w);
}

struct call *waiter_add(struct waiter_list *w, struct call *c)
{
    struct call **link = &w->head, *oldest = NULL, *oldest_of_agent = NULL, *leaves = NULL;
    size_t count = 0, count_of_agent = 0;

    assert(!c->parked);
    for (; *link; link = &(*link)->next) {
        if ((*link)->agent.seq != c->agent.seq)
            continue;
        oldest_of_agent = oldest_of_agent ? oldest_of_agent : *link;
        count_of_agent++;
        if (!is_same(*link, c))
            continue;
        oldest = oldest ? oldest : *link;
        count++;
    }
    c->next = NULL;
    c->parked = true;
    *link = c;
    if (count >= WAITER_INSTANCE_MAX)
        leaves = oldest;
    else if (count_of_agent >= WAITER_AGENT_MAX)
        leaves = oldest_of_agent;
    if (leaves)
        waiter_remove(w, leaves);
    arm(w);
    return leaves;
}

struct call *waiter_take(struct waiter_list *w, int64_t agent, const char *instance)
{
    struct call *found = NULL;

    for (struct call *c = w->head; c; c = c->next) {
        if (found ? is_same(found, c)
                  : (agent == -1 || c->agent.seq == agent) &&
                        (!instance || str_eq(c->instance, instance)))
            found = c;
    }
    if (found) {
        waiter_remove(w, found);
        arm(w);
    }
    return found;
}

void waiter_remove(struct waiter_list *w, struct call *c)
{
    if (!c->parked)
        return;
    for (struct call **link = &w->head; *link; link = &(*link)->next) {
        if (*link == c) {
            *link = c->next;
            break;
        }
    }
    c->next = NULL;
    c->parked = false;
}
