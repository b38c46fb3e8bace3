#include "runner/denied.h"

#include <string.h>

#include "util/buf.h"
#include "util/str.h"
#include "util/utf8.h"

void denied_add(struct denied *d, const char *name)
{
    char line[DENIED_NAME_MAX + 1];

    if (!name)
        return;
    (void)utf8_line(line, sizeof line, name);
    for (size_t i = 0; i < d->count; i++)
        if (str_eq(d->names[i], line))
            return;
    if (d->count < DENIED_MAX && line[0])
        memcpy(d->names[d->count++], line, sizeof line);
}

void denied_append(const struct denied *d, const char *product,
                   enum settings_permissions permissions, struct buf *b)
{
    if (d->count == 0)
        return;
    buf_printf(b, "\n\n[%s was not allowed to do all that it wanted (", product);
    for (size_t i = 0; i < d->count; i++)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", d->names[i]);
    buf_printf(b, ")%s]", permissions == SETTINGS_EDITS ? "; runner.permissions is edits" : "");
}
