#include "util/strv.h"

#include <stdlib.h>

#include "util/mem.h"

void strv_add(struct strv *v, const char *s)
{
    v->items = mem_realloc(v->items, (v->len + 2) * sizeof v->items[0]);
    v->items[v->len++] = mem_strdup(s);
    v->items[v->len] = NULL;
}

void strv_copy(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->len; i++)
        strv_add(to, from->items[i]);
}

void strv_done(struct strv *v)
{
    for (size_t i = 0; i < v->len; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv){ 0 };
}
