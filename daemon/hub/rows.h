/* rows.h - the rows of a query as an answer: all of them as an array, or the one. Each ends the
 * query. */
#pragma once

struct call;
struct json;
struct query;

typedef struct json *(*rows_show_fn)(struct query *q);

/* 200 and an array of what show makes of each row. 0 or a negative errno. */
int rows_reply_all(struct call *c, struct query *q, rows_show_fn show);
/* What show makes of the one row; where there is none, 404 with NOUN not found: ID. 0 or a negative
 * errno. */
int rows_reply_one(struct call *c, unsigned status, struct query *q, rows_show_fn show,
                   const char *noun, const char *id);
