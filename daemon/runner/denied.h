/* denied.h - the tools that a program was not allowed to use, for a note in its answer: the model
 * may not know why it couldn't. Pure. A plain value; { 0 } is an empty one, nothing to free. */
#pragma once
#include "settings/settings.h"
#include <stddef.h>

struct buf;

enum { DENIED_MAX = 4, DENIED_NAME_MAX = 40 /* bytes that are shown of a name */ };

struct denied {
    char names[DENIED_MAX][DENIED_NAME_MAX + 1];
    size_t count;
};

/* Each name once, and not too many; NULL and "" are none. */
void denied_add(struct denied *d, const char *name);
/* Appends the note, with the setting that it is due to, if there is anything to note. */
void denied_append(const struct denied *d, const char *product,
                   enum settings_permissions permissions, struct buf *b);
