#include "hub/guest.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "loop/loop.h"
#include "util/mem.h"

enum { LOOK_MS = 5000 /* how often clients that are to send something are looked after */ };

struct guest {
    struct guest_list *list;
    struct guest *next, **pprev;
    int fd;
    struct server_request *held;
    uint64_t since_ms;    /* its turn began */
    uint64_t deadline_ms; /* 0: none, the turn is ours */
    bool reading;         /* its request is waited for */
    bool trusted;
    bool leaves; /* was shut down, and its owner hasn't freed it so far */
};

struct guest_list {
    struct loop *loop;
    struct loop_timer *sweep; /* at the first deadline */
    bool sweeping;            /* sweep is armed */
    unsigned places, count;
    unsigned leaving; /* of these */
    struct guest *head;
};

/* The owner sees the end of the stream. */
static void dismiss(struct guest *g)
{
    (void)shutdown(g->fd, SHUT_RDWR); /* fails if the client was faster */
    g->deadline_ms = 0;
    g->list->leaving += !g->leaves;
    g->leaves = true;
}

/* What is told of a socket misses an end that comes together with half a request. */
bool guest_has_left(const struct guest *g)
{
    char byte;
    ssize_t n = recv(g->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void on_sweep(struct loop_timer *timer, void *ctx)
{
    struct guest_list *list = ctx;
    uint64_t now_ms = loop_now_ms(list->loop), next_ms = UINT64_MAX;

    for (struct guest *g = list->head; g; g = g->next) {
        uint64_t look_ms = now_ms + LOOK_MS;

        if (g->deadline_ms == 0)
            continue;
        if (g->deadline_ms <= now_ms || (g->reading && !g->held && guest_has_left(g))) {
            dismiss(g);
            continue;
        }
        look_ms = g->reading && look_ms < g->deadline_ms ? look_ms : g->deadline_ms;
        next_ms = look_ms < next_ms ? look_ms : next_ms;
    }
    list->sweeping = next_ms != UINT64_MAX;
    if (list->sweeping)
        loop_timer_arm(timer, next_ms - now_ms);
}

static void make_place(struct guest_list *list)
{
    struct guest *longest = NULL;

    if (list->count - list->leaving < list->places)
        return;
    for (struct guest *g = list->head; g; g = g->next)
        if (g->deadline_ms != 0 && !g->trusted && !g->leaves &&
            (!longest || g->since_ms <= longest->since_ms))
            longest = g; /* of equal ones the oldest, as new ones come first */
    if (longest)
        dismiss(longest);
}

static void set_deadline(struct guest *g, uint32_t max_ms, bool reading)
{
    struct guest_list *list = g->list;

    g->since_ms = loop_now_ms(list->loop);
    g->deadline_ms = g->since_ms + max_ms;
    g->reading = reading;
    if (!list->sweeping)
        loop_timer_arm(list->sweep, max_ms < LOOK_MS ? max_ms : LOOK_MS);
    list->sweeping = true;
}

void guest_await(struct guest *g, uint32_t max_ms)
{
    set_deadline(g, max_ms, true);
    make_place(g->list);
}

void guest_serve(struct guest *g, uint32_t max_ms)
{
    set_deadline(g, max_ms, false);
}

void guest_keep(struct guest *g)
{
    g->deadline_ms = 0;
    g->reading = false;
}

void guest_trust(struct guest *g)
{
    g->trusted = true;
}

bool guest_is_awaited(const struct guest *g)
{
    return g->reading;
}

int guest_fd(const struct guest *g)
{
    return g->fd;
}

struct server_request *guest_held(const struct guest *g)
{
    return g->held;
}

void guest_set_held(struct guest *g, struct server_request *r)
{
    g->held = r;
}

struct guest *guest_new(struct guest_list *list, int fd, uint32_t max_ms)
{
    struct guest *g = mem_new(struct guest);

    g->list = list;
    g->fd = fd;
    g->next = list->head;
    g->pprev = &list->head;
    if (g->next)
        g->next->pprev = &g->next;
    list->head = g;
    list->count++;
    make_place(list); /* not its own: it has had no time to show who it is */
    set_deadline(g, max_ms, true);
    return g;
}

void guest_free(struct guest *g)
{
    if (!g)
        return;
    g->list->count--;
    g->list->leaving -= g->leaves;
    *g->pprev = g->next;
    if (g->next)
        g->next->pprev = g->pprev;
    free(g);
}

struct guest *guest_next(const struct guest_list *list, const struct guest *after)
{
    return after ? after->next : list->head;
}

struct guest_list *guest_list_new(struct loop *loop, unsigned places)
{
    struct guest_list *list = mem_new(struct guest_list);

    list->loop = loop;
    list->places = places;
    list->sweep = loop_timer_new(loop, on_sweep, list);
    return list;
}

void guest_list_free(struct guest_list *list)
{
    if (!list)
        return;
    assert(!list->head);
    loop_timer_free(list->sweep);
    free(list);
}
