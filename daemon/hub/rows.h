/* rows.h - the rows of a query as an answer: a page of them as an array, or the one. Each ends the
 * query.
 * Nairi's API describes these lists as arrays without pages, so a call whose query has no "limit"
 * gets all, as far as ROWS_MAX and ROWS_BYTES_MAX go. Where a list goes on behind an answer, that
 * one has a header Link (RFC 8288) to its next page: <?limit=N&offset=N>; rel="next". */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct call;
struct json;
struct model;
struct query;
struct rows;

enum {
    ROWS_LIMIT_MAX = 100, /* rows that can be asked for at a time */
    ROWS_MAX = 1000,
    ROWS_BYTES_MAX = 8 << 20, /* of the rows together; one alone may be longer */
    ROWS_OFFSET_MAX = 1000000000,
};

/* Makes an object of the row: 1; 0: the call has been refused; or a negative errno. */
typedef int (*rows_show_fn)(const struct rows *r, struct query *q, struct json **ret_object);

struct rows {
    struct call *call;
    struct model *model;
    rows_show_fn show;
    const void *ctx; /* for show */
};

struct rows_page {
    int64_t limit, offset;
};

/* What the call's query says; limit: where it names none. 1, or 0 and c is refused with 400. */
int rows_take_page(struct call *c, int64_t limit, struct rows_page *ret_page);

/* 200 and an array of those rows of q, which begins at the page's offset and has one row more than
 * the page, if there is one. 0 or a negative errno. */
int rows_reply_page(const struct rows *r, const struct rows_page *page, struct query *q);
/* What show makes of the one row; where there is none, 404 with NOUN not found: ID (id NULL:
 * without that). 0 or a negative errno. */
int rows_reply_one(const struct rows *r, unsigned status, struct query *q, const char *noun,
                   const char *id);
