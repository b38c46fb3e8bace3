#include "runner/toolcalls.h"

#include <stdlib.h>

#include "util/mem.h"
#include "util/str.h"

static void clear(struct toolcall *call)
{
    free(call->id);
    free(call->name);
    free(call->input);
    *call = (struct toolcall){ 0 };
}

static size_t place_of(const struct toolcalls *t, const char *id)
{
    for (size_t i = 0; i < TOOLCALLS_MAX; i++)
        if (t->items[i].id && str_eq(t->items[i].id, id))
            return i;
    return TOOLCALLS_MAX;
}

void toolcalls_add(struct toolcalls *t, const char *id, const char *name, const char *input)
{
    size_t place = place_of(t, id);

    if (place == TOOLCALLS_MAX) {
        place = t->next;
        t->next = (t->next + 1) % TOOLCALLS_MAX;
    }
    clear(&t->items[place]);
    t->items[place] = (struct toolcall){ .id = mem_strdup(id),
                                         .name = mem_strdup(name),
                                         .input = mem_strdup(input) };
}

const struct toolcall *toolcalls_find(const struct toolcalls *t, const char *id)
{
    size_t place = id ? place_of(t, id) : TOOLCALLS_MAX;

    return place < TOOLCALLS_MAX ? &t->items[place] : NULL;
}

void toolcalls_done(struct toolcalls *t)
{
    for (size_t i = 0; i < TOOLCALLS_MAX; i++)
        clear(&t->items[i]);
}
