/* rulebook.h - rules of several files as one text. Pure. Source: Nairi, provisioned artifacts,
 * "Rule file": Markdown with front matter (title, description); merged they have a heading, and
 * each its title, its description and its body. */
#pragma once
#include <stddef.h>

struct buf;

/* Appends one; the first gets the heading before it. name: of its file, for one without a title. */
void rulebook_add(struct buf *book, const char *name, const char *text, size_t len);
