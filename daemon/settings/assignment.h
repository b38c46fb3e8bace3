/* assignment.h - a value that somebody wrote, checked and put into its member of struct settings,
 * by the row of the table. Pure. place: what the text around it is called
 * ("/etc/nairid/nairid.yaml", "environment variable NAIRID_MAX_QUEUED"); line and column are added
 * where there are some. -EINVAL with a sentence; the member is then untouched. */
#pragma once

struct document_node;
struct err;
struct settings;
struct table_row;

/* Reads node into the member, in place of what it held. */
int assignment_node(struct settings *s, const struct table_row *row, const char *place,
                    const struct document_node *node, struct err *err);
/* The same from one string, as in the environment: text as it is, lists and maps as in YAML. */
int assignment_text(struct settings *s, const struct table_row *row, const char *place,
                    const char *text, struct err *err);
