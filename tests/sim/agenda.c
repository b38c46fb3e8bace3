#include "sim/agenda.h"

#include <stdlib.h>

#include "util/mem.h"

static bool is_before(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void agenda_add(struct agenda *a, struct agenda_item item)
{
    size_t i = a->len++;

    if (a->len > a->cap) {
        a->cap = a->cap ? a->cap * 2 : 64;
        a->items = mem_realloc(a->items, a->cap * sizeof a->items[0]);
    }
    item.order = a->order++;
    while (i > 0 && is_before(&item, &a->items[(i - 1) / 2])) {
        a->items[i] = a->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    a->items[i] = item;
}

bool agenda_take(struct agenda *a, struct agenda_item *ret_item)
{
    struct agenda_item last;
    size_t i = 0, child;

    if (a->len == 0)
        return false;
    *ret_item = a->items[0];
    last = a->items[--a->len];
    while ((child = 2 * i + 1) < a->len) {
        if (child + 1 < a->len && is_before(&a->items[child + 1], &a->items[child]))
            child++;
        if (!is_before(&a->items[child], &last))
            break;
        a->items[i] = a->items[child];
        i = child;
    }
    a->items[i] = last;
    return true;
}

void agenda_done(struct agenda *a)
{
    free(a->items);
    *a = (struct agenda){ 0 };
}
