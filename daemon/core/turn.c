#include "core/turn.h"

#include <assert.h>
#include <string.h>

#include "util/mem.h"

/* A first-in first-out list in one array. */
struct fifo {
    struct core_command *items;
    size_t start, len, cap;
};

struct turn {
    struct fifo gathering; /* given, and nothing decided yet */
    struct fifo writing;   /* wait for the batch on its way */
    struct fifo ready;
    bool to_store; /* gathering stands behind something to be stored */
    bool in_flight;
};

static void fifo_push(struct fifo *f, const struct core_command *command)
{
    if (f->start + f->len == f->cap) {
        if (f->start > 0) {
            memmove(f->items, f->items + f->start, f->len * sizeof f->items[0]);
            f->start = 0;
        }
        if (f->len == f->cap) {
            f->cap = f->cap ? f->cap * 2 : 16;
            f->items = mem_realloc(f->items, f->cap * sizeof f->items[0]);
        }
    }
    f->items[f->start + f->len++] = *command;
}

static bool fifo_pop(struct fifo *f, struct core_command *ret_command)
{
    if (f->len == 0)
        return false;
    *ret_command = f->items[f->start++];
    if (--f->len == 0)
        f->start = 0;
    return true;
}

static void fifo_move(struct fifo *to, struct fifo *from)
{
    struct core_command command;

    while (fifo_pop(from, &command))
        fifo_push(to, &command);
}

struct turn *turn_new(void)
{
    return mem_new(struct turn);
}

void turn_free(struct turn *t)
{
    if (!t)
        return;
    free(t->gathering.items);
    free(t->writing.items);
    free(t->ready.items);
    free(t);
}

void turn_add(struct turn *t, const struct core_command *command)
{
    if (core_command_is_storing(command->type))
        t->to_store = true;
    else
        fifo_push(&t->gathering, command);
}

bool turn_end(struct turn *t)
{
    if (t->in_flight)
        return false;
    if (!t->to_store) {
        fifo_move(&t->ready, &t->gathering);
        return false;
    }
    fifo_move(&t->writing, &t->gathering);
    t->to_store = false;
    t->in_flight = true;
    return true;
}

void turn_committed(struct turn *t)
{
    assert(t->in_flight);
    t->in_flight = false;
    fifo_move(&t->ready, &t->writing);
}

bool turn_is_durable(const struct turn *t)
{
    return !t->to_store && !t->in_flight;
}

bool turn_take(struct turn *t, struct core_command *ret_command)
{
    return fifo_pop(&t->ready, ret_command);
}
