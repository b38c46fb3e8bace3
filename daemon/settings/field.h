/* field.h - one member of struct settings, by its row of the table: compared, printed, freed. Pure;
 * assignment.h sets it. */
#pragma once
#include <stdbool.h>

struct buf;
struct settings;
struct table_row;

/* Whether both have the same value, whatever its type. */
bool field_equals(const struct settings *a, const struct settings *b, const struct table_row *row);
/* The value as it would stand in the file; what may be secret is replaced by [hidden]. */
void field_print(const struct settings *s, const struct table_row *row, struct buf *b);
void field_done(struct settings *s, const struct table_row *row);
