/* toolcalls.h - which tools a program has under way, so that the result of a call can be told with
 * the name and the input of its beginning. Pure. Bounded: past TOOLCALLS_MAX the oldest is
 * forgotten. A plain value; { 0 } is an empty one. */
#pragma once
#include <stddef.h>

enum { TOOLCALLS_MAX = 64 };

struct toolcall {
    char *id;
    char *name;  /* NULL: not said */
    char *input; /* in short; NULL: nothing to say */
};
struct toolcalls {
    struct toolcall items[TOOLCALLS_MAX]; /* a ring */
    size_t next;                          /* where the next one goes */
};

/* Copies. An id that is there already gets the new name and input. */
void toolcalls_add(struct toolcalls *t, const char *id, const char *name, const char *input);
/* NULL for an unknown id, and for NULL. Borrowed until the next change. */
const struct toolcall *toolcalls_find(const struct toolcalls *t, const char *id);
void toolcalls_done(struct toolcalls *t);
