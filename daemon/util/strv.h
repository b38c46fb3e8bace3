/* strv.h - a list of strings, each its own. Pure, a plain value. */
#pragma once
#include <stddef.h>

/* { 0 } is an empty one. items is NULL-terminated once something was added. */
struct strv {
    char **items;
    size_t len;
};

void strv_add(struct strv *v, const char *s);             /* copies */
void strv_copy(struct strv *to, const struct strv *from); /* *to must be empty */
void strv_done(struct strv *v);
