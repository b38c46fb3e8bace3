/* page.h - the hub's static files in the program, served without a key: its web page, and
 * openapi.json, which describes all that it serves.
 * The page itself asks for an organisation key and uses the public API with it, as any client. It
 * may load and call nothing but this hub, run no script but its own files, and stand in no frame:
 * every answer says so to the browser (Content-Security-Policy). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct server_request;

struct page_embedded {
    const char *name; /* NULL ends the table */
    const unsigned char *bytes;
    size_t len;
};
extern const struct page_embedded page_embedded[];

/* Answers a request for one of its files: true; false if the path is none of them. Methods other
 * than GET and HEAD get 405. */
bool page_answer(struct server_request *r);
