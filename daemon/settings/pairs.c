#include "settings/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "settings/settings.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/str.h"

void pairs_add(struct settings_pairs *p, const char *name, const char *value)
{
    p->items = mem_realloc(p->items, (p->len + 1) * sizeof *p->items);
    p->items[p->len++] =
        (struct settings_pair){ .name = mem_strdup(name), .value = mem_strdup(value) };
}

const char *pairs_find(const struct settings_pairs *p, const char *name)
{
    for (size_t i = 0; i < p->len; i++)
        if (str_eq(p->items[i].name, name))
            return p->items[i].value;
    return NULL;
}

bool pairs_equal(const struct settings_pairs *a, const struct settings_pairs *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        if (!str_eq(a->items[i].name, b->items[i].name) ||
            !str_eq(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

void pairs_done(struct settings_pairs *p)
{
    for (size_t i = 0; i < p->len; i++) {
        free(p->items[i].name);
        secret_wipe(p->items[i].value, strlen(p->items[i].value)); /* tokens end up there, too */
        free(p->items[i].value);
    }
    free(p->items);
    *p = (struct settings_pairs){ 0 };
}
