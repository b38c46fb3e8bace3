/* field.h - one member of struct settings, by its row of the table. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct document_node;
struct err;
struct settings;
struct table_row;

/* Reads node into the member, in place of what it held. place: what the text around node is called
 * ("/etc/nairid/nairid.yaml", "environment variable NAIRID_MAX_QUEUED"); line and column are added
 * where node has them. -EINVAL with a sentence; the member is then untouched. */
int field_set(struct settings *s, const struct table_row *row, const char *place,
              const struct document_node *node, struct err *err);
/* The same from one string, as in the environment: text as it is, lists and maps as in YAML. */
int field_set_text(struct settings *s, const struct table_row *row, const char *place,
                   const char *text, struct err *err);
bool field_equals(const struct settings *a, const struct settings *b, const struct table_row *row);
/* The value as it would stand in the file; what may be secret is replaced by [hidden]. */
void field_print(const struct settings *s, const struct table_row *row, struct buf *b);
void field_done(struct settings *s, const struct table_row *row);
